"""Rows of others that leave no trace in the witness (lib/pgstac/witness.h), or whose trace goes: it must not be fooled."""

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from pgstac_support import ROLES, Conversation, Database, Server, make_collection, make_item

from local import process
from local.postgres import account, free_port

YEARS = range(2018, 2023)
SEEDS = range(20 if os.environ.get("LONG") else 3)


def when(year: int) -> str:
    return f"{year}-05-01T00:00:00Z"


# Into `items`, or past its triggers, which would lock rows of pgstac's statistics until the transaction's end.
INSERT = """
INSERT INTO {table} (id, geometry, collection, datetime, end_datetime, content)
    SELECT %s, geometry, collection, %s, %s, content FROM items WHERE id = 'model'
"""


def load_years(loader: Conversation) -> None:
    """Enough for it to remember the partitions' ids."""
    for n, year in enumerate([*YEARS, *YEARS]):
        assert loader.load(make_item("c", f"y{n}" if n else "model", when(year))) in ("inserted", "updated")


def put(db: Database, name: str, year: int) -> None:
    db.query(INSERT.format(table=f"_items_1_{year}"), name, when(year), when(year))


def years_of(db: Database, name: str) -> list[str]:
    return [partition[-4:] for partition in db.rows("c")[name]]


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_row_behind_the_question(db: Database, isolation: str) -> None:
    """Put in between what the loader asks and its lock, also where the role's transactions would see nothing new."""
    db.query(f"ALTER ROLE loader IN DATABASE {db.name} SET default_transaction_isolation TO '{isolation}'")
    db.add_collection(make_collection("c"), "year")
    with Conversation(db) as loader, db.connect() as operator, ThreadPoolExecutor(1) as pool:
        load_years(loader)
        operator.execute("BEGIN")
        operator.execute("LOCK TABLE collections IN EXCLUSIVE MODE")
        loading = pool.submit(loader.load, make_item("c", "between", when(2018)))
        db.wait_for_waiters(1)
        operator.execute(INSERT.format(table="_items_1_2020"), ["i", when(2020), when(2020)])  # type: ignore[arg-type]
        operator.execute("COMMIT")
        assert loading.result() == "inserted"
        assert loader.load(make_item("c", "i", when(2021)), 2) == "inserted"
    assert years_of(db, "i") == ["2021"]


@pytest.mark.parametrize("known", [False, True], ids=["detached before", "detached behind it"])
def test_a_partition_that_is_attached(db: Database, known: bool) -> None:
    """With its rows, for which no trigger fires."""
    db.add_collection(make_collection("c"), "year")
    with Conversation(db) as loader:
        if known:
            load_years(loader)
        db.load_items([make_item("c", "i", when(2020)), make_item("c", "model", when(2021))]).must_load()
        (bound,) = db.query("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = '_items_1_2020'")[0]
        db.query("ALTER TABLE _items_1 DETACH PARTITION _items_1_2020")
        for n, year in enumerate([2018, 2019, 2021, 2022] * 3):
            assert loader.load(make_item("c", f"y{n}", when(year))) in ("inserted", "updated")
        db.query(f"ALTER TABLE _items_1 ATTACH PARTITION _items_1_2020 {bound}")
        assert loader.load(make_item("c", "i", when(2021)), 2) == "inserted"
    assert years_of(db, "i") == ["2021"]


