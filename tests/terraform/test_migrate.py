"""container/migrate on a PostgreSQL that is set up like RDS (rds.py)."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.terraform.rds import ADMIN, COLLECTION, MIGRATE, Catalog, Rds, item


@pytest.fixture(scope="module")
def server() -> Iterator[Rds]:
    started = Rds()
    try:
        started.start()
        started.execute(ADMIN)
        yield started
    finally:
        started.remove()


@pytest.fixture(scope="module")
def make_catalog(server: Rds) -> Callable[..., Catalog]:
    """make_catalog("name") creates a database with PostGIS, but without pgstac."""

    def make(name: str, *, postgis: bool = True) -> Catalog:
        server.execute(f"CREATE DATABASE {name} OWNER stac_admin TEMPLATE template0 LOCALE 'C.UTF-8'")
        if postgis:
            server.execute("CREATE EXTENSION postgis", name)
        return Catalog(server, name)

    return make


@pytest.fixture(scope="module")
def catalog(make_catalog: Callable[..., Catalog]) -> Catalog:
    """A migrated catalog that tests share. They change only items."""
    made = make_catalog("pgstac")
    status, said = made.migrate()
    assert status == 0, said
    return made


def state(catalog: Catalog) -> dict[str, Any]:
    """The state that a second run must not change: objects with owners and privileges, memberships, settings."""
    queries = {
        "objects": "SELECT oid, relname, relowner, relacl::text FROM pg_class WHERE relnamespace = 'pgstac'::regnamespace",
        "functions": "SELECT oid, proowner, proacl::text FROM pg_proc WHERE pronamespace = 'pgstac'::regnamespace",
        "database": "SELECT datacl::text FROM pg_database WHERE datname = current_database()",
        "members": "SELECT roleid, member, admin_option FROM pg_auth_members",
        "roles": "SELECT * FROM pg_roles",
        "settings": "SELECT * FROM pgstac.pgstac_settings",
        "defaults": "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting",
        "versions": "SELECT * FROM pgstac.migrations",
    }
    return {what: sorted(map(str, catalog.rows(query))) for what, query in queries.items()}


def test_a_new_database_has_pgstac_its_settings_and_three_roles(catalog: Catalog) -> None:
    assert catalog.rows("SELECT pgstac.get_version()") == [(version("pypgstac"),)]
    assert catalog.rows("SELECT value FROM pgstac.pgstac_settings WHERE name = 'context'") == [("on",)]
    attributes = "rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
    for role in ("loader", "reader"):
        where = f"WHERE rolname = '{catalog.username(role)}'"
        assert catalog.rows(f"SELECT {attributes} FROM pg_roles {where}") == [(True, False, False, False, False, False)]
        assert catalog.rows("SHOW search_path", role) == [("pgstac, public",)]


def test_searches_of_titiler_are_found_by_the_index(catalog: Catalog) -> None:
    with catalog.connect("reader") as reader:
        reader.execute("SET enable_seqscan = off")
        query = "EXPLAIN SELECT * FROM searches WHERE metadata->>'type' = 'mosaic'"
        plan = "\n".join(line for (line,) in reader.execute(query).fetchall())
    assert "searches_mosaic" in plan


def test_a_second_run_changes_nothing(catalog: Catalog) -> None:
    before = state(catalog)
    status, said = catalog.migrate()
    assert status == 0, said
    assert state(catalog) == before


def test_the_loader_loads_and_the_reader_finds_it(catalog: Catalog, build: Path) -> None:
    for what, documents in (("collections", [COLLECTION]), ("items", [item("a"), item("b", "2023-01-01T00:00:00Z")])):
        done = catalog.load(build, what, *documents)
        assert done.returncode == 0, done.stderr
    moved = item("a", "2022-02-02T00:00:00Z")  # in another partition: the old row is removed
    assert catalog.load(build, "items", moved).returncode == 0
    (found,) = catalog.rows('SELECT search(\'{"collections": ["scenes"], "sortby": [{"field": "id"}]}\')', "reader")
    times = {feature["id"]: feature["properties"]["datetime"] for feature in found[0]["features"]}
    assert times == {"a": "2022-02-02T00:00:00Z", "b": "2023-01-01T00:00:00Z"}
    assert found[0]["numberMatched"] == 2  # the setting `context`


BEYOND_BOTH = [
    "DROP TABLE pgstac.items",
    "DROP TABLE pgstac.collections CASCADE",
    "DROP SCHEMA pgstac CASCADE",
    "DROP FUNCTION pgstac.search",
    "DROP EXTENSION postgis CASCADE",
    "DROP OWNED BY stac_admin",
    "DROP ROLE stac_admin",
    "ALTER TABLE pgstac.items ADD COLUMN x text",
    "ALTER TABLE pgstac.items DISABLE TRIGGER ALL",
    "ALTER ROLE stac_admin PASSWORD 'mine'",
    "ALTER DATABASE pgstac OWNER TO CURRENT_USER",
    "CREATE ROLE x",
    "CREATE DATABASE x",
    "CREATE SCHEMA x",
    "CREATE TABLE public.x ()",
    "CREATE EXTENSION pg_trgm",
    "SET ROLE pgstac_admin",
    "SET ROLE stac_admin",
    "GRANT pgstac_admin TO CURRENT_USER",
    "SELECT * FROM pg_authid",
    "SELECT * FROM admins.things",
    "SELECT * FROM public.things",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
]
BEYOND_THE_READER = [
    "SET ROLE pgstac_ingest",
    "CREATE TABLE pgstac.x ()",
    "TRUNCATE pgstac.items",
    "DELETE FROM pgstac.items",
    "UPDATE pgstac.items SET content = '{}'",
    "INSERT INTO pgstac.items_staging (content) VALUES ('{}')",
    "UPDATE pgstac.collections SET content = content",
    "DELETE FROM pgstac.collections",
    "UPDATE pgstac.pgstac_settings SET value = 'off'",
    "SELECT pgstac.delete_collection('scenes')",
    "SELECT pgstac.delete_item('a', 'scenes')",
    'SELECT pgstac.create_item(\'{"id": "x", "collection": "scenes", "geometry": null}\')',
]


@pytest.fixture(scope="module")
def things(catalog: Catalog) -> None:
    """Tables of the administrator's own."""
    with catalog.connect("admin") as admin:
        admin.execute("CREATE SCHEMA admins")
        for name in ("admins.things", "public.things"):
            admin.execute(sql.SQL("CREATE TABLE {} AS SELECT 1 AS x").format(sql.SQL(name)))


