output "topic_arn" {
  description = "Topic to publish to."
  value       = aws_sns_topic.this.arn
}

output "topic_name" {
  description = "Its name."
  value       = aws_sns_topic.this.name
}

output "queue_url" {
  description = "Queue that the daemon reads."
  value       = aws_sqs_queue.this.url
}

output "queue_arn" {
  description = "Its ARN."
  value       = aws_sqs_queue.this.arn
}

output "queue_name" {
  description = "Its name."
  value       = aws_sqs_queue.this.name
}

output "dlq_url" {
  description = "Dead-letter queue."
  value       = aws_sqs_queue.dead_letters.url
}

output "dlq_arn" {
  description = "Its ARN."
  value       = aws_sqs_queue.dead_letters.arn
}

output "dlq_name" {
  description = "Its name."
  value       = aws_sqs_queue.dead_letters.name
}

output "delivery_dlq_url" {
  description = "Queue of messages that SNS could not deliver."
  value       = aws_sqs_queue.undelivered.url
}

output "delivery_dlq_arn" {
  description = "Its ARN."
  value       = aws_sqs_queue.undelivered.arn
}

output "delivery_dlq_name" {
  description = "Its name."
  value       = aws_sqs_queue.undelivered.name
}