class Pooler:
    """pgbouncer in transaction mode: a loader's connection outlives the server's."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.port = free_port()
        users, settings = directory / "users", directory / "pgbouncer.ini"
        users.write_text('"loader" ""\n')
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\nauth_type = trust\nauth_file = {users}\npool_mode = transaction\n"
            "unix_socket_dir =\nserver_login_retry = 1\nignore_startup_parameters = extra_float_digits\n"
        )
        self._log = (directory / "log").open("wb")
        user = process.as_user(account())
        self._child = subprocess.Popen(["pgbouncer", settings], stderr=self._log, stdout=self._log, cwd="/", **user)  # type: ignore[call-overload]

    def stop(self) -> None:
        self._child.terminate()
        self._child.wait(30)
        self._log.close()


@pytest.fixture
def own_server() -> Iterator[Server]:
    server = Server()
    try:
        server.start()
        server.execute(ROLES)
        yield server
    finally:
        server.remove()


def test_another_server_behind_a_pooler(own_server: Server) -> None:
    """Its transactions have numbers that were the loader's on the one before, which was ahead of it."""
    own_server.migrate("catalog")
    db = Database(own_server, "catalog")
    db.add_collection(make_collection("c"), "year")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        pooler = Pooler(own_server, directory)
        try:
            data = own_server.directory / "data"
            db.load_items([make_item("c", "model", when(year)) for year in YEARS[:1]]).must_load()
            own_server.stop()
            shutil.copytree(data, own_server.directory / "standby", symlinks=True)
            own_server.start()
            with Conversation(db, port=str(pooler.port)) as loader:
                for _ in range(10):
                    load_years(loader)
                own_server.stop()
                shutil.rmtree(data)
                shutil.move(own_server.directory / "standby", data)
                for path in [data, *data.rglob("*")]:
                    if user := account():
                        shutil.chown(path, user)
                own_server.start()
                for _ in range(3):
                    load_years(loader)
                put(db, "i", 2020)
                assert loader.load(make_item("c", "i", when(2021)), 2) == "inserted"
        finally:
            pooler.stop()
    assert years_of(db, "i") == ["2021"]


class Operator:
    """A session whose transactions stay open."""

    def __init__(self, db: Database) -> None:
        self.session = db.connect()
        self.run("SET lock_timeout TO '10s'")
        self.is_open = self.is_prepared = False
        self.rows: set[tuple[str, int]] = set()

    def run(self, statement: str, *parameters: object) -> None:
        self.session.execute(statement, parameters or None)  # type: ignore[call-overload]

    def begin(self, isolation: str) -> None:
        self.run(f"BEGIN ISOLATION LEVEL {isolation}")
        self.is_open = True

    def put(self, name: str, year: int, savepoint: str) -> None:
        self.run("SAVEPOINT here")
        try:
            self.run(INSERT.format(table=f"_items_1_{year}"), name, when(year), when(year))
        except psycopg.errors.UniqueViolation:
            savepoint = "ROLLBACK TO here"
        self.run(savepoint)
        if "ROLLBACK" not in savepoint:
            self.rows.add((name, year))

    def end(self, how: str) -> None:
        """Now, or prepared first."""
        if self.is_prepared:
            how = f"{how} PREPARED '{id(self)}'"
        elif how == "PREPARE":
            how = f"PREPARE TRANSACTION '{id(self)}'"
        self.run(how)
        self.is_prepared = how.startswith("PREPARE")
        if not self.is_prepared:
            self.is_open = False
            self.rows.clear()


