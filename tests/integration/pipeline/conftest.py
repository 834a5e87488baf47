"""The daemons on a real stack: the actions of a publisher, and what an operator sees."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from local.stack import Stack

# Shorter times than the defaults, so that tests wait less. The behaviour is the same.
QUICK = {
    "ITEMGEND_WAIT_TIME": "1s",
    "ITEMGEND_VISIBILITY_TIMEOUT": "4s",
    "ITEMGEND_BACKOFF_MIN": "1s",
    "ITEMGEND_BACKOFF_MAX": "1s",
    "ITEMLOADD_WAIT_TIME": "1s",
    "ITEMLOADD_VISIBILITY_TIMEOUT": "4s",
    "ITEMLOADD_BATCH_IDLE": "500ms",
    "ITEMLOADD_BACKOFF_MIN": "1s",
    "ITEMLOADD_BACKOFF_MAX": "1s",
}


def wait_until(what: str, condition: Callable[[], Any], timeout_s: float = 60) -> Any:
    """Waits until the condition is true. Returns its value."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.1)
    pytest.fail(f"{what}: not within {timeout_s} s")


def item(number: int | str, collection: str = "test", **changes: Any) -> dict[str, Any]:
    """An item that loads. A change to None removes a member."""
    made = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"item-{number}",
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]]},
        "bbox": [0, 0, 1, 1],
        "properties": {"datetime": "2021-01-01T00:00:00Z", "number": number},
        "links": [],
        "assets": {"data": {"href": f"https://example.com/{number}.tif", "roles": ["data"]}},
    } | changes
    return {key: value for key, value in made.items() if value is not None or key == "geometry"}


class Pipeline:
    """A stack with the daemons' logs, the queues and the catalog."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        client = {
            "endpoint_url": stack.env["AWS_ENDPOINT_URL"],
            "region_name": stack.env["AWS_REGION"],
            "aws_access_key_id": stack.env["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": stack.env["AWS_SECRET_ACCESS_KEY"],
        }
        self.sns = boto3.client("sns", **client)
        self.sqs = boto3.client("sqs", **client)
        self.s3 = boto3.client("s3", **client)
        self.secrets = boto3.client("secretsmanager", **client)
        self.db = psycopg.connect(
            host=stack.env["PGHOST"],
            port=stack.env["PGPORT"],
            dbname=stack.env["PGDATABASE"],
            user=stack.env["PGUSER"],
            password=stack.env["PGPASSWORD"],
            autocommit=True,
            options="-c search_path=pgstac,public",
        )
        self.gen_queue, self.gen_dlq = stack.env["ITEM_GEN_QUEUE_URL"], stack.env["ITEM_GEN_DLQ_URL"]
        self.load_queue, self.load_dlq = stack.env["ITEM_LOAD_QUEUE_URL"], stack.env["ITEM_LOAD_DLQ_URL"]
        self.gen_topic, self.load_topic = stack.env["ITEM_GEN_TOPIC_ARN"], stack.env["ITEM_LOAD_TOPIC_ARN"]

    # --- the daemons

    def start(self, name: str, **settings: str) -> None:
        self.stack.start_daemon(name, QUICK | settings)

    def stop_all(self, number: int = 15) -> None:
        for process in self.stack.processes:
            if process.name in ("itemgend", "itemloadd"):
                self.stack.stop_daemon(process.name, number)

    def log(self, daemon: str, event: str = "") -> list[dict[str, Any]]:
        path = Path(self.stack.directory) / f"{daemon}.log"
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if event in ("", line["event"])]

    # --- messages

    def publish(self, topic: str, body: Any, published_at: int | None = None) -> str:
        text = body if isinstance(body, str) else json.dumps(body)
        attributes = {}
        if published_at is not None:
            attributes["published_at"] = {"DataType": "Number", "StringValue": str(published_at)}
        return self.sns.publish(TopicArn=topic, Message=text, MessageAttributes=attributes)["MessageId"]

    def publish_items(self, bodies: list[Any]) -> None:
        texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
        for first in range(0, len(texts), 10):
            entries = [{"Id": str(i), "Message": text} for i, text in enumerate(texts[first : first + 10])]
            answer = self.sns.publish_batch(TopicArn=self.load_topic, PublishBatchRequestEntries=entries)
            assert answer.get("Failed", []) == []

    def counts(self, queue: str) -> tuple[int, int]:
        """The numbers of visible messages and of messages in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return int(answer[names[0]]), int(answer[names[1]])

    def wait_empty(self, queue: str, timeout_s: float = 60) -> None:
        wait_until(f"{queue} is empty", lambda: self.counts(queue) == (0, 0), timeout_s)

    def dead_letters(self, queue: str, count: int, timeout_s: float = 60) -> list[dict[str, Any]]:
        """Receives exactly this many dead letters: {"body", and each attribute's value}."""
        wait_until(f"{count} dead letters", lambda: self.counts(queue)[0] >= count, timeout_s)
        letters: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                attributes = {k: v["StringValue"] for k, v in message.get("MessageAttributes", {}).items()}
                letters.append({"body": message["Body"]} | attributes)
                self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        assert len(letters) == count, letters
        return letters

    # --- the catalog

    def query(self, sql: str, *parameters: Any) -> list[tuple]:
        return self.db.execute(sql, parameters).fetchall()

    def add_collection(self, name: str, **members: Any) -> None:
        collection = {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": name,
            "description": "made for a test",
            "license": "other",
            "links": [],
            "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2000-01-01T00:00:00Z", None]]}},
        } | members
        self.db.execute("SELECT upsert_collection(%s)", (json.dumps(collection),))

    def ids(self, collection: str = "test") -> list[str]:
        return [row[0] for row in self.query("SELECT id FROM items WHERE collection = %s ORDER BY id", collection)]

    def content(self, item_id: str, collection: str = "test") -> Any:
        (text,) = self.query("SELECT content::text FROM items WHERE collection = %s AND id = %s", collection, item_id)[0]
        return json.loads(text, parse_float=Decimal, parse_int=Decimal)

    def base_item(self, collection: str = "test") -> Any:
        (text,) = self.query("SELECT base_item::text FROM collections WHERE id = %s", collection)[0]
        return json.loads(text, parse_float=Decimal, parse_int=Decimal)


@pytest.fixture
def pipeline(session_stack: Stack) -> Iterator[Pipeline]:
    """Starts with empty queues, a catalog with only the empty collection "test", stopped daemons, and empty logs."""
    pipeline = Pipeline(session_stack)
    for queue in (pipeline.gen_queue, pipeline.gen_dlq, pipeline.load_queue, pipeline.load_dlq):
        pipeline.sqs.purge_queue(QueueUrl=queue)
    pipeline.db.execute("DELETE FROM collections")
    pipeline.add_collection("test")
    for log in Path(session_stack.directory).glob("item*.log"):
        log.write_text("")
    yield pipeline
    pipeline.stop_all()
    pipeline.db.close()
    for log in Path(session_stack.directory).glob("item*.log"):  # SAN=1: a sanitizer's reports, including leaks at the end
        text = log.read_text()
        assert "Sanitizer" not in text and "runtime error" not in text, text[-8000:]
