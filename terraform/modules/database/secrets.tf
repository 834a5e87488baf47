# The secrets of the roles that the migration makes, with all five keys that a client needs. RDS's own secret of the
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
    # Not by way of pgbouncer: the API has a pool of its own, and its driver prepares statements, which Debian 12's pgbouncer
    # cannot do in transaction mode.
    reader = {
      username    = "stac_reader"
      secret_name = "${local.identifier}-reader"
      description = "pgstac: the STAC API's connection"
      host        = aws_db_instance.this[0].address
      port        = local.port
    }
  } : {}
}

# Made anew in each run, and written only when the version below changes: neither state nor plan has it.
ephemeral "aws_secretsmanager_random_password" "this" {
  for_each = toset(local.is_made ? ["loader", "reader"] : [])

  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "this" {
  for_each = local.roles

  name                    = each.value.secret_name
  description             = each.value.description
  recovery_window_in_days = 0 # the next deployment makes new passwords, and needs the name
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
  # Another number, another password: when it is asked for, and when the rest of the secret changes.
  secret_string_wo_version = parseint(substr(sha256(jsonencode([
    each.value.host, each.value.port, var.dbname, each.value.username, var.password_version,
  ])), 0, 12), 16)
}
