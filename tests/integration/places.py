"""A directory for the stacks of one test, and checks of what is left in it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.stack import ROOT, Stack

FAKE = Path(__file__).with_name("fake_daemon.py")


def naming(folder: Path) -> dict[int, str]:
    """Processes whose arguments or environment name this directory."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in arguments + environment:
            found[int(entry.name)] = arguments.replace(b"\0", b" ").decode(errors="replace")
    return found


def left_in(folder: Path) -> list[str]:
    """Files of stacks, except logs."""
    files = [path for part in ("stack", "tmp") for path in (folder / part).rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(folder)) for path in files if path.suffix != ".log")


def fake_programs(folder: Path) -> Path:
    programs = folder / "programs"
    programs.mkdir()
    for name in ("itemgend", "itemloadd"):
        shutil.copy(FAKE, programs / name)
    return programs


def record_of(place: Path, name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((place / f"{name}.json").read_text())
    return record


def open_ports(stack: Stack) -> list[str]:
    found = []
    for where in stack.state.endpoints.values():
        host, _, port = where.partition(":")
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                found.append(where)
    return found


def command(*arguments: str, place: Path, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "local.stack", *arguments, "--dir", str(place / "stack")],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(*arguments: str, place: Path, **environment: str) -> tuple[int, str]:
    child = command(*arguments, place=place, **environment)
    output, _ = child.communicate(timeout=120)
    return child.returncode, output


def wait_until(holds: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "did not come to hold in time"
        time.sleep(0.01)


def free_port() -> int:
    """A free port on loopback. It is not reserved for the caller."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
