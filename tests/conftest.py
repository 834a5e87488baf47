"""For every test: the caller's AWS and database settings are hidden, and the run ends with `N passed, N failed`."""

import os
import signal
from pathlib import Path
from types import FrameType

import pytest
from xdist.workermanage import NodeManager

from local import environment

ROOT = Path(__file__).resolve().parent.parent

environment.scrub()

RESULT = pytest.StashKey[str]()


def interrupt_once(number: int, frame: FrameType | None) -> None:
    """
    Interrupts once. Stacks and servers must be taken down without another interruption: a test process gets Ctrl-C, and
    then its parent's SIGTERM.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM ends the run like Ctrl-C: stacks and servers are taken down, and each process has some time for that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt_once)
    NodeManager.EXIT_TIMEOUT = 30  # type: ignore[misc]
    config.addinivalue_line("markers", "long: runs only where the environment has LONG=1")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("long") and not os.environ.get("LONG"):
        pytest.skip("a long test: LONG=1 runs it")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    stats = terminalreporter.stats
    for report in stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"skipped: {report.nodeid}: {reason}")
    failed = len(stats.get("failed", [])) + len(stats.get("error", []))
    config.stash[RESULT] = f"{len(stats.get('passed', []))} passed, {failed} failed"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Prints the result after pytest's own last line."""
    if result := config.stash.get(RESULT, None):
        print(result, flush=True)


@pytest.fixture(scope="session")
def build() -> Path:
    """The directory that make builds into: build, or build/san."""
    return ROOT / os.environ.get("BUILD", "build")
