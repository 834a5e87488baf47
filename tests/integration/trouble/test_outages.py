"""The database goes away and comes back, and itemloadd continues by itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import OperationalError

from local.postgres import LOADER, Postgres, account
from tests.integration.pipeline.conftest import item, wait_until
from tests.integration.trouble.conftest import VISIBILITY_S, Site


def test_down_at_the_start(site: Site) -> None:
    site.publish_numbers(1, 2, 3)
    site.server.stop()
    site.run()
    assert "Connection refused" in site.wait_down()
    assert site.counts(site.load_queue) == (3, 0), "nothing is received"
    site.start_again()
    site.wait_loaded()
    site.check_outages(1)


def test_interrupted_in_the_middle_of_a_batch(site: Site) -> None:
    """
    Twice, once for longer than the visibility timeout: leased messages stay invisible, and the outage costs them no
    receive.
    """
    site.publish_numbers(1)
    site.run()
    site.wait_loaded()
    (partition,) = site.query("SELECT partition FROM partition_sys_meta WHERE collection = 'test'")[0]
    for outage in (1, 2):
        with pytest.raises(OperationalError), site.holding(f"LOCK TABLE {partition} IN EXCLUSIVE MODE") as holder:
            site.publish_numbers(*range(10 * outage, 10 * outage + 10))
            site.wait_for_waiter()
            site.server.stop(signal.SIGQUIT)
            site.wait_down(outage)
            site.watch_held(1.5 * VISIBILITY_S if outage == 1 else 0)
            holder.execute("SELECT 1")
        site.start_again()
        site.wait_loaded()
        site.wait_up(outage)
    site.check_outages(2)


@pytest.mark.long
def test_stop_during_an_outage(site: Site) -> None:
    """Leased messages are released, and the next consumer gets them at once."""
    site.publish_numbers(1)
    site.run(ITEMLOADD_VISIBILITY_TIMEOUT="10m")
    site.wait_loaded()
    site.server.stop(signal.SIGQUIT)
    site.publish_numbers(2, 3, 4)
    site.wait_down()
    wait_until("all are received", lambda: site.counts(site.load_queue) == (0, 3))
    site.stop_all()
    assert site.counts(site.load_queue) == (3, 0) and len(site.log("itemloadd", "MESSAGE_RETURNED")) == 3
    site.start_again()
    site.run()
    site.wait_loaded()
    assert site.counts(site.load_dlq) == (0, 0)


@pytest.mark.long
def test_a_refusal_ends_an_outage_too(site: Site) -> None:
    """Otherwise the next outage would count as the same one, and would not be logged."""
    site.publish_numbers(1)
    site.run()
    site.wait_loaded()
    site.server.stop(signal.SIGQUIT)
    bad = {"type": "Collection", "stac_version": "1.0.0", "id": "bad", "description": "", "license": "other", "links": []}
    site.publish(site.load_topic, bad | {"extent": {"spatial": {"bbox": [["a", 1, 2, 3]]}}})
    site.wait_down(1)
    site.start_again()
    (letter,) = site.dead_letters(site.load_dlq, 1)
    assert (letter["error_code"], letter["receive_count"]) == ("database_rejected", "1")
    site.wait_up(1)
    site.server.stop(signal.SIGQUIT)
    site.publish_numbers(2)
    site.wait_down(2)
    site.start_again()
    site.wait_loaded()
    site.wait_up(2)
    assert len(site.log("itemloadd", "DEPENDENCY_DOWN")) == 2


@pytest.mark.long
def test_session_ended_between_statements(site: Site) -> None:
    """The server's own limit ends it. That is not the fault of the next row."""
    site.publish_numbers(1)
    site.run(ITEMLOADD_VISIBILITY_TIMEOUT="60s")  # while it is stopped, it renews no leases
    site.wait_loaded()
    (daemon,) = [process for process in site.stack.processes if process.name == "itemloadd"]
    idle = "SELECT 1 FROM pg_stat_activity WHERE usename = %s AND state = 'idle in transaction'"
    with site.setting("idle_in_transaction_session_timeout", "'1s'"):
        with site.holding("LOCK TABLE collections IN ACCESS EXCLUSIVE MODE"):
            site.publish_numbers(2)
            site.wait_for_waiter()
            os.kill(daemon.pid, signal.SIGSTOP)
        try:
            wait_until("the statement is done", lambda: site.query(idle, LOADER))
            wait_until("its session is ended", lambda: not site.query(idle, LOADER))
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        assert "lost the database" in site.wait_down()
        site.wait_loaded()
    site.check_outages(1)


