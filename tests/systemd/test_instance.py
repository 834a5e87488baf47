"""
An instance of terraform/modules/instances: its journal becomes lines in CloudWatch Logs, and its daemon comes from S3.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.cloud import Account
from local.stack import ROOT, TOOLS
from tests.integration.pipeline.conftest import wait_until
from tests.terraform.workspace import local_aws

from .conftest import Booted

FILES = ROOT / "terraform" / "modules" / "instances" / "files"
GROUP, STREAM = "imagery-prod-itemloadd", "itemloadd/i-0123456789abcdef0"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with local_aws(tmp_path_factory.mktemp("logs")) as account:
        account.client("logs").create_log_group(logGroupName=GROUP)
        yield account


@pytest.fixture(scope="module")
def fresh(booted: Booted) -> Booted:
    """The state of a new instance: the journal has no entries of other tests' daemons."""
    booted.run("systemctl stop itemloadd; journalctl --sync --rotate --vacuum-size=1", check=False)
    return booted


@pytest.fixture
def shipper(fresh: Booted, account: Account) -> Iterator[Booted]:
    """The unit of an instance, except for the address of AWS and the Python that has boto3."""
    region = account.client("logs").meta.region_name
    words = {"daemon": "itemloadd", "group": GROUP, "region": region}
    template = (FILES / "ship-journal.service.tftpl").read_text()
    unit = re.sub(r"\$\{(\w+)\}", lambda match: words[match[1]], template)
    here = f"""[Service]
ProtectHome=no
Environment=PATH={TOOLS}:/usr/bin:/bin AWS_ENDPOINT_URL={account.url} AWS_EC2_METADATA_DISABLED=true
Environment=AWS_ACCESS_KEY_ID={account.access_key_id} AWS_SECRET_ACCESS_KEY={account.secret_access_key}
"""
    fresh.run(f"install -m 755 {FILES / 'ship-journal.py'} /usr/local/sbin/ship-journal")
    fresh.run(f"cat >/etc/systemd/system/ship-journal.service <<'END'\n{unit}\nEND")
    fresh.run(f"mkdir -p /etc/systemd/system/ship-journal.service.d /var/lib/cloud/data; echo {STREAM.split('/')[1]} >/var/lib/cloud/data/instance-id")
    fresh.run(f"cat >/etc/systemd/system/ship-journal.service.d/here.conf <<'END'\n{here}\nEND")
    fresh.run("systemctl daemon-reload")
    yield fresh
    fresh.run("systemctl stop itemloadd ship-journal", check=False)


def lines(account: Account) -> list[dict[str, Any]]:
    logs = account.client("logs")
    if not logs.describe_log_streams(logGroupName=GROUP)["logStreams"]:
        return []
    events = logs.get_log_events(logGroupName=GROUP, logStreamName=STREAM, startFromHead=True)["events"]
    assert [event["timestamp"] for event in events] == sorted(event["timestamp"] for event in events)
    return [json.loads(event["message"]) for event in events]


def of(account: Account, event: str) -> list[dict[str, Any]]:
    return [line for line in lines(account) if line.get("event") == event]


def test_the_unit_verifies(shipper: Booted) -> None:
    assert shipper.run("systemd-analyze verify --man=no ship-journal.service") == ""


def test_lines_are_those_of_a_container(shipper: Booted, account: Account) -> None:
    shipper.run("systemctl start ship-journal itemloadd")
    (started,) = wait_until("it is shipped", lambda: of(account, "DAEMON_STARTED"))
    assert list(started)[:4] == ["time", "level", "event", "message"]
    assert started["level"] == "notice" and started["config"].endswith("itemloadd.yaml") and started["version"]
    assert not [name for name in started if name.startswith("_") or name in ("message_id", "priority", "syslog_identifier")]

    # systemd's own messages about the unit, which say when it did not start.
    assert any("itemloadd.service" in line["message"] for line in lines(account) if "event" not in line)

    # The machine shuts down: the daemon's last lines are shipped, once each.
    shipper.run("systemctl stop itemloadd; systemctl stop ship-journal")
    (stopped,) = of(account, "DAEMON_STOPPED")
    assert {"received", "done", "never", "returned"} <= set(stopped)
    assert len(of(account, "DAEMON_STARTED")) == 1


