variable "name" {
  description = "Name of the bucket. The account's number is appended, because bucket names are unique worldwide."
  type        = string
}

variable "expiration_days" {
  description = "Days after which an object is deleted; null: never."
  type        = number
  default     = null

  validation {
    condition     = var.expiration_days == null || try(var.expiration_days >= 1, false)
    error_message = "expiration_days must be 1 or more, or null."
  }
}

variable "kms_key_arn" {
  description = "KMS key that encrypts objects; null: S3's own keys."
  type        = string
  default     = null
}

variable "force_delete" {
  description = "Delete the bucket with its objects."
  type        = bool
  default     = false
}
