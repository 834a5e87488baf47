locals {
  config_file = coalesce(var.config_file, "${path.module}/../config.yaml")
  config_text = fileexists(local.config_file) ? file(local.config_file) : "" # the variable reports the error
  # A file with only comments is a configuration with all defaults.
  config = yamldecode(length(regexall("(?m)^\\s*[^#\\s]", local.config_text)) == 0 ? "{}" : local.config_text)
}

module "config" {
  source = "./modules/config"
  given  = local.config
  config = local.config
}

locals {
  settings     = module.config.settings
  name         = module.config.name
  force_delete = coalesce(var.force_delete, local.settings.force_delete)
}

module "network" {
  source            = "./modules/network"
  name              = local.name
  cidr              = local.settings.vpc_cidr
  nat_gateway_count = local.settings.nat_gateway_count
  endpoints         = local.settings.vpc_endpoints
  existing          = local.settings.vpc
}

module "cluster" {
  source = "./modules/cluster"
  name   = local.name
  tags   = module.config.tags

  instances = local.settings.compute != "ecs-ec2" ? null : {
    vpc_id        = module.network.vpc_id
    subnet_ids    = module.network.service_subnet_ids
    instance_type = local.settings.instances.container_type
    architecture  = local.settings.architecture
    max_size      = local.settings.instances.container_max
    volume_gib    = local.settings.instances.volume_gib
    ami_id        = local.settings.instances.ami_id
  }
}

module "database" {
  source                     = "./modules/database"
  name                       = local.name
  vpc_id                     = module.network.vpc_id
  subnet_ids                 = module.network.isolated_subnet_ids
  service_subnet_ids         = module.network.service_subnet_ids
  assign_public_ip           = module.network.assign_public_ip
  cluster_arn                = module.cluster.arn
  instance_type              = local.settings.db_instance_type
  allocated_storage          = local.settings.db_allocated_storage
  max_allocated_storage      = local.settings.db_max_allocated_storage
  max_connections            = local.settings.db_max_connections
  multi_az                   = local.settings.db_multi_az
  backup_retention_days      = local.settings.db_backup_retention_days
  deletion_protection        = local.settings.db_deletion_protection && !local.force_delete
  final_snapshot             = !local.force_delete
  password_version           = local.settings.db_password_version
  existing_secret_arn        = local.settings.database_secret_arn
  existing_security_group_id = local.settings.database_security_group_id
  existing_port              = local.settings.database_port
  pgbouncer                  = local.settings.pgbouncer
  architecture               = local.settings.architecture
  image_tag                  = var.release
  log_retention_days         = local.settings.log_retention_days
}

# ------------------------------------------------------------ topics, queues, buckets

locals {
  stages = {
    ItemGen = {
      daemon               = "itemgend"
      visibility_timeout_s = 120
      max_age_s            = local.settings.alarms.itemgen_max_age_s
      notifications        = []
    }
    ItemLoad = {
      daemon               = "itemloadd"
      visibility_timeout_s = 60
      max_age_s            = local.settings.alarms.itemload_max_age_s
      notifications        = local.settings.bucket_notifications
    }
  }
}

module "queues" {
  source   = "./modules/queues"
  for_each = local.stages

  name                 = local.name
  stage_name           = each.key
  visibility_timeout_s = each.value.visibility_timeout_s
  max_message_size     = local.settings.max_message_size
  delivery             = local.settings.delivery
  kms_key_arn          = local.settings.kms_key_arn
  bucket_notifications = each.value.notifications
}

# Keeps items that are too large for a message until they are loaded: as long as a dead letter may point to one.
module "overflow" {
  source = "./modules/bucket"
  count  = local.settings.overflow_bucket ? 1 : 0

  name            = "${local.name}-overflow"
  expiration_days = 15
  kms_key_arn     = local.settings.kms_key_arn
  force_delete    = local.force_delete
}

# The Debian package, which instances install.
module "packages" {
  source = "./modules/bucket"
  count  = local.settings.compute == "ec2" ? 1 : 0

  name         = "${local.name}-packages"
  force_delete = true # `make deploy` uploads them again
}
