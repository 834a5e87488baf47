"""itemctl load: an operator's input, the catalog afterwards, and the output."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import random
import re
import signal
import struct
import subprocess
import sys
import termios
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .conftest import Pipeline, item, wait_until

COUNTS = {"read", "inserted", "updated", "stale", "rejected"}
TIMES = {"seconds", "items_per_s", "published_at"}


class Itemctl:
    """Runs the command, with the stack's database in its environment."""

    def __init__(self, program: Path, pipeline: Pipeline, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "AWS_"))} | pipeline.stack.env
        self.started: list[subprocess.Popen[bytes]] = []

    def write(self, name: str, text: str | bytes) -> str:
        path = self.folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    def start(self, *arguments: str | Path, stdin: int = subprocess.PIPE, **env: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        command = [str(self.program), *map(str, arguments)]
        child = subprocess.Popen(command, stdin=stdin, stdout=pipe, stderr=pipe, env=self.env | env, cwd=self.folder)
        self.started.append(child)
        return child

    def run(self, *arguments: str | Path, input: str | bytes = b"", **env: str) -> tuple[int, str, str]:
        child = self.start(*arguments, **env)
        data = input.encode() if isinstance(input, str) else input
        output, error = child.communicate(data, timeout=300)
        assert b"Sanitizer" not in error and b"runtime error" not in error, error.decode()[-8000:]
        return child.returncode, output.decode(), error.decode()

    def load(self, *arguments: str | Path, expect: int = 0, input: str | bytes = b"", **env: str) -> dict[str, Any]:
        """Runs `load items --json`. Returns its summary."""
        status, output, error = self.run("load", "items", "--json", *arguments, input=input, **env)
        assert status == expect, (status, output, error)
        return json.loads(output)

    def rejects(self, name: str = "rejects") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]


@pytest.fixture
def itemctl(pipeline: Pipeline, build: Path, tmp_path: Path) -> Iterator[Itemctl]:
    made = Itemctl(build / "bin" / "itemctl", pipeline, tmp_path)
    yield made
    for child in made.started:
        if child.poll() is None:
            child.kill()
            child.wait()


def lines(items: list[Any]) -> str:
    return "".join(json.dumps(each) + "\n" for each in items)


def error_of(reject: dict[str, Any]) -> str:
    return str(reject["error"]).split(" at line ")[0]


def numbers(pipeline: Pipeline, collection: str = "test") -> dict[str, Any]:
    """properties.number by id. Each id must occur once."""
    rows = pipeline.query(
        "SELECT id, content->'properties'->'number' FROM items WHERE collection = %s", collection
    )
    assert len({name for name, _ in rows}) == len(rows)
    return dict(rows)


# ------------------------------------------------------------------- input forms


def feature_collection(items: list[Any], **options: Any) -> str:
    return json.dumps({"links": [{"rel": "self"}], "type": "FeatureCollection", "features": items, "x": {}}, **options)


