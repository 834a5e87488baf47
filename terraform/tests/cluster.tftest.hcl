# The cluster, with and without instances. AWS is mocked.

mock_provider "aws" {
  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:us-west-2:123456789012:cluster/imagery-prod" }
  }

  mock_resource "aws_autoscaling_group" {
    defaults = { arn = "arn:aws:autoscaling:us-west-2:123456789012:autoScalingGroup:1:autoScalingGroupName/imagery-prod-instances" }
  }

  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::123456789012:instance-profile/imagery-prod-instances" }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
}

variables {
  name = "imagery-prod"
  tags = { Project = "imagery" }
}

run "fargate_alone" {
  module {
    source = "./modules/cluster"
  }

  assert {
    condition     = [for setting in aws_ecs_cluster.this.setting : [setting.name, setting.value]] == [["containerInsights", "enabled"]]
    error_message = "Container Insights must count running tasks."
  }

  assert {
    condition     = aws_ecs_cluster_capacity_providers.this.capacity_providers == toset(["FARGATE", "FARGATE_SPOT"]) && output.capacity_provider == null
    error_message = "Fargate, and Spot."
  }

  assert {
    condition     = length(aws_autoscaling_group.instances) + length(aws_launch_template.instances) + length(aws_iam_role.instances) == 0
    error_message = "No instance."
  }
}

run "with_instances" {
  state_key = "with_instances"

  module {
    source = "./modules/cluster"
  }

  variables {
    instances = {
      vpc_id        = "vpc-1"
      subnet_ids    = ["subnet-1", "subnet-2"]
      instance_type = "m7g.large"
      architecture  = "arm64"
      max_size      = 4
      volume_gib    = 60
    }
  }

  assert {
    condition     = output.capacity_provider == "imagery-prod-instances" && contains(aws_ecs_cluster_capacity_providers.this.capacity_providers, "imagery-prod-instances") && contains(aws_ecs_cluster_capacity_providers.this.capacity_providers, "FARGATE")
    error_message = "The instances must be beside Fargate, where the migration runs."
  }

  assert {
    condition     = aws_launch_template.instances[0].image_id == "resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/arm64/recommended/image_id"
    error_message = "The image must be Amazon's newest for ECS."
  }

  assert {
    condition     = aws_launch_template.instances[0].metadata_options[0].http_tokens == "required" && aws_launch_template.instances[0].metadata_options[0].http_put_response_hop_limit == 1
    error_message = "Tasks must not reach the instance's credentials."
  }

  assert {
    condition     = base64decode(aws_launch_template.instances[0].user_data) == "#!/bin/sh\ncat >>/etc/ecs/ecs.config <<'CONFIG'\nECS_CLUSTER=imagery-prod\nECS_AWSVPC_BLOCK_IMDS=true\nECS_CONTAINER_STOP_TIMEOUT=120s\nCONFIG\n"
    error_message = base64decode(aws_launch_template.instances[0].user_data)
  }

  assert {
    condition     = aws_autoscaling_group.instances[0].min_size == 0 && aws_autoscaling_group.instances[0].max_size == 4 && aws_autoscaling_group.instances[0].protect_from_scale_in
    error_message = "ECS must end an instance when nothing runs on it."
  }

  assert {
    condition     = { for tag in aws_autoscaling_group.instances[0].tag : tag.key => tag.value if tag.propagate_at_launch } == { AmazonECSManaged = "true", Name = "imagery-prod-instances", Project = "imagery" }
    error_message = "Instances must be tagged."
  }

  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_role_policy.instances[0].policy).Statement :
      statement.Resource == ["arn:aws:ecs:us-west-2:123456789012:cluster/imagery-prod"] || try(statement.Condition.ArnEquals["ecs:cluster"] == "arn:aws:ecs:us-west-2:123456789012:cluster/imagery-prod", false) || statement.Action == ["ecs:DiscoverPollEndpoint"]
    ])
    error_message = "The agent may act only for this cluster: ${aws_iam_role_policy.instances[0].policy}"
  }
}
