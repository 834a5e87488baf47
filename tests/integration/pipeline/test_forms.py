"""The forms in which items and collections reach itemloadd."""

from __future__ import annotations

import base64
import gzip
import http.server
import json
import re
import socket
import threading
import urllib.parse
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from local.daemons import DaemonError
from tests.integration.pipeline.conftest import Pipeline, item, wait_until

KEYS = ["plain.json", "red flower+é%20#?.json", "a//b/../c d.json"]
POINTERS = ["software.amazon.payloadoffloading.PayloadS3Pointer", "com.amazon.sqs.javamessaging.MessageS3Pointer"]


def collection(name: str) -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "description": "made for a test",
        "license": "other",
        "links": [],
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2000-01-01T00:00:00Z", None]]}},
    }


def features(documents: list[Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": documents}


def lines(documents: list[Any]) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)


class Bucket:
    """A bucket with versions, and the messages about its objects."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.name = f"stac.items-{uuid.uuid4().hex[:8]}"
        self.s3 = pipeline.stack.account.client("s3")
        region = self.s3.meta.region_name
        self.s3.create_bucket(Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": region})
        self.s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})

    def put(self, key: str, content: Any) -> str:
        """Returns the version's id."""
        body = content if isinstance(content, str) else json.dumps(content)
        return str(self.s3.put_object(Bucket=self.name, Key=key, Body=body.encode())["VersionId"])

    def record(self, key: str, name: str = "ObjectCreated:Put", time: str = "2024-05-06T07:08:09.123Z", **members: Any) -> dict[str, Any]:
        bucket = {"name": members.pop("bucket", self.name), "arn": "arn:aws:s3:::x"}
        named = {"key": urllib.parse.quote_plus(key, safe="/"), "size": 1, "eTag": "x"} | members
        s3 = {"s3SchemaVersion": "1.0", "bucket": bucket, "object": named}
        return {"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-central-2", "eventTime": time, "eventName": name, "s3": s3}

    def pointer(self, key: str, name: str = POINTERS[0]) -> list[Any]:
        return [name, {"s3BucketName": self.name, "s3Key": key}]


def event(*records: Any) -> dict[str, Any]:
    return {"Records": list(records)}


@pytest.fixture
def bucket(pipeline: Pipeline) -> Bucket:
    return Bucket(pipeline)


def send(pipeline: Pipeline, *bodies: Any) -> None:
    for body in bodies:
        text = body if isinstance(body, str) else json.dumps(body)
        pipeline.sqs.send_message(QueueUrl=pipeline.load_queue, MessageBody=text)


def enveloped(pipeline: Pipeline, body: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "m",
        "TopicArn": pipeline.load_topic,
        "Message": body if isinstance(body, str) else json.dumps(body),
        "Timestamp": "2021-01-01T00:00:00.123Z",
    }


def passed_over(pipeline: Pipeline) -> list[str]:
    return [line["message"].split(" (message")[0] for line in pipeline.log("itemloadd", "OBJECT_PASSED_OVER")]


def test_documents_in_messages(pipeline: Pipeline) -> None:
    send(
        pipeline,
        # The items' collections come in other messages of the same batch.
        item("early", "fresh-1"),
        lines([item("line-1"), item("line-2", "fresh-2"), item("line-3", id=None)]),
        [item("array-1", "fresh-1"), collection("fresh-1"), item("array-2", "fresh-1")],
        enveloped(pipeline, features([item("feature-1"), item("feature-2", "fresh-2")])),
        collection("fresh-2"),
        # A broken document, with a NUL byte, among good ones.
        "[" + json.dumps(item("good")) + ', {"id": "\\u0000"}, {"id": tru}, 5]',
        json.dumps(features([item("closed-not")]))[:-1],
        lines([item("many")]) + "\n".join(str(number) for number in range(40)),
    )
    pipeline.start("itemloadd", ITEMLOADD_WORKERS="1", ITEMLOADD_MISSING_COLLECTION="reject")
    letters = pipeline.dead_letters(pipeline.load_dlq, 4)
    pipeline.wait_empty(pipeline.load_queue)
    assert pipeline.ids() == ["item-closed-not", "item-feature-1", "item-good", "item-line-1", "item-many"]
    assert pipeline.ids("fresh-1") == ["item-array-1", "item-array-2", "item-early"]
    assert pipeline.ids("fresh-2") == ["item-feature-2", "item-line-2"]
    errors = sorted((letter["error_code"], letter["error"]) for letter in letters)
    assert errors[0][0] == "invalid_item" and "1 of 3 documents; document 3, line 3 (no id): " in errors[0][1]
    assert "id is missing" in errors[0][1]
    (broken,) = [letter["error"] for letter in letters if letter["body"].startswith("[")]
    assert "3 of 4 documents" in broken and "document 4, line 1 (no id)" in broken
    assert "document 2, line 1: not valid JSON" in broken and "document 3, line 1: not valid JSON" in broken
    assert any(code == "invalid_json" and "a FeatureCollection that is not closed" in text for code, text in errors)
    (many,) = [text for _, text in errors if text.startswith("40 of 41 documents")]
    assert "document 2, line 2 (no id): " in many and "; also at lines " in many
    lists = [int(line) for line in re.findall(r"\d+", many[many.index("also at lines") :])]
    assert lists == list(range(lists[0], 42))


def test_s3_events(pipeline: Pipeline, bucket: Bucket) -> None:
    other = Bucket(pipeline)
    other.put("item.json", item("secret"))
    for number, key in enumerate(KEYS):
        bucket.put(key, item(f"key-{number}"))
    versions = [bucket.put("versions.json", item("version", properties={"datetime": "2021-01-01T00:00:00Z", "title": title})) for title in "abc"]
    bucket.put("several.json", [item("several-1", "fresh"), item("several-2", geometry=None), collection("fresh")])
    bucket.put("lines.ndjson", lines([item("line-1"), item("line-2")]))
    bucket.put("text.txt", "no JSON")
    bucket.put("empty.json", "[]")
    bucket.put("gone.json", item("gone"))
    gone_version = bucket.put("gone-version.json", item("gone"))
    bucket.s3.delete_object(Bucket=bucket.name, Key="gone.json")
    bucket.s3.delete_object(Bucket=bucket.name, Key="gone-version.json", VersionId=gone_version)
    bucket.put("gone-version.json", item("another"))
    at = {"time": "2024-05-06T07:08:09Z"}
    send(
        pipeline,
        event(*(bucket.record(key) for key in KEYS)),
        # Events of the same time. The last by sequencer is sent first. Its time is not the largest, and the newest
        # version is not named.
        event(
            bucket.record("versions.json", versionId=versions[1], sequencer="0B", time="2024-05-06T07:08:08Z"),
            bucket.record("versions.json", versionId=versions[0], sequencer="0A", **at),
        ),
        enveloped(pipeline, event(bucket.record("lines.ndjson"), bucket.record("several.json"))),
        # Nothing to do.
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket.name},
        event(bucket.record("gone.json")),
        event(bucket.record("gone-version.json", versionId=gone_version)),
        event(bucket.record("plain.json", "ObjectRemoved:Delete"), bucket.record("plain.json", "ObjectTagging:Put")),
        event(bucket.record("plain.json")),
        # Never.
        event(other.record("item.json")),
        event(bucket.record("x", bucket="stac-not-there")),
        event(bucket.record("text.txt"), bucket.record("empty.json"), {"eventName": "ObjectCreated:Put"}),
        {"Records": []},
    )
    pipeline.start("itemloadd", ITEMLOADD_S3_BUCKETS=f"{bucket.name},stac-not-*", ITEMLOADD_MISSING_COLLECTION="reject", ITEMLOADD_WORKERS="1")
    letters = pipeline.dead_letters(pipeline.load_dlq, 5)
    pipeline.wait_empty(pipeline.load_queue)
    assert pipeline.ids() == ["item-key-0", "item-key-1", "item-key-2", "item-line-1", "item-line-2", "item-version"]
    assert pipeline.ids("fresh") == ["item-several-1"]
    assert pipeline.content("item-version")["properties"]["title"] == "b"
    times = dict(pipeline.query("SELECT id, (private->>'published_at')::bigint FROM items"))
    assert times["item-version"] == 1714979289000 and {times[name] for name in times if name != "item-version"} == {1714979289123}

    skipped = passed_over(pipeline)
    for expected in ("s3:TestEvent:", "no longer exists: s3://", "ObjectRemoved:Delete: s3://", "ObjectTagging:Put: s3://", "named again"):
        assert any(expected in line for line in skipped), (expected, skipped)
    assert len([line for line in skipped if "the object no longer exists" in line]) == 2

    by_code = {letter["error_code"]: letter["error"] for letter in letters}
    several = by_code["invalid_item"]
    assert f"1 of 5 documents; s3://{bucket.name}/several.json: document 2, line 1 (" in several and "geometry is null" in several
    assert "s3_buckets" in by_code["bucket_not_allowed"] and other.name in by_code["bucket_not_allowed"]
    assert "stac-not-there" in by_code["no_such_bucket"]
    (bad,) = [letter["error"] for letter in letters if "text.txt" in letter["body"]]
    assert "3 of 3 documents" in bad and f"s3://{bucket.name}/text.txt: " in bad and "not valid JSON" in bad
    assert f"s3://{bucket.name}/empty.json: " in bad and "record 3: " in bad and "s3.bucket.name" in bad
    (empty,) = [letter for letter in letters if letter["body"] == '{"Records": []}']
    assert empty["error_code"] == "no_items"


