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

  # The newest value is a minute or two late: until it comes, the one before it counts.
  last_running = { id = "last_running", expression = "FILL(running, REPEAT)", return_data = false, metric = null }

  # Without a measurement nothing is decided. Zero tasks count as one, because a division by zero gives no value, so it
  # decides nothing either.
  per_task = {
    id          = "backlog_per_task"
    expression  = "(visible + in_flight) / IF(last_running < 1, 1, last_running)"
    return_data = true
    metric      = null
  }

  # Messages wait, none is in flight, and no task is counted. A missing count is 0 here, because Container Insights does not
  # measure a service without tasks. in_flight is as new as visible, so tasks that are not counted yet, or no longer, show by the
  # messages they hold.
  wake = {
    id          = "wake"
    expression  = "IF(visible > 0 AND in_flight < 1 AND FILL(last_running, 0) < 1, 1, 0)"
    return_data = true
    metric      = null
  }

  backlog = { id = "backlog", expression = "visible + in_flight", return_data = true, metric = null }
}
