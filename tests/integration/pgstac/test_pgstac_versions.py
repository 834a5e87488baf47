"""Other versions of pgstac than the one that everything else is tested with."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pgstac_support import (
    NEWER, Database, dumps, end_load, install_pypgstac, line, loads, make_collection, make_item, same,
)  # fmt: skip
from random_items import Maker
from test_pgstac_load import test_private_moves_with_its_item as check_private_moves
from test_pgstac_races import test_loaders_that_move_the_same_items as check_moving_loaders

PATHS = {"0.8.0": "fast", "0.8.6": "fast", "0.9.0": "fast", "0.9.12": "fast", "0.10.0": "portable"}
WORKING = ["0.8.2", "0.8.6", "0.9.0", "0.9.5", "0.9.10", *NEWER]


@pytest.mark.long
@pytest.mark.parametrize(("version", "path"), PATHS.items())
def test_path(make_db: Callable[..., Database], version: str, path: str) -> None:
    [said] = make_db(version).load([], "-v").lines
    why = {"fast": "", "portable": "keeps versions of base_item in table pgstac.base_items"}[path]
    assert said == {"version": version, "path": path, "why": why}


@pytest.mark.long
@pytest.mark.parametrize("version", WORKING)
def test_other_pgstac(make_db: Callable[..., Database], version: str) -> None:
    """Partitions made and widened, items moved, statistics, several loaders, and every key given back."""
    db = make_db(version)
    maker = Maker(1)
    item_assets = maker.item_assets()
    for trunc in (None, "year", "month"):
        name = f"c-{trunc}"
        db.add_collection(make_collection(name, item_assets=item_assets), trunc)
        items = [maker.item(name, f"i{n}", item_assets) for n in range(200)]
        for item, member in zip(items, ("a", "b", "c")):  # a plain one or two, whose whole way back can be compared
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
    """pgstac_ingest may not write into partitions there: pgstac_admin, which the owner has, may."""
    db = make_db(version)
    db.add_collection(make_collection("c"), "month")
    items = [make_item("c", f"i{n}", f"2020-{n % 3 + 1:02}-01T00:00:00Z") for n in range(60)]
    assert "permission denied" in db.load_items(items).error
    assert set(db.load_items(items, at=2, user="owner").must_load().results.values()) == {"inserted"}
    moved = [item | {"properties": {"datetime": "2021-01-01T00:00:00Z"}} for item in items]
    db.load_items(moved, at=3, user="owner").must_load()
    assert set(db.load_items(items, at=2, user="owner").results.values()) == {"stale"}
    assert [len(partitions) for partitions in db.rows("c").values()] == [1] * 60


# ---------------------------------------------------------------- newer: the portable path

@pytest.mark.long
@pytest.mark.parametrize("version", NEWER)
def test_newer_pgstac_and_its_own_loader(make_db: Callable[..., Database], tmp_path: Path, version: str) -> None:
    """Items, before and after their collection changes, as pypgstac of that version loads them."""
    db = make_db(version)
    program = install_pypgstac(version)
    for title in ("first", "second", "third"):
        assets = {"x": {"title": title, "type": "image/tiff", "roles": ["data"]}}
        items = []
        for n in range(50):
            own = {"x": assets["x"] | {"href": f"{title}{n}"}, "y": {"href": "other", "n": [1, 2.5]}}
            when = f"2020-{n % 12 + 1:02}-15T00:00:00Z"
            items.append(make_item("ours", f"{title}{n}", when, assets=own, bbox=[1, 2, 1, 2]))
        for name in ("ours", "theirs"):
            db.query("SELECT upsert_collection(%s::jsonb)", dumps(make_collection(name, item_assets=assets)))
        file = tmp_path / f"{title}.ndjson"
        file.write_text("".join(f"{dumps(item | {'collection': 'theirs'})}\n" for item in items))
        db.load_items(items).must_load()
        db.server.pypgstac(program, db.name, "load", "items", file, "--method", "upsert")
    columns = "id, geometry, datetime, end_datetime, content - 'pgstac:base_item'"
    rows = [db.query(f"SELECT {columns} FROM items WHERE collection = %s ORDER BY id", name) for name in ("ours", "theirs")]
    assert rows[0] == rows[1] and len(rows[0]) == 150
    for item in items:
        given = [db.get_item(name, item["id"]) for name in ("ours", "theirs")]
        assert same(given[0], loads(dumps(item))) and same(given[0], given[1] | {"collection": "ours"})
    assert db.get_item("ours", "first0")["assets"]["x"]["title"] == "first"


@pytest.mark.long
@pytest.mark.parametrize("version", NEWER)
def test_newer_pgstac_moves_and_keeps(make_db: Callable[..., Database], version: str) -> None:
    check_moving_loaders(make_db(version))
    check_private_moves(make_db(version))


@pytest.mark.long
@pytest.mark.parametrize("version", NEWER)
def test_newer_pgstac_refuses(make_db: Callable[..., Database], version: str) -> None:
    """A stale one, a bad one and one without a collection, each alone."""
    db = make_db(version)
    db.add_collection(make_collection("c"), "month")
    items = [make_item("c", f"i{n}") for n in range(40)]
    db.load_items(items[:1], at=9).must_load()
    items[5]["properties"]["datetime"] = "2020-06-15T12:00:00+23:59"  # beyond PostgreSQL's
    loading = db.load_items([*items, make_item("nowhere", "lost")], at=8)
    others = {name: result for name, result in loading.results.items() if result != "inserted"}
    assert others == {"i0": "stale", "i5": "never", "lost": "later"}
    assert loading.errors["i5"].startswith("database_rejected") and loading.errors["lost"].startswith("missing_collection")
    assert len(db.rows("c")) == 39 and db.value("SELECT count(*) FROM items_staging") == 0


@pytest.mark.long
def test_much_older_pgstac(make_db: Callable[..., Database]) -> None:
    loading = make_db("0.7.10").load_items([make_item("c", "i")])
    assert loading.status == 1 and loading.error.startswith("database_unsupported: this database (pgstac 0.7.10)")
