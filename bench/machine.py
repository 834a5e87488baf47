"""The machine: which programs ran, on which cores, and how much CPU time they used."""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from local.postgres import find_programs

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def _stat(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat from the third on; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of all children that it has waited for."""
    return sum(map(int, _stat(pid)[11:15])) / TICKS_PER_S


def _children(pid: int) -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and (of := _stat(name)) and int(of[1]) == pid]


def cpu_seconds_with_children(pid: int) -> float:
    """Adds the running children, which makes it exact for a postmaster: every backend is its child."""
    children = _children(pid)
    return cpu_seconds(pid) + sum(cpu_seconds(child) for child in children)


def own_cpu_seconds(pid: int) -> float:
    """CPU time of a process without its children."""
    return sum(map(int, _stat(pid)[11:13])) / TICKS_PER_S


def descendants(pid: int) -> list[int]:
    """All running processes that a process has started, directly or indirectly, in any namespace."""
    parents = {int(name): int(of[1]) for name in os.listdir("/proc") if name.isdigit() and (of := _stat(name))}
    found: list[int] = []
    generation = {pid}
    while generation := {child for child, parent in parents.items() if parent in generation}:
        found += generation
    return found


def tree_cpu_seconds(pid: int) -> float:
    """CPU time of a process, of everything it has started, and of what those have waited for."""
    return sum(cpu_seconds(each) for each in [pid, *descendants(pid)])


@contextmanager
def only_on(cores: Set[int]) -> Iterator[None]:
    """Pins this thread, and what it starts meanwhile, to these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(pid: int, cores: Iterable[int]) -> None:
    """Pins a process and its children, and so everything they start, to these cores."""
    for process in [pid, *_children(pid)]:
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in os.listdir(f"/proc/{process}/task"):
                os.sched_setaffinity(int(thread), cores)


def busy_seconds(core: int | None = None) -> float:
    """CPU time that all processors, or one, have spent on anything since boot."""
    name = "cpu" if core is None else f"cpu{core}"
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.split()[0] == name)
    fields = [int(field) for field in line.split()[1:]]
    idle, iowait = fields[3], fields[4]
    return (sum(fields[:8]) - idle - iowait) / TICKS_PER_S


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def memory_kib(pid: int, field: str) -> int:
    """`field`: VmRSS or VmHWM of /proc/PID/status."""
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(found[1]) if found else 0


def memory_share_kib(pid: int) -> int:
    """Resident memory; pages that several processes share count in part. 0 if reading it is not permitted."""
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    except OSError:
        return 0
    return int(found[1]) if found else 0


def first_line(command: Iterable[str | Path]) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return (done.stdout + done.stderr).splitlines()[0].strip()


def describe() -> dict[str, str | int]:
    model = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "cores": len(cores()),
        "processor": model[1] if model else os.uname().machine,
        "memory_mib": memory,
        "kernel": os.uname().release,
        "postgresql": first_line([find_programs() / "postgres", "-V"]),
        "pypgstac": version("pypgstac"),
        "psycopg": version("psycopg"),
        "boto3": version("boto3"),
        "compiler": first_line([os.environ.get("CC", "gcc"), "--version"]),
    }
