"""A daemon as the first process of a PID namespace, as in a container: build/tests/service, whose workers only wait."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("BUILD", "build") / "tests" / "service"
UNSHARE = ["unshare", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")), "--pid", "--fork", "--mount-proc", "--kill-child"]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_until(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within 20 s"
        time.sleep(0.05)


class First:
    """A running daemon, and its process id outside."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.outer = subprocess.Popen([*UNSHARE, TOOL], env={"PATH": os.environ["PATH"], "TOOL_SERVICE_LOG_LEVEL": "info"}, stdout=log.open("w"))
        wait_until("it is ready", lambda: self.has("DAEMON_STARTED"))
        (self.pid,) = children(self.outer.pid)

    def has(self, event: str) -> bool:
        return f'"event":"{event}"' in self.log.read_text().replace(" ", "")

    def inside(self, script: str) -> str:
        return subprocess.check_output(["nsenter", "-t", str(self.pid), "--pid", "--mount", *(() if os.geteuid() == 0 else ("--user",)), "sh", "-c", script], text=True)


@pytest.fixture
def first(tmp_path: Path) -> Iterator[First]:
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("cannot create a PID namespace")
    made = First(tmp_path / "log")
    yield made
    made.outer.kill()
    made.outer.wait()


def test_it_waits_for_orphaned_processes(first: First) -> None:
    number = first.inside("sleep 1 >/dev/null & echo $!; ps -o pid= -p 1 >/dev/null")
    (orphan,) = children(first.pid)
    assert f"\t{number.strip()}\n" in Path(f"/proc/{orphan}/status").read_text().split("NSpid:")[1]
    wait_until("it has exited, and no zombie is left", lambda: not children(first.pid))
    assert state(first.pid) in "SR"


def test_a_stop_drains(first: First) -> None:
    os.kill(first.pid, signal.SIGTERM)
    assert first.outer.wait(20) == 0
    assert first.has("DAEMON_STOPPING") and first.has("DAEMON_STOPPED")


def test_processes_inside_cannot_kill_it(first: First) -> None:
    first.inside("kill -KILL 1; kill -ABRT 1; kill -STOP 1; true")
    time.sleep(0.5)
    assert state(first.pid) in "SR"
    os.kill(first.pid, signal.SIGTERM)
    assert first.outer.wait(20) == 0
