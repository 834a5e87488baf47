variable "name" {
  description = "Prefix of every name: project and stage."
  type        = string
}

variable "cidr" {
  description = "IPv4 range of the new VPC; /16 to /24."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 24, false)
    error_message = "cidr must be an IPv4 range from /16 to /24, for example 10.0.0.0/16."
  }
}

variable "availability_zone_count" {
  description = "Number of availability zones; each gets a public, a private and an isolated subnet. RDS needs two."
  type        = number
  default     = 2

  validation {
    condition     = contains([2, 3], var.availability_zone_count)
    error_message = "availability_zone_count must be 2 or 3."
  }
}

variable "nat_gateway_count" {
  description = "Number of NAT gateways. 0: tasks run in the public subnets, with public addresses and no way in, because item generation reaches the internet."
  type        = number
  default     = 0

  validation {
    condition     = var.nat_gateway_count >= 0 && var.nat_gateway_count <= var.availability_zone_count && floor(var.nat_gateway_count) == var.nat_gateway_count
    error_message = "nat_gateway_count must be a whole number from 0 to availability_zone_count: more than one NAT gateway per zone has no use."
  }
}

variable "endpoints" {
  description = "Create interface endpoints for SQS, SNS, Secrets Manager, CloudWatch Logs and ECR, which are paid by the hour. The gateway endpoint for S3, which is free, is always created."
  type        = bool
  default     = false
}

variable "existing" {
  description = "An existing VPC, to which nothing is added; null: create one. Without private subnets, tasks run in the public ones, with public addresses."
  type = object({
    id                  = string
    public_subnet_ids   = optional(list(string), [])
    private_subnet_ids  = optional(list(string), [])
    isolated_subnet_ids = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.existing == null || try(length(var.existing.public_subnet_ids) + length(var.existing.private_subnet_ids) > 0, false)
    error_message = "existing needs public_subnet_ids or private_subnet_ids: tasks have to run somewhere."
  }
}
