locals {
  metrics = {
    visible = {
      namespace   = "AWS/SQS"
      metric_name = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = var.queue_name }
      stat        = "Maximum"
    }
    in_flight = {
      namespace   = "AWS/SQS"
      metric_name = "ApproximateNumberOfMessagesNotVisible"
      dimensions  = { QueueName = var.queue_name }
      stat        = "Maximum"
    }
    running = merge(var.running, { stat = "Average" })
  }
  measured = [for id, metric in local.metrics : { id = id, expression = null, return_data = false, metric = metric }]

  # The newest value is a minute or two late: the one before it holds on.
  last_running = { id = "last_running", expression = "FILL(running, REPEAT)", return_data = false, metric = null }

  # Nothing measured: nothing decided. No task: as if there were one, for a division by zero decides nothing either.
  per_task = {
    id          = "backlog_per_task"
    expression  = "(visible + in_flight) / IF(last_running < 1, 1, last_running)"
    return_data = true
    metric      = null
  }

  # Messages wait, nobody holds any, and nobody is there. Container Insights does not measure a service without tasks: no value is 0 here.
  # in_flight comes with visible, so that tasks which are not counted yet, or no longer, are seen by what they do.
  wake = {
    id          = "wake"
    expression  = "IF(visible > 0 AND in_flight < 1 AND FILL(last_running, 0) < 1, 1, 0)"
    return_data = true
    metric      = null
  }

  backlog = { id = "backlog", expression = "visible + in_flight", return_data = true, metric = null }
}