FORMS: dict[str, Callable[[list[Any]], str | bytes]] = {
    "ndjson": lines,
    "ndjson, CRLF, empty lines, no last newline": lambda items: "\r\n\r\n".join(json.dumps(each) for each in items),
    "array": json.dumps,
    "array over many lines": lambda items: json.dumps(items, indent=2),
    "FeatureCollection": feature_collection,
    "FeatureCollection over many lines": lambda items: feature_collection(items, indent=1),
    "FeatureCollection, type last": lambda items: json.dumps({"features": items, "type": "FeatureCollection"}),
    "items over many lines": lambda items: "\n".join(json.dumps(each, indent=0) for each in items),
    "gzip": lambda items: gzip.compress(lines(items).encode()),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_from_file_and_stdin(form: str, itemctl: Itemctl, pipeline: Pipeline) -> None:
    text = FORMS[form]([item(number) for number in range(7)])
    summary = itemctl.load(itemctl.write("input", text))
    assert (summary["read"], summary["inserted"]) == (7, 7)
    assert numbers(pipeline) == {f"item-{number}": number for number in range(7)}
    again = itemctl.load("-", input=text)
    assert (again["inserted"], again["updated"]) == (0, 7)


def test_one_item_over_many_lines_and_several_files(itemctl: Itemctl, pipeline: Pipeline) -> None:
    one = itemctl.write("one.json", json.dumps(item(1), indent=4))
    two = itemctl.write("two.json", json.dumps(item(2)))
    assert itemctl.load(one, two, "-", input=lines([item(3), item(4)]))["inserted"] == 4
    assert pipeline.ids() == ["item-1", "item-2", "item-3", "item-4"]


def test_empty_inputs(itemctl: Itemctl) -> None:
    for text in ("", "\n\n", "[]", '{"type": "FeatureCollection", "features": []}'):
        assert itemctl.load("-", input=text)["read"] == 0


def test_collections(itemctl: Itemctl, pipeline: Pipeline) -> None:
    collection = pipeline.query("SELECT content FROM collections WHERE id = 'test'")[0][0]
    text = json.dumps([collection | {"id": "a", "title": "old"}, collection | {"id": "b"}], indent=1)
    status, output, _ = itemctl.run("load", "collections", "--json", itemctl.write("c.json", text))
    assert (status, json.loads(output)["loaded"]) == (0, 2)
    good = itemctl.write("a.json", json.dumps(collection | {"id": "a", "title": "new"}, indent=1))
    bad = itemctl.write("bad.json", lines([{"id": "c", "type": "Collection"}, item(1)]))
    status, output, _ = itemctl.run("load", "collections", "--json", "--rejects", "rejects", good, bad)
    summary = json.loads(output)
    assert (status, summary["loaded"], summary["rejected"]) == (2, 1, 2)
    assert summary["errors"] == {"invalid_collection": 2}
    assert [reject["index"] for reject in itemctl.rejects()] == [0, 1]
    titles = dict(pipeline.query("SELECT id, content->>'title' FROM collections"))
    assert titles == {"test": None, "a": "new", "b": None}
    old = itemctl.write("old.json", json.dumps(collection | {"id": "a", "title": "stale"}))
    status, output, _ = itemctl.run("load", "collections", "--json", "--published-at", "2021-01-01T00:00:00Z", old)
    assert (status, json.loads(output)["loaded"], json.loads(output)["stale"]) == (0, 0, 1)
    assert pipeline.query("SELECT content->>'title' FROM collections WHERE id = 'a'") == [("new",)]


def test_the_same_content_as_by_itemloadd(itemctl: Itemctl, pipeline: Pipeline) -> None:
    ring = [[[0, 0, 1], [0, 1, 1.5], [1, 1, 1], [0, 0, 1]]]
    items = [
        item(1, extra={"null": None, "digits": 12345678901234567890, "text": "é\u4e16 \U0001f600", "deep": [[[{}]]]}),
        item(2, geometry={"type": "Polygon", "coordinates": ring}, bbox=None),
        item(3, properties={"datetime": None, "start_datetime": "2020-01-01T00:00:00.123+05:00",
                            "end_datetime": "2020-02-01T00:00:00Z"}),
    ]
    everything = "SELECT id, geometry::text, datetime, end_datetime, content::text FROM items ORDER BY id"
    assert itemctl.load("-", input=lines(items))["inserted"] == 3
    ours = pipeline.query(everything)
    pipeline.db.execute("DELETE FROM items")
    pipeline.publish_items(items)
    pipeline.start("itemloadd")
    wait_until("the items are loaded", lambda: len(pipeline.ids()) == 3)
    assert pipeline.query(everything) == ours


# ------------------------------------------------------------------------- rejects


def test_rejects_are_named_corrected_and_loaded_again(itemctl: Itemctl, pipeline: Pipeline) -> None:
    broken = json.dumps(item(3))
    texts = [
        json.dumps(item(0)),
        json.dumps(item(1, geometry=None)),
        json.dumps(item(2, collection="nowhere")),
        broken[:-20],
        '{"id": "\\u0000"}',
        "42",
        json.dumps(item(6, extra=1.10))[:-1] + ', "long": 1.10000000000000000000000001}',
        json.dumps(item(7, type="Feat")),
    ]
    path = itemctl.write("items.ndjson", ("\n".join(texts) + "\n").encode() + b'{"id": "\xff"}\n')
    summary = itemctl.load("--rejects", "rejects", path, expect=2)
    assert (summary["read"], summary["inserted"], summary["rejected"]) == (9, 2, 7)
    assert summary["errors"] == {"invalid_item": 3, "missing_collection": 1, "invalid_json": 3}
    rejects = sorted(itemctl.rejects(), key=lambda reject: reject["line"])
    assert [(reject["line"], reject["index"]) for reject in rejects] == [(i + 1, i) for i in (1, 2, 3, 4, 5, 7, 8)]
    assert all(reject["file"] == path and reject["error"] and reject["error_code"] for reject in rejects)
    assert rejects[0]["item"] == item(1, geometry=None) and "geometry" in rejects[0]["error"]
    assert rejects[2]["text"] == broken[:-20] and rejects[6]["text"] == '{"id": "?"}'
    # Loading the rejects without a change rejects them for the same reasons, with the same output. (Text that was not
    # UTF-8 is valid text now.)
    itemctl.write("rejects", lines(rejects[:6]))
    assert itemctl.load("--rejects", "again", "rejects", expect=2)["errors"] == summary["errors"] | {"invalid_json": 2}
    # The place in the file differs, because each has its own line now.
    kept = [{k: v for k, v in r.items() if k in ("error_code", "item", "text")} | {"error": error_of(r)} for r in rejects[:6]]
    again = [{k: v for k, v in r.items() if k in ("error_code", "item", "text")} | {"error": error_of(r)} for r in itemctl.rejects("again")]
    assert sorted(map(str, again)) == sorted(map(str, kept))
    # Corrected: one in its item, one in its text.
    rejects[1]["item"]["collection"] = "test"
    rejects[2]["text"] = broken
    assert itemctl.load(itemctl.write("corrected", lines(rejects[1:3])))["inserted"] == 2
    assert numbers(pipeline) == {"item-0": 0, "item-2": 2, "item-3": 3, "item-6": 6}


def test_without_a_file_rejects_are_reported(itemctl: Itemctl) -> None:
    path = itemctl.write("items.ndjson", lines([item(n, geometry=None) for n in range(30)] + [item(99)]))
    status, output, error = itemctl.run("load", "items", path)
    assert status == 2 and re.search(r"^31 items read in .*: 1 inserted, .* 30 rejected$", output, re.M)
    assert "  invalid_item: 30\n" in output
    assert re.search(rf"{path}:\d+: invalid_item: ", error) and len(error.splitlines()) == 10 and "--rejects" in error


@pytest.mark.parametrize("text", ["[{0},{1}", "[{0},{1},]", "[{0} {1}]", "[{0},{1}]]", '{{"features":[{0},{1}'])
def test_a_broken_array_ends_its_file_only(text: str, itemctl: Itemctl, pipeline: Pipeline) -> None:
    path = itemctl.write("broken.json", text.format(json.dumps(item(0)), json.dumps(item(1))))
    summary = itemctl.load("--rejects", "rejects", path, itemctl.write("good.json", lines([item(2)])), expect=2)
    assert summary["errors"] == {"invalid_json": 1}
    (reject,) = itemctl.rejects()
    assert reject["file"] == path and reject["line"] == 1
    assert {"item-0", "item-2"} <= set(pipeline.ids())


def test_missing_collections(itemctl: Itemctl, pipeline: Pipeline) -> None:
    path = itemctl.write("items", lines([item(1, collection="new"), item(2, collection="new")]))
    assert itemctl.load(path, expect=2)["errors"] == {"missing_collection": 2}
    assert itemctl.load("--missing-collection", "create", path)["inserted"] == 2
    retrying = itemctl.start("load", "items", "--missing-collection=retry", "-")
    assert retrying.stdin
    retrying.stdin.write(lines([item(3, collection="late")]).encode())
    retrying.stdin.flush()
    started = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'itemctl' AND query_start IS NOT NULL"
    wait_until("itemctl has looked for the collection", lambda: pipeline.query(started))
    pipeline.add_collection("late")
    retrying.communicate(timeout=60)
    assert retrying.returncode == 0 and pipeline.ids("late") == ["item-3"]


# ------------------------------------------------------------------------ versions


@pytest.mark.parametrize("jobs", [1, 4])
def test_the_last_version_in_the_input_wins(jobs: int, itemctl: Itemctl, pipeline: Pipeline) -> None:
    """The versions of an item are in different batches, and written in different ways."""
    made = []
    for version in range(12):
        for number in range(401):
            text = json.dumps(item(version) | {"id": f"item-{number}"})
            if version % 3 == 1:
                text = text.replace(f'"item-{number}"', f'"\\u0069tem-{number}"').replace('"test"', '"te\\u0073t"')
            if version % 3 == 2:
                text = '{"error_code": "x", "error": "y", "item": ' + text + "}"
            made.append(text)
    summary = itemctl.load(f"--jobs={jobs}", "-", input="\n".join(made))
    assert summary["read"] == 4812 and summary["inserted"] == 401 and summary["rejected"] == 0
    assert numbers(pipeline) == {f"item-{number}": 11 for number in range(401)}


def test_an_older_version_is_loaded_if_the_newest_cannot_be(itemctl: Itemctl, pipeline: Pipeline) -> None:
    """Both pass the checks; only the database notices that the second cannot be stored."""
    marked = item(2, id="item-1", extra="\U0001235f\u203b")
    summary = itemctl.load("-", input=lines([item(1), marked]), expect=2)
    assert (summary["inserted"], summary["stale"], summary["rejected"]) == (1, 0, 1)
    assert numbers(pipeline) == {"item-1": 1}


def test_a_newer_version_in_the_catalog_stays(itemctl: Itemctl, pipeline: Pipeline) -> None:
    assert itemctl.load("--published-at", "2021-01-01T00:00:00Z", "-", input=lines([item(1)]))["published_at"] == 1609459200000
    older = itemctl.load("--published-at", "1609459199999", "-", input=lines([item(2, id="item-1"), item(2)]))
    assert (older["stale"], older["inserted"]) == (1, 1)
    assert numbers(pipeline) == {"item-1": 1, "item-2": 2}
    assert itemctl.load("-", input=lines([item(3, id="item-1")]))["updated"] == 1


# -------------------------------------------------------------------------- output


def test_the_summary_as_json(itemctl: Itemctl) -> None:
    summary = itemctl.load("-", input=lines([item(1), item(2, geometry=None)]), expect=2)
    assert set(summary) == COUNTS | TIMES | {"command", "complete", "errors"}
    assert summary["command"] == "load items" and summary["complete"] is True
    assert summary["read"] == sum(summary[name] for name in COUNTS - {"read"}) == 2
    assert abs(summary["published_at"] - time.time() * 1000) < 600_000


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "Usage: itemctl"),
        (["lead"], "unknown command 'lead'"),
        (["load"], "expected 'items' or 'collections'"),
        (["load", "things", "x"], "got things"),
        (["load", "items"], "expected a FILE"),
        (["load", "items", "-", "-"], "only once"),
        (["load", "items", "--jobs=0", "x"], "--jobs"),
        (["load", "items", "--published-at=yesterday", "x"], "--published-at"),
        (["load", "items", "--missing-collection=drop", "x"], "--missing-collection"),
        (["load", "items", "--checkpoint-interval=0s", "x"], "--checkpoint-interval"),
        (["load", "items", "--frobnicate", "x"], "itemctl load: unrecognized option"),
    ],
)
def test_wrong_usage(arguments: list[str], expected: str, itemctl: Itemctl) -> None:
    status, output, error = itemctl.run(*arguments)
    assert (status, output) == (64, "") and expected in error


