"""The units from an administrator's point of view: systemctl and journalctl."""

from __future__ import annotations

import json
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from local.stack import ROOT
from tests.integration.pipeline.conftest import Pipeline, item, wait_until
from tests.integration.pipeline.probe import make_wheel
from tests.integration.pipeline.test_generation import GFC_ARGS
from tests.integration.places import free_port

from .conftest import Booted

UNITS = ("itemgend", "itemloadd")


def journal(booted: Booted, unit: str, *match: str) -> list[dict[str, Any]]:
    output = booted.run(f"journalctl -q -u {unit} -o json {' '.join(match)}", check=False)
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def start(booted: Booted, *units: str) -> None:
    booted.run(f"systemctl start {' '.join(units)} || {{ journalctl -n 30 --no-pager; false; }}")


@pytest.fixture(autouse=True)
def stopped(booted: Booted):
    yield
    booted.run("systemctl stop itemgend itemloadd; systemctl reset-failed itemgend itemloadd", check=False)


@pytest.mark.parametrize("unit", UNITS)
def test_unit_verifies(booted: Booted, unit: str) -> None:
    assert booted.run(f"systemd-analyze verify --man=no {unit}.service") == ""


@pytest.mark.parametrize(("unit", "threshold"), [("itemgend", 35), ("itemloadd", 15)])
def test_exposure(booted: Booted, unit: str, threshold: int) -> None:
    booted.run(f"systemd-analyze security --no-pager --threshold={threshold} {unit}.service")


@pytest.fixture
def bubblewrap(booted: Booted) -> None:
    """Outside of any unit: a failure here is not caused by the unit."""
    done = booted.run("bwrap --unshare-user --unshare-pid --ro-bind / / echo works", check=False)
    if done != "works":
        pytest.skip(f"bubblewrap does not work on this machine: {done}")


@pytest.mark.usefixtures("bubblewrap")
def test_the_unit_lets_package_code_into_bubblewrap(booted: Booted) -> None:
    start(booted, "itemgend")
    chosen = wait_until("it is logged", lambda: journal(booted, "itemgend", "EVENT=SANDBOX_CHOSEN"))[-1]
    assert chosen["SANDBOX"] == "bubblewrap", journal(booted, "itemgend", "EVENT=WARNING")
    assert chosen["MEMORY"] == "cgroup" or "; memory: limits and samples, because " in chosen["MESSAGE"]  # test_cgroup.py
    if booted.run("test -c /dev/net/tun && command -v slirp4netns", check=False):
        assert chosen["NETWORK"] == "filtered", journal(booted, "itemgend", "EVENT=WARNING")


@pytest.mark.usefixtures("bubblewrap")
def test_a_package_reports_what_it_sees(booted: Booted, pipeline: Pipeline, build: Path) -> None:
    with tempfile.TemporaryDirectory(dir=build) as folder:
        make_wheel(Path(folder))
        booted.run(f"rm -rf /usr/local/share/wheels; cp -r {folder} /usr/local/share/wheels; chmod 755 /usr/local/share/wheels")
    booted.run("cp /etc/stactools-ingest/environment /run/before; echo UV_FIND_LINKS=/usr/local/share/wheels >>/etc/stactools-ingest/environment")
    try:
        start(booted, "itemgend", "itemloadd")
        pipeline.publish(pipeline.gen_topic, {"package_name": "stactools-probe", "group_name": "probe", "create_item_args": ["environment"]})
        wait_until("the item is loaded", lambda: pipeline.ids(), timeout_s=120)
    finally:
        booted.run("cp /run/before /etc/stactools-ingest/environment")
    seen = pipeline.content("probe")["properties"]
    assert not {"home", "root", "run", "sys", "opt", "srv"} & set(seen["root"])
    assert not {"stactools-ingest", "shadow", "machine-id", "systemd"} & set(seen["etc"])
    assert re.search(r"^CapEff:\t0+$", seen["status"], re.M) and re.search(r"^NoNewPrivs:\t1$", seen["status"], re.M)
    assert not [name for name in seen["environ"] if name.startswith(("AWS_", "ITEMGEND_", "UV_", "NOTIFY", "INVOCATION"))]
    assert len(seen["processes"]) < 8, "only its own processes, and those that started it"


