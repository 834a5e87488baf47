# Ways to AWS's services inside its network. The endpoint for S3 also saves NAT traffic, because ECR keeps image layers in
# S3.

data "aws_region" "current" {}

locals {
  interface_endpoints = local.is_made && var.endpoints ? toset([
    "ecr.api", "ecr.dkr", "logs", "secretsmanager", "sns", "sqs",
  ]) : toset([])
}

resource "aws_vpc_endpoint" "s3" {
  count = local.is_made ? 1 : 0

  vpc_id            = aws_vpc.this[0].id
  service_name      = "com.amazonaws.${data.aws_region.current.name}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = concat(aws_route_table.public[*].id, aws_route_table.private[*].id)

  tags = { Name = "${var.name}-s3" }
}

resource "aws_security_group" "endpoints" {
  count = local.is_made && var.endpoints ? 1 : 0

  name        = "${var.name}-endpoints"
  description = "Interface endpoints: HTTPS from within the VPC"
  vpc_id      = aws_vpc.this[0].id

  tags = { Name = "${var.name}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  count = local.is_made && var.endpoints ? 1 : 0

  security_group_id = aws_security_group.endpoints[0].id
  description       = "HTTPS from within the VPC"
  cidr_ipv4         = aws_vpc.this[0].cidr_block
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.interface_endpoints

  vpc_id              = aws_vpc.this[0].id
  service_name        = "com.amazonaws.${data.aws_region.current.name}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = aws_subnet.private[*].id
  security_group_ids  = aws_security_group.endpoints[*].id
  private_dns_enabled = true

  tags = { Name = "${var.name}-${each.key}" }
}
