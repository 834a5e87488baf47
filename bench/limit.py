"""
Which side is the limit between the queue and the catalog? itemloadd gets its own core. The queue and the database share
another core, or get one each if there are three. The side whose core is full is the limit.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import items, machine
from bench.database import Server
from bench.end_to_end import BATCH, Place, follow, place
from local.stack import Stack

WORKERS = 2
ENDS = BATCH * (WORKERS + 1)  # items that are loaded outside of the measured time: during the start, and in the last batches
FULL = 0.9  # of a core
LOADER, DATABASE, QUEUE = "itemloadd", "the database", "the queue"


@dataclass(frozen=True)
class Usage:
    """Sums from any starting point up to a moment of a run."""

    seconds: float
    items: int
    cpu_s: Mapping[str, float]
    busy_s: Mapping[int, float]  # by core, used by any process


def seats() -> dict[str, int]:
    """The core of each program, by name."""
    cores = machine.cores()
    return {LOADER: cores[0], QUEUE: cores[1], DATABASE: cores[2] if len(cores) > 2 else cores[1]}


def usage(there: Place, pid: int, cores: Sequence[int]) -> Usage:
    cpu_s = {
        LOADER: machine.cpu_seconds(pid),
        DATABASE: there.server.cpu_seconds(),
        QUEUE: there.queue.cpu_seconds(),
    }
    loaded = there.server.count(there.database)
    return Usage(time.monotonic(), loaded, cpu_s, {core: machine.busy_seconds(core) for core in cores})


def watch(there: Place, messages: int, seated: Mapping[str, int]) -> tuple[Usage, Usage]:
    """Returns the usage when the first batch was in the catalog, and when the last full batch was."""
    there.queue.pin([seated[QUEUE]])
    there.server.pin([seated[DATABASE]])
    daemon = there.stack.start_daemon("itemloadd", there.settings(WORKERS))
    try:
        machine.pin(daemon.pid, [seated[LOADER]])
        follow(there, daemon.pid, BATCH, [])
        first = usage(there, daemon.pid, list(seated.values()))
        follow(there, daemon.pid, messages - WORKERS * BATCH, [])
        return first, usage(there, daemon.pid, list(seated.values()))
    finally:
        there.stack.stop_daemon("itemloadd")
        there.server.pin(machine.cores())


def row(name: str, core: int, runs: Sequence[tuple[Usage, Usage]]) -> dict[str, Any]:
    def median(of: Callable[[Usage, Usage], float]) -> float:
        return statistics.median([of(first, last) for first, last in runs])

    return {
        "label": name,
        "client_cpu_s": median(lambda a, b: 1000 * (b.cpu_s[name] - a.cpu_s[name]) / (b.items - a.items)),
        "core": core,
        "of_core": median(lambda a, b: (b.cpu_s[name] - a.cpu_s[name]) / (b.seconds - a.seconds)),
        "core_busy": median(lambda a, b: min(1, (b.busy_s[core] - a.busy_s[core]) / (b.seconds - a.seconds))),
    }


def verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    by_core = {row["core"]: [other for other in rows if other["core"] == row["core"]] for row in rows}
    taken = {core: sum(row["of_core"] for row in there) for core, there in by_core.items()}
    names = {core: " with ".join(row["label"] for row in there) for core, there in by_core.items()}
    shares = "; ".join(
        f"{names[core]} took {taken[core]:.0%} of core {core}, which was busy {there[0]['core_busy']:.0%} of the time"
        for core, there in by_core.items()
    )
    fullest = max(taken, key=taken.__getitem__)
    if taken[fullest] >= FULL:
        return f"{shares}: at its limit is {names[fullest]}."
    if by_core[fullest][0]["core_busy"] >= FULL:
        return f"{shares}: other programs had the rest; nearest to its limit is {names[fullest]}."
    return f"{shares}: no core was full; nearest to its limit is {names[fullest]}."


def run(stack: Stack, server: Server, messages: int, repeat: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Runs the case. Returns nothing if the result would be meaningless."""
    if len(machine.cores()) < 2 or messages < 2 * ENDS:
        say(f"end_to_end: finding the limit needs two cores and {2 * ENDS} messages")
        return []
    bodies = items.lines(items.make_items(messages, months=12)).splitlines()
    seated = seats()
    runs = []
    for _ in range(repeat):
        with place(stack, server) as there:
            there.queue.fill(there.queue_url, bodies)
            runs.append(watch(there, messages, seated))
    rows = [row(name, core, runs) for name, core in seated.items()]
    rate = statistics.median([(b.items - a.items) / (b.seconds - a.seconds) for a, b in runs])
    note = f"{rate:,.0f} items/s. {verdict(rows)}"
    say(f"end_to_end: {note}")
    return [
        {
            "case": "end_to_end",
            "title": f"the limit, with {WORKERS} workers and itemloadd alone on a core",
            "unit": "items/s",
            "rows": rows,
            "notes": [note],
        }
    ]
