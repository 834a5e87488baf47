"""Settling messages: build/tests/settle leases each for a while, then settles it as its body says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("BUILD", "build") / "tests" / "settle"
REGION = "eu-central-1"


@dataclass(frozen=True)
class Server:
    """The local AWS of these tests."""

    url: str
    key: str
    secret: str

    def client(self, service: str = "sqs") -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
        )

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent/config",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/credentials",
        }


def start_server() -> tuple[subprocess.Popen[bytes], Server]:
    ready, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "local.aws", "--ready-fd", str(write_end)],
        cwd=ROOT,
        pass_fds=[write_end],
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    with os.fdopen(ready) as answers:
        answer = json.loads(answers.read())
    key = answer["keys"]["stack"]
    return process, Server(answer["url"], key["access_key_id"], key["secret_access_key"])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    process, server = start_server()
    yield server
    process.terminate()
    process.wait(10)


class Queue:
    """A queue, its dead-letter queue, and the tool that works on it."""

    def __init__(self, server: Server, name: str, receives: int | None, dead_letter_size: int = 1024 * 1024) -> None:
        self.server = server
        self.sqs = server.client()
        size = {"MaximumMessageSize": str(dead_letter_size)}
        self.dead_url = self.sqs.create_queue(QueueName=f"{name}-dead", Attributes=size)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})
        self.url = self.sqs.create_queue(
            QueueName=name,
            Attributes={"VisibilityTimeout": "30"} | ({"RedrivePolicy": policy} if receives else {}),
        )["QueueUrl"]

    def send(self, body: str, attributes: dict[str, Any] | None = None, url: str | None = None) -> str:
        answer = self.sqs.send_message(QueueUrl=url or self.url, MessageBody=body, MessageAttributes=attributes or {})
        return str(answer["MessageId"])

    def receive(self, url: str | None = None, wait_s: int = 0, visibility_s: int = 0) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(
            QueueUrl=url or self.url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=wait_s,
            VisibilityTimeout=visibility_s,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        return list(answer.get("Messages", []))

    def spend(self, receives: int) -> None:
        """Receives its only message this many times, without settling it."""
        for _ in range(receives):
            assert len(self.receive()) == 1

    def counts(self, url: str | None = None) -> tuple[int, int]:
        """Visible, and in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=names)["Attributes"]
        return int(attributes[names[0]]), int(attributes[names[1]])

    def start(self, **settings: str) -> subprocess.Popen[str]:
        environment = {f"TOOL_SETTLE_{key.upper()}": value for key, value in ({"log_level": "debug"} | settings).items()}
        return subprocess.Popen(
            [TOOL],
            env=self.server.environment() | {"TOOL_SETTLE_QUEUE_URL": self.url} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, expected: int = 0, **settings: str) -> list[dict[str, str]]:
        """Its lines."""
        return finish(self.start(**settings), expected)

    def dead_letter(self) -> tuple[str, dict[str, tuple[str, str]]]:
        """Body and attributes of the only one."""
        messages = self.receive(self.dead_url)
        assert len(messages) == 1
        return messages[0]["Body"], attributes_of(messages[0])


def attributes_of(message: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {
        name: (value["DataType"], value["StringValue"]) for name, value in message.get("MessageAttributes", {}).items()
    }


def finish(process: subprocess.Popen[str], expected: int = 0) -> list[dict[str, str]]:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == expected, output
    return [json.loads(line) for line in output.splitlines()]


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.05)


