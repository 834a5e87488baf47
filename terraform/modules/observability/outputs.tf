output "alarm_topic_arn" {
  description = "SNS topic of the alarms, for further subscriptions."
  value       = aws_sns_topic.alarms.arn
}

output "dashboard_name" {
  description = "CloudWatch dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}

output "alarm_names" {
  description = "Names of all alarms."
  value = sort(concat(
    values(aws_cloudwatch_metric_alarm.metric)[*].alarm_name,
    values(aws_cloudwatch_metric_alarm.math)[*].alarm_name,
  ))
}
