"""The loader's errors for a database that it cannot use. No item is lost by them."""

import contextlib
import os
import signal
import socket
import threading
import time

import pytest
from pgstac_support import Database, Server, end_load, line, make_collection, make_item


def must_fail(db: Database, code: str, *texts: str, **keywords: str) -> str:
    loading = db.load_items([make_item("c", "i")], **keywords)
    assert loading.status == 1 and not loading.lines
    assert loading.error.startswith(f"{code}: "), loading.error
    for text in texts:
        assert text in loading.error
    return loading.error


# --------------------------------------------------------------- cannot connect

def test_nobody_listens(db: Database) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        must_fail(db, "database_unavailable (outage)", "Connection refused", port=str(probe.getsockname()[1]))


def test_nobody_answers(db: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        must_fail(db, "database_unavailable (outage)", "no connection within 5 s", port=str(silent.getsockname()[1]))
        assert 4 < time.monotonic() - begun < 10


REFUSALS = [
    ({"user": "locked_out", "password": "wrong"}, "28P01"),
    ({"user": "locked_out"}, "no password supplied"),
    ({"user": "nobody"}, '28000: role "nobody" does not exist'),
    ({"dbname": "elsewhere"}, '3D000: database "elsewhere" does not exist'),
]


@pytest.mark.parametrize(("keywords", "text"), REFUSALS)
def test_refused(db: Database, keywords: dict[str, str], text: str) -> None:
    error = must_fail(db, "database_auth (outage)", text, **keywords)
    assert "LOCATION" not in error and len(error.splitlines()) == 1


def test_too_many_connections(db: Database) -> None:
    db.server.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    try:
        must_fail(db, "database_unavailable (outage)", "53300", user="crowded")
    finally:
        db.server.execute("DROP ROLE crowded")


# ----------------------------------------------------------------- unknown layouts of pgstac

def test_plain_postgres(server: Server) -> None:
    db = Database(server, "postgres")
    must_fail(
        db, "database_unsupported", "pgstac none", "extension postgis", "table pgstac.items", "function pgstac.check_partition"
    )


# A change of the layout, and the reason why the fast path cannot be used then.
OTHER_LAYOUTS = [
    ("SELECT", ""),
    ("ALTER TABLE items DROP COLUMN content CASCADE", "lacks table pgstac.items with its seven columns"),
    ("ALTER TABLE collections DROP COLUMN base_item CASCADE", "lacks column base_item of table pgstac.collections"),
    (
        "DROP FUNCTION IF EXISTS current_base_item CASCADE; CREATE TABLE IF NOT EXISTS base_items (id int)",
        "keeps versions of base_item in table pgstac.base_items without current_base_item(text)",
    ),
]


@pytest.mark.parametrize(("change", "why"), OTHER_LAYOUTS)
def test_the_layout_decides_the_path(db: Database, change: str, why: str) -> None:
    db.query(change)
    [said] = db.load([], "-v").lines
    assert (said["path"], said["why"]) == ("portable" if why else "fast", why)


def test_the_unreleased_layout(db: Database) -> None:
    """The layout of pgstac's main branch, which also calls itself 0.10: content is split into columns and fragments."""
    db.query("CREATE TABLE item_fragments (id bigint, collection text, hash bytea, content jsonb)")
    db.query("ALTER TABLE items ADD COLUMN fragment_id bigint, ADD COLUMN assets jsonb, DROP COLUMN content CASCADE")
    must_fail(db, "database_unsupported", "unreleased main branch", "item_fragments", "use a released pgstac, 0.8 to 0.10")


def test_a_layout_that_neither_path_knows(db: Database) -> None:
    """Without the column private, published_at has nowhere to go, and a stale message would win."""
    db.query("ALTER TABLE items DROP COLUMN private CASCADE")
    error = must_fail(db, "database_unsupported", "items with id, collection, geometry and private", "0.8 and later")
    assert "extension postgis" not in error and "check_partition" not in error


# ---------------------------------------------------------------- trouble while loading

def test_database_stops_in_the_middle(db: Database) -> None:
    db.add_collection(make_collection("c"), "month")
    lines = [line(make_item("c", f"i{n}", f"2020-{n % 12 + 1:02}-01T00:00:00Z")) for n in range(3000)]
    loading = db.begin_load("-b", "20")
    assert loading.stdin and loading.stdout
    reported: list[str] = []
    reader = threading.Thread(target=reported.extend, args=(loading.stdout,))
    reader.start()
    loading.stdin.write("".join(f"{text}\n" for text in lines[:1500]))
    loading.stdin.flush()
    while not reported:
        time.sleep(0.01)
    db.server.stop()
    try:
        with contextlib.suppress(BrokenPipeError):
            loading.stdin.write("".join(f"{text}\n" for text in lines[1500:]))
            loading.stdin.close()
        reader.join(60)
        assert loading.wait(60) == 1
    finally:
        db.server.start()
    error = loading.stderr.read() if loading.stderr else ""
    assert error.startswith(("database_unavailable (outage): ", "database_refused (outage): ")), error
    stored = db.value("SELECT count(*) FROM items")
    assert 0 < len(reported) <= stored <= len(reported) + 20 < 3000, "the catalog must have everything that was reported, and at most one batch more"
    db.load(lines).must_load()
    assert len(db.rows("c")) == 3000


def test_session_is_ended(db: Database) -> None:
    db.add_collection(make_collection("c"))
    with db.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE collections")
        loading = db.begin_load()
        assert loading.stdin
        loading.stdin.write(line(make_item("c", "i")) + "\n")
        loading.stdin.close()
        loading.stdin = None
        db.wait_for_waiters(1)
        db.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'loader'")
    ended = end_load(loading)
    assert ended.status == 1 and "(outage): " in ended.error and not ended.lines


def test_locked_table(db: Database) -> None:
    """The statement timeout ends each attempt. The messages come again later."""
    db.add_collection(make_collection("c"))
    db.load_items([make_item("c", "there")]).must_load()
    with db.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE items")
        begun = time.monotonic()
        loading = db.load_items([make_item("c", "i"), make_item("c", "there")], "-n", "-s", "1000")
        took = time.monotonic() - begun
    assert loading.status == 0 and loading.results == {"i": "later", "there": "later"}
    assert loading.errors["i"].startswith("database_timeout: ") and "57014" in loading.errors["i"]
    assert took < 4
    assert db.rows("c").keys() == {"there"}


def test_interrupted(db: Database) -> None:
    db.add_collection(make_collection("c"))
    with db.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE collections")
        begun = time.monotonic()
        loading = db.load_items([make_item("c", "i")], "-i", "500")
        assert loading.status == 1 and loading.error.startswith("interrupted (outage): ")
        assert time.monotonic() - begun < 3


@pytest.mark.long
def test_server_falls_silent(db: Database) -> None:
    """The server's machine is gone, so nobody closes the connection. The call's own time limit ends it."""
    db.add_collection(make_collection("c"))
    loading = db.begin_load("-s", "1000")
    assert loading.stdin and loading.stdout
    loading.stdin.write(line(make_item("c", "a")) + "\n")
    deadline = time.monotonic() + 10
    while not (pids := db.query("SELECT pid FROM pg_stat_activity WHERE usename = 'loader'")):
        assert time.monotonic() < deadline
    (pid,) = pids[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        ended = end_load(loading, [line(make_item("c", "b"))])
    finally:
        os.kill(pid, signal.SIGCONT)
    assert ended.status == 1
    assert ended.error.startswith("database_unavailable (outage): the database did not answer within 16 s")


def test_read_only(db: Database) -> None:
    """The server is a standby, after a failover."""
    db.add_collection(make_collection("c"))
    alter = f"ALTER DATABASE {db.name} SET default_transaction_read_only"
    db.query(f"{alter} = on")
    must_fail(db, "database_refused (outage)", "read-only transaction")
    db.server.execute(f"{alter} = off")
    db.load_items([make_item("c", "i")]).must_load()
    db.query(f"{alter} = on")
    must_fail(db, "database_refused (outage)", "read-only transaction", "25006")


def test_a_role_without_the_permission(db: Database) -> None:
    db.add_collection(make_collection("c"))
    must_fail(db, "database_refused (outage)", "permission denied for", "42501", user="reader")


def test_any_client_encoding(db: Database) -> None:
    db.add_collection(make_collection("c"))
    db.server.execute("ALTER ROLE loader SET client_encoding = 'LATIN1'")
    try:
        db.load_items([make_item("c", "日本", **{"x:text": "😀 é"})], client_encoding="SQL_ASCII").must_load()
        db.load_items([make_item("c", "日本語", **{"x:text": "😀 é"})]).must_load()
    finally:
        db.server.execute("ALTER ROLE loader RESET client_encoding")
    assert {name: content["x:text"] for name, content in db.content("c").items()} == {"日本": "😀 é", "日本語": "😀 é"}


def test_any_settings_of_the_role(db: Database) -> None:
    """Each transaction sets what it needs: time zone, date style, search path."""
    db.add_collection(make_collection("c"), "month")
    settings = "-c timezone=Asia/Tokyo -c datestyle=SQL,DMY -c search_path=nowhere -c intervalstyle=sql_standard"
    items = [make_item("c", "a", "2020-01-31T23:00:00Z"), make_item("c", "b", "0001-01-01T00:00:00Z")]
    for _ in range(2):
        db.load_items(items, options=settings).must_load()
    assert sorted(partition[-6:] for [partition] in db.rows("c").values()) == ["000101", "202001"]
    wide = make_item("c", "a", properties={"start_datetime": "2020-01-31T23:00:00Z", "end_datetime": "2030-01-01T00:00:00Z"})
    wide["properties"]["datetime"] = None
    db.query("SELECT update_partition_stats(partition, false) FROM partitions_view")
    db.load_items([wide], options=settings).must_load()
