"""
`make bench`: runs cases, prints tables, writes build/bench/results.json.

    python -m bench [--programs build] [--markdown]

BENCH: names of cases, with commas between; BENCH_ITEMS, BENCH_REPEAT: how many items, how often each is run;
BENCH_LONG=1: the long cases too. --markdown: runs nothing, prints the results that are there as docs/performance.md
has them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import loaders, machine, queues, report
from bench.database import Server
from local import environment, process
from local.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "bench"
RESULTS = FOLDER / "results.json"
BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


def number(name: str, default: int, least: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdigit() or int(text) < least:
        sys.exit(f"{name}={text}: a whole number from {least} on is wanted")
    return int(text)


def chosen() -> list[str]:
    known = [*dict.fromkeys(case.name for case in loaders.CASES), "queue"]
    names = [name for name in os.environ.get("BENCH", "").split(",") if name]
    if unknown := set(names) - set(known):
        sys.exit(f"BENCH: no such case: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return names


def wanted(case: loaders.Case, names: Sequence[str]) -> bool:
    is_long = os.environ.get("BENCH_LONG", "") not in ("", "0")
    only = [other for other in loaders.CASES if other.name == case.name and not other.long] == []
    return (case.name in names or not names) and (not case.long or is_long or (only and bool(names)))


def install(*parts: str) -> None:
    subprocess.run([ROOT / "bench" / "deps.sh", *parts], check=True)


def run(programs: Path, names: Sequence[str]) -> dict[str, Any]:
    count, repeat = number("BENCH_ITEMS", 4000, 10), number("BENCH_REPEAT", 3, 1)
    environment.scrub()
    with_queue = "queue" in names or not names
    install("python", *(["queue", "go"] if with_queue else []))
    results: dict[str, Any] = {"machine": machine.describe(), "items": count, "repeat": repeat, "cases": []}
    folder = Path(tempfile.mkdtemp(prefix="stactools-ingest-bench."))
    try:
        with Stack(FOLDER / "stack", run_daemons=False, programs=programs / "bin") as stack:
            bench = loaders.Bench(Server(stack), programs / "bench" / "load", folder, count, repeat, say)
            for case in loaders.CASES:
                if wanted(case, names):
                    results["cases"].append(loaders.run_case(bench, case))
            if with_queue and (problem := queues.fauxqs_problem()):
                say(problem)
            elif with_queue:
                messages = number("BENCH_MESSAGES", queues.MESSAGES, 10)
                results["cases"].append(queues.run_queue(programs, messages, repeat, say))
    finally:
        shutil.rmtree(folder)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--programs", type=Path, default=ROOT / "build")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    if options.markdown:
        print(report.markdown(json.loads(RESULTS.read_text())))
        return 0
    process.interrupts.install()
    try:
        results = run(options.programs.absolute(), chosen())
    except process.Interrupted:
        print("interrupted: everything that was started has been ended", file=sys.stderr)
        return 130
    FOLDER.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(report.text(results))
    print(f"written: {RESULTS.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
