#!/bin/sh
# set-up-daemon DAEMON BUCKET KEY [CA_BUNDLE_URL]: installs the daemons' Debian package from S3 and starts one of them. If that
# fails, the instance shuts down after two minutes, which is enough to ship its log, and its group starts another.
set -eu
daemon=$1 bucket=$2 key=$3 ca_bundle_url=${4:-}
package=/var/cache/stactools-ingest.deb

give_up() {
    status=$?
    [ "$status" = 0 ] || shutdown -P +2 "$daemon could not be set up"
    exit "$status"
}
trap give_up EXIT

[ -z "$ca_bundle_url" ] ||
    curl --fail --silent --show-error --retry 5 --retry-all-errors --output /etc/stactools-ingest/rds-global-bundle.pem "$ca_bundle_url"
python3 -c 'import boto3, sys; boto3.client("s3").download_file(*sys.argv[1:])' "$bucket" "$key" "$package"
# The file `environment` exists before the package is installed; the package leaves it alone.
DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install -y --install-recommends "$package"
systemctl daemon-reload
systemctl enable "$daemon.service"
systemctl restart "$daemon.service"
