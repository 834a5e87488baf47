output "arn" {
  description = "ARN of the cluster."
  value       = aws_ecs_cluster.this.arn

  # Services and tasks need the cluster's capacity providers.
  depends_on = [aws_ecs_cluster_capacity_providers.this]
}

output "name" {
  description = "Its name."
  value       = aws_ecs_cluster.this.name
}

output "capacity_provider" {
  description = "Capacity provider of the instances; null without them."
  value       = one(aws_ecs_capacity_provider.instances[*].name)
}