def test_entries_that_could_not_be_sent_are_sent_later(shipper: Booted, account: Account) -> None:
    """Also across a restart of the shipper: nothing twice, nothing left out."""
    shipper.run("systemctl start ship-journal itemloadd")
    wait_until("one more has started", lambda: len(of(account, "DAEMON_STARTED")) == 2)
    shipper.run("sed -i 's|AWS_SECRET_ACCESS_KEY=|&wrong|' /etc/systemd/system/ship-journal.service.d/here.conf")
    shipper.run("systemctl daemon-reload; systemctl restart ship-journal; systemctl stop itemloadd")
    wait_until("it complains", lambda: "not shipped" in shipper.run("journalctl -q -u ship-journal", check=False))
    assert len(of(account, "DAEMON_STOPPED")) == 1
    shipper.run("sed -i 's|AWS_SECRET_ACCESS_KEY=wrong|AWS_SECRET_ACCESS_KEY=|' /etc/systemd/system/ship-journal.service.d/here.conf")
    shipper.run("systemctl daemon-reload; systemctl restart ship-journal")
    wait_until("it is sent", lambda: len(of(account, "DAEMON_STOPPED")) == 2)
    assert len(of(account, "DAEMON_STARTED")) == 2


# ------------------------------------------------------------ set-up-daemon.sh

UNIT = """[Unit]
Description=A daemon
[Service]
EnvironmentFile=/etc/stactools-ingest/environment
ExecStart=/bin/sleep 1000
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture
def package(account: Account, tmp_path: Path) -> str:
    """A Debian package with a unit, in S3. Returns its key."""
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: example-daemon\nVersion: 1\nArchitecture: all\nMaintainer: Tests <root@localhost>\nDescription: a unit\n"
    )
    unit = root / "lib" / "systemd" / "system" / "example.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(UNIT)
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, tmp_path / "example.deb"], check=True, capture_output=True)
    s3 = account.client("s3")
    if "packages" not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket="packages", CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    s3.upload_file(str(tmp_path / "example.deb"), "packages", "1.2.3/example.deb")
    return "1.2.3/example.deb"


def set_up(booted: Booted, account: Account, *arguments: str) -> str:
    """
    Runs the set-up and returns its output. `shutdown` needs a login manager, which the booted system does not have. A
    stand-in writes its arguments to /run/shutdown.
    """
    booted.run("rm -f /run/shutdown; mkdir -p /run/stub; printf '#!/bin/sh\\necho \"$@\" >/run/shutdown\\n' >/run/stub/shutdown; chmod +x /run/stub/shutdown")
    env = {
        "PATH": f"/run/stub:{TOOLS}:/usr/sbin:/usr/bin:/sbin:/bin",
        "AWS_ENDPOINT_URL": account.url,
        "AWS_ACCESS_KEY_ID": account.access_key_id,
        "AWS_SECRET_ACCESS_KEY": account.secret_access_key,
        "AWS_DEFAULT_REGION": account.client("s3").meta.region_name,
    }
    words = " ".join([*(f"{name}={value}" for name, value in env.items()), "sh", str(FILES / "set-up-daemon.sh"), *arguments])
    return booted.run(f"env {words}", check=False)


def test_the_daemon_is_installed_and_started(booted: Booted, account: Account, package: str) -> None:
    booted.run("mkdir -p /usr/local/share/ca; echo certificates >/usr/local/share/ca/bundle.pem")
    said = set_up(booted, account, "example", "packages", package, "file:///usr/local/share/ca/bundle.pem")
    assert booted.run("systemctl is-active example; systemctl is-enabled example", check=False).split() == ["active", "enabled"], said
    assert booted.run("cat /etc/stactools-ingest/rds-global-bundle.pem") == "certificates"
    assert booted.run("cat /run/shutdown", check=False) == "cat: /run/shutdown: No such file or directory"
    booted.run("systemctl stop example; dpkg --purge example-daemon")


def test_an_instance_that_cannot_be_set_up_shuts_down(booted: Booted, account: Account, package: str) -> None:
    said = set_up(booted, account, "example", "packages", "1.2.4/example.deb")
    assert "404" in said
    assert booted.run("cat /run/shutdown") == "-P +2 example could not be set up"
