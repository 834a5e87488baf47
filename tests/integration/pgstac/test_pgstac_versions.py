"""Other versions of pgstac than the one that everything else is tested with."""

from collections.abc import Callable

import pytest
from pgstac_support import Database, dumps, end_load, line, loads, make_collection, make_item, same
from random_items import Maker

WORKING = ["0.8.6", "0.9.0", "0.9.5", "0.9.10"]


@pytest.mark.long
@pytest.mark.parametrize("version", WORKING)
def test_older_pgstac(make_db: Callable[..., Database], version: str) -> None:
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
def test_much_older_pgstac(make_db: Callable[..., Database]) -> None:
    loading = make_db("0.7.10").load_items([make_item("c", "i")])
    assert loading.status == 1 and loading.error.startswith("database_unsupported: this database (pgstac 0.7.10)")
