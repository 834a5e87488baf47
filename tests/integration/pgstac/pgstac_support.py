"""
A PostgreSQL for the loader's tests, databases in it that are cheap copies, and JSON whose numbers keep their digits.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local import process
from local.postgres import account, find_programs, free_port

ROOT = Path(__file__).resolve().parents[3]
TOOLS = Path(sys.executable).parent
# Today's pgstac (None: the version of the installed pypgstac) and older ones; the oldest of them only in a long run.
VERSIONS = [None, "0.9.12", *(["0.9.5", "0.8.6"] if os.environ.get("LONG") else [])]
LOAD = ROOT / os.environ.get("BUILD", "build") / "tests" / "load"

# The loader's own role, and roles for tests of refusals.
ROLES = """
CREATE ROLE loader LOGIN;
CREATE ROLE reader LOGIN;
CREATE ROLE locked_out LOGIN PASSWORD 'right';
"""
HBA = """
local all all trust
host all locked_out 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
SETTINGS = {
    "deadlock_timeout": "100ms",
    "dynamic_shared_memory_type": "mmap",
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "listen_addresses": "127.0.0.1",
    "max_prepared_transactions": "5",
    "synchronous_commit": "off",
    "timezone": "UTC",
}


class Server:
    """A PostgreSQL. It refuses to run as root, so its directory belongs to another account."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pgstac-test-"))
        self.port = free_port()
        self._programs = find_programs()
        self._log = self.directory / "log"
        self._child: subprocess.Popen[bytes] | None = None
        if user := account():
            shutil.chown(self.directory, user)
        initdb = [self._programs / "initdb", "-D", self.directory / "data", "-U", "owner", "-E", "UTF8"]
        self._run([*initdb, "--locale=C.UTF-8", "--auth=trust", "--no-instructions", "--no-sync"])
        self._run(["tee", self.directory / "data" / "pg_hba.conf"], text=HBA)

    def _run(self, argv: Sequence[str | Path], text: str = "") -> None:
        subprocess.run(
            argv, input=text.encode(), cwd="/", check=True, stdout=subprocess.DEVNULL, **process.as_user(account())
        )  # type: ignore[call-overload]

    def start(self) -> None:
        settings = SETTINGS | {"port": str(self.port), "unix_socket_directories": str(self.directory)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [self._programs / "postgres", "-D", self.directory / "data", *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                **process.as_user(account()),
            )  # type: ignore[call-overload]
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.conninfo("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._child.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self) -> None:
        """A fast shutdown, which ends sessions as a maintenance restart does."""
        if self._child:
            self._child.send_signal(2)
            self._child.wait(60)
            self._child = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def conninfo(self, database: str, user: str = "owner") -> str:
        return f"host=127.0.0.1 port={self.port} dbname={database} user={user} sslmode=disable"

    def execute(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def pypgstac(self, program: Path, database: str, *arguments: str | Path) -> None:
        env = os.environ | {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGDATABASE": database, "PGUSER": "owner"}
        done = subprocess.run([program, *arguments], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def migrate(self, database: str, version: str | None = None) -> None:
        """Installs pgstac in a new database: the installed pypgstac's version, or an older one that it contains."""
        self.execute(f"CREATE DATABASE {database}")
        self.pypgstac(TOOLS / "pypgstac", database, "migrate", *([f"--toversion={version}"] if version else []))
        self.execute("GRANT pgstac_ingest TO loader; GRANT pgstac_read TO reader", database)


@dataclass
class Loading:
    """The output of one run of build/tests/load."""

    status: int
    lines: list[dict[str, Any]]
    error: str

    @property
    def results(self) -> dict[str, str]:
        """Results by id: inserted, updated, stale, later or never."""
        return {line["id"]: line.get("outcome", line["result"]) for line in self.lines if "id" in line}

    @property
    def errors(self) -> dict[str, str]:
        """Errors by id of the items that were not loaded: "code: text"."""
        return {line["id"]: f"{line['code']}: {line['error']}" for line in self.lines if line.get("code")}

    def must_load(self) -> "Loading":
        assert self.status == 0 and not self.errors, (self.error, self.errors)
        return self


