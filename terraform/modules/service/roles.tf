locals {
  # Only ECS, for tasks of this account.
  tasks_only = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyThisAccountsTasks"
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account_id }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:${local.region}:${local.account_id}:*" }
      }
    }]
  })
}

# ------------------------------------------------------------ the daemon

resource "aws_iam_role" "task" {
  name               = "${local.full_name}-task"
  description        = "Calls of ${var.daemon}."
  assume_role_policy = local.tasks_only
}

resource "aws_iam_role_policy" "task" {
  name   = var.daemon
  role   = aws_iam_role.task.id
  policy = var.policy
}

# A daemon asks the ECS agent for protection from scale-in while it works, and the agent uses the task's role.
resource "aws_iam_role_policy" "protection" {
  name = "task-protection"
  role = aws_iam_role.task.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "ProtectItself"
      Effect   = "Allow"
      Action   = ["ecs:UpdateTaskProtection"]
      Resource = ["arn:${local.partition}:ecs:${local.region}:${local.account_id}:task/${var.cluster_name}/*"]
    }]
  })
}

# ------------------------------------------------------------ the execution role

resource "aws_iam_role" "execution" {
  name               = "${local.full_name}-execution"
  description        = "ECS, for the image and the logs of ${var.daemon}."
  assume_role_policy = local.tasks_only
}

resource "aws_iam_role_policy" "execution" {
  name = "image-and-logs"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "LogInToEcr"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Sid      = "PullImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = [aws_ecr_repository.this.arn]
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.this.arn}:log-stream:*"]
      },
    ]
  })
}
