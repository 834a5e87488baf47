# The set-up at an instance's first start.
locals {
  # Quoted for systemd.
  environment = join("", [for key in sort(keys(var.environment)) :
    format("%s=\"%s\"\n", key, replace(replace(var.environment[key], "\\", "\\\\"), "\"", "\\\""))
  ])

  shipper_unit = templatefile("${path.module}/files/ship-journal.service.tftpl", {
    daemon = var.daemon
    group  = aws_cloudwatch_log_group.this.name
    region = local.region
  })

  cloud_config = "#cloud-config\n${yamlencode({
    package_update = true
    packages       = ["python3-boto3", "ca-certificates", "curl"]
    write_files = [
      { path = "/etc/stactools-ingest/environment", permissions = "0600", content = local.environment },
      { path = "/usr/local/sbin/ship-journal", permissions = "0755", content = file("${path.module}/files/ship-journal.py") },
      { path = "/usr/local/sbin/set-up-daemon", permissions = "0755", content = file("${path.module}/files/set-up-daemon.sh") },
      { path = "/etc/systemd/system/ship-journal.service", permissions = "0644", content = local.shipper_unit },
    ]
    runcmd = [
      ["systemctl", "enable", "--now", "ship-journal.service"],
      concat(
        ["env", "AWS_DEFAULT_REGION=${local.region}", "/usr/local/sbin/set-up-daemon", var.daemon, var.package.bucket, var.package.key],
        var.ca_bundle_url == null ? [] : [var.ca_bundle_url],
      ),
    ]
  })}"
}
