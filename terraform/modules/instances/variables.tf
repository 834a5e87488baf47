variable "name" {
  description = "Prefix of every name: project and stage."
  type        = string
}

variable "daemon" {
  description = "itemgend or itemloadd: the unit that runs, and the rest of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+$", var.daemon))
    error_message = "daemon must be the name of a program, for example itemgend."
  }
}

variable "tags" {
  description = "Tags of the instances and their volumes; the provider's default tags do not reach instances of an Auto Scaling group."
  type        = map(string)
  default     = {}
}

variable "instance_type" {
  description = "EC2 instance type, of the architecture."
  type        = string
}

variable "architecture" {
  description = "Processor: x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64."
  }
}

variable "ami_id" {
  description = "Image of Debian 12; null: the newest at the time when an instance starts."
  type        = string
  default     = null
}

variable "volume_gib" {
  description = "Root volume of an instance in GiB."
  type        = number
  default     = 30
}

variable "spot_share" {
  description = "Percent of the instances that are Spot instances, beside the first one."
  type        = number
  default     = 0

  validation {
    condition     = var.spot_share >= 0 && var.spot_share <= 100 && floor(var.spot_share) == var.spot_share
    error_message = "spot_share must be a whole number, 0 to 100."
  }
}

variable "package" {
  description = "The daemons' Debian package in S3."
  type = object({
    bucket = string
    key    = string
  })
}

variable "environment" {
  description = "The daemon's settings, for /etc/stactools-ingest/environment."
  type        = map(string)
  default     = {}
}

variable "ca_bundle_url" {
  description = "Certificates to fetch into /etc/stactools-ingest/rds-global-bundle.pem; null: none."
  type        = string
  default     = null
}

variable "policy" {
  description = "IAM policy of the daemon's own calls, as JSON."
  type        = string
}

variable "queue_name" {
  description = "Queue whose backlog scales the group."
  type        = string
}

variable "min_instances" {
  description = "Instances that run even when there is nothing to do."
  type        = number
  default     = 0
}

variable "max_instances" {
  description = "Maximum number of instances."
  type        = number

  validation {
    condition     = var.max_instances >= 1 && var.min_instances >= 0 && var.min_instances <= var.max_instances
    error_message = "max_instances must be 1 or more and not below min_instances."
  }
}

variable "backlog_per_instance" {
  description = "Messages, waiting and in flight, that scaling aims at for each instance."
  type        = number

  validation {
    condition     = var.backlog_per_instance >= 1
    error_message = "backlog_per_instance must be 1 or more."
  }
}

variable "vpc_id" {
  description = "VPC of the instances."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the instances, with a way out."
  type        = list(string)
}

variable "assign_public_ip" {
  description = "Whether instances in subnet_ids need a public address."
  type        = bool
  default     = false
}

variable "security_group_ids" {
  description = "Security groups beside the instances' own."
  type        = list(string)
  default     = []
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 7
}