def test_loads_that_cannot_start(itemctl: Itemctl, pipeline: Pipeline) -> None:
    good = itemctl.write("good", lines([item(1)]))
    (itemctl.folder / "link").symlink_to("good")
    for arguments, env, expected in [
        (["nowhere"], {}, "nowhere: No such file"),
        ([str(itemctl.folder)], {}, "Is a directory"),
        (["--rejects", "no/such/folder", good], {}, "no/such/folder"),
        (["--rejects", good, good], {}, "is also an input"),
        (["--rejects", "link", good], {}, "is also an input"),
        ([good], {"PGPASSWORD": "wrong"}, "database_auth"),
        ([good], {"PGDATABASE": "postgres"}, "database_unsupported"),
        (["--no-wait", good], {"PGPORT": "1"}, "database_unavailable"),
        (["--secret", "nowhere", good], {}, "nowhere"),
    ]:
        status, _, error = itemctl.run("load", "items", *arguments, **env)
        assert status == 1 and expected in error, (arguments, error)
    assert pipeline.ids() == []


def test_the_database_of_a_secret(itemctl: Itemctl, pipeline: Pipeline) -> None:
    secret = pipeline.stack.env["PGSTAC_SECRET_ARN"]
    nowhere = {"PGHOST": "127.0.0.1", "PGPORT": "1", "PGPASSWORD": "wrong", "PGSSLMODE": "disable"}
    assert itemctl.load("--secret", secret, "-", input=lines([item(1)]), **nowhere)["inserted"] == 1


