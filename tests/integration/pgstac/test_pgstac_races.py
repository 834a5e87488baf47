"""Loaders that run at the same time as other loaders, as readers, and as changes of collections."""

import copy
import itertools
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
from pgstac_support import Conversation, Database, Loading, dumps, end_load, line, loads, make_collection, make_item, same
from pypgstac.hydration import hydrate_py

LOADERS = 4


def load_at_once(db: Database, inputs: Sequence[Sequence[str]], *options: str) -> list[Loading]:
    runs = [db.begin_load(*options) for _ in inputs]
    with ThreadPoolExecutor(len(runs)) as pool:
        return list(pool.map(end_load, runs, inputs))


@contextmanager
def meanwhile(action: Callable[[], object], pause_s: float = 0.01) -> Iterator[list[str]]:
    """Repeats the action in another thread. Yields the errors of its failures."""
    failures: list[str] = []
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(pause_s):
            try:
                action()
            except psycopg.Error as error:
                failures.append(f"{error.sqlstate} {error}")

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield failures
    finally:
        ended.set()
        thread.join()


def load_until_done(db: Database, items: Mapping[str, Mapping[str, Any]], *options: str) -> int:
    """Loads again what is LATER, as the queue does. Returns the number of rounds."""
    left = dict(items)
    for rounds in itertools.count(1):
        loading = db.load_items(left.values(), *options)
        assert loading.status == 0, loading.error
        assert "never" not in loading.results.values(), loading.errors
        left = {name: items[name] for name, result in loading.results.items() if result == "later"}
        if not left:
            return rounds
        assert rounds < 30, loading.errors
        time.sleep(0.1)
    return 0


def test_loaders_of_a_fresh_collection(db: Database) -> None:
    """Each loader has its own items and some that all share, in different months and at different times."""
    db.add_collection(make_collection("c"), "month")
    inputs = []
    newest: dict[str, tuple[int, str]] = {}
    randoms = random.Random(1)
    for loader in range(LOADERS):
        lines = []
        for n in range(500):
            name = f"shared{n}" if n < 100 else f"l{loader}i{n}"
            month = f"{2018 + randoms.randrange(2)}-{randoms.randrange(12) + 1:02}"
            at = randoms.randrange(1000) * LOADERS + loader
            lines.append(line(make_item("c", name, f"{month}-02T00:00:00Z", **{"x:at": at}), at))
            newest[name] = max(newest.get(name, (-1, "")), (at, month.replace("-", "")))
        randoms.shuffle(lines)
        inputs.append(lines)
    with db.connect() as reader, meanwhile(lambda: reader.execute("SELECT search('{\"limit\":50}')")) as failures:
        for loading in load_at_once(db, inputs, "-b", "25"):
            loading.must_load()
    assert not failures
    rows, content = db.rows("c"), db.content("c")
    assert rows.keys() == newest.keys()
    for name, (at, month) in newest.items():
        assert [partition[-6:] for partition in rows[name]] == [month], name
        assert content[name]["x:at"] == at


def test_loaders_that_move_the_same_items(db: Database) -> None:
    """Every pair of loaders writes every item, into different partitions. The later one's check sees both rows."""
    db.add_collection(make_collection("c"), "year")
    rounds, names = 30, [f"i{n}" for n in range(40)]
    inputs: list[list[str]] = [[] for _ in range(LOADERS)]
    times = iter(random.Random(2).sample(range(10**6), rounds * LOADERS))
    last = 0
    for lap, loader in itertools.product(range(rounds), range(LOADERS)):
        at = next(times)
        last = max(last, at)
        order = random.Random(at).sample(names, len(names))
        year = 2000 + (lap + loader) % 5
        inputs[loader] += [line(make_item("c", name, f"{year}-01-01T00:00:00Z", **{"x:at": at}), at) for name in order]
    for loading in load_at_once(db, inputs, "-b", str(len(names))):
        loading.must_load()
    assert [len(partitions) for partitions in db.rows("c").values()] == [1] * len(names)
    assert {int(content["x:at"]) for content in db.content("c").values()} == {last}


def begin_move(db: Database, holder: "psycopg.Connection[Any]", held: str) -> "subprocess.Popen[str]":
    """
    Starts a loader that moves an item to 2022. Its removal of the older row waits for the holder, which has done
    `held`.
    """
    loading = db.begin_load("-n")
    holder.execute("BEGIN")
    holder.execute(held)  # type: ignore[call-overload]
    assert loading.stdin
    loading.stdin.write(line(make_item("c", "i", "2022-01-01T00:00:00Z"), 3) + "\n")
    loading.stdin.close()
    loading.stdin = None
    db.wait_for_waiters(1)
    return loading


