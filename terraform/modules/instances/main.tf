data "aws_region" "current" {}
data "aws_partition" "current" {}

locals {
  full_name = "${var.name}-${var.daemon}"
  region    = data.aws_region.current.name
  partition = data.aws_partition.current.partition

  # Resolved when an instance starts, so that the plan does not change each time Debian publishes an image.
  debian_ami = "resolve:ssm:/aws/service/debian/release/12/latest/${var.architecture == "arm64" ? "arm64" : "amd64"}"
}

resource "aws_cloudwatch_log_group" "this" {
  name              = local.full_name
  retention_in_days = var.log_retention_days
}

resource "aws_launch_template" "this" {
  name                                 = local.full_name
  image_id                             = coalesce(var.ami_id, local.debian_ami)
  update_default_version               = true
  instance_initiated_shutdown_behavior = "terminate"
  user_data                            = base64gzip(local.cloud_config)

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  network_interfaces {
    associate_public_ip_address = var.assign_public_ip
    security_groups             = concat([aws_security_group.this.id], var.security_group_ids)
    delete_on_termination       = true
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
      volume_size           = var.volume_gib
      encrypted             = true
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge(var.tags, { Name = local.full_name })
  }
}

resource "aws_autoscaling_group" "this" {
  name                      = local.full_name
  vpc_zone_identifier       = var.subnet_ids
  min_size                  = var.min_instances
  max_size                  = var.max_instances
  health_check_type         = "EC2"
  default_instance_warmup   = 180
  metrics_granularity       = "1Minute"
  enabled_metrics           = ["GroupInServiceInstances", "GroupDesiredCapacity"]
  wait_for_capacity_timeout = "0" # with min_instances, an instance may start before the package exists

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = var.spot_share < 100 ? 1 : 0
      on_demand_percentage_above_base_capacity = 100 - var.spot_share
      spot_allocation_strategy                 = "price-capacity-optimized"
    }

    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.this.id
        version            = aws_launch_template.this.latest_version
      }

      override {
        instance_type = var.instance_type
      }
    }
  }

  # A new release or setting makes a new launch template version, and instances are replaced one after another.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 50
    }
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = local.full_name })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  # Keep the size that scaling has set.
  lifecycle {
    ignore_changes = [desired_capacity]
  }

  depends_on = [aws_iam_role_policy.daemon, aws_iam_role_policy.setup]
}

resource "aws_security_group" "this" {
  name        = local.full_name
  description = "Instances of ${var.daemon}: nobody may connect to them."
  vpc_id      = var.vpc_id
}

# Package code may fetch from anywhere, and AWS's addresses are not a closed list.
resource "aws_vpc_security_group_egress_rule" "ipv4" {
  security_group_id = aws_security_group.this.id
  description       = "AWS, Debian, the package index, data, the database"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_vpc_security_group_egress_rule" "ipv6" {
  security_group_id = aws_security_group.this.id
  description       = "AWS, Debian, the package index, data, the database"
  cidr_ipv6         = "::/0"
  ip_protocol       = "-1"
}
