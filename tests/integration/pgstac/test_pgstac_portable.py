"""
The portable path, which loads through pgstac's own create_items. Here it loads into a pgstac that the fast path also
supports.

It runs the fast path's tests for the common requirements, and its own tests for the rest.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pgstac_support import Database, dumps, end_load, line, make_collection, make_item
from random_items import Maker
from test_pgstac_load import (  # noqa: F401
    test_a_partition_that_cannot_be_created_does_not_affect_others,
    test_a_redelivery_removes_the_duplicate_that_a_crash_left,
    test_a_stale_redelivery_removes_it_too,
    test_missing_collection,
    test_missing_collections_are_created,
    test_private_is_merged,
    test_private_moves_with_its_item,
    test_the_format_cache_forgets,
)
from test_pgstac_races import test_loaders_that_move_the_same_items  # noqa: F401


@pytest.fixture
def db(make_db: Callable[..., Database]) -> Database:
    database = make_db()
    database.options.append("-p")
    return database


ROW = "to_jsonb(items) - 'collection' - 'private'"


def test_rows_are_what_pgstac_makes_of_them(db: Database) -> None:
    """The same columns as after upsert_items, except for published_at."""
    maker = Maker(5)
    item_assets = maker.item_assets()
    for name in ("ours", "theirs"):
        db.add_collection(make_collection(name, item_assets=item_assets), "year")
    items = [maker.item("ours", f"i{n}", item_assets) for n in range(25)]
    db.load_items(items, "-b", "10", at=7).must_load()
    db.query("SELECT upsert_items(%s::jsonb)", dumps([item | {"collection": "theirs"} for item in items]))
    ours = db.query(f"SELECT {ROW} FROM items WHERE collection = 'ours' ORDER BY id")
    assert ours == db.query(f"SELECT {ROW} FROM items WHERE collection = 'theirs' ORDER BY id") and len(ours) == 25
    assert db.query("SELECT DISTINCT private FROM items WHERE collection = 'ours'") == [({"published_at": 7},)]


@pytest.mark.parametrize("months", [1, 3], ids=["in place", "moving"])
def test_the_newest_stays(db: Database, months: int) -> None:
    db.add_collection(make_collection("c"), "month")
    expected = [(5, "inserted"), (3, "stale"), (5, "updated"), (9, "updated"), (8, "stale")]
    for number, (at, outcome) in enumerate(expected):
        when = f"2020-0{number % months + 1}-02T00:00:00Z"
        item = make_item("c", "i", when, **{"x:version": number})
        loading = db.load_items([item, make_item("c", f"other{number}", when)], at=at).must_load()
        assert loading.results == {"i": outcome, f"other{number}": "inserted"}
    [(version, private)] = db.query("SELECT content->'x:version', private FROM items WHERE id = 'i'")
    assert (version, private) == (3, {"published_at": 9})


def test_private_values_of_many_items(db: Database) -> None:
    db.add_collection(make_collection("c"), "month")
    items = [make_item("c", f"i{n}", f"2020-{n % 6 + 1:02}-02T00:00:00Z") for n in range(30)]
    db.load_items(items, at=1).must_load()
    db.query("UPDATE items SET private = private || jsonb_build_object('note', id) WHERE id < 'i2'")
    moved = [item | {"properties": {"datetime": "2021-01-01T00:00:00Z"}} for item in items]
    db.load_items(moved, at=2).must_load()
    private: dict[str, Any] = dict(db.query("SELECT id, private FROM items"))
    notes = {item["id"]: {"note": item["id"]} if item["id"] < "i2" else {} for item in items}
    assert private == {name: {"published_at": 2} | note for name, note in notes.items()}


def test_one_loader_at_a_time(db: Database) -> None:
    """
    It holds the lock under which partitions are created: two loaders that move an item would each miss the other's
    row.
    """
    db.add_collection(make_collection("c"))
    db.load_items([make_item("c", "i")]).must_load()
    with db.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(8099569398536433780)")
        loading = db.begin_load()
        assert loading.stdin
        loading.stdin.write(line(make_item("c", "i", **{"x:version": 2}), 2))
        loading.stdin.close()
        loading.stdin = None
        db.wait_for_waiters(1)
        assert db.query("SELECT private FROM items") == [({"published_at": 1},)]
        connection.execute("SELECT pg_advisory_unlock_all()")
    assert end_load(loading).must_load().results == {"i": "updated"}


# The wait ends by the statement timeout, or after six times the lock timeout of five seconds.
WAITS = [("4000", "database_timeout"), pytest.param("45000", "database_conflict", marks=pytest.mark.long)]


@pytest.mark.parametrize(("statement_timeout_ms", "code"), WAITS)
def test_a_locked_row_waits_alone(db: Database, statement_timeout_ms: str, code: str) -> None:
    db.add_collection(make_collection("c"))
    items = [make_item("c", f"i{n}") for n in range(4)]
    db.load_items(items[:2]).must_load()
    with db.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM items WHERE id = 'i1' FOR UPDATE")
        loading = db.load_items(items, "-s", statement_timeout_ms, at=2)
    assert loading.results == {"i0": "updated", "i1": "later", "i2": "inserted", "i3": "inserted"}
    assert loading.errors["i1"].startswith(f"{code}: ")
    assert dict(db.query("SELECT id, private->'published_at' FROM items")) == {"i0": 2, "i1": 1, "i2": 2, "i3": 2}


def test_staging_stays_empty(db: Database) -> None:
    """Also if pgstac's trigger leaves the rows that it has stored."""
    db.query("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    db.query("CREATE TRIGGER keep BEFORE DELETE ON items_staging FOR EACH ROW EXECUTE FUNCTION nothing()")
    db.add_collection(make_collection("c"))
    with db.connect() as connection:
        before = "CREATE OR REPLACE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS "
        connection.execute(
            before + "$$ BEGIN IF pg_trigger_depth() > 1 THEN RETURN NULL; END IF; RETURN OLD; END $$"
        )
    db.load_items([make_item("c", f"i{n}") for n in range(10)], "-b", "5").must_load()
    assert db.value("SELECT count(*) FROM items_staging") == 0


def test_items_that_are_dropped_silently(db: Database) -> None:
    db.add_collection(make_collection("c"))
    db.load_items([make_item("c", "old")]).must_load()
    db.query("ALTER TABLE items_staging DISABLE TRIGGER USER")
    loading = db.load_items([make_item("c", "i"), make_item("c", "old")], at=2)
    assert loading.results == {"i": "later", "old": "later"}
    assert loading.errors["i"].startswith("items_not_stored: pgstac took 2 items for partition _items_1, and they are")
    assert db.rows("c").keys() == {"old"}
    db.query("ALTER TABLE items_staging ENABLE TRIGGER USER")
    assert db.load_items([make_item("c", "i"), make_item("c", "old")], at=2).results == {"i": "inserted", "old": "updated"}


def test_a_bad_row_fails_alone(db: Database) -> None:
    """Rows that PostgreSQL refuses, among old ones and new ones."""
    db.add_collection(make_collection("c"))
    items = [make_item("c", f"i{n:02}") for n in range(50)]
    db.load_items(items[:20]).must_load()
    items[7]["properties"]["datetime"] = "2020-06-15T12:00:00+23:59"  # RFC 3339 allows it, PostgreSQL's limit is 15:59
    long = "".join(f"{n * 2654435761 % 4294967296:08x}" for n in range(1000))
    items[33]["id"] = long
    loading = db.load_items(items, at=2)
    assert {name: error.split(":")[0] for name, error in loading.errors.items()} == dict.fromkeys(("i07", long), "database_rejected")
    assert [*loading.results.values()].count("inserted") == 29
    published = db.query("SELECT private->'published_at', count(*) FROM items GROUP BY 1 ORDER BY 1")
    assert published == [(1, 1), (2, 48)]


def test_the_reserved_mark_is_refused_anywhere(db: Database) -> None:
    mark = "\U0001235f\u203b"
    db.add_collection(make_collection("c", item_assets={"x": {"title": "T"}}))
    marked = [make_item("c", "value", assets={"x": {"title": mark}}), make_item("c", "list", **{"x:list": [[mark]]})]
    loading = db.load_items([*marked, make_item("c", "longer", **{"x:text": mark + "."})])
    assert loading.results == {"value": "never", "list": "never", "longer": "inserted"}
    assert loading.errors["list"].startswith("reserved_value")


def test_large_items(db: Database) -> None:
    """More than one statement can hold, between small items."""
    db.add_collection(make_collection("c"))
    large = "".join(f"{n * 2654435761 % 4294967296:08x}" for n in range(100_000))
    items = [make_item("c", f"i{n}", **{"x:text": large if n % 3 == 1 else f"{n}"}) for n in range(9)]
    for at, outcome in enumerate(("inserted", "updated")):
        assert set(db.load_items(items, at=at).must_load().results.values()) == {outcome}
    assert {name: content["x:text"] for name, content in db.content("c").items()} == {i["id"]: i["x:text"] for i in items}


def test_a_crs_does_not_break_searches(db: Database) -> None:
    """Without our check, pgstac stores the point with the SRID that crs names."""
    db.add_collection(make_collection("c"))
    crs = {"crs": {"type": "name", "properties": {"name": "EPSG:3857"}}}
    items = [make_item("c", "plain"), make_item("c", "crs", geometry={"type": "Point", "coordinates": [1, 2]} | crs)]
    db.load_items(items).must_load()
    found = db.value("SELECT search(%s)", '{"bbox":[0,0,5,5]}')["features"]
    assert sorted(feature["id"] for feature in found) == ["crs", "plain"]


def test_a_collection_that_changes_between_batches(db: Database) -> None:
    """The loader does not cache base_item."""
    lines = []
    for title in ("old", "new"):
        lines.append(json.dumps({"collection": make_collection("c", item_assets={"x": {"title": title}})}))
        lines.append(json.dumps({"published_at": 1, "item": make_item("c", title, assets={"x": {"title": "new"}})}))
    db.load(lines, "-b", "1").must_load()
    assert db.get_item("c", "new")["assets"] == {"x": {"title": "new"}}
