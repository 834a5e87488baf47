"""
Counts the requests and log lines of an item on a running stack. The bill in docs/explanation/scaling.md is computed
from them.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack
from simulation import bill, policy, requests
from tests.integration.pipeline.conftest import item
from tests.integration.pipeline.probe import make_wheel

WORKERS = 2


@dataclass
class Counted:
    """The requests of one daemon for a number of messages."""

    n: int
    calls: Counter[str]
    log_bytes: int

    def each(self, action: str) -> float:
        return self.calls[action] / self.n


class Place:
    """
    A stack that logs its requests. The tests use another user than the daemons, so that their requests can be distinguished.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.sns, self.sqs = (stack.accounts["deployer"].client(name) for name in ("sns", "sqs"))

    def publish(self, topic: str, bodies: list[dict[str, Any]]) -> None:
        for first in range(0, len(bodies), 10):
            entries = [{"Id": str(i), "Message": json.dumps(body)} for i, body in enumerate(bodies[first : first + 10])]
            assert not self.sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries).get("Failed")

    def calls(self) -> Counter[str]:
        lines = (self.stack.directory / "requests.log").read_text().splitlines()
        asked = (json.loads(line) for line in lines)
        return Counter(line["action"] for line in asked if line["who"].endswith(":user/stack"))

    def wait_empty(self, url: str) -> None:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            if all(found[name] == "0" for name in names):
                return
            time.sleep(0.2)
        pytest.fail(f"{url} is not empty")

    def count(self, daemon: str, url: str, n: int, meanwhile: Callable[[], None], **settings: str) -> Counted:
        """Counts from the daemon's start until the queue is empty."""
        log = self.stack.directory / f"{daemon}.log"
        self.stack.start_daemon(daemon, settings)
        try:
            before, size = self.calls(), log.stat().st_size
            meanwhile()
            self.wait_empty(url)
            return Counted(n, self.calls() - before, log.stat().st_size - size)
        finally:
            self.stack.stop_daemon(daemon)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, build: Path) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("requests")
    with Stack(folder, run_daemons=False, fsync=False, programs=build / "bin", log_requests=True) as stack:
        yield Place(stack)


# A stop waits for the open receives, so they are shortened. The daemons are not idle here long enough for these to
# count.
LOADER = {
    "ITEMLOADD_WORKERS": str(WORKERS),
    "ITEMLOADD_MISSING_COLLECTION": "create",
    "ITEMLOADD_WAIT_TIME": "2s",
}
ROUNDS = 3  # they find nothing, before a batch closes


def paced(place: Place, topic: str, n: int, rate: float) -> None:
    began = time.monotonic()
    for i in range(n):
        time.sleep(max(0.0, began + i / rate - time.monotonic()))
        place.sns.publish(TopicArn=topic, Message=json.dumps(item(f"paced-{i}")))


def test_loading_in_a_flood(place: Place) -> None:
    """
    All messages wait before the daemon starts. Every receive is full, except for the rounds that find the queue
    empty.
    """
    n, url = 500, place.stack.cloud.loading.queue_url
    place.publish(place.stack.cloud.loading.topic_arn, [item(i) for i in range(n)])
    counted = place.count("itemloadd", url, n, lambda: None, **LOADER)
    expected = requests.loading(0, WORKERS, 10, 2, is_flood=True)
    received = counted.calls["sqs:ReceiveMessage"]
    assert expected.receives * n <= received <= expected.receives * n + WORKERS * (1 + 10 * ROUNDS)
    assert counted.each("sqs:DeleteMessage") == pytest.approx(expected.deletes, rel=0.1)
    assert counted.calls["sqs:ChangeMessageVisibility"] == 0
    assert counted.log_bytes / n == pytest.approx(bill.LOG_BYTES["itemloadd"], rel=0.2)


def test_loading_below_a_flood(place: Place) -> None:
    """The bill's figure is an upper bound: workers compete for messages."""
    rate, n = 8.0, 64
    url, topic = place.stack.cloud.loading.queue_url, place.stack.cloud.loading.topic_arn
    terraform = policy.read()
    counted = place.count("itemloadd", url, n, lambda: paced(place, topic, n, rate), **LOADER)
    expected = requests.loading(rate, WORKERS, terraform.receives, terraform.batch_idle_s, is_flood=False)
    assert expected.receives / 3 <= counted.each("sqs:ReceiveMessage") <= expected.receives * 1.2
    assert counted.each("sqs:DeleteMessage") <= 2 * expected.deletes
    assert counted.log_bytes / n == pytest.approx(bill.LOG_BYTES["itemloadd"], rel=0.3)


def test_generation(place: Place, tmp_path: Path) -> None:
    n, workers = 40, 4
    url, topic = place.stack.cloud.generation.queue_url, place.stack.cloud.generation.topic_arn
    asked = {"package_name": "stactools-probe", "group_name": "probe"}
    place.publish(topic, [asked | {"create_item_args": ["plain", str(i)]} for i in range(n)])
    links = str(make_wheel(tmp_path))
    counted = place.count(
        "itemgend", url, n, lambda: None, ITEMGEND_WORKERS=str(workers), ITEMGEND_WAIT_TIME="2s", UV_FIND_LINKS=links
    )
    assert n <= counted.calls["sqs:ReceiveMessage"] <= n * requests.GENERATION.receives + 2 * workers
    assert counted.calls["sqs:DeleteMessage"] == n * requests.GENERATION.deletes
    assert n * 0.5 <= counted.calls["sns:Publish"] <= n * requests.GENERATION.publishes
    assert counted.calls["sqs:ChangeMessageVisibility"] == 0
    assert counted.log_bytes / n == pytest.approx(bill.LOG_BYTES["itemgend"], rel=0.2)
