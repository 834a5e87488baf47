"""A hostile package: itemgend contains and reports each attack, and the requests after it succeed."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from local.process import is_alive
from local.stack import ROOT
from tests.integration.network_world import ENDPOINTS, ORDINARY
from tests.integration.pipeline.conftest import Pipeline, wait_until
from tests.integration.pipeline.hostile import NAME
from tests.integration.pipeline.hostile_site import MACHINE, Answer, Site, descendants, fill_uv_cache, other, request, set_receives, site

long = pytest.mark.long


@dataclass(frozen=True)
class Ended:
    """A dead letter with this code, whose error contains the words."""

    code: str
    words: str = ""

    def check(self, answer: Answer) -> None:
        assert answer.code and re.fullmatch(self.code, answer.code), answer
        assert re.search(self.words, answer.error), answer


@dataclass(frozen=True)
class Made:
    """An item, whose `seen` passes."""

    passes: Callable[[Any], bool] = lambda seen: True

    def check(self, answer: Answer) -> None:
        assert not answer.code, answer
        assert self.passes(answer.seen), answer


@dataclass(frozen=True)
class Case:
    arguments: tuple[str, ...]  # of create-item
    boxed: Ended | Made
    limited: Ended | Made | None = None  # None: the same
    quick: str = ""  # also in the short test: "boxed", or "both"
    package: str = NAME
    boxed_only: bool = False  # without the sandbox it would hurt the machine
    to_user: Ended | Made | None = None  # if itemgend is not root

    def is_due(self, site: Site) -> bool:
        if os.environ.get("LONG"):
            return site.boxed or not self.boxed_only
        return self.quick == "both" or (self.quick == "boxed" and site.boxed)

    def expected(self, site: Site) -> Ended | Made:
        if self.to_user and not site.is_root:
            return self.to_user
        return self.boxed if site.boxed or self.limited is None else self.limited


MEMORY = Ended("out_of_memory", r"\d+ MiB.*300 MiB")
MEMORY_ERROR = Ended("out_of_memory", "MemoryError|300 MiB")  # Python itself gets no more memory
DISK = Ended("disk_limit", r"130 MiB")
CPU = Ended("cpu_limit", r"1 s")
TIME = Ended("time_limit", r"12 s")

CASES = {
    "heap": Case(("fill_heap",), MEMORY_ERROR),
    "shared map": Case(("fill_shared",), MEMORY, quick="boxed"),
    "memfd": Case(("fill_memfd",), MEMORY),
    "children": Case(("fill_children",), MEMORY, quick="boxed"),
    "fork bomb": Case(("fork_bomb",), Ended("process_limit", "20"), quick="boxed"),
    "one file": Case(("fill_disk",), DISK, quick="boxed"),
    "many files": Case(("fill_disk_by_many",), DISK),
    "a deleted file": Case(("fill_deleted",), DISK),
    "stdout": Case(("print_much", "stdout"), Ended("output_limit", "8192 KiB"), quick="boxed"),
    "stderr": Case(("print_much", "stderr"), Ended("output_limit", "8192 KiB")),
    "sleep": Case(("sleep",), TIME),
    "signals ignored": Case(("ignore_signals",), TIME),
    "burn": Case(("burn",), CPU, quick="boxed"),
    "burn in children": Case(("burn_in_children",), CPU),
    "symlink": Case(("leave", "symlink"), Ended("no_item")),
    "a link to itself": Case(("leave", "loop"), Ended("no_item")),
    "fifo": Case(("leave", "fifo"), Ended("no_item"), quick="boxed"),
    "socket": Case(("leave", "socket"), Ended("no_item")),
    "directory": Case(("leave", "directory"), Ended("no_item")),
    "100 MB": Case(("leave", "large"), Ended("item_too_large", "item_limit"), quick="boxed"),
    "8 GiB of nothing": Case(("leave", "sparse"), Ended("create_item_failed", "File too large")),
    "deep JSON": Case(("leave", "deep"), Ended("invalid_json")),
    # Memory that no process shows is not measured, until the end of the item frees it (docs/explanation/sandbox.md).
    "hidden: segments": Case(("fill_segments",), TIME, boxed_only=True),
    "hidden: mounted": Case(("fill_mounted",), Made(lambda seen: "unshare" in seen), TIME),
    "hidden: in flight": Case(("fill_in_flight",), TIME),
    "locked directory": Case(("leave", "locked"), Made(), to_user=DISK, quick="boxed"),
    "locked trees": Case(("lock_directory",), Ended("disk_limit"), quick="boxed"),
    "closed descriptors": Case(("abuse_descriptors",), Made(), quick="boxed"),
    "false report": Case(("claim",), Ended("create_item_failed", "exit code 9"), Ended("no_item|create_item_failed"), quick="both"),
    "a lesson": Case(("teach", "this", "antigravity", "../x", "os.nothing"), Made(), quick="boxed"),
    "daemons": Case(("daemons", "TOKEN"), Made(), quick="both"),
    "kill the parent": Case(("kill_parent", MACHINE, "DAEMON"), Made(), Ended("server_died"), quick="both"),
    "kill all": Case(("kill_all", MACHINE, "DAEMON"), Made(), Ended("server_died"), quick="both"),
}

# The behaviour of each version at its import.
IMPORTS = {
    "raises": ("0.1", Ended("import_failed", "hostile from the first line on")),
    "exits": ("0.2", Ended("import_failed", "")),
    "sleeps": ("0.3", Ended("time_limit", "while the package was imported.*12 s")),
    "is killed": ("0.4", Ended("import_failed", "signal 9")),
    "fills": ("0.5", Ended("out_of_memory|import_failed", "300 MiB|MemoryError")),
    "forks": ("0.6", Ended("process_limit", "while the package was imported.*20")),
    "prints": ("0.7", Ended("output_limit", "while the package was imported.*8192 KiB")),
    "writes to its server's descriptor": ("0.8", Ended("import_failed", "")),
    "closes its server's descriptor": ("0.9", Ended("import_failed", "")),
    "changes what a server is made of": ("0.10", Ended("no_item|server_died|create_item_failed|time_limit", "")),
}
CASES |= {
    f"import {name}": Case(("good",), ended, package=f"{NAME}=={version}") for name, (version, ended) in IMPORTS.items()
}


def fill_in(site: Site, arguments: tuple[str, ...]) -> list[str]:
    return [{"TOKEN": site.token, "DAEMON": str(site.pid)}.get(argument, argument) for argument in arguments]


def need_bubblewrap() -> None:
    works = subprocess.run(
        ["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"], capture_output=True, text=True
    )
    if works.returncode != 0:
        pytest.skip(f"bubblewrap does not work here, as in a chroot: {works.stderr.strip()}")


@pytest.fixture
def places(pipeline: Pipeline) -> Iterator[Callable[..., Any]]:
    def place(sandbox: str, user: str, **settings: str) -> Any:
        if user == "root" and os.geteuid() != 0:
            pytest.skip("root's part")
        if sandbox == "bubblewrap":
            need_bubblewrap()
        return site(pipeline, sandbox, user == "user", **settings)

    yield place


WAYS = [
    pytest.param("bubblewrap", "self"),
    pytest.param("limits", "self"),
    pytest.param("bubblewrap", "user", marks=long),
    pytest.param("limits", "user", marks=long),
]


def check_cases(site: Site, cases: dict[str, Case]) -> None:
    """After each attack: a request to the same package, and one to another."""
    set_receives(site.pipeline, 1)
    site.start()
    site.send(request("first", "good"), other("first-other"))
    site.wait("first", "first-other")
    for name, case in cases.items():
        site.send(request(name, *fill_in(site, case.arguments), package=case.package), request(f"good after {name}", "good"), other(f"other after {name}"))
    wrong = []
    for name, case in cases.items():
        for answer in site.wait(name, f"good after {name}", f"other after {name}", timeout_s=120):
            expected = case.expected(site) if answer.name == name else Made()
            try:
                expected.check(answer)
            except AssertionError as error:
                wrong.append(f"{answer.name}: {expected} expected, {str(error)[:1500]}")
    assert not wrong, "\n".join(wrong)
    site.wait_quiet()
    site.check_gone()


@pytest.mark.parametrize(("sandbox", "user"), WAYS)
def test_attempts(places: Callable[..., Any], sandbox: str, user: str) -> None:
    with places(sandbox, user) as site:
        check_cases(site, {name: case for name, case in CASES.items() if case.is_due(site)})


# --- what package code can see and reach


def secrets_in(site: Site, value: Any) -> list[str]:
    text = json.dumps(value)
    env = site.pipeline.stack.env
    secrets = [site.secret, env["AWS_SECRET_ACCESS_KEY"], env["AWS_ACCESS_KEY_ID"], env["PGPASSWORD"]]
    return [secret for secret in secrets if secret in text]


def is_root(user: str) -> bool:
    """Whether itemgend runs as root."""
    return user == "self" and os.geteuid() == 0


def check_sight(site: Site, sandbox: str, user: str) -> None:
    """Only its own processes, its own variables, and no credentials."""
    seen = site.see("look")
    own = [name for name in seen["environ"] if name.startswith(("AWS_", "ITEMGEND_", "UV_", "PG", "SECRET"))]
    assert own == [] and seen["environ"]["HOME"] == seen["environ"]["TMPDIR"] == seen["cwd"]
    others = {number: link for number, link in seen["descriptors"].items() if number not in "012"}
    assert [link for link in others.values() if not link.startswith(str(site.folder))] == [], "only its own standard three"
    assert secrets_in(site, seen["environ"]) == []
    assert "NoNewPrivs:\t1" in seen["capabilities"]
    ours = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in seen["namespaces"]}
    if sandbox == "bubblewrap":
        assert seen["environs"] == {} or secrets_in(site, seen["environs"]) == []
        assert not [line for line in seen["processes"].values() if "itemgend " in line or "pytest" in line]
        assert {kind for kind, name in seen["namespaces"].items() if name != ours[kind]} >= {"pid", "mnt", "user", "ipc"}
        assert "CapEff:\t0000000000000000" in seen["capabilities"]
        assert seen["home"] in ("ENOENT", "EACCES") or [f"/root/{name}" for name in seen["home"] if not seen["base_prefix"].startswith(f"/root/{name}")] == []
    else:
        assert [line for line in seen["processes"].values() if "itemgend" in line], "limits hide no process"
        assert bool(secrets_in(site, seen["environs"].get(str(site.pid)))) == is_root(user), "only root reads a daemon that is not dumpable"


def check_reading(site: Site, sandbox: str, user: str) -> None:
    config = str(ROOT / "etc" / "itemgend.yaml")
    paths = [*map(str, site.secrets), config, f"/proc/{site.pid}/environ", f"/proc/{site.pid}/mem", "/etc/shadow"]
    seen = site.see("read", *paths)
    if sandbox == "bubblewrap":
        assert {path: what for path, what in seen.items() if what not in ("ENOENT", "EACCES", "EPERM")} == {}
    else:
        assert all(site.secret in seen[str(path)] for path in site.secrets), "limits hide no file of the daemon's user"


def check_writing(site: Site, sandbox: str, user: str) -> None:
    prefix = site.see("look")["prefix"]
    name = site.token
    places = [
        *(site.folder / part / name for part in ("cache", "work", "home", "wheels")),
        site.folder / "cache" / "uv" / name,
        Path(prefix) / "lib" / name,
        ROOT / "libexec" / name,
        Path("/tmp") / name,
        Path("/var/tmp") / name,
        Path("/dev/shm") / name,
        Path("/usr/lib") / name,
        Path("/etc") / name,
    ]
    try:
        seen = site.see("write", *map(str, places))
        there = [str(place) for place in places if place.exists()]
        again = site.see("read", *map(str, places))
    finally:
        for place in places:
            place.unlink(missing_ok=True)
    if sandbox == "bubblewrap":
        assert there == [], seen
        assert {what for what in again.values()} <= {"ENOENT", "EACCES"}, "nothing is handed on to the next item"
    else:
        assert set(there) >= {str(site.folder / part / name) for part in ("cache", "work", "home")} | {f"/tmp/{name}", f"/dev/shm/{name}"}


def check_tracing(site: Site, sandbox: str, user: str) -> None:
    below = [process.pid for process in descendants(site.pid)]
    seen = site.see("trace", str(site.pid), *map(str, below))
    of_daemon = seen[str(site.pid)]
    if sandbox == "bubblewrap":
        reached = {pid: what for pid, what in seen.items() if what["ptrace"] == "traced" or what["mem"] == "opened"}
        assert set(reached) <= {"1"}, reached
    elif not is_root(user):
        assert of_daemon["ptrace"] == "EPERM" and of_daemon["mem"] == of_daemon["environ"] == "EACCES"


def item_directories(site: Site) -> list[str]:
    found = subprocess.run(["find", str(site.folder / "work"), "-name", "item-*", "-type", "d"], capture_output=True, text=True)
    return found.stdout.split()  # it may complain about files that disappear meanwhile


def check_neighbours(site: Site, sandbox: str, user: str) -> None:
    """Two items at once: neither sees the files of the other."""
    wait_until("nobody else is there", lambda: item_directories(site) == [])
    site.send(request("neighbour", "sleep", "5"))
    theirs = wait_until("it runs", lambda: item_directories(site))
    seen = site.see("write", *[f"{path}/{site.token}" for path in theirs])
    there = [path for path in theirs if Path(path, site.token).exists()]
    site.wait("neighbour")
    if sandbox == "bubblewrap":
        assert "written" not in seen.values() and there == []
    else:
        assert there == theirs, "limits keep no two items apart"


def check_network(site: Site, sandbox: str, user: str) -> None:
    """The part of the network that itemgend uses: its queues."""
    aws = site.pipeline.stack.state.endpoints["aws"]
    seen = site.see("connect", aws)
    (chosen,) = site.pipeline.log("itemgend", "SANDBOX_CHOSEN")[-1:]
    assert chosen["sandbox"] == sandbox
    assert seen[aws].startswith("HTTP/") == (chosen["network"] == "open"), (seen, chosen)


def check_segment(site: Site, sandbox: str, user: str) -> None:
    """Shared memory ends with the item; without the sandbox it does not, and the test removes it."""
    number = site.see("leave_segment")["number"]
    left = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    ours = [int(fields[1]) for fields in left if int(fields[1]) == number and int(fields[3]) == 4096]
    if sandbox == "bubblewrap":
        return  # its id belongs to another namespace
    assert ours == [number]
    ctypes.CDLL(None).shmctl(number, 0, None)


SIGHTS = [check_sight, check_reading, check_writing, check_tracing, check_neighbours, check_network, check_segment]


@pytest.mark.parametrize(("sandbox", "user"), WAYS)
def test_sights(places: Callable[..., Any], sandbox: str, user: str) -> None:
    with places(sandbox, user, ITEMGEND_WORKERS="2", ITEMGEND_TIME_LIMIT="20s", ITEMGEND_CPU_LIMIT="10s") as site:
        set_receives(site.pipeline, 1)
        site.start()
        for check in SIGHTS:
            check(site, sandbox, user)
        site.wait_quiet()
        site.check_gone()


# --- attacks that need more than one attempt


def wait_killed(site: Site) -> None:
    """itemgend was killed, and all processes that it had started ended."""
    daemon = site.pipeline.stack.process("itemgend")
    wait_until("it is killed", lambda: not is_alive(daemon), 60)
    wait_until("nothing is left of it", lambda: not site.of_this_site(), 20)
    site.pipeline.stack.stop_daemon("itemgend")  # reaps it


@long
def test_limits_do_not_hold_back_from_the_daemon(places: Callable[..., Any]) -> None:
    """
    Package code with itemgend's own user kills itemgend at each attempt. After the last attempt the request is
    dead-lettered with a reason, and the requests after it succeed.
    """
    with places("limits", "self", ITEMGEND_VISIBILITY_TIMEOUT="2s") as site:
        set_receives(site.pipeline, 3)
        site.start()
        site.send(request("first", "good"), other("first-other"))
        site.wait("first", "first-other")
        site.send(request("killer", "kill_daemon", MACHINE))
        for _ in range(2):
            wait_killed(site)
            site.start()
        site.send(request("after", "good"), other("other-after"))
        killer, *_ = site.wait("killer", "after", "other-after")
        assert (killer.seen, killer.code, killer.receives) == (None, "interrupted", "3")
        site.check_gone()


@long
def test_a_module_that_a_server_does_not_come_back_from(places: Callable[..., Any]) -> None:
    """An item makes its server import a module that hangs: the next item needs a second attempt, with a new server."""
    with places("bubblewrap", "self") as site:
        site.start()
        site.send(request("first", "good"))
        site.wait("first")
        site.send(request("teacher", "teach", "stactools.hostile.trap"))
        site.wait("teacher")
        site.send(request("after", "good"), other("other-after"))
        assert [answer.code for answer in site.wait("after", "other-after")] == ["", ""]
        site.check_gone()


@long
def test_credential_endpoints(build: Path, pipeline: Pipeline) -> None:
    """Each address has a stand-in that answers, in a network of the test: nothing leaves the machine."""
    if not all(shutil.which(name) for name in ("slirp4netns", "nft", "ip", "bwrap", "unshare", "nsenter")):
        pytest.skip("slirp4netns, nft, ip, bwrap, unshare or nsenter is not installed: make deps-test")
    if os.geteuid() != 0 or not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("needs root and /dev/net/tun")
    need_bubblewrap()
    fill_uv_cache(pipeline.stack.cache / "uv")  # nothing can be downloaded in that network
    unshare = ["unshare", "--net", "--mount", sys.executable, str(ROOT / "tests" / "integration" / "network_world.py")]
    with subprocess.Popen(unshare, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as world:
        assert world.stdin and world.stdout and world.stdout.readline() == "up\n"
        enter = ["nsenter", f"--target={world.pid}", "--net", "--mount"]
        inside = [*enter, sys.executable, "-m", "tests.integration.pipeline.hostile_network", str(build / "bin")]
        ran = subprocess.run(inside, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300)
        world.stdin.close()
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
    seen = json.loads(ran.stdout.splitlines()[-1])
    reached = {way: {place.rsplit(":", 1)[0] for place, answer in answers.items() if answer.startswith("internet")} for way, answers in seen.items()}
    assert reached == {
        "bubblewrap, filtered": set(ORDINARY),
        "bubblewrap, closed": set(),
        "bubblewrap, open": {*ENDPOINTS, *ORDINARY},
        "limits, open": {*ENDPOINTS, *ORDINARY},
    }, seen


BY_UVX = ["shared map", "children", "fork bomb", "one file", "stdout", "fifo", "100 MB", "locked trees", "daemons", "kill all"]


@long
@pytest.mark.parametrize("sandbox", ["bubblewrap", "limits"])
def test_attempts_by_uvx(places: Callable[..., Any], sandbox: str) -> None:
    """uvx has threads, needs memory and imports for each item, so its limits are higher. Items can see it, and so kill it."""
    limits = {"ITEMGEND_CPU_LIMIT": "60s", "ITEMGEND_TIME_LIMIT": "60s", "ITEMGEND_PROCESS_LIMIT": "40", "ITEMGEND_MEMORY_LIMIT": "600MiB"}
    with places(sandbox, "self", ITEMGEND_RUNNER="uvx", **limits) as site:
        changed = {
            "shared map": replace(CASES["shared map"], boxed=Ended("out_of_memory", "600 MiB")),
            "children": replace(CASES["children"], boxed=Ended("out_of_memory", "600 MiB")),
            "fork bomb": replace(CASES["fork bomb"], boxed=Ended("process_limit", "40")),
            "kill all": replace(CASES["kill all"], boxed=Ended("create_item_failed", "137|signal 9"), limited=Ended("create_item_failed", "137|signal 9")),
        }
        check_cases(site, {name: CASES[name] for name in BY_UVX} | changed)
