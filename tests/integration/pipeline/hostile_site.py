"""An itemgend for the hostile package, as root or as an ordinary user, and checks that nothing of it is left afterwards."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import environment
from local.process import is_alive, tail
from local.stack import ROOT, TOOLS
from tests.integration.pipeline import hostile, probe
from tests.integration.pipeline.conftest import Pipeline, wait_until

MACHINE = os.readlink("/proc/self/ns/pid")

# Small limits, so that they are exceeded soon. One receive, so that every request is answered at once.
LIMITS = {
    "ITEMGEND_WORKERS": "1",
    "ITEMGEND_MEMORY_LIMIT": "300MiB",
    "ITEMGEND_TIME_LIMIT": "12s",
    "ITEMGEND_CPU_LIMIT": "1s",
    "ITEMGEND_PROCESS_LIMIT": "20",
    "ITEMGEND_DISK_LIMIT": "130MiB",
    "ITEMGEND_OUTPUT_LIMIT": "8MiB",
    "ITEMGEND_OPEN_FILES_LIMIT": "256",
}


def request(name: str, behaviour: str, *args: str, package: str = hostile.NAME) -> dict[str, Any]:
    return {"package_name": package, "group_name": "hostile", "create_item_args": [name, behaviour, *args]}


def other(name: str) -> dict[str, Any]:
    """A good request to another package."""
    return {"package_name": probe.NAME, "group_name": "probe", "create_item_args": ["ok", name]}


@dataclass
class Answer:
    """The answer to a request: the `seen` of its item, or the error_code and error of its dead letter."""

    name: str
    seen: Any = None
    code: str = ""
    error: str = ""
    receives: str = ""


@dataclass(frozen=True)
class Seen:
    pid: int
    parent: int
    state: str
    arguments: list[str]
    environment: bytes
    uid: int

    def is_python(self) -> bool:
        """A fork server, or a fork of it, which has the same arguments."""
        return os.path.basename(self.arguments[0]).startswith("python") and any(word.endswith("/forkserver.py") for word in self.arguments)


def processes() -> list[Seen]:
    """All processes of the machine, with zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            uid = (entry / "stat").stat().st_uid
        except OSError:
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            environment = b""
        found.append(Seen(int(entry.name), int(fields[1]), fields[0], arguments, environment, uid))
    return found


def descendants(pid: int) -> list[Seen]:
    every = processes()
    found: list[Seen] = []
    parents = {pid}
    while parents:
        children = [process for process in every if process.parent in parents]
        found += children
        parents = {child.pid for child in children}
    return found


