"""lib/aws and lib/sqs against a local AWS that checks every signature."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_tool import LATER, NEVER, Tool, attribute, environment, has_failed

REGION = "eu-central-1"
ODD_KEYS = ["plain.json", "a b+c/d é.json", "../up/./x", "double//slash", "per%20cent?&=#.json", "~-_.!*'()"]


class Moto:
    """A moto_server with one user. It accepts no other keys."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        program = Path(sys.executable).parent / "moto_server"
        self.process = subprocess.Popen(
            [str(program), "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
        )
        try:
            self.await_answer()
            self.key, self.secret = self.make_user()
            self.check_signatures()
        except BaseException:
            self.end()
            raise

    def await_answer(self) -> None:
        for _ in range(300):
            assert self.process.poll() is None, "moto_server ended"
            try:
                urllib.request.urlopen(self.url + "/moto-api/", timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("moto_server does not answer")

    def make_user(self) -> tuple[str, str]:
        iam = self.client("iam", "x", "x")
        iam.create_user(UserName="tester")
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        iam.put_user_policy(UserName="tester", PolicyName="all", PolicyDocument=json.dumps(policy))
        keys = iam.create_access_key(UserName="tester")["AccessKey"]
        return keys["AccessKeyId"], keys["SecretAccessKey"]

    def check_signatures(self) -> None:
        request = urllib.request.Request(
            self.url + "/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}, method="POST"
        )
        urllib.request.urlopen(request, timeout=10).close()

    def client(self, service: str, key: str | None = None, secret: str | None = None) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=key or self.key,
            aws_secret_access_key=secret or self.secret,
        )

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    server = Moto()
    yield server
    server.end()


@pytest.fixture
def env(moto: Moto) -> dict[str, str]:
    return environment(moto.url, moto.key, moto.secret)


@pytest.fixture
def tool(env: dict[str, str]) -> Iterator[Tool]:
    with Tool(env) as running:
        yield running


@pytest.fixture
def queue(moto: Moto, request: pytest.FixtureRequest) -> str:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)[:80]
    return moto.client("sqs").create_queue(QueueName=name)["QueueUrl"]


def bodies(answer: dict[str, Any]) -> list[str]:
    assert answer["result"] == 0, answer
    return [m["body"] for m in answer["messages"]]