class Play:
    def __init__(self, db: Database, seed: int, loaders: list[Conversation]) -> None:
        self.db, self.dice, self.loaders = db, random.Random(seed), loaders
        self.operators = [Operator(db) for _ in range(3)]
        self.names = [f"i{n}" for n in range(6)]
        self.time = 10
        self.log: list[str] = []

    def load(self) -> None:
        held = {row for operator in self.operators for row in operator.rows}
        name, year = self.dice.choice(self.names), self.dice.choice(YEARS)
        if (name, year) in held:
            return
        self.time += 1
        which = self.dice.randrange(len(self.loaders))
        result = self.loaders[which].load(make_item("c", name, when(year), **{"x:time": self.time}), self.time)
        self.log.append(f"load {name} {year} by {which}: {result}")
        assert result in ("inserted", "updated"), self.log
        rows = self.db.query("SELECT datetime::text, content->>'x:time' FROM items WHERE id = %s", name)
        assert [row[1] for row in rows] == [str(self.time)], (rows, self.log)

    def operate(self) -> None:
        which = self.dice.randrange(len(self.operators))
        operator = self.operators[which]
        if not operator.is_open:
            operator.begin(self.dice.choice(["READ COMMITTED", "REPEATABLE READ"]))
        elif operator.is_prepared or self.dice.random() < 0.4:
            how = self.dice.choice(["COMMIT", "COMMIT", "ROLLBACK"] + ["PREPARE"] * (not operator.is_prepared))
            operator.end(how)
            self.log.append(f"{which}: {how}")
        else:
            name, year = self.dice.choice(self.names), self.dice.choice(YEARS)
            held = {row for other in self.operators for row in other.rows}
            if (name, year) in held:
                return
            savepoint = self.dice.choice(["RELEASE here", "ROLLBACK TO here", "SAVEPOINT deeper"])
            operator.put(name, year, savepoint)
            self.log.append(f"{which}: put {name} {year}, {savepoint}")

    def maintain(self) -> None:
        statement = self.dice.choice(["VACUUM FREEZE collections", "VACUUM collections", "VACUUM FREEZE items", "ANALYZE items"])
        self.db.query(statement)
        self.log.append(statement)

    def attach(self) -> None:
        """One that was detached is attached with an item that nobody saw; nobody has a partition open meanwhile."""
        if any(operator.is_open for operator in self.operators):
            return
        name, year = self.dice.choice(self.names), self.dice.choice(YEARS)
        part = f"_items_1_{year}"
        (bound,) = self.db.query("SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = %s", part)[0]
        self.db.query(f"ALTER TABLE _items_1 DETACH PARTITION {part}")
        for other in self.dice.sample(YEARS, 3):
            if other != year:
                self.loaders[0].load(make_item("c", "between", when(other)), self.time)
        self.db.query(
            f"SET session_replication_role TO replica; INSERT INTO {part} SELECT '{name}', geometry, collection, datetime, "
            f"end_datetime, content FROM {part} LIMIT 1 ON CONFLICT DO NOTHING"
        )
        self.db.query(f"ALTER TABLE _items_1 ATTACH PARTITION {part} {bound}")
        self.log.append(f"attach {name} {year}")

    def once(self) -> None:
        """An autocommitted row, or one that moves."""
        name, year = self.dice.choice(self.names), self.dice.choice(YEARS)
        held = {held for operator in self.operators for held, _ in operator.rows}
        if name in held:
            return
        with suppress(psycopg.errors.UniqueViolation):
            if self.dice.random() < 0.5:
                self.db.query(INSERT.format(table="items"), name, when(year), when(year))
            else:
                self.db.query("UPDATE items SET datetime = %s, end_datetime = %s WHERE id = %s", when(year), when(year), name)
        self.log.append(f"once {name} {year}")

    def step(self) -> None:
        steps: list[tuple[Callable[[], None], int]] = [(self.load, 12), (self.operate, 5), (self.maintain, 1), (self.once, 1), (self.attach, 1)]
        self.dice.choices([do for do, _ in steps], [weight for _, weight in steps])[0]()


@pytest.fixture(params=[1, 2], ids=["one loader", "two"])
def loaders(request: pytest.FixtureRequest, db: Database) -> Iterator[list[Conversation]]:
    db.add_collection(make_collection("c"), "year")
    started = [Conversation(db) for _ in range(request.param)]
    yield started
    for loader in started:
        loader.__exit__()


@pytest.mark.parametrize("seed", SEEDS)
def test_transactions_of_any_length(db: Database, loaders: list[Conversation], seed: int) -> None:
    """After each load its item is there once, whatever others have committed before it."""
    load_years(loaders[0])
    play = Play(db, seed, loaders)
    for _ in range(300):
        play.step()
    for operator in play.operators:
        if operator.is_open:
            operator.end("ROLLBACK")
