# A daemon on ECS: its task, where it runs, and how it scales. AWS is mocked.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/role" }
  }

  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:us-west-2:123456789012:task-definition/imagery-prod-itemgend:1" }
  }

  mock_resource "aws_ecr_repository" {
    defaults = {
      arn            = "arn:aws:ecr:us-west-2:123456789012:repository/imagery-prod-itemgend"
      repository_url = "123456789012.dkr.ecr.us-west-2.amazonaws.com/imagery-prod-itemgend"
    }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-west-2:123456789012:log-group:imagery-prod-itemgend" }
  }

  mock_resource "aws_appautoscaling_policy" {
    defaults = { arn = "arn:aws:autoscaling:us-west-2:123456789012:scalingPolicy:1:resource/ecs/service/imagery-prod/imagery-prod-itemgend:policyName/wake" }
  }
}

variables {
  name             = "imagery-prod"
  daemon           = "itemgend"
  cluster_arn      = "arn:aws:ecs:us-west-2:123456789012:cluster/imagery-prod"
  cluster_name     = "imagery-prod"
  cpu              = 2048
  memory_mib       = 5120
  disk_gib         = 21
  image_tag        = "1.2.3"
  environment      = { ITEMGEND_WORKERS = "4", AWS_REGION = "us-west-2" }
  directories      = ["/tmp", "/var/cache/itemgend", "/var/lib/itemgend"]
  policy           = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
  queue_name       = "imagery-prod-ItemGenQueue"
  max_tasks        = 10
  backlog_per_task = 400
  vpc_id           = "vpc-1"
  subnet_ids       = ["subnet-1", "subnet-2"]
  assign_public_ip = true
}

run "on_fargate" {
  module {
    source = "./modules/service"
  }

  variables {
    spot_share = 75
  }

  assert {
    condition     = aws_ecs_task_definition.this.cpu == "2048" && aws_ecs_task_definition.this.memory == "5120" && aws_ecs_task_definition.this.ephemeral_storage[0].size_in_gib == 21
    error_message = "The task must have the given values."
  }

  # --- the container

  assert {
    condition = alltrue([for container in jsondecode(aws_ecs_task_definition.this.container_definitions) :
      container.user == "65532:65532" && container.readonlyRootFilesystem && container.linuxParameters.capabilities.drop == ["ALL"] && container.stopTimeout == 120
    ])
    error_message = "The container must not be root, must have a read-only root and no capabilities, and needs time to stop: ${aws_ecs_task_definition.this.container_definitions}"
  }

  assert {
    condition = alltrue([for container in jsondecode(aws_ecs_task_definition.this.container_definitions) :
      container.image == "123456789012.dkr.ecr.us-west-2.amazonaws.com/imagery-prod-itemgend:1.2.3" && container.healthCheck.command == ["CMD", "/usr/local/bin/itemgend", "--health"]
    ])
    error_message = "The image must be of this release, with a health check."
  }

  assert {
    condition = { for mount in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].mountPoints : mount.sourceVolume => mount.containerPath } == {
      tmp = "/tmp", var-cache-itemgend = "/var/cache/itemgend", var-lib-itemgend = "/var/lib/itemgend"
    }
    error_message = "The daemon's directories must be writable."
  }

  assert {
    condition     = toset(aws_ecs_task_definition.this.volume[*].name) == toset(["tmp", "var-cache-itemgend", "var-lib-itemgend"])
    error_message = "Each directory must be a volume of the task."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment == [{ name = "AWS_REGION", value = "us-west-2" }, { name = "ITEMGEND_WORKERS", value = "4" }]
    error_message = "Its settings."
  }

  # --- the service

  assert {
    condition = { for strategy in aws_ecs_service.this.capacity_provider_strategy : strategy.capacity_provider => [strategy.base, strategy.weight] } == {
      FARGATE = [1, 25], FARGATE_SPOT = [0, 75]
    }
    error_message = "The first task and a quarter of the others must be on demand."
  }

  assert {
    condition     = aws_ecs_service.this.desired_count == 0 && aws_ecs_service.this.deployment_circuit_breaker[0].enable && aws_ecs_service.this.deployment_circuit_breaker[0].rollback
    error_message = "It must start at zero tasks, and take back a release that does not start."
  }

  assert {
    condition     = aws_ecs_service.this.network_configuration[0].assign_public_ip
    error_message = "Tasks without another way out need a public address."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 7
    error_message = "Logs must be kept for a week."
  }

  # --- scaling

  assert {
    condition     = aws_appautoscaling_target.this.min_capacity == 0 && aws_appautoscaling_target.this.max_capacity == 10 && aws_appautoscaling_target.this.resource_id == "service/imagery-prod/imagery-prod-itemgend"
    error_message = "It must scale between zero and max_tasks."
  }

  assert {
    condition     = aws_appautoscaling_policy.backlog.target_tracking_scaling_policy_configuration[0].target_value == 400 && !aws_appautoscaling_policy.backlog.target_tracking_scaling_policy_configuration[0].disable_scale_in
    error_message = "Target tracking must work in both directions."
  }

  assert {
    condition = { for query in aws_appautoscaling_policy.backlog.target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metrics :
      query.id => [query.return_data, query.expression] if length(query.metric_stat) == 0 } == {
      last_running     = [false, "FILL(running, REPEAT)"]
      backlog_per_task = [true, "(visible + in_flight) / IF(last_running < 1, 1, last_running)"]
    }
    error_message = "It must follow the backlog per running task."
  }

  assert {
    condition = (aws_appautoscaling_policy.wake[0].step_scaling_policy_configuration[0].adjustment_type == "ChangeInCapacity" &&
    one(aws_appautoscaling_policy.wake[0].step_scaling_policy_configuration[0].step_adjustment).scaling_adjustment == 1)
    error_message = "The alarm that wakes must start one task."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.wake[0].threshold == 1 && aws_cloudwatch_metric_alarm.wake[0].evaluation_periods == 5 && aws_cloudwatch_metric_alarm.wake[0].datapoints_to_alarm == 1 && aws_cloudwatch_metric_alarm.wake[0].treat_missing_data == "notBreaching"
    error_message = "It must wake at the first value, even if that comes five minutes late, and never for missing data."
  }

  assert {
    condition     = aws_appautoscaling_policy.wake[0].step_scaling_policy_configuration[0].cooldown > 60 * aws_cloudwatch_metric_alarm.wake[0].evaluation_periods
    error_message = "It must start one task, although the alarm still sees the value that started it."
  }

  assert {
    condition = (aws_appautoscaling_policy.sleep[0].step_scaling_policy_configuration[0].adjustment_type == "ExactCapacity" &&
    one(aws_appautoscaling_policy.sleep[0].step_scaling_policy_configuration[0].step_adjustment).scaling_adjustment == 0)
    error_message = "It must scale back to zero tasks."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.sleep[0].datapoints_to_alarm == 10 && aws_cloudwatch_metric_alarm.sleep[0].evaluation_periods == 10 && aws_cloudwatch_metric_alarm.sleep[0].treat_missing_data == "notBreaching"
    error_message = "It must sleep only after ten minutes that were all measured."
  }

  # --- roles

  assert {
    condition = jsondecode(aws_iam_role_policy.protection.policy).Statement == [{
      Sid = "ProtectItself", Effect = "Allow", Action = ["ecs:UpdateTaskProtection"], Resource = ["arn:aws:ecs:us-west-2:123456789012:task/imagery-prod/*"]
    }]
    error_message = "A task must be allowed to protect tasks of its cluster."
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.execution.policy).Statement : statement.Sid => statement.Resource } == {
      LogInToEcr = ["*"]
      PullImage  = ["arn:aws:ecr:us-west-2:123456789012:repository/imagery-prod-itemgend"]
      WriteLogs  = ["arn:aws:logs:us-west-2:123456789012:log-group:imagery-prod-itemgend:log-stream:*"]
    }
    error_message = aws_iam_role_policy.execution.policy
  }

  assert {
    condition = jsondecode(aws_iam_role.task.assume_role_policy).Statement[0].Principal == { Service = "ecs-tasks.amazonaws.com" } && (
    jsondecode(aws_iam_role.task.assume_role_policy).Statement[0].Condition.StringEquals == { "aws:SourceAccount" = "123456789012" })
    error_message = "Only ECS may assume the role, for tasks of this account."
  }
}