def set_receives(pipeline: Pipeline, count: int) -> None:
    """Sets the maximum number of receives of a request. One is in reserve if there are several."""
    arn = pipeline.sqs.get_queue_attributes(QueueUrl=pipeline.gen_dlq, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": str(count)})
    pipeline.sqs.set_queue_attributes(QueueUrl=pipeline.gen_queue, Attributes={"RedrivePolicy": policy})


class Site:
    """An itemgend, its directories, and the answers so far."""

    def __init__(self, pipeline: Pipeline, folder: Path, sandbox: str, as_user: bool, settings: dict[str, str]) -> None:
        self.pipeline = pipeline
        self.folder = folder
        self.boxed = sandbox == "bubblewrap"
        self.as_user = as_user
        self.user = random.randrange(61200, 61900)  # an unused user id, for an itemgend that root starts as an ordinary user
        self.is_root = os.geteuid() == 0 and not as_user
        self.token = f"hostile-{uuid.uuid4().hex[:12]}"  # marks its processes and files
        self.answers: dict[str, Answer] = {}
        for name in ("cache", "work", "home"):
            (folder / name).mkdir(exist_ok=True)
        probe.make_wheel(folder / "wheels")
        hostile.make_wheels(folder / "wheels")
        self.secret = f"secret-{uuid.uuid4().hex}"
        self.secrets = [folder / "home" / name for name in (".aws/credentials", ".netrc", "token")]
        for path in self.secrets:
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"[x]\naws_secret_access_key = {self.secret}\n")
        self.settings = {
            "UV_FIND_LINKS": str(folder / "wheels"),
            "HOME": str(folder / "home"),
            "ITEMGEND_SANDBOX": sandbox,
            "ITEMGEND_CACHE_DIR": str(folder / "cache"),
            "ITEMGEND_WORK_DIR": str(folder / "work"),
            "SECRET": self.secret,  # of the daemon's environment
        } | settings

    # --- the daemon

    def start(self, **settings: str) -> None:
        self.pipeline.start("itemgend", **self.settings | settings)

    @property
    def pid(self) -> int:
        return self.pipeline.stack.process("itemgend").pid

    # --- requests

    def send(self, *bodies: dict[str, Any]) -> None:
        for first in range(0, len(bodies), 10):
            entries = [{"Id": str(i), "MessageBody": json.dumps(body)} for i, body in enumerate(bodies[first : first + 10])]
            answer = self.pipeline.sqs.send_message_batch(QueueUrl=self.pipeline.gen_queue, Entries=entries)
            assert answer.get("Failed", []) == []

    def take(self, queue: str) -> list[dict[str, Any]]:
        messages = self.pipeline.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages", [])
        for message in messages:
            self.pipeline.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return messages

    def collect(self) -> None:
        for message in self.take(self.pipeline.load_queue):
            made = json.loads(message["Body"])
            self.answers[made["id"]] = Answer(made["id"], seen=made["properties"].get("seen", {}))
        for message in self.take(self.pipeline.gen_dlq):
            name = next(arg for arg in json.loads(message["Body"])["create_item_args"] if arg != "ok")
            told = {key: value["StringValue"] for key, value in message.get("MessageAttributes", {}).items()}
            self.answers[name] = Answer(name, None, told.get("error_code", ""), told.get("error", ""), told.get("receive_count", ""))

    def wait(self, *names: str, timeout_s: float = 120) -> list[Answer]:
        """The answers to these requests."""

        def all_there() -> bool:
            self.collect()
            return all(name in self.answers for name in names)

        try:
            wait_until("requests are answered", all_there, timeout_s)
        except pytest.fail.Exception:
            missing = [name for name in names if name not in self.answers]
            daemon = self.pipeline.stack.process("itemgend")
            log = tail(Path(self.pipeline.stack.directory) / "itemgend.log")
            pytest.fail(f"not answered: {missing}; itemgend is alive: {is_alive(daemon)}; its log ends with {log}")
        return [self.answers[name] for name in names]

    def ask(self, behaviour: str, *args: str, package: str = hostile.NAME, timeout_s: float = 120) -> Answer:
        name = f"{behaviour}-{uuid.uuid4().hex[:6]}"
        self.send(request(name, behaviour, *args, package=package))
        return self.wait(name, timeout_s=timeout_s)[0]

    def see(self, behaviour: str, *args: str) -> Any:
        """The `seen` of the item, which must have been made."""
        answer = self.ask(behaviour, *args)
        assert not answer.code, answer
        return answer.seen

    # --- leftovers

    def survivors(self) -> list[Seen]:
        """Processes that the package started to outlive its item."""
        return [process for process in processes() if process.arguments[0] == self.token]

    def of_this_site(self) -> list[Seen]:
        """Processes whose arguments or environment name its folder, or that run as its user, without the daemon."""
        name = str(self.folder).encode()
        found = [process for process in processes() if name in "\0".join(process.arguments).encode() + process.environment]
        found += [process for process in processes() if self.as_user and os.geteuid() == 0 and process.uid == self.user]
        daemon = [process.pid for process in self.pipeline.stack.processes if process.name == "itemgend"]
        return [process for process in found if process.pid not in [*daemon, os.getpid()]]

    def wait_quiet(self) -> None:
        """No process of any item runs, and itemgend has no zombies. A server waits for ended items when the next item comes."""

        def busy() -> list[Seen]:
            below = descendants(self.pid)
            pythons = {process.pid for process in below if process.is_python()}
            zombies = [process for process in below if process.state == "Z" and process.parent not in pythons]
            return self.survivors() + zombies + [process for process in below if process.state != "Z" and process.parent in pythons]

        try:
            wait_until("nothing of an item is left", lambda: not busy(), 20)
        except pytest.fail.Exception:
            pytest.fail(f"still there: {busy()}")

    def check_gone(self) -> None:
        """The daemon has stopped, and no process or file of it is left."""
        self.pipeline.stop_all()
        wait_until("no process is left", lambda: not self.of_this_site() and not self.survivors(), 20)
        assert [path.name for path in (self.folder / "work").iterdir() if path.is_dir()] == []


