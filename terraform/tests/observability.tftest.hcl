# The alarms of both kinds of stage, the event of a failed task, the dashboard. AWS is mocked.

mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\": \"2012-10-17\", \"Statement\": []}" }
  }

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-west-2:123456789012:imagery-prod-alarms" }
  }

  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:us-west-2:123456789012:rule/imagery-prod-task-failed" }
  }
}

variables {
  name                = "imagery-prod"
  database_identifier = "imagery-prod-pgstac"
  stages = {
    ItemGen = {
      queue_name        = "imagery-prod-ItemGenQueue"
      dlq_name          = "imagery-prod-ItemGenDeadLetterQueue"
      delivery_dlq_name = "imagery-prod-ItemGenDeliveryDeadLetterQueue"
      topic_name        = "imagery-prod-ItemGenTopic"
      log_group_name    = "imagery-prod-itemgend"
      max_age_s         = 3600
      cluster_name      = "imagery-prod"
      service_name      = "imagery-prod-itemgend"
    }
    ItemLoad = {
      queue_name             = "imagery-prod-ItemLoadQueue"
      dlq_name               = "imagery-prod-ItemLoadDeadLetterQueue"
      delivery_dlq_name      = "imagery-prod-ItemLoadDeliveryDeadLetterQueue"
      topic_name             = "imagery-prod-ItemLoadTopic"
      log_group_name         = "imagery-prod-itemloadd"
      max_age_s              = 600
      autoscaling_group_name = "imagery-prod-itemloadd"
    }
  }
}

run "alarms" {
  module {
    source = "./modules/observability"
  }

  variables {
    database_max_connections   = 200
    database_allocated_storage = 100
    alarm_emails               = ["operations@example.com"]
  }

  assert {
    condition = output.alarm_names == tolist(sort([
      "imagery-prod-Database-Connections", "imagery-prod-Database-Storage",
      "imagery-prod-ItemGen-DeadLetters", "imagery-prod-ItemGen-Lost", "imagery-prod-ItemGen-NoProgress", "imagery-prod-ItemGen-OldestMessage",
      "imagery-prod-ItemGen-Tasks", "imagery-prod-ItemGen-Undelivered",
      "imagery-prod-ItemLoad-DeadLetters", "imagery-prod-ItemLoad-Instances", "imagery-prod-ItemLoad-Lost", "imagery-prod-ItemLoad-NoProgress",
      "imagery-prod-ItemLoad-OldestMessage", "imagery-prod-ItemLoad-Undelivered",
    ]))
    error_message = "Each stage and the database must have their alarms."
  }

  assert {
    condition     = alltrue([for alarm in merge(aws_cloudwatch_metric_alarm.metric, aws_cloudwatch_metric_alarm.math) : alarm.alarm_actions == toset([output.alarm_topic_arn]) && length(alarm.alarm_description) > 40])
    error_message = "Each alarm must go to the topic and say what to do."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.metric["ItemGen-DeadLetters"].metric_name == "ApproximateNumberOfMessagesVisible" && aws_cloudwatch_metric_alarm.metric["ItemGen-DeadLetters"].dimensions == tomap({ QueueName = "imagery-prod-ItemGenDeadLetterQueue" }) && aws_cloudwatch_metric_alarm.metric["ItemGen-DeadLetters"].threshold == 0
    error_message = "One dead letter must be enough, however it got there."
  }

  assert {
    condition     = [aws_cloudwatch_metric_alarm.metric["Database-Connections"].threshold, aws_cloudwatch_metric_alarm.metric["Database-Storage"].threshold] == [160, 10737418240]
    error_message = "The limits must be four fifths of the connections and a tenth of the storage."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.metric["Database-Storage"].comparison_operator == "LessThanThreshold"
    error_message = "The alarm must measure free storage, not used storage."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.metric["Database-Connections"].treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.metric["ItemGen-OldestMessage"].treat_missing_data == "notBreaching"
    error_message = "A silent database is in trouble; a silent queue is idle."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.math["ItemLoad-NoProgress"].evaluation_periods == 3 && toset([for query in aws_cloudwatch_metric_alarm.math["ItemLoad-NoProgress"].metric_query : query.id]) == toset(["result", "visible", "deleted"])
    error_message = "The time must be three periods of five minutes."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.task_failed[0].event_pattern).detail.group == ["service:imagery-prod-itemgend"] && jsondecode(aws_cloudwatch_event_rule.task_failed[0].event_pattern).detail.clusterArn == ["arn:aws:ecs:us-west-2:123456789012:cluster/imagery-prod"]
    error_message = "Only existing services may have alarms on tasks."
  }

  assert {
    condition     = [for subscription in aws_sns_topic_subscription.email : subscription.endpoint] == ["operations@example.com"]
    error_message = "Each address must have a subscription."
  }
}

run "the_dashboard_has_the_stages_side_by_side" {
  module {
    source = "./modules/observability"
  }

  variables {
    api = { load_balancer_arn_suffix = "app/imagery-prod-stac-api/0", target_group_arn_suffix = "targetgroup/imagery-prod-stac-api/0" }
  }

  assert {
    condition = distinct([
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : "${split(":", widget.properties.title)[0]} ${widget.x}"
      if startswith(widget.properties.title, "Item")
    ]) == tolist(["ItemGen 0", "ItemLoad 12"])
    error_message = "Generation must be left, loading right."
  }

  assert {
    condition = length(distinct([
      for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : "${widget.x} ${widget.y}"
    ])) == length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets)
    error_message = "Widgets must not overlap."
  }

  assert {
    condition     = contains(output.alarm_names, "imagery-prod-StacApi-Errors")
    error_message = "The API must have an alarm."
  }
}

run "without_database_and_services" {
  module {
    source = "./modules/observability"
  }

  variables {
    database_identifier = null
    stages = {
      ItemLoad = {
        queue_name             = "q"
        dlq_name               = "dlq"
        delivery_dlq_name      = "ddlq"
        topic_name             = "t"
        log_group_name         = "l"
        max_age_s              = 600
        autoscaling_group_name = "asg"
      }
    }
  }

  assert {
    condition     = length(aws_cloudwatch_event_rule.task_failed) == 0 && length(output.alarm_names) == 6
    error_message = "Without tasks, the rule for their events must not exist."
  }
}

run "what_cannot_be" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    no_progress_minutes = 7
    alarm_emails        = ["nobody"]
    stages = {
      ItemLoad = {
        queue_name        = "q"
        dlq_name          = "dlq"
        delivery_dlq_name = "ddlq"
        topic_name        = "t"
        log_group_name    = "l"
        max_age_s         = 5
      }
    }
  }

  expect_failures = [var.no_progress_minutes, var.alarm_emails, var.stages]
}
