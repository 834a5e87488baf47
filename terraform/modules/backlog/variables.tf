variable "queue_name" {
  description = "Queue whose backlog is worked off."
  type        = string
}

variable "running" {
  description = "Metric that counts who works on it: tasks or instances."
  type = object({
    namespace   = string
    metric_name = string
    dimensions  = map(string)
  })
}
