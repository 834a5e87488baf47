# One stage: the numbers of the design, and policies that admit only the topic. AWS is mocked.

mock_provider "aws" {
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:us-west-2:123456789012:queue", url = "https://sqs.us-west-2.amazonaws.com/123456789012/queue" }
  }

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-west-2:123456789012:imagery-prod-ItemLoadTopic" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/role" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

}

variables {
  name                 = "imagery-prod"
  stage_name           = "ItemLoad"
  visibility_timeout_s = 60
}

run "the_designs_numbers" {
  module {
    source = "./modules/queues"
  }

  override_resource {
    target = aws_sqs_queue.this
    values = { arn = "arn:aws:sqs:us-west-2:123456789012:imagery-prod-ItemLoadQueue" }
  }

  override_resource {
    target = aws_sqs_queue.dead_letters
    values = { arn = "arn:aws:sqs:us-west-2:123456789012:imagery-prod-ItemLoadDeadLetterQueue" }
  }

  override_resource {
    target = aws_sqs_queue.undelivered
    values = { arn = "arn:aws:sqs:us-west-2:123456789012:imagery-prod-ItemLoadDeliveryDeadLetterQueue" }
  }

  assert {
    condition = [aws_sns_topic.this.name, aws_sqs_queue.this.name, aws_sqs_queue.dead_letters.name] == [
      "imagery-prod-ItemLoadTopic", "imagery-prod-ItemLoadQueue", "imagery-prod-ItemLoadDeadLetterQueue",
    ]
    error_message = "The names must be those of the CDK stack."
  }

  assert {
    condition     = aws_sqs_queue.this.visibility_timeout_seconds == 60 && jsondecode(aws_sqs_queue.this.redrive_policy).maxReceiveCount == 6
    error_message = "Messages must be visible again after 60 s; five attempts, and one receive in reserve."
  }

  assert {
    condition     = aws_sqs_queue.dead_letters.message_retention_seconds == 14 * 24 * 60 * 60 && aws_sqs_queue.undelivered.message_retention_seconds == 14 * 24 * 60 * 60
    error_message = "Dead letters must be kept for 14 days."
  }

  assert {
    condition     = alltrue([for queue in [aws_sqs_queue.this, aws_sqs_queue.dead_letters, aws_sqs_queue.undelivered] : queue.sqs_managed_sse_enabled && queue.max_message_size == 262144])
    error_message = "Every queue must be encrypted, and accept messages as large as SNS accepts."
  }

  assert {
    condition     = aws_sns_topic.this.kms_master_key_id == "alias/aws/sns"
    error_message = "The topic must be encrypted."
  }

  # --- who may send

  assert {
    condition = jsondecode(aws_sqs_queue_policy.this["queue"].policy).Statement == [{
      Sid       = "OnlyItsTopic"
      Effect    = "Allow"
      Principal = { Service = "sns.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:aws:sqs:us-west-2:123456789012:imagery-prod-ItemLoadQueue"
      Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:sns:us-west-2:123456789012:imagery-prod-ItemLoadTopic" } }
    }]
    error_message = "The queue must admit only its topic: ${aws_sqs_queue_policy.this["queue"].policy}"
  }

  assert {
    condition = jsondecode(aws_sqs_queue_policy.this["undelivered"].policy).Statement == [{
      Sid       = "OnlyItsTopic"
      Effect    = "Allow"
      Principal = { Service = "sns.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:aws:sqs:us-west-2:123456789012:imagery-prod-ItemLoadDeliveryDeadLetterQueue"
      Condition = { ArnEquals = { "aws:SourceArn" = "arn:aws:sns:us-west-2:123456789012:imagery-prod-ItemLoadTopic" } }
    }]
    error_message = "The delivery dead-letter queue must admit only its topic."
  }

  assert {
    condition = [for statement in jsondecode(aws_sns_topic_policy.this.policy).Statement : statement.Principal] == [
      { AWS = "arn:aws:iam::123456789012:root" },
    ]
    error_message = "Only the account may publish."
  }

  # --- what moves where

  assert {
    condition = jsondecode(aws_sqs_queue_redrive_allow_policy.dead_letters.redrive_allow_policy) == {
      redrivePermission = "byQueue"
      sourceQueueArns   = ["arn:aws:sqs:us-west-2:123456789012:imagery-prod-ItemLoadQueue"]
    }
    error_message = "Only its own queue may use the dead-letter queue."
  }

  assert {
    condition     = aws_sns_topic_subscription.this.raw_message_delivery && jsondecode(aws_sns_topic_subscription.this.redrive_policy).deadLetterTargetArn == "arn:aws:sqs:us-west-2:123456789012:imagery-prod-ItemLoadDeliveryDeadLetterQueue"
    error_message = "Delivery must be raw, and undeliverable messages must be kept."
  }

  assert {
    condition     = length(aws_s3_bucket_notification.this) == 0
    error_message = "No bucket must be changed."
  }

  # --- the schedule that keeps the metrics alive

  assert {
    condition     = aws_scheduler_schedule.metrics.schedule_expression == "rate(1 hours)" && aws_scheduler_schedule.metrics.target[0].arn == "arn:aws:scheduler:::aws-sdk:sqs:untagQueue"
    error_message = "The queue must be used every hour, by a call that EventBridge Scheduler supports: not a read-only one."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.scheduler.policy).Statement == [{
      Sid = "KeepMetrics", Effect = "Allow", Action = "sqs:UntagQueue", Resource = "arn:aws:sqs:us-west-2:123456789012:imagery-prod-ItemLoadQueue"
    }]
    error_message = "The schedule must have only this permission on the queue."
  }
}

run "enveloped" {
  module {
    source = "./modules/queues"
  }

  variables {
    delivery = "enveloped"
  }

  assert {
    condition     = !aws_sns_topic_subscription.this.raw_message_delivery
    error_message = "Within SNS's envelope."
  }
}

run "notifications_of_a_bucket" {
  module {
    source = "./modules/queues"
  }

  variables {
    bucket_notifications = [{ bucket = "stac-items", prefix = "items/", suffix = ".json" }]
  }

  assert {
    condition = [for statement in jsondecode(aws_sns_topic_policy.this.policy).Statement : statement.Condition if can(statement.Principal.Service)] == [{
      ArnEquals    = { "aws:SourceArn" = "arn:aws:s3:::stac-items" }
      StringEquals = { "aws:SourceAccount" = "123456789012" }
    }]
    error_message = "Only S3 may publish, for that bucket of this account: ${aws_sns_topic_policy.this.policy}"
  }

  assert {
    condition     = aws_s3_bucket_notification.this["stac-items"].topic[0].filter_prefix == "items/" && aws_s3_bucket_notification.this["stac-items"].topic[0].filter_suffix == ".json"
    error_message = "Only the chosen objects must be notified."
  }

  # AWS's own key would lock S3 out.
  assert {
    condition     = aws_sns_topic.this.kms_master_key_id == null
    error_message = "S3 must be able to publish to the topic."
  }
}

run "a_key_of_ones_own" {
  module {
    source = "./modules/queues"
  }

  variables {
    kms_key_arn          = "arn:aws:kms:us-west-2:123456789012:key/0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
    bucket_notifications = [{ bucket = "stac-items" }]
  }

  assert {
    condition = alltrue([for key in [
      aws_sqs_queue.this.kms_master_key_id, aws_sqs_queue.dead_letters.kms_master_key_id, aws_sqs_queue.undelivered.kms_master_key_id, aws_sns_topic.this.kms_master_key_id,
    ] : key == var.kms_key_arn])
    error_message = "Everything must be encrypted with the key."
  }
}

run "a_delivery_that_is_none" {
  command = plan

  module {
    source = "./modules/queues"
  }

  variables {
    delivery = "wrapped"
  }

  expect_failures = [var.delivery]
}

run "a_visibility_beyond_sqs" {
  command = plan

  module {
    source = "./modules/queues"
  }

  variables {
    visibility_timeout_s = 43201
  }

  expect_failures = [var.visibility_timeout_s]
}
