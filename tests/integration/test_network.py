"""
The addresses that package code can reach in each network, in a machine and an internet of the test (network_world.py):
no packet leaves the real machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from network_world import ENDPOINTS, INTERNET, MACHINE, ORDINARY, PORTS, RESOLVER

HERE = Path(__file__).parent
PYTHON = "/usr/bin/python3"  # the sandbox shows it
NOBODY = 65534
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    "ITEMGEND_QUEUE_URL": "https://sqs.eu-central-2.amazonaws.com/123456789012/q",
    "ITEMGEND_LOAD_TOPIC_ARN": "arn:aws:sns:eu-central-2:123456789012:t",
}
NAME = "data.example"
GATEWAYS = ("198.18.255.2", "198.18.255.3", "fd00::2", "fd00::3")
OWN = [[address, port] for address in ("127.0.0.1", "::1", "0.0.0.0", *MACHINE) for port in PORTS]
CLOSED = [
    *([address, 80] for address in ENDPOINTS),
    *([address, port] for address in GATEWAYS for port in (80, *PORTS)),
    *([f"::ffff:{address}", 80] for address in ENDPOINTS[:1]),
    [f"::ffff:{MACHINE[0]}", PORTS[0]],
    [RESOLVER, 53],
    *OWN,
]
OPEN = [*([address, 80] for address in ORDINARY), [NAME, 80], [INTERNET[0], 80]]
TAMPER = [
    ["nft", "flush", "ruleset"],
    ["nft", "delete", "table", "inet", "itemgend"],
    ["ip", "route", "replace", "169.254.169.254/32", "dev", "tap0"],
    ["ip", "address", "add", "192.0.2.77/24", "dev", "tap0"],
    ["ip", "link", "set", "tap0", "down"],
    ["unshare", "--user", "--map-root-user", "nft", "flush", "ruleset"],
    ["nsenter", "--net=/proc/1/ns/net", "--user=/proc/1/ns/user", "nft", "flush", "ruleset"],
]


@dataclass(frozen=True)
class World:
    enter: list[str]  # prefix of commands that run on the machine of the test
    programs: Path  # DIR/bin/sandbox, DIR/libexec/...
    as_user: list[str] = field(default_factory=list)

    @property
    def helper(self) -> str:
        return str(self.programs / "libexec/stactools-ingest/itemgend-network")

    def run(self, *command: str, who: str = "root", **settings: str) -> subprocess.CompletedProcess[str]:
        words = [*self.enter, *(self.as_user if who == "user" else []), *command]
        return subprocess.run(
            words, env=ENVIRONMENT | settings, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.enter, *command], env=ENVIRONMENT, cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def probe(self, wait_for: list[Any] | None = None, who: str = "root", **settings: str) -> dict[str, Any]:
        """Which addresses of CLOSED and OPEN package code can reach."""
        asked = {"targets": [*CLOSED, *OPEN], "wait_for": wait_for, "tamper": TAMPER}
        command = [str(self.programs / "bin/sandbox"), PYTHON, "-c", (HERE / "network_probe.py").read_text(), json.dumps(asked)]
        result = self.run(*command, who=who, **settings)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)


@pytest.fixture(scope="module")
def programs(build: Path) -> Iterator[Path]:
    """Copies of the programs that every user may run."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory = Path(name)
        for source, place in (("tests/sandbox", "bin"), ("libexec/stactools-ingest/itemgend-network", "libexec/stactools-ingest")):
            (directory / place).mkdir(parents=True)
            shutil.copy2(build / source, directory / place)
        directory.chmod(0o755)
        yield directory


def need(*names: str) -> None:
    for name in names:
        if not shutil.which(name, path=ENVIRONMENT["PATH"]):
            pytest.skip(f"{name} is not installed: make deps-test")