def test_events_of_eventbridge(pipeline: Pipeline, bucket: Bucket) -> None:
    """Object keys are not URL-encoded in them. They come directly from EventBridge, or through a topic."""

    def eventbridge(key: str, name: str = "Object Created", **members: Any) -> dict[str, Any]:
        detail = {"version": "0", "bucket": {"name": bucket.name}, "object": {"key": key, "size": 1, "etag": "e"} | members}
        return {"version": "0", "id": "x", "detail-type": name, "source": "aws.s3", "time": "2024-05-06T07:08:09Z", "detail": detail}

    for number, key in enumerate([*KEYS, "a+b%20c.json"]):
        bucket.put(key, item(f"key-{number}"))
    versions = [bucket.put("versions.json", item("version", version=version)) for version in range(2)]
    send(
        pipeline,
        *(eventbridge(key) for key in KEYS),
        enveloped(pipeline, eventbridge("a+b%20c.json")),
        eventbridge("versions.json", **{"version-id": versions[0], "sequencer": "0A"}),
        eventbridge("plain.json", "Object Deleted"),
        eventbridge("plain.json", "Object Tags Added"),
        eventbridge(""),
    )
    pipeline.start("itemloadd", ITEMLOADD_S3_BUCKETS=bucket.name)
    (letter,) = pipeline.dead_letters(pipeline.load_dlq, 1)
    pipeline.wait_empty(pipeline.load_queue)
    assert pipeline.ids() == ["item-key-0", "item-key-1", "item-key-2", "item-key-3", "item-version"]
    assert pipeline.content("item-version")["version"] == 0
    assert pipeline.query("SELECT DISTINCT (private->>'published_at')::bigint FROM items") == [(1714979289000,)]
    assert letter["error_code"] == "invalid_event" and "detail.object.key" in letter["error"]
    for expected in ("Object Deleted: s3://", "Object Tags Added: s3://"):
        assert any(expected in line for line in passed_over(pipeline))


