"""Changing credentials, and unusable secrets."""

from __future__ import annotations

import json
import psycopg.sql
import pytest

from local.postgres import LOADER
from tests.integration.trouble.conftest import Site


def set_password(site: Site, password: str) -> None:
    site.db.execute(f"ALTER ROLE {LOADER} PASSWORD {psycopg.sql.quote(password)}")


@pytest.fixture(autouse=True)
def old_password(site: Site):
    yield
    site.stop_all()
    set_password(site, site.secret["password"])


def test_rotated_in_the_database_first(site: Site) -> None:
    """Open connections go on; new ones are refused until the secret has the new password too."""
    site.publish_numbers(1)
    site.run()
    site.wait_loaded()
    set_password(site, "new @:/' one")
    site.publish_numbers(2)
    site.wait_loaded()
    with site.holding("LOCK TABLE collections IN ACCESS EXCLUSIVE MODE"):
        site.publish_numbers(3)
        site.wait_for_waiter()
        site.end_sessions()
        assert "lost the database" in site.wait_down()
    site.wait_warning("database_auth", "28P01", "password authentication failed")
    site.watch_held(1)
    assert site.ids() == ["item-1", "item-2"]
    site.put_secret(password="new @:/' one")
    site.wait_loaded()
    site.check_outages(1)


@pytest.mark.long
def test_rotated_in_the_secret_first(site: Site) -> None:
    """A session that ends in between cannot be replaced until the database has the new password too."""
    site.publish_numbers(1)
    site.run()
    site.wait_loaded()
    site.put_secret(password="new")
    site.publish_numbers(2)
    site.wait_loaded()
    site.end_sessions()
    site.publish_numbers(3)
    site.wait_down()
    site.watch_held(2)
    set_password(site, "new")
    site.wait_loaded()
    site.check_outages(1)


@pytest.mark.long
def test_rotated_in_both_places(site: Site) -> None:
    """A session that ends while it is idle is replaced. That is not an outage."""
    site.run()
    site.publish_numbers(1)
    site.wait_loaded()
    set_password(site, "new")
    site.put_secret(password="new")
    site.end_sessions()
    site.publish_numbers(2)
    site.wait_loaded()
    site.check_outages(0)


def delete(site: Site) -> None:
    site.secrets.delete_secret(SecretId=site.secret_arn, RecoveryWindowInDays=7)


BAD = {
    "text": (lambda site: site.put_secret("not JSON: hunter2"), "is not a JSON object with host, port, dbname, username and password"),
    "list": (lambda site: site.put_secret('["hunter2"]'), "is not a JSON object"),
    "keys": (lambda site: site.put_secret(host=None, password=None), "lacks host, password"),
    "deleted": (delete, "deleted"),
}


@pytest.mark.parametrize("name", ["keys", *(pytest.param(name, marks=pytest.mark.long) for name in BAD if name != "keys")])
def test_bad_secret_at_the_start(site: Site, name: str) -> None:
    spoil, words = BAD[name]
    spoil(site)
    try:
        site.publish_numbers(1)
        site.run()
        said = site.wait_down()
        assert words in said and site.secret_arn in said and "hunter2" not in said
        assert site.counts(site.load_queue) == (1, 0), "nothing is received"
    finally:
        if name == "deleted":
            site.secrets.restore_secret(SecretId=site.secret_arn)
        site.put_secret()
    site.wait_loaded()
    site.check_outages(1)


@pytest.mark.long
def test_bad_secret_later(site: Site) -> None:
    """The last good secret is used as long as the database accepts it. After that, both errors are reported."""
    site.run()
    site.publish_numbers(1)
    site.wait_loaded()
    site.put_secret(json.dumps({"username": "somebody"}))
    site.end_sessions()
    site.publish_numbers(2)
    site.wait_loaded()
    set_password(site, "new")
    site.server.stop()
    site.start_again()
    site.publish_numbers(3)
    said = site.wait_down()
    assert all(words in said for words in ("lacks host", "as last read", "28P01")), said
    site.put_secret(password="new")
    site.wait_loaded()
    site.check_outages(1)
