"""
An item exists once, whoever else writes: a loader's cache of the partitions must not hide a row that another user
wrote.
"""

import json
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pgstac_support import LOAD, Conversation, Database, dumps, end_load, line, loads, make_collection, make_item
from psycopg.errors import DeadlockDetected
from pypgstac.db import PgstacDB
from pypgstac.load import Loader, Methods

CONNECTIONS = LOAD.parents[1] / "bench" / "load"  # for one process with several connections
OLD, NEW = "2020-05-01T00:00:00Z", "2021-05-01T00:00:00Z"
COPY_ROW = """
INSERT INTO items (id, geometry, collection, datetime, end_datetime, content)
    SELECT 'i', geometry, collection, '{when}', '{when}', content FROM items WHERE id = 'model'
"""


def upsert_by_pypgstac(db: Database, items: Sequence[Any]) -> None:
    """Into another pgstac than its own it cannot: there pgstac's function does it, again after a deadlock, as pypgstac."""
    while not db.is_versioned:
        with suppress(DeadlockDetected):
            db.query("SELECT upsert_items(%s::jsonb)", dumps(items))
            return
    with PgstacDB(dsn=db.server.conninfo(db.name)) as connection:
        Loader(connection).load_items(iter(json.loads(dumps(items))), insert_mode=Methods.upsert)


def by_pypgstac(db: Database, item: Any) -> None:
    upsert_by_pypgstac(db, [item])


def by_create_items(db: Database, item: Any) -> None:
    db.query("SELECT create_items(%s::jsonb)", dumps([item]))


def by_upsert_item(db: Database, item: Any) -> None:
    db.query("SELECT upsert_item(%s::jsonb)", dumps(item))


def by_another_loader(db: Database, item: Any) -> None:
    db.load_items([item], at=2).must_load()


def by_insert(db: Database, item: Any) -> None:
    db.query(COPY_ROW.format(when=item["properties"]["datetime"]))


def by_insert_in_a_savepoint(db: Database, item: Any) -> None:
    insert = COPY_ROW.format(when=item["properties"]["datetime"])
    db.query(f"DO $$ BEGIN BEGIN {insert}; EXCEPTION WHEN division_by_zero THEN NULL; END; END $$")


def by_moving_a_row(db: Database, item: Any) -> None:
    when = item["properties"]["datetime"]
    with db.connect() as operator:
        operator.execute("BEGIN")
        operator.execute(COPY_ROW.format(when="2022-01-01"))  # type: ignore[call-overload]
        operator.execute("UPDATE items SET datetime = %s, end_datetime = %s WHERE id = 'i' AND datetime >= '2022-01-01'", [when, when])
        operator.execute("COMMIT")


def by_a_repartition_before(db: Database, item: Any) -> None:
    db.query("UPDATE collections SET partition_trunc = 'month'")
    by_another_loader(db, item)


def by_a_search_after(db: Database, item: Any) -> None:
    """This writes statistics of searches. Writes to other tables must neither empty the cache nor hide a change."""
    by_pypgstac(db, item)
    db.query("SELECT search('{}')")


OTHERS: Sequence[Callable[[Database, Any], None]] = (
    *(by_pypgstac, by_create_items, by_upsert_item, by_another_loader, by_insert, by_insert_in_a_savepoint),
    *(by_moving_a_row, by_a_repartition_before, by_a_search_after),
)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.__name__)
def test_what_others_put_in_between(db: Database, other: Callable[[Database, Any], None]) -> None:
    """
    The other write happens between two batches of one loader, which has cached the partitions' ids after the first.
    """
    db.add_collection(make_collection("c"), "year")
    with Conversation(db) as loader:
        for name, when in (("model", "2022-01-01T00:00:00Z"), ("a", OLD), ("b", NEW), ("c", OLD)):
            assert loader.load(make_item("c", name, when)) == "inserted"
        for turn in range(3):
            other(db, make_item("c", "i", OLD))
            assert loader.load(make_item("c", "i", NEW, **{"x:turn": turn}), 3 + turn) in ("inserted", "updated")
            assert [partition[7:13] for partition in db.rows("c")["i"]] == ["1_2021"]
            assert loader.load(make_item("c", f"between{turn}", OLD)) == "inserted"


