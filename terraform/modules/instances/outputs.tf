output "autoscaling_group_name" {
  description = "Auto Scaling group."
  value       = aws_autoscaling_group.this.name
}

output "role_arn" {
  description = "Role of the instances."
  value       = aws_iam_role.this.arn
}

output "security_group_id" {
  description = "Security group of the instances."
  value       = aws_security_group.this.id
}

output "log_group_name" {
  description = "Log group that the journal is shipped to."
  value       = aws_cloudwatch_log_group.this.name
}
