"""
A private PostgreSQL with PostGIS and pgstac: it has its own data directory, socket, loopback port and passwords.

initdb and pgstac's migration take seconds. So their result is kept as an archive under build/cache and unpacked for
each start.
"""

import hashlib
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

import psycopg

from local import environment, process
from local.process import Process
from local.state import State

OWNER = "stac_owner"  # superuser: loads collections, reads everything, ends sessions
LOADER = "stac_loader"  # the login in the secret: has the rights to load items
DATABASE = "postgis"

INITDB = (
    *("-U", OWNER, "-E", "UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--auth-local=peer"),
    *("--no-instructions", "--no-sync"),
)
TEMPLATE_SQL = f"""
CREATE DATABASE {DATABASE} OWNER {OWNER} TEMPLATE template0 ENCODING 'UTF8';
CREATE ROLE {LOADER} LOGIN;
"""
PGSTAC_SQL = f"""
GRANT pgstac_ingest TO {LOADER};
ALTER ROLE {OWNER} SET search_path TO pgstac, public;
ALTER ROLE {LOADER} SET search_path TO pgstac, public;
INSERT INTO pgstac.pgstac_settings (name, value) VALUES ('context', 'on')
    ON CONFLICT (name) DO UPDATE SET value = excluded.value;
"""
# The owner needs no password on the socket, for this account only: to set the passwords.
HBA = f"""
local all {OWNER} peer map=stack
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""
SETTINGS = {
    "dynamic_shared_memory_type": "mmap",  # in the data directory, so that nothing stays in /dev/shm after a crash
    "jit": "off",
    "log_line_prefix": "%m [%p] %q%u ",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
}


class PostgresError(Exception):
    pass


@dataclass(frozen=True)
class Login:
    user: str
    password: str


def find_programs() -> Path:
    """The directory of initdb and postgres of the newest PostgreSQL that has PostGIS."""
    found = []
    for programs in Path("/usr/lib/postgresql").glob("*/bin"):
        major = programs.parent.name
        control = Path(f"/usr/share/postgresql/{major}/extension/postgis.control")
        if major.isdigit() and (programs / "initdb").exists() and control.exists():
            found.append((int(major), programs))
    if not found:
        raise PostgresError("no PostgreSQL with PostGIS under /usr/lib/postgresql: run `make deps`")
    return max(found)[1]


def account() -> str | None:
    """The account that PostgreSQL runs as. It refuses root; Debian's packages create the account postgres."""
    return "postgres" if os.geteuid() == 0 else None


