"""Versions of pgstac that the other tests do not use, and the versions of base items since 0.10."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from pgstac_support import (
    TOOLS, Conversation, Database, dumps, end_load, line, loads, make_collection, make_item, same,
)  # fmt: skip
from random_items import Maker

FAST = ["0.8.0", "0.8.6", "0.9.0", "0.9.12", version("pypgstac")]
WORKING = ["0.8.2", "0.8.6", "0.9.0", "0.9.5", "0.9.10", version("pypgstac")]


@pytest.mark.long
@pytest.mark.parametrize("version", FAST)
def test_path(make_db: Callable[..., Database], version: str) -> None:
    [said] = make_db(version).load([], "-v").lines
    assert said == {"version": version, "path": "fast", "why": ""}


@pytest.mark.long
@pytest.mark.parametrize("version", WORKING)
def test_other_pgstac(make_db: Callable[..., Database], version: str) -> None:
    """Create and widen partitions, move items, write statistics, run several loaders, and read every key back."""
    db = make_db(version)
    maker = Maker(1)
    item_assets = maker.item_assets()
    for trunc in (None, "year", "month"):
        name = f"c-{trunc}"
        db.add_collection(make_collection(name, item_assets=item_assets), trunc)
        items = [maker.item(name, f"i{n}", item_assets) for n in range(200)]
        for item, member in zip(items, ("a", "b", "c")):  # a few plain items, which can be compared after the whole way
            item |= make_item(name, item["id"], item["properties"]["datetime"], assets={"x": {"href": member}})
        db.load_items(items, "-b", "50").must_load()
        for item in items[:50]:
            item["properties"]["datetime"] = "2031-05-05T00:00:00Z"
        wide = {"datetime": None, "start_datetime": "2031-05-01T00:00:00Z", "end_datetime": "2099-01-01T00:00:00Z"}
        items[60]["properties"] = wide
        db.load_items(items, at=2).must_load()
        db.query("SELECT update_partition_stats(partition, false) FROM partitions_view")
        items[61]["properties"] = wide | {"end_datetime": "2150-01-01T00:00:00Z"}
        db.load_items(items, at=3).must_load()
        rows = db.rows(name)
        assert len(rows) == 200 and all(len(partitions) == 1 for partitions in rows.values())
        for item in items[:3]:
            given, published = db.get_item(name, item["id"]), loads(dumps(item))
            assert same(given["assets"], published["assets"])
            assert given["properties"]["datetime"] == "2031-05-05T00:00:00Z"
        found = loads(db.value("SELECT search(%s)::text", dumps({"collections": [name], "limit": 1000})))["features"]
        assert len(found) == 200


@pytest.mark.long
@pytest.mark.parametrize("version", WORKING)
def test_loaders_at_once(make_db: Callable[..., Database], version: str) -> None:
    db = make_db(version)
    db.add_collection(make_collection("c"), "month")
    inputs = [
        [line(make_item("c", f"l{loader}i{n}", f"2020-{n % 12 + 1:02}-01T00:00:00Z")) for n in range(200)]
        for loader in range(4)
    ]
    runs = [db.begin_load("-b", "25") for _ in inputs]
    for run, lines in zip(runs, inputs):
        assert run.stdin
        run.stdin.write("".join(f"{text}\n" for text in lines))
        run.stdin.flush()
    for run in runs:
        end_load(run).must_load()
    assert len(db.rows("c")) == 800


@pytest.mark.long
@pytest.mark.parametrize("version", ["0.8.0", "0.8.1"])
def test_pgstac_whose_loaders_are_its_admins(make_db: Callable[..., Database], version: str) -> None:
    """There, pgstac_ingest may not write into partitions. pgstac_admin, which the owner has, may."""
    db = make_db(version)
    db.add_collection(make_collection("c"), "month")
    items = [make_item("c", f"i{n}", f"2020-{n % 3 + 1:02}-01T00:00:00Z") for n in range(60)]
    assert "permission denied" in db.load_items(items).error
    assert set(db.load_items(items, at=2, user="owner").must_load().results.values()) == {"inserted"}
    moved = [item | {"properties": {"datetime": "2021-01-01T00:00:00Z"}} for item in items]
    db.load_items(moved, at=3, user="owner").must_load()
    assert set(db.load_items(items, at=2, user="owner").results.values()) == {"stale"}
    assert [len(partitions) for partitions in db.rows("c").values()] == [1] * 60


# ------------------------------------------------------------------- changing collections

TITLES = ["first", "second", "third", "first"]  # the last edit undoes the second one


def edited_items(title: str, number: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A collection's item_assets, and items that have most of them."""
    assets = {"x": {"title": title, "type": "image/tiff", "roles": ["data"]}, "z": {"title": title}}
    items = []
    for n in range(50):
        own = {"x": assets["x"] | {"href": f"{title}{n}"}, "y": {"href": "other", "n": [1, 2.5]}}
        items.append(
            make_item("ours", f"{number}-{title}{n}", f"2020-{n % 12 + 1:02}-15T00:00:00Z", assets=own, bbox=[1, 2, 1, 2])
        )
    return assets, items


