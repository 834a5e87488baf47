"""One loader and one database: partitions, newest wins, a bad item fails alone, missing collections."""

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pgstac_support import TOOLS, Database, Number, dumps, end_load, line, loads, make_collection, make_item

TRUNCS = [None, "year", "month"]


# ---------------------------------------------------------------- datetimes and partitions

DATETIMES = [
    # The datetime as published, in UTC as PostgreSQL has it, and the year and month of its partition.
    ("2020-06-15T12:00:00Z", "2020-06-15 12:00:00+00", "202006"),
    ("2020-01-01T00:30:00+01:00", "2019-12-31 23:30:00+00", "201912"),
    ("2019-12-31T23:30:00-12:00", "2020-01-01 11:30:00+00", "202001"),
    ("2020-02-29T23:59:59.9999999Z", "2020-03-01 00:00:00+00", "202003"),
    ("2020-02-29T23:59:59.999999Z", "2020-02-29 23:59:59.999999+00", "202002"),
    ("2020-06-15T12:00:00.1234565Z", "2020-06-15 12:00:00.123457+00", "202006"),
    ("1969-12-31T23:59:59.999999Z", "1969-12-31 23:59:59.999999+00", "196912"),
    ("1858-11-17T00:00:00Z", "1858-11-17 00:00:00+00", "185811"),
    ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00+00", "000101"),
    ("0099-12-31T23:59:59Z", "0099-12-31 23:59:59+00", "009912"),
    ("9999-12-31T23:59:59.999999Z", "9999-12-31 23:59:59.999999+00", "999912"),
]


@pytest.mark.parametrize("trunc", TRUNCS)
def test_datetimes_and_partitions(db: Database, trunc: str | None) -> None:
    db.add_collection(make_collection("c"), trunc)
    items = [make_item("c", f"i{n}", when) for n, (when, _, _) in enumerate(DATETIMES)]
    for _ in range(2):
        db.load_items(items, "-b", "4").must_load()
    key = db.value("SELECT key FROM collections")
    for number, (when, utc, month) in enumerate(DATETIMES):
        suffix = {None: "", "year": f"_{month[:4]}", "month": f"_{month}"}[trunc]
        assert db.rows("c")[f"i{number}"] == [f"_items_{key}{suffix}"], when
        columns = db.query("SELECT datetime::text, end_datetime::text FROM items WHERE id = %s", f"i{number}")
        assert columns == [(utc, utc)], when
    found = loads(db.value("SELECT search('{\"limit\":100}')::text"))["features"]
    assert [(f["id"], f["properties"]["datetime"]) for f in sorted(found, key=lambda f: int(f["id"][1:]))] == [
        (f"i{n}", when) for n, (when, _, _) in enumerate(DATETIMES)
    ]


@pytest.mark.parametrize("trunc", TRUNCS)
def test_ranges_widen_their_partition(db: Database, trunc: str | None) -> None:
    """Each load exceeds the bounds that the previous one left, and the last one also exceeds the partition's own."""
    db.add_collection(make_collection("c"), trunc)
    ends = ["2020-06-15T12:00:00Z", "2020-06-30T23:59:59.999999Z", "2020-12-31T00:00:00Z", "2400-01-01T00:00:00Z"]
    for number, end in enumerate([*ends, "9999-12-31T23:59:59.999999Z", "2020-06-15T12:00:00Z"]):
        properties = {"datetime": None, "start_datetime": f"2020-06-{15 - number}T12:00:00Z", "end_datetime": end}
        db.load_items([make_item("c", f"i{number}", properties=properties)]).must_load()
        db.query("SELECT update_partition_stats(partition, false) FROM partitions_view")  # as narrow as possible
    assert len(db.rows("c")) == 6
    assert db.value("SELECT max(end_datetime)::text FROM items") == "9999-12-31 23:59:59.999999+00"