def on_terminal(itemctl: Itemctl, **env: str) -> str:
    """The output on a terminal of 120 columns, while items arrive slowly from a file that is not complete yet."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    path = itemctl.write("items", lines([item(number) for number in range(3000)]))
    command = [str(itemctl.program), "load", "items", path]
    environment = {k: v for k, v in itemctl.env.items() if k != "NO_COLOR"} | {"TERM": "xterm"} | env
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    itemctl.started.append(child)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert child.communicate(timeout=60)[0] and child.returncode == 0
    return shown.decode()


def test_progress_on_a_terminal(itemctl: Itemctl) -> None:
    shown = on_terminal(itemctl)
    frames = shown.split("\r\x1b[K")
    assert len(frames) > 2 and frames[-1] == ""  # the summary has its own line
    plain = [re.sub(r"\x1b\[\d+m", "", frame) for frame in frames[1:-1]]
    shape = r"[#-]{24} +\d+%  \d+ done  \d+/s(  ETA \d+:\d\d)?"
    assert all(re.fullmatch(shape, frame) and len(frame) < 120 for frame in plain), plain
    assert "\x1b[32m" in shown
    assert "\x1b[32m" not in on_terminal(itemctl, NO_COLOR="1")
    assert on_terminal(itemctl, TERM="dumb") == ""


def test_no_progress_elsewhere(itemctl: Itemctl) -> None:
    status, _, error = itemctl.run("load", "items", "-", input=lines([item(n) for n in range(2500)]), TERM="xterm")
    assert (status, error) == (0, "")


# ----------------------------------------------------------------------- resuming


def open_load(itemctl: Itemctl, pipeline: Pipeline, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts a load from stdin. Its first item is loaded, and more may come."""
    child = itemctl.start("load", "items", "--json", *arguments, "-")
    assert child.stdin
    child.stdin.write(lines([item(1)]).encode())
    child.stdin.flush()
    wait_until("the first item is loaded", lambda: "item-1" in pipeline.ids())
    return child


