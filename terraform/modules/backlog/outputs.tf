output "per_task" {
  description = "Metric queries of the backlog per running task, which target tracking follows."
  value       = concat(local.measured, [local.last_running, local.per_task])
}

output "wake" {
  description = "Metric queries of a value that is 1 while messages wait and no task or instance runs."
  value       = concat(local.measured, [local.last_running, local.wake])
}

output "total" {
  description = "Metric queries of the backlog: messages that wait or are in flight."
  value       = concat([for query in local.measured : query if query.id != "running"], [local.backlog])
}