def test_an_item_is_found_without_its_statistics(db: Database) -> None:
    """Statistics are written once per interval. A search must find the item before."""
    for trunc in TRUNCS:
        db.add_collection(make_collection(f"c{trunc}"), trunc)
        db.load_items([make_item(f"c{trunc}", "i")], "-n").must_load()
        body: dict[str, Any] = {"collections": [f"c{trunc}"], "datetime": "2020-06-15T00:00:00Z/2020-06-16T00:00:00Z"}
        found = loads(db.value("SELECT search(%s)::text", dumps(body)))["features"]
        assert [feature["id"] for feature in found] == ["i"]


def test_names_that_need_care(db: Database) -> None:
    names = ['q"uote', "ba\\ck", "o'brien", "com,ma{}", "NULL", "null", " blank ", "ünï-😀", "a" * 1000, "%s$1;--", "\u007f"]
    for number, name in enumerate(names):
        db.add_collection(make_collection(name), TRUNCS[number % 3])
    items = [make_item(collection, name) for collection in names for name in names]
    for expected in ("inserted", "updated"):
        loading = db.load_items(items).must_load()
        assert {line["outcome"] for line in loading.lines} == {expected}
    for collection in names:
        assert db.rows(collection).keys() == set(names)


# ---------------------------------------------------------------- newest wins

NEWEST = [
    # published_at of the loads in their order, the one that stays, the outcomes
    ([5, 5], 1, ["inserted", "updated"]),
    ([5, 6], 1, ["inserted", "updated"]),
    ([6, 5], 0, ["inserted", "stale"]),
    ([0, 0, 7, 3, 7], 4, ["inserted", "updated", "updated", "stale", "updated"]),
    ([9007199254740993, 9007199254740992], 0, ["inserted", "stale"]),
]


@pytest.mark.parametrize("moving", [False, True], ids=["in place", "moving"])
@pytest.mark.parametrize(("times", "winner", "outcomes"), NEWEST)
def test_newest_wins(db: Database, times: list[int], winner: int, outcomes: list[str], moving: bool) -> None:
    db.add_collection(make_collection("c"), "month")
    seen = []
    for number, at in enumerate(times):
        when = f"20{20 + number if moving else 20}-01-01T00:00:00Z"
        item = make_item("c", "i", when, **{"x:version": number})
        seen.append(db.load_items([item, make_item("c", f"other{number}")], at=at).must_load().results["i"])
    expected = ["inserted" if moving and outcome == "updated" else outcome for outcome in outcomes]
    assert seen == expected
    assert len(db.rows("c")["i"]) == 1
    assert db.content("c")["i"]["x:version"] == winner
    assert db.value("SELECT private->>'published_at' FROM items WHERE id = 'i'") == str(max(times))


def test_a_redelivery_removes_the_duplicate_that_a_crash_left(db: Database) -> None:
    """
    The loader ended between its commit and the removal of the older row. The message comes again, and finds its row.
    """
    db.add_collection(make_collection("c"), "month")
    db.load_items([make_item("c", "i", "2020-01-01T00:00:00Z")], at=1).must_load()
    db.load_items([make_item("c", "other", "2020-02-01T00:00:00Z")], at=1).must_load()
    moved = make_item("c", "i", "2020-02-01T00:00:00Z")
    db.query(
        "INSERT INTO items SELECT 'i', geometry, collection, datetime, end_datetime, content, private || "
        "'{\"published_at\": 2}' FROM items WHERE id = 'other'"
    )
    assert len(db.rows("c")["i"]) == 2
    assert db.load_items([moved], at=2).must_load().results == {"i": "updated"}
    assert [partition[-6:] for partition in db.rows("c")["i"]] == ["202002"]


def test_a_stale_redelivery_removes_it_too(db: Database) -> None:
    db.add_collection(make_collection("c"), "month")
    db.load_items([make_item("c", "i", "2020-01-01T00:00:00Z")], at=1).must_load()
    db.load_items([make_item("c", "other", "2020-02-01T00:00:00Z")], at=3).must_load()
    db.query(
        "INSERT INTO items SELECT 'i', geometry, collection, datetime, end_datetime, content, private "
        "FROM items WHERE id = 'other'"
    )
    stale = make_item("c", "i", "2020-02-01T00:00:00Z")
    assert db.load_items([stale], at=2).must_load().results == {"i": "stale"}
    assert [partition[-6:] for partition in db.rows("c")["i"]] == ["202002"]


