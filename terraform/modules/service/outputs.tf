output "service_name" {
  description = "ECS service."
  value       = aws_ecs_service.this.name
}

output "repository_url" {
  description = "ECR repository of the image."
  value       = aws_ecr_repository.this.repository_url
}

output "task_definition_arn" {
  description = "Task definition in force."
  value       = aws_ecs_task_definition.this.arn
}

output "task_role_arn" {
  description = "Role of the daemon."
  value       = aws_iam_role.task.arn
}

output "execution_role_arn" {
  description = "Execution role of the tasks."
  value       = aws_iam_role.execution.arn
}

output "security_group_id" {
  description = "Security group of the tasks."
  value       = aws_security_group.this.id
}

output "log_group_name" {
  description = "Log group of the tasks."
  value       = aws_cloudwatch_log_group.this.name
}
