# A new VPC, an existing one, and refused combinations. AWS is mocked.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-west-2a", "us-west-2b", "us-west-2c"] }
  }

  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
  }

  mock_data "aws_vpc" {
    defaults = { cidr_block = "172.16.0.0/20" }
  }

  mock_resource "aws_vpc" {
    defaults = { cidr_block = "10.0.0.0/16" }
  }
}

variables {
  name = "imagery-prod"
}

run "by_default_tasks_are_in_public_subnets" {
  module {
    source = "./modules/network"
  }

  assert {
    condition     = output.service_subnet_ids == output.public_subnet_ids && output.assign_public_ip && length(aws_nat_gateway.this) == 0 && length(aws_route.nat) == 0
    error_message = "Without a NAT gateway, tasks need the public subnets and public addresses."
  }

  assert {
    condition     = [length(output.public_subnet_ids), length(output.private_subnet_ids), length(output.isolated_subnet_ids)] == [2, 2, 2]
    error_message = "Each zone must have one subnet of each kind."
  }

  assert {
    condition = concat(aws_subnet.public[*].cidr_block, aws_subnet.private[*].cidr_block, aws_subnet.isolated[*].cidr_block) == [
      "10.0.0.0/20", "10.0.16.0/20", "10.0.64.0/20", "10.0.80.0/20", "10.0.128.0/20", "10.0.144.0/20",
    ]
    error_message = "Each subnet must have a sixteenth of the range, without overlap."
  }

  assert {
    condition     = alltrue([for association in aws_route_table_association.isolated : association.route_table_id == aws_route_table.isolated[0].id]) && length(aws_vpc_endpoint.s3) == 1 && length(aws_vpc_endpoint.interface) == 0
    error_message = "Isolated subnets must have a table without a route; only the free endpoint must exist."
  }

  assert {
    condition     = length(aws_default_security_group.this[0].ingress) == 0 && length(aws_default_security_group.this[0].egress) == 0
    error_message = "The default security group must be closed."
  }
}

run "nat_gateways_serve_the_zones_in_turn" {
  module {
    source = "./modules/network"
  }

  variables {
    nat_gateway_count       = 2
    availability_zone_count = 3
    cidr                    = "10.20.0.0/24"
    endpoints               = true
  }

  assert {
    condition     = output.service_subnet_ids == output.private_subnet_ids && !output.assign_public_ip
    error_message = "With a way out, tasks must be in private subnets."
  }

  assert {
    condition     = aws_route.nat[*].nat_gateway_id == [aws_nat_gateway.this[0].id, aws_nat_gateway.this[1].id, aws_nat_gateway.this[0].id]
    error_message = "Each zone must use its own NAT gateway, the third zone the first one's."
  }

  assert {
    condition     = toset(keys(aws_vpc_endpoint.interface)) == toset(["ecr.api", "ecr.dkr", "logs", "secretsmanager", "sns", "sqs"]) && output.endpoint_security_group_id != null
    error_message = "The interface endpoints must be those of the services that tasks use."
  }
}

run "an_existing_vpc_is_left_as_it_is" {
  module {
    source = "./modules/network"
  }

  variables {
    nat_gateway_count = 2
    endpoints         = true
    existing = {
      id                  = "vpc-0123456789abcdef0"
      public_subnet_ids   = ["subnet-00000001"]
      private_subnet_ids  = ["subnet-00000002", "subnet-00000003"]
      isolated_subnet_ids = ["subnet-00000004"]
    }
  }

  assert {
    condition = sum([
      length(aws_vpc.this), length(aws_subnet.public), length(aws_subnet.private), length(aws_subnet.isolated), length(aws_nat_gateway.this),
      length(aws_vpc_endpoint.s3), length(aws_vpc_endpoint.interface), length(aws_route_table.private),
      length(aws_default_security_group.this),
    ]) == 0
    error_message = "Nothing must be created in an existing VPC."
  }

  assert {
    condition     = output.vpc_id == "vpc-0123456789abcdef0" && output.vpc_cidr == "172.16.0.0/20" && output.service_subnet_ids == tolist(["subnet-00000002", "subnet-00000003"]) && !output.assign_public_ip
    error_message = "Tasks must run in its private subnets."
  }
}

run "an_existing_vpc_of_public_subnets" {
  module {
    source = "./modules/network"
  }

  variables {
    existing = { id = "vpc-0123456789abcdef0", public_subnet_ids = ["subnet-00000001"] }
  }

  assert {
    condition     = output.service_subnet_ids == tolist(["subnet-00000001"]) && output.assign_public_ip && length(output.isolated_subnet_ids) == 0
    error_message = "Tasks must run in the public subnets, with public addresses."
  }
}

run "what_cannot_be" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    cidr                    = "10.0.0.0/8"
    nat_gateway_count       = 3
    availability_zone_count = 2
    existing                = { id = "vpc-0123456789abcdef0" }
  }

  expect_failures = [var.cidr, var.nat_gateway_count, var.existing]
}

run "too_few_zones" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    availability_zone_count = 1
  }

  expect_failures = [var.availability_zone_count]
}

run "a_region_with_fewer_zones" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    availability_zone_count = 3
  }

  override_data {
    target = data.aws_availability_zones.available
    values = { names = ["us-west-2a", "us-west-2b"] }
  }

  expect_failures = [data.aws_availability_zones.available]
}