PRIVATE = [
    # An operator's value of `private`, and its value after an item with published_at 5 was loaded over it.
    (None, {"published_at": 5}),
    ("{}", {"published_at": 5}),
    ('{"note": {"a": 1}}', {"note": {"a": 1}, "published_at": 5}),
    ('{"published_at": "never", "note": 1}', {"note": 1, "published_at": 5}),
    ('{"published_at": null}', {"published_at": 5}),
    ('{"published_at": 4.5}', {"published_at": 5}),
    ('{"published_at": 6, "note": 1}', None),
    ("[1, 2]", {"published_at": 5}),
    ('"text"', {"published_at": 5}),
    ("null", {"published_at": 5}),
]


@pytest.mark.parametrize(("private", "expected"), PRIVATE)
def test_private_is_merged(db: Database, private: str | None, expected: dict[str, Any] | None) -> None:
    db.add_collection(make_collection("c"), "year")
    db.load_items([make_item("c", "i")], at=1).must_load()
    db.query("UPDATE items SET private = %s::jsonb", private)
    outcome = db.load_items([make_item("c", "i")], at=5).must_load().results["i"]
    assert outcome == ("updated" if expected else "stale")
    assert db.value("SELECT private FROM items") == (expected or json.loads(private or ""))


def test_private_moves_with_its_item(db: Database) -> None:
    db.add_collection(make_collection("c"), "month")
    db.load_items([make_item("c", "i", "2020-01-01T00:00:00Z")], at=1).must_load()
    db.query("UPDATE items SET private = private || '{\"note\": \"kept\"}'")
    db.load_items([make_item("c", "i", "2020-02-01T00:00:00Z")], at=2).must_load()
    assert db.query("SELECT private, datetime::date::text FROM items") == [
        ({"note": "kept", "published_at": 2}, "2020-02-01")
    ]


def test_an_unchanged_item_rewrites_nothing_else(db: Database) -> None:
    """The content stays where it is, out of line."""
    db.add_collection(make_collection("c"))
    item = make_item("c", "i", **{"x:large": {f"k{n}": f"{n * 7919 % 10007:x}" for n in range(3000)}})
    db.load_items([item], at=1).must_load()
    toast = db.value("SELECT reltoastrelid::regclass::text FROM pg_class JOIN items ON pg_class.oid = items.tableoid")
    chunks = f"SELECT count(*), max(xmin::text::bigint) FROM {toast}"
    before = db.query(chunks)
    assert db.load_items([item], at=2).must_load().results == {"i": "updated"}
    assert db.query(chunks) == before and before[0][0] > 0


def test_the_format_cache_forgets(db: Database) -> None:
    db.query("UPDATE pgstac_settings SET value = 'true' WHERE name = 'format_cache'")
    db.add_collection(make_collection("c"), "month")
    for number, when in enumerate(["2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z"]):
        db.load_items([make_item("c", "i", when, **{"x:version": number})], at=number).must_load()
        features = loads(db.value("SELECT search('{}')::text"))["features"]
        assert [feature["x:version"] for feature in features] == [number]


# ---------------------------------------------------------------- one bad item fails alone

