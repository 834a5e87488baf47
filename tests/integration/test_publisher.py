"""itemgend's batches: the workers of build/tests/publisher publish an item each to a server with scripted answers."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aws_tool import environment
from scripted_server import Answer, Request, ScriptedServer, xml

TOOL = Path(os.environ.get("BUILD", "build")).resolve() / "tests" / "publisher"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:topic"
LATER, NEVER = 1, 2


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.end()


def messages(request: Request) -> list[str]:
    """The messages of a PublishBatch, in its order."""
    form = parse_qs(request.body.decode(), keep_blank_values=True)
    assert form["Action"] == ["PublishBatch"]
    count = len([name for name in form if name.endswith(".Message")])
    return [form[f"PublishBatchRequestEntries.member.{i + 1}.Message"][0] for i in range(count)]


def publish(request: Request) -> Answer:
    """Refuses item 3 and publishes the others."""
    done = failed = ""
    for i, text in enumerate(messages(request)):
        if text.startswith("item-3 "):
            failed += f"<member><Id>{i}</Id><Code>InvalidParameter</Code><Message>bad</Message><SenderFault>true</SenderFault></member>"
        else:
            done += f"<member><Id>{i}</Id><MessageId>m</MessageId></member>"
    lists = f"<Successful>{done}</Successful><Failed>{failed}</Failed>"
    return xml(f"<PublishBatchResponse><PublishBatchResult>{lists}</PublishBatchResult></PublishBatchResponse>")


def refuse(_: Request) -> Answer:
    error = "<Error><Type>Sender</Type><Code>AuthorizationError</Code><Message>no</Message></Error>"
    return xml(f"<ErrorResponse>{error}</ErrorResponse>", 403)


class Held:
    """A step that answers only after a signal of the test."""

    def __init__(self, step: Any) -> None:
        self.step = step
        self.arrived, self.released = threading.Event(), threading.Event()

    def __call__(self, request: Request) -> Answer:
        self.arrived.set()
        assert self.released.wait(60)
        return self.step(request)


def run(server: ScriptedServer, workers: int, size: int, *bucket: str, held: Held | None = None) -> list[dict[str, Any]]:
    """Results by worker. `held`: delays the answer to the first worker until all others wait."""
    command = [str(TOOL), TOPIC, str(workers), str(size), *bucket]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment(server.url, "key", "secret"), **pipes) as process:
        if held:
            assert held.arrived.wait(60)
            process.stdin.write("\n")
            process.stdin.flush()
        assert process.stdout.readline() == "queued\n"
        if held:
            held.released.set()
        lines, _ = process.communicate(timeout=120)
        assert process.returncode == 0
    return [json.loads(line) for line in lines.splitlines()]


def test_a_lone_item_goes_at_once_and_those_that_wait_go_together(server: ScriptedServer) -> None:
    held = Held(publish)
    server.steps(held, publish)
    results = run(server, 26, 100, held=held)
    assert [len(messages(request)) for request in server.requests] == [1, 10, 10, 5]
    sent = [text.split()[0] for request in server.requests for text in messages(request)]
    assert sorted(sent) == sorted(f"item-{i}" for i in range(26))
    assert [(result["result"], result["code"]) for result in results if result["result"] != 0] == [(NEVER, "invalid_message")]
    assert results[3]["result"] == NEVER and not results[3]["outage"]


def test_a_batch_holds_256_kib(server: ScriptedServer) -> None:
    held = Held(publish)
    server.steps(held, publish)
    results = run(server, 7, 100_000, held=held)
    assert [len(messages(request)) for request in server.requests] == [1, 2, 2, 2]
    assert sum(result["result"] for result in results) == NEVER


def test_an_outage_is_everybodys(server: ScriptedServer) -> None:
    held = Held(publish)
    server.steps(held, refuse)
    results = run(server, 5, 100, held=held)
    assert (results[0]["result"], results[0]["outage"]) == (0, False)
    assert [(result["result"], result["outage"]) for result in results[1:]] == [(LATER, True)] * 4


def test_what_is_too_large_goes_to_the_bucket_with_a_pointer(server: ScriptedServer) -> None:
    server.steps(Answer(200), publish)
    (result,) = run(server, 1, 400_000, "the-bucket")
    assert result["result"] == 0
    put, published = server.requests
    assert (put.method, put.path, put.headers["content-type"]) == ("PUT", "/the-bucket/a%252Fb/item-0/1234.json", "application/geo+json")
    assert len(put.body) == 400_000 and put.body.startswith(b"item-0 ")
    kind, pointer = json.loads(parse_qs(published.body.decode())["PublishBatchRequestEntries.member.1.Message"][0])
    assert kind == "software.amazon.payloadoffloading.PayloadS3Pointer"
    assert pointer == {"s3BucketName": "the-bucket", "s3Key": "a%2Fb/item-0/1234.json"}
    form = parse_qs(published.body.decode())
    prefix = "PublishBatchRequestEntries.member.1.MessageAttributes.entry."
    attributes = {form[f"{prefix}{i}.Name"][0]: form[f"{prefix}{i}.Value.StringValue"][0] for i in (1, 2)}
    assert attributes == {"published_at": "1234", "ExtendedPayloadSize": "400000"}


def test_too_large_without_a_bucket_and_with_one_that_is_not_there(server: ScriptedServer) -> None:
    server.steps(xml("<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>", 404))
    (result,) = run(server, 1, 400_000)
    assert (result["result"], result["code"], result["outage"]) == (NEVER, "item_too_large", False)
    assert server.requests == []
    (result,) = run(server, 1, 400_000, "the-bucket")
    assert (result["result"], result["code"], result["outage"]) == (LATER, "no_such_bucket", True)
