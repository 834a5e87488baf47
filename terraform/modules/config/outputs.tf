output "name" {
  description = "Prefix of every name: project and stage."
  value       = local.name
}

output "tags" {
  description = "Tags of everything: Project, Stage, and the configuration's own."
  value       = tomap(merge(var.config.tags, { Project = var.config.project_id, Stage = var.config.stage }))
}

output "settings" {
  description = "The configuration with all defaults filled in, and values computed from it (size, backlog_per_task, instance types)."
  value = merge(var.config, {
    itemgend = merge(var.config.itemgend, {
      backlog_per_task = coalesce(var.config.itemgend.backlog_per_task, 100 * var.config.itemgend.item_slots)
      cpu              = local.itemgend_size.cpu
      memory_mib       = local.itemgend_size.memory_mib
      cache_gib        = local.itemgend_cache_gib
      disk_gib         = local.itemgend_disk_gib
    })
    itemloadd = merge(var.config.itemloadd, {
      cpu        = local.itemloadd_size.cpu
      memory_mib = local.itemloadd_size.memory_mib
    })
    instances = merge(var.config.instances, {
      itemgend_type  = coalesce(var.config.instances.itemgend_type, local.arm ? "m7g.large" : "m7i.large")
      itemloadd_type = coalesce(var.config.instances.itemloadd_type, local.arm ? "t4g.small" : "t3.small")
      container_type = coalesce(var.config.instances.container_type, local.arm ? "m7g.large" : "m7i.large")
    })
  })

  precondition {
    condition     = length(local.unknown) == 0
    error_message = "The configuration has unknown keys: ${join(", ", local.unknown)}. config.example.yaml lists all keys."
  }

  precondition {
    condition = local.itemgend_size != null
    error_message = format(
      "itemgend needs %d CPU units and %d MiB for %d item_slots of %d MiB, more than Fargate's largest task has (16384 units, 122880 MiB): take fewer item_slots and more max_tasks.",
      local.itemgend_need.cpu, local.itemgend_need.memory_mib, var.config.itemgend.item_slots, var.config.itemgend.item_memory_mib
    )
  }
}
