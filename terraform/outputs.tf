# ------------------------------------------------------------ with the names that scripts for the CDK stack use

output "ItemGenSNSTopicArn" {
  description = "Topic of requests: publish here to generate an item."
  value       = module.queues["ItemGen"].topic_arn
}

output "ItemGenQueueUrl" {
  description = "Queue of requests."
  value       = module.queues["ItemGen"].queue_url
}

output "ItemGenDLQUrl" {
  description = "Dead-letter queue of requests."
  value       = module.queues["ItemGen"].dlq_url
}

output "ItemLoadTopicArn" {
  description = "Topic of items: publish here to load a finished item."
  value       = module.queues["ItemLoad"].topic_arn
}

output "ItemLoadQueueUrl" {
  description = "Queue of items."
  value       = module.queues["ItemLoad"].queue_url
}

output "ItemLoadDLQUrl" {
  description = "Dead-letter queue of items."
  value       = module.queues["ItemLoad"].dlq_url
}

output "PgstacSecret" {
  description = "ARN of the secret with the database's host, port, dbname, username and password."
  value       = module.database.secret_arn
}

output "ItemGenLogGroup" {
  description = "Log group of itemgend: aws logs tail NAME --follow."
  value       = local.is_ec2 ? module.instances["itemgend"].log_group_name : module.service["itemgend"].log_group_name
}

output "ItemLoadLogGroup" {
  description = "Log group of itemloadd."
  value       = local.is_ec2 ? module.instances["itemloadd"].log_group_name : module.service["itemloadd"].log_group_name
}

output "StacApiUrl" {
  description = "The STAC API; null without one."
  value       = one(module.stac_api[*].url)
}

# ------------------------------------------------------------ for `make deploy`

output "region" {
  description = "AWS region."
  value       = data.aws_region.current.name
}

output "cluster_name" {
  description = "ECS cluster."
  value       = module.cluster.name
}

output "release" {
  description = "The release that runs: the tag of the images, or the folder of the Debian package."
  value       = var.release
}

output "architecture" {
  description = "Processor that images and packages are built for."
  value       = local.settings.architecture
}

output "repositories" {
  description = "ECR repositories by the image's name (container/NAME)."
  value = { for image, url in {
    itemgend  = try(module.service["itemgend"].repository_url, null)
    itemloadd = try(module.service["itemloadd"].repository_url, null)
    migrate   = module.database.migrate_repository_url
    pgbouncer = module.database.pgbouncer_repository_url
  } : image => url if url != null }
}

output "services" {
  description = "ECS services by daemon; none on EC2 under systemd."
  value       = { for daemon, service in module.service : daemon => service.service_name }
}

output "autoscaling_groups" {
  description = "Auto Scaling groups by daemon; none on ECS."
  value       = { for daemon, group in module.instances : daemon => group.autoscaling_group_name }
}

output "package_uri" {
  description = "S3 URI where instances look for the Debian package; null on ECS."
  value       = one([for bucket in module.packages : "s3://${bucket.name}/${var.release}/stactools-ingest_${local.settings.architecture == "arm64" ? "arm64" : "amd64"}.deb"])
}

output "migration" {
  description = "How to run the database's migration as an ECS task; null with an existing database."
  value       = module.database.migration
}

output "task_role_arns" {
  description = "Role of each daemon, for policies of your buckets and keys."
  value = merge(
    { for daemon, service in module.service : daemon => service.task_role_arn },
    { for daemon, group in module.instances : daemon => group.role_arn },
  )
}

output "overflow_bucket" {
  description = "Bucket of items that are too large for a message; null: none."
  value       = local.overflow_bucket
}

output "delivery_dead_letter_queue_urls" {
  description = "Queues of messages that SNS could not deliver, by stage."
  value       = { for stage, queues in module.queues : stage => queues.delivery_dlq_url }
}

output "alarm_topic_arn" {
  description = "Topic of the alarms."
  value       = module.observability.alarm_topic_arn
}

output "dashboard_name" {
  description = "CloudWatch dashboard of both stages."
  value       = module.observability.dashboard_name
}
