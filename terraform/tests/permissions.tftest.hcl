# A daemon's permissions: its own queue, dead-letter queue and topic, and what the configuration adds.

variables {
  queue_arn = "arn:aws:sqs:us-west-2:123456789012:imagery-prod-ItemGenQueue"
  dlq_arn   = "arn:aws:sqs:us-west-2:123456789012:imagery-prod-ItemGenDeadLetterQueue"
}

run "the_least" {
  command = plan

  module {
    source = "./modules/permissions"
  }

  assert {
    condition = { for statement in jsondecode(output.policy).Statement : statement.Sid => [statement.Action, statement.Resource] } == {
      ReceiveMessages = [
        ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"],
        ["arn:aws:sqs:us-west-2:123456789012:imagery-prod-ItemGenQueue"],
      ]
      SendDeadLetters = [
        ["sqs:SendMessage", "sqs:GetQueueAttributes"],
        ["arn:aws:sqs:us-west-2:123456789012:imagery-prod-ItemGenDeadLetterQueue"],
      ]
    }
    error_message = output.policy
  }
}

run "everything" {
  command = plan

  module {
    source = "./modules/permissions"
  }

  variables {
    partition          = "aws-us-gov"
    publish_topic_arn  = "arn:aws-us-gov:sns:us-gov-west-1:123456789012:imagery-prod-ItemLoadTopic"
    write_bucket       = "imagery-prod-overflow-123456789012"
    read_buckets       = ["stac-items"]
    secret_arn         = "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:pgstac-AbCdEf"
    assume_role_arn    = "arn:aws-us-gov:iam::123456789012:role/reader"
    kms_key_arn        = "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/1"
    secret_kms_key_arn = "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/2"
  }

  assert {
    condition = { for statement in jsondecode(output.policy).Statement : statement.Sid => [statement.Action, statement.Resource]
      if !contains(["ReceiveMessages", "SendDeadLetters"], statement.Sid) } == {
      PublishItems       = [["sns:Publish"], ["arn:aws-us-gov:sns:us-gov-west-1:123456789012:imagery-prod-ItemLoadTopic"]]
      PutLargeItems      = [["s3:PutObject"], ["arn:aws-us-gov:s3:::imagery-prod-overflow-123456789012/*"]]
      ReadObjects        = [["s3:GetObject", "s3:GetObjectVersion"], ["arn:aws-us-gov:s3:::stac-items/*"]]
      TellMissingObjects = [["s3:ListBucket"], ["arn:aws-us-gov:s3:::stac-items"]]
      ReadSecret         = [["secretsmanager:GetSecretValue"], ["arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:pgstac-AbCdEf"]]
      AssumePackageRole  = [["sts:AssumeRole"], ["arn:aws-us-gov:iam::123456789012:role/reader"]]
      UseKey             = [["kms:Decrypt", "kms:GenerateDataKey"], ["arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/1"]]
      UseSecretKey       = [["kms:Decrypt"], ["arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/2"]]
    }
    error_message = output.policy
  }

  assert {
    condition     = alltrue([for statement in jsondecode(output.policy).Statement : !contains(statement.Resource, "*") && length(statement.Sid) > 0])
    error_message = "No statement may be for all resources."
  }
}
