# SQS measures a queue while it is used and for about six hours after. Then its metrics stop, and take up to a quarter of an hour to come
# back. Scaling up from zero tasks must not wait for that. So EventBridge Scheduler uses the queue: every hour it removes a tag that the
# queue does not have. Scheduler does not call read-only actions
# (https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html), and this call changes nothing.

resource "aws_scheduler_schedule" "metrics" {
  name                = "${local.base}-metrics"
  description         = "Keeps the metrics of ${aws_sqs_queue.this.name} alive while it is idle."
  schedule_expression = "rate(1 hours)"

  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = 15
  }

  target {
    arn      = "arn:${local.partition}:scheduler:::aws-sdk:sqs:untagQueue"
    role_arn = aws_iam_role.scheduler.arn
    input    = jsonencode({ QueueUrl = aws_sqs_queue.this.url, TagKeys = ["keeps-the-metrics-alive"] })

    # Retries are not important: the next hour's call has the same effect.
    retry_policy {
      maximum_retry_attempts       = 3
      maximum_event_age_in_seconds = 900
    }
  }
}

resource "aws_iam_role" "scheduler" {
  name        = "${local.base}-scheduler"
  description = "EventBridge Scheduler, using ${aws_sqs_queue.this.name}."
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyThisAccountsSchedules"
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "scheduler" {
  name = "metrics"
  role = aws_iam_role.scheduler.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "KeepMetrics"
      Effect   = "Allow"
      Action   = "sqs:UntagQueue"
      Resource = aws_sqs_queue.this.arn
    }]
  })
}
