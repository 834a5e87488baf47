# modules/database: new, with and without pgbouncer, existing, and refused combinations. It is planned with the local AWS,
# because `terraform test` cannot mock ephemeral resources, which generate the passwords.

variables {
  name               = "imagery-prod"
  vpc_id             = "vpc-0123456789abcdef0"
  subnet_ids         = ["subnet-00000001", "subnet-00000002"]
  service_subnet_ids = ["subnet-00000003"]
  cluster_arn        = "arn:aws:ecs:us-west-2:123456789012:cluster/imagery-prod"
}

run "made" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    instance_type    = "t4g.medium"
    image_tag        = "0.1.0"
    assign_public_ip = true
    pgstac_settings  = { context = "auto" }
  }

  override_resource {
    target          = aws_db_instance.this
    override_during = plan
    values = {
      address            = "imagery-prod-pgstac.example.us-west-2.rds.amazonaws.com"
      master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:admin", kms_key_id = "", secret_status = "active" }]
    }
  }

  override_resource {
    target          = aws_secretsmanager_secret.this
    override_during = plan
    values          = { arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:role", id = "arn:aws:secretsmanager:us-west-2:123456789012:secret:role" }
  }

  override_resource {
    target          = aws_ecr_repository.migrate
    override_during = plan
    values          = { arn = "arn:aws:ecr:us-west-2:123456789012:repository/migrate", repository_url = "registry/imagery-prod-migrate" }
  }

  assert {
    condition = alltrue([
      aws_db_instance.this[0].storage_encrypted, aws_db_instance.this[0].deletion_protection, !aws_db_instance.this[0].publicly_accessible,
      !aws_db_instance.this[0].skip_final_snapshot, aws_db_instance.this[0].backup_retention_period == 7,
      aws_db_instance.this[0].engine_version == "16", aws_db_instance.this[0].storage_type == "gp3",
      aws_db_instance.this[0].instance_class == "db.t4g.medium", aws_db_instance.this[0].copy_tags_to_snapshot,
    ])
    error_message = "The database must be encrypted, protected, backed up, and not public."
  }

  assert {
    condition = (
      aws_db_instance.this[0].manage_master_user_password && aws_db_instance.this[0].password == null
      && alltrue([for version in aws_secretsmanager_secret_version.this : version.secret_string_wo == null && version.secret_string_wo_version > 0])
    )
    error_message = "The state must not contain passwords."
  }

  assert {
    condition = tomap({ for one in aws_db_parameter_group.this[0].parameter : one.name => one.value }) == tomap({
      "rds.force_ssl"            = "1"
      jit                        = "0"
      log_min_duration_statement = "1000"
      max_connections            = "100"
      max_locks_per_transaction  = "1024"
      random_page_cost           = "1.1"
      temp_buffers               = "16384"
    }) && aws_db_parameter_group.this[0].family == "postgres16"
    error_message = "The parameters must require TLS, and be enough for pgstac."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.database[0].from_port == 5432 && aws_vpc_security_group_ingress_rule.database[0].cidr_ipv4 == null
    error_message = "Only members of the clients' group may connect."
  }

  assert {
    condition     = output.sslmode == "verify-full" && output.pgbouncer_repository_url == null && length(aws_ecs_service.pgbouncer) == 0
    error_message = "Clients must check the certificate, and pgbouncer must not exist."
  }

  assert {
    condition = { for one in jsondecode(aws_ecs_task_definition.migrate[0].container_definitions)[0].environment : one.name => one.value } == {
      MOSAIC_INDEX    = "true"
      PGDATABASE      = "pgstac"
      PGHOST          = "imagery-prod-pgstac.example.us-west-2.rds.amazonaws.com"
      PGPORT          = "5432"
      PGSSLMODE       = "verify-full"
      PGSTAC_SETTINGS = "{\"context\":\"auto\"}"
    }
    error_message = "The migration must check the certificate, and write the settings."
  }

  assert {
    condition = [for one in jsondecode(aws_ecs_task_definition.migrate[0].container_definitions)[0].secrets : "${one.name} ${one.valueFrom}"] == [
      "ADMIN_SECRET arn:aws:secretsmanager:us-west-2:123456789012:secret:admin",
      "LOADER_SECRET arn:aws:secretsmanager:us-west-2:123456789012:secret:role",
      "READER_SECRET arn:aws:secretsmanager:us-west-2:123456789012:secret:role",
    ]
    error_message = "The migration must get its secrets from ECS, not from its definition."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.migrate[0].container_definitions)[0].image == "registry/imagery-prod-migrate:0.1.0" && jsondecode(aws_ecs_task_definition.migrate[0].container_definitions)[0].readonlyRootFilesystem
    error_message = "The migration must be of the release, with a read-only root file system."
  }
}

