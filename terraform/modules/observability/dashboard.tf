# Two columns, one for each stage, and the database below.

locals {
  width  = 12
  height = 6

  # Left to right in the order of messages: ItemGen, ItemLoad.
  columns = { for i, stage in sort(keys(var.stages)) : stage => i * local.width }

  # Widgets of every stage, on tasks or instances; one row each.
  queue_rows = {
    for stage, of in var.stages : stage => [
      {
        title = "queue"
        stat  = "Maximum"
        metrics = [
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", of.queue_name, { label = "waiting" }],
          ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", of.queue_name, { label = "in flight" }],
        ]
      },
      {
        title = "messages a minute"
        stat  = "Sum"
        metrics = [
          ["AWS/SNS", "NumberOfMessagesPublished", "TopicName", of.topic_name, { label = "published" }],
          ["AWS/SQS", "NumberOfMessagesSent", "QueueName", of.queue_name, { label = "into the queue" }],
          ["AWS/SQS", "NumberOfMessagesDeleted", "QueueName", of.queue_name, { label = "done" }],
        ]
      },
      {
        title   = "seconds that the oldest message has waited (alarm: ${of.max_age_s})"
        stat    = "Maximum"
        metrics = [["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", of.queue_name, { label = "oldest" }]]
      },
      {
        title = "dead letters, and what SNS could not deliver"
        stat  = "Maximum"
        metrics = [
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", of.dlq_name, { label = "dead letters" }],
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", of.delivery_dlq_name, { label = "undelivered" }],
        ]
      },
    ]
  }

  service_rows = {
    for stage, of in var.stages : stage => [
      {
        title = "tasks"
        stat  = "Average"
        metrics = [
          for metric, label in { DesiredTaskCount = "desired", RunningTaskCount = "running" } :
          ["ECS/ContainerInsights", metric, "ClusterName", of.cluster_name, "ServiceName", of.service_name, { label = label }]
        ]
      },
      {
        title = "processor and memory, % of the task's"
        stat  = "Maximum"
        metrics = [
          for metric, label in { CPUUtilization = "processor", MemoryUtilization = "memory" } :
          ["AWS/ECS", metric, "ClusterName", of.cluster_name, "ServiceName", of.service_name, { label = label }]
        ]
      },
    ] if of.service_name != null
  }

  group_rows = {
    for stage, of in var.stages : stage => [
      {
        title = "instances"
        stat  = "Average"
        metrics = [
          for metric, label in { GroupDesiredCapacity = "desired", GroupInServiceInstances = "in service" } :
          ["AWS/AutoScaling", metric, "AutoScalingGroupName", of.autoscaling_group_name, { label = label }]
        ]
      },
      {
        title   = "processor, %"
        stat    = "Maximum"
        metrics = [["AWS/EC2", "CPUUtilization", "AutoScalingGroupName", of.autoscaling_group_name, { label = "processor" }]]
      },
    ] if of.autoscaling_group_name != null
  }

  rows = {
    for stage in keys(var.stages) :
    stage => concat(local.queue_rows[stage], lookup(local.service_rows, stage, []), lookup(local.group_rows, stage, []))
  }

  metric_widgets = flatten([
    for stage, rows in local.rows : [
      for i, row in rows : {
        type   = "metric"
        x      = local.columns[stage]
        y      = i * local.height
        width  = local.width
        height = local.height
        properties = {
          title   = "${stage}: ${row.title}"
          region  = local.region
          period  = 60
          stat    = row.stat
          metrics = row.metrics
          yAxis   = { left = { min = 0 } }
        }
      }
    ]
  ])

  logs_y = max(0, [for rows in local.rows : length(rows)]...) * local.height

  # Errors, the newest first. The fields are those of the daemons' log (docs/reference/events.md).
  log_widgets = [
    for stage, of in var.stages : {
      type   = "log"
      x      = local.columns[stage]
      y      = local.logs_y
      width  = local.width
      height = local.height
      properties = {
        title  = "${stage}: dead letters and outages in the log"
        region = local.region
        view   = "table"
        query = join(" | ", [
          "SOURCE '${of.log_group_name}'",
          "fields @timestamp, event, error_code, message",
          "filter event in ['MESSAGE_DEAD', 'DEPENDENCY_DOWN', 'DEPENDENCY_UP', 'WARNING']",
          "sort @timestamp desc",
          "limit 50",
        ])
      }
    }
  ]

  database_y = local.logs_y + local.height

  database_metrics = [
    { title = "connections", metric = "DatabaseConnections", stat = "Maximum" },
    { title = "free storage, bytes", metric = "FreeStorageSpace", stat = "Minimum" },
    { title = "processor, %", metric = "CPUUtilization", stat = "Maximum" },
    { title = "writes to disk a second", metric = "WriteIOPS", stat = "Average" },
  ]

  database_widgets = [
    for i, of in local.database_metrics : {
      type   = "metric"
      x      = i * 6
      y      = local.database_y
      width  = 6
      height = local.height
      properties = {
        title   = "database: ${of.title}"
        region  = local.region
        period  = 60
        stat    = of.stat
        metrics = [["AWS/RDS", of.metric, "DBInstanceIdentifier", var.database_identifier]]
        yAxis   = { left = { min = 0 } }
      }
    } if var.database_identifier != null
  ]

  api_widgets = [
    for i, of in [
      { title = "requests a minute", metric = "RequestCount", stat = "Sum" },
      { title = "seconds to answer, 95 of 100", metric = "TargetResponseTime", stat = "p95" },
      ] : {
      type   = "metric"
      x      = i * local.width
      y      = local.database_y + local.height
      width  = local.width
      height = local.height
      properties = {
        title   = "STAC API: ${of.title}"
        region  = local.region
        period  = 60
        stat    = of.stat
        metrics = [["AWS/ApplicationELB", of.metric, "LoadBalancer", var.api.load_balancer_arn_suffix]]
      }
    } if var.api != null
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = concat(local.metric_widgets, local.log_widgets, local.database_widgets, local.api_widgets)
  })
}
