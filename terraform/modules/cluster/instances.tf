# Instances that ECS itself starts when no instance has room for a task, and ends when no task is left on them.

locals {
  # Resolved when an instance starts, so that the plan does not change each time Amazon publishes an image.
  ecs_ami = "resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/${try(var.instances.architecture, "") == "arm64" ? "arm64/" : ""}recommended/image_id"
}

resource "aws_ecs_capacity_provider" "instances" {
  count = local.has_instances ? 1 : 0
  name  = "${var.name}-instances"

  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.instances[0].arn
    managed_termination_protection = "ENABLED"
    managed_draining               = "ENABLED"

    managed_scaling {
      status                    = "ENABLED"
      target_capacity           = 100
      minimum_scaling_step_size = 1
      maximum_scaling_step_size = 10
      instance_warmup_period    = 60
    }
  }
}

resource "aws_autoscaling_group" "instances" {
  count                 = local.has_instances ? 1 : 0
  name                  = "${var.name}-instances"
  vpc_zone_identifier   = var.instances.subnet_ids
  min_size              = 0
  max_size              = var.instances.max_size
  protect_from_scale_in = true
  force_delete          = true

  launch_template {
    id      = aws_launch_template.instances[0].id
    version = aws_launch_template.instances[0].latest_version
  }

  dynamic "tag" {
    # ECS would add the tag AmazonECSManaged itself.
    for_each = merge(var.tags, { Name = "${var.name}-instances", AmazonECSManaged = "true" })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity]
  }
}

resource "aws_launch_template" "instances" {
  count                  = local.has_instances ? 1 : 0
  name                   = "${var.name}-instances"
  image_id               = coalesce(var.instances.ami_id, local.ecs_ami)
  instance_type          = var.instances.instance_type
  vpc_security_group_ids = [aws_security_group.instances[0].id]
  update_default_version = true

  iam_instance_profile {
    arn = aws_iam_instance_profile.instances[0].arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = var.instances.volume_gib
      encrypted             = true
      delete_on_termination = true
    }
  }

  # Tasks cannot reach the instance's own credentials.
  user_data = base64encode(<<-EOF
    #!/bin/sh
    cat >>/etc/ecs/ecs.config <<'CONFIG'
    ECS_CLUSTER=${aws_ecs_cluster.this.name}
    ECS_AWSVPC_BLOCK_IMDS=true
    ECS_CONTAINER_STOP_TIMEOUT=120s
    CONFIG
  EOF
  )
}

resource "aws_security_group" "instances" {
  count       = local.has_instances ? 1 : 0
  name        = "${var.name}-instances"
  description = "Container instances: nobody may connect to them."
  vpc_id      = var.instances.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "instances" {
  count             = local.has_instances ? 1 : 0
  security_group_id = aws_security_group.instances[0].id
  description       = "ECS and ECR"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_iam_instance_profile" "instances" {
  count = local.has_instances ? 1 : 0
  name  = "${var.name}-instances"
  role  = aws_iam_role.instances[0].name
}

resource "aws_iam_role" "instances" {
  count       = local.has_instances ? 1 : 0
  name        = "${var.name}-instances"
  description = "Container instances of the cluster ${var.name}."
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyInstances"
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "instances" {
  count = local.has_instances ? 1 : 0
  name  = "ecs-agent"
  role  = aws_iam_role.instances[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "FindEcs"
        Effect   = "Allow"
        Action   = ["ecs:DiscoverPollEndpoint"]
        Resource = ["*"]
      },
      {
        Sid      = "JoinCluster"
        Effect   = "Allow"
        Action   = ["ecs:RegisterContainerInstance", "ecs:DeregisterContainerInstance"]
        Resource = [aws_ecs_cluster.this.arn]
      },
      {
        Sid    = "RunTasks"
        Effect = "Allow"
        Action = [
          "ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState",
          "ecs:SubmitContainerStateChange", "ecs:SubmitTaskStateChange", "ecs:SubmitAttachmentStateChanges",
        ]
        Resource  = ["*"]
        Condition = { ArnEquals = { "ecs:cluster" = aws_ecs_cluster.this.arn } }
      },
    ]
  })
}
