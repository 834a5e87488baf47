"""The queue client's case: ours, boto3 and Go's SDK receive, parse and delete messages from a fast local queue."""

import http.client
import json
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import items, machine
from bench.contest import PEER_PYTHON, ROOT, Contest
from local import environment
from local.cloud import REGION
from local.postgres import free_port

FOLDER = ROOT / "build" / "bench"
MESSAGES = 20000
ATTEMPTS = 3
KEY_ID = "AKIAEXAMPLEEXAMPLE00"
# The server checks no signature. Clients need keys to sign with, and must not look for them elsewhere.
ACCOUNT = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": KEY_ID,
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


class QueueServer:
    """One server. Requests are sent without a valid signature, because the time to fill the queue is not measured."""

    def __init__(self, child: "subprocess.Popen[Any]", port: int) -> None:
        self._child = child
        self.url = f"http://127.0.0.1:{port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def cpu_seconds(self) -> float:
        return machine.cpu_seconds(self._child.pid)

    def pin(self, cores: Sequence[int]) -> None:
        machine.pin(self._child.pid, cores)

    def call(self, operation: str, **members: Any) -> dict[str, Any]:
        head = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AmazonSQS.{operation}",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20240203/{REGION}/sqs/aws4_request",
        }
        self._connection.request("POST", "/", json.dumps(members), head)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{operation}: {answer.status} {text[:300]!r}")
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def make(self, name: str, **attributes: str) -> str:
        """The queue's URL, with the address instead of the name that the server gives itself."""
        made = self.call("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]
        return self.url + urlsplit(made).path

    def attribute(self, queue_url: str, name: str) -> str:
        return str(self.call("GetQueueAttributes", QueueUrl=queue_url, AttributeNames=[name])["Attributes"][name])

    def fill(self, queue_url: str, bodies: Sequence[str]) -> None:
        for first in range(0, len(bodies), 10):
            entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies[first : first + 10])]
            sent = self.call("SendMessageBatch", QueueUrl=queue_url, Entries=entries)
            if len(sent["Successful"]) != len(entries):
                raise RuntimeError(f"the queue did not accept the whole batch: {sent}")


def fauxqs_problem() -> str:
    return "" if shutil.which("npm") else "npm is not installed: the queue's cases are left out"


@contextmanager
def fauxqs() -> Iterator[QueueServer]:
    program = FOLDER / "fauxqs"
    node = program / "node_modules" / "node" / "bin" / "node"
    argv = [str(node), "--no-warnings", str(program / "server.mjs")]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment.for_tools())
    try:
        assert child.stdout
        yield QueueServer(child, int(child.stdout.readline()))
    finally:
        child.terminate()
        child.wait()


@contextmanager
def elasticmq() -> Iterator[QueueServer]:
    port = free_port()
    config = ROOT / "bench" / "elasticmq" / "server.conf"
    settings = [f"-Dconfig.file={config}", f"-Drest-sqs.bind-port={port}"]
    argv = ["java", "-Xmx1g", *settings, "-cp", f"{FOLDER}/elasticmq/*", "org.elasticmq.server.Main"]
    with (FOLDER / "elasticmq.log").open("w") as log:
        child = subprocess.Popen(argv, stdout=log, stderr=log, env=environment.for_tools())
    try:
        wait_for(port, child)
        yield QueueServer(child, port)
    finally:
        child.terminate()
        child.wait()


def wait_for(port: int, child: "subprocess.Popen[Any]") -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{child.args} does not start") from None
            time.sleep(0.1)


def has_elasticmq() -> bool:
    return bool(shutil.which("java") and shutil.which("mvn"))


@dataclass(frozen=True)
class Client:
    label: str
    argv: tuple[str, ...]  # before the queue's URL


def clients(programs: Path) -> list[Client]:
    boto3 = (str(PEER_PYTHON), str(ROOT / "bench" / "receive.py"))
    found = [
        Client("ours, 8 receives at once", (str(programs / "bench" / "receive"), "-j", "8")),
        Client("ours, 1 receive", (str(programs / "bench" / "receive"), "-j", "1")),
    ]
    if shutil.which("go"):
        found.append(Client("Go's SDK, 8 goroutines", (str(FOLDER / "receive-go"), "8")))
    return [*found, Client("boto3, 4 threads", (*boto3, "4"))]


# By case.
SERVERS: dict[str, tuple[str, Callable[[], AbstractContextManager[QueueServer]]]] = {
    "queue": ("fauxqs", fauxqs),
    "elasticmq": ("ElasticMQ", elasticmq),
}


def run_once(
    start: Callable[[], AbstractContextManager[QueueServer]], client: Client, bodies: Sequence[str]
) -> dict[str, Any]:
    with start() as server:
        queue_url = server.make("bench", VisibilityTimeout="600")
        server.fill(queue_url, bodies)
        contest = Contest([[*client.argv, queue_url, str(len(bodies))]], ACCOUNT)
        cpu = server.cpu_seconds()
        answer = contest.go()[0]
        answer["queue_cpu_seconds"] = server.cpu_seconds() - cpu
    if answer["messages"] != len(bodies):
        raise RuntimeError(f"{answer['messages']} of {len(bodies)} messages")
    return answer


def run_patiently(
    start: Callable[[], AbstractContextManager[QueueServer]],
    client: Client,
    bodies: Sequence[str],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """If a receive's answer is lost, its messages stay invisible for a while. The run then has no result."""
    for attempt in range(ATTEMPTS):
        try:
            return run_once(start, client, bodies)
        except RuntimeError as error:
            if attempt + 1 == ATTEMPTS:
                raise
            say(f"{client.label}: once more, for {error}")
    raise AssertionError


def run_queue(case: str, programs: Path, messages: int, repeat: int, say: Callable[[str], None]) -> dict[str, Any]:
    name, start = SERVERS[case]
    bodies = items.lines(items.make_items(messages, n_derived=0)).splitlines()
    ready = clients(programs)
    found: dict[str, list[dict[str, Any]]] = {client.label: [] for client in ready}
    for _ in range(repeat):
        for client in ready:
            answer = run_patiently(start, client, bodies, say)
            found[client.label].append(answer)
            say(f"{case}: {client.label}: {messages / answer['seconds']:.0f} messages/s")
    first = found[ready[0].label]
    size = sum(map(len, bodies)) / len(bodies)
    return {
        "case": case,
        "title": f"{messages} messages of {size:.0f} bytes received, parsed and deleted from {name}",
        "unit": "messages/s",
        "rows": [summary(label, messages, runs, first) for label, runs in found.items()],
    }


def summary(label: str, n: int, runs: Sequence[dict[str, Any]], first: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rates = [n / run["seconds"] for run in runs]
    return {
        "label": label,
        "rate": statistics.median(rates),
        "rate_min": min(rates),
        "rate_max": max(rates),
        "ratio": statistics.median([n / run["seconds"] for run in first]) / statistics.median(rates),
        "client_cpu_s": statistics.median([run["cpu_seconds"] for run in runs]) * 1000 / n,
        "queue_cpu_s": statistics.median([run["queue_cpu_seconds"] for run in runs]) * 1000 / n,
        "peak_mib": max(run["peak_kib"] for run in runs) / 1024,
    }
