# The configuration: values that are refused, with their error messages, and values that follow from others. AWS is not
# used.

variables {
  given  = {}
  config = {}
}

run "every_key_has_a_default" {
  command = plan

  module {
    source = "./modules/config"
  }

  assert {
    condition     = output.name == "stactools-ingest-test"
    error_message = "name: ${output.name}"
  }

  assert {
    condition     = output.settings.itemgend.min_tasks == 0 && output.settings.itemgend.max_tasks == 10 && output.settings.itemgend.backlog_per_task == 400
    error_message = "itemgend: ${jsonencode(output.settings.itemgend)}"
  }

  assert {
    condition     = output.settings.db_deletion_protection && output.settings.delivery == "raw" && output.settings.log_retention_days == 7
    error_message = jsonencode(output.settings)
  }
}

# main.tf lists these keys, because otherwise the error for a string in their place would not name the key.
run "numbers_and_switches_are_known" {
  command = plan

  module {
    source = "./modules/config"
  }

  assert {
    condition = length(setsubtract(flatten([
      [for key, value in var.config : key if can(regex("^[0-9]+$", jsonencode(value)))],
      [for mapping in local.checked : [for key in try(keys(var.config[mapping]), []) : "${mapping}.${key}" if can(regex("^[0-9]+$", jsonencode(try(var.config[mapping][key], null))))]],
    ]), local.numbers)) == 0
    error_message = "A numeric key is missing in local.numbers."
  }

  assert {
    condition = length(setsubtract(flatten([
      [for key, value in var.config : key if contains(["true", "false"], jsonencode(value))],
      [for mapping in local.checked : [for key in try(keys(var.config[mapping]), []) : "${mapping}.${key}" if contains(["true", "false"], jsonencode(try(var.config[mapping][key], null)))]],
    ]), local.switches)) == 0
    error_message = "A switch is missing in local.switches."
  }
}

run "what_the_configuration_makes_of_it" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = {
      project_id = "imagery"
      stage      = "prod"
      tags       = { Team = "catalog", Stage = "mine" }
      itemgend   = { backlog_per_task = 7 }
    }
  }

  assert {
    condition     = output.name == "imagery-prod" && output.tags == tomap({ Team = "catalog", Project = "imagery", Stage = "prod" })
    error_message = jsonencode(output.tags)
  }

  assert {
    condition     = output.settings.itemgend.backlog_per_task == 7
    error_message = "backlog_per_task must be the given value"
  }
}

# config.example.yaml has every key, and the defaults.
run "the_example" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    given  = yamldecode(file("../config.example.yaml"))
    config = yamldecode(file("../config.example.yaml"))
  }

  assert {
    condition     = jsonencode(output.settings) == jsonencode(run.every_key_has_a_default.settings)
    error_message = "config.example.yaml differs from the defaults: ${jsonencode(output.settings)}, ${jsonencode(run.every_key_has_a_default.settings)}"
  }

  assert {
    condition     = length(setsubtract(keys(output.settings), keys(var.given))) == 0
    error_message = "config.example.yaml lacks: ${join(", ", setsubtract(keys(output.settings), keys(var.given)))}"
  }

  # cpu, memory_mib, cache_gib and disk_gib are computed from the others.
  assert {
    condition = alltrue([for key in ["itemgend", "itemloadd", "instances", "stac_api", "alarms"] :
      length(setsubtract(keys(output.settings[key]), concat(keys(var.given[key]), ["cpu", "memory_mib", "cache_gib", "disk_gib"]))) == 0
    ])
    error_message = "config.example.yaml lacks a key of a mapping."
  }
}

# ------------------------------------------------------------ task sizes: slots x memory + 512 MiB, rounded up to a size of Fargate's

run "size_of_one_slot" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { item_slots = 1 } }
  }

  assert {
    condition     = output.settings.itemgend.cpu == 512 && output.settings.itemgend.memory_mib == 2048
    error_message = jsonencode(output.settings.itemgend)
  }

  assert {
    condition     = output.settings.itemloadd.cpu == 512 && output.settings.itemloadd.memory_mib == 1024
    error_message = jsonencode(output.settings.itemloadd)
  }
}

