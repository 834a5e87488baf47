"""
`make bench`: runs cases, prints tables, writes build/bench/results.json.

    python -m bench [--programs build] [--folder build/bench] [--markdown]

BENCH: names of cases, separated by commas (generation: all whose names begin so). BENCH_LONG=1: the long ones too.
BENCH_ITEMS, BENCH_MESSAGES, BENCH_BATCHES, BENCH_REQUESTS: sizes. BENCH_REPEAT: how often each contender runs.
BENCH_FSYNC=0: the database does not wait for the disk. BENCH_PGSTAC=0.9.10: another version of pgstac, for the peers
and for the database, in the loaders' cases. --markdown: runs nothing, and prints the existing results in the format of
docs/explanation/performance.md.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import end_to_end, generation, limit, loaders, machine, partitions, queues, report, storage, sweep
from bench.contest import Programs
from bench.database import Server
from bench.loaders import PGSTAC
from local import environment, process
from local.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "bench"
RESULTS = "results.json"
QUEUE_CASES = {"queue", "end_to_end", "memory", *generation.CASES}
BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


def number(name: str, default: int, least: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdigit() or int(text) < least:
        sys.exit(f"{name}={text}: a whole number from {least} on is wanted")
    return int(text)


def chosen() -> list[str]:
    """The cases to run: the named ones, or all that are not long."""
    short = [case.name for case in loaders.CASES if not case.long] + ["sweep", "storage", "queue", "end_to_end"]
    long = [case.name for case in loaders.CASES] + ["partitions_grid", "elasticmq", "memory", *generation.CASES]
    known = list(dict.fromkeys(short + long))
    names = [name for name in os.environ.get("BENCH", "").split(",") if name]
    if "generation" in names:
        names = [name for name in names if name != "generation"] + list(generation.CASES)
    if unknown := set(names) - set(known):
        sys.exit(f"BENCH: unknown case: {', '.join(sorted(unknown))}; there are {', '.join(known)}, generation")
    return names or (known if is_long() else list(dict.fromkeys(short)))


def is_long() -> bool:
    return os.environ.get("BENCH_LONG", "") not in ("", "0")


def loader_cases(names: Sequence[str]) -> list[loaders.Case]:
    """The parts of the named cases. Long parts are left out without BENCH_LONG, unless all parts are long."""
    with_short = {case.name for case in loaders.CASES if not case.long}
    return [
        case
        for case in loaders.CASES
        if case.name in names and (not case.long or is_long() or case.name not in with_short)
    ]


def install(names: Sequence[str]) -> list[str]:
    """Returns the names without those that cannot run here."""
    versions = {PGSTAC, *(case.pgstac for case in loader_cases(names))} - {""}
    parts = ["python", *(f"pgstac={version}" for version in sorted(versions))]
    if QUEUE_CASES & set(names):
        parts += ["queue", "go"]
        if problem := queues.fauxqs_problem():
            say(problem)
            names = [name for name in names if name not in QUEUE_CASES]
    if "elasticmq" in names:
        parts += ["go", "elasticmq"]
        if not queues.has_elasticmq():
            say("java or mvn is not installed: the case elasticmq is left out")
            names = [name for name in names if name != "elasticmq"]
    subprocess.run([ROOT / "bench" / "deps.sh", *parts], check=True)
    return list(names)


def run_cases(stack: Stack, programs: Path, names: Sequence[str], sizes: dict[str, int]) -> Iterator[dict[str, Any]]:
    server = Server(stack)
    folder = Path(tempfile.mkdtemp(prefix="stactools-ingest-bench."))
    try:
        ours = Programs(programs / "bench" / "load")
        bench = loaders.Bench(server, ours, folder, sizes["items"], sizes["repeat"], say).at(PGSTAC)
        yield from loaders.run_cases(bench, loader_cases(names))
        if "sweep" in names:
            yield sweep.run(bench)
        if "partitions_grid" in names:
            yield from partitions.run_all(bench, long=is_long())
        if "storage" in names:
            yield storage.run(bench)
    finally:
        shutil.rmtree(folder)
    for case in queues.SERVERS:
        if case in names:
            yield queues.run_queue(case, programs, sizes["messages"], sizes["repeat"], say)
    if "end_to_end" in names:
        yield end_to_end.run_rate(stack, server, sizes["messages"] // 2, sizes["repeat"], say)
        yield from limit.run(stack, server, sizes["messages"], sizes["repeat"], say)
    if "memory" in names:
        yield end_to_end.run_memory(stack, server, sizes["batches"], say)
    for case in generation.WARM:
        if case in names:
            yield generation.run_warm(stack, case, sizes["requests"], sizes["repeat"], say)
    if generation.COLD in names:
        yield generation.run_cold(stack, sizes["repeat"], say)


def run(programs: Path, folder: Path, names: Sequence[str]) -> dict[str, Any]:
    sizes = {
        "items": number("BENCH_ITEMS", 10000, 10),
        "repeat": number("BENCH_REPEAT", 3, 1),
        "messages": number("BENCH_MESSAGES", queues.MESSAGES, 20),
        "requests": number("BENCH_REQUESTS", generation.REQUESTS, 2),
        "batches": number("BENCH_BATCHES", 200, 1),
        "fsync": number("BENCH_FSYNC", 1, 0),
    }
    environment.scrub()
    names = install(names)
    results: dict[str, Any] = {"machine": machine.describe(), **sizes, "cases": []}
    if PGSTAC:
        results["machine"]["pypgstac"] = PGSTAC
    with Stack(folder / "stack", run_daemons=False, fsync=bool(sizes["fsync"]), programs=programs / "bin") as stack:
        for case in run_cases(stack, programs, names, sizes):
            results["cases"].append(case)
            (folder / RESULTS).write_text(json.dumps(results, indent=1) + "\n")
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--programs", type=Path, default=ROOT / "build")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    if options.markdown:
        print(report.markdown(json.loads((options.folder / RESULTS).read_text())))
        return 0
    process.interrupts.install()
    try:
        results = run(options.programs.absolute(), options.folder.absolute(), chosen())
    except process.Interrupted:
        print("interrupted: all processes that were started have been stopped", file=sys.stderr)
        return 130
    print(report.text(results))
    print(f"written: {os.path.relpath(options.folder / RESULTS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