def test_a_bad_row_fails_alone(db: Database) -> None:
    """Rows that pass our checks and that PostgreSQL refuses."""
    db.query(
        "INSERT INTO queryables (name, definition, property_wrapper, property_index_type) "
        "VALUES ('x:percent', '{\"type\":\"number\"}', 'to_int', 'BTREE')"
    )
    db.add_collection(make_collection("c"), "month")
    items = [make_item("c", f"i{n:04}", f"2020-{n % 12 + 1:02}-01T00:00:00Z") for n in range(1000)]
    incompressible = "".join(f"{n * 2654435761 % 4294967296:08x}" for n in range(1000))
    items[17]["id"] = incompressible
    items[400]["properties"]["x:percent"] = Number("9" * 130)
    items[401]["properties"]["x:percent"] = "most of it"
    items[999]["properties"]["x:percent"] = Number("1e300")
    before = db.value("SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()")
    loading = db.load_items(items)
    assert loading.status == 0, loading.error
    expected = {
        incompressible: "database_rejected: index row size",
        "i0400": "database_rejected: ",
        "i0401": "database_rejected: invalid input syntax for type double precision",
        "i0999": "database_rejected: ",
    }
    assert loading.errors.keys() == expected.keys()
    for name, error in expected.items():
        assert error in loading.errors[name], loading.errors[name]
    assert {loading.results[name] for name in expected} == {"never"}
    assert len(db.rows("c")) == 996
    assert db.rows("c").keys() == {item["id"] for item in items} - expected.keys()
    db.query("SELECT pg_stat_clear_snapshot()")
    failed = db.value("SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()") - before
    assert 4 <= failed <= 4 * 11, "halving must find each bad row with at most log2(1000) + 1 failed attempts"


def test_a_partition_that_cannot_be_created_does_not_affect_others(db: Database) -> None:
    """pgstac cannot create one partition. Only its items fail, with PostgreSQL's error."""
    db.add_collection(make_collection("c"), "month")
    key = db.value("SELECT key FROM collections")
    db.query(f"CREATE TABLE _items_{key}_202003 (squatter int)")
    items = [make_item("c", f"i{n}", f"2020-{n + 1:02}-01T00:00:00Z") for n in range(6)]
    loading = db.load_items(items)
    assert loading.status == 0, loading.error
    assert loading.results == {f"i{n}": "never" if n == 2 else "inserted" for n in range(6)}
    assert loading.errors["i2"].startswith("partition_refused: ") and f"_items_{key}_202003" in loading.errors["i2"]


@pytest.mark.parametrize(("version", "result"), [(None, "inserted"), ("0.9.12", "never")])
def test_a_collection_that_pgstac_cannot_partition_again(make_db: Callable[..., Database], version: str | None, result: str) -> None:
    """
    Before 0.10, pgstac's view garbles an id with a quote, and cannot split the single partition. We report it at
    once.
    """
    name = "O'Brien \"q\" %s"
    db = make_db(version)
    db.add_collection(make_collection(name))
    db.load_items([make_item(name, "first", "2020-01-01T00:00:00Z")]).must_load()
    db.query("UPDATE collections SET partition_trunc = 'month'")
    begun = time.monotonic()
    loading = db.load_items([make_item(name, "second", "2021-05-01T00:00:00Z")])
    assert time.monotonic() - begun < 5 and loading.results == {"second": result}
    if result == "never":
        assert loading.errors["second"].startswith(f'partition_refused: pgstac cannot make or widen a partition of collection "{name}"')
        assert "is not partitioned (SQLSTATE 42P17)" in loading.errors["second"]


# ---------------------------------------------------------------- partitions in another time zone than UTC

ZONES = ["America/New_York", "Asia/Tokyo", "Asia/Kolkata", "Pacific/Auckland"]


def partition_in(db: Database, zone: str, trunc: str, first: str, last: str) -> None:
    """Creates a partition as a session in that zone did before 0.10."""
    db.add_collection(make_collection("c"), trunc)
    with db.connect() as connection:
        connection.execute("SELECT set_config('timezone', %s, false)", [zone])
        connection.execute(
            "SELECT check_partition('c', tstzrange(t, t + '1 day', '[]'), tstzrange(t, t + '1 day', '[]')) "
            "FROM generate_series(%s::timestamptz, %s::timestamptz, %s::interval) AS t",
            [first, last, f"1 {trunc}"],
        )


