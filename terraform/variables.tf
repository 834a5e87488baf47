variable "config_file" {
  description = "The configuration, YAML; null: config.yaml in the folder above this one. config.example.yaml has every key."
  type        = string
  default     = null

  validation {
    condition     = fileexists(coalesce(var.config_file, "${path.module}/../config.yaml"))
    error_message = "${coalesce(var.config_file, "config.yaml")} does not exist: copy config.example.yaml to config.yaml and change it, or name another file as config_file."
  }

  validation {
    condition     = !fileexists(coalesce(var.config_file, "${path.module}/../config.yaml")) || can(yamldecode(file(coalesce(var.config_file, "${path.module}/../config.yaml"))))
    error_message = "${coalesce(var.config_file, "config.yaml")} is not valid YAML."
  }
}

variable "release" {
  description = "The release to run: the tag of the images in ECR, and the folder of the Debian package in S3. `make deploy` gives each build its own."
  type        = string
  default     = "latest"

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.release))
    error_message = "release must be letters, digits, dots, hyphens and underscores: an image tag."
  }
}

variable "force_delete" {
  description = "Overrides the configuration's force_delete. Before a destroy, an apply with true lifts the database's deletion protection and allows deleting the overflow bucket with its objects."
  type        = bool
  default     = null
}
