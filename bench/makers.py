"""
The programs that make items in the generation cases: itemgend and the original's handler, on one core, between two
queues.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import machine
from bench.contest import PEER_PYTHON, ROOT, envelope
from bench.queues import ACCOUNT, KEY_ID, QueueServer, fauxqs
from local import environment, process
from local.assets import TILES, YEARS
from local.cloud import Account, Stage, make_stage
from local.stack import TOOLS, Stack

PATIENCE_S = 180  # without an item
SAMPLE_S = 0.5
Request = dict[str, Any]


@dataclass(frozen=True)
class Package:
    requirement: str
    goal: int  # goal: how many times the original's rate
    make_requests: Callable[[int, str], list[Request]]  # returns this many requests, given the URL of the files


def glclu_requests(n: int, asset_url: str) -> list[Request]:
    """Requests for a package that opens a small GeoTIFF on loopback for each item."""
    files = [f"{asset_url}/v2/{year}/{tile}.tif" for year in YEARS for tile in TILES]
    return [
        {
            "package_name": "stactools-glad-glclu2020",
            "group_name": "gladglclu2020",
            "create_item_args": [files[i % len(files)]],
            "create_item_options": {"href-format": f"{asset_url}/v2/{{year}}/{{loc}}.tif"},
        }
        for i in range(n)
    ]


def gfc_requests(n: int, _asset_url: str) -> list[Request]:
    """Requests for a package that looks only at file names, and opens none."""
    layers = ("gain", "treecover2000", "lossyear", "datamask")
    return [
        {
            "package_name": "stactools-glad-global-forest-change==0.1.2",
            "group_name": "gladglobalforestchange",
            "create_item_args": [
                f"https://example.com/Hansen_GFC-2023-v1.11_{layer}_{TILES[i % len(TILES)]}.tif" for layer in layers
            ],
            "collection_id": "glad-global-forest-change-1.11",
        }
        for i in range(n)
    ]


PACKAGES = {
    "glclu": Package("stactools-glad-glclu2020", 10, glclu_requests),
    "gfc": Package("stactools-glad-global-forest-change==0.1.2", 25, gfc_requests),
}


@dataclass(frozen=True)
class Cores:
    """One core for the maker, the others for the queue, the files and this program. On a single core they share it."""

    makers: int
    others: frozenset[int]


def share_out() -> Cores:
    *others, last = machine.cores()
    return Cores(last, frozenset(others or [last]))


class Queues:
    """The queue and the topic that both take requests from and publish to."""

    def __init__(self, server: QueueServer) -> None:
        self._server = server
        account = Account(server.url, KEY_ID, ACCOUNT["AWS_SECRET_ACCESS_KEY"])
        sqs, sns = account.client("sqs"), account.client("sns")
        self.requests = self._reachable(make_stage(sqs, sns, "bench", "ItemGen", enveloped=False))
        self.items = self._reachable(make_stage(sqs, sns, "bench", "ItemLoad", enveloped=False))

    @property
    def url(self) -> str:
        return self._server.url

    def _reachable(self, stage: Stage) -> Stage:
        """With the address instead of the name that the server gives itself."""
        queue_url, dlq_url = (self.url + urlsplit(url).path for url in (stage.queue_url, stage.dlq_url))
        return replace(stage, queue_url=queue_url, dlq_url=dlq_url)

    def send(self, requests: Sequence[Request]) -> None:
        self._server.fill(self.requests.queue_url, [envelope(request) for request in requests])

    def _receive(self, queue_url: str, wait_s: int) -> list[dict[str, Any]]:
        answer = self._server.call(
            "ReceiveMessage",
            QueueUrl=queue_url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=wait_s,
            MessageSystemAttributeNames=["SentTimestamp"],
            MessageAttributeNames=["All"],
        )
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
        if entries:
            self._server.call("DeleteMessageBatch", QueueUrl=queue_url, Entries=entries)
        return messages

    def take_items(self, n: int, patience_s: float = PATIENCE_S) -> float:
        """Waits for this many items. Returns when the last one was published, in seconds since 1970."""
        last_ms, left, deadline = 0, n, time.monotonic() + patience_s
        while left > 0:
            messages = self._receive(self.items.queue_url, 1)
            for message in messages:
                if json.loads(message["Body"]).get("type") != "Feature":
                    raise RuntimeError(f"no item was published: {message['Body'][:300]}")
                last_ms = max(last_ms, int(message["Attributes"]["SentTimestamp"]))
            left -= len(messages)
            if messages:
                deadline = time.monotonic() + patience_s
            elif dead := self._receive(self.requests.dlq_url, 0):
                raise RuntimeError(f"a request was dead-lettered: {dead[0].get('MessageAttributes')}")
            elif time.monotonic() > deadline:
                raise RuntimeError(f"{left} of {n} items did not arrive")
        return last_ms / 1000


@dataclass(frozen=True)
class Place:
    stack: Stack
    queues: Queues
    cores: Cores

    @property
    def itemgend_log(self) -> Path:
        return self.stack.directory / "itemgend.log"

    @property
    def handler_log(self) -> Path:
        return self.stack.directory / "handler.log"


def size_of(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


@contextmanager
def place(stack: Stack) -> Iterator[Place]:
    cores = share_out()
    machine.pin(stack.process("assets").pid, cores.others)
    with machine.only_on(cores.others), fauxqs() as server:
        yield Place(stack, Queues(server), cores)


@dataclass(frozen=True)
class Contender:
    label: str
    settings: Mapping[str, str] | None = None  # itemgend's; None: the original's handler
    share: float = 1  # part of the case's items; a slow contender gets fewer


def started(there: Place, contender: Contender, cache: Path, uv: Mapping[str, str] = {}) -> AbstractContextManager[int]:
    """
    Runs a contender on its core and yields its process id. `cache`: uv's directory of downloads and environments. `uv`:
    uv's own settings.
    """
    if contender.settings is None:
        return handler(there, {"UV_CACHE_DIR": str(cache), **uv})
    return itemgend(there, {"ITEMGEND_CACHE_DIR": str(cache), **uv, **contender.settings})


@contextmanager
def itemgend(there: Place, settings: Mapping[str, str]) -> Iterator[int]:
    queues = there.queues
    ours = {
        "AWS_ENDPOINT_URL_SQS": queues.url,
        "AWS_ENDPOINT_URL_SNS": queues.url,
        "ITEMGEND_QUEUE_URL": queues.requests.queue_url,
        "ITEMGEND_LOAD_TOPIC_ARN": queues.items.topic_arn,
        "ITEMGEND_LOOPBACK_PORTS": str(urlsplit(there.stack.asset_url).port),
        "ITEMGEND_WAIT_TIME": "1s",  # of a receive from an empty queue; a stop waits for it
    }
    begins = size_of(there.itemgend_log)
    with machine.only_on({there.cores.makers}):
        daemon = there.stack.start_daemon("itemgend", ours | dict(settings))
    try:
        yield daemon.pid
    finally:
        there.stack.stop_daemon("itemgend")
    lines = there.itemgend_log.read_text()[begins:].splitlines()
    if failed := [line for line in lines if '"event":"MESSAGE_LATER"' in line]:
        raise RuntimeError(f"{len(failed)} items failed during the warm-up: {failed[0]}")


@contextmanager
def handler(there: Place, settings: Mapping[str, str]) -> Iterator[int]:
    queues = there.queues
    argv = [str(PEER_PYTHON), str(ROOT / "bench" / "handler.py"), queues.requests.queue_url, queues.items.topic_arn]
    uv = {
        "UV_CONSTRAINT": str(ROOT / "etc" / "constraints.txt"),
        "UV_PYTHON": "python3",
        "UV_PYTHON_DOWNLOADS": "never",
        "PATH": f"{TOOLS}:{os.environ.get('PATH', os.defpath)}",
    }
    pipe = subprocess.PIPE
    with machine.only_on({there.cores.makers}), there.handler_log.open("a") as log:
        # Python keeps its bytecode, which is its default: without it, uvx's Pythons would start at half the speed.
        tools = {name: value for name, value in environment.for_tools().items() if not name.startswith("PYTHON")}
        env = tools | ACCOUNT | uv | dict(settings)
        child = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=log, text=True, env=env)
    try:
        assert child.stdin and child.stdout
        if child.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the handler did not start: {process.tail(there.handler_log)}")
        yield child.pid
        child.stdin.close()  # an aborted receive would lose its messages
        child.wait(timeout=60)
        if size_of(there.handler_log) > 0:
            raise RuntimeError(f"the handler failed: {process.tail(there.handler_log)}")
    finally:
        child.kill()
        child.wait()


class Sampler:
    """Samples the memory of a process and of its descendants together. Returns the maximum of both."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.children_kib = 0

    def _run(self) -> None:
        while not self._done.wait(SAMPLE_S):
            together = sum(machine.memory_share_kib(each) for each in machine.descendants(self._pid))
            self.children_kib = max(self.children_kib, together)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