# Run by a copy of our unit, so under all of its restrictions, as itemgend runs package code.
PROBE = """
echo start: $(id -un) $(hostname)
touch /var/lib/itemgend/work/made && echo wrote
touch /var/cache/itemgend/made 2>/dev/null || echo read-only
ls /etc/stactools-ingest /var/log /run /home 2>/dev/null
env | grep -E 'AWS|ITEMGEND|NOTIFY'
unshare --user --pid --mount --fork --map-current-user sh -c 'echo nested $$'
echo end
"""


@pytest.mark.usefixtures("bubblewrap")
def test_the_view_of_package_code_under_the_unit(booted: Booted, build: Path) -> None:
    unit = "/run/systemd/system/itemgend-probe.service"
    booted.run(f"cp {build}/tests/sandbox /usr/local/bin/itemgend-probe; cat >/usr/local/bin/in-sandbox.sh <<'END'{PROBE}END")
    start = "/usr/local/bin/itemgend-probe -r /var/cache/itemgend -w /var/lib/itemgend/work sh /usr/local/bin/in-sandbox.sh"
    booted.run(f"sed -e 's|^ExecStart=.*|ExecStartPre=mkdir -p /var/lib/itemgend/work\\nExecStart={start}|' -e s/^Type=.*/Type=oneshot/"
               f" -e '/^Restart/d' -e /^Watchdog/d /lib/systemd/system/itemgend.service >{unit}; systemctl daemon-reload")  # fmt: skip
    booted.run("systemctl start itemgend-probe || { journalctl -n 30 --no-pager; false; }")
    lines = [line["MESSAGE"] for line in wait_until("it has ended", lambda: ended(journal(booted, "itemgend-probe", "_TRANSPORT=stdout")))]
    assert lines == ["start: nobody localhost", "wrote", "read-only", "nested 1", "end"]


REACH = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def reach(host):
    try:
        socket.create_connection((host, 80), 3).close()
        return "reached"
    except OSError:
        return "closed"
with ThreadPoolExecutor(8) as pool:
    for host, result in zip(sys.argv[1:], pool.map(reach, sys.argv[1:])):
        print(host, result)
"""
METADATA = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254")
ORDINARY = ("198.51.100.1", "2001:db8::1")


def test_metadata_endpoints_closed_by_the_documented_drop_in(booted: Booted) -> None:
    """In a network namespace of the test's own, with stand-ins on these addresses."""
    if booted.run("command -v ip", check=False) == "":
        pytest.skip("iproute2 is not installed")
    documented = (ROOT / "docs" / "explanation" / "sandbox.md").read_text()
    (denied,) = re.findall(r"^ +(IPAddressDeny=.*)$", documented, re.M)
    booted.run("ip netns add metadata && ip -n metadata link set lo up")
    for address in (*METADATA, *ORDINARY):
        booted.run(f"ip -n metadata address add {address}/{128 if ':' in address else 32} dev lo" + (" nodad" if ":" in address else ""))
    inside = "systemd-run --quiet -p NetworkNamespacePath=/run/netns/metadata"
    booted.run(f"{inside} --unit=stand-in /usr/bin/python3 -m http.server --bind :: --directory /run 80")
    booted.run(f"cat >/usr/local/bin/reach.py <<'END'{REACH}END")

    def reach(property_: str) -> dict[str, str]:
        command = f"-p DynamicUser=yes {property_} --wait --pipe /usr/bin/python3 /usr/local/bin/reach.py {' '.join((*METADATA, *ORDINARY))}"
        return dict(line.split() for line in booted.run(f"{inside} {command}").splitlines())

    try:
        wait_until("the stand-ins answer", lambda: set(reach("").values()) == {"reached"})
        properties = " ".join(f"-p {denied.split('=')[0]}={word}" for word in denied.split("=")[1].split())
        reached = reach(properties)
        if "closed" not in reached.values() and "closed" not in reach("-p IPAddressDeny=any").values():
            pytest.skip("systemd cannot close addresses on this machine: no cgroup BPF")
        assert reached == dict.fromkeys(METADATA, "closed") | dict.fromkeys(ORDINARY, "reached")
    finally:
        booted.run("systemctl stop stand-in; ip netns del metadata", check=False)


