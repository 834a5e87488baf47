# docs/reference/iam.md has a row for each action, with the call that needs it.
locals {
  # Each statement is wanted or not. They become JSON, so they need not have the same keys.
  statements = {
    ReceiveMessages = {
      is_wanted = true
      Action    = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
      Resource  = [var.queue_arn]
    }
    SendDeadLetters = {
      is_wanted = true
      Action    = ["sqs:SendMessage", "sqs:GetQueueAttributes"]
      Resource  = [var.dlq_arn]
    }
    PublishItems = {
      is_wanted = var.publish_topic_arn != null
      Action    = ["sns:Publish"]
      Resource  = [var.publish_topic_arn]
    }
    PutLargeItems = {
      is_wanted = var.write_bucket != null
      Action    = ["s3:PutObject"]
      Resource  = ["arn:${var.partition}:s3:::${coalesce(var.write_bucket, "none")}/*"]
    }
    AssumePackageRole = {
      is_wanted = var.assume_role_arn != null
      Action    = ["sts:AssumeRole"]
      Resource  = [var.assume_role_arn]
    }
    ReadSecret = {
      is_wanted = var.secret_arn != null
      Action    = ["secretsmanager:GetSecretValue"]
      Resource  = [var.secret_arn]
    }
    ReadObjects = {
      is_wanted = length(var.read_buckets) > 0
      Action    = ["s3:GetObject", "s3:GetObjectVersion"]
      Resource  = [for bucket in var.read_buckets : "arn:${var.partition}:s3:::${bucket}/*"]
    }
    # Without this action, S3 answers "access denied" for an object that is gone.
    TellMissingObjects = {
      is_wanted = length(var.read_buckets) > 0
      Action    = ["s3:ListBucket"]
      Resource  = [for bucket in var.read_buckets : "arn:${var.partition}:s3:::${bucket}"]
    }
    UseKey = {
      is_wanted = var.kms_key_arn != null
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = [var.kms_key_arn]
    }
    UseSecretKey = {
      is_wanted = var.secret_kms_key_arn != null
      Action    = ["kms:Decrypt"]
      Resource  = [var.secret_kms_key_arn]
    }
  }
}
