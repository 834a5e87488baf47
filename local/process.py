"""Processes that outlive the command that starts them. Only the stack's own `down` ends them."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Interrupted(BaseException):
    """A signal asked this command to end. Like KeyboardInterrupt, no `except Exception` catches it."""


class StartError(Exception):
    pass


class Interrupts:
    """
    Lets SIGINT, SIGTERM and SIGHUP end a command anywhere except inside shielded(). Only the first one does: a second
    one could come between the exception and the clean-up that handles it.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._pending = False
        self._raised = False

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, _signum: int, _frame: object) -> None:
        self._pending = True
        self._raise_if_due()

    def _raise_if_due(self) -> None:
        if self._pending and self._depth == 0 and not self._raised:
            self._raised = True
            raise Interrupted

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Delays signals, so that a step is never half done: start a process and record it, or take a stack down."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            self._raise_if_due()


interrupts = Interrupts()


@dataclass(frozen=True)
class Process:
    name: str
    pid: int
    started: int  # clock ticks since boot, from /proc/PID/stat: the pid alone may later belong to another process


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third ("state") on, or None if the process does not exist."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _start_time(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def is_alive(process: Process) -> bool:
    return _start_time(process.pid) == process.started


def spawn(
    name: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    log: Path,
    *,
    cwd: str = "/",
    user: str | None = None,
    pass_fds: Sequence[int] = (),
) -> tuple[Process, "subprocess.Popen[bytes]"]:
    """Starts a process in its own session. Its output goes to `log`. As root, it runs as `user`."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            argv,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            start_new_session=True,
            pass_fds=pass_fds,
            **as_user(user),
        )
    started = _start_time(child.pid)
    return Process(name, child.pid, started if started is not None else -1), child


def as_user(user: str | None) -> dict[str, Any]:
    """Arguments of subprocess to run as `user`; empty if this process already is that user."""
    if user is None or os.geteuid() != 0:
        return {}
    return {"user": user, "group": user, "extra_groups": []}


def _send(process: Process, number: int) -> None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        if is_alive(process):  # checked after the descriptor was opened, so the descriptor is of this very process
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def _reap(process: Process) -> None:
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


def _session(process: Process) -> list[Process]:
    """
    The remaining processes of the session that `process` led. Its pid is not given away while the session has
    members.
    """
    leader = _start_time(process.pid)
    if leader is not None and leader != process.started:
        return []
    members = []
    for entry in os.listdir("/proc"):
        fields = _stat(int(entry)) if entry.isdigit() else None
        if fields and fields[0] not in "ZX" and int(fields[3]) == process.pid and int(fields[19]) >= process.started:
            members.append(Process(process.name, int(entry), int(fields[19])))
    return members


def _wait_for_end(processes: Sequence[Process], deadline: float) -> list[Process]:
    while True:
        for process in processes:
            _reap(process)
        left = [process for process in processes if is_alive(process)]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(0.02)


def stop(processes: Sequence[Process], number: int, timeout_s: float) -> list[Process]:
    """
    Ends processes and the rest of their sessions, all at the same time. Returns those that still ran after `timeout_s`
    and were killed.
    """
    for process in processes:
        _send(process, number)
    late = _wait_for_end(processes, time.monotonic() + timeout_s)
    remains = [member for process in processes for member in _session(process)]
    for member in remains:
        _send(member, signal.SIGKILL)
    _wait_for_end([*late, *remains], time.monotonic() + 10)
    return late


def tail(log: Path, lines: int = 20) -> str:
    """The end of a log, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16384))
            text = file.read().decode(errors="replace")
    except OSError:
        return f"({log} is not there)"
    return "\n".join(text.splitlines()[-lines:])


class Starting:
    """A server that has been started and will report its address."""

    def __init__(self, name: str, child: "subprocess.Popen[bytes]", reader: int, log: Path) -> None:
        self._name = name
        self._child = child
        self._reader = reader
        self._log = log

    def wait(self, timeout_s: float) -> dict[str, Any]:
        readable, _, _ = select.select([self._reader], [], [], timeout_s)
        data = os.read(self._reader, 65536) if readable else b""
        os.close(self._reader)
        if not data:
            problem = "exited" if readable else f"did not start within {timeout_s} s"
            raise StartError(f"{self._name} {problem}; the end of {self._log}:\n{tail(self._log)}")
        answer: dict[str, Any] = json.loads(data)
        return answer
