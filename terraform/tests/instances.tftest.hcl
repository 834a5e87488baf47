# A daemon under systemd on EC2. AWS is mocked.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/role" }
  }

  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::123456789012:instance-profile/profile" }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-west-2:123456789012:log-group:imagery-prod-itemloadd" }
  }

  mock_resource "aws_autoscaling_policy" {
    defaults = { arn = "arn:aws:autoscaling:us-west-2:123456789012:scalingPolicy:1:autoScalingGroupName/imagery-prod-itemloadd:policyName/wake" }
  }
}

variables {
  name                 = "imagery-prod"
  daemon               = "itemloadd"
  tags                 = { Project = "imagery" }
  instance_type        = "t3.small"
  package              = { bucket = "imagery-prod-packages-123456789012", key = "1.2.3/stactools-ingest_amd64.deb" }
  environment          = { ITEMLOADD_WORKERS = "4", ITEMLOADD_NOTE = "a \"quoted\" \\ value" }
  ca_bundle_url        = "https://example.com/bundle.pem"
  policy               = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  queue_name           = "imagery-prod-ItemLoadQueue"
  max_instances        = 3
  backlog_per_instance = 10000
  vpc_id               = "vpc-1"
  subnet_ids           = ["subnet-1", "subnet-2"]
  assign_public_ip     = true
  spot_share           = 50
}

run "under_systemd" {
  module {
    source = "./modules/instances"
  }

  # --- the machine

  assert {
    condition     = aws_launch_template.this.image_id == "resolve:ssm:/aws/service/debian/release/12/latest/amd64"
    error_message = "The image must be the newest Debian 12 at the start."
  }

  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_tokens == "required" && aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "Only the instance itself may get its credentials, by IMDSv2."
  }

  assert {
    condition     = aws_launch_template.this.block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "The disk must be encrypted."
  }

  assert {
    condition     = aws_launch_template.this.instance_initiated_shutdown_behavior == "terminate"
    error_message = "An instance that shuts down must be replaced."
  }

  # --- the first start

  assert {
    condition = [for file in yamldecode(local.cloud_config).write_files : file.content if file.path == "/etc/stactools-ingest/environment"] == [
      "ITEMLOADD_NOTE=\"a \\\"quoted\\\" \\\\ value\"\nITEMLOADD_WORKERS=\"4\"\n"
    ]
    error_message = "The daemon's settings must be quoted for systemd."
  }

  assert {
    condition = yamldecode(local.cloud_config).runcmd[1] == [
      "env", "AWS_DEFAULT_REGION=us-west-2", "/usr/local/sbin/set-up-daemon", "itemloadd",
      "imagery-prod-packages-123456789012", "1.2.3/stactools-ingest_amd64.deb", "https://example.com/bundle.pem",
    ]
    error_message = "It must set up the daemon of this release."
  }

  assert {
    condition     = startswith(local.cloud_config, "#cloud-config\n") && length(base64gzip(local.cloud_config)) * 3 / 4 < 16384
    error_message = "User data must fit into EC2's 16 KiB."
  }

  # --- the group

  assert {
    condition     = aws_autoscaling_group.this.min_size == 0 && aws_autoscaling_group.this.max_size == 3 && contains(aws_autoscaling_group.this.enabled_metrics, "GroupInServiceInstances")
    error_message = "The group must start at zero instances and count them."
  }

  assert {
    condition = [for distribution in aws_autoscaling_group.this.mixed_instances_policy[0].instances_distribution :
      [distribution.on_demand_base_capacity, distribution.on_demand_percentage_above_base_capacity]
    ] == [[1, 50]]
    error_message = "The first and half of the others must be on demand."
  }

  assert {
    condition     = { for tag in aws_autoscaling_group.this.tag : tag.key => tag.value if tag.propagate_at_launch } == { Name = "imagery-prod-itemloadd", Project = "imagery" }
    error_message = "Instances must be tagged."
  }

  assert {
    condition = { for query in aws_autoscaling_policy.backlog.target_tracking_configuration[0].customized_metric_specification[0].metrics : query.id =>
      query.metric_stat[0].metric[0].metric_name if length(query.metric_stat) > 0 } == {
      visible = "ApproximateNumberOfMessagesVisible", in_flight = "ApproximateNumberOfMessagesNotVisible", running = "GroupInServiceInstances"
    }
    error_message = "It must follow the same backlog."
  }

  assert {
    condition     = aws_autoscaling_policy.sleep[0].adjustment_type == "ExactCapacity" && aws_autoscaling_policy.wake[0].adjustment_type == "ChangeInCapacity"
    error_message = "It must scale from zero to one, and back."
  }

  # --- its role

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.setup.policy).Statement : statement.Sid => statement.Resource } == {
      FetchPackage = ["arn:aws:s3:::imagery-prod-packages-123456789012/1.2.3/stactools-ingest_amd64.deb"]
      WriteLogs    = ["arn:aws:logs:us-west-2:123456789012:log-group:imagery-prod-itemloadd:log-stream:*"]
    }
    error_message = aws_iam_role_policy.setup.policy
  }
}

run "an_image_and_an_architecture" {
  module {
    source = "./modules/instances"
  }

  variables {
    architecture  = "arm64"
    min_instances = 1
    ca_bundle_url = null
  }

  assert {
    condition     = aws_launch_template.this.image_id == "resolve:ssm:/aws/service/debian/release/12/latest/arm64"
    error_message = "The image must be Debian for arm64."
  }

  assert {
    condition     = length(yamldecode(local.cloud_config).runcmd[1]) == 6
    error_message = "No certificates must be fetched."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.wake) + length(aws_autoscaling_policy.sleep) == 0
    error_message = "The alarm that wakes must not exist."
  }
}

run "fewer_at_most_than_at_least" {
  command = plan

  module {
    source = "./modules/instances"
  }

  variables {
    min_instances = 4
  }

  expect_failures = [var.max_instances]
}