run "size_of_four_slots" {
  command = plan

  module {
    source = "./modules/config"
  }

  assert {
    condition     = output.settings.itemgend.cpu == 2048 && output.settings.itemgend.memory_mib == 5120 && output.settings.itemgend.disk_gib == 21
    error_message = jsonencode(output.settings.itemgend)
  }
}

run "size_of_sixteen_slots" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { item_slots = 16 } }
  }

  # 16 x 1024 + 512 = 16896: the next step of 4096.
  assert {
    condition     = output.settings.itemgend.cpu == 8192 && output.settings.itemgend.memory_mib == 20480 && output.settings.itemgend.disk_gib == 30
    error_message = jsonencode(output.settings.itemgend)
  }
}

run "memory_may_need_more_cpu" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { item_slots = 1, item_memory_mib = 6144 } }
  }

  # 512 units have 4096 MiB at most, 1024 units 8192.
  assert {
    condition     = output.settings.itemgend.cpu == 1024 && output.settings.itemgend.memory_mib == 7168
    error_message = jsonencode(output.settings.itemgend)
  }
}

run "exactly_a_size" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { item_slots = 1, item_memory_mib = 1536 }, itemloadd = { memory_mib = 4096 } }
  }

  assert {
    condition     = output.settings.itemgend.memory_mib == 2048 && output.settings.itemloadd.cpu == 512 && output.settings.itemloadd.memory_mib == 4096
    error_message = jsonencode([output.settings.itemgend, output.settings.itemloadd])
  }
}

run "more_than_fargate_has" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { item_slots = 33 } }
  }

  expect_failures = [output.settings]
}

# ------------------------------------------------------------ refused values

run "an_unknown_key" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    given = { projectid = "imagery" }
  }

  expect_failures = [output.settings]
}

run "an_unknown_key_within_a_mapping" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    given  = { itemgend = { slots = 4 } }
    config = { itemgend = {} }
  }

  expect_failures = [output.settings]
}

run "an_unknown_key_within_a_list" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    given  = { bucket_notifications = [{ bucket = "stac-items", sufix = ".json" }] }
    config = { bucket_notifications = [{ bucket = "stac-items" }] }
  }

  expect_failures = [output.settings]
}

run "a_text_where_a_number_belongs" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    given = { itemgend = { item_slots = "many" } }
  }

  expect_failures = [var.given]
}

run "a_text_where_a_switch_belongs" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    given = { pgbouncer = "yes" }
  }

  expect_failures = [var.given]
}

run "project_id_with_capitals" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { project_id = "Imagery" }
  }

  expect_failures = [var.config]
}

run "project_id_with_an_underscore" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { project_id = "my_project" }
  }

  expect_failures = [var.config]
}

run "stage_with_a_trailing_hyphen" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { stage = "test-" }
  }

  expect_failures = [var.config]
}

run "names_that_are_too_long" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { project_id = "a-project-with-a-long-name", stage = "prod" }
  }

  expect_failures = [var.config]
}

run "a_region_that_is_none" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { region = "Oregon" }
  }

  expect_failures = [var.config]
}

run "a_tag_of_aws" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { tags = { "aws:owner" = "me" } }
  }

  expect_failures = [var.config]
}

run "a_compute_that_is_none" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { compute = "lambda" }
  }

  expect_failures = [var.config]
}

run "an_architecture_that_is_none" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { architecture = "amd64" }
  }

  expect_failures = [var.config]
}

run "a_delivery_that_is_none" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { delivery = "wrapped" }
  }

  expect_failures = [var.config]
}

run "three_nat_gateways" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { nat_gateway_count = 3 }
  }

  expect_failures = [var.config]
}

run "containers_on_ec2_without_nat" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { compute = "ecs-ec2" }
  }

  expect_failures = [var.config]
}

run "a_vpc_that_is_none" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { vpc = { id = "main", public_subnet_ids = ["subnet-1", "subnet-2"], isolated_subnet_ids = ["subnet-3", "subnet-4"] } }
  }

  expect_failures = [var.config]
}

run "a_vpc_without_isolated_subnets" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { vpc = { id = "vpc-1", public_subnet_ids = ["subnet-1", "subnet-2"] } }
  }

  expect_failures = [var.config]
}

