variable "name" {
  description = "Prefix of every name: project and stage."
  type        = string
}

variable "stages" {
  description = "The stages to watch, by name (ItemGen, ItemLoad): its queues, its topic, its workers (an ECS service or an Auto Scaling group), and how old a message may become."
  type = map(object({
    queue_name             = string
    dlq_name               = string
    delivery_dlq_name      = string
    topic_name             = string
    log_group_name         = string
    max_age_s              = number
    cluster_name           = optional(string)
    service_name           = optional(string)
    autoscaling_group_name = optional(string)
  }))

  validation {
    condition     = alltrue([for stage in var.stages : (stage.service_name == null) != (stage.autoscaling_group_name == null)])
    error_message = "Each stage has either a service_name or an autoscaling_group_name."
  }

  validation {
    condition     = alltrue([for stage in var.stages : stage.service_name == null || stage.cluster_name != null])
    error_message = "A stage with a service_name needs its cluster_name."
  }

  validation {
    condition     = alltrue([for stage in var.stages : stage.max_age_s >= 60])
    error_message = "max_age_s must be 60 or more: the metric has one value a minute."
  }
}

variable "services" {
  description = "Further ECS services that should run as many tasks as desired (the STAC API, pgbouncer), by the name of their alarm."
  type = map(object({
    cluster_name = string
    service_name = string
  }))
  default = {}
}

variable "no_progress_minutes" {
  description = "Minutes that messages may wait without one being deleted. Scaling up from no task takes some of them."
  type        = number
  default     = 15

  validation {
    condition     = var.no_progress_minutes >= 10 && var.no_progress_minutes % 5 == 0
    error_message = "no_progress_minutes must be a multiple of 5, and 10 or more."
  }
}

variable "database_identifier" {
  description = "RDS instance to watch; null: none."
  type        = string
  default     = null
}

variable "database_max_connections" {
  description = "Its connections; the alarm is at four fifths of them."
  type        = number
  default     = 100
}

variable "database_allocated_storage" {
  description = "Its storage in GiB; the alarm is at a tenth of it."
  type        = number
  default     = 20
}

variable "api" {
  description = "Load balancer and target group of the STAC API, by the last part of their ARNs (as CloudWatch names them); null: no API."
  type = object({
    load_balancer_arn_suffix = string
    target_group_arn_suffix  = string
  })
  default = null
}

variable "alarm_emails" {
  description = "Addresses that alarms are sent to; each has to confirm its subscription."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", address))])
    error_message = "alarm_emails must be e-mail addresses."
  }
}