run "never_idle" {
  state_key = "never_idle"

  module {
    source = "./modules/service"
  }

  variables {
    min_tasks = 2
  }

  assert {
    condition     = aws_ecs_service.this.desired_count == 2 && aws_appautoscaling_target.this.min_capacity == 2
    error_message = "At least two tasks must run."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.wake) + length(aws_cloudwatch_metric_alarm.sleep) + length(aws_appautoscaling_policy.wake) + length(aws_appautoscaling_policy.sleep) == 0
    error_message = "The policies that wake and sleep must not exist."
  }

  assert {
    condition     = [for strategy in aws_ecs_service.this.capacity_provider_strategy : strategy.capacity_provider] == ["FARGATE"]
    error_message = "Without a share, the Spot provider must be left out."
  }
}

run "all_on_spot" {
  module {
    source = "./modules/service"
  }

  variables {
    spot_share = 100
  }

  assert {
    condition     = [for strategy in aws_ecs_service.this.capacity_provider_strategy : [strategy.capacity_provider, strategy.base, strategy.weight]] == [["FARGATE_SPOT", 0, 100]]
    error_message = "The first task must be a Spot task too."
  }
}

run "on_ec2" {
  module {
    source = "./modules/service"
  }

  variables {
    capacity_provider = "imagery-prod-instances"
    architecture      = "arm64"
    spot_share        = 75
  }

  assert {
    condition     = [for strategy in aws_ecs_service.this.capacity_provider_strategy : strategy.capacity_provider] == ["imagery-prod-instances"]
    error_message = "Tasks must run on the cluster's instances."
  }

  assert {
    condition     = aws_ecs_task_definition.this.requires_compatibilities == toset(["EC2"]) && length(aws_ecs_task_definition.this.ephemeral_storage) == 0 && aws_ecs_task_definition.this.runtime_platform[0].cpu_architecture == "ARM64"
    error_message = "A task for EC2 must use the instance's disk."
  }

  assert {
    condition     = !aws_ecs_service.this.network_configuration[0].assign_public_ip
    error_message = "A task on EC2 must not ask for a public address."
  }
}

run "fewer_at_most_than_at_least" {
  command = plan

  module {
    source = "./modules/service"
  }

  variables {
    min_tasks = 11
  }

  expect_failures = [var.max_tasks]
}

run "a_share_that_is_none" {
  command = plan

  module {
    source = "./modules/service"
  }

  variables {
    spot_share = 12.5
  }

  expect_failures = [var.spot_share]
}
