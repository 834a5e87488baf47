#!/usr/bin/env python3
"""
Prepares a database for the loader and the STAC API: extensions, pgstac (with `pypgstac migrate`), pgstac's settings,
and the roles of the loader and the reader, with the passwords of their secrets. It can be run at any time.

The administrator need not be a superuser; RDS's master user is not one. It needs CREATEROLE, and must own the database.

Environment: PGHOST, PGPORT, PGDATABASE, PGSSLMODE, PGSSLROOTCERT as in libpq;
ADMIN_SECRET, LOADER_SECRET, READER_SECRET: JSON with username and password;
PGSTAC_SETTINGS: JSON object of pgstac's settings; MOSAIC_INDEX: true or false;
WAIT_S: how many seconds to wait for the database to start.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

EXTENSIONS = ("postgis", "btree_gist", "unaccent")
PGSTAC_ROLES = ("pgstac_admin", "pgstac_read", "pgstac_ingest")
LOCK = 0x70677374  # of the lock that allows one migration at a time; an arbitrary number
RUN_AGAIN = "run the migration again; it can be repeated from any state"
NEXT_STEPS = {
    "0A000": "this PostgreSQL lacks the extension: use one with PostGIS, for example RDS for PostgreSQL",
    "28000": "the server refuses this login: check its pg_hba.conf, and whether it requires TLS (PGSSLMODE)",
    "42501": "ADMIN_SECRET must be the secret of the role that owns the database and created its roles: RDS's master user",
    "58P01": "this PostgreSQL lacks the extension: use one with PostGIS, for example RDS for PostgreSQL",
}


class MigrationError(Exception):
    """An error with its remedy."""

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(what)
        self.next_step = next_step


@dataclass(frozen=True)
class Login:
    username: str
    password: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        return {"PGUSER": self.username, "PGPASSWORD": self.password}


@dataclass(frozen=True)
class Config:
    admin: Login
    loader: Login
    reader: Login
    settings: dict[str, str]
    mosaic_index: bool
    wait_s: float


def log(text: str) -> None:
    print(f"migrate: {text}", flush=True)


# --- configuration


def read_login(env: Mapping[str, str], name: str) -> Login:
    try:
        secret = json.loads(env[name])
        login = Login(secret["username"], secret["password"])
    except KeyError as error:
        raise ValueError(f"{name}: {error} is missing" if name in env else f"{name} is not set") from None
    except (ValueError, TypeError):
        raise ValueError(f"{name} is not a JSON object") from None
    if not (isinstance(login.username, str) and isinstance(login.password, str) and login.username and login.password):
        raise ValueError(f"{name}: username and password must be non-empty strings")
    return login


def read_settings(env: Mapping[str, str]) -> dict[str, str]:
    try:
        settings = json.loads(env.get("PGSTAC_SETTINGS", '{"context": "on"}'))
    except ValueError:
        settings = None
    if not isinstance(settings, dict) or not all(isinstance(value, str) for value in settings.values()):
        raise ValueError('PGSTAC_SETTINGS must be a JSON object with string values, for example {"context": "on"}')
    return settings


def read_flag(env: Mapping[str, str], name: str, default: str) -> bool:
    value = env.get(name, default)
    if value not in ("true", "false"):
        raise ValueError(f"{name} must be true or false, not {value!r}")
    return value == "true"


def read_seconds(env: Mapping[str, str], name: str, default: str) -> float:
    try:
        return float(env.get(name, default))
    except ValueError:
        raise ValueError(f"{name} must be a number of seconds, not {env[name]!r}") from None


def read_config(env: Mapping[str, str]) -> Config:
    """Reports all problems of the environment together."""
    problems = [f"{name} is not set" for name in ("PGHOST", "PGDATABASE") if not env.get(name)]
    values: dict[str, Any] = {}
    readers = {
        "admin": lambda: read_login(env, "ADMIN_SECRET"),
        "loader": lambda: read_login(env, "LOADER_SECRET"),
        "reader": lambda: read_login(env, "READER_SECRET"),
        "settings": lambda: read_settings(env),
        "mosaic_index": lambda: read_flag(env, "MOSAIC_INDEX", "true"),
        "wait_s": lambda: read_seconds(env, "WAIT_S", "300"),
    }
    for name, read in readers.items():
        try:
            values[name] = read()
        except ValueError as error:
            problems.append(str(error))
    if not problems and len({values[name].username for name in ("admin", "loader", "reader")}) < 3:
        problems.append("ADMIN_SECRET, LOADER_SECRET and READER_SECRET must name three different roles")
    if problems:
        raise MigrationError(
            "; ".join(problems), "set what is missing in the task definition (terraform/modules/database)"
        )
    return Config(**values)


# --- the database


@contextmanager
def step(what: str) -> Iterator[None]:
    """Names the failed step if the database refuses a statement."""
    try:
        yield
    except psycopg.Error as error:
        text = str(error).strip() or type(error).__name__
        raise MigrationError(f"{what}: {text}", NEXT_STEPS.get(error.sqlstate or "", RUN_AGAIN)) from error


def wait_for_database(user: str, wait_s: float) -> None:
    """
    Waits until the server accepts connections. PostgreSQL refuses them while it starts, and a new instance has no
    address at first. Errors in the settings show when the connection is made.
    """
    where = f"{os.environ['PGHOST']}:{os.environ.get('PGPORT', '5432')}"
    # Certificates are not checked here: connecting reports what is wrong with them. The user name has no effect, but an
    # account without a name has no default for it.
    options = make_conninfo(user=user, connect_timeout=5, sslmode="prefer", sslrootcert="").encode()
    deadline = time.monotonic() + wait_s
    said = None
    while True:
        answer = Ping(PGconn.ping(options))
        if answer in (Ping.OK, Ping.NO_ATTEMPT):
            return
        if answer != said:
            log(f"waiting for {where}: {'it does not accept connections yet' if answer == Ping.REJECT else 'no answer'}")
            said = answer
        if time.monotonic() > deadline:
            raise MigrationError(
                f"{where} did not accept connections within {wait_s:g} s",
                "check the instance's status, and that the task's security groups allow connections to it",
            )
        time.sleep(min(2, max(0.1, deadline - time.monotonic())))


def connect(login: Login, secret: str) -> psycopg.Connection[Any]:
    """A failed connection has no SQLSTATE: give the server's own message and the likely cause."""
    try:
        return psycopg.connect(
            user=login.username,
            password=login.password,
            connect_timeout=10,
            application_name="migrate",
            autocommit=True,
        )
    except psycopg.OperationalError as error:
        raise MigrationError(
            f"{login.username} cannot connect: {str(error).strip()}",
            f"check that {secret} is current, and that the certificate matches PGSSLROOTCERT and PGHOST",
        ) from error