run "with_pgbouncer" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    pgbouncer    = true
    architecture = "arm64"
  }

  override_resource {
    target          = aws_db_instance.this
    override_during = plan
    values = {
      address            = "imagery-prod-pgstac.example.us-west-2.rds.amazonaws.com"
      master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:admin", kms_key_id = "", secret_status = "active" }]
    }
  }

  override_resource {
    target          = aws_secretsmanager_secret.this
    override_during = plan
    values          = { arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:role", id = "arn:aws:secretsmanager:us-west-2:123456789012:secret:role" }
  }

  override_resource {
    target          = aws_secretsmanager_secret_version.this
    override_during = plan
    values          = { version_id = "0a1b2c3d" }
  }

  override_resource {
    target          = aws_ecr_repository.pgbouncer
    override_during = plan
    values          = { arn = "arn:aws:ecr:us-west-2:123456789012:repository/pgbouncer", repository_url = "registry/imagery-prod-pgbouncer" }
  }

  assert {
    condition     = output.sslmode == "require" && [for role in ["loader", "reader"] : "${local.roles[role].host}:${local.roles[role].port}"] == ["pgbouncer.imagery-prod.internal:6432", "${output.host}:5432"]
    error_message = "The loader must go through pgbouncer, the reader must not."
  }

  assert {
    condition     = aws_ecs_service.pgbouncer[0].desired_count == 2 && aws_ecs_task_definition.pgbouncer[0].runtime_platform[0].cpu_architecture == "ARM64"
    error_message = "pgbouncer must have two tasks, of the given architecture."
  }

  assert {
    condition = [for one in jsondecode(aws_ecs_task_definition.pgbouncer[0].container_definitions)[0].secrets : "${one.name} ${one.valueFrom}"] == [
      "DB_PASSWORD arn:aws:secretsmanager:us-west-2:123456789012:secret:role:password::0a1b2c3d",
      "DB_USER arn:aws:secretsmanager:us-west-2:123456789012:secret:role:username::0a1b2c3d",
    ]
    error_message = "A new version of the secret must make a new task definition."
  }
}

run "existing" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    subnet_ids                 = []
    existing_secret_arn        = "arn:aws:secretsmanager:us-west-2:123456789012:secret:theirs"
    existing_security_group_id = "sg-0123456789abcdef0"
    existing_port              = 6543
  }

  assert {
    condition     = length(aws_db_instance.this) + length(aws_secretsmanager_secret.this) + length(aws_ecr_repository.migrate) == 0 && output.migration == null && output.identifier == null
    error_message = "Only the access rules may be created."
  }

  assert {
    condition     = output.secret_arn == var.existing_secret_arn && output.reader_secret_arn == var.existing_secret_arn && output.admin_secret_arn == null
    error_message = "Its secret must be used as it is."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.database[0].security_group_id == "sg-0123456789abcdef0" && aws_vpc_security_group_ingress_rule.database[0].from_port == 6543 && length(aws_vpc_security_group_egress_rule.client_anywhere) == 0
    error_message = "Its security group must let clients in."
  }
}

run "existing_and_open" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    existing_secret_arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:theirs"
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.database) == 0 && aws_vpc_security_group_egress_rule.client_anywhere[0].from_port == 5432
    error_message = "Clients must be allowed to reach its port at any address."
  }
}

run "what_cannot_be" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    engine_version        = "sixteen"
    instance_type         = "small"
    allocated_storage     = 10
    max_connections       = 5
    backup_retention_days = 36
    dbname                = "PgSTAC"
    architecture          = "amd64"
    existing_secret_arn   = "pgstac"
  }

  expect_failures = [
    var.engine_version, var.instance_type, var.allocated_storage, var.max_connections, var.backup_retention_days,
    var.dbname, var.architecture, var.existing_secret_arn,
  ]
}

run "what_cannot_be_together" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    allocated_storage     = 100
    max_allocated_storage = 105
    existing_secret_arn   = "arn:aws:secretsmanager:us-west-2:123456789012:secret:theirs"
    pgbouncer             = true
  }

  expect_failures = [var.max_allocated_storage, var.pgbouncer]
}

run "in_one_subnet" {
  command = plan

  module {
    source = "./modules/database"
  }

  variables {
    subnet_ids = ["subnet-00000001"]
  }

  expect_failures = [aws_db_subnet_group.this]
}
