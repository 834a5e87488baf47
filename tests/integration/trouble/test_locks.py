"""Changes of the tables by other users: locks that last longer than a statement may, collections that change."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from local.postgres import LOADER
from tests.integration.pipeline.conftest import item, wait_until
from tests.integration.trouble.conftest import Site

TIMEOUT = {"ITEMLOADD_STATEMENT_TIMEOUT": "1s"}


def wait_later(site: Site) -> None:
    (late, *_) = wait_until("a message is put back for later", lambda: site.log("itemloadd", "MESSAGE_LATER"))
    assert late["error_code"] == "database_timeout" and "57014" in late["message"]


@pytest.mark.parametrize("table", ["items", "collections"])
@pytest.mark.long
def test_locked_table(site: Site, table: str) -> None:
    """
    This is not an outage: the message is retried later, no session is left in the server, and it loads when the lock
    is gone.
    """
    site.run(**TIMEOUT)
    waiting = "SELECT pid FROM pg_stat_activity WHERE usename = %s AND wait_event_type = 'Lock'"
    with site.holding(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"):
        site.publish_numbers(1, 2, 3)
        wait_later(site)
        assert len(site.query(waiting, LOADER)) <= 1
    site.wait_loaded()
    site.stop_all()
    assert site.log("itemloadd", "DEPENDENCY_DOWN") == [] and site.counts(site.load_dlq) == (0, 0)


@pytest.mark.parametrize("trunc", [None, pytest.param("month", marks=pytest.mark.long)])
def test_locked_row(site: Site, trunc: str | None) -> None:
    """Only the message of this row is retried later. The rest of its batch is loaded while the row is locked."""
    site.db.execute("UPDATE collections SET partition_trunc = %s WHERE id = 'test'", (trunc,))
    site.publish_numbers(1)
    site.run(**TIMEOUT, ITEMLOADD_BATCH_IDLE="1s", ITEMLOADD_BACKOFF_MIN="3s", ITEMLOADD_BACKOFF_MAX="3s")
    site.wait_loaded()
    with site.holding("UPDATE items SET private = private WHERE id = 'item-1'"):
        moved = {"datetime": "2021-02-01T00:00:00Z", "title": "new"}  # for "month": the old row cannot be removed
        site.publish_items([item(1, properties=moved), *(item(number) for number in range(2, 6))])
        site.published = 5
        wait_later(site)
        wait_until("the others are loaded", lambda: len(set(site.ids())) == 5)
        wait_until("only the one is left", lambda: sum(site.counts(site.load_queue)) == 1)
        late = {line["sqs_message_id"] for line in site.log("itemloadd", "MESSAGE_LATER")}
        assert len(late) == 1
    site.wait_loaded()
    assert site.content("item-1")["properties"]["title"] == "new"
    assert site.counts(site.load_dlq) == (0, 0)


@pytest.mark.long
def test_collection_deleted_and_made_again(site: Site) -> None:
    """Items that arrive meanwhile wait for it."""
    site.publish_numbers(1)
    site.run()
    site.wait_loaded()
    site.db.execute("DELETE FROM collections WHERE id = 'test'")
    site.publish_numbers(2)
    (late, *_) = wait_until("a message is put back for later", lambda: site.log("itemloadd", "MESSAGE_LATER"))
    assert late["error_code"] == "missing_collection"
    site.add_collection("test")
    site.published = 1
    site.wait_loaded()
    assert site.ids() == ["item-2"] and site.counts(site.load_dlq) == (0, 0)


def partition_anew(site: Site) -> None:
    site.db.execute("UPDATE collections SET partition_trunc = 'month' WHERE id = 'test'")


def change_base_item(site: Site) -> None:
    site.add_collection("test", item_assets={"data": {"roles": ["data"]}})


@pytest.mark.parametrize("change", [partition_anew, change_base_item])
@pytest.mark.long
def test_collection_changed(site: Site, change: Callable[[Site], None]) -> None:
    """The change is between two batches. Tests of races cover changes within a batch."""
    site.publish_numbers(1)
    site.run()
    site.wait_loaded()
    change(site)
    site.publish_numbers(2)
    site.publish_items([item(3, properties={"datetime": "2022-05-01T00:00:00Z"})])
    site.published += 1
    site.wait_loaded()
    for name in site.ids():
        (href,) = site.query("SELECT get_item(%s, 'test')->'assets'->'data'->>'href'", name)[0]
        assert href == f"https://example.com/{name.removeprefix('item-')}.tif"
    partitions = {row[0] for row in site.query("SELECT tableoid::regclass::text FROM items")}
    assert len(partitions) == (2 if change is partition_anew else 1)
    assert site.counts(site.load_dlq) == (0, 0)