def test_compressed_objects_and_messages(pipeline: Pipeline, bucket: Bucket) -> None:
    """
    In a compressed object, collections also come first. The limit is on the uncompressed size. A message is not
    decompressed.
    """
    documents = [item("early", "packed"), collection("packed")]
    bucket.s3.put_object(Bucket=bucket.name, Key="collections.json.gz", Body=gzip.compress(json.dumps(documents).encode()))
    long = lines([item(number) for number in range(1500)]).encode()
    bucket.s3.put_object(Bucket=bucket.name, Key="fits.gz", Body=gzip.compress(long.ljust(4 * 1024 * 1024)))
    bomb = lines([item("before")]).encode() + b" " * 200_000_000
    bucket.s3.put_object(Bucket=bucket.name, Key="bomb.gz", Body=gzip.compress(bomb))
    text = base64.b64encode(gzip.compress(json.dumps(item("message")).encode())).decode()
    send(pipeline, *(event(bucket.record(key)) for key in ("collections.json.gz", "fits.gz", "bomb.gz")), text)
    pipeline.start("itemloadd", ITEMLOADD_S3_BUCKETS=bucket.name, ITEMLOADD_DOCUMENT_LIMIT="4MiB", ITEMLOADD_MISSING_COLLECTION="reject")
    letters = {letter["error_code"]: letter["error"] for letter in pipeline.dead_letters(pipeline.load_dlq, 2)}
    pipeline.wait_empty(pipeline.load_queue)
    assert len(pipeline.ids()) == 1501 and "item-before" in pipeline.ids() and pipeline.ids("packed") == ["item-early"]
    assert "bomb.gz" in letters["document_too_large"] and "itemloadd's document_limit" in letters["document_too_large"]
    assert "gzip" in letters["wrong_encoding"]
    assert all(int(line["items"]) <= 1001 for line in pipeline.log("itemloadd", "BATCH_LOADED"))