@pytest.mark.usefixtures("things")
@pytest.mark.parametrize(
    ("role", "statement"),
    [(role, statement) for role in ("loader", "reader") for statement in BEYOND_BOTH]
    + [("reader", statement) for statement in BEYOND_THE_READER],
)
def test_neither_role_can_do_more_than_its_work(catalog: Catalog, role: str, statement: str) -> None:
    with catalog.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)  # type: ignore[call-overload]


def test_other_roles_of_the_server_are_kept_out(catalog: Catalog) -> None:
    options = {"host": "localhost", "port": catalog.server.port, "user": "somebody", "password": "somebody"}
    psycopg.connect(dbname="postgres", sslmode="require", **options).close()  # type: ignore[arg-type]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(dbname=catalog.name, sslmode="require", **options)  # type: ignore[arg-type]


def test_new_passwords_are_used_and_passwords_are_not_logged(catalog: Catalog) -> None:
    old = dict(catalog.passwords)
    catalog.passwords |= {"loader": "loader-new", "reader": "reader-new"}
    status, said = catalog.migrate()
    assert status == 0, said
    assert catalog.rows("SELECT 1", "loader") == catalog.rows("SELECT 1", "reader") == [(1,)]
    for role in ("loader", "reader"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            Catalog(catalog.server, catalog.name, old).connect(role)
    for password in catalog.passwords.values():
        assert password not in said
    assert "ALTER ROLE" in catalog.server.log
    assert "loader-new" not in catalog.server.log
    assert "reader-new" not in catalog.server.log


def test_a_role_loses_what_it_should_not_have(catalog: Catalog) -> None:
    with catalog.connect("admin") as admin:
        for role, other in (("loader", "pgstac_admin"), ("reader", "pgstac_ingest")):
            admin.execute(
                sql.SQL("GRANT {} TO {}").format(sql.Identifier(other), sql.Identifier(catalog.username(role)))
            )
        admin.execute(sql.SQL("ALTER ROLE {} CREATEDB").format(sql.Identifier(catalog.username("loader"))))
    before = state(catalog)
    status, said = catalog.migrate()
    assert status == 0, said
    after = state(catalog)
    assert len(before["members"]) == len(after["members"]) + 2
    for role in ("loader", "reader"):
        with catalog.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SET ROLE pgstac_admin" if role == "loader" else "SET ROLE pgstac_ingest")
    with catalog.connect("loader") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE DATABASE x")


def test_settings_and_index_are_as_asked_for(make_catalog: Callable[..., Catalog]) -> None:
    catalog = make_catalog("settings")
    wanted = {"context": "auto", "context_estimated_count": "5000"}
    status, said = catalog.migrate({"PGSTAC_SETTINGS": json.dumps(wanted), "MOSAIC_INDEX": "false"})
    assert status == 0, said
    found = dict(catalog.rows("SELECT name, value FROM pgstac.pgstac_settings"))
    assert {name: found[name] for name in wanted} == wanted
    assert catalog.rows("SELECT to_regclass('pgstac.searches_mosaic') IS NULL") == [(True,)]


def test_an_older_pgstac_is_upgraded_and_keeps_its_items(
    make_catalog: Callable[..., Catalog], build: Path
) -> None:
    catalog = make_catalog("older")
    assert catalog.migrate()[0] == 0  # the roles
    with catalog.connect("admin") as admin:
        admin.execute("DROP SCHEMA pgstac CASCADE")
    pypgstac = [Path(sys.executable).parent / "pypgstac", "migrate", "--toversion", "0.9.5"]
    subprocess.run(pypgstac, env=catalog.env("admin"), check=True, capture_output=True)
    assert catalog.load(build, "collections", COLLECTION).returncode == 0
    assert catalog.load(build, "items", item("kept")).returncode == 0

    status, said = catalog.migrate()
    assert status == 0, said
    assert f"pgstac is at 0.9.5; this image has {version('pypgstac')}" in said
    assert catalog.rows("SELECT pgstac.get_version(), (SELECT id FROM pgstac.items)") == [(version("pypgstac"), "kept")]
    assert catalog.load(build, "items", item("added")).returncode == 0


def test_a_newer_pgstac_is_left_alone(make_catalog: Callable[..., Catalog]) -> None:
    catalog = make_catalog("newer")
    assert catalog.migrate()[0] == 0
    with catalog.connect("admin") as admin:
        admin.execute("SET search_path TO pgstac, public; SELECT pgstac.set_version('99.0.0')")
    status, said = catalog.migrate()
    assert status == 1
    assert f"error: pypgstac migrate did not migrate from 99.0.0 to {version('pypgstac')}" in said
    assert "next: nothing was changed" in said
    assert catalog.rows("SELECT pgstac.get_version()") == [("99.0.0",)]


def test_two_at_once_take_turns(make_catalog: Callable[..., Catalog]) -> None:
    catalog = make_catalog("twice")
    programs = [catalog.start(), catalog.start()]
    said = [program.communicate(timeout=300)[0] for program in programs]
    assert [program.returncode for program in programs] == [0, 0], said
    assert sum("pgstac is at no version" in text for text in said) == 1


def test_missing_settings_are_reported_together() -> None:
    done = subprocess.run(
        [sys.executable, MIGRATE / "migrate.py"],
        env={
            "PATH": os.environ["PATH"],
            "ADMIN_SECRET": "[]",
            "LOADER_SECRET": '{"username": "x"}',
            "PGSTAC_SETTINGS": "{",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    for part in (
        "PGHOST is not set",
        "PGDATABASE",
        "ADMIN_SECRET is no",
        "LOADER_SECRET: 'password'",
        "READER_SECRET is not",
    ):
        assert part in done.stdout
    assert "PGSTAC_SETTINGS must be" in done.stdout
    assert "next: " in done.stdout
    assert done.stderr == ""


def test_a_wrong_password_is_reported_at_once(catalog: Catalog) -> None:
    wrong = Catalog(catalog.server, catalog.name, catalog.passwords | {"admin": "wrong"})
    before = time.monotonic()
    status, said = wrong.migrate()
    assert status == 1
    assert 'password authentication failed for user "stac_admin"' in said
    assert "next: check that ADMIN_SECRET is current" in said
    assert time.monotonic() - before < 20


def test_another_certificate_is_reported(catalog: Catalog, tmp_path: Path) -> None:
    status, said = catalog.migrate({"PGSSLROOTCERT": "/etc/ssl/certs/ca-certificates.crt"})
    assert status == 1
    assert "certificate verify failed" in said
    assert "next: " in said
    (tmp_path / "no certificate").write_text("x")
    status, said = catalog.migrate({"PGSSLROOTCERT": str(tmp_path / "no certificate")})
    assert status == 1
    assert "could not read root certificate file" in said
    status, said = catalog.migrate({"PGHOST": "elsewhere", "PGHOSTADDR": "127.0.0.1"})
    assert status == 1
    assert 'does not match host name "elsewhere"' in said


def test_without_postgis_the_error_names_the_role_that_may_create_it(make_catalog: Callable[..., Catalog]) -> None:
    status, said = make_catalog("bare", postgis=False).migrate()
    assert status == 1
    assert "error: extension postgis: permission denied" in said
    assert "next: ADMIN_SECRET must be the secret of the role that owns the database" in said


def test_it_waits_for_a_database_that_starts_and_not_for_ever(make_catalog: Callable[..., Catalog]) -> None:
    catalog = make_catalog("later")
    catalog.server.stop()
    try:
        status, said = catalog.migrate({"WAIT_S": "1"})
        assert status == 1
        assert f"localhost:{catalog.server.port} did not accept connections within 1 s" in said
        program = catalog.start()
        assert program.stdout
        assert "waiting for localhost" in program.stdout.readline()
    finally:
        catalog.server.start()
    said, _ = program.communicate(timeout=300)
    assert program.returncode == 0, said


def test_the_image_has_the_pgstac_that_the_project_is_tested_with() -> None:
    lines = (MIGRATE / "requirements.txt").read_text().splitlines()
    (pinned,) = [line.split()[0] for line in lines if line.startswith("pypgstac==")]
    assert pinned == f"pypgstac=={version('pypgstac')}"
