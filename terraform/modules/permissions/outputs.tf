output "policy" {
  description = "IAM policy of the daemon, as JSON."
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [for sid, statement in local.statements : {
      Sid      = sid
      Effect   = "Allow"
      Action   = statement.Action
      Resource = statement.Resource
    } if statement.is_wanted]
  })
}