def every_hours(hours: int, first: str, last: str) -> list[dict[str, Any]]:
    when, end, items = datetime.fromisoformat(first), datetime.fromisoformat(last), []
    while when < end:
        items.append(make_item("c", f"i{len(items)}", when.strftime("%Y-%m-%dT%H:%M:%SZ")))
        when += timedelta(hours=hours)
    return items


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("trunc", ["month", "year"])
def test_partitions_of_another_time_zone(make_db: Callable[..., Database], zone: str, trunc: str) -> None:
    """They keep their bounds, and new partitions continue them."""
    db = make_db("0.9.12")
    partition_in(db, zone, trunc, "2020-02-10", "2020-03-10")
    items = every_hours(5, "2019-12-28", "2020-05-03")
    db.load_items(items, "-b", "100").must_load()
    db.load_items(items, "-b", "7", at=2).must_load()
    rows = db.rows("c")
    assert len(rows) == len(items) and all(len(partitions) == 1 for partitions in rows.values())
    hour_behind = "SELECT (lower(partition_dtrange) + interval '1 hour') AT TIME ZONE %s FROM partition_sys_meta"
    bounds = [bound for (bound,) in db.query(hour_behind, zone)]  # summer time moves partitions that continue it by an hour
    assert all(bound.day == 1 and bound.hour < 3 for bound in bounds), bounds


@pytest.mark.parametrize(("zone", "month"), [("Europe/Berlin", 3), ("America/New_York", 11), ("Australia/Lord_Howe", 10), ("Asia/Tokyo", 5)])
def test_a_month_between_two_in_which_summer_time_changes(make_db: Callable[..., Database], zone: str, month: int) -> None:
    """Neither an hour that both have, nor one that none has."""
    db = make_db("0.9.12")
    partition_in(db, zone, "month", f"2015-{month - 1:02}-10", f"2015-{month - 1:02}-10")
    partition_in(db, zone, "month", f"2015-{month + 1:02}-10", f"2015-{month + 1:02}-10")
    items = every_hours(1, f"2015-{month - 1:02}-27", f"2015-{month + 1:02}-03")
    db.load_items(items, "-b", "1000").must_load()
    assert {partitions[0][-2:] for partitions in db.rows("c").values()} == {f"{month + n:02}" for n in (-1, 0, 1)}
    bounds = "SELECT lower(partition_dtrange) AT TIME ZONE %s FROM partition_sys_meta"
    assert all(bound.day == 1 and bound.hour == 0 for (bound,) in db.query(bounds, zone))


def test_partitions_of_another_time_zone_in_an_upgraded_catalog(make_db: Callable[..., Database]) -> None:
    """
    Since 0.10 pgstac creates partitions only in UTC. It refuses one that overlaps an older one, and we report that.
    """
    db = make_db("0.9.12")
    partition_in(db, "America/New_York", "month", "2020-01-10", "2020-01-10")
    db.load_items(every_hours(24, "2020-01-10", "2020-01-20")).must_load()
    db.server.pypgstac(TOOLS / "pypgstac", db.name, "migrate")
    inside = every_hours(3, "2020-01-01T06:00", "2020-02-01T05:00")
    db.load_items(inside, at=2).must_load()
    assert {partitions[0][-7:] for partitions in db.rows("c").values()} == {"_202001"}
    db.load_items([make_item("c", "march", "2020-03-01T00:00:00Z")]).must_load()
    loading = db.load_items([make_item("c", "late", "2020-02-20T00:00:00Z"), make_item("c", "fine", "2020-01-20T00:00:00Z")])
    assert loading.results == {"late": "never", "fine": "inserted"}
    assert "would overlap partition" in loading.errors["late"]


# --------------------------------------------------------------------------- missing collections

def test_missing_collection(db: Database) -> None:
    db.add_collection(make_collection("here"))
    items = [make_item("here", "good"), make_item("nowhere", "lost"), make_item("nowhere", "lost too")]
    for option, result in (("retry", "later"), ("reject", "never")):
        loading = db.load_items(items, "-m", option)
        assert {name: loading.results[name] for name in ("lost", "lost too")} == {"lost": result, "lost too": result}
        assert loading.errors["lost"].startswith('missing_collection: collection "nowhere" is not in the catalog')
    assert db.rows("here").keys() == {"good"}


