# The private bucket. AWS is mocked.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::imagery-prod-overflow-123456789012" }
  }
}

variables {
  name = "imagery-prod-overflow"
}

run "private_encrypted_tls_only" {
  module {
    source = "./modules/bucket"
  }

  variables {
    expiration_days = 15
  }

  assert {
    condition     = aws_s3_bucket.this.bucket == "imagery-prod-overflow-123456789012" && !aws_s3_bucket.this.force_destroy
    error_message = "The bucket must keep its name and its objects."
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls, aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls, aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "Private."
  }

  assert {
    condition     = alltrue([for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule : rule.apply_server_side_encryption_by_default[0].sse_algorithm == "AES256"])
    error_message = "Encrypted."
  }

  assert {
    condition = jsondecode(aws_s3_bucket_policy.this.policy).Statement == [{
      Sid       = "OnlyTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::imagery-prod-overflow-123456789012", "arn:aws:s3:::imagery-prod-overflow-123456789012/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "TLS only."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.expiration[0].days if rule.id == "objects"] == [15]
    error_message = "Objects must expire after 15 days."
  }
}

run "kept_for_ever" {
  module {
    source = "./modules/bucket"
  }

  variables {
    kms_key_arn = "arn:aws:kms:us-west-2:123456789012:key/1"
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.id] == ["uploads"]
    error_message = "Only unfinished uploads may be removed."
  }

  assert {
    condition     = alltrue([for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule : rule.apply_server_side_encryption_by_default[0].kms_master_key_id == var.kms_key_arn])
    error_message = "Objects must be encrypted with the key."
  }
}

run "an_expiration_of_no_day" {
  command = plan

  module {
    source = "./modules/bucket"
  }

  variables {
    expiration_days = 0
  }

  expect_failures = [var.expiration_days]
}