def lines_until(process: subprocess.Popen[str], text: str) -> list[dict[str, str]]:
    """What the tool logs up to and including the first line with this text."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(json.loads(line))
        if text in line:
            return lines
    raise AssertionError(f"no line with {text!r}: {lines}")


def events(lines: list[dict[str, str]], name: str) -> list[dict[str, str]]:
    return [line for line in lines if line["event"] == name]


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def number(value: int) -> dict[str, str]:
    return {"DataType": "Number", "StringValue": str(value)}


@pytest.fixture
def make(server: Server, request: pytest.FixtureRequest) -> Callable[..., Queue]:
    name = request.node.name.replace("[", "-").replace("]", "")[:60]

    def make_one(receives: int | None = 6, **options: int) -> Queue:
        return Queue(server, name, receives, **options)

    return make_one


def test_done_is_deleted(make: Callable[..., Queue]) -> None:
    queue = make()
    message_id = queue.send("done")
    lines = queue.run()
    assert queue.counts() == (0, 0)
    assert queue.counts(queue.dead_url) == (0, 0)
    assert [line["sqs_message_id"] for line in events(lines, "MESSAGE_DONE")] == [message_id]
    assert events(lines, "MESSAGE_DONE")[0]["level"] == "debug"


def test_later_is_invisible_for_a_while(make: Callable[..., Queue]) -> None:
    queue = make()
    message_id = queue.send("later the thing is not there yet")
    lines = queue.run(backoff_min="2s", backoff_max="2s")
    line = events(lines, "MESSAGE_LATER")[0]
    assert (line["sqs_message_id"], line["error_code"], line["receive_count"]) == (message_id, "not_yet", "1")
    assert line["message"].startswith("tried again in 2 s (attempt 1 of 5): ")
    assert line["message"].endswith("the thing is not there yet")
    assert queue.counts() == (0, 1)
    before = time.monotonic()
    assert len(queue.receive(wait_s=10)) == 1
    assert 0.5 < time.monotonic() - before < 3
    assert queue.counts(queue.dead_url) == (0, 0)


def test_later_takes_longer_each_time(make: Callable[..., Queue]) -> None:
    queue = make()
    queue.send("later")
    queue.spend(2)
    lines = queue.run(backoff_min="10s", backoff_max="1h")
    seconds = int(events(lines, "MESSAGE_LATER")[0]["message"].split()[3])
    assert 67 <= seconds <= 90  # 10 s * 3 * 3, less up to a quarter


def test_never_is_dead_lettered_at_once(make: Callable[..., Queue]) -> None:
    queue = make()
    before_ms = time.time() * 1000
    message_id = queue.send('never "é" \u0009 has no id')
    lines = queue.run()
    assert queue.counts() == (0, 0)
    body, attributes = queue.dead_letter()
    assert body == 'never "é" \u0009 has no id'
    assert set(attributes) == {"error_code", "error", "source_message_id", "receive_count", "failed_at", "published_at"}
    assert attributes["error_code"] == ("String", "bad_thing")
    assert attributes["error"] == ("String", ' "é" \u0009 has no id')
    assert attributes["source_message_id"] == ("String", message_id)
    assert attributes["receive_count"] == ("Number", "1")
    kind, failed_at = attributes["failed_at"]
    assert kind == "String"
    assert len(failed_at) == 24 and failed_at[10] == "T" and failed_at.endswith("Z")
    kind, published_at = attributes["published_at"]  # from SentTimestamp: nothing else is known
    assert kind == "Number"
    assert before_ms - 1 <= int(published_at) <= time.time() * 1000
    line = events(lines, "MESSAGE_DEAD")[0]
    assert (line["sqs_message_id"], line["error_code"], line["receive_count"]) == (message_id, "bad_thing", "1")
    assert line["level"] == "warning"


def test_later_is_dead_lettered_with_its_reason_on_the_last_attempt(make: Callable[..., Queue]) -> None:
    queue = make(receives=4)
    queue.send("later no such collection")
    queue.spend(1)
    assert events(queue.run(backoff_min="1s", backoff_max="1s"), "MESSAGE_LATER")
    line = events(queue.run(), "MESSAGE_DEAD")[0]
    assert line["receive_count"] == "3" and "(attempt 3 of 3)" in line["message"]
    assert queue.counts() == (0, 0)
    _, attributes = queue.dead_letter()
    assert attributes["error_code"] == ("String", "not_yet")
    assert attributes["error"] == ("String", " no such collection")
    assert attributes["receive_count"] == ("Number", "3")


def test_return_is_visible_at_once(make: Callable[..., Queue]) -> None:
    queue = make()
    message_id = queue.send("return")
    lines = queue.run()
    assert queue.counts() == (1, 0)
    line = events(lines, "MESSAGE_RETURNED")[0]
    assert (line["sqs_message_id"], line["error_code"]) == (message_id, "interrupted")
    assert queue.receive()[0]["Attributes"]["ApproximateReceiveCount"] == "2"


def test_return_on_the_last_attempt_is_dead_lettered(make: Callable[..., Queue]) -> None:
    queue = make(receives=3)
    queue.send("return")
    queue.spend(1)
    assert events(queue.run(), "MESSAGE_DEAD")
    assert queue.counts() == (0, 0)
    _, attributes = queue.dead_letter()
    assert attributes["error_code"] == ("String", "interrupted")
    assert "last attempt" in attributes["error"][1]


def test_many_at_once(make: Callable[..., Queue]) -> None:
    queue = make()
    words = ["done", "later", "never", "return", "never again"] * 5
    for i, word in enumerate(words):
        queue.send(f"{word} {i}")
    lines = queue.run(messages="25", log_level="info")
    assert len(events(lines, "MESSAGE_LATER")) == 5
    assert len(events(lines, "MESSAGE_DEAD")) == 10
    assert len(events(lines, "MESSAGE_RETURNED")) == 5
    assert events(lines, "MESSAGE_DONE") == []
    # A heartbeat for a settled message would make it invisible again.
    assert events(lines, "WARNING")[-1]["message"] == "settled, holds 0"
    assert queue.counts() == (5, 5)
    assert queue.counts(queue.dead_url) == (10, 0)
    bodies = {message["Body"] for _ in range(3) for message in queue.receive(queue.dead_url, visibility_s=30)}
    assert bodies == {f"{word} {i}" for i, word in enumerate(words) if word.startswith("never")}


def test_attributes_go_along(make: Callable[..., Queue]) -> None:
    queue = make()
    own = {
        "published_at": number(1700000000123),
        "source": text("a \"quoted\" é"),
        "blob": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"},
    } | {f"x{i}": text("y") for i in range(7)}
    queue.send("never", own)
    queue.run()
    _, attributes = queue.dead_letter()
    assert len(attributes) == 7
    assert attributes["published_at"] == ("Number", "1700000000123")
    original = json.loads(attributes["original_attributes"][1])
    assert len(original) == 10
    assert original["source"] == {"Type": "String", "Value": "a \"quoted\" é"}
    assert original["blob"] == {"Type": "Binary.png", "Value": "AP8="}
    assert original["published_at"] == {"Type": "Number", "Value": "1700000000123"}


def test_a_dead_letter_that_comes_again_does_not_nest(make: Callable[..., Queue]) -> None:
    queue = make()
    queue.send("never", {"published_at": number(1600000000000), "colour": text("blue")})
    queue.run()
    first = queue.receive(queue.dead_url, visibility_s=30)[0]
    # As StartMessageMoveTask puts it back: body and attributes the same, a new id.
    queue.sqs.delete_message(QueueUrl=queue.dead_url, ReceiptHandle=first["ReceiptHandle"])
    again = {name: {"DataType": kind, "StringValue": value} for name, (kind, value) in attributes_of(first).items()}
    message_id = queue.send(first["Body"], again)
    queue.run()
    _, attributes = queue.dead_letter()
    assert attributes["original_attributes"] == attributes_of(first)["original_attributes"]
    assert json.loads(attributes["original_attributes"][1])["colour"] == {"Type": "String", "Value": "blue"}
    assert attributes["published_at"] == ("Number", "1600000000000")
    assert attributes["source_message_id"] == ("String", message_id)


def test_published_at_of_the_settlement_counts(make: Callable[..., Queue]) -> None:
    queue = make()
    queue.send("never", {"published_at": number(1)})
    queue.run(published_at="1234567890123")
    assert queue.dead_letter()[1]["published_at"] == ("Number", "1234567890123")


@pytest.mark.parametrize(
    ("body", "attribute", "kept"),
    [(1000, 100, {"error", "original_attributes"}), (1500, 100, {"original_attributes"}), (1500, 700, set())],
)
def test_a_large_dead_letter_leaves_attributes_out(make: Callable[..., Queue], body: int, attribute: int, kept: set[str]) -> None:
    queue = make(dead_letter_size=2048)
    queue.send(f"never {'why' * 100}\n".ljust(body, "x"), {"a": text("v" * attribute)})
    assert events(queue.run(), "MESSAGE_DEAD")
    letter, attributes = queue.dead_letter()
    assert len(letter) == body
    assert {"error", "original_attributes"} & set(attributes) == kept
    assert {"error_code", "source_message_id", "receive_count", "failed_at", "published_at"} <= set(attributes)


def test_a_dead_letter_that_is_too_large_is_left_to_the_redrive_policy(make: Callable[..., Queue]) -> None:
    queue = make(receives=2, dead_letter_size=1024)
    message_id = queue.send("never " + "x" * 2000)
    lines = queue.run(backoff_min="1s", backoff_max="1s")
    line = events(lines, "MESSAGE_LATER")[0]
    assert line["level"] == "error"
    assert line["sqs_message_id"] == message_id
    assert "MaximumMessageSize" in line["message"]
    assert queue.counts() == (0, 1)
    assert queue.counts(queue.dead_url) == (0, 0)


def test_a_dead_letter_queue_that_refuses_loses_nothing(make: Callable[..., Queue]) -> None:
    queue = make()
    queue.send("never")
    process = queue.start(hold="2s", backoff_min="1s", backoff_max="1s")
    lines_until(process, "holds 1")
    queue.sqs.delete_queue(QueueUrl=queue.dead_url)
    lines = finish(process)
    line = events(lines, "MESSAGE_LATER")[0]
    assert "could not be dead-lettered" in line["message"]
    assert queue.counts() == (0, 1)
    assert len(queue.receive(wait_s=5)) == 1


def test_without_a_dead_letter_queue_nothing_starts(make: Callable[..., Queue]) -> None:
    queue = make(receives=None)
    lines = queue.run(expected=1)
    assert lines[-1]["error_code"] == "no_dead_letter_queue"
    assert "dead_letter_queue_url" in lines[-1]["message"]


def test_a_dead_letter_queue_from_the_configuration(make: Callable[..., Queue]) -> None:
    queue = make(receives=None)
    queue.send("never")
    queue.run(dead_letter_queue_url=queue.dead_url)
    assert queue.dead_letter()[0] == "never"


def test_without_a_redrive_policy_there_are_five_attempts(make: Callable[..., Queue]) -> None:
    queue = make(receives=None)
    queue.send("later")
    queue.spend(3)
    lines = queue.run(dead_letter_queue_url=queue.dead_url, backoff_min="1s", backoff_max="1s")
    assert "(attempt 4 of 5)" in events(lines, "MESSAGE_LATER")[0]["message"]
    queue.run(dead_letter_queue_url=queue.dead_url)
    body, attributes = queue.dead_letter()
    assert body == "later" and attributes["receive_count"] == ("Number", "5")
    assert queue.counts() == (0, 0)


# --- the receive in reserve


def killed_while_it_holds(queue: Queue, **settings: str) -> None:
    """The tool dies without settling the message, which then becomes visible again."""
    process = queue.start(hold="60s", visibility="1s", **settings)
    lines_until(process, "holds 1")
    process.kill()
    process.communicate(timeout=10)
    wait_for(lambda: queue.counts() == (1, 0))


def test_killed_on_the_last_attempt_has_a_reason(make: Callable[..., Queue]) -> None:
    queue = make(receives=4)
    message_id = queue.send("done", {"published_at": number(1600000000000), "colour": text("blue")})
    queue.spend(2)
    killed_while_it_holds(queue)
    lines = queue.run()
    assert events(lines, "MESSAGE_DONE") == []
    line = events(lines, "MESSAGE_DEAD")[0]
    assert (line["error_code"], line["receive_count"]) == ("interrupted", "4")
    assert "(receive 4, after 3 attempts)" in line["message"]
    body, attributes = queue.dead_letter()
    assert (body, attributes["error_code"][1]) == ("done", "interrupted")
    assert "killed" in attributes["error"][1]
    assert attributes["source_message_id"] == ("String", message_id)
    assert attributes["receive_count"] == ("Number", "4")
    assert attributes["published_at"] == ("Number", "1600000000000")
    assert json.loads(attributes["original_attributes"][1])["colour"] == {"Type": "String", "Value": "blue"}
    assert queue.counts() == (0, 0)


def test_killed_on_each_attempt_has_a_reason(make: Callable[..., Queue]) -> None:
    queue = make(receives=3)
    queue.send("done")
    for _ in range(2):
        killed_while_it_holds(queue)
    queue.run()
    assert queue.dead_letter()[1]["error_code"] == ("String", "interrupted")


@pytest.mark.parametrize(("word", "dead"), [("done", []), ("later", ["not_yet"]), ("never", ["bad_thing"]), ("return", ["interrupted"])])
@pytest.mark.parametrize("receives", [2, 3])
def test_the_last_attempt_is_worked_on(make: Callable[..., Queue], receives: int, word: str, dead: list[str]) -> None:
    queue = make(receives=receives)
    message_id = queue.send(word)
    queue.spend(receives - 2)
    queue.run()
    assert queue.counts() == (0, 0)
    letters = [attributes_of(message) for message in queue.receive(queue.dead_url)]
    assert [letter["error_code"][1] for letter in letters] == dead
    for letter in letters:
        assert (letter["source_message_id"][1], letter["receive_count"][1]) == (message_id, str(receives - 1))
        assert "original_attributes" not in letter


def test_only_messages_whose_worker_died_are_dead_lettered(make: Callable[..., Queue]) -> None:
    queue = make(receives=3)
    old = {queue.send(f"done {i}") for i in range(3)}
    for _ in range(2):
        assert len(queue.receive()) == 3
    new = {queue.send(f"done {i}") for i in range(3, 6)}
    lines = queue.run(messages="6")
    assert {line["sqs_message_id"] for line in events(lines, "MESSAGE_DEAD")} == old
    assert {line["sqs_message_id"] for line in events(lines, "MESSAGE_DONE")} == new
    assert events(lines, "WARNING")[-1]["message"] == "settled, holds 0"
    assert queue.counts() == (0, 0) and queue.counts(queue.dead_url) == (3, 0)


@pytest.mark.parametrize("receives", [2, None])
def test_the_time_of_publication_stays_with_a_lost_message(make: Callable[..., Queue], receives: int | None) -> None:
    queue = make(receives=receives)
    envelope = {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-central-1:1:t", "Message": "x", "Timestamp": "2021-01-02T03:04:05.678Z"}
    queue.send(json.dumps(envelope))
    queue.spend(receives - 1 if receives else 5)
    queue.run(dead_letter_queue_url=queue.dead_url)
    assert queue.dead_letter()[1]["published_at"] == ("Number", "1609556645678")


def test_a_lost_message_keeps_ten_attributes(make: Callable[..., Queue]) -> None:
    queue = make(receives=2)
    own = {f"x{i}": text("y") for i in range(10)}
    queue.send("done", own)
    queue.spend(1)
    queue.run()
    letter = queue.dead_letter()[1]
    assert letter["error_code"][1] == "interrupted"
    assert set(json.loads(letter["original_attributes"][1])) == set(own)


@pytest.mark.parametrize("room", [0, 240])
def test_a_lost_message_that_leaves_no_room_for_a_dead_letter(make: Callable[..., Queue], room: int) -> None:
    queue = make(receives=2, dead_letter_size=2048)
    queue.send("done ".ljust(2048 - room, "x"))
    queue.spend(1)
    lines = queue.run(backoff_min="1s", backoff_max="1s")
    assert len(events(lines, "MESSAGE_DEAD")) == (1 if room else 0)
    if not room:
        line = events(lines, "MESSAGE_LATER")[0]
        assert line["level"] == "error" and "the queue moves it, without this reason, in 1 s" in line["message"]


def refuse_dead_letters(server: Server, queue: Queue) -> Callable[[], None]:
    """Returns a function that allows them again."""
    iam = server.client("iam")
    arn = queue.sqs.get_queue_attributes(QueueUrl=queue.dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    deny = {"Effect": "Deny", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_user_policy(UserName="stack", PolicyName="deny", PolicyDocument=policy)
    return lambda: iam.delete_user_policy(UserName="stack", PolicyName="deny")


def test_a_dead_letter_refused_on_the_last_attempt(own_server: tuple[subprocess.Popen[bytes], Server]) -> None:
    """The receive in reserve is a second chance for it."""
    queue = Queue(own_server[1], "refused-on-the-last-attempt", 2)
    queue.send("later")
    allow = refuse_dead_letters(own_server[1], queue)
    line = events(queue.run(backoff_min="1s", backoff_max="1s"), "MESSAGE_LATER")[0]
    assert line["level"] == "error" and line["error_code"] == "not_yet"
    assert "could not be dead-lettered" in line["message"] and "; tried again in 1 s" in line["message"]
    allow()
    queue.run()
    letter = queue.dead_letter()[1]
    assert (letter["error_code"][1], letter["receive_count"][1]) == ("interrupted", "2")
    assert "its dead letter was refused" in letter["error"][1]


def test_a_dead_letter_refused_on_the_receive_in_reserve(own_server: tuple[subprocess.Popen[bytes], Server]) -> None:
    """Nothing is lost: the queue moves the message, and the log has the reason."""
    queue = Queue(own_server[1], "refused-on-the-reserve", 2)
    queue.send("done", {"colour": text("blue")})
    queue.spend(1)
    allow = refuse_dead_letters(own_server[1], queue)
    lines = queue.run(backoff_min="1s", backoff_max="1s")
    assert events(lines, "MESSAGE_DONE") == []
    line = events(lines, "MESSAGE_LATER")[0]
    assert (line["level"], line["error_code"], line["receive_count"]) == ("error", "interrupted", "2")
    assert "the queue moves it, without this reason, in 1 s" in line["message"]
    assert queue.counts() == (0, 1)
    allow()
    assert queue.receive(wait_s=3) == []
    body, attributes = queue.dead_letter()
    assert body == "done" and set(attributes) == {"colour"}


def test_one_receive_is_worked_on(make: Callable[..., Queue]) -> None:
    queue = make(receives=1)
    queue.send("later")
    assert "(attempt 1 of 1)" in events(queue.run(), "MESSAGE_DEAD")[0]["message"]
    assert queue.dead_letter()[1]["error_code"][1] == "not_yet"


def test_with_one_receive_there_is_no_reserve(make: Callable[..., Queue]) -> None:
    queue = make(receives=1)
    queue.send("done")
    killed_while_it_holds(queue)
    assert queue.receive() == []
    assert queue.dead_letter() == ("done", {})


def test_a_message_that_is_put_back_has_all_its_attempts(make: Callable[..., Queue]) -> None:
    queue = make(receives=3)
    queue.send("later")
    queue.spend(2)
    assert events(queue.run(), "MESSAGE_DEAD")
    arns = [
        queue.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        for url in (queue.dead_url, queue.url)
    ]
    queue.sqs.start_message_move_task(SourceArn=arns[0], DestinationArn=arns[1])
    line = events(queue.run(backoff_min="1s", backoff_max="1s"), "MESSAGE_LATER")[0]
    assert "(attempt 1 of 2)" in line["message"]
    assert events(queue.run(), "MESSAGE_DEAD")[0]["error_code"] == "not_yet"


def test_without_a_redrive_policy_a_message_that_kills_its_worker_is_dead_lettered(make: Callable[..., Queue]) -> None:
    queue = make(receives=None)
    queue.send("done")
    queue.spend(4)
    killed_while_it_holds(queue, dead_letter_queue_url=queue.dead_url)
    lines = queue.run(dead_letter_queue_url=queue.dead_url)
    assert events(lines, "MESSAGE_DONE") == []
    attributes = queue.dead_letter()[1]
    assert (attributes["error_code"][1], attributes["receive_count"][1]) == ("interrupted", "6")


@pytest.mark.parametrize("which", ["queue_url", "dead_letter_queue_url"])
def test_a_queue_that_does_not_exist(make: Callable[..., Queue], which: str) -> None:
    queue = make()
    lines = queue.run(expected=1, **{which: queue.url + "-not"})
    assert f"{queue.url}-not" in lines[-1]["message"]


def test_heartbeats_keep_a_message_invisible(make: Callable[..., Queue]) -> None:
    queue = make()
    for _ in range(12):
        queue.send("done")
    process = queue.start(messages="12", visibility="2s", hold="6500ms")
    lines_until(process, "holds 12")
    seen = 0
    while process.poll() is None:
        seen += len(queue.receive(wait_s=1))
    lines = finish(process)
    assert seen == 0
    words = events(lines, "WARNING")[0]["message"].split()
    assert words[1] == "12,"
    # One each second for each message.
    assert 5 * 12 <= int(words[3]) <= 7 * 12
    assert queue.counts() == (0, 0)


def test_a_message_whose_lease_ended_gets_no_more_heartbeats(make: Callable[..., Queue]) -> None:
    queue = make()
    for _ in range(3):
        queue.send("done")
    process = queue.start(messages="3", visibility="2s", hold="3s", take="12s")
    lines_until(process, "ended, holds 1")
    # Two of them become visible, and the third stays invisible.
    wait_for(lambda: queue.counts() == (2, 1))
    assert len(queue.receive(visibility_s=30)) == 2
    assert queue.receive(wait_s=3) == []
    process.terminate()
    finish(process)


def test_a_message_that_somebody_else_deleted_is_not_ours(make: Callable[..., Queue]) -> None:
    queue = make()
    queue.send("never")
    queue.send("done")
    process = queue.start(messages="2", visibility="4s", hold="5s")
    lines_until(process, "holds 2")
    queue.sqs.purge_queue(QueueUrl=queue.url)
    lines = finish(process)
    assert events(lines, "WARNING")[0]["message"].startswith("ours 0,")
    failures = events(lines, "HEARTBEAT_FAILED")
    assert [line["error_code"] for line in failures] == ["not_in_flight"]  # one line for both
    # Another consumer may have it now, so we send no dead letter.
    assert "lease lost" in events(lines, "MESSAGE_LATER")[0]["message"]
    assert queue.counts(queue.dead_url) == (0, 0)


@pytest.fixture
def own_server() -> Iterator[tuple[subprocess.Popen[bytes], Server]]:
    process, server = start_server()
    yield process, server
    process.kill()
    process.wait()


def test_heartbeats_that_fail_are_tried_again(own_server: tuple[subprocess.Popen[bytes], Server]) -> None:
    server = own_server[1]
    queue = Queue(server, "refused-for-a-while", 6)
    queue.send("done")
    process = queue.start(visibility="8s", hold="10s")
    lines_until(process, "holds 1")
    iam = server.client("iam")
    deny = {"Effect": "Deny", "Action": "sqs:ChangeMessageVisibility*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam.put_user_policy(UserName="stack", PolicyName="deny", PolicyDocument=policy)
    lines = lines_until(process, "HEARTBEAT_FAILED")  # after about four seconds
    iam.delete_user_policy(UserName="stack", PolicyName="deny")
    assert queue.receive(wait_s=6) == []  # until after the first eight seconds
    lines += finish(process)
    assert len(events(lines, "HEARTBEAT_FAILED")) == 1
    assert events(lines, "WARNING")[0]["message"] in ("ours 1, heartbeats 1", "ours 1, heartbeats 2")


def test_an_aws_that_does_not_answer_does_not_fill_the_log(own_server: tuple[subprocess.Popen[bytes], Server]) -> None:
    server_process, server = own_server
    queue = Queue(server, "gone", 6)
    queue.send("done")
    process = queue.start(visibility="2s", hold="5s", log_level="info")
    lines_until(process, "holds 1")
    server_process.kill()
    lines = finish(process)
    assert len(events(lines, "HEARTBEAT_FAILED")) == 1
    assert any("it becomes visible again" in line["message"] for line in events(lines, "WARNING"))
