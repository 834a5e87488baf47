variable "name" {
  description = "Prefix of every name: project and stage."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the service."
  type        = string
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer, in two availability zones at least."
  type        = list(string)
}

variable "service_subnet_ids" {
  description = "Subnets of the tasks, with a way out to fetch the image."
  type        = list(string)
}

variable "assign_public_ip" {
  description = "Whether tasks in service_subnet_ids need a public address."
  type        = bool
  default     = false
}

variable "cluster_arn" {
  description = "ECS cluster of the service."
  type        = string
}

variable "client_security_group_id" {
  description = "Security group whose members may connect to the database."
  type        = string
}

variable "secret_arn" {
  description = "Secret with host, port, dbname, username and password; the reader's role is enough."
  type        = string
}

variable "image" {
  description = "Image of stac-fastapi-pgstac, by version; it listens at 8080."
  type        = string
  default     = "ghcr.io/stac-utils/stac-fastapi-pgstac:7.2.0"
  nullable    = false
}

variable "architecture" {
  description = "Processor that the image is for: x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64."
  }
}

variable "cpu" {
  description = "CPU units of a task; 1024 are one vCPU."
  type        = number
  default     = 512

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.cpu)
    error_message = "cpu must be one of Fargate's sizes: 256, 512, 1024, 2048, 4096."
  }
}

variable "memory_mib" {
  description = "Memory of a task in MiB; Fargate has two to eight times as much as CPU units, in steps of 1024."
  type        = number
  default     = 1024
}

variable "desired_count" {
  description = "Number of tasks."
  type        = number
  default     = 1

  validation {
    condition     = var.desired_count >= 1
    error_message = "desired_count must be 1 or more."
  }
}

variable "environment" {
  description = "Further settings of stac-fastapi-pgstac, as environment variables."
  type        = map(string)
  default     = {}
}

variable "certificate_arn" {
  description = "ACM certificate for HTTPS; null: HTTP."
  type        = string
  default     = null
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 7
}