run "a_vpc_without_public_subnets_for_the_api" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { vpc = { id = "vpc-1", private_subnet_ids = ["subnet-1"], isolated_subnet_ids = ["subnet-3", "subnet-4"] } }
  }

  expect_failures = [var.config]
}

run "a_secret_that_is_no_arn" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { database_secret_arn = "pgstac" }
  }

  expect_failures = [var.config]
}

run "pgbouncer_before_an_existing_database" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { pgbouncer = true, database_secret_arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:pgstac-AbCdEf" }
  }

  expect_failures = [var.config]
}

run "a_security_group_that_is_none" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { database_security_group_id = "default" }
  }

  expect_failures = [var.config]
}

run "more_tasks_at_least_than_at_most" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { min_tasks = 3, max_tasks = 2 } }
  }

  expect_failures = [var.config]
}

run "no_tasks_at_all" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemloadd = { max_tasks = 0 } }
  }

  expect_failures = [var.config]
}

run "half_a_task" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemloadd = { max_tasks = 1.5 } }
  }

  expect_failures = [var.config]
}

run "a_spot_share_of_more_than_all" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { spot_share = 101 } }
  }

  expect_failures = [var.config]
}

run "a_spot_share_that_is_no_whole_number" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { spot_share = 0.5 } }
  }

  expect_failures = [var.config]
}

run "no_backlog_per_task" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemloadd = { backlog_per_task = 0 } }
  }

  expect_failures = [var.config]
}

run "no_slot" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { item_slots = 0 } }
  }

  expect_failures = [var.config]
}

run "half_a_slot" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { item_slots = 1.5 } }
  }

  expect_failures = [var.config]
}

run "hardly_any_memory" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { item_memory_mib = 32 } }
  }

  expect_failures = [var.config]
}

run "little_memory_to_load" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemloadd = { memory_mib = 256 } }
  }

  expect_failures = [var.config]
}

run "a_package_that_is_an_url" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { allowed_packages = ["git+https://example.com/package"] } }
  }

  expect_failures = [var.config]
}

run "a_warm_package_with_a_comma" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { warm_packages = ["stactools-landsat>=0.5,<1"] } }
  }

  expect_failures = [var.config]
}

run "no_package" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { allowed_packages = [] } }
  }

  expect_failures = [var.config]
}

run "a_variable_that_is_none" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemgend = { environment = { "time limit" = "1s" } } }
  }

  expect_failures = [var.config]
}

run "a_variable_of_two_lines" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemloadd = { environment = { ITEMLOADD_LOG_LEVEL = "info\ndebug" } } }
  }

  expect_failures = [var.config]
}

run "an_image_that_is_none" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { instances = { ami_id = "debian-12" } }
  }

  expect_failures = [var.config]
}

run "a_small_volume" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { instances = { volume_gib = 5 } }
  }

  expect_failures = [var.config]
}

run "a_package_role_that_is_no_arn" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { package_role_arn = "reader" }
  }

  expect_failures = [var.config]
}

run "a_bucket_that_is_none" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { itemloadd = { s3_buckets = ["s3://stac-items"] } }
  }

  expect_failures = [var.config]
}

run "a_bucket_told_twice" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { bucket_notifications = [{ bucket = "stac-items" }, { bucket = "stac-items", prefix = "a/" }] }
  }

  expect_failures = [var.config]
}

run "a_certificate_that_is_no_arn" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { stac_api = { certificate_arn = "stac.example.com" } }
  }

  expect_failures = [var.config]
}

run "a_message_size_beyond_sqs" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { max_message_size = 2097152 }
  }

  expect_failures = [var.config]
}

run "a_key_that_is_an_alias" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { kms_key_arn = "arn:aws:kms:us-west-2:123456789012:alias/stac" }
  }

  expect_failures = [var.config]
}

run "a_retention_that_cloudwatch_does_not_know" {
  command = plan

  module {
    source = "./modules/config"
  }

  variables {
    config = { log_retention_days = 10 }
  }

  expect_failures = [var.config]
}
