locals {
  has_instances = var.instances != null
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  # Scaling needs the number of running tasks, which only Container Insights measures.
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = concat(["FARGATE", "FARGATE_SPOT"], aws_ecs_capacity_provider.instances[*].name)
}