@dataclass
class Run:
    items: int
    seconds: float
    own_cpu_s: float  # of itemgend or the handler without its children
    cpu_s: float  # of it and everything that was started for the items
    busy: float  # share of their core that any process on this machine used during the run
    resident_mib: float
    peak_mib: float
    children_mib: float

    @property
    def rate(self) -> float:
        return self.items / self.seconds


def measure_warm(there: Place, contender: Contender, requests: Sequence[Request], cache: Path) -> Run:
    """When the clock starts, the environment exists, and if the process is kept warm, the package is imported."""
    with started(there, contender, cache) as pid:
        there.queues.send(requests[:1])
        there.queues.take_items(1)
        own, cpu, busy = (machine.own_cpu_seconds(pid), machine.tree_cpu_seconds(pid), core_busy(there))
        with Sampler(pid) as sampler:
            began = time.time()
            there.queues.send(requests)
            seconds = there.queues.take_items(len(requests)) - began
        return Run(
            items=len(requests),
            seconds=seconds,
            own_cpu_s=machine.own_cpu_seconds(pid) - own,
            cpu_s=machine.tree_cpu_seconds(pid) - cpu,
            busy=min(1, (core_busy(there) - busy) / seconds),
            resident_mib=machine.memory_kib(pid, "VmRSS") / 1024,
            peak_mib=machine.memory_kib(pid, "VmHWM") / 1024,
            children_mib=sampler.children_kib / 1024,
        )


def core_busy(there: Place) -> float:
    return machine.busy_seconds(there.cores.makers)


@dataclass(frozen=True)
class First:
    seconds: float  # from the request to its item
    cpu_s: float


def measure_first(there: Place, contender: Contender, request: Request, cache: Path, uv: Mapping[str, str]) -> First:
    """Measures the first item of a maker that has made none yet."""
    with started(there, contender, cache, uv) as pid:
        began, cpu = time.time(), machine.tree_cpu_seconds(pid)
        there.queues.send([request])
        return First(there.queues.take_items(1) - began, machine.tree_cpu_seconds(pid) - cpu)
