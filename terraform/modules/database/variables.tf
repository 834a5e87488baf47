variable "name" {
  description = "Prefix of every name: project and stage."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the database and its clients."
  type        = string
}

variable "subnet_ids" {
  description = "Isolated subnets for the database, in two availability zones at least. Not needed with an existing database."
  type        = list(string)
  default     = []
}

variable "service_subnet_ids" {
  description = "Subnets with a way out, for the migration's task and pgbouncer."
  type        = list(string)
}

variable "assign_public_ip" {
  description = "Whether tasks in service_subnet_ids need a public address."
  type        = bool
  default     = false
}

variable "cluster_arn" {
  description = "ECS cluster of the migration's task and pgbouncer."
  type        = string
}

variable "engine_version" {
  description = "PostgreSQL's version: the major one, so that RDS chooses and keeps up the minor one."
  type        = string
  default     = "16"

  validation {
    condition     = can(regex("^1[5-9](\\.[0-9]+)?$", var.engine_version))
    error_message = "engine_version must be 15 to 19, with or without a minor version, for example 16."
  }
}

variable "instance_type" {
  description = "RDS instance class, with or without its prefix db."
  type        = string
  default     = "db.t4g.small"

  validation {
    condition     = can(regex("^(db\\.)?[a-z0-9-]+\\.[a-z0-9]+$", var.instance_type))
    error_message = "instance_type must be an RDS instance class, for example db.t4g.small."
  }
}

variable "allocated_storage" {
  description = "Storage in GiB."
  type        = number
  default     = 20

  validation {
    condition     = var.allocated_storage >= 20 && var.allocated_storage <= 65536
    error_message = "allocated_storage must be 20 to 65536 GiB: gp3's limits."
  }
}

variable "max_allocated_storage" {
  description = "GiB up to which RDS extends the storage by itself; null: it does not."
  type        = number
  default     = null

  validation {
    condition     = var.max_allocated_storage == null || try(var.max_allocated_storage >= ceil(var.allocated_storage * 1.1), false)
    error_message = "max_allocated_storage must be at least a tenth more than allocated_storage, or null."
  }
}

variable "max_connections" {
  description = "Connections that PostgreSQL accepts; each loader worker holds one. A fixed number, so that an alarm can be set at a share of it."
  type        = number
  default     = 100

  validation {
    condition     = var.max_connections >= 20 && var.max_connections <= 5000
    error_message = "max_connections must be 20 to 5000."
  }
}

variable "multi_az" {
  description = "Keep a standby in another availability zone."
  type        = bool
  default     = false
}

variable "backup_retention_days" {
  description = "Days that automatic backups are kept; 0: no backups."
  type        = number
  default     = 7

  validation {
    condition     = var.backup_retention_days >= 0 && var.backup_retention_days <= 35
    error_message = "backup_retention_days must be 0 to 35."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the database."
  type        = bool
  default     = true
}

variable "final_snapshot" {
  description = "Take a snapshot when the database is deleted."
  type        = bool
  default     = true
}

variable "performance_insights" {
  description = "Enable Performance Insights (a week of it is free; not every instance class has it)."
  type        = bool
  default     = false
}

variable "apply_immediately" {
  description = "Apply changes of the instance at once, with a restart if one is needed, instead of in the maintenance window."
  type        = bool
  default     = false
}

variable "dbname" {
  description = "Database that pgstac is installed into."
  type        = string
  default     = "pgstac"

  validation {
    condition     = can(regex("^[a-z][a-z0-9_]{0,62}$", var.dbname))
    error_message = "dbname must be lower-case letters, digits and _, beginning with a letter."
  }
}

variable "pgstac_settings" {
  description = "Rows for pgstac's table pgstac_settings, written by the migration; context: whether a search counts its matches."
  type        = map(string)
  default     = { context = "on" }
}

variable "mosaic_index" {
  description = "Let the migration create the index on pgstac's searches that titiler-pgstac uses to list its mosaics."
  type        = bool
  default     = true
}

variable "password_version" {
  description = "A higher number than before gives the loader and the reader new passwords. Run the migration after it."
  type        = number
  default     = 1
}

variable "existing_secret_arn" {
  description = "Secret of an existing database with pgstac, with host, port, dbname, username and password; null: create a database."
  type        = string
  default     = null

  validation {
    condition     = var.existing_secret_arn == null || can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+$", var.existing_secret_arn))
    error_message = "existing_secret_arn must be the ARN of a Secrets Manager secret."
  }
}

variable "existing_security_group_id" {
  description = "Security group of the existing database, which is opened for clients; null: it is open already."
  type        = string
  default     = null
}

variable "existing_port" {
  description = "Port of the existing database, for the security groups."
  type        = number
  default     = 5432
}

variable "pgbouncer" {
  description = "Run pgbouncer in front of the new database, for more loaders than it has connections."
  type        = bool
  default     = false

  validation {
    condition     = !var.pgbouncer || var.existing_secret_arn == null
    error_message = "pgbouncer works only with a new database: the secret of an existing one may name its own pgbouncer."
  }
}

variable "pgbouncer_pool_size" {
  description = "Connections that each of the two pgbouncer tasks opens to the database."
  type        = number
  default     = 20
}

variable "architecture" {
  description = "Processor of the tasks: x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture must be x86_64 or arm64."
  }
}

variable "image_tag" {
  description = "Tag of the images in the repositories."
  type        = string
  default     = "latest"
}

variable "log_retention_days" {
  description = "Days that the logs of the database, the migration and pgbouncer are kept."
  type        = number
  default     = 7
}
