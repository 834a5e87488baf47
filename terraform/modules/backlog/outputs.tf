output "per_task" {
  description = "Metric queries of the backlog per running task: what target tracking follows."
  value       = concat(local.measured, [local.last_running, local.per_task])
}

output "wake" {
  description = "Metric queries of an alarm that is 1 while messages wait and nobody is there."
  value       = concat(local.measured, [local.last_running, local.wake])
}

output "total" {
  description = "Metric queries of the backlog: what waits and what is worked on."
  value       = concat([for query in local.measured : query if query.id != "running"], [local.backlog])
}
