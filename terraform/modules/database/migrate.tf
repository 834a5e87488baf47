# The migration: a task that runs once for each deployment (make deploy), and updates pgstac, its settings and the roles.
# It can be repeated.

locals {
  migrate_container = "migrate"
  migrate_name      = "${var.name}-migrate"

  # The permissions that every task's execution role needs, beside those for its own secrets, repository and log group.
  execution_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_ecr_repository" "migrate" {
  count = local.is_made ? 1 : 0

  name         = local.migrate_name
  force_delete = true # images can be built again from the repository

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "migrate" {
  count = local.is_made ? 1 : 0

  repository = aws_ecr_repository.migrate[0].name
  policy     = local.image_lifecycle
}

resource "aws_cloudwatch_log_group" "migrate" {
  count = local.is_made ? 1 : 0

  name              = local.migrate_name
  retention_in_days = var.log_retention_days
}

resource "aws_security_group" "migrate" {
  count = local.is_made ? 1 : 0

  name        = local.migrate_name
  description = "The migration's task: its image, secrets and logs"
  vpc_id      = var.vpc_id

  tags = { Name = local.migrate_name }
}

resource "aws_vpc_security_group_egress_rule" "migrate" {
  count = local.is_made ? 1 : 0

  security_group_id = aws_security_group.migrate[0].id
  description       = "HTTPS to ECR, Secrets Manager and CloudWatch Logs"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

data "aws_iam_policy_document" "migrate_execution" {
  count = local.is_made ? 1 : 0

  source_policy_documents = [data.aws_iam_policy_document.pull[0].json]

  statement {
    sid       = "PullImage"
    actions   = local.pull_actions
    resources = aws_ecr_repository.migrate[*].arn
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.migrate[0].arn}:*"]
  }

  statement {
    sid       = "ReadSecrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [local.admin_secret_arn, local.secret_arn, local.reader_secret_arn]
  }
}

resource "aws_iam_role" "migrate_execution" {
  count = local.is_made ? 1 : 0

  name               = "${local.migrate_name}-execution"
  assume_role_policy = local.execution_trust
}

resource "aws_iam_role_policy" "migrate_execution" {
  count = local.is_made ? 1 : 0

  name   = "start-task"
  role   = aws_iam_role.migrate_execution[0].id
  policy = data.aws_iam_policy_document.migrate_execution[0].json
}

# No task role: the migration does not call AWS.
resource "aws_ecs_task_definition" "migrate" {
  count = local.is_made ? 1 : 0

  family                   = local.migrate_name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = aws_iam_role.migrate_execution[0].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = local.cpu_architecture
  }

  container_definitions = jsonencode([{
    name                   = local.migrate_container
    image                  = "${aws_ecr_repository.migrate[0].repository_url}:${var.image_tag}"
    essential              = true
    readonlyRootFilesystem = true
    environment = [
      { name = "MOSAIC_INDEX", value = tostring(var.mosaic_index) },
      { name = "PGDATABASE", value = var.dbname },
      { name = "PGHOST", value = aws_db_instance.this[0].address },
      { name = "PGPORT", value = tostring(local.port) },
      { name = "PGSSLMODE", value = "verify-full" },
      { name = "PGSTAC_SETTINGS", value = jsonencode(var.pgstac_settings) },
    ]
    secrets = [
      { name = "ADMIN_SECRET", valueFrom = local.admin_secret_arn },
      { name = "LOADER_SECRET", valueFrom = local.secret_arn },
      { name = "READER_SECRET", valueFrom = local.reader_secret_arn },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.migrate[0].name
        awslogs-region        = data.aws_region.current.name
        awslogs-stream-prefix = "migrate"
      }
    }
  }])
}
