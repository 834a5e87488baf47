locals {
  is_made = var.existing == null

  vpc_id              = local.is_made ? aws_vpc.this[0].id : var.existing.id
  vpc_cidr            = local.is_made ? aws_vpc.this[0].cidr_block : data.aws_vpc.existing[0].cidr_block
  public_subnet_ids   = local.is_made ? aws_subnet.public[*].id : var.existing.public_subnet_ids
  private_subnet_ids  = local.is_made ? aws_subnet.private[*].id : var.existing.private_subnet_ids
  isolated_subnet_ids = local.is_made ? aws_subnet.isolated[*].id : var.existing.isolated_subnet_ids

  # True if private subnets have a way out. Those of an existing VPC are assumed to have one.
  is_private = local.is_made ? var.nat_gateway_count > 0 : length(var.existing.private_subnet_ids) > 0

  zone_count = local.is_made ? var.availability_zone_count : 0
  nat_count  = local.is_made ? var.nat_gateway_count : 0

  # Each subnet gets a sixteenth of the range: zone i has public i, private 4 + i, isolated 8 + i. A quarter is left
  # over.
  subnet_cidrs = [for i in range(16) : cidrsubnet(var.cidr, 4, i)]

  zones = local.is_made ? data.aws_availability_zones.available[0].names : []
}

data "aws_vpc" "existing" {
  count = local.is_made ? 0 : 1

  id = var.existing.id
}

# Local zones and wavelength zones are left out, because they lack most services.
data "aws_availability_zones" "available" {
  count = local.is_made ? 1 : 0

  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }

  lifecycle {
    postcondition {
      condition     = length(self.names) >= var.availability_zone_count
      error_message = "The region has ${length(self.names)} availability zones: set availability_zone_count to no more than that."
    }
  }
}

resource "aws_vpc" "this" {
  count = local.is_made ? 1 : 0

  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true # the endpoints' and pgbouncer's names

  tags = { Name = var.name }
}

# A resource that is in no other group can neither reach anything nor be reached.
resource "aws_default_security_group" "this" {
  count = local.is_made ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-default" }
}

resource "aws_internet_gateway" "this" {
  count = local.is_made ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = var.name }
}

resource "aws_subnet" "public" {
  count = local.zone_count

  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[count.index]
  cidr_block        = local.subnet_cidrs[count.index]

  tags = { Name = "${var.name}-public-${local.zones[count.index]}" }
}

resource "aws_subnet" "private" {
  count = local.zone_count

  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[count.index]
  cidr_block        = local.subnet_cidrs[4 + count.index]

  tags = { Name = "${var.name}-private-${local.zones[count.index]}" }
}

resource "aws_subnet" "isolated" {
  count = local.zone_count

  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[count.index]
  cidr_block        = local.subnet_cidrs[8 + count.index]

  tags = { Name = "${var.name}-isolated-${local.zones[count.index]}" }
}

# ------------------------------------------------------------ routes

resource "aws_route_table" "public" {
  count = local.is_made ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-public" }
}

resource "aws_route" "internet" {
  count = local.is_made ? 1 : 0

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  count = local.zone_count

  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_eip" "nat" {
  count = local.nat_count

  domain = "vpc"

  tags = { Name = "${var.name}-nat-${local.zones[count.index]}" }
}

resource "aws_nat_gateway" "this" {
  count = local.nat_count

  subnet_id     = aws_subnet.public[count.index].id
  allocation_id = aws_eip.nat[count.index].id

  tags = { Name = "${var.name}-${local.zones[count.index]}" }

  depends_on = [aws_internet_gateway.this]
}

# One for each zone, so that each zone uses its own NAT gateway if it has one.
resource "aws_route_table" "private" {
  count = local.zone_count

  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-private-${local.zones[count.index]}" }
}

resource "aws_route" "nat" {
  count = local.nat_count > 0 ? local.zone_count : 0

  route_table_id         = aws_route_table.private[count.index].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[count.index % local.nat_count].id
}

resource "aws_route_table_association" "private" {
  count = local.zone_count

  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[count.index].id
}

resource "aws_route_table" "isolated" {
  count = local.is_made ? 1 : 0

  vpc_id = aws_vpc.this[0].id

  tags = { Name = "${var.name}-isolated" }
}

resource "aws_route_table_association" "isolated" {
  count = local.zone_count

  subnet_id      = aws_subnet.isolated[count.index].id
  route_table_id = aws_route_table.isolated[0].id
}
