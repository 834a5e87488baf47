"""itemloadd loads items from the topic into the catalog, and reports bad ones."""

from __future__ import annotations

import json
import signal
import time
from decimal import Decimal
from typing import Any

import pytest
from pypgstac.hydration import hydrate_py

from tests.integration.pipeline.conftest import Pipeline, item, wait_until

# name: (body, error_code, text in its error)
BAD = {
    "no JSON": ('{"type": "Feature", ', "invalid_json", "line 1"),
    "no id": (item(1, id=None), "invalid_item", "id is missing"),
    "no collection": (item(2, collection=None), "invalid_item", "collection is missing"),
    "null geometry": (item(3, geometry=None), "invalid_item", "geometry is null"),
    "NUL": (json.dumps(item(4)).replace("item-4", "item\\u0000"), "invalid_json", "U+0000"),
    "end before start": (
        item(5, properties={"datetime": None, "start_datetime": "2021-01-02T00:00:00Z", "end_datetime": "2021-01-01T00:00:00Z"}),
        "invalid_item",
        "end_datetime is before start_datetime",
    ),
    "unknown collection": (item(6, collection="nowhere"), "missing_collection", '"nowhere"'),
    "no geometry's type": (item(7, geometry={"type": "Blob", "coordinates": [1, 2]}), "invalid_item", '"Blob"'),
    "open ring": (
        item(8, geometry={"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [1, 0]]]}),
        "invalid_item",
        "coordinates[0]",
    ),
    "no datetime": (item(9, properties={"datetime": "yesterday"}), "invalid_item", 'properties.datetime "yesterday" is not'),
}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ten_bad_items_among_a_thousand(pipeline: Pipeline, workers: str) -> None:
    bodies: list[Any] = [item(f"good-{number}") for number in range(990)]
    for place, (body, _, _) in enumerate(BAD.values()):
        bodies.insert(place * 97, body)
    pipeline.publish_items(bodies)
    pipeline.start("itemloadd", ITEMLOADD_MISSING_COLLECTION="reject", ITEMLOADD_WORKERS=workers)
    letters = pipeline.dead_letters(pipeline.load_dlq, len(BAD), timeout_s=120)
    pipeline.wait_empty(pipeline.load_queue, timeout_s=120)
    assert len(pipeline.ids()) == 990
    by_body = {letter["body"]: letter for letter in letters}
    for name, (body, code, words) in BAD.items():
        letter = by_body[body if isinstance(body, str) else json.dumps(body)]
        assert letter["error_code"] == code, name
        assert words in letter["error"], name
        assert letter["source_message_id"] and letter["receive_count"] == "1" and letter["failed_at"].endswith("Z")
        assert int(letter["published_at"]) > 1_600_000_000_000


def test_newest_of_two_wins_in_any_order(pipeline: Pipeline) -> None:
    for published_at, title in ((2000, "newer"), (1000, "older")):
        pipeline.publish(pipeline.load_topic, item(1, properties={"datetime": "2021-01-01T00:00:00Z", "title": title}), published_at)
    pipeline.start("itemloadd")
    pipeline.wait_empty(pipeline.load_queue)
    assert pipeline.content("item-1")["properties"]["title"] == "newer"
    # ... nor in a later batch.
    pipeline.publish(pipeline.load_topic, item(1, properties={"datetime": "2021-01-01T00:00:00Z", "title": "stale"}), 1500)
    wait_until("the stale one is logged", lambda: [e for e in pipeline.log("itemloadd", "ITEM_LOADED") if "newer" in e["message"]])
    assert pipeline.content("item-1")["properties"]["title"] == "newer"
    assert pipeline.query("SELECT private FROM items WHERE id = 'item-1'") == [({"published_at": 2000},)]


def test_a_stale_collection_never_wins(pipeline: Pipeline) -> None:
    (collection,) = pipeline.query("SELECT content FROM collections WHERE id = 'test'")[0]
    pipeline.start("itemloadd")
    for number, (published_at, title) in enumerate(((2000, "newer"), (1000, "older"))):
        pipeline.publish(pipeline.load_topic, collection | {"id": "other", "title": title}, published_at)
        wait_until("it is logged", lambda: len(pipeline.log("itemloadd", "COLLECTION_LOADED")) > number)
    assert [event["message"].split(" (")[0] for event in pipeline.log("itemloadd", "COLLECTION_LOADED")] == [
        "loaded collection other", "kept a newer version of collection other",
    ]  # fmt: skip
    assert pipeline.query("SELECT content->>'title' FROM collections WHERE id = 'other'") == [("newer",)]
    pipeline.wait_empty(pipeline.load_queue)


def test_an_older_collection_is_loaded_if_the_newest_cannot_be(pipeline: Pipeline) -> None:
    """In one batch, in any order."""
    (collection,) = pipeline.query("SELECT content FROM collections WHERE id = 'test'")[0]
    refused = {"extent": {"spatial": {"bbox": [["a", 1, 2, 3]]}, "temporal": {"interval": [[None, None]]}}}
    versions = [{"title": "old"}, {"title": "newest"} | refused, {"title": "older"}]
    for published_at, version in zip((2000, 3000, 1000), versions):
        pipeline.publish(pipeline.load_topic, collection | {"id": "other"} | version, published_at)
    pipeline.start("itemloadd", ITEMLOADD_WORKERS="1")
    (letter,) = pipeline.dead_letters(pipeline.load_dlq, 1)
    pipeline.wait_empty(pipeline.load_queue)
    assert (letter["error_code"], letter["published_at"]) == ("database_rejected", "3000")
    assert pipeline.query("SELECT content->>'title' FROM collections WHERE id = 'other'") == [("old",)]


def test_without_an_attribute_the_later_publication_wins(pipeline: Pipeline) -> None:
    for title in ("first", "second"):
        pipeline.publish(pipeline.load_topic, item(1, properties={"datetime": "2021-01-01T00:00:00Z", "title": title}))
        time.sleep(0.05)
    pipeline.start("itemloadd")
    pipeline.wait_empty(pipeline.load_queue)
    assert pipeline.content("item-1")["properties"]["title"] == "second"


def test_every_key_and_value_arrives(pipeline: Pipeline) -> None:
    assets = {"data": {"roles": ["data"], "type": "image/tiff", "gsd": 30, "eo:bands": [{"name": "a", "x": 1}, {"name": "b"}]}}
    pipeline.add_collection("test", item_assets=assets)
    text = json.dumps(
        item(
            1,
            properties={
                "datetime": "2021-01-01T00:00:00.725Z",
                "null": None,
                "deep": {"a": [[{"b": [None, {}]}]], "": ""},
                "text": 'é 😀 "\\ \n\t \u007f',
                "true": True,
                "empty": [],
            },
            assets={
                "data": {"href": "h", "roles": ["data"], "type": None, "gsd": 30.0, "eo:bands": [{"name": "a", "x": None}, {"name": "c"}]}
            },
            foreign={"member": 1},
            links=[{"rel": "self", "href": "x"}],
        )
    )
    # A double would change these numbers.
    text = text.replace('"null": null', '"null": null, "n": [1.10, 12345678901234567890, 1e-7, 0.1234567890123456789012345678901234567890, -0.0, 1e300]')
    pipeline.publish(pipeline.load_topic, text)
    pipeline.start("itemloadd")
    pipeline.wait_empty(pipeline.load_queue)
    published = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    content = pipeline.content("item-1")
    content.pop("pgstac:base_item")  # the collection has changed once
    merged = hydrate_py(pipeline.base_item(), content)
    expected = {key: value for key, value in published.items() if key not in ("id", "geometry", "collection")}
    assert {key: value for key, value in merged.items() if key != "collection"} == expected


def test_documents_of_several_items(pipeline: Pipeline) -> None:
    features = {"type": "FeatureCollection", "features": [item(1), item(2), item(3, id=None), item(4)]}
    pipeline.publish(pipeline.load_topic, features)
    pipeline.publish(pipeline.load_topic, [item(5), item(6)])
    pipeline.publish(pipeline.load_topic, [])
    pipeline.start("itemloadd")
    letters = {letter["error_code"]: letter for letter in pipeline.dead_letters(pipeline.load_dlq, 2)}
    pipeline.wait_empty(pipeline.load_queue)
    assert pipeline.ids() == [f"item-{number}" for number in (1, 2, 4, 5, 6)]
    assert json.loads(letters["invalid_item"]["body"]) == features
    assert "1 of 4 documents" in letters["invalid_item"]["error"] and "id is missing" in letters["invalid_item"]["error"]
    assert "empty" in letters["no_items"]["error"]


def test_a_collection_and_its_items_in_one_batch(pipeline: Pipeline) -> None:
    (collection,) = pipeline.query("SELECT content FROM collections WHERE id = 'test'")[0]
    pipeline.publish(pipeline.load_topic, item(1, collection="fresh"))
    pipeline.publish(pipeline.load_topic, collection | {"id": "fresh"})
    pipeline.start("itemloadd", ITEMLOADD_WORKERS="1", ITEMLOADD_MISSING_COLLECTION="reject")
    pipeline.wait_empty(pipeline.load_queue)
    assert pipeline.ids("fresh") == ["item-1"]


def test_sns_envelope(pipeline: Pipeline) -> None:
    envelope = {
        "Type": "Notification",
        "MessageId": "m",
        "TopicArn": pipeline.load_topic,
        "Message": json.dumps(item(1)),
        "Timestamp": "2021-01-01T00:00:00.123Z",
        "MessageAttributes": {"other": {"Type": "String", "Value": "x"}},
    }
    pipeline.sqs.send_message(QueueUrl=pipeline.load_queue, MessageBody=json.dumps(envelope))
    pipeline.start("itemloadd")
    pipeline.wait_empty(pipeline.load_queue)
    assert pipeline.query("SELECT id, private FROM items") == [("item-1", {"published_at": 1609459200123})]


def test_a_missing_collection_is_waited_for(pipeline: Pipeline) -> None:
    pipeline.publish(pipeline.load_topic, item(1, collection="late"))
    pipeline.start("itemloadd")
    wait_until("it is put back for later", lambda: pipeline.log("itemloadd", "MESSAGE_LATER"))
    pipeline.add_collection("late")
    wait_until("it is loaded", lambda: pipeline.ids("late") == ["item-1"])
    pipeline.wait_empty(pipeline.load_queue)
    assert pipeline.counts(pipeline.load_dlq) == (0, 0)


def test_a_dead_letter_has_the_reason_of_the_last_attempt(pipeline: Pipeline) -> None:
    message_id = pipeline.sqs.send_message(QueueUrl=pipeline.load_queue, MessageBody=json.dumps(item(1, collection="never")))["MessageId"]
    pipeline.start("itemloadd")
    (letter,) = pipeline.dead_letters(pipeline.load_dlq, 1, timeout_s=90)
    assert letter["error_code"] == "missing_collection" and '"never"' in letter["error"]
    assert letter["receive_count"] == "5" and letter["source_message_id"] == message_id
    pipeline.wait_empty(pipeline.load_queue)


def test_a_message_that_lost_its_worker_is_taken_out_of_a_batch(pipeline: Pipeline) -> None:
    """Five attempts end without a result, before other messages arrive."""
    pipeline.publish_items([item(f"lost-{number}") for number in range(5)])
    receive = {"QueueUrl": pipeline.load_queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0}
    for _ in range(5):
        assert len(pipeline.sqs.receive_message(**receive)["Messages"]) == 5
    pipeline.publish_items([item(f"new-{number}") for number in range(25)])
    pipeline.start("itemloadd")
    letters = pipeline.dead_letters(pipeline.load_dlq, 5)
    assert {(letter["error_code"], letter["receive_count"]) for letter in letters} == {("interrupted", "6")}
    assert {json.loads(letter["body"])["id"] for letter in letters} == {f"item-lost-{number}" for number in range(5)}
    pipeline.wait_empty(pipeline.load_queue)
    assert sorted(pipeline.ids()) == sorted(f"item-new-{number}" for number in range(25))


def test_killed_in_the_middle(pipeline: Pipeline) -> None:
    """Batches are small, so that kill -9 happens before some transactions, in some, and after some."""
    pipeline.publish_items([item(number) for number in range(400)])
    settings = {"ITEMLOADD_BATCH_ITEMS": "20", "ITEMLOADD_RECEIVES": "2"}
    for loaded in (40, 160):
        pipeline.start("itemloadd", **settings)
        wait_until(f"{loaded} are loaded", lambda: len(pipeline.ids()) >= loaded)
        pipeline.stop_all(signal.SIGKILL)
    assert len(pipeline.ids()) < 400
    pipeline.start("itemloadd", **settings)
    wait_until("all are loaded", lambda: len(pipeline.ids()) == 400, timeout_s=120)
    pipeline.wait_empty(pipeline.load_queue, timeout_s=120)
    assert pipeline.query("SELECT count(*), count(DISTINCT id) FROM items") == [(400, 400)]
    assert pipeline.counts(pipeline.load_dlq) == (0, 0)


def test_a_stop_finishes_or_releases_messages(pipeline: Pipeline) -> None:
    pipeline.publish_items([item(number) for number in range(300)])
    pipeline.start("itemloadd", ITEMLOADD_BATCH_ITEMS="50", ITEMLOADD_VISIBILITY_TIMEOUT="10m")
    wait_until("it is working", lambda: len(pipeline.ids()) >= 50)
    pipeline.stop_all(signal.SIGTERM)
    visible, in_flight = pipeline.counts(pipeline.load_queue)
    assert in_flight == 0
    assert len(pipeline.ids()) + visible == 300


# pgstac's own functions still find it, but the fast path does not know it.
OTHER_FUNCTION = """
ALTER FUNCTION current_base_item(text) RENAME TO hidden_base_item;
CREATE FUNCTION current_base_item(cid text, unknown int DEFAULT 0, OUT base_item_id int, OUT base_item jsonb)
    AS 'SELECT base_item_id, base_item FROM pgstac.hidden_base_item(cid)' LANGUAGE sql STABLE;
"""
ITS_END = "DROP FUNCTION current_base_item(text, int); ALTER FUNCTION hidden_base_item(text) RENAME TO current_base_item"


@pytest.mark.parametrize("path", ["fast", "portable"])
def test_the_log_says_which_path_loads(pipeline: Pipeline, path: str) -> None:
    """It depends on the schema."""
    if path == "portable":
        pipeline.db.execute(OTHER_FUNCTION)
    try:
        for published_at in (2000, 1000):
            pipeline.publish(pipeline.load_topic, item(1, **{"x:at": published_at}), published_at)
        pipeline.start("itemloadd", ITEMLOADD_WORKERS="1")
        pipeline.wait_empty(pipeline.load_queue)
        pipeline.stop_all()
    finally:
        if path == "portable":
            pipeline.db.execute(ITS_END)
    assert pipeline.content("item-1")["x:at"] == 2000
    [connected] = pipeline.log("itemloadd", "DATABASE_CONNECTED")
    version = pipeline.query("SELECT get_version()")[0][0]
    assert (connected["pgstac_version"], connected["load_path"]) == (version, path)
    assert ("keeps versions of base_item" in connected["message"]) == (path == "portable")
