"""
Measures itemloadd from the queue to the catalog: how fast it is, what uses the processors, and how much memory it
takes.
"""

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench import items, machine
from bench.database import Server
from bench.queues import QueueServer, fauxqs
from local.stack import Stack

BATCH = 1000
BACKLOG = 10000  # most messages that wait at the same time in a long run
PATIENCE_S = 900
MEMORY_EVERY = 20 * BATCH
RATE_WORKERS = (1, 2, 4)


@dataclass
class Run:
    messages: int
    seconds: float
    loader_cpu_s: float
    database_cpu_s: float
    queue_cpu_s: float
    busy: float
    peak_mib: float
    resident_mib: list[float] = field(default_factory=list)  # after each MEMORY_EVERY items


@dataclass
class Place:
    """Everything for a run: a database with its secret, and a queue."""

    stack: Stack
    server: Server
    queue: QueueServer
    queue_url: str
    database: str
    secret_arn: str

    def settings(self, workers: int) -> Mapping[str, str]:
        return {
            "AWS_ENDPOINT_URL_SQS": self.queue.url,
            "ITEMLOADD_QUEUE_URL": self.queue_url,
            "ITEMLOADD_SECRET_ARN": self.secret_arn,
            "ITEMLOADD_WORKERS": str(workers),
            "ITEMLOADD_WAIT_TIME": "1s",  # of a receive from an empty queue; a stop waits for it
        }


@contextmanager
def place(stack: Stack, server: Server) -> Iterator[Place]:
    with server.copy_of() as database, fauxqs() as queue:
        server.add_collection(database, "month")
        server.add_partitions(database, 12)
        keywords = server.keywords(database)
        secret = {name: keywords[name] for name in ("host", "port", "dbname", "password")}
        made = stack.account.client("secretsmanager").create_secret(
            Name=f"bench-{database}", SecretString=json.dumps(secret | {"username": keywords["user"]})
        )
        dead_letters = queue.attribute(queue.make("bench-dlq"), "QueueArn")
        redrive = json.dumps({"deadLetterTargetArn": dead_letters, "maxReceiveCount": 6})
        queue_url = queue.make("bench", VisibilityTimeout="60", RedrivePolicy=redrive)
        yield Place(stack, server, queue, queue_url, database, made["ARN"])


def follow(there: Place, pid: int, messages: int, resident_mib: list[float]) -> int:
    """Waits until the catalog has this many items. Returns how many it has then."""
    deadline = time.monotonic() + PATIENCE_S
    with there.server.connect(there.database) as connection:
        while True:
            row = connection.execute("SELECT count(*) FROM items").fetchone()
            loaded = int(row[0]) if row else 0
            while loaded >= (len(resident_mib) + 1) * MEMORY_EVERY:
                resident_mib.append(machine.memory_kib(pid, "VmRSS") / 1024)
            if loaded >= messages:
                return loaded
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {loaded} of {messages} items in {PATIENCE_S} s")
            time.sleep(0.1)


def without_last_batches(messages: int, workers: int) -> int:
    """
    Each worker's last batch is not full and waits batch_idle for more. With more workers, that is a larger part of a
    short run.
    """
    full = messages - workers * BATCH
    return full if full >= BATCH else messages


def measure(there: Place, workers: int, messages: int) -> Run:
    """Returns the rates of full batches. In the end everything is loaded."""
    resident_mib: list[float] = []
    database, queue, busy = there.server.cpu_seconds(), there.queue.cpu_seconds(), machine.busy_seconds()
    began = time.monotonic()
    daemon = there.stack.start_daemon("itemloadd", there.settings(workers))
    try:
        loaded = follow(there, daemon.pid, without_last_batches(messages, workers), resident_mib)
        seconds = time.monotonic() - began
        run = Run(
            messages=loaded,
            seconds=seconds,
            loader_cpu_s=machine.cpu_seconds(daemon.pid),
            database_cpu_s=there.server.cpu_seconds() - database,
            queue_cpu_s=there.queue.cpu_seconds() - queue,
            busy=(machine.busy_seconds() - busy) / seconds / len(machine.cores()),
            peak_mib=0,
            resident_mib=resident_mib,
        )
        follow(there, daemon.pid, messages, resident_mib)
        run.peak_mib = machine.memory_kib(daemon.pid, "VmHWM") / 1024
        return run
    finally:
        there.stack.stop_daemon("itemloadd")


def summary(label: str, runs: Sequence[Run]) -> dict[str, Any]:
    """CPU seconds are per 1000 items."""
    rates = [run.messages / run.seconds for run in runs]
    return {
        "label": label,
        "rate": statistics.median(rates),
        "rate_min": min(rates),
        "rate_max": max(rates),
        "client_cpu_s": statistics.median([1000 * run.loader_cpu_s / run.messages for run in runs]),
        "database_cpu_s": statistics.median([1000 * run.database_cpu_s / run.messages for run in runs]),
        "queue_cpu_s": statistics.median([1000 * run.queue_cpu_s / run.messages for run in runs]),
        "busy": statistics.median([min(1, run.busy) for run in runs]),
        "peak_mib": max(run.peak_mib for run in runs),
    }


def run_rate(stack: Stack, server: Server, messages: int, repeat: int, say: Callable[[str], None]) -> dict[str, Any]:
    made = items.make_items(messages, months=12)
    bodies = items.lines(made).splitlines()
    runs: dict[int, list[Run]] = {workers: [] for workers in RATE_WORKERS}
    for _ in range(repeat):
        for workers in RATE_WORKERS:
            with place(stack, server) as there:
                there.queue.fill(there.queue_url, bodies)
                run = measure(there, workers, messages)
            runs[workers].append(run)
            say(f"end_to_end: {workers} workers: {run.messages / run.seconds:.0f} items/s")
    return {
        "case": "end_to_end",
        "title": f"{messages} messages from the queue into the catalog by itemloadd, its start included, each worker's last batch not",
        "unit": "items/s",
        "rows": [summary(f"{workers} workers", of) for workers, of in runs.items()],
    }


def keep_filled(there: Place, bodies: Sequence[str], failures: list[Exception]) -> None:
    try:
        for first in range(0, len(bodies), BATCH):
            while int(there.queue.attribute(there.queue_url, "ApproximateNumberOfMessages")) > BACKLOG:
                time.sleep(0.05)
            there.queue.fill(there.queue_url, bodies[first : first + BATCH])
    except Exception as error:
        failures.append(error)


def run_memory(stack: Stack, server: Server, batches: int, say: Callable[[str], None]) -> dict[str, Any]:
    bodies = items.lines(items.make_items(batches * BATCH, months=12, n_derived=3)).splitlines()
    failures: list[Exception] = []
    with place(stack, server) as there:
        there.queue.fill(there.queue_url, bodies[:BACKLOG])
        filler = threading.Thread(target=keep_filled, args=(there, bodies[BACKLOG:], failures), daemon=True)
        filler.start()
        run = measure(there, 2, len(bodies))
        filler.join()
    if failures:
        raise failures[0]
    say(f"memory: peak {run.peak_mib:.1f} MiB")
    size = sum(map(len, bodies)) / len(bodies)
    shown = ", ".join(f"{mib:.1f}" for mib in run.resident_mib)
    return {
        "case": "memory",
        "title": f"{batches} batches of {BATCH} items of {size:.0f} bytes by itemloadd, 2 workers",
        "unit": "items/s",
        "rows": [summary("itemloadd", [run]) | {"resident_mib_then": run.resident_mib}],
        "notes": [f"Resident MiB after each {MEMORY_EVERY // BATCH} batches: {shown or 'too few batches'}."],
    }
