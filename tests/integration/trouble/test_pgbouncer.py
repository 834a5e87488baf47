"""With a pgbouncer in transaction mode, each transaction may use another session."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local import process
from local.postgres import DATABASE, LOADER, account, free_port
from tests.integration.pipeline.conftest import item, wait_until
from tests.integration.trouble.conftest import VISIBILITY_S, Site

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/sbin:/bin")
CONFIG = """
[databases]
{database} = host=127.0.0.1 port={server_port} dbname={database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {place}/users
pool_mode = transaction
default_pool_size = 2
max_client_conn = 20
server_login_retry = 1
"""


class Bouncer:
    """Two sessions in the server for all clients."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.port = free_port()
        self.place = Path(tempfile.mkdtemp(prefix="bouncer-", dir=site.server.directory))
        config = CONFIG.format(database=DATABASE, server_port=site.server.port, port=self.port, place=self.place)
        (self.place / "ini").write_text(config)
        (self.place / "users").write_text(f'"{site.server.loader.user}" "{site.server.loader.password}"\n')
        for path in (self.place, self.place / "ini", self.place / "users"):
            if user := account():
                shutil.chown(path, user, user)
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.site.stack.directory / "pgbouncer.log").open("ab") as log:
            self.child = subprocess.Popen(
                [str(PROGRAM), "-q", str(self.place / "ini")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                **process.as_user(account()),
            )  # type: ignore[call-overload]
        wait_until("pgbouncer answers", self._answers)

    def _answers(self) -> bool:
        try:
            psycopg.connect(**self.site.server.dsn(self.site.server.loader) | {"port": self.port}).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        if self.child:
            self.child.send_signal(signal.SIGTERM)  # at once: clients are disconnected
            self.child.wait(30)
            self.child = None


@pytest.fixture
def bouncer(site: Site) -> Iterator[Bouncer]:
    if not PROGRAM:
        pytest.skip("pgbouncer is not installed: run `make deps-test`")
    started = Bouncer(site)
    started.start()
    site.put_secret(port=started.port)
    yield started
    site.stop_all()
    started.stop()
    shutil.rmtree(started.place)


def month_item(number: int, month: int) -> dict:
    return item(number, properties={"datetime": f"2021-{month:02}-01T00:00:00Z", "month": month})


def test_two_loaders(site: Site, bouncer: Bouncer) -> None:
    """
    Four workers share two sessions: they create month partitions, move items, and leave nothing behind in a session.
    """
    site.db.execute("UPDATE collections SET partition_trunc = 'month' WHERE id = 'test'")
    for _ in range(2):
        site.start("itemloadd", ITEMLOADD_WORKERS="2", ITEMLOADD_BATCH_ITEMS="20", ITEMLOADD_PROBE_INTERVAL="500ms")
    site.publish_items([month_item(number, number % 12 + 1) for number in range(200)])
    site.published = 200
    site.wait_loaded()
    site.publish_items([month_item(number, (number + 5) % 12 + 1) for number in range(200)])
    month = "mod(substr(id, 6)::int + 5, 12) + 1"
    moved = f"SELECT count(*) FROM items WHERE extract(month FROM datetime) = {month}"
    wait_until("all have moved", lambda: site.query(moved) == [(200,)])
    site.wait_loaded()
    assert site.query("SELECT count(*) FROM pg_class WHERE relname = 'itemloadd_batch'") == [(0,)]
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
    assert site.query(sessions, LOADER)[0][0] <= 2
    site.stop_all()
    assert site.log("itemloadd", "DEPENDENCY_DOWN") == [] and site.counts(site.load_dlq) == (0, 0)


@pytest.mark.long
def test_server_restarted_behind_it(site: Site, bouncer: Bouncer) -> None:
    """pgbouncer lets its clients wait, so an outage is logged only if it refuses them."""
    site.publish_numbers(1)
    site.run()
    site.wait_loaded()
    site.server.stop(signal.SIGQUIT)
    site.publish_numbers(2, 3)
    wait_until("they are received", lambda: site.counts(site.load_queue) == (0, 2))
    site.watch_held(1.5 * VISIBILITY_S)
    site.start_again()
    site.wait_loaded()
    site.stop_all()
    site.check_outages(len(site.log("itemloadd", "DEPENDENCY_DOWN")))


@pytest.mark.long
def test_pgbouncer_restarted(site: Site, bouncer: Bouncer) -> None:
    site.publish_numbers(1)
    site.run()
    site.wait_loaded()
    bouncer.stop()
    site.publish_numbers(2, 3)
    assert "lost the database" in site.wait_down() or "refused" in site.wait_down()
    site.watch_held(2)
    bouncer.start()
    site.wait_loaded()
    site.check_outages(1)