@pytest.fixture
def extents(site: Site) -> Iterator[None]:
    """Lets pgstac keep the collections' extents, which it computes from its statistics."""
    name = "'update_collection_extent'"
    site.db.execute(f"INSERT INTO pgstac_settings VALUES ({name}, 'true') ON CONFLICT (name) DO UPDATE SET value = 'true'")
    yield
    site.db.execute(f"UPDATE pgstac_settings SET value = 'false' WHERE name = {name}")


@pytest.mark.long
@pytest.mark.usefixtures("extents")
def test_statistics_that_were_due_are_written_afterwards(site: Site) -> None:
    """They are not forgotten with the connection."""

    def publish(number: int, date: str) -> None:
        site.publish_items([item(number, properties={"datetime": f"{date}T00:00:00Z"})])
        site.published += 1

    site.db.execute("UPDATE collections SET partition_trunc = 'month' WHERE id = 'test'")
    site.run(ITEMLOADD_BATCH_ITEMS="1")
    publish(1, "2021-01-01")
    publish(2, "2021-02-01")
    site.wait_loaded()
    january, february = [row[0] for row in site.query("SELECT partition FROM partition_sys_meta ORDER BY 1")]
    until = "SELECT upper(dtrange)::date::text FROM partition_stats WHERE partition = %s"
    wait_until("the first ones are written", lambda: site.query(until, january) == [("2021-01-01",)])
    with site.holding(f"LOCK TABLE {february} IN EXCLUSIVE MODE"):
        publish(3, "2021-01-20")
        publish(4, "2021-02-20")
        site.wait_for_waiter()
        assert site.ids() == ["item-1", "item-2", "item-3"] and site.query(until, january) == [("2021-01-01",)]
        site.end_sessions()
        site.wait_down()
    site.wait_loaded()
    wait_until("the others are written too", lambda: site.query(until, january) == [("2021-01-20",)])
    site.check_outages(1)


@pytest.mark.long
@pytest.mark.usefixtures("extents")
def test_statistics_are_written_after_an_idle_connection_ended(site: Site) -> None:
    """No other item has to arrive for that."""

    def publish(number: int, date: str) -> None:
        site.publish_items([item(number, properties={"datetime": f"{date}T00:00:00Z"})])
        site.published += 1
        site.wait_loaded()

    until = "SELECT upper(dtrange)::date::text FROM partition_stats"
    site.run(ITEMLOADD_BATCH_ITEMS="1", ITEMLOADD_WAIT_TIME="6s", ITEMLOADD_STATISTICS_INTERVAL="1d")
    publish(1, "2021-01-01")
    wait_until("the first ones are written", lambda: site.query(until) == [("2021-01-01",)])
    publish(2, "2021-01-20")
    site.end_sessions()
    assert site.query(until) == [("2021-01-01",)]
    wait_until("the second ones are written", lambda: site.query(until) == [("2021-01-20",)])
    site.check_outages(0)


@pytest.mark.long
def test_read_only(site: Site) -> None:
    site.publish_numbers(1)
    site.run()
    site.wait_loaded()
    with site.setting("default_transaction_read_only", "on"):
        site.publish_numbers(2)
        assert "read-only" in site.wait_down()
        site.watch_held(1.5)  # retried several times
        assert site.ids() == ["item-1"]
    site.wait_loaded()
    site.check_outages(1)