class Outage:
    """The database refuses connections, and ends existing ones."""

    def __init__(self, pipeline: Pipeline) -> None:
        env = pipeline.stack.env
        self.name = env["PGDATABASE"]
        self.db = psycopg.connect(
            host=env["PGHOST"], port=env["PGPORT"], dbname="postgres", user=env["PGUSER"], password=env["PGPASSWORD"],
            autocommit=True,
        )

    def __enter__(self) -> Outage:
        self.db.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false")
        self.db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'itemctl'")
        return self

    def __exit__(self, *_: object) -> None:
        self.db.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")
        self.db.close()


def read_until(child: subprocess.Popen[bytes], expected: str) -> str:
    assert child.stderr
    read = ""
    while expected not in read:
        line = child.stderr.readline().decode()
        assert line, read
        read += line
    return read


def test_a_load_waits_while_the_database_is_down(itemctl: Itemctl, pipeline: Pipeline) -> None:
    child = open_load(itemctl, pipeline)
    with Outage(pipeline):
        output = lines([item(number) for number in range(2, 1500)])
        child.stdin.write(output.encode())  # type: ignore[union-attr]
        child.stdin.close()  # type: ignore[union-attr]
        child.stdin = None
        read_until(child, "waiting for the database")
    output, error = child.communicate(timeout=120)
    assert child.returncode == 0 and b"the database is available again" in error
    assert json.loads(output)["read"] == 1499 and len(pipeline.ids()) == 1499


def test_an_outage_ends_a_load_with_no_wait(itemctl: Itemctl, pipeline: Pipeline) -> None:
    child = open_load(itemctl, pipeline, "--no-wait", "--checkpoint", "checkpoint")
    with Outage(pipeline):
        output, error = child.communicate(lines([item(2)]).encode(), timeout=60)
    assert child.returncode == 1 and json.loads(output)["complete"] is False
    assert b"database_unavailable" in error and b"to continue from checkpoint" in error
    assert pipeline.ids() == ["item-1"]


