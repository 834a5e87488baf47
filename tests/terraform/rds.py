"""
A PostgreSQL that is set up like RDS: it requires TLS, and its administrator is not a superuser, but has CREATEROLE,
CREATEDB and the database. RDS lets the administrator create PostGIS; here it is created in advance. This module also
runs container/migrate on it.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from local import environment
from tests.integration.pgstac.pgstac_support import Server

ROOT = Path(__file__).resolve().parents[2]
MIGRATE = ROOT / "container" / "migrate"
HBA = """
local all owner trust
hostssl all all 127.0.0.1/32 scram-sha-256
"""
CONFIG = """
ssl = on
log_statement = all
log_min_duration_statement = 0
"""
ADMIN = """
CREATE ROLE rds_superuser CREATEROLE CREATEDB;
GRANT pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION;
CREATE ROLE stac_admin LOGIN CREATEROLE CREATEDB PASSWORD 'admin-0' IN ROLE rds_superuser;
CREATE ROLE somebody LOGIN PASSWORD 'somebody';
"""
COLLECTION = {
    "type": "Collection",
    "stac_version": "1.0.0",
    "id": "scenes",
    "description": "scenes",
    "license": "proprietary",
    "links": [],
    "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
}


def item(name: str, when: str = "2024-05-01T00:00:00Z") -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "scenes",
        "geometry": {"type": "Point", "coordinates": [7.5, 46.9]},
        "bbox": [7.5, 46.9, 7.5, 46.9],
        "properties": {"datetime": when},
        "links": [],
        "assets": {},
    }


class Rds(Server):
    """A server with a certificate for localhost and its address. `ca` signed it: the certificate itself."""

    def __init__(self) -> None:
        super().__init__()
        data = self.directory / "data"
        self._run(["tee", data / "pg_hba.conf"], text=HBA)
        self._run(["tee", "-a", data / "postgresql.conf"], text=CONFIG)
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", data / "server.key"]
        self.ca = data / "server.crt"
        self._run(["openssl", "req", "-x509", "-days", "2", *key, *names, "-out", self.ca])

    def conninfo(self, database: str, user: str = "owner") -> str:
        return f"host={self.directory} port={self.port} dbname={database} user={user}"

    @property
    def log(self) -> str:
        return self._log.read_text()


@dataclass
class Catalog:
    """A database and its administrator, the roles' secrets, and the migration program."""

    server: Rds
    name: str
    passwords: dict[str, str] = field(
        default_factory=lambda: {"admin": "admin-0", "loader": "loader-p'w\"%", "reader": "reader-p:w@/"}
    )

    def username(self, role: str) -> str:
        """Roles belong to the whole server, so each database has its own loader and reader."""
        return "stac_admin" if role == "admin" else f"{self.name}_{role}"

    def env(self, role: str) -> dict[str, str]:
        """libpq's variables for a role; without a login for ""."""
        login = {"PGUSER": self.username(role), "PGPASSWORD": self.passwords[role]} if role else {}
        place = {"PGHOST": "localhost", "PGPORT": str(self.server.port), "PGDATABASE": self.name}
        return (
            environment.for_tools() | place | {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(self.server.ca)} | login
        )

    def connect(self, role: str, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="localhost",
            port=self.server.port,
            dbname=self.name,
            user=self.username(role),
            password=self.passwords[role],
            sslmode="verify-full",
            sslrootcert=self.server.ca,
            autocommit=True,
            **options,
        )

    def rows(self, query: str, role: str = "admin") -> list[tuple[Any, ...]]:
        with self.connect(role) as connection:
            return connection.execute(query).fetchall()  # type: ignore[call-overload]

    def start(self, settings: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        secrets = {
            f"{role.upper()}_SECRET": json.dumps({"username": self.username(role), "password": password})
            for role, password in self.passwords.items()
        }
        return subprocess.Popen(
            [sys.executable, MIGRATE / "migrate.py"],
            env=self.env("") | secrets | {"WAIT_S": "30"} | (settings or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def migrate(self, settings: Mapping[str, str] | None = None) -> tuple[int, str]:
        program = self.start(settings)
        said, _ = program.communicate(timeout=300)
        return program.returncode, said

    def load(self, build: Path, what: str, *documents: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        lines = "".join(json.dumps(document) + "\n" for document in documents)
        return subprocess.run(
            [build / "bin" / "itemctl", "load", what, "-"],
            env=self.env("loader"),
            input=lines,
            capture_output=True,
            text=True,
        )
