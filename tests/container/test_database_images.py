"""
The images that terraform/modules/database runs: built, inspected, and run with a PostgreSQL that is set up like RDS.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local.postgres import free_port
from tests.terraform.rds import ADMIN, Catalog, Rds

from .conftest import Builder, Container, Image
from .test_images import files, state

pytestmark = pytest.mark.long

CA = "/usr/local/share/stactools-ingest/database-ca.pem"


@pytest.fixture(scope="module")
def migrate(builder: Builder) -> Image:
    builder.build("migrate", "localhost/migrate:1")
    return builder.image("localhost/migrate:1")


@pytest.fixture(scope="module")
def pgbouncer(builder: Builder) -> Image:
    builder.build("pgbouncer", "localhost/pgbouncer:1")
    return builder.image("localhost/pgbouncer:1")


@pytest.fixture(scope="module")
def catalog() -> Iterator[Catalog]:
    server = Rds()
    try:
        server.start()
        server.execute(ADMIN)
        server.execute("CREATE DATABASE pgstac OWNER stac_admin TEMPLATE template0 LOCALE 'C.UTF-8'")
        server.execute("CREATE EXTENSION postgis", "pgstac")
        yield Catalog(server, "pgstac")
    finally:
        server.remove()


class First(Container):
    """
    A container whose first process is not the entry point: a script runs another program, or a link leads to Python.
    """

    @property
    def pid(self) -> int:
        deadline = time.monotonic() + 30
        while not (children := self.children()) or os.readlink(f"/proc/{children[0]}/exe").endswith(
            ("/bash", "/unshare")
        ):
            assert self.process.poll() is None and time.monotonic() < deadline, self.log_file.read_text()
            time.sleep(0.05)
        return children[0]


@pytest.fixture
def ca(catalog: Catalog, tmp_path: Path) -> dict[str, str]:
    """Mounts the test's authority where the image has those of RDS."""
    copy = tmp_path / "ca.pem"
    copy.write_bytes(catalog.server.ca.read_bytes())
    copy.chmod(0o644)
    return {CA: str(copy)}


def migration(catalog: Catalog) -> dict[str, str]:
    """The environment that the task definition sets."""
    secrets = {
        f"{role.upper()}_SECRET": json.dumps({"username": catalog.username(role), "password": catalog.passwords[role]})
        for role in catalog.passwords
    }
    place = {"PGHOST": "127.0.0.1", "PGPORT": str(catalog.server.port), "PGDATABASE": catalog.name}
    return secrets | place | {"PGSSLMODE": "verify-full"}


def test_the_migration_runs(migrate: Image, catalog: Catalog, ca: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    container = First(migrate, tmp_path / "one", migration(catalog), ca)
    try:
        assert container.process.wait(120) == 0, container.log_file.read_text()
    finally:
        container.kill()
    assert container.log_file.read_text().splitlines()[-1] == "migrate: done"
    assert catalog.rows("SELECT 1", "loader") == [(1,)]


def test_a_stop_ends_the_migration(migrate: Image, catalog: Catalog, ca: dict[str, str], tmp_path: Path) -> None:
    settings = migration(catalog) | {"PGPORT": str(free_port())}
    container = First(migrate, tmp_path, settings, ca)
    try:
        deadline = time.monotonic() + 30
        while "waiting" not in container.log_file.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.kill(container.pid, signal.SIGTERM)
        assert container.process.wait(10) == 1
    finally:
        container.kill()
    assert "migrate: stopped" in container.log_file.read_text()


def test_pgbouncer_runs(pgbouncer: Image, migrate: Image, catalog: Catalog, ca: dict[str, str], tmp_path: Path) -> None:
    assert catalog.migrate()[0] == 0
    port = free_port()
    settings = {
        "DB_HOST": "127.0.0.1",
        "DB_PORT": str(catalog.server.port),
        "DB_NAME": catalog.name,
        "DB_USER": catalog.username("loader"),
        "DB_PASSWORD": catalog.passwords["loader"],
        "LISTEN_PORT": str(port),
    }
    container = First(pgbouncer, tmp_path, settings, ca)
    try:
        health = pgbouncer.config["Healthcheck"]["Test"][1:]
        deadline = time.monotonic() + 30
        while container.execute(*health).returncode != 0:
            assert time.monotonic() < deadline, container.log_file.read_text()
            time.sleep(0.2)
        login = {"user": catalog.username("loader"), "password": catalog.passwords["loader"], "sslmode": "require"}
        with psycopg.connect(host="127.0.0.1", port=port, dbname=catalog.name, **login) as connection:  # type: ignore[arg-type]
            assert connection.execute("SELECT pgstac.get_version()").fetchone()
        os.kill(container.pid, signal.SIGINT)  # the image's STOPSIGNAL
        assert container.process.wait(20) == 0
    finally:
        container.kill()


def test_only_what_runs_is_in_them(migrate: Image, pgbouncer: Image) -> None:
    for image, brought in ((migrate, {"database-ca.pem"}), (pgbouncer, {"database-ca.pem", "pgbouncer-entrypoint"})):
        there = {str(path.relative_to(image.root)) for path in files(image.root)}
        assert not there & {
            "usr/bin/gcc",
            "usr/bin/pip3",
            "usr/bin/curl",
            "build",
            "pip",
            "requirements.txt",
            "root/.cache",
        }
        for folder in ("var/lib/apt/lists", "var/cache/apt", "var/log"):
            assert not [path for path in files(image.root / folder) if path.is_file()], folder
        found = {path.name for path in files(image.root / "usr/local") if path.is_file() and path.suffix != ".crt"}
        assert found == brought
    assert not (migrate.root / "opt/migrate/bin/pip").exists()
    assert not (pgbouncer.root / "usr/share/postgresql-common").exists()


def test_nothing_in_them_belongs_to_their_user_but_what_it_writes(migrate: Image, pgbouncer: Image) -> None:
    for image, writable in ((migrate, set()), (pgbouncer, {"/run/pgbouncer"})):
        uid = int(image.user.split(":")[0])
        assert uid != 0
        own = {f"/{path.relative_to(image.root)}" for path in files(image.root) if path.lstat().st_uid == uid}
        assert own == writable
        anybodys = [path for path in files(image.root) if not path.is_symlink() and path.lstat().st_mode & stat.S_IWOTH]
        assert [path for path in anybodys if not path.lstat().st_mode & stat.S_ISVTX and "dev" not in path.parts] == []


def test_a_second_build_is_identical(builder: Builder, migrate: Image, pgbouncer: Image) -> None:
    for name, image in (("migrate", migrate), ("pgbouncer", pgbouncer)):
        tag = f"localhost/{name}:2"
        builder.build(name, tag, BUILD_OPTIONS=builder.env["BUILD_OPTIONS"] + " --no-cache")
        again = builder.image(tag)
        assert again.config | {"Hostname": ""} == image.config | {"Hostname": ""}
        before, after = state(image.root), state(again.root)
        assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == set()
