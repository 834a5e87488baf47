# The common part of the repositories for the images of the migration and pgbouncer.

locals {
  cpu_architecture = var.architecture == "arm64" ? "ARM64" : "X86_64"

  pull_actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]

  image_lifecycle = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The last ten images"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
      action       = { type = "expire" }
    }]
  })
}

data "aws_iam_policy_document" "pull" {
  count = local.is_made ? 1 : 0

  statement {
    sid       = "Authorize"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # it needs no resource
  }
}
