variable "name" {
  description = "Prefix of every name: project and stage."
  type        = string
}

variable "tags" {
  description = "Tags of the instances; the provider's default tags do not reach instances of an Auto Scaling group."
  type        = map(string)
  default     = {}
}

variable "instances" {
  description = "EC2 instances to run containers on, beside Fargate; null: none."
  type = object({
    vpc_id        = string
    subnet_ids    = list(string)
    instance_type = string
    architecture  = string
    max_size      = number
    volume_gib    = number
    ami_id        = optional(string)
  })
  default = null
}