def take_turn(admin: psycopg.Connection[Any]) -> None:
    """Held until this session ends."""
    row = admin.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
    if row and not row[0]:
        log("waiting for another migration of this database")
        admin.execute("SELECT pg_advisory_lock(%s)", [LOCK])


def make_extensions(admin: psycopg.Connection[Any]) -> None:
    """Creates the extensions in the schema public, where pgstac looks for them."""
    for name in EXTENSIONS:
        with step(f"extension {name}"):
            admin.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA public").format(sql.Identifier(name)))


def has_role(admin: psycopg.Connection[Any], name: str) -> bool:
    return admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None


def make_pgstac_roles(admin: psycopg.Connection[Any]) -> None:
    """
    Creates pgstac's roles. pgstac creates them itself, but then switches to pgstac_ingest, which only a superuser may
    do without being a member.
    """
    for name in PGSTAC_ROLES:
        role = sql.Identifier(name)
        with step(f"role {name}"):
            if not has_role(admin, name):
                admin.execute(sql.SQL("CREATE ROLE {}").format(role))
            member = admin.execute("SELECT pg_has_role(current_user, %s, 'USAGE')", [name]).fetchone()
            if not (member and member[0]):
                admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
    with step("role pgstac_admin"):  # it needs temporary tables to repartition collections, and to migrate to 0.10
        database = sql.Identifier(admin.info.dbname)
        admin.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO pgstac_admin").format(database))


def installed_version(admin: psycopg.Connection[Any]) -> str | None:
    table = admin.execute("SELECT to_regclass('pgstac.migrations')").fetchone()
    if not (table and table[0]):
        return None
    row = admin.execute("SELECT version FROM pgstac.migrations ORDER BY datetime DESC, version DESC LIMIT 1").fetchone()
    return str(row[0]) if row else None