@dataclass
class Database:
    server: Server
    name: str
    options: list[str] = field(default_factory=list)

    def connect(self, user: str = "owner") -> "psycopg.Connection[Any]":
        path = "-c search_path=pgstac,public"
        return psycopg.connect(self.server.conninfo(self.name, user), autocommit=True, options=path)

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(statement, parameters or None)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *parameters: Any) -> Any:
        return self.query(statement, *parameters)[0][0]

    def wait_for_waiters(self, count: int) -> None:
        """Waits until this many of its sessions wait for a lock."""
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"
        deadline = time.monotonic() + 20
        while self.value(waiting, self.name) != count:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def begin_load(self, *options: str, user: str = "loader", **keywords: str) -> "subprocess.Popen[str]":
        conninfo = dict(part.split("=", 1) for part in self.server.conninfo(self.name, user).split()) | keywords
        command = [str(LOAD), *self.options, *options, *(f"{name}={value}" for name, value in conninfo.items())]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def load(self, lines: Iterable[str], *options: str, **keywords: str) -> Loading:
        return end_load(self.begin_load(*options, **keywords), lines)

    def load_items(self, items: Iterable[Mapping[str, Any]], *options: str, at: int = 1, **keywords: str) -> Loading:
        return self.load((line(item, at) for item in items), *options, **keywords)

    def add_collection(self, collection: Mapping[str, Any], trunc: str | None = None) -> None:
        self.query("SELECT upsert_collection(%s::jsonb)", dumps(collection))
        self.query("UPDATE collections SET partition_trunc = %s WHERE id = %s", trunc, collection["id"])

    def rows(self, collection: str) -> dict[str, list[str]]:
        """The partitions that contain each id."""
        found: dict[str, list[str]] = {}
        for name, partition in self.query(
            "SELECT id, tableoid::regclass::text FROM items WHERE collection = %s ORDER BY 2", collection
        ):
            found.setdefault(name, []).append(partition.removeprefix("pgstac."))
        return found

    def content(self, collection: str) -> dict[str, Any]:
        rows = self.query("SELECT id, content::text FROM items WHERE collection = %s", collection)
        return {name: loads(text) for name, text in rows}

    @property
    def is_versioned(self) -> bool:
        """True if items name the version of their base item: pgstac 0.10."""
        return bool(self.value("SELECT to_regclass('pgstac.base_items') IS NOT NULL"))

    def base_item(self, collection: str) -> Any:
        return loads(self.value("SELECT base_item::text FROM collections WHERE id = %s", collection))

    def get_item(self, collection: str, name: str) -> Any:
        text = self.value("SELECT get_item(%s, %s)::text", name, collection)
        return None if text is None else loads(text)


class Conversation:
    """A loader that gets one item after another, so that a test can do something between them."""

    def __init__(self, db: Database, *options: str, **keywords: str) -> None:
        self._loading = db.begin_load("-b", "1", *options, **keywords)

    def load(self, item: Mapping[str, Any], published_at: int = 1) -> str:
        assert self._loading.stdin and self._loading.stdout
        self._loading.stdin.write(line(item, published_at) + "\n")
        self._loading.stdin.flush()
        answer = json.loads(self._loading.stdout.readline())
        return str(answer.get("outcome") or f"{answer['result']}: {answer['error']}")

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        end_load(self._loading)


def end_load(loading: "subprocess.Popen[str]", lines: Iterable[str] = ()) -> Loading:
    output, error = loading.communicate("".join(f"{line}\n" for line in lines), timeout=300)
    return Loading(loading.returncode, [json.loads(text) for text in output.splitlines()], error)


def line(item: Mapping[str, Any], published_at: int = 1) -> str:
    return dumps({"published_at": published_at, "item": item})


class Number(str):
    """A JSON number as its text."""


def dumps(value: Any) -> str:
    """json.dumps, also for Number, and for Decimal with all its digits."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(key)}:{dumps(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dumps(element) for element in value) + "]"
    return json.dumps(value)


def loads(text: str) -> Any:
    """json.loads with every number as a Decimal, which is exact."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def same(a: Any, b: Any) -> bool:
    """Equality of JSON: true is not 1, and 1.10 is 1.1."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return bool(a == b)


def make_collection(name: str, **members: Any) -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "description": name,
        "license": "other",
        "links": [],
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
    } | members


def make_item(collection: str, name: str, when: str = "2020-06-15T12:00:00Z", **members: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": collection,
        "geometry": {"type": "Point", "coordinates": [1, 2]},
        "properties": {"datetime": when},
        "links": [],
        "assets": {},
    } | members
