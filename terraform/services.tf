# Services beside the pipeline: the STAC API, alarms and the dashboard.

module "stac_api" {
  source = "./modules/stac-api"
  count  = local.settings.stac_api.enabled ? 1 : 0

  name                     = local.name
  vpc_id                   = module.network.vpc_id
  public_subnet_ids        = module.network.public_subnet_ids
  service_subnet_ids       = module.network.service_subnet_ids
  assign_public_ip         = module.network.assign_public_ip
  cluster_arn              = module.cluster.arn
  client_security_group_id = module.database.client_security_group_id
  secret_arn               = module.database.reader_secret_arn
  image                    = local.settings.stac_api.image
  architecture             = local.settings.architecture
  cpu                      = local.settings.stac_api.cpu
  memory_mib               = local.settings.stac_api.memory_mib
  desired_count            = local.settings.stac_api.desired_count
  environment              = local.settings.stac_api.environment
  certificate_arn          = local.settings.stac_api.certificate_arn
  log_retention_days       = local.settings.log_retention_days
}

module "observability" {
  source = "./modules/observability"
  name   = local.name

  stages = {
    for stage, settings in local.stages : stage => {
      queue_name             = module.queues[stage].queue_name
      dlq_name               = module.queues[stage].dlq_name
      delivery_dlq_name      = module.queues[stage].delivery_dlq_name
      topic_name             = module.queues[stage].topic_name
      log_group_name         = local.is_ec2 ? module.instances[settings.daemon].log_group_name : module.service[settings.daemon].log_group_name
      max_age_s              = settings.max_age_s
      cluster_name           = local.is_ec2 ? null : module.cluster.name
      service_name           = local.is_ec2 ? null : module.service[settings.daemon].service_name
      autoscaling_group_name = local.is_ec2 ? module.instances[settings.daemon].autoscaling_group_name : null
    }
  }

  services = merge(
    local.settings.stac_api.enabled ? { StacApi = { cluster_name = module.cluster.name, service_name = module.stac_api[0].service_name } } : {},
    local.settings.pgbouncer ? { PgBouncer = { cluster_name = module.cluster.name, service_name = module.database.pgbouncer_service_name } } : {},
  )

  api = !local.settings.stac_api.enabled ? null : {
    load_balancer_arn_suffix = module.stac_api[0].load_balancer_arn_suffix
    target_group_arn_suffix  = module.stac_api[0].target_group_arn_suffix
  }

  no_progress_minutes        = local.settings.alarms.no_progress_minutes
  alarm_emails               = local.settings.alarms.emails
  database_identifier        = module.database.identifier
  database_max_connections   = local.settings.db_max_connections
  database_allocated_storage = local.settings.db_allocated_storage
}
