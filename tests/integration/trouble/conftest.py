"""A database with failures, and an itemloadd that has to wait for their end."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local.postgres import LOADER, Postgres, account
from local.postgres import SETTINGS as SERVER_SETTINGS
from local.stack import Stack
from tests.integration.pipeline.conftest import Pipeline, item, wait_until

# One worker, so that each outage is one line in the log.
SETTINGS = {"ITEMLOADD_WORKERS": "1", "ITEMLOADD_PROBE_INTERVAL": "500ms", "ITEMLOADD_CONNECT_TIMEOUT": "5s"}
VISIBILITY_S = 4  # the pipeline's


class Site(Pipeline):
    """A pipeline whose database can be stopped, locked and exchanged, with checks of the result."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        self.server = stack.postgres
        self.secret_arn = stack.env["PGSTAC_SECRET_ARN"]
        self.secret = self.read_secret()
        self.published = 0

    # --- the database

    def start_again(self, **settings: str) -> None:
        """Starts the server again, at the same port. After the test it is as it was before, whatever happens."""
        self.server.settings = SERVER_SETTINGS | settings
        self.server.start_again(fsync=False)
        self.use(self.server)

    def use(self, server: Postgres) -> None:
        """Sends queries to this server from now on."""
        self.db.close()
        self.server = server
        self.db = self.connect()

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        login = options.pop("login", self.server.owner)
        path = "-c search_path=pgstac,public -c default_transaction_read_only=off -c idle_in_transaction_session_timeout=0"
        return psycopg.connect(**self.server.dsn(login), autocommit=True, options=path, **options)

    @contextmanager
    def holding(self, *statements: str) -> Iterator[psycopg.Connection[Any]]:
        """A session that executes the statements in a transaction, which stays open until the end of the block."""
        with self.connect() as holder:
            holder.execute("BEGIN")
            for statement in statements:
                holder.execute(statement)
            yield holder

    def wait_for_waiter(self) -> None:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE usename = %s AND wait_event_type = 'Lock'"
        wait_until("itemloadd waits for a lock", lambda: self.query(waiting, LOADER))

    def end_sessions(self) -> None:
        self.query("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = %s", LOADER)

    @contextmanager
    def setting(self, name: str, value: str) -> Iterator[None]:
        """Changes a setting for every session, including open ones."""
        self.db.execute(f"ALTER SYSTEM SET {name} TO {value}")
        self.db.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            self.db.execute(f"ALTER SYSTEM RESET {name}")
            self.db.execute("SELECT pg_reload_conf()")

    # --- the secret

    def read_secret(self) -> dict[str, Any]:
        return dict(json.loads(self.secrets.get_secret_value(SecretId=self.secret_arn)["SecretString"]))

    def put_secret(self, value: str = "", **changes: Any) -> None:
        """Sets the secret to its first value with changes, or to this text."""
        text = value or json.dumps({k: v for k, v in (self.secret | changes).items() if v is not None})
        self.secrets.put_secret_value(SecretId=self.secret_arn, SecretString=text)

    # --- itemloadd

    def run(self, **settings: str) -> None:
        self.start("itemloadd", **SETTINGS, **settings)

    def publish_numbers(self, *numbers: int) -> None:
        self.publish_items([item(number) for number in numbers])
        self.published += len(numbers)

    def wait_loaded(self, timeout_s: float = 60) -> None:
        """Waits until everything that was published is in the catalog, each item once, and the queue is empty."""
        wait_until("all are loaded", lambda: len(self.ids()) == self.published, timeout_s)
        self.wait_empty(self.load_queue, timeout_s)
        assert len(set(self.ids())) == self.published

    def wait_down(self, number: int = 1) -> str:
        """The text of the DEPENDENCY_DOWN with this number."""
        downs = wait_until(
            f"outage {number} is logged", lambda: self.log("itemloadd", "DEPENDENCY_DOWN")[number - 1 :]
        )
        return str(downs[0]["message"])

    def wait_warning(self, code: str, *words: str) -> None:
        """Checks the current cause of an outage, which is logged once."""
        warnings = lambda: [line["message"] for line in self.log("itemloadd", "WARNING") if line.get("error_code") == code]
        (message, *_) = wait_until(f"a warning: {code}", warnings)
        assert all(word in message for word in words), message

    def wait_up(self, number: int = 1) -> None:
        wait_until(f"the end of outage {number} is logged", lambda: len(self.log("itemloadd", "DEPENDENCY_UP")) >= number)

    def watch_held(self, seconds: float) -> None:
        """Checks that for this time nothing is received, and that leased messages stay invisible to other consumers."""
        counts = self.counts(self.load_queue)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.counts(self.load_queue) == counts
            time.sleep(0.2)

    def check_outages(self, number: int) -> None:
        """Checks that this many outages were logged, and that they cost each message at most one receive."""
        self.stop_all()
        events = [line["event"] for line in self.log("itemloadd") if line["event"].startswith("DEPENDENCY")]
        assert events == ["DEPENDENCY_DOWN", "DEPENDENCY_UP"] * number
        (stopped,) = self.log("itemloadd", "DAEMON_STOPPED")
        assert (int(stopped["received"]), int(stopped["done"])) == (self.published, self.published)
        assert len(self.log("itemloadd", "WARNING")) <= 4 * number
        assert self.log("itemloadd", "MESSAGE_LATER") == [] and self.counts(self.load_dlq) == (0, 0)


@pytest.fixture
def site(session_stack: Stack) -> Iterator[Site]:
    """Starts with empty queues, a catalog with only the empty collection "test", stopped daemons, and an empty log."""
    site = Site(session_stack)
    for queue in (site.load_queue, site.load_dlq):
        site.sqs.purge_queue(QueueUrl=queue)
    site.db.execute("DELETE FROM collections")
    site.add_collection("test")
    log = Path(session_stack.directory) / "itemloadd.log"
    log.write_text("")
    yield site
    site.stop_all()
    site.put_secret()
    site.db.close()
    server, settings = session_stack.postgres, dict(SERVER_SETTINGS)
    if server.settings != settings:
        server.stop()
        server.settings = settings
    if not server.is_running:
        server.start_again(fsync=False)
    text = log.read_text()
    assert "Sanitizer" not in text and "runtime error" not in text, text[-8000:]


@pytest.fixture
def second_server(session_stack: Stack) -> Iterator[Callable[[], Postgres]]:
    """second_server() creates another server in its own directory, not started. It is removed after the test."""
    made: list[Postgres] = []

    def make() -> Postgres:
        place = Path(session_stack.postgres.directory) / f"second-{len(made)}-{time.monotonic_ns()}"
        place.mkdir(mode=0o700)
        if user := account():
            shutil.chown(place, user, user)
        server = Postgres(place, session_stack.directory / "second.log", session_stack.state)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
