# The API with and without a certificate, from a public image and from one in the account's own registry. AWS is mocked.

mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\": \"2012-10-17\", \"Statement\": []}" }
  }

  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:us-west-2:123456789012:loadbalancer/app/api/0123456789abcdef", dns_name = "api.example.com" }
  }

  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/api/0123456789abcdef" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/role" }
  }

  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:us-west-2:123456789012:task-definition/task:1" }
  }
}

variables {
  name                     = "imagery-prod"
  vpc_id                   = "vpc-0123456789abcdef0"
  public_subnet_ids        = ["subnet-00000001", "subnet-00000002"]
  service_subnet_ids       = ["subnet-00000003"]
  cluster_arn              = "arn:aws:ecs:us-west-2:123456789012:cluster/imagery-prod"
  client_security_group_id = "sg-0123456789abcdef0"
  secret_arn               = "arn:aws:secretsmanager:us-west-2:123456789012:secret:imagery-prod-pgstac-reader"
}

run "http" {
  module {
    source = "./modules/stac-api"
  }

  variables {
    environment = { STAC_FASTAPI_TITLE = "imagery", PGSSLMODE = "disable" }
  }

  assert {
    condition     = output.url == "http://api.example.com" && aws_lb_listener.this.protocol == "HTTP" && length(aws_lb_listener.redirect) == 0
    error_message = "Without a certificate it must be HTTP."
  }

  assert {
    condition = { for secret in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets : secret.name => secret.valueFrom } == {
      for name, key in { PGHOST = "host", PGPORT = "port", PGDATABASE = "dbname", PGUSER = "username", PGPASSWORD = "password" } : name => "${var.secret_arn}:${key}::"
    }
    error_message = "The connection must be that of the secret."
  }

  assert {
    condition     = { for one in jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment : one.name => one.value } == { STAC_FASTAPI_TITLE = "imagery", PGSSLMODE = "disable" }
    error_message = "The given environment must win."
  }

  assert {
    condition     = toset(aws_ecs_service.this.network_configuration[0].security_groups) == toset([aws_security_group.tasks.id, "sg-0123456789abcdef0"])
    error_message = "The tasks must reach the database."
  }

  assert {
    condition     = [aws_vpc_security_group_ingress_rule.tasks.referenced_security_group_id, aws_vpc_security_group_ingress_rule.tasks.from_port] == [aws_security_group.lb.id, 8080]
    error_message = "Only the load balancer may reach the tasks."
  }

  assert {
    condition     = local.ecr_repository_arn == null
    error_message = "A public image must not need a permission to pull it."
  }
}

run "https_and_an_image_of_ones_own" {
  module {
    source = "./modules/stac-api"
  }

  variables {
    certificate_arn = "arn:aws:acm:us-west-2:123456789012:certificate/0"
    image           = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/our/stac-api:7"
    architecture    = "arm64"
    name            = "a-project-with-a-long-name-production"
  }

  assert {
    condition     = output.url == "https://api.example.com" && aws_lb_listener.this.port == 443 && aws_lb_listener.redirect[0].default_action[0].redirect[0].protocol == "HTTPS"
    error_message = "HTTP must be redirected to HTTPS."
  }

  assert {
    condition     = local.ecr_repository_arn == "arn:aws:ecr:eu-central-1:123456789012:repository/our/stac-api"
    error_message = "The permission must be for the image's repository."
  }

  assert {
    condition     = aws_ecs_task_definition.this.runtime_platform[0].cpu_architecture == "ARM64" && length(aws_lb.this.name) <= 32 && aws_lb_target_group.this.name == aws_lb.this.name
    error_message = "Names of load balancers must be cut."
  }
}

run "what_cannot_be" {
  command = plan

  module {
    source = "./modules/stac-api"
  }

  variables {
    architecture  = "x86"
    cpu           = 300
    desired_count = 0
  }

  expect_failures = [var.architecture, var.cpu, var.desired_count]
}

run "one_public_subnet" {
  command = plan

  module {
    source = "./modules/stac-api"
  }

  variables {
    public_subnet_ids = ["subnet-00000001"]
  }

  expect_failures = [aws_lb.this]
}
