# Tasks that stop by themselves with an error: CloudWatch has no metric of them, but EventBridge has an event for each. A
# requested stop (a deployment, scaling in, Spot) exits with 0.

locals {
  watched_clusters = toset([for of in local.running_services : of.cluster_name])
}

resource "aws_cloudwatch_event_rule" "task_failed" {
  count = length(local.watched_clusters) > 0 ? 1 : 0

  name        = "${var.name}-task-failed"
  description = "Tasks of ${var.name} that failed, or could not start"

  event_pattern = jsonencode({
    source        = ["aws.ecs"]
    "detail-type" = ["ECS Task State Change"]
    detail = {
      clusterArn = [for cluster in local.watched_clusters : "arn:${local.partition}:ecs:${local.region}:${local.account_id}:cluster/${cluster}"]
      group      = [for of in local.running_services : "service:${of.service_name}"]
      lastStatus = ["STOPPED"]
      "$or" = [
        { containers = { exitCode = [{ "anything-but" = 0 }] } },
        { stopCode = ["TaskFailedToStart"] },
      ]
    }
  })
}

resource "aws_cloudwatch_event_target" "task_failed" {
  count = length(local.watched_clusters) > 0 ? 1 : 0

  rule = aws_cloudwatch_event_rule.task_failed[0].name
  arn  = aws_sns_topic.alarms.arn

  input_transformer {
    input_paths = {
      code   = "$.detail.stopCode"
      group  = "$.detail.group"
      reason = "$.detail.stoppedReason"
      task   = "$.detail.taskArn"
      time   = "$.time"
    }
    input_template = "\"A task of <group> failed at <time>: <code>, <reason>. Its log and its containers' exit codes: <task>\""
  }
}
