# The two daemons: their permissions and settings, and where they run.

data "aws_region" "current" {}
data "aws_partition" "current" {}

locals {
  is_ec2          = local.settings.compute == "ec2"
  overflow_bucket = one(module.overflow[*].name)
  ca_bundle       = "/etc/stactools-ingest/rds-global-bundle.pem"
  # Trust the certificates of RDS. For an existing database with others: ITEMLOADD_DB_SSLROOTCERT in itemloadd.environment.
  is_verified = module.database.sslmode == "verify-full"

  read_buckets = distinct(concat(
    module.overflow[*].name, local.settings.bucket_notifications[*].bucket, local.settings.itemloadd.s3_buckets
  ))

  common_environment = { AWS_REGION = data.aws_region.current.name }

  daemons = {
    itemgend = {
      stage       = "ItemGen"
      min         = local.settings.itemgend.min_tasks
      max         = local.settings.itemgend.max_tasks
      backlog     = local.settings.itemgend.backlog_per_task
      spot_share  = local.settings.itemgend.spot_share
      cpu         = local.settings.itemgend.cpu
      memory_mib  = local.settings.itemgend.memory_mib
      disk_gib    = local.settings.itemgend.disk_gib
      directories = ["/tmp", "/var/cache/itemgend", "/var/lib/itemgend"]
      type        = local.settings.instances.itemgend_type
      groups      = []
      ca_url      = null
    }
    itemloadd = {
      stage       = "ItemLoad"
      min         = local.settings.itemloadd.min_tasks
      max         = local.settings.itemloadd.max_tasks
      backlog     = local.settings.itemloadd.backlog_per_task
      spot_share  = local.settings.itemloadd.spot_share
      cpu         = local.settings.itemloadd.cpu
      memory_mib  = local.settings.itemloadd.memory_mib
      disk_gib    = null
      directories = []
      type        = local.settings.instances.itemloadd_type
      groups      = [module.database.client_security_group_id]
      ca_url      = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
    }
  }

  # Each daemon's own settings (etc/*.yaml). The configuration's `environment` overrides them.
  environments = {
    itemgend = merge(
      {
        ITEMGEND_QUEUE_URL             = module.queues["ItemGen"].queue_url
        ITEMGEND_DEAD_LETTER_QUEUE_URL = module.queues["ItemGen"].dlq_url
        ITEMGEND_LOAD_TOPIC_ARN        = module.queues["ItemLoad"].topic_arn
        ITEMGEND_WORKERS               = tostring(local.settings.itemgend.item_slots)
        ITEMGEND_MEMORY_LIMIT          = "${local.settings.itemgend.item_memory_mib}MiB"
        ITEMGEND_CACHE_LIMIT           = "${local.settings.itemgend.cache_gib}GiB"
        ITEMGEND_ALLOWED_PACKAGES      = join(",", local.settings.itemgend.allowed_packages)
        ITEMGEND_METRICS_ADDRESS       = "127.0.0.1:9464"
      },
      length(local.settings.itemgend.warm_packages) == 0 ? {} : { ITEMGEND_PACKAGES = join(",", local.settings.itemgend.warm_packages) },
      local.overflow_bucket == null ? {} : { ITEMGEND_OVERFLOW_BUCKET = local.overflow_bucket },
      local.settings.package_role_arn == null ? {} : { ITEMGEND_PACKAGE_ROLE_ARN = local.settings.package_role_arn },
      # The instance's credentials are one connection away from package code. So itemgend must not start without the filtered
      # network. Fargate has neither of the two (docs/explanation/sandbox.md).
      local.is_ec2 ? { ITEMGEND_SANDBOX = "bubblewrap", ITEMGEND_NETWORK = "filtered" } : {},
      local.settings.itemgend.environment,
    )
    itemloadd = merge(
      {
        ITEMLOADD_QUEUE_URL             = module.queues["ItemLoad"].queue_url
        ITEMLOADD_DEAD_LETTER_QUEUE_URL = module.queues["ItemLoad"].dlq_url
        ITEMLOADD_SECRET_ARN            = module.database.secret_arn
        ITEMLOADD_DB_SSLMODE            = module.database.sslmode
        ITEMLOADD_METRICS_ADDRESS       = "127.0.0.1:9464"
      },
      # The image contains the certificates, and sets the variable for them. Unset it if pgbouncer's certificate does not come
      # from these authorities: libpq checks with sslmode=require too, if it has certificates to check with. An empty value
      # counts as unset.
      local.is_verified ? (local.is_ec2 ? { ITEMLOADD_DB_SSLROOTCERT = local.ca_bundle } : {}) : { ITEMLOADD_DB_SSLROOTCERT = "" },
      length(local.read_buckets) == 0 ? {} : { ITEMLOADD_S3_BUCKETS = join(",", local.read_buckets) },
      local.settings.itemloadd.environment,
    )
  }
}

