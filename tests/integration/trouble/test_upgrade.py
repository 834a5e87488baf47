"""Upgrades pgstac from 0.9 to 0.10 while itemloadd works, and shows a limitation of 0.9."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local.postgres import LOADER, OWNER
from tests.integration.pipeline.conftest import item, wait_until
from tests.integration.trouble.conftest import Site

OLDER = "0.9.12"
DATABASE = "older"


def migrate(site: Site, *arguments: str) -> None:
    dsn = psycopg.conninfo.make_conninfo(**site.server.dsn(site.server.owner) | {"dbname": DATABASE})
    subprocess.run([Path(sys.executable).parent / "pypgstac", "migrate", "--dsn", dsn, *arguments], check=True, capture_output=True)


@pytest.fixture
def older(site: Site) -> Iterator[Site]:
    """The site with a database of pgstac 0.9."""
    first = site.db
    first.execute(f"CREATE DATABASE {DATABASE}")
    site.db = psycopg.connect(**site.server.dsn(site.server.owner) | {"dbname": DATABASE}, autocommit=True)
    site.db.execute("CREATE EXTENSION postgis")
    migrate(site, "--toversion", OLDER)
    site.db.execute(f"GRANT pgstac_ingest TO {LOADER}; GRANT pgstac_admin TO {OWNER}; SET search_path TO pgstac, public")
    site.add_collection("test", item_assets={"data": {"title": "first"}})
    site.put_secret(dbname=DATABASE)
    yield site
    site.stop_all()
    site.db.close()
    site.db = first
    first.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


def titled(number: int, title: str) -> dict[str, Any]:
    assets = {"data": {"href": f"https://example.com/{number}.tif", "roles": ["data"], "title": title}}
    return item(number, assets=assets)


def given(site: Site, number: int) -> Any:
    return site.query("SELECT get_item(%s, 'test')", f"item-{number}")[0][0]["assets"]


def test_upgraded_under_a_running_loader(older: Site) -> None:
    """It looks at the schema again by itself. Items from before and after the first edit are returned as published."""
    older.publish_items([titled(1, "first")])
    older.run()
    wait_until("the first is loaded", lambda: older.ids() == ["item-1"])
    migrate(older)
    older.db.execute("SET search_path TO pgstac, public")
    older.add_collection("test", item_assets={"data": {"title": "second"}})
    older.publish_items([titled(2, "first"), titled(3, "second")])
    wait_until("all are loaded", lambda: len(older.ids()) == 3)
    older.add_collection("test", item_assets={"data": {"title": "third"}})
    older.publish_items([titled(4, "second")])
    wait_until("the last is loaded", lambda: len(older.ids()) == 4)
    for number, title in ((1, "first"), (2, "first"), (3, "second"), (4, "second")):
        assert given(older, number) == titled(number, title)["assets"]
    older.wait_empty(older.load_queue)
    older.stop_all()
    assert older.counts(older.load_dlq) == (0, 0)
    versions = [line["pgstac_version"] for line in older.log("itemloadd", "DATABASE_CONNECTED")]
    assert versions[0] == OLDER and versions[-1] > "0.10", versions
    assert {line["load_path"] for line in older.log("itemloadd", "DATABASE_CONNECTED")} == {"fast"}


def test_a_replaced_base_item_causes_a_warning(older: Site) -> None:
    """
    The warning is logged once for a collection with items and a changed base item. It is not logged for an unchanged
    one, or without a base item.
    """
    older.run()
    collection = older.query("SELECT content FROM collections WHERE id = 'test'")[0][0]
    empty = collection | {"id": "empty"}
    older.publish_items([titled(1, "first"), empty])
    wait_until("the item is loaded", lambda: older.ids() == ["item-1"])
    same = collection | {"description": "another one"}
    changed = {"item_assets": {"data": {"title": "second"}}}
    for document in (same, collection | changed, empty | changed):
        older.publish_items([document])
        older.wait_empty(older.load_queue)
    warned = [(line["collection"], line["partitions"]) for line in older.log("itemloadd", "BASE_ITEM_REPLACED")]
    assert warned == [("test", "1")]
    assert given(older, 1)["data"]["title"] == "second", "the warning is about this difference"
