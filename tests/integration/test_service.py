"""A daemon's life as an operator and systemd see it: build/tests/service is a daemon whose workers only wait."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("BUILD", "build") / "tests" / "service"


class Daemon:
    """A running tool, its log, and its notifications to systemd."""

    def __init__(self, folder: Path, settings: dict[str, str], environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.config = folder / "tool.yaml"
        self.log = folder / "log"
        self.configure(settings)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.notified: list[tuple[float, str]] = []
        self.process = subprocess.Popen(
            [TOOL, "--config", self.config],
            env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(folder / "notify")} | (environment or {}),
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
        )

    def configure(self, settings: dict[str, str]) -> None:
        self.config.write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))

    def listen(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                return
            now = time.monotonic()
            self.notified += [(now, line) for line in self.socket.recv(4096).decode().splitlines()]

    def count(self, line: str) -> int:
        return sum(text.startswith(line) for _, text in self.notified)

    def wait_notified(self, line: str, times: int = 1, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while self.count(line) < times:
            assert time.monotonic() < deadline, f"no {line}, {times} times: {self.notified}\n{self.log.read_text()}"
            self.listen(0.05)

    def lines(self, event: str) -> list[dict[str, str]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def wait_line(self, event: str, times: int = 1, seconds: float = 10) -> dict[str, str]:
        deadline = time.monotonic() + seconds
        while len(lines := self.lines(event)) < times:
            assert time.monotonic() < deadline, f"no {event}: {self.log.read_text()}"
            time.sleep(0.02)
        return lines[0]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 10) -> int:
        return self.process.wait(seconds)


@pytest.fixture
def start() -> Iterator:
    # A socket's path is at most 107 bytes, which pytest's folders may exceed.
    folder = Path(tempfile.mkdtemp(prefix="service."))
    daemons: list[Daemon] = []

    def start_one(settings: dict[str, str] | None = None, environment: dict[str, str] | None = None) -> Daemon:
        daemon = Daemon(folder, settings or {}, environment)
        daemons.append(daemon)
        return daemon

    yield start_one
    for daemon in daemons:
        daemon.process.kill()
        daemon.process.wait()
        daemon.socket.close()
    shutil.rmtree(folder)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TOOL, *arguments], env={"PATH": os.environ["PATH"]} | environment, capture_output=True, text=True, timeout=20
    )


def test_arguments() -> None:
    assert run("--help").returncode == 0
    assert "Usage: tool-service" in run("-h").stdout
    assert run("--version").stdout.startswith("tool-service ")
    assert "stop_timeout\n    How long" in run("--help-config").stdout
    assert "#stop_timeout: 90s\n" in run("--help-config=yaml").stdout
    assert ".Ev TOOL_SERVICE_STOP_TIMEOUT" in run("--help-config=man").stdout
    assert "`TOOL_SERVICE_STOP_TIMEOUT`" in run("--help-config=markdown").stdout
    for arguments in (["--nonsense"], ["extra"], ["--config"], ["--help-config=html"], ["--help-config", "yaml"]):
        result = run(*arguments)
        assert result.returncode == 64
        assert "Try 'tool-service --help'" in result.stderr


def test_help_that_cannot_be_written_is_a_failure() -> None:
    with open("/dev/full", "w") as full:
        assert subprocess.run([TOOL, "--help"], stdout=full, timeout=20).returncode == 1


def test_check_config(tmp_path: Path) -> None:
    config = tmp_path / "tool.yaml"
    config.write_text("workers: 3\n")
    result = run("--config", str(config), "--check-config", TOOL_SERVICE_STOP_TIMEOUT="7s")
    assert result.returncode == 0
    assert result.stdout == (
        f"workers: 3  # {config}:1\n"
        "behaviour: wait  # default\n"
        "stop_timeout: 7s  # environment TOOL_SERVICE_STOP_TIMEOUT\n"
        "log_level: info  # default\n"
        "metrics_address: \"\"  # default\n"
        "metrics_namespace: \"\"  # default\n"
        "task_protection: true  # default\n"
        "# the last worker will wait\n"
    )
    config.write_text("workers: 9\nworker: 1\n")
    result = run("--config", str(config), "--check-config", TOOL_SERVICE_LOGLEVEL="info")
    assert result.returncode == 78
    assert result.stdout == ""
    assert result.stderr == (
        f"{config}:1: workers: 9 is not in the range 1 to 8\n"
        f"{config}:2: worker: unknown key; did you mean workers?\n"
        "environment TOOL_SERVICE_LOGLEVEL: unknown key; did you mean TOOL_SERVICE_LOG_LEVEL?\n"
    )


def test_a_bad_configuration_at_start_is_logged_and_ends_with_78(start) -> None:
    daemon = start({"workers": "many", "colour": "blue"})
    assert daemon.wait() == 78
    messages = [line["message"] for line in daemon.lines("CONFIG_REFUSED")]
    assert messages == [
        f'{daemon.config}:1: workers: expected a whole number, got "many"',
        f"{daemon.config}:2: colour: unknown key",
    ]
    daemon.listen(0.05)
    assert daemon.count("READY=1") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ready_and_a_stop_that_drains(start, number: signal.Signals) -> None:
    daemon = start({"stop_timeout": "5s"})
    daemon.wait_notified("READY=1")
    daemon.wait_notified("STATUS=running: received 2, done 0")
    assert daemon.wait_line("DAEMON_STARTED")["level"] == "notice"
    daemon.signal(number)
    assert daemon.wait() == 0
    daemon.listen(0.05)
    assert daemon.count("STOPPING=1") == 1
    assert daemon.count("EXTEND_TIMEOUT_USEC=15000000") == 1
    assert daemon.lines("DAEMON_STOPPED")[0]["done"] == "2"


def test_other_processes_cannot_read_its_files_and_memory(start) -> None:
    daemon = start()
    daemon.wait_notified("READY=1")
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert status["Umask"] == "0077"
    assert int(status["SigIgn"], 16) & 1 << (signal.SIGPIPE - 1)
    if b"__asan_init" not in TOOL.read_bytes():
        # A process that is not dumpable has its /proc files owned by root, whoever runs it.
        assert Path(f"/proc/{daemon.process.pid}/environ").stat().st_uid == 0
        if os.getuid() != 0:
            with pytest.raises(PermissionError):
                Path(f"/proc/{daemon.process.pid}/environ").read_bytes()


def test_the_stop_timeout_aborts_the_work_in_progress(start) -> None:
    daemon = start({"behaviour": "slow", "stop_timeout": "1s"})
    daemon.wait_notified("READY=1")
    before = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert 0.9 < time.monotonic() - before < 4
    assert "the stop timeout is over" in daemon.lines("DAEMON_STOPPING")[1]["message"]


def test_a_second_signal_ends_at_once(start) -> None:
    daemon = start({"behaviour": "slow", "stop_timeout": "10m"})
    daemon.wait_notified("READY=1")
    daemon.signal(signal.SIGTERM)
    daemon.wait_notified("STATUS=stopping")
    assert daemon.process.poll() is None
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(3) == 0
    assert "second signal" in daemon.lines("DAEMON_STOPPING")[1]["message"]


def test_the_process_ends_without_a_worker_that_ignores_the_abort(start) -> None:
    daemon = start({"behaviour": "stuck", "stop_timeout": "0s"})
    daemon.wait_notified("READY=1")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(20) == 1
    assert "without waiting any longer for worker 2" in daemon.lines("DAEMON_STOPPED")[0]["message"]


@pytest.mark.parametrize(
    ("behaviour", "text"), [("fail", "worker 3: the queue does not exist; create it"), ("fatal", "worker 3: ")]
)
def test_a_worker_that_cannot_go_on_ends_the_service(start, behaviour: str, text: str) -> None:
    daemon = start({"behaviour": behaviour, "workers": "3"})
    assert daemon.wait() == 1
    line = daemon.lines("DAEMON_STOPPED")[-1]
    assert line["level"] == "error"
    assert text in line["message"]
    # The others have returned.
    daemon.listen(0.05)
    assert daemon.count("STOPPING=1") == 1


def test_a_worker_that_is_done_ends_the_service(start) -> None:
    daemon = start({"behaviour": "end"})
    assert daemon.wait() == 0


def test_a_start_that_fails(start) -> None:
    daemon = start({"behaviour": "refuse"})
    assert daemon.wait() == 1
    assert "the table does not exist" in daemon.lines("DAEMON_STOPPED")[0]["message"]
    daemon.listen(0.05)
    assert daemon.count("READY=1") == 0


def test_a_start_that_waits_can_be_stopped(start) -> None:
    daemon = start({"behaviour": "start_waits"})
    daemon.wait_notified("STATUS=starting")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait(3) == 0
    assert daemon.count("READY=1") == 0


def test_reload(start) -> None:
    daemon = start({"workers": "2"})
    daemon.wait_notified("READY=1")
    daemon.configure({"workers": "5"})
    before_us = time.monotonic_ns() // 1000
    daemon.signal(signal.SIGHUP)
    daemon.wait_notified("READY=1", times=2)
    order = [line.split("=")[0] for _, line in daemon.notified if not line.startswith("STATUS")]
    assert order == ["READY", "RELOADING", "MONOTONIC_USEC", "READY"]
    reloading_us = next(int(line.split("=")[1]) for _, line in daemon.notified if line.startswith("MONOTONIC_USEC"))
    assert before_us <= reloading_us <= time.monotonic_ns() // 1000
    daemon.wait_line("CONFIG_RELOADED")
    # The counters go on: two workers, then five.
    daemon.wait_notified("STATUS=running: received 7, done 2")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert len(daemon.lines("DAEMON_STARTED")) == 1


def test_a_bad_reload_changes_nothing(start) -> None:
    daemon = start({"workers": "2"})
    daemon.wait_notified("READY=1")
    daemon.configure({"workers": "0", "x": "y"})
    daemon.signal(signal.SIGHUP)
    daemon.wait_notified("READY=1", times=2)
    messages = [line["message"] for line in daemon.lines("CONFIG_REFUSED")]
    assert messages == [
        f"{daemon.config}:1: workers: 0 is not in the range 1 to 8",
        f"{daemon.config}:2: x: unknown key",
        "keeping the previous configuration",
    ]
    daemon.wait_notified("STATUS=running: received 2, done 0")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert daemon.lines("DAEMON_STOPPED")[0]["done"] == "2"


def test_a_reload_that_cannot_run_uses_the_previous_configuration(start) -> None:
    daemon = start({"workers": "2"})
    daemon.wait_notified("READY=1")
    daemon.configure({"workers": "3", "behaviour": "refuse"})
    daemon.signal(signal.SIGHUP)
    daemon.wait_notified("READY=1", times=2)
    assert "the table does not exist" in daemon.lines("CONFIG_REFUSED")[0]["message"]
    daemon.wait_notified("STATUS=running: received 4, done 2")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_a_reload_does_not_wait_for_ever(start) -> None:
    daemon = start({"behaviour": "slow", "stop_timeout": "500ms"})
    daemon.wait_notified("READY=1")
    daemon.configure({"workers": "1"})
    daemon.signal(signal.SIGHUP)
    daemon.wait_notified("READY=1", times=2)
    daemon.wait_line("CONFIG_RELOADED")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_reload_changes_the_log_level(start) -> None:
    daemon = start()
    daemon.wait_notified("READY=1")
    daemon.configure({"log_level": "error"})
    daemon.signal(signal.SIGHUP)
    daemon.wait_notified("READY=1", times=2)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert daemon.lines("CONFIG_RELOADED") == []
    assert daemon.lines("DAEMON_STOPPED") == []


def test_a_stop_during_a_reload(start) -> None:
    daemon = start({"behaviour": "slow", "stop_timeout": "10m"})
    daemon.wait_notified("READY=1")
    daemon.signal(signal.SIGHUP)
    daemon.wait_notified("RELOADING=1")
    daemon.signal(signal.SIGTERM)
    daemon.wait_notified("STOPPING=1")
    daemon.signal(signal.SIGINT)
    assert daemon.wait(3) == 0
    assert daemon.count("READY=1") == 1


def test_the_watchdog_gets_pings_while_workers_are_alive(start) -> None:
    daemon = start({}, {"WATCHDOG_USEC": "400000"})
    daemon.wait_notified("READY=1")
    daemon.listen(2)
    times = [at for at, line in daemon.notified if line == "WATCHDOG=1"]
    assert len(times) >= 5
    assert max(b - a for a, b in zip(times, times[1:])) < 0.4


def test_the_watchdog_gets_no_pings_while_a_worker_is_overdue(start) -> None:
    daemon = start({"behaviour": "overdue"}, {"WATCHDOG_USEC": "200000"})
    daemon.wait_notified("READY=1")
    daemon.listen(0.8)
    daemon.notified.clear()
    daemon.listen(1)
    assert daemon.count("WATCHDOG=1") == 0
    lines = daemon.lines("WARNING")
    assert len(lines) == 1
    assert "no sign of life from worker 2" in lines[0]["message"]


def test_without_systemd(tmp_path: Path) -> None:
    with subprocess.Popen([TOOL], env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "DAEMON_STARTED"
        process.terminate()
        assert process.wait(5) == 0
