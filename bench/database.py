"""
Databases that are cheap to create: copies of a template for each case, one for each run, in the stack's PostgreSQL.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench import machine
from bench.items import COLLECTION, make_collection, month_start
from local.postgres import DATABASE
from local.stack import Stack


class Server:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._number = 0
        self._templates = {"": DATABASE}  # by version of pgstac

    @property
    def log(self) -> Path:
        return self._stack.postgres.log

    @property
    def loader(self) -> str:
        return self._stack.postgres.loader.user

    @property
    def _pid(self) -> int:
        return self._stack.process("postgres").pid

    def keywords(self, database: str, *, owner: bool = False) -> dict[str, str]:
        postgres = self._stack.postgres
        found = postgres.dsn(postgres.owner if owner else postgres.loader)
        return {name: str(value) for name, value in found.items()} | {"dbname": database}

    def connect(self, database: str) -> "psycopg.Connection[Any]":
        return psycopg.connect(**self.keywords(database, owner=True), autocommit=True)  # type: ignore[arg-type]

    def execute(self, statement: str | sql.Composed, database: str = "postgres") -> None:
        with self.connect(database) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    def cpu_seconds(self) -> float:
        return machine.cpu_seconds_with_children(self._pid)

    def pin(self, cores: Sequence[int]) -> None:
        machine.pin(self._pid, cores)

    def template_of(self, pgstac: str, pypgstac: Path) -> str:
        """Creates an empty database with the pgstac that this program migrates to; "": the stack's own."""
        if pgstac not in self._templates:
            name = self._templates[pgstac] = f"bench_template_{len(self._templates)}"
            self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            self.execute("CREATE EXTENSION postgis", name)
            dsn = psycopg.conninfo.make_conninfo(**self.keywords(name, owner=True))
            subprocess.run([pypgstac, "migrate", "--dsn", dsn], check=True, capture_output=True)
        return self._templates[pgstac]

    @contextmanager
    def copy_of(self, template: str = DATABASE) -> Iterator[str]:
        """A database that is dropped afterwards."""
        self._number += 1
        name = f"bench_{self._number}"
        source, target = sql.Identifier(template), sql.Identifier(name)
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(target, source))
        try:
            yield name
        finally:
            self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(target))

    def empty(self, database: str, months: int) -> None:
        """
        Empties the tables, which is much faster than another copy. The partitions stay, with the widths that
        add_partitions gave them, because pypgstac narrows them to what it loads.
        """
        self.execute("TRUNCATE pgstac.items", database)
        self.add_partitions(database, months)

    # --- the state before a case

    def add_collection(self, database: str, trunc: str | None) -> None:
        with self.connect(database) as connection:
            connection.execute("SELECT create_collection(%s::jsonb)", [json.dumps(make_collection())])
            connection.execute("UPDATE collections SET partition_trunc = %s WHERE id = %s", [trunc, COLLECTION])

    def add_partitions(self, database: str, months: int) -> None:
        """
        Adds the partitions of the first `months` months, with their full width, or the one of an undivided
        collection.
        """
        with self.connect(database) as connection:
            for number in range(months):
                bounds = (month_start(number).isoformat(), month_start(number + 1).isoformat())
                connection.execute(
                    "SELECT check_partition(%s, tstzrange(%s, %s, '[)'), tstzrange(%s, %s, '[)'))",
                    [COLLECTION, *bounds, *bounds],
                )

    def partitions(self, database: str) -> Sequence[str]:
        with self.connect(database) as connection:
            rows = connection.execute("SELECT partition FROM partition_sys_meta WHERE collection = %s", [COLLECTION])
            return [row[0] for row in rows]

    def count(self, database: str) -> int:
        with self.connect(database) as connection:
            row = connection.execute("SELECT count(*) FROM pgstac.items").fetchone()
            assert row
            return int(row[0])
