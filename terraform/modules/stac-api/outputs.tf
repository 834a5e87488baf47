output "url" {
  description = "URL of the API. With a certificate, point a name of the certificate to its host."
  value       = "${local.is_https ? "https" : "http"}://${aws_lb.this.dns_name}"
}

output "service_name" {
  description = "ECS service."
  value       = aws_ecs_service.this.name
}

output "log_group_name" {
  description = "Log group of the tasks."
  value       = aws_cloudwatch_log_group.this.name
}

output "load_balancer_arn_suffix" {
  description = "Load balancer as CloudWatch names it."
  value       = aws_lb.this.arn_suffix
}

output "target_group_arn_suffix" {
  description = "Target group as CloudWatch names it."
  value       = aws_lb_target_group.this.arn_suffix
}
