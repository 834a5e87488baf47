variable "name" {
  description = "Prefix of every name: project and stage."
  type        = string
}

variable "stage_name" {
  description = "ItemGen or ItemLoad: the middle of the names of the topic and its queues."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9]+$", var.stage_name))
    error_message = "stage_name must be letters and digits, for example ItemGen."
  }
}

variable "visibility_timeout_s" {
  description = "Seconds that a received message stays invisible; a daemon renews it while it works."
  type        = number

  validation {
    condition     = var.visibility_timeout_s >= 0 && var.visibility_timeout_s <= 43200
    error_message = "visibility_timeout_s must be 0 to 43200."
  }
}

variable "max_receive_count" {
  description = "Receives after which SQS itself moves a message to the dead-letter queue: the attempts, and one in reserve for when a worker dies."
  type        = number
  default     = 6

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000
    error_message = "max_receive_count must be 1 to 1000."
  }
}

variable "message_retention_s" {
  description = "Seconds that a message is kept in the queue; SQS's own default."
  type        = number
  default     = 345600

  validation {
    condition     = var.message_retention_s >= 60 && var.message_retention_s <= 1209600
    error_message = "message_retention_s must be 60 to 1209600."
  }
}

variable "dead_letter_retention_s" {
  description = "Seconds that a dead letter is kept, from when its message was first sent: the most that SQS allows."
  type        = number
  default     = 1209600

  validation {
    condition     = var.dead_letter_retention_s >= 60 && var.dead_letter_retention_s <= 1209600
    error_message = "dead_letter_retention_s must be 60 to 1209600."
  }
}

variable "max_message_size" {
  description = "Bytes of the largest message that the queues accept. SQS accepts 1048576, which the AWS provider refuses before its version 6."
  type        = number
  default     = 262144

  validation {
    condition     = var.max_message_size >= 1024 && var.max_message_size <= 1048576
    error_message = "max_message_size must be 1024 to 1048576."
  }
}

variable "delivery" {
  description = "raw: the queue gets the published text; enveloped: inside SNS's JSON, which escapes it again and may grow past the queue's limit."
  type        = string
  default     = "raw"

  validation {
    condition     = contains(["raw", "enveloped"], var.delivery)
    error_message = "delivery must be raw or enveloped."
  }
}

variable "kms_key_arn" {
  description = "KMS key of the topic and the queues, whose policy lets sns.amazonaws.com (and s3.amazonaws.com with bucket_notifications) use it; null: AWS's own keys."
  type        = string
  default     = null
}

variable "bucket_notifications" {
  description = "S3 buckets that report new objects to the topic, with a prefix and a suffix of their keys. Terraform then owns all notifications of the bucket: others are removed."
  type = list(object({
    bucket = string
    prefix = optional(string)
    suffix = optional(string)
  }))
  default = []
}
