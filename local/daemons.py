"""Starts itemgend and itemloadd as a service manager does: with an environment and a log, and waits for READY=1."""

import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local import process
from local.process import Process

NAMES = ("itemgend", "itemloadd")


class DaemonError(Exception):
    pass


@dataclass(frozen=True)
class Daemon:
    name: str
    program: Path
    config: Path  # passed as --config
    log: Path


class Notify:
    """The receiving end of sd_notify(3), in the abstract namespace, so that it leaves no file behind."""

    def __init__(self, channel: socket.socket, address: str) -> None:
        self._channel = channel
        self.address = address

    def ready_from(self, pid: int, timeout_s: float) -> bool:
        """
        True when READY=1 has come from this very process. Messages of others, and all other messages, are skipped.
        """
        self._channel.settimeout(max(timeout_s, 0.001))
        try:
            data, ancillary, _, _ = self._channel.recvmsg(65536, socket.CMSG_SPACE(struct.calcsize("3i")))
        except TimeoutError:
            return False
        senders = [struct.unpack("3i", value)[0] for _, kind, value in ancillary if kind == socket.SCM_CREDENTIALS]
        return senders == [pid] and "READY=1" in data.decode(errors="replace").splitlines()


@contextmanager
def notify_socket() -> Iterator[Notify]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        channel.bind("")  # Linux chooses a free abstract address
        name = channel.getsockname()
        yield Notify(channel, "@" + os.fsdecode(name[1:]))


def start(daemon: Daemon, env: Mapping[str, str], timeout_s: float, spawned: Callable[[Process], None]) -> None:
    """
    Starts a daemon and waits until it is ready. Raises DaemonError with the end of its log if it exits or stays
    silent.
    """
    with notify_socket() as notify:
        with process.interrupts.shielded():
            started, child = process.spawn(
                daemon.name,
                [str(daemon.program), "--config", str(daemon.config)],
                {**env, "NOTIFY_SOCKET": notify.address},
                daemon.log,
            )
            spawned(started)
        deadline = time.monotonic() + timeout_s
        while not notify.ready_from(child.pid, min(0.2, deadline - time.monotonic())):
            _check(daemon, child, deadline)


def _check(daemon: Daemon, child: "subprocess.Popen[bytes]", deadline: float) -> None:
    if child.poll() is not None:
        problem = f"{daemon.name} exited with {child.returncode} before it was ready"
    elif time.monotonic() >= deadline:
        problem = f"{daemon.name} was not ready in time"
    else:
        return
    raise DaemonError(f"{problem}; the end of {daemon.log}:\n{process.tail(daemon.log)}")
