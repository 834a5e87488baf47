"""
Measures the items per second of itemgend and of the original's handler, on one core, from the same queue to the same
topic. Another case measures the time of the first item, when nothing is downloaded or cached yet.
"""

import json
import shutil
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.makers import PACKAGES, Contender, First, Package, Place, Run, measure_first, measure_warm, place
from local.stack import Stack

# Case: package.
WARM = {"generation_glclu": "glclu", "generation_gfc": "gfc"}
COLD = "generation_cold"
CASES = (*WARM, COLD)
REQUESTS = 100
SLOW = 0.05  # share of the items for contenders that start uvx for each item

ONE = {"ITEMGEND_WORKERS": "1"}
TWO = {"ITEMGEND_WORKERS": "2"}
OURS = Contender("ours, 2 workers", TWO)
ORIGINAL = Contender("the original's handler", None, SLOW)
CONTENDERS = (
    OURS,
    Contender("ours, 1 worker", ONE),
    Contender("ours, 2 workers, sandbox: limits", TWO | {"ITEMGEND_SANDBOX": "limits"}),
    Contender("ours, 1 worker, runner: uvx", ONE | {"ITEMGEND_RUNNER": "uvx"}, SLOW),
    ORIGINAL,
)
Say = Callable[[str], None]


def in_force(there: Place) -> str:
    """The sandbox that itemgend's log reports, which is the default one."""
    lines = there.itemgend_log.read_text().splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    chosen = [event for event in events if event.get("event") == "SANDBOX_CHOSEN" and "sandbox" in event]
    if not chosen:
        return "itemgend's log does not name its sandbox"
    return f"sandbox: {chosen[0]['sandbox']}, network: {chosen[0].get('network', 'open')}"


def run_warm(stack: Stack, case: str, n: int, repeat: int, say: Say) -> dict[str, Any]:
    package = PACKAGES[WARM[case]]
    runs: dict[str, list[Run]] = {contender.label: [] for contender in CONTENDERS}
    with place(stack) as there:
        for _ in range(repeat):
            for contender in CONTENDERS:
                requests = package.make_requests(max(1, int(n * contender.share)), stack.asset_url)
                run = measure_warm(there, contender, requests, stack.cache / "uv")
                runs[contender.label].append(run)
                say(f"{case}: {contender.label}: {run.rate:.2f} items/s")
        rows = [warm_row(label, of, runs[OURS.label]) for label, of in runs.items()]
        original = next(row for row in rows if row["label"] == ORIGINAL.label)
        return {
            "case": case,
            "title": f"items of {package.requirement} on one core, {shared_core(there)}",
            "unit": "items/s",
            "in_force": in_force(there),
            "rows": rows,
            "notes": [f"{in_force(there)}. {goal(package, original, rows[0])}"],
        }


def shared_core(there: Place) -> str:
    return "which queue and files share" if there.cores.makers in there.cores.others else "queue and files on another"


def goal(package: Package, original: dict[str, Any], ours: dict[str, Any]) -> str:
    reached = "reached" if original["ratio"] >= package.goal else "not reached"
    cpu = original["cpu_ms"] / ours["cpu_ms"]
    return (
        f"{original['ratio']:.1f} times the original's rate (goal: {package.goal}, {reached}), with one {cpu:.0f}th of its "
        "processor time an item."
    )


def warm_row(label: str, runs: Sequence[Run], ours: Sequence[Run]) -> dict[str, Any]:
    rate = statistics.median([run.rate for run in runs])
    return {
        "label": label,
        "items": runs[0].items,
        "rate": rate,
        "rate_min": min(run.rate for run in runs),
        "rate_max": max(run.rate for run in runs),
        "ratio": statistics.median([run.rate for run in ours]) / rate,
        "cpu_ms": statistics.median([run.cpu_s * 1000 / run.items for run in runs]),
        "own_cpu_ms": statistics.median([run.own_cpu_s * 1000 / run.items for run in runs]),
        "core_busy": statistics.median([run.busy for run in runs]),
        "resident_mib": max(run.resident_mib for run in runs),
        "peak_mib": max(run.peak_mib for run in runs),
        "children_mib": max(run.children_mib for run in runs),
    }


NOTHING, DOWNLOADS = STATES = ("nothing there", "downloads there")
OFFLINE = {"UV_OFFLINE": "1"}  # the time in which an index answers that nothing has changed does not count
AGAIN = 3  # number of repetitions with the same downloads; one takes little time
STARTERS = (Contender("ours", ONE), Contender("the original's handler"))
Firsts = dict[tuple[str, str, str], list[First]]  # by package, state and contender


def remove_environments(cache: Path) -> None:
    """Removes our environments and uvx's, so that only the downloads are left."""
    for directory in cache.glob("environments*"):
        shutil.rmtree(directory)


def run_cold(stack: Stack, repeat: int, say: Say) -> dict[str, Any]:
    found: Firsts = {}
    with place(stack) as there, tempfile.TemporaryDirectory(dir=stack.directory, prefix="caches.") as folder:
        for name in PACKAGES:
            for i in range(repeat):
                # The first download may come from a more distant server.
                measure_neighbours(there, name, STARTERS[:: -1 if i % 2 else 1], Path(folder), found)
                for contender in STARTERS:
                    notes = [f"{found[name, state, contender.label][-1].seconds:.2f} s, {state}" for state in STATES]
                    say(f"{COLD}: {name}: {contender.label}: {'; '.join(notes)}")
        rows = cold_rows(found)
        return {
            "case": COLD,
            "title": "the first item, from its request to its arrival, on one core",
            "unit": "s, best",
            "in_force": in_force(there),
            "rows": rows,
            "notes": [f"{in_force(there)}. Downloads come from the configured package index. {cold_goal(rows)}"],
        }


def cold_goal(rows: Sequence[dict[str, Any]]) -> str:
    ratios = [row["ratio"] for row in rows if row["label"].endswith(STARTERS[1].label)]
    return f"The original's first item takes {min(ratios):.2f} to {max(ratios):.2f} times as long as ours (goal: not less)."


def measure_neighbours(there: Place, name: str, contenders: Sequence[Contender], folder: Path, found: Firsts) -> None:
    """Runs the contenders one right after the other, because a machine's speed may change within minutes."""
    request = PACKAGES[name].make_requests(1, there.stack.asset_url)[0]
    caches = {contender.label: Path(tempfile.mkdtemp(dir=folder)) for contender in contenders}
    for state, uv in ((NOTHING, {}), *[(DOWNLOADS, OFFLINE)] * AGAIN):
        for contender in contenders:
            first = measure_first(there, contender, request, caches[contender.label], uv)
            found.setdefault((name, state, contender.label), []).append(first)
            remove_environments(caches[contender.label])
    for cache in caches.values():
        shutil.rmtree(cache)


def cold_rows(found: Firsts) -> list[dict[str, Any]]:
    """
    Ours before the original's, for each package and state. The ratio is the median of the ratios of neighbouring
    runs.
    """
    rows = []
    for name in PACKAGES:
        for state in STATES:
            ours = [first.seconds for first in found[name, state, STARTERS[0].label]]
            for label in (contender.label for contender in STARTERS):
                firsts = found[name, state, label]
                seconds = [first.seconds for first in firsts]
                rows.append(
                    {
                        "label": f"{name}, {state}: {label}",
                        "seconds": min(seconds),
                        "seconds_max": max(seconds),
                        "ratio": statistics.median(its / our for its, our in zip(seconds, ours, strict=True)),
                        "cpu_s": min(first.cpu_s for first in firsts),
                    }
                )
    return rows
