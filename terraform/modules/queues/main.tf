data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  base       = "${var.name}-${var.stage_name}"
  buckets    = { for notification in var.bucket_notifications : notification.bucket => notification }

  # SSE-SQS works for every sender. AWS's own KMS keys lock senders out: alias/aws/sqs locks out SNS, and alias/aws/sns locks out
  # S3. So with bucket notifications and without a customer's key, the topic is not encrypted. It stores messages only until they
  # are delivered.
  topic_key = var.kms_key_arn != null ? var.kms_key_arn : length(local.buckets) == 0 ? "alias/aws/sns" : null
}

# ------------------------------------------------------------ queues

resource "aws_sqs_queue" "this" {
  name                       = "${local.base}Queue"
  visibility_timeout_seconds = var.visibility_timeout_s
  message_retention_seconds  = var.message_retention_s
  max_message_size           = var.max_message_size
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = var.kms_key_arn == null ? true : null
  kms_master_key_id          = var.kms_key_arn

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.max_receive_count
  })
}

# Failed messages: the daemons send them with the reason, or the queue moves them when they have no receives left.
resource "aws_sqs_queue" "dead_letters" {
  name                      = "${local.base}DeadLetterQueue"
  message_retention_seconds = var.dead_letter_retention_s
  max_message_size          = var.max_message_size
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
}

# Messages that SNS could not deliver to the queue: no permission, the queue does not exist, or the message grew past
# its limit.
resource "aws_sqs_queue" "undelivered" {
  name                      = "${local.base}DeliveryDeadLetterQueue"
  message_retention_seconds = var.dead_letter_retention_s
  max_message_size          = var.max_message_size
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.url
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.this.arn]
  })
}

# No queue may use it as its dead-letter queue. Only the subscription uses it, and a subscription is not a queue.
resource "aws_sqs_queue_redrive_allow_policy" "undelivered" {
  queue_url            = aws_sqs_queue.undelivered.url
  redrive_allow_policy = jsonencode({ redrivePermission = "denyAll" })
}

resource "aws_sqs_queue_policy" "this" {
  for_each = {
    queue       = aws_sqs_queue.this
    undelivered = aws_sqs_queue.undelivered
  }

  queue_url = each.value.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyItsTopic"
      Effect    = "Allow"
      Principal = { Service = "sns.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = each.value.arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_sns_topic.this.arn } }
    }]
  })
}

# ------------------------------------------------------------ topic

resource "aws_sns_topic" "this" {
  name              = "${local.base}Topic"
  kms_master_key_id = local.topic_key
}

resource "aws_sns_topic_policy" "this" {
  arn = aws_sns_topic.this.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "ItsAccountByIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this.arn
      }],
      [for bucket in keys(local.buckets) : {
        Sid       = "Bucket${sha256(bucket)}"
        Effect    = "Allow"
        Principal = { Service = "s3.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this.arn
        Condition = {
          ArnEquals    = { "aws:SourceArn" = "arn:${local.partition}:s3:::${bucket}" }
          StringEquals = { "aws:SourceAccount" = local.account_id }
        }
      }],
    )
  })
}

resource "aws_sns_topic_subscription" "this" {
  topic_arn            = aws_sns_topic.this.arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.this.arn
  raw_message_delivery = var.delivery == "raw"
  redrive_policy       = jsonencode({ deadLetterTargetArn = aws_sqs_queue.undelivered.arn })

  # The queue must admit the topic before the first message is delivered.
  depends_on = [aws_sqs_queue_policy.this]
}

resource "aws_s3_bucket_notification" "this" {
  for_each = local.buckets
  bucket   = each.key

  topic {
    topic_arn     = aws_sns_topic.this.arn
    events        = ["s3:ObjectCreated:*"]
    filter_prefix = each.value.prefix
    filter_suffix = each.value.suffix
  }

  # S3 sends a test message to the topic when the notification is created.
  depends_on = [aws_sns_topic_policy.this, aws_sns_topic_subscription.this]
}
