# The same as for tasks (../service/README.md), with the group's instances instead of tasks.
locals {
  is_sleeper = var.min_instances == 0
}

module "backlog" {
  source     = "../backlog"
  queue_name = var.queue_name
  running = {
    namespace   = "AWS/AutoScaling"
    metric_name = "GroupInServiceInstances"
    dimensions  = { AutoScalingGroupName = aws_autoscaling_group.this.name }
  }
}

resource "aws_autoscaling_policy" "backlog" {
  name                      = "${local.full_name}-backlog"
  autoscaling_group_name    = aws_autoscaling_group.this.name
  policy_type               = "TargetTrackingScaling"
  estimated_instance_warmup = 180

  target_tracking_configuration {
    target_value = var.backlog_per_instance

    customized_metric_specification {
      dynamic "metrics" {
        for_each = module.backlog.per_task

        content {
          id          = metrics.value.id
          expression  = metrics.value.expression
          return_data = metrics.value.return_data

          dynamic "metric_stat" {
            for_each = metrics.value.metric == null ? [] : [metrics.value.metric]

            content {
              stat = metric_stat.value.stat

              metric {
                namespace   = metric_stat.value.namespace
                metric_name = metric_stat.value.metric_name

                dynamic "dimensions" {
                  for_each = metric_stat.value.dimensions

                  content {
                    name  = dimensions.key
                    value = dimensions.value
                  }
                }
              }
            }
          }
        }
      }
    }
  }
}

# ------------------------------------------------------------ from zero instances to one

resource "aws_autoscaling_policy" "wake" {
  count                     = local.is_sleeper ? 1 : 0
  name                      = "${local.full_name}-wake"
  autoscaling_group_name    = aws_autoscaling_group.this.name
  policy_type               = "StepScaling"
  adjustment_type           = "ChangeInCapacity"
  metric_aggregation_type   = "Maximum"
  estimated_instance_warmup = 600

  step_adjustment {
    metric_interval_lower_bound = 0
    scaling_adjustment          = 1
  }
}

resource "aws_cloudwatch_metric_alarm" "wake" {
  count               = local.is_sleeper ? 1 : 0
  alarm_name          = "${local.full_name}-wake"
  alarm_description   = "Messages wait and no instance runs: starts one."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  evaluation_periods  = 5
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_autoscaling_policy.wake[0].arn]

  dynamic "metric_query" {
    for_each = module.backlog.wake

    content {
      id          = metric_query.value.id
      expression  = metric_query.value.expression
      return_data = metric_query.value.return_data

      dynamic "metric" {
        for_each = metric_query.value.metric == null ? [] : [metric_query.value.metric]

        content {
          namespace   = metric.value.namespace
          metric_name = metric.value.metric_name
          dimensions  = metric.value.dimensions
          stat        = metric.value.stat
          period      = 60
        }
      }
    }
  }
}

# ------------------------------------------------------------ and back to zero

resource "aws_autoscaling_policy" "sleep" {
  count                   = local.is_sleeper ? 1 : 0
  name                    = "${local.full_name}-sleep"
  autoscaling_group_name  = aws_autoscaling_group.this.name
  policy_type             = "StepScaling"
  adjustment_type         = "ExactCapacity"
  metric_aggregation_type = "Maximum"

  step_adjustment {
    metric_interval_upper_bound = 0
    scaling_adjustment          = 0
  }
}

resource "aws_cloudwatch_metric_alarm" "sleep" {
  count               = local.is_sleeper ? 1 : 0
  alarm_name          = "${local.full_name}-sleep"
  alarm_description   = "Nothing has waited or been worked on for ten minutes: ends the last instance."
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  evaluation_periods  = 10
  datapoints_to_alarm = 10
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_autoscaling_policy.sleep[0].arn]

  dynamic "metric_query" {
    for_each = module.backlog.total

    content {
      id          = metric_query.value.id
      expression  = metric_query.value.expression
      return_data = metric_query.value.return_data

      dynamic "metric" {
        for_each = metric_query.value.metric == null ? [] : [metric_query.value.metric]

        content {
          namespace   = metric.value.namespace
          metric_name = metric.value.metric_name
          dimensions  = metric.value.dimensions
          stat        = metric.value.stat
          period      = 60
        }
      }
    }
  }
}