def rows_of(db: Database, collection: str) -> list[tuple[Any, ...]]:
    """
    The rows in order. Ids of versions count through the whole table, so they are replaced by their order within the
    collection.
    """
    return db.query(
        "SELECT id, geometry, datetime, end_datetime, content - 'pgstac:base_item', "
        "(SELECT count(*) FROM base_items b WHERE b.collection = i.collection AND b.id <= (i.content->>'pgstac:base_item')::int) "
        "FROM items i WHERE collection = %s ORDER BY id",
        collection,
    )


def test_rows_equal_pypgstacs_through_edits(make_db: Callable[..., Database], tmp_path: Path) -> None:
    """
    Loads alternate with edits of item_assets. Rows are the same as pypgstac's, and every item is returned as
    published.
    """
    db, published = make_db(), {}
    for number, title in enumerate(TITLES):
        assets, items = edited_items(title, number)
        for name in ("ours", "theirs"):
            db.query("SELECT upsert_collection(%s::jsonb)", dumps(make_collection(name, item_assets=assets)))
        file = tmp_path / f"{number}.ndjson"
        file.write_text("".join(f"{dumps(item | {'collection': 'theirs'})}\n" for item in items))
        db.load_items(items).must_load()
        db.server.pypgstac(TOOLS / "pypgstac", db.name, "load", "items", file, "--method", "upsert")
        published |= {item["id"]: item for item in items}
        ours, theirs = (rows_of(db, name) for name in ("ours", "theirs"))
        assert ours == theirs and len(ours) == 50 * (number + 1)
    assert {row[5] for row in ours} == {0, 2, 3, 4}, "before the first edit items name no version; the first edit also keeps the old one"
    for name, item in published.items():
        assert same(db.get_item("ours", name), loads(dumps(item)))
        assert same(db.get_item("theirs", name) | {"collection": "ours"}, loads(dumps(item)))


def test_an_unchanged_item_follows_an_edit(make_db: Callable[..., Database]) -> None:
    """The item is the same, but dehydrated against another base item."""
    db = make_db()
    item = make_item("c", "i", assets={"x": {"title": "old", "href": "h"}})
    for number, title in enumerate(["old", "new", "old"]):
        db.query("SELECT upsert_collection(%s::jsonb)", dumps(make_collection("c", item_assets={"x": {"title": title}})))
        for _ in range(2):
            db.load_items([item | {"pgstac:base_item": 77}], at=number).must_load()
            assert same(db.get_item("c", "i"), loads(dumps(item)))


def test_a_collection_that_was_made_again(make_db: Callable[..., Database]) -> None:
    """
    Its earlier versions are gone, so its items name none. That also holds for a loader that has the old one in its
    cache.
    """
    db = make_db()
    collection = make_collection("c", item_assets={"x": {"title": "old"}})
    item = make_item("c", "i", assets={"x": {"title": "new"}})
    db.add_collection(collection)
    changed = collection | {"item_assets": {"x": {"title": "new"}}}
    with Conversation(db) as loader:
        assert loader.load(item) == "inserted"
        db.query("SELECT upsert_collection(%s::jsonb)", dumps(changed))
        assert loader.load(item, 2) == "updated"
        assert db.value("SELECT content ? 'pgstac:base_item' FROM items")
        db.query("SELECT delete_collection('c')")
        db.query("SELECT create_collection(%s::jsonb)", dumps(changed))
        assert loader.load(item, 3) == "inserted"
    assert db.query("SELECT content ? 'pgstac:base_item', count(*) OVER () FROM items") == [(False, 1)]
    db.query("SELECT upsert_collection(%s::jsonb)", dumps(collection))
    assert same(db.get_item("c", "i"), loads(dumps(item)))


@pytest.mark.long
def test_much_older_pgstac(make_db: Callable[..., Database]) -> None:
    loading = make_db("0.7.10").load_items([make_item("c", "i")])
    assert loading.status == 1 and loading.error.startswith("database_unsupported: this database (pgstac 0.7.10)")