def test_a_duplicate_that_is_written_while_it_is_removed(db: Database) -> None:
    """An operator writes it, or another loader's check, which copies `private` to it."""
    db.add_collection(make_collection("c"), "year")
    db.load_items([make_item("c", "i", "2020-01-01T00:00:00Z"), make_item("c", "other", "2022-01-01T00:00:00Z")]).must_load()
    with db.connect() as operator:
        write = "UPDATE items SET private = private || jsonb_build_object('note', '{}') WHERE id = 'i'"
        operator.execute(write.format("the first"))  # type: ignore[arg-type]
        loading = begin_move(db, operator, write.format("the last"))
        operator.execute("COMMIT")
        assert end_load(loading).must_load().results == {"i": "inserted"}
    assert db.query("SELECT private, datetime::date::text FROM items WHERE id = 'i'") == [
        ({"note": "the last", "published_at": 3}, "2022-01-01")
    ]


def test_a_repartition_does_not_bring_back_a_duplicate(db: Database) -> None:
    """
    A repartition copies all rows, waits for users of the old partitions, and drops them. A row that was deleted
    meanwhile would be back.
    """
    db.add_collection(make_collection("c"), "month")
    db.load_items([make_item("c", "i", "2020-01-01T00:00:00Z"), make_item("c", "other", "2022-01-01T00:00:00Z")]).must_load()
    with db.connect() as holder, db.connect() as owner, ThreadPoolExecutor(1) as pool:
        loading = begin_move(db, holder, "SELECT FROM items WHERE id = 'i' FOR UPDATE")
        repartition = pool.submit(owner.execute, "UPDATE collections SET partition_trunc = 'year'")
        db.wait_for_waiters(2)
        holder.execute("COMMIT")
        assert end_load(loading).must_load().results == {"i": "inserted"}
        repartition.result()
    assert [partition[-5:] for partition in db.rows("c")["i"]] == ["_2022"]


# The content of each row when it was stored, and its collection's base_item in that same transaction.
WITNESS = """
CREATE TABLE witness (id text, content jsonb, base_item jsonb);
CREATE FUNCTION bear_witness() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    INSERT INTO pgstac.witness SELECT NEW.id, NEW.content, base_item FROM pgstac.collections WHERE id = NEW.collection;
    RETURN NEW;
END $$;
CREATE TRIGGER bear_witness BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION bear_witness();
"""


def test_base_item_changes_while_loading(db: Database) -> None:
    """No row is stored that was dehydrated against another base_item than the one that is valid when it commits."""
    db.query(WITNESS)
    bases = [{"x": {"title": "A", "roles": ["r"]}}, {"x": {"title": "B"}, "y": {"title": "A"}}, {}]
    collections = itertools.cycle(dumps(make_collection("c", item_assets=assets)) for assets in bases)
    db.add_collection(make_collection("c", item_assets=bases[0]), "year")
    items = {
        f"i{n}": make_item("c", f"i{n}", f"20{n % 5 + 10}-01-01T00:00:00Z", assets={"x": {"title": "AB"[n % 2]}})
        for n in range(2000)
    }
    with db.connect() as owner:
        with meanwhile(lambda: owner.execute("SELECT upsert_collection(%s::jsonb)", [next(collections)])) as failures:
            load_until_done(db, items, "-b", "50")
    assert not failures
    assert db.rows("c").keys() == items.keys()
    witnessed = db.query("SELECT id, content::text, base_item::text FROM witness")
    assert len({base for _, _, base in witnessed}) == 3, "the base item must have changed meanwhile"
    for name, content, base in witnessed:
        published, stored = loads(dumps(items[name])), loads(content)
        stored.pop("pgstac:base_item", None)
        stored = hydrate_py(copy.deepcopy(loads(base)), stored) | {"id": name, "geometry": published["geometry"]}
        assert same(stored, published)
    if db.is_versioned:  # however often the collection has changed since, each item is returned as published
        given = {name: loads(item) for name, item in db.query("SELECT id, content_hydrate(items)::text FROM items")}
        assert all(same(given[name]["assets"], loads(dumps(item["assets"]))) for name, item in items.items())


def test_base_item_changes_between_batches(db: Database) -> None:
    """One loader, which has the old one in its cache."""
    db.add_collection(make_collection("c", item_assets={"x": {"title": "OLD"}}))
    item = make_item("c", "i", assets={"x": {"title": "OLD"}})
    changed = dumps({"collection": make_collection("c", item_assets={"x": {"title": "NEW"}})})
    loading = db.load([line(make_item("c", "before")), changed, line(item)], "-b", "1")
    assert loading.must_load().results == {"before": "inserted", "i": "inserted"}
    assert db.get_item("c", "i")["assets"] == {"x": {"title": "OLD"}}