@pytest.mark.long
def test_read_only_at_the_start(site: Site) -> None:
    site.publish_numbers(1)
    with site.setting("default_transaction_read_only", "on"):
        site.run()
        assert "read-only" in site.wait_down()
        assert site.counts(site.load_queue) == (1, 0), "nothing is received"
    site.wait_loaded()
    site.check_outages(1)


def test_failover_to_a_standby(site: Site, second_server: Callable[[], Postgres]) -> None:
    """The secret names the standby before its promotion. itemloadd uses it once it accepts writes."""
    standby = second_server()
    primary = site.server
    site.publish_numbers(1)
    site.run()
    site.wait_loaded()
    standby.start_standby(primary, fsync=False)
    site.put_secret(port=standby.port)
    site.end_sessions()
    site.publish_numbers(2)
    assert "read-only" in site.wait_down()
    primary.stop(signal.SIGQUIT)
    site.use(standby)
    site.watch_held(1)
    site.query("SELECT pg_promote()")
    site.wait_loaded()
    site.check_outages(1)


@pytest.mark.long
def test_failover_to_another_server(site: Site, second_server: Callable[[], Postgres]) -> None:
    """The old server is gone first. The secret changes while itemloadd waits for the old one."""
    other = second_server()
    primary = site.server
    other.start(site.stack.cache, fsync=False)
    site.run()
    site.publish_numbers(1)
    site.wait_loaded()
    primary.stop(signal.SIGQUIT)
    site.publish_numbers(2)
    site.wait_down()
    site.use(other)
    site.add_collection("test")
    site.put_secret(port=other.port, password=other.loader.password)
    wait_until("the other one has it", lambda: site.ids() == ["item-2"])
    site.wait_empty(site.load_queue)
    site.check_outages(1)


@pytest.fixture
def small_place(site: Site) -> Iterator[Path]:
    """A file system of 2 MiB that the server can write to."""
    place = Path(site.server.directory) / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0777", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        place.rmdir()
        pytest.skip(f"cannot mount a file system: {mounted.stderr.strip()}")
    (place / "space").mkdir(mode=0o700)
    if user := account():
        shutil.chown(place / "space", user, user)
    yield place
    site.stop_all()
    site.db.execute("DELETE FROM collections")
    site.db.execute("DROP TABLESPACE IF EXISTS small")
    subprocess.run(["umount", str(place)], check=True)
    place.rmdir()


def test_disk_full(site: Site, small_place: Path) -> None:
    """Connecting works all the time. That does not end the outage."""
    site.publish_numbers(1)
    site.run()
    site.wait_loaded()
    (partition,) = site.query("SELECT partition FROM partition_sys_meta WHERE collection = 'test'")[0]
    site.db.execute(f"CREATE TABLESPACE small LOCATION '{small_place / 'space'}'")
    site.db.execute(f"ALTER TABLE {partition} SET TABLESPACE small")
    filler = small_place / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    site.publish_numbers(*range(100, 200))
    assert "No space left on device" in site.wait_down()
    site.watch_held(2)  # retried several times
    assert len(site.log("itemloadd", "DATABASE_CONNECTED")) == 1
    filler.unlink()
    site.wait_loaded()
    site.check_outages(1)


@pytest.mark.long
def test_too_many_connections(site: Site) -> None:
    """All connections that are not reserved are in use: at the start, and once more later."""
    site.server.stop()
    site.start_again(max_connections="10")
    site.publish_numbers(1)
    taken = take_connections(site)
    site.run()
    assert "53300" in site.wait_down()
    assert site.counts(site.load_queue) == (1, 0), "nothing is received"
    for connection in taken:
        connection.close()
    site.wait_loaded()
    taken = take_connections(site)
    site.query("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'itemloadd'")
    taken += take_connections(site)
    site.publish_numbers(2)
    assert "53300" in site.wait_down(2)
    for connection in taken:
        connection.close()
    site.wait_loaded()
    site.check_outages(2)


def take_connections(site: Site) -> list[Any]:
    taken: list[Any] = []
    for _ in range(20):
        try:
            taken.append(site.connect(login=site.server.loader))
        except OperationalError:
            return taken
    raise AssertionError("the connections never run out")