@pytest.fixture(scope="module")
def world(programs: Path) -> Iterator[World]:
    need("slirp4netns", "nft", "ip", "bwrap", "unshare", "nsenter")
    is_root = os.geteuid() == 0
    refused = subprocess.run(["unshare", "--user", "--net", "--mount", "true"], capture_output=True, text=True).stderr
    if refused:
        pytest.skip(f"no namespaces can be made here, as in a chroot: {refused}")
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"/dev/net/tun cannot be opened here: {error.strerror}")
    unshare = ["unshare", *([] if is_root else ["--user", "--map-root-user"]), "--net", "--mount"]
    machine = subprocess.Popen(
        [*unshare, sys.executable, str(HERE / "network_world.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert machine.stdin and machine.stdout
    try:
        assert machine.stdout.readline() == "up\n"
        of_user = [] if is_root else ["--user", "--preserve-credentials"]
        enter = ["nsenter", f"--target={machine.pid}", *of_user, "--net", "--mount"]
        user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        yield World(enter, programs, user if is_root else [])
    finally:
        machine.stdin.close()
        machine.wait(timeout=30)


@pytest.fixture(scope="module")
def user(world: World, programs: Path) -> str:
    """An ordinary user, with /dev/net/tun as udev sets it up on most machines."""
    if not world.as_user:
        pytest.skip("root only: the other tests run as an ordinary user already")
    tun = programs / "tun"
    for command in (["mknod", "-m", "666", str(tun), "c", "10", "200"], ["mount", "--bind", str(tun), "/dev/net/tun"]):
        result = world.run(*command)
        if result.returncode != 0:
            pytest.skip(f"no /dev/net/tun for users can be made here: {result.stderr}")
    return "user"


def answered(seen: dict[str, Any]) -> dict[str, str]:
    return {name: answer for name, answer in seen["reached"].items() if not answer.startswith("no: ")}


def every(targets: list[list[Any]], *devices: str) -> set[str]:
    return {
        f"{protocol} {address} {port}{device}" for address, port in targets for protocol in ("tcp", "udp") for device in ("", *devices)
    }


def assert_filtered(seen: dict[str, Any]) -> None:
    assert set(answered(seen)) == every(OPEN, " tap0")
    assert set(answered(seen).values()) == {"internet"}
    assert all(code != 0 for code in seen["tampered"].values()), seen["tampered"]


def test_filtered_reaches_the_internet_and_nothing_of_the_machine(world: World) -> None:
    assert_filtered(world.probe(wait_for=[ORDINARY[1], 80], ITEMGEND_NETWORK="filtered"))


def test_filtered_holds_for_an_ordinary_user(world: World, user: str) -> None:
    assert_filtered(world.probe(wait_for=[ORDINARY[1], 80], who=user, ITEMGEND_NETWORK="filtered"))


def test_loopback_ports_are_seen_and_no_others(world: World) -> None:
    seen = answered(world.probe(ITEMGEND_NETWORK="filtered", ITEMGEND_LOOPBACK_PORTS=f"{PORTS[0]}"))
    of_machine = {name for name, answer in seen.items() if answer == "machine"}
    # All addresses of the machine's loopback give its port, and no other address does.
    assert {name.replace(" tap0", "") for name in of_machine} == {
        f"tcp {address} {PORTS[0]}" for address in ("127.0.0.1", "0.0.0.0", GATEWAYS[0])
    }
    assert not any(address in name for name in seen for address in ENDPOINTS)


def test_open_reaches_all_of_it(world: World) -> None:
    """The addresses that are closed otherwise do answer, and `open` reaches all of them."""
    seen = answered(world.probe(ITEMGEND_NETWORK="open"))
    there = [[address, 80] for address in INTERNET] + OWN + [[NAME, 80]]
    assert every(there) - set(seen) <= {f"udp 0.0.0.0 {port}" for port in PORTS}


def test_closed_reaches_nothing(world: World) -> None:
    assert answered(world.probe(ITEMGEND_NETWORK="closed")) == {}


def test_auto_is_filtered_here(world: World) -> None:
    result = world.run(str(world.programs / "bin/sandbox"), "-d")
    assert result.stdout.splitlines()[0] == "in force: sandbox bubblewrap, network filtered", result.stdout + result.stderr


@pytest.mark.parametrize("missing", ["slirp4netns", "nft"])
def test_auto_is_open_and_says_why_where_something_is_missing(world: World, missing: str) -> None:
    hide = f'mount --bind /dev/null "$(command -v {missing})" && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", hide, "sh", str(world.programs / "bin/sandbox"), "-d"]
    result = world.run(*command)
    assert result.stdout.startswith("in force: sandbox bubblewrap, network open\n"), result.stdout + result.stderr
    assert f"cannot run {missing} (package " in result.stdout
    refused = world.run(*command, ITEMGEND_NETWORK="filtered")
    assert refused.returncode == 2 and "a filtered network does not work here" in refused.stderr


# ------------------------------------------------- descriptors and variables of the program


def test_descriptors_status_and_messages_go_through(world: World) -> None:
    reading, writing = os.pipe()
    command = [*world.enter, world.helper, "bash", "-c", f"echo $NAME >&{writing}; echo failed >&2; exit 7"]
    result = subprocess.run(
        command, env=ENVIRONMENT | {"NAME": "value"}, pass_fds=[writing], capture_output=True, text=True, timeout=60
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "value\n"  # up to its end: no other process keeps it open
    assert (result.returncode, result.stdout, result.stderr) == (7, "", "failed\n")


def test_a_signal_goes_through(world: World) -> None:
    assert world.run(world.helper, "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM


# ------------------------------------------------------------------------- the end


def children(pid: int) -> dict[str, int]:
    """The ids of its running children, by name."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, rest = path.read_text().split(" (", 1)
        except OSError:
            continue
        name, rest = rest.rsplit(") ", 1)
        state, parent = rest.split()[:2]
        if int(parent) == pid and state != "Z":
            found[name] = int(number)
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def sleeper(world: World) -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    """The helper with slirp4netns and a program, all running."""
    helper = world.start(world.helper, "sleep", "600")
    running: dict[str, int] = {}
    try:
        wait_until(lambda: {"slirp4netns", "sleep"} <= set(children(helper.pid)))
        running = children(helper.pid)
        yield helper, running
    finally:
        helper.kill()
        for pid in running.values():
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
        helper.communicate(timeout=30)


def test_all_of_it_ends_with_who_started_it(sleeper: tuple[subprocess.Popen[str], dict[str, int]]) -> None:
    helper, running = sleeper
    helper.kill()
    wait_until(lambda: not any(is_running(pid) for pid in running.values()))


def test_slirp4netns_ends_with_the_program(sleeper: tuple[subprocess.Popen[str], dict[str, int]]) -> None:
    helper, running = sleeper
    os.kill(running["sleep"], signal.SIGKILL)
    assert helper.wait(timeout=30) == -signal.SIGKILL
    assert not any(is_running(pid) for pid in running.values())


def test_the_program_ends_with_slirp4netns(sleeper: tuple[subprocess.Popen[str], dict[str, int]]) -> None:
    helper, running = sleeper
    os.kill(running["slirp4netns"], signal.SIGKILL)
    _, said = helper.communicate(timeout=30)
    assert helper.returncode == 125 and "slirp4netns has ended" in said
    assert not any(is_running(pid) for pid in running.values())
