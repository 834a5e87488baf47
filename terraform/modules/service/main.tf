data "aws_region" "current" {}
data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  full_name  = "${var.name}-${var.daemon}"
  is_fargate = var.capacity_provider == null
  region     = data.aws_region.current.name
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  # /var/cache/itemgend: var-cache-itemgend.
  volumes = { for directory in var.directories : replace(trimprefix(directory, "/"), "/", "-") => directory }

  # The first task can always have capacity; spot_share is about the others. Without a share the entry is left out, because ECS
  # refuses an entry with weight 0 that stands alone.
  capacity = local.is_fargate ? [
    for provider in [
      { name = "FARGATE", base = var.spot_share < 100 ? 1 : 0, weight = 100 - var.spot_share },
      { name = "FARGATE_SPOT", base = 0, weight = var.spot_share },
    ] : provider if provider.weight > 0
  ] : [{ name = var.capacity_provider, base = 0, weight = 100 }]
}

resource "aws_cloudwatch_log_group" "this" {
  name              = local.full_name
  retention_in_days = var.log_retention_days
}

resource "aws_ecs_task_definition" "this" {
  family                   = local.full_name
  requires_compatibilities = [local.is_fargate ? "FARGATE" : "EC2"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory_mib
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture == "arm64" ? "ARM64" : "X86_64"
  }

  dynamic "ephemeral_storage" {
    for_each = local.is_fargate && var.disk_gib != null ? [var.disk_gib] : []

    content {
      size_in_gib = ephemeral_storage.value
    }
  }

  # New for each task, on the task's disk.
  dynamic "volume" {
    for_each = local.volumes

    content {
      name = volume.key
    }
  }

  container_definitions = jsonencode([{
    name                   = var.daemon
    image                  = "${aws_ecr_repository.this.repository_url}:${var.image_tag}"
    essential              = true
    user                   = "65532:65532" # as in the Dockerfiles
    readonlyRootFilesystem = true
    # Fargate gives at most 120 s. The daemons use stop_timeout (90 s) of it to finish, and the rest to release
    # messages.
    stopTimeout     = 120
    environment     = [for key in sort(keys(var.environment)) : { name = key, value = var.environment[key] }]
    mountPoints     = [for name, directory in local.volumes : { sourceVolume = name, containerPath = directory, readOnly = false }]
    portMappings    = []
    volumesFrom     = []
    systemControls  = []
    linuxParameters = { capabilities = { add = [], drop = ["ALL"] } }
    healthCheck = {
      command     = ["CMD", "/usr/local/bin/${var.daemon}", "--health"]
      interval    = 30
      timeout     = 5
      retries     = 3
      startPeriod = 60
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = local.region
        awslogs-stream-prefix = var.daemon
      }
    }
  }])
}

resource "aws_ecs_service" "this" {
  name            = local.full_name
  cluster         = var.cluster_arn
  task_definition = aws_ecs_task_definition.this.arn
  desired_count   = var.min_tasks
  propagate_tags  = "SERVICE"
  force_delete    = true # the daemons release the messages they hold

  # Tasks are consumers of a queue: there may be more than usual for a moment, and old and new ones at the same time.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  dynamic "capacity_provider_strategy" {
    for_each = local.capacity

    content {
      capacity_provider = capacity_provider_strategy.value.name
      base              = capacity_provider_strategy.value.base
      weight            = capacity_provider_strategy.value.weight
    }
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = concat([aws_security_group.this.id], var.security_group_ids)
    assign_public_ip = local.is_fargate && var.assign_public_ip
  }

  # Keep the number that scaling has set.
  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [aws_iam_role_policy.task, aws_iam_role_policy.execution]
}

resource "aws_security_group" "this" {
  name        = local.full_name
  description = "Tasks of ${var.daemon}: nobody may connect to them."
  vpc_id      = var.vpc_id
}

# Package code may fetch from anywhere, and AWS's addresses are not a closed list.
resource "aws_vpc_security_group_egress_rule" "ipv4" {
  security_group_id = aws_security_group.this.id
  description       = "AWS, the package index, data, the database"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_vpc_security_group_egress_rule" "ipv6" {
  security_group_id = aws_security_group.this.id
  description       = "AWS, the package index, data, the database"
  cidr_ipv6         = "::/0"
  ip_protocol       = "-1"
}
