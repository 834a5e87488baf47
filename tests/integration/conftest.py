"""The stack without its daemons, once for the whole run, and clients of its services."""

import itertools
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.config import Config
from places import naming

from local.stack import Stack

UNCHECKED = Config(parameter_validation=False)  # boto3 would refuse some requests that the server must refuse


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), run_daemons=False, fsync=False, log_requests=True) as started:
        yield started


@pytest.fixture(scope="session")
def session_stack(tmp_path_factory: pytest.TempPathFactory, build: Path) -> Iterator[Stack]:
    """For the daemons' tests. Each starts its own daemons, and leaves the rest as it was."""
    with Stack(tmp_path_factory.mktemp("pipeline"), fsync=False, run_daemons=False, programs=build / "bin") as stack:
        yield stack


@pytest.fixture(scope="session")
def sqs(stack: Stack) -> Any:
    return stack.account.client("sqs", config=UNCHECKED)


@pytest.fixture(scope="session")
def sns(stack: Stack) -> Any:
    return stack.account.client("sns", config=UNCHECKED)


@pytest.fixture
def database(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    """Logged in as the owner, with autocommit."""
    with psycopg.connect(**stack.postgres.dsn(stack.postgres.owner), autocommit=True) as connection:
        yield connection


@dataclass(frozen=True)
class Queue:
    """A queue of one test, with short methods."""

    sqs: Any
    url: str
    arn: str

    def send(self, body: str = "x", **options: Any) -> str:
        return str(self.sqs.send_message(QueueUrl=self.url, MessageBody=body, **options)["MessageId"])

    def receive(self, count: int = 10, wait_s: int = 0, **options: Any) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=count,
            WaitTimeSeconds=wait_s,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
            **options,
        )
        return list(answer.get("Messages", []))

    def hide(self, message: dict[str, Any], seconds: int) -> None:
        self.sqs.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=seconds
        )

    def delete(self, message: dict[str, Any]) -> None:
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])

    def attribute(self, name: str) -> str:
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return str(answer["Attributes"][name])


@pytest.fixture
def make_queue(sqs: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Queue]]:
    """make_queue(VisibilityTimeout=1, ...) creates a queue that is deleted after the test."""
    made: list[Queue] = []
    numbers = itertools.count()

    def make(**attributes: Any) -> Queue:
        name = f"test-{abs(hash(request.node.nodeid)) % 10**9}-{next(numbers)}"
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()}
        url = sqs.create_queue(QueueName=name, Attributes=texts)["QueueUrl"]
        queue = Queue(sqs, url, "")
        queue = Queue(sqs, url, queue.attribute("QueueArn"))
        made.append(queue)
        return queue

    yield make
    for queue in made:
        sqs.delete_queue(QueueUrl=queue.url)


@pytest.fixture
def queue(make_queue: Callable[..., Queue]) -> Queue:
    return make_queue()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """
    A TMPDIR of the test's own, which PostgreSQL's account can enter. At the end, no process or file of a stack may be
    left.
    """
    folder = Path(tempfile.mkdtemp(prefix="stack-test."))
    folder.chmod(0o755)
    (folder / "tmp").mkdir(mode=0o755)
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("FAKE_DIR", str(folder))
    yield folder
    left = naming(folder)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder)
    assert left == {}