def test_pointers_and_large_objects(pipeline: Pipeline, bucket: Bucket) -> None:
    """An object of ten batches, items too large for a message, and an object over document_limit."""
    padding = "x" * 1_500_000
    large = item("large", properties={"datetime": "2021-01-01T00:00:00Z", "padding": padding})
    many = [item(number) for number in range(10_000)]
    many[4321]["geometry"] = None
    bucket.put("large.json", large)
    bucket.put("many.json", features(many))
    bucket.put("late.json", [item(f"late-{number}", "late") for number in range(2_000)] + [collection("late")])
    bucket.put("too-large.json", " " * (16 * 1024 * 1024) + json.dumps(item("too-large")))
    send(
        pipeline,
        bucket.pointer("large.json", POINTERS[1]),
        enveloped(pipeline, bucket.pointer("many.json")),
        bucket.pointer("late.json"),
        bucket.pointer("too-large.json"),
        [POINTERS[0], {"s3BucketName": bucket.name}],
    )
    pipeline.start("itemloadd", ITEMLOADD_S3_BUCKETS="stac.*", ITEMLOADD_DOCUMENT_LIMIT="8MiB", ITEMLOADD_MISSING_COLLECTION="reject")
    letters = {letter["error_code"]: letter for letter in pipeline.dead_letters(pipeline.load_dlq, 3, timeout_s=120)}
    pipeline.wait_empty(pipeline.load_queue, timeout_s=120)
    assert len(pipeline.ids()) == 10_000
    assert len(pipeline.ids("late")) == 2_000
    assert pipeline.content("item-large")["properties"]["padding"] == padding
    error = letters["invalid_item"]["error"]
    assert error.startswith("1 of 10000 documents; s3://") and 'document 4322, line 1 ("item-4321"): ' in error
    assert "document_limit" in letters["document_too_large"]["error"] and "too-large.json" in letters["document_too_large"]["error"]
    assert "s3Key" in letters["invalid_event"]["error"]
    sizes = [int(line["items"]) for line in pipeline.log("itemloadd", "BATCH_LOADED")]
    assert max(sizes) <= 1001 and sum(sizes) == 12_001
    # A pointer's documents have the time of the message.
    assert pipeline.query("SELECT private FROM items WHERE id = 'item-1'") == [({"published_at": 1609459200123},)]


