# Every alarm is one entry of these maps. `missing` says how it treats periods without data; the reason is beside it.

locals {
  # SQS stops the metrics of a queue that was not used for six hours, so missing data means an empty queue.
  silent_queue = "notBreaching"

  queue_alarms = merge([for stage, of in var.stages : {
    "${stage}-DeadLetters" = {
      description = "${stage} has dead letters. The attribute error_code of each has the reason; docs/how-to/dead-letters.md shows how to read and replay them. The alarm counts the letters in the queue, because the count of sent messages leaves out those that the queue itself moved."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = of.dlq_name }
      statistic   = "Maximum"
      threshold   = 0
      period      = 60
      periods     = 1
      missing     = local.silent_queue
    }
    "${stage}-OldestMessage" = {
      description = "The oldest message of ${stage} has been waiting for more than ${of.max_age_s} s: too few tasks for the load, or an outage."
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = { QueueName = of.queue_name }
      statistic   = "Maximum"
      threshold   = of.max_age_s
      period      = 60
      periods     = 5
      missing     = local.silent_queue
    }
    "${stage}-Undelivered" = {
      description = "SNS could not deliver messages to the queue of ${stage}: they are in ${of.delivery_dlq_name}. Check the queue's policy."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = of.delivery_dlq_name }
      statistic   = "Maximum"
      threshold   = 0
      period      = 60
      periods     = 1
      missing     = local.silent_queue
    }
    "${stage}-Lost" = {
      description = "SNS could deliver messages neither to the queue of ${stage} nor to ${of.delivery_dlq_name}: they are lost, and must be published again."
      namespace   = "AWS/SNS"
      metric      = "NumberOfNotificationsFailedToRedriveToDlq"
      dimensions  = { TopicName = of.topic_name }
      statistic   = "Sum"
      threshold   = 0
      period      = 60
      periods     = 1
      missing     = "notBreaching" # data exist only after such failures
    }
  }]...)

  database_alarms = { for word, of in {
    "Database-Connections" = {
      description = "More than four fifths of the database's ${var.database_max_connections} connections are in use: run fewer workers or tasks, use pgbouncer, or raise db_max_connections."
      namespace   = "AWS/RDS"
      metric      = "DatabaseConnections"
      dimensions  = { DBInstanceIdentifier = var.database_identifier }
      statistic   = "Maximum"
      threshold   = floor(var.database_max_connections * 0.8)
      period      = 60
      periods     = 5
      missing     = "breaching" # RDS reports each minute: a database that does not is in trouble
    }
    "Database-Storage" = {
      description = "Less than a tenth of the database's storage has been free for half an hour. RDS extends the storage in that time if db_max_allocated_storage allows it."
      namespace   = "AWS/RDS"
      metric      = "FreeStorageSpace"
      dimensions  = { DBInstanceIdentifier = var.database_identifier }
      statistic   = "Minimum"
      comparison  = "LessThanThreshold"
      threshold   = var.database_allocated_storage * pow(1024, 3) / 10
      period      = 300
      periods     = 6
      missing     = "missing" # the other alarm reports a silent database; this one keeps its state
    }
  } : word => of if var.database_identifier != null }

  api_alarms = { for word, api in { "StacApi-Errors" = var.api } : word => {
    description = "The STAC API has answered at least five requests in five minutes with a server error."
    namespace   = "AWS/ApplicationELB"
    metric      = "HTTPCode_Target_5XX_Count"
    dimensions  = { LoadBalancer = api.load_balancer_arn_suffix, TargetGroup = api.target_group_arn_suffix }
    statistic   = "Sum"
    threshold   = 4
    period      = 300
    periods     = 1
    missing     = "notBreaching" # without an error, data are missing
  } if api != null }

  metric_alarms = merge(local.queue_alarms, local.database_alarms, local.api_alarms)

  # Metric math: [metric, statistic] by the name that the expression uses.
  progress_alarms = {
    for stage, of in var.stages : "${stage}-NoProgress" => {
      description = "Messages of ${stage} have waited for ${var.no_progress_minutes} minutes, and none was deleted: no task runs, or the running tasks finish nothing."
      namespace   = "AWS/SQS"
      dimensions  = { QueueName = of.queue_name }
      expression  = "IF(FILL(visible, 0) > 0 AND FILL(deleted, 0) == 0, 1, 0)"
      # Minimum counts messages that wait all the time, and leaves out those that are received soon.
      metrics = {
        visible = ["ApproximateNumberOfMessagesVisible", "Minimum"]
        deleted = ["NumberOfMessagesDeleted", "Sum"]
      }
      periods = var.no_progress_minutes / 5
    }
  }

  running_services = merge(
    { for stage, of in var.stages : stage => { cluster_name = of.cluster_name, service_name = of.service_name } if of.service_name != null },
    var.services,
  )

  capacity_alarms = merge(
    { for word, of in local.running_services : "${word}-Tasks" => {
      description = "The service ${of.service_name} has had fewer running tasks than desired for a quarter of an hour: they fail, or capacity is missing. The service's events have the reason."
      namespace   = "ECS/ContainerInsights"
      dimensions  = { ClusterName = of.cluster_name, ServiceName = of.service_name }
      expression  = "desired - running"
      metrics     = { desired = ["DesiredTaskCount", "Minimum"], running = ["RunningTaskCount", "Maximum"] }
      periods     = 3
    } },
    { for stage, of in var.stages : "${stage}-Instances" => {
      description = "The Auto Scaling group ${of.autoscaling_group_name} has had fewer instances in service than desired for a quarter of an hour. The group's activities have the reason."
      namespace   = "AWS/AutoScaling"
      dimensions  = { AutoScalingGroupName = of.autoscaling_group_name }
      expression  = "desired - running"
      metrics     = { desired = ["GroupDesiredCapacity", "Minimum"], running = ["GroupInServiceInstances", "Maximum"] }
      periods     = 3
    } if of.autoscaling_group_name != null },
  )

  math_alarms = merge(local.progress_alarms, local.capacity_alarms)
}

resource "aws_cloudwatch_metric_alarm" "metric" {
  for_each = local.metric_alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  comparison_operator = lookup(each.value, "comparison", "GreaterThanThreshold")
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing

  namespace   = each.value.namespace
  metric_name = each.value.metric
  dimensions  = each.value.dimensions
  statistic   = each.value.statistic
  period      = each.value.period

  alarm_actions = [aws_sns_topic.alarms.arn]
  ok_actions    = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "math" {
  for_each = local.math_alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = each.value.periods
  # Idle queues have no metrics, and neither has a service at zero tasks.
  treat_missing_data = "notBreaching"

  metric_query {
    id          = "result"
    expression  = each.value.expression
    label       = each.key
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id = metric_query.key

      metric {
        namespace   = each.value.namespace
        metric_name = metric_query.value[0]
        dimensions  = each.value.dimensions
        period      = 300
        stat        = metric_query.value[1]
      }
    }
  }

  alarm_actions = [aws_sns_topic.alarms.arn]
  ok_actions    = [aws_sns_topic.alarms.arn]
}
