# pgbouncer in front of the database, in transaction mode: the loaders share the connections of two pools. Clients find it
# by a name in a private zone of the VPC.

locals {
  pgbouncer_name = "${var.name}-pgbouncer"
  pgbouncer_port = 6432
  pgbouncer_host = "pgbouncer.${var.name}.internal"
  pgbouncer_run  = "/run/pgbouncer"

  pooled = local.is_pooled ? 1 : 0
}

resource "aws_ecr_repository" "pgbouncer" {
  count = local.pooled

  name         = local.pgbouncer_name
  force_delete = true # images can be built again from the repository

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "pgbouncer" {
  count = local.pooled

  repository = aws_ecr_repository.pgbouncer[0].name
  policy     = local.image_lifecycle
}

resource "aws_cloudwatch_log_group" "pgbouncer" {
  count = local.pooled

  name              = local.pgbouncer_name
  retention_in_days = var.log_retention_days
}

# ------------------------------------------------------------ network

resource "aws_service_discovery_private_dns_namespace" "this" {
  count = local.pooled

  name        = "${var.name}.internal"
  description = "Names within ${var.name}"
  vpc         = var.vpc_id
}

resource "aws_service_discovery_service" "pgbouncer" {
  count = local.pooled

  name = "pgbouncer"

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this[0].id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 10
    }
  }
}

resource "aws_security_group" "pgbouncer" {
  count = local.pooled

  name        = local.pgbouncer_name
  description = "pgbouncer: from the database's clients, to the database"
  vpc_id      = var.vpc_id

  tags = { Name = local.pgbouncer_name }
}

resource "aws_vpc_security_group_ingress_rule" "pgbouncer" {
  count = local.pooled

  security_group_id            = aws_security_group.pgbouncer[0].id
  description                  = "pgbouncer from clients of ${var.name}"
  referenced_security_group_id = aws_security_group.client.id
  ip_protocol                  = "tcp"
  from_port                    = local.pgbouncer_port
  to_port                      = local.pgbouncer_port
}

resource "aws_vpc_security_group_egress_rule" "client_pgbouncer" {
  count = local.pooled

  security_group_id            = aws_security_group.client.id
  description                  = "pgbouncer"
  referenced_security_group_id = aws_security_group.pgbouncer[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.pgbouncer_port
  to_port                      = local.pgbouncer_port
}

resource "aws_vpc_security_group_egress_rule" "pgbouncer" {
  count = local.pooled

  security_group_id = aws_security_group.pgbouncer[0].id
  description       = "HTTPS to ECR, Secrets Manager and CloudWatch Logs"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# ------------------------------------------------------------ service

data "aws_iam_policy_document" "pgbouncer_execution" {
  count = local.pooled

  source_policy_documents = [data.aws_iam_policy_document.pull[0].json]

  statement {
    sid       = "PullImage"
    actions   = local.pull_actions
    resources = aws_ecr_repository.pgbouncer[*].arn
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.pgbouncer[0].arn}:*"]
  }

  statement {
    sid       = "ReadSecret"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [local.secret_arn]
  }
}

resource "aws_iam_role" "pgbouncer_execution" {
  count = local.pooled

  name               = "${local.pgbouncer_name}-execution"
  assume_role_policy = local.execution_trust
}

resource "aws_iam_role_policy" "pgbouncer_execution" {
  count = local.pooled

  name   = "start-task"
  role   = aws_iam_role.pgbouncer_execution[0].id
  policy = data.aws_iam_policy_document.pgbouncer_execution[0].json
}

resource "aws_ecs_task_definition" "pgbouncer" {
  count = local.pooled

  family                   = local.pgbouncer_name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.pgbouncer_execution[0].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = local.cpu_architecture
  }

  # For the configuration, password file and certificate that it writes when it starts.
  volume {
    name = "run"
  }

  container_definitions = jsonencode([{
    name                   = "pgbouncer"
    image                  = "${aws_ecr_repository.pgbouncer[0].repository_url}:${var.image_tag}"
    essential              = true
    readonlyRootFilesystem = true
    stopTimeout            = 60
    mountPoints            = [{ sourceVolume = "run", containerPath = local.pgbouncer_run, readOnly = false }]
    portMappings           = [{ containerPort = local.pgbouncer_port, hostPort = local.pgbouncer_port, protocol = "tcp" }]
    environment = [
      { name = "DB_HOST", value = aws_db_instance.this[0].address },
      { name = "DB_NAME", value = var.dbname },
      { name = "DB_PORT", value = tostring(local.port) },
      { name = "POOL_SIZE", value = tostring(var.pgbouncer_pool_size) },
    ]
    # The exact version of the secret: a new password changes this definition, and so the tasks are replaced.
    secrets = [for name, key in { DB_PASSWORD = "password", DB_USER = "username" } : {
      name      = name
      valueFrom = "${local.secret_arn}:${key}::${aws_secretsmanager_secret_version.this["loader"].version_id}"
    }]
    healthCheck = {
      command     = ["CMD", "/usr/local/bin/pgbouncer-entrypoint", "--health"]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 10
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.pgbouncer[0].name
        awslogs-region        = data.aws_region.current.name
        awslogs-stream-prefix = "pgbouncer"
      }
    }
  }])
}

resource "aws_ecs_service" "pgbouncer" {
  count = local.pooled

  name            = local.pgbouncer_name
  cluster         = var.cluster_arn
  task_definition = aws_ecs_task_definition.pgbouncer[0].arn
  desired_count   = 2
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"

  network_configuration {
    subnets          = var.service_subnet_ids
    security_groups  = [aws_security_group.client.id, aws_security_group.pgbouncer[0].id]
    assign_public_ip = var.assign_public_ip
  }

  service_registries {
    registry_arn = aws_service_discovery_service.pgbouncer[0].arn
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  depends_on = [aws_iam_role_policy.pgbouncer_execution]
}
