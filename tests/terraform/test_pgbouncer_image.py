"""container/pgbouncer's entrypoint, with this machine's pgbouncer and a PostgreSQL that is set up like RDS (rds.py)."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from local import process
from local.postgres import account, free_port
from tests.terraform.rds import ADMIN, COLLECTION, Catalog, Rds, item

ENTRYPOINT = Path(__file__).resolve().parents[2] / "container" / "pgbouncer" / "pgbouncer-entrypoint"

pytestmark = pytest.mark.skipif(
    not shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/sbin"), reason="pgbouncer is not installed"
)


@pytest.fixture(scope="module")
def catalog() -> Iterator[Catalog]:
    server = Rds()
    try:
        server.start()
        server.execute(ADMIN)
        server.execute("CREATE DATABASE pgstac OWNER stac_admin TEMPLATE template0 LOCALE 'C.UTF-8'")
        server.execute("CREATE EXTENSION postgis", "pgstac")
        catalog = Catalog(server, "pgstac")
        status, said = catalog.migrate()
        assert status == 0, said
        yield catalog
    finally:
        server.remove()


class Bouncer:
    """The entrypoint, run by an account that is not root."""

    def __init__(self, catalog: Catalog, place: Path) -> None:
        self.place = place
        self.port = free_port()
        (place / "run").mkdir()
        (place / "ca.crt").write_bytes(catalog.server.ca.read_bytes())
        if user := account():
            shutil.chown(place / "run", user)
        self.env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "DB_HOST": "localhost",
            "DB_PORT": str(catalog.server.port),
            "DB_NAME": catalog.name,
            "DB_USER": catalog.username("loader"),
            "DB_PASSWORD": catalog.passwords["loader"],
            "DB_SSLROOTCERT": str(place / "ca.crt"),
            "LISTEN_PORT": str(self.port),
            "POOL_SIZE": "1",
            "RUN_DIRECTORY": str(place / "run"),
        }
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.place / "log").open("ab") as log:
            self.child = subprocess.Popen(
                [ENTRYPOINT],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **process.as_user(account()),
            )  # type: ignore[call-overload]
        deadline = time.monotonic() + 20
        while not self.is_healthy():
            assert self.child.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def is_healthy(self) -> bool:
        return subprocess.run([ENTRYPOINT, "--health"], env=self.env, capture_output=True).returncode == 0

    def stop(self, number: int = signal.SIGINT) -> int:
        """Stops it. Returns its exit status."""
        assert self.child
        self.child.send_signal(number)
        return self.child.wait(20)

    def end(self) -> None:
        if self.child and self.child.poll() is None:
            self.stop(signal.SIGKILL)

    @property
    def log(self) -> str:
        return (self.place / "log").read_text()


@pytest.fixture
def make_bouncer(catalog: Catalog) -> Iterator[Callable[[], Bouncer]]:
    made: list[Bouncer] = []

    def make() -> Bouncer:
        place = Path(tempfile.mkdtemp(prefix="pgbouncer-test-"))
        place.chmod(0o755)
        made.append(Bouncer(catalog, place))
        return made[-1]

    yield make
    for bouncer in made:
        bouncer.end()
        shutil.rmtree(bouncer.place)


@pytest.fixture
def bouncer(make_bouncer: Callable[[], Bouncer]) -> Bouncer:
    started = make_bouncer()
    started.start()
    return started


def connect(bouncer: Bouncer, catalog: Catalog, **options: str) -> psycopg.Connection[tuple[object, ...]]:
    login = {"user": catalog.username("loader"), "password": catalog.passwords["loader"], "sslmode": "require"}
    place = {"host": "127.0.0.1", "port": bouncer.port, "dbname": catalog.name}
    return psycopg.connect(**place | login | options, prepare_threshold=None, autocommit=True)  # type: ignore[arg-type]


def test_items_are_loaded_through_it(bouncer: Bouncer, catalog: Catalog, build: Path) -> None:
    # With `require`, libpq checks the certificate too, if it has something to check it with.
    env = catalog.env("loader") | {"PGPORT": str(bouncer.port), "PGSSLMODE": "require", "PGSSLROOTCERT": ""}
    for what, document in (("collections", COLLECTION), ("items", item("pooled"))):
        command = [build / "bin" / "itemctl", "load", what, "--jobs", "4", "-"]
        done = subprocess.run(command, env=env, input=json.dumps(document), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    assert catalog.rows("SELECT id FROM pgstac.items WHERE id = 'pooled'") == [("pooled",)]


def test_many_clients_share_the_connections_of_its_pool(bouncer: Bouncer, catalog: Catalog) -> None:
    clients = [connect(bouncer, catalog) for _ in range(5)]
    pids = {client.execute("SELECT pg_backend_pid()").fetchone() for client in clients}
    paths = {client.execute("SHOW search_path").fetchone() for client in clients}
    for client in clients:
        client.close()
    assert len(pids) == 1
    assert paths == {("pgstac, public",)}


def test_the_way_to_the_database_is_encrypted_and_its_certificate_checked(
    make_bouncer: Callable[[], Bouncer], catalog: Catalog
) -> None:
    good = make_bouncer()
    good.start()
    with connect(good, catalog) as client:
        (encrypted,) = client.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() or (None,)
    assert encrypted is True
    other = make_bouncer()
    other.env["DB_SSLROOTCERT"] = "/etc/ssl/certs/ca-certificates.crt"
    other.start()
    with pytest.raises(psycopg.OperationalError):
        connect(other, catalog, connect_timeout="5")
    assert "TLS handshake error" in other.log


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"sslmode": "disable"}, "SSL required"),
        ({"password": "wrong"}, "SASL authentication failed"),
        ({"user": "somebody"}, "SASL authentication failed"),
        ({"dbname": "postgres"}, "no such database"),
    ],
)
def test_refused_connections(bouncer: Bouncer, catalog: Catalog, options: dict[str, str], error: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=error):
        connect(bouncer, catalog, **options)


def test_health_is_pgbouncers_answer_not_the_sockets(make_bouncer: Callable[[], Bouncer]) -> None:
    bouncer = make_bouncer()
    assert not bouncer.is_healthy()
    with socket.create_server(("127.0.0.1", bouncer.port)):  # accepts connections and says nothing
        before = time.monotonic()
        assert not bouncer.is_healthy()
        assert time.monotonic() - before < 5
    bouncer.start()
    assert bouncer.child
    os.kill(bouncer.child.pid, signal.SIGSTOP)
    assert not bouncer.is_healthy()
    os.kill(bouncer.child.pid, signal.SIGCONT)
    assert bouncer.is_healthy()


def test_a_stop_lets_running_queries_finish(bouncer: Bouncer, catalog: Catalog) -> None:
    with connect(bouncer, catalog) as client, client.transaction():
        client.execute("SELECT 1")
        assert bouncer.child
        bouncer.child.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert bouncer.child.poll() is None
        assert client.execute("SELECT 2").fetchone() == (2,)
    assert bouncer.child.wait(20) == 0


def test_passwords_are_not_visible(bouncer: Bouncer, catalog: Catalog) -> None:
    run = bouncer.place / "run"
    assert {path.name: path.stat().st_mode & 0o777 for path in run.iterdir()} == {
        name: 0o600 for name in ("certificate.pem", "key.pem", "pgbouncer.ini", "users")
    }
    assert bouncer.child
    assert b"DB_PASSWORD" not in Path(f"/proc/{bouncer.child.pid}/environ").read_bytes()
    assert catalog.passwords["loader"] not in bouncer.log


def test_missing_settings_are_reported(make_bouncer: Callable[[], Bouncer]) -> None:
    bouncer = make_bouncer()
    del bouncer.env["DB_HOST"], bouncer.env["DB_PASSWORD"]
    done = subprocess.run([ENTRYPOINT], env=bouncer.env, capture_output=True, text=True)
    assert done.returncode == 78
    assert "not set: DB_HOST DB_PASSWORD" in done.stderr