def test_ctrl_c_finishes_work_in_progress(itemctl: Itemctl, pipeline: Pipeline) -> None:
    text = lines([item(number) for number in range(1, 500)])
    path = itemctl.folder / "fifo"
    os.mkfifo(path)
    arguments = ["load", "items", "--json", "--checkpoint", "checkpoint", str(path)]
    child = itemctl.start(*arguments)
    with path.open("wb") as fifo:
        fifo.write(lines([item(number) for number in range(1, 200)]).encode())
        fifo.flush()
        wait_until("the first items are loaded", lambda: len(pipeline.ids()) > 0)
        child.send_signal(signal.SIGINT)
        output, error = child.communicate(timeout=60)
    summary = json.loads(output)
    assert child.returncode == 1 and summary["complete"] is False
    assert summary["read"] == len(pipeline.ids()) and b"to continue from checkpoint" in error
    child = itemctl.start(*arguments)
    with path.open("wb") as fifo:
        fifo.write(text.encode())
    output, error = child.communicate(timeout=60)
    again = json.loads(output)
    assert child.returncode == 0 and b"continuing from checkpoint" in error
    assert again["read"] == again["inserted"] == 499 and again["published_at"] == summary["published_at"]
    assert len(pipeline.ids()) == 499 and not (itemctl.folder / "checkpoint").exists()


def test_ctrl_c_while_no_input_arrives(itemctl: Itemctl) -> None:
    path = itemctl.folder / "fifo"
    os.mkfifo(path)
    for source in (str(path), "-"):
        child = itemctl.start("load", "items", source)
        blocked = lambda: "signalfd" in str([os.readlink(fd) for fd in Path(f"/proc/{child.pid}/fd").iterdir()])  # noqa: B023, E731
        wait_until("it reads signals", blocked)
        child.send_signal(signal.SIGINT)
        read_until(child, "stopping after")
        assert child.wait(60) == 1


def test_two_signals_end_a_load_at_once(itemctl: Itemctl, pipeline: Pipeline) -> None:
    child = open_load(itemctl, pipeline)
    password = pipeline.stack.env["PGPASSWORD"]
    with psycopg.connect(pipeline.db.info.dsn, password=password) as other:
        other.execute("LOCK TABLE items")
        child.stdin.write(lines([item(2)]).encode())  # type: ignore[union-attr]
        child.stdin.flush()  # type: ignore[union-attr]
        blocked = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'itemctl' AND wait_event_type = 'Lock'"
        wait_until("it waits for the lock", lambda: pipeline.query(blocked))
        child.send_signal(signal.SIGINT)
        read_until(child, "stopping after")
        child.send_signal(signal.SIGTERM)
        _, error = child.communicate(timeout=60)
    assert child.returncode == 1 and b"interrupted" in error
    assert pipeline.ids() == ["item-1"]


def test_a_checkpoint_is_for_its_own_load(itemctl: Itemctl, pipeline: Pipeline) -> None:
    path = itemctl.write("items", lines([item(number) for number in range(10)]))
    mark = itemctl.folder / "checkpoint"
    status, _, _ = itemctl.run("load", "items", "--checkpoint", mark, "--no-wait", path, PGPORT="1")
    assert status == 1 and not mark.exists()  # nothing was done, so there is nothing to remember
    mark.write_text('{"command": "something else"}')
    other = itemctl.write("other", lines([item(1)]))
    child = open_load(itemctl, pipeline, "--checkpoint", "mine", "--checkpoint-interval", "10ms", other)
    wait_until("a checkpoint exists", (itemctl.folder / "mine").exists)
    child.kill()
    child.communicate()
    for arguments, expected in [
        (["items", "--checkpoint", "checkpoint", path], "not a checkpoint of itemctl"),
        (["items", "--checkpoint", "mine", path], "of a load of other files"),
        (["items", "--checkpoint", "mine", other], "of a load of other files"),
        (["items", "--checkpoint", "mine", "--published-at", "1", other, "-"], "another --published-at"),
        (["collections", "--checkpoint", "mine", other, "-"], "another command"),
    ]:
        status, _, error = itemctl.run("load", *arguments)
        assert status == 1 and expected in error, error
    itemctl.write("other", lines([item(1), item(2)]))
    status, _, error = itemctl.run("load", "items", "--checkpoint", "mine", other, "-")
    assert status == 1 and "has changed since" in error


KILL_FORMS = ["ndjson", "array over many lines", "FeatureCollection", "gzip"]