def can_live_in(parent: str) -> bool:
    """True if the server's account can enter a directory below `parent`, and a socket's path there is not too long."""
    path = Path(parent).resolve()
    is_open = account() is None or all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))
    return is_open and len(str(path)) <= 60  # a socket's address has at most 107 characters (unix(7))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """
    One server. The caller creates `directory` for it and removes it; it must not be below a home directory that others
    cannot enter.
    """

    def __init__(self, directory: Path, log: Path, state: State) -> None:
        self.directory = directory
        self.log = log
        self.port = 0
        self.owner = Login(OWNER, secrets.token_urlsafe(24))
        self.loader = Login(LOADER, secrets.token_urlsafe(24))
        self._state = state
        self._programs = find_programs()
        self._data = directory / "data"
        self._process: Process | None = None
        self.settings = dict(SETTINGS)  # in force after the next start

    # --- for the stack

    def start(self, cache: Path, *, fsync: bool) -> None:
        """Starts it from the archive in `cache`, which is created if it is missing."""
        archive = self._archive(cache)
        if not archive.exists():
            self._make_archive(archive)
        self._unpack(archive)
        self._run(fsync=fsync)
        self._set_passwords()

    def stop(self, number: int = signal.SIGINT) -> None:
        """
        SIGINT ends the sessions first, SIGQUIT aborts everything: pg_ctl's modes fast and immediate. Does nothing if
        the server is not running.
        """
        if self._process:
            self._state.end(self._process, number, 60)
            self._process = None

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start_again(self, *, fsync: bool) -> None:
        """Starts it after stop, at the same port."""
        if not self._run_once(fsync=fsync):
            raise PostgresError(f"PostgreSQL does not start:\n{process.tail(self.log)}")

    def start_standby(self, primary: "Postgres", *, fsync: bool) -> None:
        """Starts as a hot standby of a running server, instead of `start`."""
        self.owner, self.loader = primary.owner, primary.loader
        source = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", OWNER, "-w"]
        backup = [self._programs / "pg_basebackup", "-D", self._data, "-R", "-c", "fast", "-N", *source]
        self._tool(backup, env={"PGPASSWORD": self.owner.password})
        self.port = free_port()
        self.start_again(fsync=fsync)

    def dsn(self, login: Login) -> dict[str, str | int]:
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "dbname": DATABASE,
            "user": login.user,
            "password": login.password,
            "sslmode": "disable",
        }

    # --- the archive

    def _archive(self, cache: Path) -> Path:
        """The name depends on everything that the archive's content depends on."""
        server = subprocess.run([self._programs / "postgres", "-V"], capture_output=True, check=True).stdout
        major = self._programs.parent.name
        control = Path(f"/usr/share/postgresql/{major}/extension/postgis.control").read_bytes()
        recipe = [INITDB, TEMPLATE_SQL, PGSTAC_SQL, version("pypgstac")]
        key = hashlib.sha256(server + control + json.dumps(recipe).encode()).hexdigest()[:16]
        return cache / f"postgres-{major}-{key}.tar"

    def _make_archive(self, archive: Path) -> None:
        print("postgres: running initdb and pgstac's migration (only the first time)", flush=True)
        self._tool([self._programs / "initdb", "-D", self._data, *INITDB])
        self._run(fsync=False)
        self._sql("postgres", TEMPLATE_SQL)
        self._set_passwords()
        self._migrate()
        with psycopg.connect(**self.dsn(self.owner), autocommit=True) as connection:  # type: ignore[arg-type]
            connection.execute(PGSTAC_SQL)
        self._sql("postgres", f"ALTER ROLE {OWNER} PASSWORD NULL; ALTER ROLE {LOADER} PASSWORD NULL;")
        assert self._process
        self._state.end(self._process, signal.SIGINT, 30)
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(f".{os.getpid()}")
        try:
            with partial.open("wb") as file:
                self._tool(["tar", "-c", "-C", self.directory, "data"], stdout=file)
            partial.replace(archive)
        finally:
            partial.unlink(missing_ok=True)
        shutil.rmtree(self._data)

    def _migrate(self) -> None:
        program = Path(sys.executable).parent / "pypgstac"
        env = environment.for_tools() | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGDATABASE": DATABASE,
            "PGUSER": self.owner.user,
            "PGPASSWORD": self.owner.password,
        }
        done = subprocess.run([program, "migrate"], env=env, capture_output=True, text=True)
        if done.returncode != 0:
            raise PostgresError(f"pypgstac migrate failed:\n{done.stdout}{done.stderr}")

    def _unpack(self, archive: Path) -> None:
        with archive.open("rb") as file:
            self._tool(["tar", "-x", "-C", self.directory], stdin=file)

    # --- the server

    def _run(self, *, fsync: bool) -> None:
        self._write("pg_hba.conf", HBA)
        self._write("pg_ident.conf", f"stack {account() or pwd_name()} {OWNER}\n")
        for _ in range(5):  # another process may take the port after we found it free
            self.port = free_port()
            if self._run_once(fsync=fsync):
                return
        raise PostgresError(f"PostgreSQL does not start:\n{process.tail(self.log)}")

    def _run_once(self, *, fsync: bool) -> bool:
        settings = self.settings | {
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with process.interrupts.shielded():
            self._process, child = process.spawn(
                "postgres",
                [str(self._programs / "postgres"), "-D", str(self._data), *options],
                {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
                self.log,
                user=account(),
            )
            self._state.add(self._process)
        deadline = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < deadline:
            if self._is_ready():
                return True
            time.sleep(0.02)
        self._state.end(self._process, signal.SIGINT, 10)
        return False

    def _is_ready(self) -> bool:
        """Reads the eighth line of postmaster.pid, as pg_ctl does."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() in ("ready", "standby")

    def _set_passwords(self) -> None:
        statements = [f"ALTER ROLE {login.user} PASSWORD '{login.password}';" for login in (self.owner, self.loader)]
        self._sql("postgres", "\n".join(statements))

    def _sql(self, database: str, text: str) -> None:
        options = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self.directory), "-p", str(self.port)]
        self._tool([self._programs / "psql", *options, "-U", OWNER, "-d", database], text=text)

    def _write(self, name: str, text: str) -> None:
        self._tool(["tee", self._data / name], text=text)

    def _tool(
        self,
        argv: Sequence[str | Path],
        *,
        text: str | None = None,
        stdin: object = None,
        stdout: object = subprocess.PIPE,
        env: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Runs a short command as the account that owns the data directory."""
        done = subprocess.run(  # type: ignore[call-overload]
            [str(part) for part in argv],
            input=text.encode() if text is not None else None,
            **({"stdin": stdin} if text is None else {}),
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", **env},
            **process.as_user(account()),
        )
        if done.returncode != 0:
            error = re.sub(r"PASSWORD '[^']*'", "PASSWORD ...", done.stderr.decode(errors="replace"))
            raise PostgresError(f"{argv[0]} failed:\n{error}")


def pwd_name() -> str:
    """This process's account, as peer authentication sees it."""
    return pwd.getpwuid(os.geteuid()).pw_name