def receive_all(tool: Tool, queue: str, **options: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    while more := tool("receive", queue_url=queue, visibility_s=60, **options)["messages"]:
        messages += more
    return messages


def test_send_receive_delete(tool: Tool, queue: str) -> None:
    body = 'text "quoted" \\ \t\n\r é \U0001f30d'
    before_ms = int(time.time() * 1000)
    sent = tool("send", queue_url=queue, entries=[{"body": body}])
    assert sent["result"] == 0 and sent["entries"][0]["result"] == 0

    answer = tool("receive", queue_url=queue, visibility_s=60)
    (message,) = answer["messages"]
    assert message["body"] == message["payload"] == body and not message["is_sns"]
    assert message["receive_count"] == 1 and message["message_id"]
    assert before_ms <= message["sent_at_ms"] <= message["first_received_at_ms"] <= int(time.time() * 1000)
    assert message["published_at_ms"] == message["sent_at_ms"]
    assert answer["full"] == 0

    deleted = tool("delete", queue_url=queue, handles=[message["receipt_handle"]])
    assert [e["result"] for e in deleted["entries"]] == [0]
    assert bodies(tool("receive", queue_url=queue)) == []
    assert tool("info", queue_url=queue)["in_flight"] == 0


def test_an_empty_queue_is_not_an_error(tool: Tool, queue: str) -> None:
    began = time.monotonic()
    answer = tool("receive", queue_url=queue, wait_s=1, requests=3)
    assert bodies(answer) == [] and answer["full"] == 0
    assert 0.9 < time.monotonic() - began < 3


def test_visibility(tool: Tool, queue: str) -> None:
    tool("send", queue_url=queue, entries=[{"body": "x"}])
    (message,) = tool("receive", queue_url=queue, visibility_s=300)["messages"]
    assert bodies(tool("receive", queue_url=queue)) == []
    back = tool("visibility", queue_url=queue, handles=[message["receipt_handle"]], visibility_s=0)
    assert back["entries"][0]["result"] == 0
    (again,) = tool("receive", queue_url=queue, visibility_s=1)["messages"]
    assert again["receive_count"] == 2 and again["message_id"] == message["message_id"]
    assert again["first_received_at_ms"] == message["first_received_at_ms"]
    held = tool("visibility", queue_url=queue, handles=[again["receipt_handle"]], visibility_s=60)
    assert held["entries"][0]["result"] == 0
    time.sleep(1.2)
    assert bodies(tool("receive", queue_url=queue)) == []


def test_attributes_both_ways(tool: Tool, queue: str, moto: Moto) -> None:
    attributes = [
        attribute("published_at", "1700000000123", "Number"),
        attribute("error", "é \U0001f30d"),
        attribute("data", "AAEC/w==", "Binary"),
    ]
    tool("send", queue_url=queue, entries=[{"body": "x", "attributes": attributes}])
    seen = moto.client("sqs").receive_message(QueueUrl=queue, MessageAttributeNames=["All"], VisibilityTimeout=0)
    got = seen["Messages"][0]["MessageAttributes"]
    assert got["published_at"] == {"StringValue": "1700000000123", "DataType": "Number"}
    assert got["error"] == {"StringValue": "é \U0001f30d", "DataType": "String"}
    assert got["data"]["BinaryValue"] == b"\x00\x01\x02\xff"
    (message,) = tool("receive", queue_url=queue)["messages"]
    assert message["attributes"] == {a["name"]: [a["type"], a["value"]] for a in attributes}
    assert message["published_at_ms"] == 1700000000123


def test_batches_of_25(tool: Tool, queue: str) -> None:
    sent = tool("send", queue_url=queue, entries=[{"body": f"m{i}"} for i in range(25)])
    assert [e["result"] for e in sent["entries"]] == [0] * 25
    messages = receive_all(tool, queue, requests=3)
    assert sorted(m["body"] for m in messages) == sorted(f"m{i}" for i in range(25))
    handles = [m["receipt_handle"] for m in messages]
    held = tool("visibility", queue_url=queue, handles=handles, visibility_s=0)
    assert [e["result"] for e in held["entries"]] == [0] * 25
    assert tool("info", queue_url=queue)["visible"] == 25
    handles = [m["receipt_handle"] for m in receive_all(tool, queue)]
    gone = tool("delete", queue_url=queue, handles=handles + handles[:3])  # three handles twice
    assert [e["result"] for e in gone["entries"]] == [0] * 28
    info = tool("info", queue_url=queue)
    assert info["visible"] == info["in_flight"] == 0


def test_full_answers_are_counted(tool: Tool, queue: str) -> None:
    tool("send", queue_url=queue, entries=[{"body": f"m{i}"} for i in range(7)])
    first = tool("receive", queue_url=queue, max=3, visibility_s=60)
    assert len(first["messages"]) == 3 and first["full"] == 1
    rest = tool("receive", queue_url=queue, requests=3, max=3, visibility_s=60)
    assert len(rest["messages"]) == 4 and rest["full"] == 1


def test_handles_that_are_no_longer_valid(tool: Tool, queue: str) -> None:
    tool("send", queue_url=queue, entries=[{"body": "x"}])
    (message,) = tool("receive", queue_url=queue, visibility_s=60)["messages"]
    handles = ["no-such-handle", message["receipt_handle"]]
    held = tool("visibility", queue_url=queue, handles=handles, visibility_s=60)
    assert held["result"] == 0 and held["entries"][1]["result"] == 0
    assert has_failed(held["entries"][0], NEVER, "not_in_flight")
    gone = tool("delete", queue_url=queue, handles=handles)
    assert has_failed(gone["entries"][0], NEVER, "not_in_flight") and gone["entries"][1]["result"] == 0
    assert tool("info", queue_url=queue)["in_flight"] == 0


def test_messages_that_cannot_be_sent(tool: Tool, queue: str) -> None:
    eleven = [attribute(f"a{i}", "x") for i in range(11)]
    mega = 1024 * 1024
    entries = [
        {"body": "good"},
        {"body": "x" * (mega + 1)},
        {"body": "x" * (mega - 10), "attributes": [attribute("name", "v")]},
        {"body": "x", "attributes": eleven},
        {"body": "a\x01b"},
        {"body": ""},
        {"body": "x", "attributes": [attribute("a", "")]},
        {"body": "x", "attributes": eleven[:10]},
        {"body": "x" * (mega - 11), "attributes": [attribute("name", "v")]},
    ]
    sent = tool("send", queue_url=queue, entries=entries)
    codes = [e["code"] for e in sent["entries"]]
    too_large, invalid = "message_too_large", "invalid_message"
    assert codes == [None, too_large, too_large, invalid, invalid, invalid, invalid, None, None]
    assert {e["result"] for e in sent["entries"] if e["code"]} == {NEVER}
    assert sorted(len(m["body"]) for m in receive_all(tool, queue)) == [1, 4, mega - 11]


def test_large_messages(tool: Tool, queue: str) -> None:
    """Messages over 1 MiB in all need several requests. One answer may have over 10 MiB."""
    texts = [f"{i}" + '"' * 1000000 for i in range(6)]
    sent = tool("send", queue_url=queue, entries=[{"body": t} for t in texts])
    assert [e["result"] for e in sent["entries"]] == [0] * 6
    assert sorted(m["body"] for m in receive_all(tool, queue)) == texts


def test_queue_info(tool: Tool, moto: Moto, queue: str) -> None:
    sqs = moto.client("sqs")
    plain = tool("info", queue_url=queue)
    assert (plain["visibility_s"], plain["max_receive_count"], plain["dead_letter_arn"]) == (30, 0, None)
    dead = sqs.create_queue(QueueName="info-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "120", "RedrivePolicy": policy})
    info = tool("info", queue_url=queue)
    assert (info["visibility_s"], info["max_receive_count"], info["dead_letter_arn"]) == (120, 5, arn)
    assert info["max_message_size"] >= 262144
    assert tool("url", arn=arn)["url"] == dead


def test_missing_and_invalid_queues(tool: Tool, queue: str) -> None:
    missing = queue + "-missing"
    name = missing.rsplit("/", 1)[-1]
    for answer in (tool("receive", queue_url=missing), tool("info", queue_url=missing)):
        assert has_failed(answer, NEVER, "aws_error")
        assert answer["text"].startswith(f"queue {name} does not exist in eu-central-1, check its URL and the region: sqs ")
    assert has_failed(tool("url", arn="arn:aws:sqs:eu-central-1:123456789012:missing"), NEVER, "aws_error")
    assert has_failed(tool("url", arn="arn:aws:sns:eu-central-1:123456789012:x"), NEVER, "invalid_queue_arn")
    assert has_failed(tool("receive", queue_url="queue"), NEVER, "invalid_queue_url")
    # Every message would fail.
    for answer in (
        tool("send", queue_url=missing, entries=[{"body": "x"}]),
        tool("delete", queue_url=missing, handles=["h"]),
    ):
        assert answer["result"] == 0 and has_failed(answer["entries"][0], LATER, "aws_error", outage=True)


@pytest.fixture
def topic(moto: Moto, queue: str) -> dict[str, str]:
    """A topic with two subscribed queues, one with raw delivery and one with envelopes."""
    sns, sqs = moto.client("sns"), moto.client("sqs")
    name = queue.rsplit("/", 1)[1]
    arn = sns.create_topic(Name=name)["TopicArn"]
    queues = {"raw": queue, "enveloped": sqs.create_queue(QueueName=f"{name}-e")["QueueUrl"]}
    for kind, url in queues.items():
        queue_arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        admitted = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": arn}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [admitted]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        sns.subscribe(
            TopicArn=arn,
            Protocol="sqs",
            Endpoint=queue_arn,
            Attributes={"RawMessageDelivery": "true" if kind == "raw" else "false"},
        )
    return {"arn": arn, **queues}


def test_publish_raw_and_enveloped(tool: Tool, topic: dict[str, str]) -> None:
    body = json.dumps({"type": "Feature", "id": "é+&=% \U0001f30d", "n": 1.10})
    attributes = [attribute("published_at", "1700000000123", "Number"), attribute("kind", "a b&c=é")]
    before_ms = int(time.time() * 1000)
    plain = tool("publish", topic_arn=topic["arn"], messages=[{"body": body}])
    assert plain["result"] == 0 and plain["messages"][0]["message_id"]
    assert tool("publish", topic_arn=topic["arn"], messages=[{"body": body, "attributes": attributes}])["result"] == 0

    for kind in ("raw", "enveloped"):
        messages = receive_all(tool, topic[kind])
        plain, marked = sorted(messages, key=lambda m: m["published_at_ms"] == 1700000000123)
        assert plain["payload"] == marked["payload"] == body
        assert plain["is_sns"] == marked["is_sns"] == (kind == "enveloped")
        assert before_ms - 1 <= plain["published_at_ms"] <= int(time.time() * 1000)
        assert marked["published_at_ms"] == 1700000000123
        expected = {a["name"]: [a["type"], a["value"]] for a in attributes} if kind == "raw" else {}
        assert marked["attributes"] == expected


def test_publish_many(tool: Tool, topic: dict[str, str]) -> None:
    messages = [{"body": f"m{i}", "attributes": [attribute("n", str(i), "Number")]} for i in range(25)]
    messages[7] = {"body": "bad \x02"}
    messages[8] = {"body": "x" * 262145}
    messages[9] = {"body": "x", "attributes": [attribute(f"a{i}", "x") for i in range(11)]}
    messages[11] = {"body": "y" * 200000}
    messages[12] = {"body": "z" * 200000}
    published = tool("publish_many", topic_arn=topic["arn"], messages=messages)
    assert published["result"] == 0
    codes = {i: m["code"] for i, m in enumerate(published["messages"]) if m["code"]}
    assert codes == {7: "invalid_message", 8: "message_too_large", 9: "invalid_message"}
    assert all(bool(m["message_id"]) == (m["result"] == 0) for m in published["messages"])
    assert len({m["message_id"] for m in published["messages"] if m["result"] == 0}) == 22
    expected = sorted(m["body"] for i, m in enumerate(messages) if i not in codes)
    assert sorted(m["body"] for m in receive_all(tool, topic["raw"])) == expected


def test_publish_to_a_missing_topic(tool: Tool, topic: dict[str, str]) -> None:
    """An outage: every message would fail, so none is dead-lettered."""
    missing = topic["arn"] + "-missing"
    assert has_failed(tool("publish", topic_arn=missing, messages=[{"body": "x"}]), LATER, "aws_error", outage=True)
    many = tool("publish_many", topic_arn=missing, messages=[{"body": "x"}, {"body": "y"}])
    assert all(has_failed(m, LATER, "aws_error", outage=True) for m in many["messages"])
    assert all(f"topic {missing} does not exist in eu-central-1, check its ARN: " in m["text"] for m in many["messages"])
    none = tool("publish", topic_arn="topic", messages=[{"body": "x"}])
    assert has_failed(none, LATER, "invalid_topic_arn", outage=True)


def test_secrets(tool: Tool, moto: Moto) -> None:
    manager = moto.client("secretsmanager")
    text = '{"username":"u","password":"p@:/\\"é"}'
    arn = manager.create_secret(Name="pgstac", SecretString=text)["ARN"]
    manager.create_secret(Name="binary", SecretBinary=b"\x00\x01\xff")
    assert bytes.fromhex(tool("secret", id="pgstac")["hex"]).decode() == text
    assert bytes.fromhex(tool("secret", id=arn)["hex"]).decode() == text
    assert tool("secret", id="binary")["hex"] == "0001ff"
    manager.put_secret_value(SecretId="pgstac", SecretString="new")
    assert bytes.fromhex(tool("secret", id=arn)["hex"]) == b"new"
    missing = tool("secret", id="missing")
    assert has_failed(missing, NEVER, "aws_error") and "missing" in missing["text"] and missing["hex"] == ""


@pytest.fixture
def bucket(moto: Moto) -> str:
    name = "odd.bucket-1"
    s3 = moto.client("s3")
    if name not in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.mark.parametrize("key", ODD_KEYS)
def test_objects_with_odd_keys(tool: Tool, moto: Moto, bucket: str, key: str) -> None:
    content = f"content of {key}".encode()
    moto.client("s3").put_object(Bucket=bucket, Key=key, Body=content)
    got = tool("get", bucket=bucket, key=key)
    assert got["result"] == 0, got
    assert bytes.fromhex(got["hex"]) == content


@pytest.mark.parametrize("key", ODD_KEYS)
def test_objects_are_put(tool: Tool, moto: Moto, bucket: str, key: str) -> None:
    data = f"the content of é {key}"
    assert tool("put", bucket=bucket, key=key, data=data, content_type="application/geo+json")["result"] == 0
    found = moto.client("s3").get_object(Bucket=bucket, Key=key)
    assert (found["Body"].read().decode(), found["ContentType"]) == (data, "application/geo+json")


def test_objects_that_cannot_be_put(tool: Tool, bucket: str) -> None:
    assert has_failed(tool("put", bucket="no-such-bucket", key="k", data="x", content_type="text/plain"), NEVER, "no_such_bucket")
    assert has_failed(tool("put", bucket=bucket, key="", data="x", content_type="text/plain"), NEVER, "no_such_key")


def test_versions_and_missing_objects(tool: Tool, moto: Moto, bucket: str) -> None:
    s3 = moto.client("s3")
    first = s3.put_object(Bucket=bucket, Key="v", Body=b"one")["VersionId"]
    s3.put_object(Bucket=bucket, Key="v", Body=b"two")
    assert bytes.fromhex(tool("get", bucket=bucket, key="v")["hex"]) == b"two"
    assert bytes.fromhex(tool("get", bucket=bucket, key="v", version_id=first)["hex"]) == b"one"
    assert bytes.fromhex(tool("get", bucket=bucket, key="v", max_len=3)["hex"]) == b"two"
    assert has_failed(tool("get", bucket=bucket, key="v", max_len=2), NEVER, "object_too_large")
    s3.delete_object(Bucket=bucket, Key="v")
    for wrong, code in (
        ({"bucket": bucket, "key": "v"}, "no_such_key"),
        ({"bucket": bucket, "key": "never-was"}, "no_such_key"),
        ({"bucket": bucket, "key": "v", "version_id": "0" * 32}, "no_such_key"),
        ({"bucket": "no-such-bucket", "key": "v"}, "no_such_bucket"),
        ({"bucket": "Bad/Name", "key": "v"}, "no_such_bucket"),
        ({"bucket": bucket, "key": ""}, "no_such_key"),
    ):
        assert has_failed(tool("get", **wrong), NEVER, code), wrong
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    empty = tool("get", bucket=bucket, key="empty")
    assert empty["result"] == 0 and empty["hex"] == ""


@pytest.mark.parametrize("what", ["secret", "key"])
def test_wrong_credentials_are_rejected(moto: Moto, queue: str, bucket: str, what: str) -> None:
    key = moto.key if what == "secret" else "AKIAWRONGWRONGWRONG0"
    secret = "wrong" * 8 if what == "secret" else moto.secret
    with Tool(environment(moto.url, key, secret)) as tool:
        for answer in (
            tool("receive", queue_url=queue),
            tool("info", queue_url=queue),
            tool("secret", id="pgstac"),
            tool("get", bucket=bucket, key="v"),
            tool("publish", topic_arn=f"arn:aws:sns:{REGION}:123456789012:t", messages=[{"body": "x"}]),
        ):
            assert has_failed(answer, LATER, "credentials_refused", outage=True)
            assert secret not in answer["text"]
        assert answer["retries"] == 0  # the same keys would be rejected again
    with Tool(environment(moto.url, moto.key, moto.secret)) as tool:
        assert tool("receive", queue_url=queue)["result"] == 0
