resource "aws_security_group" "client" {
  name        = "${local.identifier}-client"
  description = "May connect to the database of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.identifier}-client" }
}

resource "aws_security_group" "database" {
  count = local.is_made ? 1 : 0

  name        = local.identifier
  description = "The database of ${var.name}: from its clients alone, and nowhere by itself"
  vpc_id      = var.vpc_id

  tags = { Name = local.identifier }
}

locals {
  # The security group of the new or existing database; null: an existing one that is open to its clients already.
  database_security_group_id = local.is_made ? aws_security_group.database[0].id : var.existing_security_group_id
  has_database_group         = local.is_made || var.existing_security_group_id != null
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  count = local.has_database_group ? 1 : 0

  security_group_id            = local.database_security_group_id
  description                  = "PostgreSQL from clients of ${var.name}"
  referenced_security_group_id = aws_security_group.client.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_vpc_security_group_egress_rule" "client" {
  count = local.has_database_group ? 1 : 0

  security_group_id            = aws_security_group.client.id
  description                  = "PostgreSQL"
  referenced_security_group_id = local.database_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

# An existing database may have any address if its group is not given.
resource "aws_vpc_security_group_egress_rule" "client_anywhere" {
  count = local.has_database_group ? 0 : 1

  security_group_id = aws_security_group.client.id
  description       = "PostgreSQL"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = local.port
  to_port           = local.port
}