def migrate_pgstac(admin: psycopg.Connection[Any], login: Login) -> None:
    with step("pgstac's version"):
        before = installed_version(admin)
    wanted = version("pypgstac")
    log(f"pgstac is at {before or 'no version'}; this image has {wanted}")
    done = subprocess.run(
        [Path(sys.executable).parent / "pypgstac", "migrate"],
        env=os.environ | login.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with step("pgstac's version"):
        after = installed_version(admin)
    if done.returncode != 0 or after != wanted:
        for line in done.stdout.splitlines():
            log(f"pypgstac: {line}")
        raise MigrationError(
            f"pypgstac migrate did not migrate from {before or 'nothing'} to {wanted}",
            f"nothing was changed, because it is one transaction; see pypgstac's output above. pypgstac {wanted} does not know the "
            "way from versions newer than itself",
        )
    log(f"pgstac is at {after}")


def write_settings(admin: psycopg.Connection[Any], settings: dict[str, str]) -> None:
    for name, value in settings.items():
        with step(f"setting {name}"):
            admin.execute(
                "INSERT INTO pgstac.pgstac_settings (name, value) VALUES (%s, %s)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [name, value],
            )
        log(f"setting {name} is {value}")


def make_mosaic_index(admin: psycopg.Connection[Any]) -> None:
    """
    Uses the name that titiler-pgstac documents, so that a catalog which has the index already does not get a second
    one.
    """
    with step("index searches_mosaic"), admin.transaction():
        admin.execute("SET LOCAL ROLE pgstac_admin")  # its table belongs to pgstac_admin
        admin.execute(
            "CREATE INDEX IF NOT EXISTS searches_mosaic ON pgstac.searches (hash) WHERE metadata ->> 'type' = 'mosaic'"
        )
    log("the index for mosaic searches exists")


def make_role(admin: psycopg.Connection[Any], login: Login, member_of: str) -> None:
    """
    Creates or changes a role that may log in with the secret's password and has the rights of `member_of`. Any other
    rights it had are revoked.
    """
    role = sql.Identifier(login.username)
    with step(f"role {login.username}"), admin.transaction():
        if not has_role(admin, login.username):
            admin.execute(sql.SQL("CREATE ROLE {}").format(role))
        # Send only the verifier: the server may log statements, and so never sees the password.
        verifier = admin.pgconn.encrypt_password(login.password.encode(), login.username.encode(), b"scram-sha-256")
        admin.execute(
            sql.SQL("ALTER ROLE {} LOGIN INHERIT NOCREATEDB NOCREATEROLE PASSWORD {}").format(role, verifier.decode())
        )
        others = admin.execute(
            "SELECT DISTINCT roleid::regrole::text FROM pg_auth_members"
            " WHERE member = %s::regrole AND roleid <> %s::regrole",
            [role.as_string(admin), member_of],
        ).fetchall()
        for (other,) in others:
            admin.execute(sql.SQL("REVOKE {} FROM {}").format(sql.SQL(other), role))
        admin.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(member_of), role))
        database = sql.Identifier(admin.info.dbname)
        admin.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, role))
        admin.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path TO pgstac, public").format(role, database))
    log(f"role {login.username} has the rights of {member_of} and the password of its secret")


def close_to_others(admin: psycopg.Connection[Any]) -> None:
    """Revokes PostgreSQL's default, which lets every role of the server connect and create temporary tables."""
    database = sql.Identifier(admin.info.dbname)
    with step("the database's privileges"):
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
        admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        admin.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path TO pgstac, public").format(
                sql.Identifier(admin.info.user), database
            )
        )


def check_role(login: Login, secret: str) -> None:
    """Connects as the role will later do."""
    with connect(login, secret) as connection, step(f"{login.username} reads pgstac"):
        connection.execute("SELECT pgstac.get_version()")
    log(f"{login.username} can connect and read pgstac")


def migrate(config: Config) -> None:
    wait_for_database(config.admin.username, config.wait_s)
    with connect(config.admin, "ADMIN_SECRET") as admin:
        with step("the migration's turn"):
            take_turn(admin)
        make_extensions(admin)
        make_pgstac_roles(admin)
        migrate_pgstac(admin, config.admin)
        write_settings(admin, config.settings)
        if config.mosaic_index:
            make_mosaic_index(admin)
        make_role(admin, config.loader, "pgstac_ingest")
        make_role(admin, config.reader, "pgstac_read")
        close_to_others(admin)
        check_role(config.loader, "LOADER_SECRET")
        check_role(config.reader, "READER_SECRET")


def main() -> int:
    # Process 1 ignores SIGTERM by default. This also ends pypgstac, and with it its transaction.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("migrate: stopped"))
    try:
        migrate(read_config(os.environ))
    except MigrationError as error:
        log(f"error: {error}")
        log(f"next: {error.next_step}")
        return 1
    log("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
