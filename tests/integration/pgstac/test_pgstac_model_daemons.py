"""
The model test with two real daemons between the queue and the catalog. One of them is killed.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from model_plan import Plan
from model_run import Readers, World, prepare
from pgstac_support import Database, dumps
from test_pgstac_model import check_rows, check_searches

from local.stack import Stack

SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else range(3)
TIME_LIMIT_S = 180
QUICK = {
    "ITEMLOADD_WAIT_TIME": "1s",
    "ITEMLOADD_VISIBILITY_TIMEOUT": "4s",
    "ITEMLOADD_BATCH_IDLE": "200ms",
    "ITEMLOADD_BACKOFF_MIN": "1s",
    "ITEMLOADD_BACKOFF_MAX": "1s",
    "ITEMLOADD_WORKERS": "2",
}


@dataclass
class StackServer:
    """The stack's PostgreSQL with the interface of pgstac_support.Server. Every user is its owner."""

    stack: Stack

    def conninfo(self, database: str, user: str = "") -> str:
        return " ".join(f"{key}={value}" for key, value in self.stack.postgres.dsn(self.stack.postgres.owner).items())


class Published:
    """The real queue, with the interface of model_run.Queue for readers and other users."""

    def __init__(self, stack: Stack, db: Database, plan: Plan) -> None:
        account = {"aws_access_key_id": stack.env["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": stack.env["AWS_SECRET_ACCESS_KEY"]}
        self._sqs = boto3.client("sqs", endpoint_url=stack.env["AWS_ENDPOINT_URL"], region_name=stack.env["AWS_REGION"], **account)
        self._url, self._dead_url = stack.env["ITEM_LOAD_QUEUE_URL"], stack.env["ITEM_LOAD_DLQ_URL"]
        self._db, self._plan = db, plan
        self._deadline = time.monotonic() + TIME_LIMIT_S
        self.failures: list[str] = []
        for url in (self._url, self._dead_url):
            self._sqs.purge_queue(QueueUrl=url)
        self._allow_receives(100)  # a conflict is not an error, however often it happens

    def _allow_receives(self, count: int) -> None:
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["RedrivePolicy"])["Attributes"]
        policy = json.loads(attributes["RedrivePolicy"]) | {"maxReceiveCount": count}
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"RedrivePolicy": json.dumps(policy)})

    def publish(self) -> None:
        for first in range(0, len(self._plan.deliveries), 10):
            entries = [
                {
                    "Id": str(number),
                    "MessageBody": dumps(version.item),
                    "MessageAttributes": {"published_at": {"DataType": "Number", "StringValue": str(version.published_at)}},
                }
                for number, version in enumerate(self._plan.deliveries[first : first + 10])
            ]
            assert not self._sqs.send_message_batch(QueueUrl=self._url, Entries=entries).get("Failed")

    def _left(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return sum(int(counts[name]) for name in names)

    def is_open(self) -> bool:
        if time.monotonic() > self._deadline:
            self.fail(f"not done within {TIME_LIMIT_S} s: {self._left()} are left")
        return not self.failures and self._left() > 0

    def wait_taken(self, count: int) -> None:
        while self.is_open() and len(self._plan.deliveries) - self._left() < count:
            time.sleep(0.05)

    def fail(self, failure: str) -> None:
        self.failures.append(failure)

    @property
    def loaded(self) -> list[tuple[str, str]]:
        return [(collection, name) for collection, name in self._db.query("SELECT collection, id FROM items") if name[0] == "i"]

    def dead(self) -> list[Any]:
        bodies = []
        while messages := self._sqs.receive_message(QueueUrl=self._dead_url, MaxNumberOfMessages=10).get("Messages"):
            bodies += [message["Body"] for message in messages]
        return bodies


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory, build: Path) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("model"), fsync=False, run_daemons=False, programs=build / "bin") as stack:
        yield stack


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_model_with_daemons(own_stack: Stack, seed: int) -> None:
    print(f"SEED={seed}")
    plan = Plan(seed)
    db = Database(StackServer(own_stack), "postgis")  # type: ignore[arg-type]
    db.query("DELETE FROM collections")
    prepare(db, plan)
    published = Published(own_stack, db, plan)
    published.publish()
    settings = QUICK | {"ITEMLOADD_MISSING_COLLECTION": plan.missing}
    for _ in range(2):
        own_stack.start_daemon("itemloadd", settings)
    readers = Readers(db, plan, published)
    world = World(db, plan, published, readers.gates)
    threads = [*readers.threads, world.thread, threading.Thread(target=kill_one, args=(own_stack, published, plan, settings))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not published.failures, published.failures
    finally:
        for _ in range(2):
            own_stack.stop_daemon("itemloadd")
    expected = plan.expected()
    check_rows(db, plan, world, expected)
    check_searches(db, expected)
    hopeless = {dumps(version.item) for version in plan.versions if version.key not in expected or version.is_poison}
    assert set(published.dead()) <= hopeless


def kill_one(stack: Stack, published: Published, plan: Plan, settings: dict[str, str]) -> None:
    """Its messages come again when their visibility timeout ends."""
    published.wait_taken(len(plan.deliveries) // 2)
    stack.stop_daemon("itemloadd", signal.SIGKILL)
    stack.start_daemon("itemloadd", settings)
