# Dotted names of the given keys that the type of config does not have. After its conversion config has every key of its type, so
# the keys are listed only once.
locals {
  name = "${var.config.project_id}-${var.config.stage}"

  # Every value that is a mapping, with its path.
  mappings = merge(
    { "" = { given = var.given, keys = keys(var.config) } },
    {
      for key, value in var.config : key => { given = try(var.given[key], null), keys = try(keys(value), []) }
      if contains(local.checked, key) && try(var.given[key], null) != null
    },
    {
      for index, value in var.config.bucket_notifications : "bucket_notifications[${index}]" => {
        given = try(var.given.bucket_notifications[index], null), keys = keys(value)
      }
    },
  )
  checked = ["vpc", "itemgend", "itemloadd", "instances", "stac_api", "alarms"]
  unknown = flatten([
    for place, mapping in local.mappings : [
      for key in try(keys(mapping.given), []) : place == "" ? key : "${place}.${key}" if !contains(mapping.keys, key)
    ]
  ])
}

# Fargate's sizes: CPU units, and the memory that is possible with them.
locals {
  fargate = [
    { cpu = 256, min = 512, max = 2048, step = 512 },
    { cpu = 512, min = 1024, max = 4096, step = 1024 },
    { cpu = 1024, min = 2048, max = 8192, step = 1024 },
    { cpu = 2048, min = 4096, max = 16384, step = 1024 },
    { cpu = 4096, min = 8192, max = 30720, step = 1024 },
    { cpu = 8192, min = 16384, max = 61440, step = 4096 },
    { cpu = 16384, min = 32768, max = 122880, step = 8192 },
  ]

  # A Lambda function of 1024 MB has 0.58 vCPU. Each item slot gets half a vCPU.
  cpu_per_slot = 512
  # For itemgend itself, a warm process between items, and uv while it creates an environment.
  itemgend_share_mib = 512
  itemgend_need = {
    cpu        = local.cpu_per_slot * var.config.itemgend.item_slots
    memory_mib = var.config.itemgend.item_slots * var.config.itemgend.item_memory_mib + local.itemgend_share_mib
  }
  itemloadd_need = { cpu = 512, memory_mib = var.config.itemloadd.memory_mib }

  sizes = {
    for daemon, need in { itemgend = local.itemgend_need, itemloadd = local.itemloadd_need } : daemon => [
      for size in local.fargate : {
        cpu        = size.cpu
        memory_mib = max(size.min, size.min + ceil((need.memory_mib - size.min) / size.step) * size.step)
      } if size.cpu >= need.cpu && size.max >= need.memory_mib
    ]
  }
  itemgend_size  = one(slice(local.sizes.itemgend, 0, min(1, length(local.sizes.itemgend))))
  itemloadd_size = one(slice(local.sizes.itemloadd, 0, min(1, length(local.sizes.itemloadd))))

  # cache_limit, and disk_limit for each item. The rest is for the image. Fargate accepts no size under 21 GiB.
  itemgend_cache_gib = 10
  itemgend_disk_gib  = min(200, max(21, local.itemgend_cache_gib + var.config.itemgend.item_slots + 4))

  arm = var.config.architecture == "arm64"
}

# Keys with numbers or switches as values, according to the type.
locals {
  numbers = [
    "nat_gateway_count", "db_allocated_storage", "db_max_allocated_storage", "db_max_connections", "db_backup_retention_days",
    "db_password_version", "database_port", "max_message_size", "log_retention_days",
    "itemgend.min_tasks", "itemgend.max_tasks", "itemgend.item_slots", "itemgend.item_memory_mib", "itemgend.backlog_per_task",
    "itemgend.spot_share", "itemloadd.min_tasks", "itemloadd.max_tasks", "itemloadd.memory_mib", "itemloadd.backlog_per_task",
    "itemloadd.spot_share", "instances.container_max", "instances.volume_gib", "stac_api.cpu", "stac_api.memory_mib",
    "stac_api.desired_count", "alarms.itemgen_max_age_s", "alarms.itemload_max_age_s", "alarms.no_progress_minutes",
  ]
  switches = [
    "vpc_endpoints", "db_multi_az", "db_deletion_protection", "pgbouncer", "overflow_bucket", "force_delete", "stac_api.enabled",
  ]
}
