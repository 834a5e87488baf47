variable "given" {
  description = "The configuration as it was read, to find unknown keys: the same value as config."
  type        = any

  # Without this check, the error for a string instead of a number would not name the key.
  validation {
    condition     = alltrue([for key in local.numbers : can(tonumber(try(var.given[split(".", key)[0]][split(".", key)[1]], var.given[key], null)))])
    error_message = "These must be numbers: ${join(", ", [for key in local.numbers : key if !can(tonumber(try(var.given[split(".", key)[0]][split(".", key)[1]], var.given[key], null)))])}."
  }

  validation {
    condition     = alltrue([for key in local.switches : can(tobool(try(var.given[split(".", key)[0]][split(".", key)[1]], var.given[key], null)))])
    error_message = "These must be true or false: ${join(", ", [for key in local.switches : key if !can(tobool(try(var.given[split(".", key)[0]][split(".", key)[1]], var.given[key], null)))])}."
  }
}

variable "config" {
  description = "The configuration; each key that is left out has its default. config.example.yaml explains each."
  type = object({
    project_id = optional(string, "stactools-ingest")
    stage      = optional(string, "test")
    region     = optional(string)
    tags       = optional(map(string), {})

    compute      = optional(string, "fargate")
    architecture = optional(string, "x86_64")
    delivery     = optional(string, "raw")

    nat_gateway_count = optional(number, 0)
    vpc_cidr          = optional(string, "10.0.0.0/16")
    vpc_endpoints     = optional(bool, false)
    vpc = optional(object({
      id                  = string
      public_subnet_ids   = optional(list(string), [])
      private_subnet_ids  = optional(list(string), [])
      isolated_subnet_ids = optional(list(string), [])
    }))

    db_instance_type         = optional(string, "db.t4g.small")
    db_allocated_storage     = optional(number, 20)
    db_max_allocated_storage = optional(number)
    db_max_connections       = optional(number, 100)
    db_multi_az              = optional(bool, false)
    db_backup_retention_days = optional(number, 7)
    db_deletion_protection   = optional(bool, true)
    db_password_version      = optional(number, 1)
    pgbouncer                = optional(bool, false)

    database_secret_arn         = optional(string)
    database_secret_kms_key_arn = optional(string)
    database_security_group_id  = optional(string)
    database_port               = optional(number, 5432)

    itemgend = optional(object({
      min_tasks        = optional(number, 0)
      max_tasks        = optional(number, 10)
      item_slots       = optional(number, 4)
      item_memory_mib  = optional(number, 1024)
      backlog_per_task = optional(number)
      spot_share       = optional(number, 75)
      allowed_packages = optional(list(string), ["stactools-*"])
      warm_packages    = optional(list(string), [])
      environment      = optional(map(string), {})
    }), {})

    itemloadd = optional(object({
      min_tasks        = optional(number, 0)
      max_tasks        = optional(number, 4)
      memory_mib       = optional(number, 1024)
      backlog_per_task = optional(number, 10000)
      spot_share       = optional(number, 0)
      s3_buckets       = optional(list(string), [])
      environment      = optional(map(string), {})
    }), {})

    instances = optional(object({
      itemgend_type  = optional(string)
      itemloadd_type = optional(string)
      container_type = optional(string)
      container_max  = optional(number, 10)
      ami_id         = optional(string)
      volume_gib     = optional(number, 30)
    }), {})

    overflow_bucket  = optional(bool, false)
    package_role_arn = optional(string)
    bucket_notifications = optional(list(object({
      bucket = string
      prefix = optional(string)
      suffix = optional(string, ".json")
    })), [])

    stac_api = optional(object({
      enabled         = optional(bool, true)
      image           = optional(string, "ghcr.io/stac-utils/stac-fastapi-pgstac:7.2.0")
      cpu             = optional(number, 512)
      memory_mib      = optional(number, 1024)
      desired_count   = optional(number, 1)
      certificate_arn = optional(string)
      environment     = optional(map(string), {})
    }), {})

    alarms = optional(object({
      emails              = optional(list(string), [])
      itemgen_max_age_s   = optional(number, 3600)
      itemload_max_age_s  = optional(number, 900)
      no_progress_minutes = optional(number, 15)
    }), {})

    max_message_size   = optional(number, 262144)
    kms_key_arn        = optional(string)
    log_retention_days = optional(number, 7)
    force_delete       = optional(bool, false)
  })
  # The type checks the kinds of values. The rules below check their limits.

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.config.project_id))
    error_message = "project_id must be lower-case letters, digits and single hyphens, beginning with a letter, for example stactools-ingest."
  }

  validation {
    condition     = can(regex("^[a-z0-9]+(-[a-z0-9]+)*$", var.config.stage))
    error_message = "stage must be lower-case letters, digits and single hyphens, for example test."
  }

  validation {
    condition     = length("${var.config.project_id}-${var.config.stage}") <= 28
    error_message = "project_id and stage must have 27 characters together at most: the name of a load balancer, PROJECT-STAGE-api, has 32."
  }

  validation {
    condition     = var.config.region == null || can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.config.region))
    error_message = "region must be an AWS region, for example us-west-2."
  }

  validation {
    condition     = alltrue([for key in keys(var.config.tags) : !startswith(lower(key), "aws:") && length(key) > 0 && length(key) <= 128])
    error_message = "The keys of tags must have 1 to 128 characters and not begin with aws:."
  }

  validation {
    condition     = contains(["fargate", "ecs-ec2", "ec2"], var.config.compute)
    error_message = "compute must be fargate (ECS on Fargate), ecs-ec2 (ECS on EC2) or ec2 (systemd on EC2)."
  }

  validation {
    condition     = contains(["x86_64", "arm64"], var.config.architecture)
    error_message = "architecture must be x86_64 or arm64."
  }

  validation {
    condition     = contains(["raw", "enveloped"], var.config.delivery)
    error_message = "delivery must be raw or enveloped."
  }

  validation {
    condition     = contains([0, 1, 2], var.config.nat_gateway_count)
    error_message = "nat_gateway_count must be 0, 1 or 2: the VPC has two availability zones."
  }

  validation {
    condition     = var.config.compute != "ecs-ec2" || var.config.nat_gateway_count > 0 || try(length(var.config.vpc.private_subnet_ids) > 0, false)
    error_message = "compute ecs-ec2 needs nat_gateway_count 1 or 2, or a vpc with private_subnet_ids: a task on EC2 gets no public address."
  }

  validation {
    condition     = var.config.vpc == null || can(regex("^vpc-[0-9a-f]+$", var.config.vpc.id))
    error_message = "vpc.id must be the id of a VPC, for example vpc-0123456789abcdef0."
  }

  validation {
    condition     = var.config.vpc == null || var.config.database_secret_arn != null || try(length(var.config.vpc.isolated_subnet_ids) >= 2, false)
    error_message = "vpc.isolated_subnet_ids must name two subnets or more, in different availability zones, where the database is made: or give database_secret_arn."
  }

  validation {
    condition     = var.config.vpc == null || !var.config.stac_api.enabled || try(length(var.config.vpc.public_subnet_ids) >= 2, false)
    error_message = "vpc.public_subnet_ids must name two subnets or more, in different availability zones, for the API's load balancer: or set stac_api.enabled to false."
  }

  validation {
    condition     = var.config.database_secret_arn == null || can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$", var.config.database_secret_arn))
    error_message = "database_secret_arn must be the ARN of a Secrets Manager secret, which holds host, port, dbname, username and password."
  }

  validation {
    condition     = var.config.database_secret_arn == null || !var.config.pgbouncer
    error_message = "pgbouncer works only with a new database: with database_secret_arn, let that secret name your own pgbouncer."
  }

  validation {
    condition     = var.config.database_security_group_id == null || can(regex("^sg-[0-9a-f]+$", var.config.database_security_group_id))
    error_message = "database_security_group_id must be the id of a security group, for example sg-0123456789abcdef0."
  }

  validation {
    condition = alltrue([for daemon in [var.config.itemgend, var.config.itemloadd] :
    daemon.min_tasks >= 0 && floor(daemon.min_tasks) == daemon.min_tasks && daemon.max_tasks >= 1 && floor(daemon.max_tasks) == daemon.max_tasks && daemon.min_tasks <= daemon.max_tasks])
    error_message = "min_tasks must be a whole number from 0, max_tasks one from 1, and min_tasks not above max_tasks."
  }

  validation {
    condition = alltrue([for daemon in [var.config.itemgend, var.config.itemloadd] :
    daemon.spot_share >= 0 && daemon.spot_share <= 100 && floor(daemon.spot_share) == daemon.spot_share])
    error_message = "spot_share must be a whole number of percent, 0 to 100."
  }

  validation {
    condition = alltrue([for daemon in [var.config.itemgend, var.config.itemloadd] :
    daemon.backlog_per_task == null || try(daemon.backlog_per_task >= 1, false)])
    error_message = "backlog_per_task must be 1 or more."
  }

  validation {
    condition     = var.config.itemgend.item_slots >= 1 && var.config.itemgend.item_slots <= 256 && floor(var.config.itemgend.item_slots) == var.config.itemgend.item_slots
    error_message = "itemgend.item_slots must be a whole number, 1 to 256."
  }

  validation {
    condition     = var.config.itemgend.item_memory_mib >= 64
    error_message = "itemgend.item_memory_mib must be 64 or more."
  }

  validation {
    condition     = var.config.itemloadd.memory_mib >= 512 && var.config.itemloadd.memory_mib <= 122880
    error_message = "itemloadd.memory_mib must be 512 to 122880."
  }

  validation {
    condition = alltrue([for pattern in var.config.itemgend.allowed_packages : can(regex("^[A-Za-z0-9*?][A-Za-z0-9._*?-]*$", pattern))
    ]) && length(var.config.itemgend.allowed_packages) > 0
    error_message = "itemgend.allowed_packages must be names of packages, in which * and ? stand for any letters."
  }

  validation {
    condition     = alltrue([for requirement in var.config.itemgend.warm_packages : can(regex("^[A-Za-z0-9][^\\s,]*$", requirement))])
    error_message = "itemgend.warm_packages must be requirements without blanks and commas, for example stactools-landsat==0.5.0."
  }

  validation {
    condition = alltrue([for daemon, variables in { ITEMGEND = var.config.itemgend.environment, ITEMLOADD = var.config.itemloadd.environment } :
    alltrue([for key in keys(variables) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", key))])])
    error_message = "The keys of environment must be names of environment variables, for example ITEMGEND_TIME_LIMIT."
  }

  validation {
    condition     = alltrue([for value in concat(values(var.config.itemgend.environment), values(var.config.itemloadd.environment)) : !can(regex("[\\r\\n]", value))])
    error_message = "The values of environment must be one line each."
  }

  validation {
    condition     = var.config.instances.ami_id == null || can(regex("^ami-[0-9a-f]+$", var.config.instances.ami_id))
    error_message = "instances.ami_id must be the id of an image, for example ami-0123456789abcdef0."
  }

  validation {
    condition     = var.config.instances.container_max >= 1 && var.config.instances.volume_gib >= 10
    error_message = "instances.container_max must be 1 or more, instances.volume_gib 10 or more."
  }

  validation {
    condition     = var.config.package_role_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", var.config.package_role_arn))
    error_message = "package_role_arn must be the ARN of an IAM role."
  }

  validation {
    condition     = alltrue([for bucket in concat(var.config.bucket_notifications[*].bucket, var.config.itemloadd.s3_buckets) : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", bucket))])
    error_message = "bucket_notifications and itemloadd.s3_buckets must name S3 buckets."
  }

  validation {
    condition     = length(distinct(var.config.bucket_notifications[*].bucket)) == length(var.config.bucket_notifications)
    error_message = "bucket_notifications must name each bucket once."
  }

  validation {
    condition     = var.config.stac_api.certificate_arn == null || can(regex("^arn:[a-z-]+:acm:.+:certificate/.+$", var.config.stac_api.certificate_arn))
    error_message = "stac_api.certificate_arn must be the ARN of an ACM certificate."
  }

  validation {
    condition     = var.config.max_message_size >= 1024 && var.config.max_message_size <= 1048576
    error_message = "max_message_size must be 1024 to 1048576 bytes."
  }

  validation {
    condition     = alltrue([for arn in compact([var.config.kms_key_arn, var.config.database_secret_kms_key_arn]) : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", arn))])
    error_message = "kms_key_arn and database_secret_kms_key_arn must be ARNs of KMS keys, not of aliases."
  }

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.config.log_retention_days)
    error_message = "log_retention_days must be a number of days that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, ..."
  }
}
