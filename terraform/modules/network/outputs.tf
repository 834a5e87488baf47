output "vpc_id" {
  description = "The VPC."
  value       = local.vpc_id
}

output "vpc_cidr" {
  description = "Its IPv4 range."
  value       = local.vpc_cidr
}

output "public_subnet_ids" {
  description = "Subnets with a route to the internet gateway, one per availability zone."
  value       = local.public_subnet_ids
}

output "private_subnet_ids" {
  description = "Subnets whose way out is a NAT gateway, if there is one."
  value       = local.private_subnet_ids
}

output "isolated_subnet_ids" {
  description = "Subnets without a way out, for the database."
  value       = local.isolated_subnet_ids
}

output "service_subnet_ids" {
  description = "Subnets of the tasks: private ones if these have a way out, else public ones."
  value       = local.is_private ? local.private_subnet_ids : local.public_subnet_ids
}

output "assign_public_ip" {
  description = "Whether tasks in service_subnet_ids need a public address to reach the internet."
  value       = !local.is_private
}

output "endpoint_security_group_id" {
  description = "Security group of the interface endpoints; null without them."
  value       = one(aws_security_group.endpoints[*].id)
}