def test_missing_collection_that_comes(db: Database) -> None:
    """The collection comes from the same queue, after its items. They load in the next batch."""
    item = line(make_item("c", "i"))
    loading = db.load([item, item, f'{{"collection":{dumps(make_collection("c"))}}}', item], "-b", "1")
    assert [entry.get("outcome", entry["result"]) for entry in loading.lines] == ["later", "later", "inserted"]


def test_missing_collections_are_created(db: Database) -> None:
    names = ["new", 'q"uo\'te\\', "ünï"]
    items = [make_item(name, f"{name}{n}") for n in range(3) for name in names]
    db.load_items(items, "-m", "create").must_load()
    made = {name: json.loads(text) for name, text in db.query("SELECT id, content::text FROM collections")}
    assert made.keys() == set(names)
    assert made["new"]["type"] == "Collection" and made["new"]["extent"]["temporal"] == {"interval": [[None, None]]}
    assert db.get_item("ünï", "ünï1")["collection"] == "ünï"
    collection = make_collection("new", description="by hand", item_assets={"x": {"title": "T"}})
    db.load([f'{{"collection":{dumps(collection)}}}']).must_load()
    assert db.value("SELECT content->>'description' FROM collections WHERE id = 'new'") == "by hand"


def versions(db: Database, collection: str = "c") -> tuple[Any, ...]:
    return db.query("SELECT content->>'title', private FROM collections WHERE id = %s", collection)[0]


def collection_line(title: str, at: int) -> str:
    return dumps({"published_at": at, "collection": make_collection("c", title=title)})


def test_a_stale_collection_never_wins(db: Database) -> None:
    """With equal times the last one wins. The operator's values in private stay."""
    for title, at, winner in (("a", 5, "a"), ("b", 4, "a"), ("c", 5, "c"), ("d", 6, "d")):
        db.load([collection_line(title, at)]).must_load()
        assert versions(db) == (winner, {"published_at": 5 if at < 6 else 6})
    db.query("UPDATE collections SET private = private || '{\"owner\": \"x\"}'")
    db.load([collection_line("e", 7)]).must_load()
    assert versions(db) == ("e", {"published_at": 7, "owner": "x"})
    for private in (None, "5", '{"published_at": "soon"}'):
        db.query("UPDATE collections SET private = %s::jsonb", private)
        db.load([collection_line(f"over {private}", 1)]).must_load()
        assert versions(db) == (f"over {private}", {"published_at": 1})


def test_the_newer_of_two_concurrent_versions_stays(db: Database) -> None:
    """The older version arrives while the newer one is written, and is stale."""
    wait = "BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END"
    db.query(f"CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS '{wait}'")
    db.query("CREATE TRIGGER hold AFTER INSERT ON collections FOR EACH ROW EXECUTE FUNCTION hold()")
    with db.connect() as connection, connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(1)")
        loadings = []
        for count, at in ((1, 2), (2, 1)):
            loading = db.begin_load()
            assert loading.stdin
            loading.stdin.write(collection_line(f"version {at}", at) + "\n")
            loading.stdin.flush()
            loadings.append(loading)
            db.wait_for_waiters(count)
    for loading in loadings:
        end_load(loading).must_load()
    assert versions(db) == ("version 2", {"published_at": 2})


def test_collections(db: Database) -> None:
    """A collection is replaced, and stored by value as published. A bad one is refused."""
    text = dumps(make_collection("c", **{"x:n": Number("1.10"), "x:null": None}))
    db.load([f'{{"collection":{text}}}']).must_load()
    assert loads(db.value("SELECT content::text FROM collections")) == loads(text)
    for change, error in (
        ({"type": "Catalog"}, "invalid_collection: not a STAC collection: type is not"),
        ({"extent": {"spatial": {"bbox": [["a", 1, 2, 3]]}}}, "database_rejected: "),
    ):
        loading = db.load([f'{{"collection":{dumps(make_collection("c", **change))}}}'])
        assert loading.status == 1 and error in loading.error
    assert loads(db.value("SELECT content::text FROM collections")) == loads(text)
