variable "queue_name" {
  description = "Queue whose backlog counts."
  type        = string
}

variable "running" {
  description = "Metric that counts its workers: tasks or instances."
  type = object({
    namespace   = string
    metric_name = string
    dimensions  = map(string)
  })
}
