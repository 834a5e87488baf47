output "secret_arn" {
  description = "Secret with host, port, dbname, username and password of the loader."
  value       = local.secret_arn
}

output "reader_secret_arn" {
  description = "The same for the reader (the STAC API); the loader's with an existing database."
  value       = local.reader_secret_arn
}

output "admin_secret_arn" {
  description = "Secret with username and password of the administrator, which RDS created and rotates; null with an existing database."
  value       = local.admin_secret_arn
}

output "client_security_group_id" {
  description = "Security group whose members may connect to the database and to pgbouncer."
  value       = aws_security_group.client.id
}

output "identifier" {
  description = "Identifier of the RDS instance; null with an existing database."
  value       = one(aws_db_instance.this[*].identifier)
}

output "host" {
  description = "Host of the RDS instance; null with an existing database."
  value       = one(aws_db_instance.this[*].address)
}

output "port" {
  description = "Port of the database."
  value       = local.port
}

output "dbname" {
  description = "Database with pgstac; null with an existing database."
  value       = local.is_made ? var.dbname : null
}

output "max_connections" {
  description = "Connections that the RDS instance accepts; null with an existing database."
  value       = local.is_made ? var.max_connections : null
}

output "sslmode" {
  description = "libpq's sslmode for secret_arn's host: pgbouncer's certificate is self-signed, RDS's is signed by an authority."
  value       = local.is_pooled ? "require" : "verify-full"
}

output "migration" {
  description = "How to run the migration: task definition and network for `aws ecs run-task`, and where it logs; null with an existing database."
  value = local.is_made ? {
    task_definition_arn = aws_ecs_task_definition.migrate[0].arn
    container_name      = local.migrate_container
    cluster_arn         = var.cluster_arn
    subnet_ids          = var.service_subnet_ids
    security_group_ids  = [aws_security_group.client.id, aws_security_group.migrate[0].id]
    assign_public_ip    = var.assign_public_ip
    log_group_name      = aws_cloudwatch_log_group.migrate[0].name
  } : null
}

output "migrate_repository_url" {
  description = "ECR repository of the migration's image (container/migrate); null with an existing database."
  value       = one(aws_ecr_repository.migrate[*].repository_url)
}

output "pgbouncer_repository_url" {
  description = "ECR repository of pgbouncer's image (container/pgbouncer); null without pgbouncer."
  value       = one(aws_ecr_repository.pgbouncer[*].repository_url)
}

output "pgbouncer_service_name" {
  description = "ECS service of pgbouncer; null without pgbouncer."
  value       = one(aws_ecs_service.pgbouncer[*].name)
}
