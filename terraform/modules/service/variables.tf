variable "name" {
  description = "Prefix of every name: project and stage."
  type        = string
}

variable "daemon" {
  description = "itemgend or itemloadd: the program, its image and the rest of every name."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+$", var.daemon))
    error_message = "daemon must be the name of a program, for example itemgend."
  }
}

variable "cluster_arn" {
  description = "ECS cluster, with Container Insights."
  type        = string
}

variable "cluster_name" {
  description = "Its name."
  type        = string
}

variable "capacity_provider" {
  description = "Capacity provider of EC2 instances; null: Fargate."
  type        = string
  default     = null
}

variable "spot_share" {
  description = "Percent of the tasks that run on Fargate Spot, beside the first one."
  type        = number
  default     = 0

  validation {
    condition     = var.spot_share >= 0 && var.spot_share <= 100 && floor(var.spot_share) == var.spot_share
    error_message = "spot_share must be a whole number, 0 to 100."
  }
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

variable "cpu" {
  description = "CPU units of a task; 1024 are one vCPU."
  type        = number
}

variable "memory_mib" {
  description = "Memory of a task in MiB."
  type        = number
}

variable "disk_gib" {
  description = "Disk of a task on Fargate in GiB, 21 to 200; null: Fargate's own 20."
  type        = number
  default     = null
}

variable "image_tag" {
  description = "Tag of the image in the repository."
  type        = string
  default     = "latest"
}

variable "environment" {
  description = "The daemon's settings."
  type        = map(string)
  default     = {}
}

variable "directories" {
  description = "Directories that the daemon writes into; everything else is read-only. The image declares each as a volume, with the owner that runs the daemon."
  type        = list(string)
  default     = []
}

variable "policy" {
  description = "IAM policy of the daemon's own calls, as JSON."
  type        = string
}

variable "queue_name" {
  description = "Queue whose backlog scales the service."
  type        = string
}

variable "min_tasks" {
  description = "Tasks that run even when there is nothing to do."
  type        = number
  default     = 0
}

variable "max_tasks" {
  description = "Maximum number of tasks."
  type        = number

  validation {
    condition     = var.max_tasks >= 1 && var.min_tasks >= 0 && var.min_tasks <= var.max_tasks
    error_message = "max_tasks must be 1 or more and not below min_tasks."
  }
}

variable "backlog_per_task" {
  description = "Messages, waiting and in flight, that scaling aims at for each running task."
  type        = number

  validation {
    condition     = var.backlog_per_task >= 1
    error_message = "backlog_per_task must be 1 or more."
  }
}

variable "vpc_id" {
  description = "VPC of the tasks."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the tasks, with a way out."
  type        = list(string)
}

variable "assign_public_ip" {
  description = "Whether tasks in subnet_ids need a public address. On EC2 they get none."
  type        = bool
  default     = false
}

variable "security_group_ids" {
  description = "Security groups beside the service's own."
  type        = list(string)
  default     = []
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 7
}