module "permissions" {
  source   = "./modules/permissions"
  for_each = local.daemons

  partition   = data.aws_partition.current.partition
  queue_arn   = module.queues[each.value.stage].queue_arn
  dlq_arn     = module.queues[each.value.stage].dlq_arn
  kms_key_arn = local.settings.kms_key_arn

  publish_topic_arn = each.key == "itemgend" ? module.queues["ItemLoad"].topic_arn : null
  write_bucket      = each.key == "itemgend" ? local.overflow_bucket : null
  assume_role_arn   = each.key == "itemgend" ? local.settings.package_role_arn : null

  read_buckets       = each.key == "itemloadd" ? local.read_buckets : []
  secret_arn         = each.key == "itemloadd" ? module.database.secret_arn : null
  secret_kms_key_arn = each.key == "itemloadd" ? local.settings.database_secret_kms_key_arn : null
}

module "service" {
  source   = "./modules/service"
  for_each = local.is_ec2 ? {} : local.daemons

  name               = local.name
  daemon             = each.key
  cluster_arn        = module.cluster.arn
  cluster_name       = module.cluster.name
  capacity_provider  = module.cluster.capacity_provider
  spot_share         = each.value.spot_share
  architecture       = local.settings.architecture
  cpu                = each.value.cpu
  memory_mib         = each.value.memory_mib
  disk_gib           = each.value.disk_gib
  image_tag          = var.release
  environment        = merge(local.common_environment, local.environments[each.key])
  directories        = each.value.directories
  policy             = module.permissions[each.key].policy
  queue_name         = module.queues[each.value.stage].queue_name
  min_tasks          = each.value.min
  max_tasks          = each.value.max
  backlog_per_task   = each.value.backlog
  vpc_id             = module.network.vpc_id
  subnet_ids         = module.network.service_subnet_ids
  assign_public_ip   = module.network.assign_public_ip
  security_group_ids = each.value.groups
  log_retention_days = local.settings.log_retention_days
}

module "instances" {
  source   = "./modules/instances"
  for_each = local.is_ec2 ? local.daemons : {}

  name                 = local.name
  daemon               = each.key
  tags                 = module.config.tags
  instance_type        = each.value.type
  architecture         = local.settings.architecture
  ami_id               = local.settings.instances.ami_id
  volume_gib           = local.settings.instances.volume_gib
  spot_share           = each.value.spot_share
  environment          = merge(local.common_environment, local.environments[each.key])
  ca_bundle_url        = local.is_verified ? each.value.ca_url : null
  policy               = module.permissions[each.key].policy
  queue_name           = module.queues[each.value.stage].queue_name
  min_instances        = each.value.min
  max_instances        = each.value.max
  backlog_per_instance = each.value.backlog
  vpc_id               = module.network.vpc_id
  subnet_ids           = module.network.service_subnet_ids
  assign_public_ip     = module.network.assign_public_ip
  security_group_ids   = each.value.groups
  log_retention_days   = local.settings.log_retention_days

  package = {
    bucket = one(module.packages[*].name)
    key    = "${var.release}/stactools-ingest_${local.settings.architecture == "arm64" ? "arm64" : "amd64"}.deb"
  }
}
