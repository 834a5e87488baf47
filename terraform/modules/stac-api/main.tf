# stac-fastapi-pgstac behind an application load balancer. It only reads: the reader's role has no right to write.

data "aws_partition" "current" {}

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

locals {
  full_name = "${var.name}-stac-api"
  is_https  = var.certificate_arn != null
  lb_port   = local.is_https ? 443 : 80
  port      = 8080 # the image's

  # Names of load balancers and target groups have at most 32 characters.
  lb_name = length(local.full_name) <= 32 ? local.full_name : "${substr(local.full_name, 0, 23)}-${substr(sha256(local.full_name), 0, 8)}"

  environment = merge({
    # The connection is encrypted; the image does not have RDS's certificates to check the database's with.
    PGSSLMODE = "require"
  }, var.environment)

  secrets = { PGHOST = "host", PGPORT = "port", PGDATABASE = "dbname", PGUSER = "username", PGPASSWORD = "password" }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = local.full_name
  retention_in_days = var.log_retention_days
}