@pytest.mark.parametrize("form", KILL_FORMS)
def test_killed_at_any_moment_and_run_again(form: str, itemctl: Itemctl, pipeline: Pipeline) -> None:
    seed = int(os.environ.get("SEED", "0")) or random.randrange(1, 1 << 30)
    print(f"SEED={seed}")
    chance = random.Random(seed)
    made = [item(chance.randrange(3000)) | {"n": n} for n in range(6000)]
    for n, each in enumerate(made):
        each["properties"]["number"] = n
        if n % 5 == 3:
            each["geometry"] = None
    good = {each["id"]: n for n, each in enumerate(made) if each["geometry"]}
    first = itemctl.write("first", FORMS[form](made[:4000]))
    second = itemctl.write("second", FORMS[form](made[4000:]))
    arguments = ["load", "items", "--json", "--checkpoint", "mark", "--checkpoint-interval", "50ms", "--rejects", "rejects"]
    mark = itemctl.folder / "mark"
    kills = 0
    ended = False
    while not ended:
        found = mark.exists()  # only kill it if it did something since the last kill, and not at its end
        child = itemctl.start(*arguments, first, second, stdin=subprocess.DEVNULL)
        if kills % 2:  # so that it makes progress: wait for a newer checkpoint
            before = mark.stat().st_mtime_ns if mark.exists() else 0
            newer = lambda: child.poll() is not None or (mark.exists() and mark.stat().st_mtime_ns != before)  # noqa: B023, E731
            wait_until("a checkpoint is written, or it has exited", newer)
        try:
            output, error = child.communicate(timeout=chance.uniform(0, 0.3) if kills < 8 else 120)
            ended = True
        except subprocess.TimeoutExpired:
            child.kill()
            output, error = child.communicate()
        assert (b"continuing from checkpoint" in error) == found or not (ended or kills % 2), error
        kills += 1
    summary = json.loads(output)
    assert child.returncode == 2, error
    assert numbers(pipeline) == good
    assert (summary["read"], summary["rejected"]) == (6000, 1200)
    assert sorted(reject["item"]["n"] for reject in itemctl.rejects()) == list(range(3, 6000, 5))
    assert not mark.exists()


# --------------------------------------------------------------------------- size


# Runs in a small process's child: ru_maxrss of a direct child would begin with the memory of its parent at the fork.
MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.skipif("build/san" in os.environ.get("BUILD", ""), reason="sanitizers use more memory")
def test_memory_does_not_grow_with_compressed_input(itemctl: Itemctl) -> None:
    """One line of 300 MB, which is 300 KB compressed, is rejected. The documents after it are loaded."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(lines([item(1)]).encode() + b'{"a": "')]
    parts += [packer.compress(b"x" * 1_000_000) for _ in range(300)]
    parts.append(packer.compress(b'"}\n' + lines([item(2)]).encode()) + packer.flush())
    path = itemctl.write("bomb.gz", b"".join(parts))
    assert Path(path).stat().st_size < 1_000_000
    assert peak_mib(itemctl, path, 3, status=2) < 300


def peak_mib(itemctl: Itemctl, path: str, count: int, status: int = 0) -> float:
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, str(itemctl.program), "load", "items", "--json", path],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=itemctl.env,
    )
    assert result.returncode == status and json.loads(result.stdout)["read"] == count
    return int(result.stderr.split()[-1]) / 1024


def write_large(itemctl: Itemctl, form: str, count: int) -> str:
    """Writes items of 3 KB."""
    before, between, after = {"ndjson": ("", "\n", "\n"), "array": ("[", ",\n", "]\n")}[form]
    path = itemctl.folder / "large"
    padding = {f"property:{k}": f"a value of the property {k}" for k in range(50)}
    with path.open("w") as file:
        file.write(before)
        for number in range(count):
            made = item(number, properties={"datetime": "2021-01-01T00:00:00Z", "number": number} | padding)
            file.write((between if number else "") + json.dumps(made))
        file.write(after)
    return str(path)


@pytest.mark.skipif("build/san" in os.environ.get("BUILD", ""), reason="sanitizers use more memory")
def test_memory_does_not_grow_with_the_input(itemctl: Itemctl) -> None:
    assert peak_mib(itemctl, write_large(itemctl, "array", 8000), 8000) < 128


@pytest.mark.skipif(not os.environ.get("LONG"), reason="a long test: LONG=1 runs it")
@pytest.mark.parametrize("form", ["ndjson", "array"])
def test_memory_of_300_mb(form: str, itemctl: Itemctl) -> None:
    path = write_large(itemctl, form, 130_000)
    assert Path(path).stat().st_size > 300_000_000
    assert peak_mib(itemctl, path, 130_000) < 128
