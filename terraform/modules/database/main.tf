data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

locals {
  is_made   = var.existing_secret_arn == null
  is_pooled = local.is_made && var.pgbouncer

  identifier = "${var.name}-pgstac"
  port       = local.is_made ? 5432 : var.existing_port

  secret_arn        = local.is_made ? aws_secretsmanager_secret.this["loader"].arn : var.existing_secret_arn
  reader_secret_arn = local.is_made ? aws_secretsmanager_secret.this["reader"].arn : var.existing_secret_arn
  admin_secret_arn  = local.is_made ? aws_db_instance.this[0].master_user_secret[0].secret_arn : null
}

resource "aws_db_subnet_group" "this" {
  count = local.is_made ? 1 : 0

  name        = local.identifier
  description = "Isolated subnets of ${var.name}"
  subnet_ids  = var.subnet_ids

  lifecycle {
    precondition {
      condition     = length(var.subnet_ids) >= 2
      error_message = "A database needs subnet_ids in two availability zones at least (vpc.isolated_subnet_ids), or existing_secret_arn."
    }
  }
}

# All other parameters have RDS's defaults, which depend on the instance's memory: shared_buffers a quarter,
# effective_cache_size half, maintenance_work_mem a sixty-fourth. pgstac's check_pgstac_settings recommends the same for
# the first two.
resource "aws_db_parameter_group" "this" {
  count = local.is_made ? 1 : 0

  name_prefix = "${local.identifier}-"
  description = "PostgreSQL for pgstac"
  family      = "postgres${split(".", var.engine_version)[0]}"

  # No password or item crosses the network unencrypted, whatever a client asks for.
  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  # A search without a time range locks every partition of items, with all of its indexes, in one transaction.
  # PostgreSQL's default of 64 locks for each connection is too small from a few hundred partitions on ("out of shared
  # memory").
  parameter {
    name         = "max_locks_per_transaction"
    value        = "1024"
    apply_method = "pending-reboot"
  }

  # A fixed number, because an alarm is set at a share of it.
  parameter {
    name         = "max_connections"
    value        = tostring(var.max_connections)
    apply_method = "pending-reboot"
  }

  # gp3 is an SSD: random reads cost hardly more than sequential ones. With the default of 4, the planner avoids
  # indexes.
  parameter {
    name  = "random_page_cost"
    value = "1.1"
  }

  # Batches and searches use temporary tables, which stay in memory up to this size: 128 MiB in blocks of 8 KiB, as
  # pgstac recommends. A session allocates it only when it needs it.
  parameter {
    name  = "temp_buffers"
    value = "16384"
  }

  # Plans over many partitions look expensive enough for just-in-time compilation, which then takes longer than the
  # query.
  parameter {
    name  = "jit"
    value = "0"
  }

  # Statements that take longer than a second go to the exported log.
  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }

  lifecycle {
    create_before_destroy = true # another major version has another family, and the new group must exist before the instance changes to it
  }
}

# Otherwise RDS creates the log groups at its first write, and keeps their content for ever.
resource "aws_cloudwatch_log_group" "rds" {
  for_each = local.is_made ? toset(["postgresql", "upgrade"]) : toset([])

  name              = "/aws/rds/instance/${local.identifier}/${each.key}"
  retention_in_days = var.log_retention_days
}

# The last snapshot of each database needs a new name: RDS refuses a name that exists.
resource "terraform_data" "final_snapshot" {
  count = local.is_made ? 1 : 0
}

resource "aws_db_instance" "this" {
  count = local.is_made ? 1 : 0

  identifier     = local.identifier
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = startswith(var.instance_type, "db.") ? var.instance_type : "db.${var.instance_type}"

  db_name  = var.dbname
  port     = local.port
  username = "stac_admin"
  # RDS creates the password, keeps it in its own secret and rotates it, so terraform never sees it.
  manage_master_user_password = true

  storage_type          = "gp3"
  storage_encrypted     = true
  allocated_storage     = var.allocated_storage
  max_allocated_storage = var.max_allocated_storage

  multi_az               = var.multi_az
  db_subnet_group_name   = aws_db_subnet_group.this[0].name
  vpc_security_group_ids = aws_security_group.database[*].id
  publicly_accessible    = false
  parameter_group_name   = aws_db_parameter_group.this[0].name

  backup_retention_period   = var.backup_retention_days
  copy_tags_to_snapshot     = true
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = !var.final_snapshot
  final_snapshot_identifier = "${local.identifier}-${substr(terraform_data.final_snapshot[0].id, 0, 8)}"

  performance_insights_enabled    = var.performance_insights
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]

  auto_minor_version_upgrade  = true
  allow_major_version_upgrade = true # if engine_version has one
  apply_immediately           = var.apply_immediately

  depends_on = [aws_cloudwatch_log_group.rds]
}