def open_to_others(path: Path) -> bool:
    """Whether other users can enter the folder."""
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in [path, *path.parents])


@contextmanager
def site(pipeline: Pipeline, sandbox: str, as_user: bool, **settings: str) -> Iterator[Site]:
    """`as_user`: itemgend runs as an ordinary user although root starts it."""
    folder = Path(tempfile.mkdtemp(prefix="hostile-test."))
    folder.chmod(0o755)
    programs = pipeline.stack.programs
    try:
        copy_uv_cache(pipeline.stack.cache / "uv", folder / "cache" / "uv", owned=as_user and os.geteuid() == 0)
        made = Site(pipeline, folder, sandbox, as_user, LIMITS | settings)
        if as_user and os.geteuid() == 0:
            become_user(pipeline, made)
        yield made
    finally:
        pipeline.stop_all()
        pipeline.stack.programs = programs
        set_receives(pipeline, 6)
        subprocess.run(["chmod", "-R", "u+rwx", str(folder)], check=False)
        subprocess.run(["rm", "-rf", str(folder)], check=True)  # too deep for shutil.rmtree


def kinds_in(uv_cache: Path) -> list[str]:
    """The downloads of uv."""
    kinds = ("archive", "simple", "wheels", "sdists", "interpreter")
    return [str(path) for path in uv_cache.glob("*-v*") if path.name.split("-")[0] in kinds]


def fill_uv_cache(uv_cache: Path) -> None:
    """Fills an empty cache with the packages that these tests need, because one of these may be the very first test."""
    if kinds_in(uv_cache):
        return
    with tempfile.TemporaryDirectory(prefix="hostile-fill.") as folder:
        command = [TOOLS / "uv", "pip", "install", "--quiet", "--python", "/usr/bin/python3", "--target", folder, "stactools", "requests"]
        settings = {"UV_CACHE_DIR": str(uv_cache), "UV_CONSTRAINT": str(ROOT / "etc" / "constraints.txt"), "UV_PYTHON_DOWNLOADS": "never"}
        subprocess.run(command, env=environment.for_tools() | settings, check=True)


def copy_uv_cache(source: Path, target: Path, owned: bool) -> None:
    """Copies the cache, so that nothing is downloaded again: with links, unless the owner or the file system differs."""
    fill_uv_cache(source)
    target.mkdir(parents=True)
    kinds = kinds_in(source)
    linked = not owned and source.stat().st_dev == target.stat().st_dev
    subprocess.run(["cp", "-rl" if linked else "-r", *kinds, str(target)], check=True)


def become_user(pipeline: Pipeline, made: Site) -> None:
    if not open_to_others(ROOT):
        pytest.skip(f"{ROOT} is not open to other users")
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    wrappers = made.folder / "programs"
    wrappers.mkdir()
    wrapper = wrappers / "itemgend"
    become = f"setpriv --reuid {made.user} --regid {made.user} --clear-groups --inh-caps=-all"
    wrapper.write_text(f'#!/bin/sh\nexec {become} {pipeline.stack.programs / "itemgend"} "$@"\n')
    wrapper.chmod(0o755)
    subprocess.run(["chown", "-R", f"{made.user}:{made.user}", str(made.folder)], check=True)
    pipeline.stack.programs = wrappers