def ended(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return lines if any(line["MESSAGE"] == "end" for line in lines) else []


def test_a_request_through_both_units(booted: Booted, pipeline: Pipeline) -> None:
    start(booted, "itemgend", "itemloadd")
    assert booted.run("systemctl show -p ActiveState --value itemgend itemloadd").split() == ["active", "active"]
    pipeline.publish(
        pipeline.gen_topic,
        {
            "package_name": "stactools-glad-global-forest-change==0.1.2",
            "group_name": "gladglobalforestchange",
            "create_item_args": GFC_ARGS,
            "collection_id": "test",
        },
    )
    wait_until("the item is loaded", lambda: pipeline.ids(), timeout_s=120)
    (item_id,) = pipeline.ids()
    match = f"ITEM_ID={item_id}"
    loaded = wait_until("the journal has it", lambda: journal(booted, "itemloadd", "EVENT=ITEM_LOADED", match))
    assert loaded[0]["COLLECTION"] == "test"
    message_id = loaded[0]["SQS_MESSAGE_ID"]
    shown = booted.run("journalctl -q -u itemloadd --no-pager")
    assert item_id in shown and message_id in shown
    made = wait_until("the other journal has it", lambda: journal(booted, "itemgend", "EVENT=ITEM_GENERATED", match))
    assert made[0]["SQS_MESSAGE_ID"] and made[0]["SQS_MESSAGE_ID"] != message_id
    assert made[0]["MESSAGE_ID"] and made[0]["_SYSTEMD_UNIT"] == "itemgend.service"
    booted.run("systemctl stop itemgend itemloadd")
    assert booted.run("systemctl show -p Result --value itemgend itemloadd").split() == ["success", "success"]
    assert pipeline.counts(pipeline.gen_queue) == pipeline.counts(pipeline.load_queue) == (0, 0)


def test_stop_drains(booted: Booted, pipeline: Pipeline) -> None:
    booted.run("mkdir -p /run/systemd/system/itemloadd.service.d")
    override = "[Service]\\nEnvironment=ITEMLOADD_BATCH_ITEMS=40 ITEMLOADD_VISIBILITY_TIMEOUT=10m\\n"
    # EnvironmentFile wins over Environment, so settings to change must be removed from the file.
    booted.run("sed -i.all '/^ITEMLOADD_VISIBILITY_TIMEOUT=/d' /etc/stactools-ingest/environment")
    booted.run(f"printf '{override}' >/run/systemd/system/itemloadd.service.d/test.conf; systemctl daemon-reload")
    try:
        pipeline.publish_items([item(number) for number in range(240)])
        start(booted, "itemloadd")
        wait_until("it is working", lambda: len(pipeline.ids()) >= 40)
        booted.run("systemctl stop itemloadd")
    finally:
        booted.run("rm -r /run/systemd/system/itemloadd.service.d; mv /etc/stactools-ingest/environment.all /etc/stactools-ingest/environment")
        booted.run("systemctl daemon-reload")
    visible, in_flight = pipeline.counts(pipeline.load_queue)
    assert in_flight == 0 and len(pipeline.ids()) + visible == 240
    assert booted.run("systemctl show -p Result --value itemloadd") == "success"
    start(booted, "itemloadd")
    wait_until("the rest is loaded", lambda: len(pipeline.ids()) == 240)
    pipeline.wait_empty(pipeline.load_queue)


def test_reload(booted: Booted) -> None:
    start(booted, "itemloadd")
    pid = booted.run("systemctl show -p MainPID --value itemloadd")
    booted.run("cp /etc/stactools-ingest/itemloadd.yaml /tmp/good; echo 'batch_window: soon' >>/etc/stactools-ingest/itemloadd.yaml")
    booted.run("systemctl reload itemloadd")
    refused = wait_until("the bad one is refused", lambda: journal(booted, "itemloadd", "EVENT=CONFIG_REFUSED"))
    assert any("batch_window" in line["MESSAGE"] and "itemloadd.yaml:" in line["MESSAGE"] for line in refused)
    booted.run("cp /tmp/good /etc/stactools-ingest/itemloadd.yaml; echo 'log_level: debug' >>/etc/stactools-ingest/itemloadd.yaml")
    booted.run("systemctl reload itemloadd")
    wait_until("the good one is taken", lambda: journal(booted, "itemloadd", "EVENT=CONFIG_RELOADED"))
    booted.run("cp /tmp/good /etc/stactools-ingest/itemloadd.yaml")
    assert booted.run("systemctl is-active itemloadd") == "active"
    assert booted.run("systemctl show -p MainPID --value itemloadd") == pid


def test_the_units_allow_monitoring(booted: Booted) -> None:
    ports = {"itemgend": free_port(), "itemloadd": free_port()}
    booted.run("cp /etc/stactools-ingest/environment /run/before")
    for unit, port in ports.items():
        booted.run(f"echo {unit.upper()}_METRICS_ADDRESS=127.0.0.1:{port} >>/etc/stactools-ingest/environment")
        booted.run(f"echo {unit.upper()}_METRICS_NAMESPACE=Test >>/etc/stactools-ingest/environment")
    try:
        start(booted, "itemgend", "itemloadd")
        for unit, port in ports.items():
            assert booted.run(f"curl -sS http://127.0.0.1:{port}/health http://127.0.0.1:{port}/ready") == "healthy\nready"
            assert f"{unit}_ready 1" in booted.run(f"curl -sS http://127.0.0.1:{port}/metrics").splitlines()
            # As an administrator would, with the unit's own configuration and environment.
            health = f"set -a; . /etc/stactools-ingest/environment; {unit} --config /etc/stactools-ingest/{unit}.yaml --health"
            assert booted.run(f"( {health} )") == f"{unit}: healthy"
        booted.run("systemctl stop itemgend itemloadd")
        assert booted.run("systemctl show -p Result --value itemgend itemloadd").split() == ["success", "success"]
        assert journal(booted, "itemgend", "EVENT=METRICS") == [], "the journal takes no numbers"
    finally:
        booted.run("cp /run/before /etc/stactools-ingest/environment")


def test_a_bad_configuration_is_reported_and_not_tried_again(booted: Booted) -> None:
    booted.run("cp /etc/stactools-ingest/itemgend.yaml /tmp/good; echo 'workerz: 2' >>/etc/stactools-ingest/itemgend.yaml")
    try:
        booted.run("systemctl start itemgend", check=False)
        assert booted.run("systemctl show -p ExecMainStatus --value itemgend") == "78"
        time.sleep(6)
        assert booted.run("systemctl show -p NRestarts --value itemgend") == "0"
        assert "workerz" in booted.run("journalctl -q -u itemgend --no-pager")
    finally:
        booted.run("cp /tmp/good /etc/stactools-ingest/itemgend.yaml")


def test_a_killed_daemon_is_restarted(booted: Booted, pipeline: Pipeline) -> None:
    start(booted, "itemloadd")
    booted.run("systemctl kill -s KILL itemloadd")
    wait_until("it is back", lambda: booted.run("systemctl show -p NRestarts --value itemloadd") == "1", timeout_s=30)
    pipeline.publish(pipeline.load_topic, item(1))
    wait_until("it works", lambda: pipeline.ids() == ["item-1"])
