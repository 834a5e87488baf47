"""Kills itemgend, its fork servers and items at random. No request is lost, and none leaves two items."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pipeline import probe
from tests.integration.pipeline.conftest import Pipeline, wait_until
from tests.integration.pipeline.hostile_site import Seen, descendants


def servers_and_items(daemon: int) -> tuple[list[Seen], list[Seen]]:
    """The processes of an itemgend: those around a fork server, and those that they have forked."""
    below = [process for process in descendants(daemon) if process.state != "Z"]
    pythons = {process.pid for process in below if process.is_python()}
    items = [process for process in below if process.parent in pythons]
    return [process for process in below if process not in items], items


def kill(process: Seen) -> bool:
    """Uses a process descriptor, so that it kills this very process."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        still = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1] == str(process.parent)
        if still:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return still
    except (OSError, IndexError):
        return False
    finally:
        os.close(descriptor)


class Killer:
    """Kills one process after the other, and restarts itemgend."""

    def __init__(self, pipeline: Pipeline, settings: dict[str, str]) -> None:
        self.pipeline, self.settings = pipeline, settings
        self.seed = int(os.environ.get("SEED", random.randrange(10**6)))
        self.random = random.Random(self.seed)
        self.killed = {"itemgend": 0, "server": 0, "item": 0}
        print(f"SEED={self.seed}")

    def kill_one(self) -> None:
        what = self.random.choice(["itemgend", "server", "server", "item", "item", "item"])
        if what == "itemgend":
            self.pipeline.stack.stop_daemon("itemgend", signal.SIGKILL)
            self.pipeline.start("itemgend", **self.settings)
            self.killed[what] += 1
            return
        servers, items = servers_and_items(self.pipeline.stack.process("itemgend").pid)
        victims = servers if what == "server" else items
        if victims and kill(self.random.choice(victims)):
            self.killed[what] += 1


def run(pipeline: Pipeline, requests: int, kills: int) -> None:
    with tempfile.TemporaryDirectory(prefix="kills-test.") as folder:
        run_in(Path(folder), pipeline, requests, kills)


def run_in(folder: Path, pipeline: Pipeline, requests: int, kills: int) -> None:
    settings = {
        "UV_FIND_LINKS": str(probe.make_wheel(folder / "wheels")),
        "ITEMGEND_WORKERS": "3",
        "ITEMGEND_MEMORY_LIMIT": "300MiB",
        "ITEMGEND_VISIBILITY_TIMEOUT": "3s",
        "ITEMGEND_SERVER_ITEMS": "40",
    }
    names = [f"item-{number:03}" for number in range(requests)]
    bodies = [
        {"package_name": probe.NAME, "group_name": "probe", "create_item_args": ["sleep", str(0.05 + 0.1 * (number % 4)), name]}
        for number, name in enumerate(names)
    ]
    pipeline.start("itemgend", **settings)
    pipeline.start("itemloadd")
    pipeline.publish(pipeline.gen_topic, bodies[0])
    wait_until("the first item is loaded", pipeline.ids, 120)
    for body in bodies[1:]:
        pipeline.publish(pipeline.gen_topic, body)
    killer = Killer(pipeline, settings)
    goal = 1
    for number in range(kills):
        goal = min(requests - 5, 1 + (number + 1) * requests // (kills + 1))
        wait_until(f"{goal} are done", lambda: len(pipeline.ids()) + pipeline.counts(pipeline.gen_dlq)[0] >= goal, 300)
        killer.kill_one()
    check(pipeline, killer, names)


def letters(pipeline: Pipeline) -> list[dict[str, Any]]:
    return pipeline.dead_letters(pipeline.gen_dlq, pipeline.counts(pipeline.gen_dlq)[0])


def zombies(daemon: int) -> list[Seen]:
    """Zombies, except for children of fork servers, which wait for them when the next item comes."""
    below = descendants(daemon)
    pythons = {process.pid for process in below if process.is_python()}
    return [process for process in below if process.state == "Z" and process.parent not in pythons]


def check(pipeline: Pipeline, killer: Killer, names: list[str]) -> None:
    pipeline.wait_empty(pipeline.gen_queue, timeout_s=300)
    pipeline.wait_empty(pipeline.load_queue, timeout_s=120)
    dead = letters(pipeline)
    summary = f"killed {killer.killed}, SEED={killer.seed}, dead letters: {[(letter.get('error_code'), letter.get('error')) for letter in dead]}"
    print(summary)
    assert pipeline.query("SELECT count(*), count(DISTINCT id) FROM items") == [(len(names) - len(dead), len(names) - len(dead))], summary
    reasons = {letter["body"]: letter.get("error_code", "") for letter in dead}
    missing = [name for name in names if name not in pipeline.ids() and not [body for body in reasons if f'"{name}"' in body]]
    assert missing == [], summary
    assert [body for body, reason in reasons.items() if not reason] == [], summary
    assert all(killer.killed.values()) or len(names) < 100, summary
    daemon = pipeline.stack.process("itemgend").pid
    wait_until("no zombie is left", lambda: zombies(daemon) == [], 20)
    pipeline.stop_all()
    work = Path(pipeline.stack.directory) / "work"
    assert [path.relative_to(work) for path in work.rglob("*")] == [], summary


def test_killed_at_random(pipeline: Pipeline) -> None:
    run(pipeline, requests=40, kills=8)


@pytest.mark.long
def test_many_killed_at_random(pipeline: Pipeline) -> None:
    run(pipeline, requests=500, kills=100)
