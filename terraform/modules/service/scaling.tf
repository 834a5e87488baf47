# README.md has the reasons of these numbers.
locals {
  is_sleeper = var.min_tasks == 0
}

module "backlog" {
  source     = "../backlog"
  queue_name = var.queue_name
  running = {
    namespace   = "ECS/ContainerInsights"
    metric_name = "RunningTaskCount"
    dimensions  = { ClusterName = var.cluster_name, ServiceName = aws_ecs_service.this.name }
  }
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${var.cluster_name}/${aws_ecs_service.this.name}"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks
}

resource "aws_appautoscaling_policy" "backlog" {
  name               = "${local.full_name}-backlog"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.backlog_per_task
    scale_out_cooldown = 180
    scale_in_cooldown  = 120
    disable_scale_in   = false

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

# ------------------------------------------------------------ from zero tasks to one

resource "aws_appautoscaling_policy" "wake" {
  count              = local.is_sleeper ? 1 : 0
  name               = "${local.full_name}-wake"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 600

    step_adjustment {
      metric_interval_lower_bound = 0
      scaling_adjustment          = 1
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "wake" {
  count               = local.is_sleeper ? 1 : 0
  alarm_name          = "${local.full_name}-wake"
  alarm_description   = "Messages wait and no task runs: starts one."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  evaluation_periods  = 5
  datapoints_to_alarm = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.wake[0].arn]

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

resource "aws_appautoscaling_policy" "sleep" {
  count              = local.is_sleeper ? 1 : 0
  name               = "${local.full_name}-sleep"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  step_scaling_policy_configuration {
    adjustment_type         = "ExactCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 60

    step_adjustment {
      metric_interval_upper_bound = 0
      scaling_adjustment          = 0
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "sleep" {
  count               = local.is_sleeper ? 1 : 0
  alarm_name          = "${local.full_name}-sleep"
  alarm_description   = "Nothing has waited or been worked on for ten minutes: ends the last task."
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  evaluation_periods  = 10
  datapoints_to_alarm = 10
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.sleep[0].arn]

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
