"""
One run of a loader, ours or a peer's: start it, wait until it is ready, let it go, and collect its answer and CPU
times.
"""

import json
import pickle
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import items, machine
from bench.database import Server
from local import environment

ROOT = Path(__file__).resolve().parent.parent
PEER_PYTHON = ROOT / "build" / "bench" / "venv" / "bin" / "python"
BATCH = 1000
RUN_TIMEOUT_S = 1800


def peer_python(pgstac: str) -> Path:
    """The Python whose pypgstac has this version; "": the version in bench/requirements.txt."""
    return PEER_PYTHON.parents[2] / f"venv-{pgstac}" / "bin" / "python" if pgstac else PEER_PYTHON


@dataclass(frozen=True)
class Programs:
    load: Path  # our loader
    python: Path = PEER_PYTHON  # the peers' Python


@dataclass(frozen=True)
class Contender:
    label: str
    kind: str  # "ours", or a KIND of peer.py
    at_once: int = 1  # our connections, or a peer's processes
    share: float = 1  # part of the case's items; a slow contender gets fewer


@dataclass
class Run:
    items: int
    stored: int  # number of rows in the database afterwards
    seconds: float
    client_cpu_s: float
    database_cpu_s: float
    busy: float  # share of all cores that any process on this machine used during the run
    errors: list[str] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)  # ours only: parse, load and statistics, in seconds
    only_stored: bool = False  # count only stored items in the rate: refused ones say nothing about it

    @property
    def rate(self) -> float:
        return (self.stored if self.only_stored else self.items) / self.seconds


class Inputs:
    """A case's items in each contender's format, in files that are written once."""

    def __init__(self, folder: Path, name: str, made: Sequence[dict[str, Any]]) -> None:
        self._folder = folder
        self._name = name
        self.items = made

    def _file(self, kind: str, n: int, part: str = "") -> Path:
        return self._folder / f"{self._name}-{kind}-{n}{part}"

    def lines(self, n: int) -> Path:
        path = self._file("items", n)
        if not path.exists():
            path.write_text(items.lines(self.items[:n]), encoding="utf-8")
        return path

    def bodies(self, n: int) -> Path:
        path = self._file("bodies", n)
        if not path.exists():
            path.write_text("".join(envelope(item) + "\n" for item in self.items[:n]), encoding="utf-8")
        return path

    def prepared(self, n: int) -> Path:
        return self._file("rows", n)

    def prepare(self, server: Server, database: str, n: int) -> None:
        """The rows of the first n items in `database`, batch by batch, in COPY's binary format."""
        columns = "id, geometry, collection, datetime, end_datetime, content, private"
        batches = []
        with server.connect(database) as connection:
            for first in range(0, n, BATCH):
                ids = [item["id"] for item in self.items[first : min(first + BATCH, n)]]
                found = connection.execute(
                    "SELECT DISTINCT tableoid::regclass::text FROM items WHERE id = ANY(%s) ORDER BY 1", [ids]
                )
                names = [row[0].removeprefix("pgstac.") for row in found]
                parts = {name: copied_out(connection, f"{columns} FROM pgstac.{name}", ids) for name in names}
                whole = f"tableoid::regclass::text AS partition, {columns} FROM items"
                batches.append({"all": copied_out(connection, whole, ids), "partitions": parts})
        self.prepared(n).write_bytes(pickle.dumps(batches))

    def split(self, path: Path, parts: int) -> list[Path]:
        """Divides the batches of a file of lines among `parts` processes."""
        if parts == 1:
            return [path]
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        files = []
        for part in range(parts):
            file = path.with_name(f"{path.name}-{part}of{parts}")
            mine = [line for i, line in enumerate(lines) if i // BATCH % parts == part]
            file.write_text("".join(mine), encoding="utf-8")
            files.append(file)
        return files


def copied_out(connection: Any, select: str, ids: list[str]) -> bytes:
    with connection.cursor() as cursor:
        statement = f"COPY (SELECT {select} WHERE id = ANY(%s)) TO STDOUT (FORMAT binary)"
        with cursor.copy(statement, [ids]) as copy:
            return b"".join(bytes(block) for block in copy)


def envelope(item: dict[str, Any]) -> str:
    """A notification in SNS's envelope, as a queue without raw delivery gets it."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "00000000-0000-0000-0000-000000000000",
            "TopicArn": "arn:aws:sns:us-west-2:123456789012:ItemLoadTopic",
            "Message": json.dumps(item),
            "Timestamp": "2024-02-03T04:05:06.789Z",
            "SignatureVersion": "1",
            "Signature": "c2lnbmF0dXJl" * 28,
            "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-0.pem",
            "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=arn",
        }
    )


def commands(
    contender: Contender, inputs: Inputs, n: int, keywords: dict[str, str], programs: Programs, published_at: int
) -> list[list[str]]:
    if contender.kind == "ours":
        words = [f"{name}={value}" for name, value in keywords.items()]
        options = ["-j", str(contender.at_once), "-b", str(BATCH), "-p", str(published_at)]
        return [[str(programs.load), *options, str(inputs.lines(n)), *words]]
    if contender.kind.startswith("copy"):
        files = [inputs.prepared(n)]
    else:
        whole = inputs.bodies(n) if contender.kind == "original" else inputs.lines(n)
        files = inputs.split(whole, contender.at_once)
    peer = [str(programs.python), str(ROOT / "bench" / "peer.py")]
    return [[*peer, contender.kind, json.dumps(keywords), str(file)] for file in files]


class Contest:
    """Starts programs and waits until they have read their input."""

    def __init__(self, argvs: Sequence[Sequence[str]], settings: Mapping[str, str] | None = None) -> None:
        pipe = subprocess.PIPE
        env = environment.for_tools() | dict(settings or {})
        self._children = [subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, env=env) for argv in argvs]
        try:
            for child in self._children:
                assert child.stdout
                if child.stdout.readline().strip() != "ready":
                    raise RuntimeError(f"{child.args} exited with {child.wait()} before it was ready")
        except BaseException:
            self.end()
            raise

    def go(self) -> list[dict[str, Any]]:
        try:
            for child in self._children:
                assert child.stdin
                child.stdin.write("go\n")
                child.stdin.flush()
            answers = []
            for child in self._children:
                output, _ = child.communicate(timeout=RUN_TIMEOUT_S)
                if child.returncode != 0:
                    raise RuntimeError(f"{child.args} exited with {child.returncode}")
                answers.append(json.loads(output))
            return answers
        finally:
            self.end()

    def end(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.kill()
                child.wait()


def measure(server: Server, database: str, argvs: Sequence[Sequence[str]], n: int) -> Run:
    before = server.count(database)
    contest = Contest(argvs)
    cpu, busy, began = server.cpu_seconds(), machine.busy_seconds(), time.monotonic()
    answers = contest.go()
    lasted = time.monotonic() - began
    ours = answers[0] if "parse_seconds" in answers[0] else {}
    errors = [error for answer in answers for error in answer.get("errors", [])]
    if ours.get("failed"):
        errors.append(f"{ours['failed']} items failed, one of them: {ours['error'][:200]}")
    return Run(
        items=n,
        stored=server.count(database) - before,
        seconds=max(answer["seconds"] for answer in answers),
        client_cpu_s=sum(answer["cpu_seconds"] for answer in answers),
        database_cpu_s=server.cpu_seconds() - cpu,
        busy=min(1, (machine.busy_seconds() - busy) / lasted / len(machine.cores())),
        errors=errors,
        parts={name: ours[f"{name}_seconds"] for name in ("parse", "load", "statistics") if ours},
    )
