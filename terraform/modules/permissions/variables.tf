variable "queue_arn" {
  description = "Queue that the daemon reads."
  type        = string
}

variable "dlq_arn" {
  description = "Its dead-letter queue."
  type        = string
}

variable "partition" {
  description = "Partition of ARNs: aws, aws-cn, aws-us-gov."
  type        = string
  default     = "aws"
}

variable "publish_topic_arn" {
  description = "Topic that the daemon publishes to; null: none."
  type        = string
  default     = null
}

variable "write_bucket" {
  description = "Bucket that the daemon writes objects into; null: none."
  type        = string
  default     = null
}

variable "read_buckets" {
  description = "Buckets whose objects the daemon reads."
  type        = list(string)
  default     = []
}

variable "secret_arn" {
  description = "Secret that the daemon reads; null: none."
  type        = string
  default     = null
}

variable "assume_role_arn" {
  description = "Role that the daemon assumes for package code; null: none."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "KMS key of the queues, the topic and the bucket; null: AWS's own keys, which need no permission."
  type        = string
  default     = null
}

variable "secret_kms_key_arn" {
  description = "KMS key of the secret; null: AWS's own."
  type        = string
  default     = null
}
