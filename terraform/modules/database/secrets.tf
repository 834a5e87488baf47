# The secrets of the roles that the migration creates, with all five keys that a client needs. RDS's own secret for the
# administrator has only two.

locals {
  roles = local.is_made ? {
    loader = {
      username    = "stac_loader"
      secret_name = local.identifier
      description = "pgstac: the loader's connection"
      host        = local.is_pooled ? local.pgbouncer_host : aws_db_instance.this[0].address
      port        = local.is_pooled ? local.pgbouncer_port : local.port
    }
    # Not through pgbouncer: the API has its own pool, and its driver uses prepared statements, which Debian 12's
    # pgbouncer does not support in transaction mode.
    reader = {
      username    = "stac_reader"
      secret_name = "${local.identifier}-reader"
      description = "pgstac: the STAC API's connection"
      host        = aws_db_instance.this[0].address
      port        = local.port
    }
  } : {}
}

# Generated again in each run, and written only when the version below changes. It is neither in the state nor in a
# plan.
ephemeral "aws_secretsmanager_random_password" "this" {
  for_each = toset(local.is_made ? ["loader", "reader"] : [])

  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "this" {
  for_each = local.roles

  name                    = each.value.secret_name
  description             = each.value.description
  recovery_window_in_days = 0 # so that the next deployment can use the same name for new passwords
}

resource "aws_secretsmanager_secret_version" "this" {
  for_each = local.roles

  secret_id = aws_secretsmanager_secret.this[each.key].id
  secret_string_wo = jsonencode({
    host     = each.value.host
    port     = each.value.port
    dbname   = var.dbname
    username = each.value.username
    password = ephemeral.aws_secretsmanager_random_password.this[each.key].random_password
  })
  # A new number means a new password. It changes on request, and when the rest of the secret changes.
  secret_string_wo_version = parseint(substr(sha256(jsonencode([
    each.value.host, each.value.port, var.dbname, each.value.username, var.password_version,
  ])), 0, 12), 16)
}
