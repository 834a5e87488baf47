# The formulas of scaling, as CloudWatch gets them.

variables {
  queue_name = "imagery-prod-ItemGenQueue"
  running = {
    namespace   = "ECS/ContainerInsights"
    metric_name = "RunningTaskCount"
    dimensions  = { ClusterName = "imagery-prod", ServiceName = "imagery-prod-itemgend" }
  }
}

run "queries" {
  command = plan

  module {
    source = "./modules/backlog"
  }

  # Each has one result, and every name in an expression is a query.
  assert {
    condition = alltrue([for queries in [output.per_task, output.wake, output.total] :
    length([for query in queries : query if query.return_data]) == 1 && length(distinct(queries[*].id)) == length(queries)])
    error_message = "Exactly one query must be the result."
  }

  assert {
    condition = alltrue([for queries in [output.per_task, output.wake, output.total] : alltrue([for query in queries :
      length(setsubtract(regexall("[a-z][a-z_]*", query.expression), queries[*].id)) == 0 if query.expression != null
    ])])
    error_message = "An expression uses a name that is not a query."
  }

  assert {
    condition = { for query in output.per_task : query.id => query.expression if query.expression != null } == {
      last_running     = "FILL(running, REPEAT)"
      backlog_per_task = "(visible + in_flight) / IF(last_running < 1, 1, last_running)"
    }
    error_message = "per_task must be waiting and in flight, divided by running tasks, or by one if none runs."
  }

  assert {
    condition     = [for query in output.wake : query.expression if query.return_data] == ["IF(visible > 0 AND in_flight < 1 AND FILL(last_running, 0) < 1, 1, 0)"]
    error_message = "wake must be 1 if messages wait, none is in flight, and no running task is known."
  }

  assert {
    condition     = [for query in output.total : query.expression if query.return_data] == ["visible + in_flight"] && !contains(output.total[*].id, "running")
    error_message = "total must be waiting and in flight, without the number of running tasks."
  }

  assert {
    condition = { for query in output.per_task : query.id => query.metric if query.metric != null } == {
      visible = {
        namespace  = "AWS/SQS", metric_name = "ApproximateNumberOfMessagesVisible", stat = "Maximum"
        dimensions = { QueueName = "imagery-prod-ItemGenQueue" }
      }
      in_flight = {
        namespace  = "AWS/SQS", metric_name = "ApproximateNumberOfMessagesNotVisible", stat = "Maximum"
        dimensions = { QueueName = "imagery-prod-ItemGenQueue" }
      }
      running = {
        namespace  = "ECS/ContainerInsights", metric_name = "RunningTaskCount", stat = "Average"
        dimensions = tomap({ ClusterName = "imagery-prod", ServiceName = "imagery-prod-itemgend" })
      }
    }
    error_message = "Unexpected queries: ${jsonencode(output.per_task)}"
  }
}