def test_what_others_hold_open(db: Database) -> None:
    """The others write before the loader's batch and commit after it. The next version finds their row."""
    db.add_collection(make_collection("c"), "year")
    with Conversation(db) as loader, db.connect() as operator:
        for name, when in (("model", OLD), ("b", NEW)):
            assert loader.load(make_item("c", name, when)) == "inserted"
        operator.execute("BEGIN")
        operator.execute(COPY_ROW.format(when=OLD))  # type: ignore[call-overload]
        for turn in range(3):
            assert loader.load(make_item("c", f"meanwhile{turn}", OLD)) == "inserted"
        assert loader.load(make_item("c", "i", NEW), 2) == "inserted"
        operator.execute("COMMIT")
        for turn in range(3):
            assert loader.load(make_item("c", f"after{turn}", OLD)) == "inserted"
        assert loader.load(make_item("c", "i", NEW), 3) == "updated"
    assert [partition[-4:] for partition in db.rows("c")["i"]] == ["2021"]


def test_new_items_are_not_looked_for(db: Database) -> None:
    """A loader does not wait for another user who has locked an unrelated partition."""
    db.add_collection(make_collection("c"), "year")
    with Conversation(db) as loader, db.connect() as operator:
        for name, when in (("a", OLD), ("b", NEW), ("c", OLD)):
            assert loader.load(make_item("c", name, when)) == "inserted"
        operator.execute("BEGIN")
        (partition,) = db.rows("c")["b"]
        operator.execute(f"LOCK TABLE {partition} IN ACCESS EXCLUSIVE MODE")  # type: ignore[call-overload]
        operator.execute("SET LOCAL idle_in_transaction_session_timeout TO '10s'")
        assert loader.load(make_item("c", "new", OLD)) == "inserted"
        operator.execute("COMMIT")


def rounds_of(names: Sequence[str], rounds: int, seed: int) -> Iterator[list[dict[str, Any]]]:
    """Each round has every item, in another month."""
    dice = random.Random(seed)
    for lap in range(rounds):
        order = dice.sample(names, len(names))
        yield [
            make_item("c", name, f"{2018 + dice.randrange(2)}-{1 + dice.randrange(12):02}-02T00:00:00Z", **{"x:lap": lap})
            for name in order
        ]


def test_pypgstac_at_the_same_time(db: Database) -> None:
    """Two long-running loaders and pypgstac load the same items. The last round comes after pypgstac has ended."""
    db.add_collection(make_collection("c"), "month")
    names = [f"i{n}" for n in range(60)]
    for made in rounds_of(names, 3, 5):  # all months exist: pypgstac deadlocks when it creates them
        db.load_items(made).must_load()

    def others() -> None:
        for made in rounds_of(names, 12, 6):
            for first in range(0, len(made), 20):
                upsert_by_pypgstac(db, sorted(made[first : first + 20], key=lambda item: str(item["id"])))

    rounds = list(rounds_of(names, 40, 7))
    loaders = [db.begin_load("-b", "15") for _ in range(2)]
    with ThreadPoolExecutor(3) as pool:
        writing: Future[None] = pool.submit(others)
        turn = 0
        while not writing.done() or turn < 10:
            for loading in loaders:
                feed(loading, rounds[turn % 39], 10 + turn)
            turn += 1
        writing.result()
        for loading in loaders:
            feed(loading, rounds[39], 10**6)
        ended = list(pool.map(end_load, loaders))
    assert [loading.status for loading in ended] == [0, 0]
    assert {name: len(partitions) for name, partitions in db.rows("c").items()} == dict.fromkeys(names, 1)
    assert {int(content["x:lap"]) for content in db.content("c").values()} == {39}


def feed(loading: "subprocess.Popen[str]", items: Sequence[Any], published_at: int) -> None:
    """Also reads the answers, so that no pipe fills up."""
    assert loading.stdin and loading.stdout
    for first in range(0, len(items), 15):
        batch = items[first : first + 15]
        loading.stdin.write("".join(line(item, published_at) + "\n" for item in batch))
        loading.stdin.flush()
        for _ in batch:
            answer = json.loads(loading.stdout.readline())
            assert answer["result"] in ("done", "ok", "0", 0) or answer.get("outcome"), answer


def test_connections_of_one_process(db: Database, tmp_path: Path) -> None:
    """The connections share a cache. Four of them move the same items to and fro."""
    db.add_collection(make_collection("c"), "month")
    names = [f"i{n}" for n in range(50)]
    rounds = list(rounds_of(names, 40, 8))
    file = tmp_path / "items"
    file.write_text("".join(dumps(item) + "\n" for made in rounds for item in made))
    conninfo = db.server.conninfo(db.name, "loader").split()
    done = subprocess.run([CONNECTIONS, "-j", "4", "-b", "50", file, *conninfo], input="go\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = loads(done.stdout.splitlines()[1])
    assert answer["loaded"] == 2000 and answer["failed"] == 0, answer
    assert {name: len(partitions) for name, partitions in db.rows("c").items()} == dict.fromkeys(names, 1)