def test_without_permission(pipeline: Pipeline, bucket: Bucket) -> None:
    """
    By default no bucket is read. A bucket that is listed but forbidden is tried again, and then dead-lettered with the
    reason.
    """
    iam = pipeline.stack.account.client("iam")
    name = f"user-{uuid.uuid4().hex[:8]}"
    statement = {"Effect": "Allow", "Action": ["sqs:*", "secretsmanager:*"], "Resource": "*"}
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    bucket.put("item.json", item("new", "created"))
    send(pipeline, event(bucket.record("item.json")))
    pipeline.start("itemloadd")
    (letter,) = pipeline.dead_letters(pipeline.load_dlq, 1)
    assert letter["error_code"] == "bucket_not_allowed" and "s3_buckets" in letter["error"] and letter["receive_count"] == "1"
    pipeline.stop_all()

    send(pipeline, letter["body"])
    allowed = {"ITEMLOADD_S3_BUCKETS": bucket.name, "ITEMLOADD_MISSING_COLLECTION": "create"}
    pipeline.start("itemloadd", AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"], **allowed)
    wait_until("it is put back for later", lambda: pipeline.log("itemloadd", "MESSAGE_LATER"))
    (line, *_) = pipeline.log("itemloadd", "MESSAGE_LATER")
    assert line["error_code"] == "access_denied" and "s3:GetObject" in line["message"] and bucket.name in line["message"]
    pipeline.stop_all()
    pipeline.start("itemloadd", **allowed)
    wait_until("it is loaded", lambda: pipeline.ids("created") == ["item-new"])
    pipeline.wait_empty(pipeline.load_queue)


class Store(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(item("stored")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is bound, so that nobody else uses it, and that refuses connections."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        yield server.getsockname()[1]


def test_s3_down_and_back(pipeline: Pipeline, bucket: Bucket, closed_port: int) -> None:
    """
    An outage: items in messages are loaded, the event stays invisible and loses only one receive, and a stop releases
    it.
    """
    settings = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{closed_port}", "ITEMLOADD_S3_BUCKETS": bucket.name, "ITEMLOADD_WORKERS": "1"}
    send(pipeline, item("message"), event(bucket.record("item.json")))
    pipeline.start("itemloadd", **settings)
    wait_until("it is logged", lambda: pipeline.log("itemloadd", "DEPENDENCY_DOWN"))
    assert pipeline.ids() == ["item-message"]
    assert pipeline.counts(pipeline.load_queue) == (0, 1)
    pipeline.stop_all()
    assert pipeline.counts(pipeline.load_queue) == (1, 0)
    pipeline.start("itemloadd", **settings)
    wait_until("it is logged again", lambda: len(pipeline.log("itemloadd", "DEPENDENCY_DOWN")) == 2)
    http.server.ThreadingHTTPServer.allow_reuse_address = True
    with http.server.ThreadingHTTPServer(("127.0.0.1", closed_port), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        wait_until("it is loaded", lambda: pipeline.ids() == ["item-message", "item-stored"], timeout_s=90)
        server.shutdown()
    pipeline.wait_empty(pipeline.load_queue)
    assert pipeline.log("itemloadd", "MESSAGE_LATER") == [] and pipeline.counts(pipeline.load_dlq) == (0, 0)


def test_a_queue_without_a_redrive_policy(pipeline: Pipeline) -> None:
    """
    The start fails without a dead-letter queue. With one in the configuration, messages go there after five
    attempts.
    """
    url = pipeline.sqs.create_queue(QueueName=f"plain-{uuid.uuid4().hex[:8]}", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    with pytest.raises(DaemonError, match="exited with 1 before it was ready"):
        pipeline.start("itemloadd", ITEMLOADD_QUEUE_URL=url)
    assert pipeline.log("itemloadd")[-1]["error_code"] == "no_dead_letter_queue"
    assert "dead_letter_queue_url" in pipeline.log("itemloadd")[-1]["message"]
    pipeline.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(item("never", "nowhere")))
    for _ in range(3):
        assert pipeline.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    pipeline.start("itemloadd", ITEMLOADD_QUEUE_URL=url, ITEMLOADD_DEAD_LETTER_QUEUE_URL=pipeline.load_dlq)
    (letter,) = pipeline.dead_letters(pipeline.load_dlq, 1)
    assert letter["error_code"] == "missing_collection" and letter["receive_count"] == "5"
    assert pipeline.log("itemloadd", "QUEUE_OPENED")[-1]["message"] == "attempts per message: 5; the queue has no redrive policy"
    pipeline.wait_empty(url)


@pytest.mark.parametrize(
    ("receives", "level", "words"),
    [
        (1, "notice", "attempts per message: 1; the queue's maxReceiveCount is 1, and no receive is kept for when a worker dies"),
        (5, "notice", "attempts per message: 4; the queue's maxReceiveCount is 5, and the last receive is kept for when a worker dies"),
        (6, "info", "attempts per message: 5; the queue's maxReceiveCount is 6, and the last receive is kept for when a worker dies"),
    ],
)
def test_the_number_of_attempts_is_logged_at_the_start(pipeline: Pipeline, receives: int, level: str, words: str) -> None:
    name = f"some-{uuid.uuid4().hex[:8]}"
    dead_url = pipeline.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = pipeline.sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})
    url = pipeline.sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]
    pipeline.start("itemloadd", ITEMLOADD_QUEUE_URL=url)
    line = pipeline.log("itemloadd", "QUEUE_OPENED")[-1]
    assert (line["level"], line["message"], line["attempts"]) == (level, words, str(max(1, receives - 1)))