def test_a_loader_with_an_outdated_cache(db: Database) -> None:
    """Each time its cached partition has become wrong, and the item is loaded anyway."""
    db.add_collection(make_collection("c"))
    changes = [
        "SELECT update_partition_stats(partition, false) FROM partitions_view",  # narrower bounds
        "UPDATE collections SET partition_trunc = 'year'",
        "UPDATE collections SET partition_trunc = 'month'",
        "SELECT update_partition_stats(partition, false) FROM partitions_view",
        "UPDATE collections SET partition_trunc = NULL",
        "SELECT delete_collection('c')",
    ]
    with Conversation(db, "-m", "create") as loader:
        assert loader.load(make_item("c", "first", "2010-05-01T00:00:00Z")) == "inserted"
        for number, change in enumerate(changes):
            db.query(change)
            assert loader.load(make_item("c", f"i{number}", f"2010-05-{number + 2:02}T00:00:00Z")) == "inserted", change
    assert db.rows("c").keys() == {"i5"}


def test_repartitioned_while_loading(db: Database) -> None:
    db.add_collection(make_collection("c"))
    items = {f"i{n}": make_item("c", f"i{n}", f"20{n % 3 + 10}-0{n % 4 + 1}-01T00:00:00Z") for n in range(1500)}
    truncs = itertools.cycle(["year", "month", None])
    with db.connect() as owner:

        def repartition() -> None:
            owner.execute("UPDATE collections SET partition_trunc = %s", [next(truncs)])

        with meanwhile(repartition, 0.2) as failures:
            load_until_done(db, items, "-b", "30")
        # pgstac's repartition takes its locks in a different order: it may lose against a loader, but a loader never
        # loses.
        assert all(failure.startswith("40P01") for failure in failures), failures
        for trunc in ("month", "year", None):
            owner.execute("UPDATE collections SET partition_trunc = %s", [trunc])
            db.load_items(items.values()).must_load()
    rows = db.rows("c")
    assert rows.keys() == items.keys() and all(len(partitions) == 1 for partitions in rows.values())


def test_readers_do_not_wait_for_a_partition_that_waits(db: Database) -> None:
    """
    The new partition waits because its foreign key has to wait for an open transaction that has changed a
    collection.
    """
    for name in ("c", "changed"):
        db.add_collection(make_collection(name), "year")
    with db.connect() as owner, db.connect("reader") as reader:
        owner.execute("BEGIN")
        owner.execute("SELECT upsert_collection(%s::jsonb)", [dumps(make_collection("changed", title="T"))])
        loading = db.begin_load()
        assert loading.stdin
        loading.stdin.write(line(make_item("c", "i")) + "\n")
        loading.stdin.close()
        loading.stdin = None
        db.wait_for_waiters(1)
        reader.execute("SET statement_timeout = '1s'")
        reader.execute("SELECT search('{}')")
        owner.execute("COMMIT")
        assert end_load(loading).must_load().results == {"i": "inserted"}


def test_collection_deleted_while_loading(db: Database) -> None:
    """It is also created again, and its partitions have other names."""
    db.add_collection(make_collection("c"), "month")
    items = {f"i{n}": make_item("c", f"i{n}", f"2010-{n % 12 + 1:02}-01T00:00:00Z") for n in range(600)}
    with db.connect() as owner:

        def replace() -> None:
            owner.execute("SELECT delete_collection('c')")
            owner.execute("SELECT create_collection(%s::jsonb)", [dumps(make_collection("c"))])

        with meanwhile(replace, 0.15) as failures:
            loading = db.load_items(items.values(), "-b", "20")
        assert loading.status == 0 and "never" not in loading.results.values(), (loading.error, loading.errors)
        if not db.query("SELECT 1 FROM collections"):
            db.add_collection(make_collection("c"))
    load_until_done(db, items)
    assert db.rows("c").keys() == items.keys()
    assert all(failure.startswith(("40P01", "P0002")) for failure in failures), failures


def test_statistics_tightened_while_loading(db: Database) -> None:
    """Another user calls update_partition_stats(p, false), which makes a new constraint around the existing rows."""
    db.add_collection(make_collection("c"), "year")
    items = {f"i{n}": make_item("c", f"i{n}", f"2010-{n // 50 + 1:02}-{n % 28 + 1:02}T00:00:00Z") for n in range(600)}
    tighten = "SELECT update_partition_stats(partition, false) FROM partitions_view"
    with db.connect() as owner, meanwhile(lambda: owner.execute(tighten), 0.03):
        load_until_done(db, items, "-b", "20")
    assert db.rows("c").keys() == items.keys()
