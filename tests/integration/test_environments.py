"""itemgend's environments, by build/tests/venv: with the real uv, and tiny packages in a folder."""

from __future__ import annotations

import itertools
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from package_index import PackageIndex
from wheels import add_source, add_wheel

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / os.environ.get("BUILD", "build") / "tests" / "venv"
UV = ROOT / "build" / "venv" / "bin" / "uv"

# Replaces uv: counts installations, delays them while the file `hold` exists, and fails while `fail` exists.
COUNTING_UV = """#!/bin/sh
if [ "$1" = pip ]; then
    echo x >>{folder}/installations
    while [ -e {folder}/hold ]; do sleep 0.05; done
    if [ -e {folder}/fail ]; then echo 'error: the cable is cut: tcp connect error' >&2; exit 2; fi
fi
exec {uv} "$@"
"""


def wait_until(what: str, condition: Callable[[], Any], timeout_s: float = 60) -> Any:
    """Waits for a true value of the condition, and returns it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail(f"{what}: not within {timeout_s} s")


class Tool:
    """A process that uses environments."""

    def __init__(self, variables: dict[str, str], *wrapper: str) -> None:
        self.process = subprocess.Popen([*wrapper, TOOL], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.log: list[dict[str, Any]] = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            message = json.loads(line)
            if "event" in message:
                self.log.append(message)
            else:
                self.answers.put(message)

    def say(self, command: str) -> None:
        self.process.stdin.write(command + "\n")

    def answer(self) -> dict[str, Any]:
        return self.answers.get(timeout=120)

    def use(self, requirement: str) -> dict[str, Any]:
        self.say(f"use 1 {requirement}")
        return self.answer()

    def have(self, requirement: str) -> Path:
        """The directory of its environment, which stays in use."""
        answer = self.use(requirement)
        assert answer["result"] == "done", answer
        return Path(answer["directory"])

    def release(self) -> None:
        self.say("release")
        assert "released" in self.answer()

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in list(self.log) if line["event"] == name]

    def end(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        self.reader.join()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()


class Place:
    """A cache directory, a folder of packages, and tools that use both."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.wheels, self.cache = folder, folder / "wheels", folder / "cache"
        self.wheels.mkdir()
        self.tools: list[Tool] = []
        for name in ("stactools", "requests", "stactools-a"):
            add_wheel(self.wheels, name)
        self.uv = folder / "counting-uv"
        self.uv.write_text(COUNTING_UV.format(folder=folder, uv=UV))
        self.uv.chmod(0o755)

    def start(self, *wrapper: str, **settings: str) -> Tool:
        self.tools.append(
            Tool(
                {
                    "PATH": "/usr/bin:/bin",
                    "ITEMGEND_QUEUE_URL": "http://127.0.0.1:1/000000000000/none",
                    "ITEMGEND_LOAD_TOPIC_ARN": "arn:aws:sns:us-east-1:000000000000:none",
                    "ITEMGEND_UV": str(self.uv),
                    "ITEMGEND_CACHE_DIR": str(self.cache),
                    "UV_FIND_LINKS": str(self.wheels),
                    "UV_OFFLINE": "1",
                }
                | settings,
                *wrapper,
            )
        )
        return self.tools[-1]

    def installations(self) -> int:
        path = self.folder / "installations"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def builds(self) -> set[Path]:
        return set(self.cache.glob("environments/*/build-*"))

    def hold(self) -> Path:
        (self.folder / "hold").touch()
        return self.folder / "hold"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    (tmp_path / "hold").unlink(missing_ok=True)
    for tool in made.tools:
        if tool.process.poll() is None:
            tool.end()


def run_in(environment: dict[str, Any], code: str) -> str:
    return subprocess.check_output([environment["python"], "-c", code], text=True).strip()


def test_what_an_environment_is(place: Place) -> None:
    add_wheel(place.wheels, "stactools-Odd_name", "2.3rc1")
    tool = place.start()
    made = tool.use("stactools_odd.NAME>=2rc0")
    assert made["requirement"] == "stactools-odd-name>=2rc0"
    assert [tool.use(f"{name}>=2rc0")["directory"] for name in ("stactools-odd-name", "STACTOOLS__Odd.Name")] == [made["directory"]] * 2
    assert (made["package"], made["version"]) == ("stactools-odd-name", "2.3rc1")
    assert made["python"] == made["directory"] + "/bin/python"
    assert run_in(made, "import sys; print(sys.prefix, sys.base_prefix)") == f"{made['directory']} {made['python_prefix']}"
    build = Path(made["directory"]).parent
    wait_until("it is compiled", lambda: (build / "compiled").exists())
    assert list(build.glob("venv/lib/python*/site-packages/__pycache__/stactools.*.pyc"))
    assert sorted(path.name for path in build.iterdir()) == ["compiled", "environment.json", "venv"]


def test_built_once_for_all_threads_and_processes(place: Place) -> None:
    tools = [place.start() for _ in range(2)]
    hold = place.hold()
    for tool in tools:
        tool.say("use 8 stactools-a")
    wait_until("one builds", place.installations)
    hold.unlink()
    answers = [tool.answer() for tool in tools for _ in range(8)]
    assert {answer["result"] for answer in answers} == {"done"}
    assert len({answer["directory"] for answer in answers}) == 1
    assert place.installations() == 1
    for tool in tools:
        tool.end()
    assert Path(answers[0]["directory"]) == place.start().have("stactools-a")  # the next process uses it
    assert place.installations() == 1


def test_a_failed_build_is_told_to_all_who_wait_and_tried_again_by_the_next(place: Place) -> None:
    tool = place.start()
    hold = place.hold()
    tool.say("use 8 stactools-late")
    wait_until("one builds", place.installations)
    hold.unlink()
    answers = [tool.answer() for _ in range(8)]
    assert {(answer["result"], answer["code"]) for answer in answers} == {("never", "unresolvable")}
    assert "stactools-late" in answers[0]["error"] and str(place.folder) not in answers[0]["error"]
    assert place.installations() == 2  # once with the package and once without it, which shows that the package is the cause
    add_wheel(place.wheels, "stactools-late")
    tool.have("stactools-late")


def test_a_killed_build_leaves_nothing_behind(place: Place) -> None:
    hold = place.hold()
    killed = place.start()
    killed.say("use 1 stactools-a")
    wait_until("it builds", place.installations)
    killed.kill()
    (left,) = place.builds()
    hold.unlink()
    made = place.start().have("stactools-a").parent
    assert made != left
    wait_until("what was left is gone", lambda: place.builds() == {made})


def test_waiting_ends_when_the_service_stops(place: Place) -> None:
    hold = place.hold()
    tools = [place.start() for _ in range(2)]
    tools[0].say("use 2 stactools-a 1500")  # one builds, one waits
    wait_until("one builds", place.installations)
    tools[1].say("use 1 stactools-a 200")  # waits for another process
    answers = [tools[1].answer(), tools[0].answer(), tools[0].answer()]
    assert {(answer["result"], answer["code"]) for answer in answers} == {("later", "interrupted")}
    hold.unlink()
    tools[1].have("stactools-a")


def test_a_refresh_brings_the_newer_version_and_spares_who_uses_the_old(place: Place) -> None:
    tool = place.start(ITEMGEND_ENVIRONMENT_TTL="1s")
    old = tool.have("stactools-a")
    add_wheel(place.wheels, "stactools-a", "1.1")
    newer = wait_until("the newer one", lambda: (answer := tool.use("stactools-a"))["version"] == "1.1" and answer)
    assert newer["directory"] != str(old) and old.exists()
    tool.release()
    tool.have("stactools-a")
    wait_until("the old one is gone", lambda: not old.parent.exists())


def test_a_failed_refresh_keeps_the_old_and_is_tried_again(place: Place) -> None:
    tool = place.start(ITEMGEND_ENVIRONMENT_TTL="1s")
    old = tool.have("stactools-a")
    fail = place.folder / "fail"
    fail.touch()

    def warned() -> list[dict[str, Any]]:
        assert tool.have("stactools-a") == old
        return tool.events("WARNING")

    warning = wait_until("the refresh fails", warned)[0]
    assert warning["error_code"] == "registry_unavailable" and "the old one stays in use" in warning["message"]
    fail.unlink()
    wait_until("it is tried again", lambda: tool.have("stactools-a") != old)


def used_at(environment: Path) -> int:
    """File times have a resolution of milliseconds only."""
    return (environment.parent / "environment.json").stat().st_mtime_ns


def names_below(directory: Path) -> set[str]:
    """Leaves out files that are removed meanwhile, for which Path.glob would raise an error."""
    return {name for _, _, names in os.walk(directory) for name in names}


def have_compiled(tool: Tool, requirement: str) -> Path:
    """Like tool.have, but waits until it is compiled, because it is in use until then."""
    environment = tool.have(requirement)
    wait_until("it is compiled", lambda: (environment.parent / "compiled").exists())
    return environment


def test_what_was_used_longest_ago_goes_first_and_never_what_is_in_use(place: Place) -> None:
    packages = [f"stactools-{name}" for name in "bcde"]
    for name in packages:
        add_wheel(place.wheels, name, files={f"{name}.bin": os.urandom(25 << 20)})
    tool = place.start(ITEMGEND_CACHE_LIMIT="64MiB")
    b, c = have_compiled(tool, packages[0]), have_compiled(tool, packages[1])
    tool.release()
    wait_until("c is the one that was used longest ago", lambda: tool.have(packages[0]) == b and used_at(b) > used_at(c))
    tool.end()
    tool = place.start(ITEMGEND_CACHE_LIMIT="64MiB")  # the next process has the same limit
    d = tool.have(packages[2])
    wait_until("the one is gone", lambda: not c.parent.exists())
    assert b.exists() and d.exists()
    wait_until("uv's cache holds no more of it", lambda: f"{packages[1]}.bin" not in names_below(place.cache / "uv"))
    assert have_compiled(tool, packages[2]) == d
    wait_until("d is the next", lambda: tool.have(packages[0]) == b and used_at(b) > used_at(d))
    e = have_compiled(tool, packages[3])
    other = place.start(ITEMGEND_CACHE_LIMIT="64MiB")  # removes old ones when it starts
    other.have("stactools-a")
    assert b.exists() and d.exists() and e.exists()
    tool.release()
    versions = itertools.count()  # each new environment has the others checked
    wait_until("the next one is gone", lambda: other.have(f"stactools-a>=0.{next(versions)}") and not d.parent.exists())
    assert b.exists() and e.exists()
    assert tool.have(packages[2]) != d  # and is built again when it is requested


def test_what_decides_what_is_installed_has_an_environment_of_its_own(place: Place) -> None:
    constraints = place.folder / "constraints.txt"
    add_wheel(place.wheels, "requests", "2.0")
    found = []
    for content, settings in (("", {}), ("requests<2\n", {}), ("", {"ITEMGEND_WITH": "stactools"}), ("", {})):
        constraints.write_text(content)
        tool = place.start(ITEMGEND_CONSTRAINTS=str(constraints), **settings)
        made = tool.use("stactools-a")
        installed = run_in(made, "import importlib.metadata as m; print([d.version for d in m.distributions() if d.name == 'requests'])")
        found.append((made["directory"], installed))
        tool.end()
    assert [installed for _, installed in found] == ["['2.0']", "['1.0']", "[]", "['2.0']"]
    assert len({directory for directory, _ in found}) == 3 and found[0] == found[3]


def test_no_code_of_a_package_runs_while_its_environment_is_made(place: Place) -> None:
    ran = place.folder / "ran"
    line = f"import os; os.close(os.open({str(ran)!r}, os.O_CREAT))\n"
    add_wheel(place.wheels, "stactools-eager", files={"eager.pth": line, "sitecustomize.py": line, "usercustomize.py": line, "eager.py": line})
    tool = place.start()
    made = tool.use("stactools-eager")
    build = Path(made["directory"]).parent
    wait_until("it is compiled", lambda: (build / "compiled").exists())
    assert not ran.exists()
    run_in(made, "pass")
    assert ran.exists()  # without the protection, it ran
    ran.unlink()
    add_wheel(place.wheels, "stactools-trap", requires=["stactools-eager"], files={"stactools_trap-1.0.data/scripts/python": "#!/bin/sh\n"})
    answer = tool.use("stactools-trap")
    assert (answer["result"], answer["code"]) == ("never", "environment_failed")
    assert "reserved name" in answer["error"] and not ran.exists()


def test_a_source_distribution_is_refused(place: Place) -> None:
    ran = place.folder / "ran"
    add_source(place.wheels, "stactools-source", code=f"open({str(ran)!r}, 'w').close()")
    add_wheel(place.wheels, "stactools-needs-it", requires=["stactools-source"])
    tool = place.start()
    for requirement in ("stactools-source", "stactools-source==1.0", "stactools-needs-it"):
        answer = tool.use(requirement)
        assert (answer["result"], answer["code"]) == ("never", "needs_source_build")
        assert "source_builds" in answer["error"]
    assert not ran.exists()


# A build that tries to leave files and to read one, and reports the results in its wheel.
TRIES = """
    import os
    def tried(path, mode):
        try: return open(path, mode).read() if mode == 'r' else bool(open(path, mode).close()) or 'done'
        except OSError: return 'refused'
    files['tried.py'] = 'outcome = ' + repr([tried(path, mode) for path, mode in {tries!r}])
"""


@pytest.mark.parametrize("sandbox", ["bubblewrap", "limits"])
def test_a_source_distribution_is_built_in_the_sandbox_where_that_is_allowed(place: Place, sandbox: str) -> None:
    if sandbox == "bubblewrap" and subprocess.run(["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], check=False).returncode != 0:
        pytest.skip("bubblewrap does not work here")
    secret = place.folder / "secret"
    secret.write_text("secret")
    shared = place.cache / "uv" / "poison"
    shared.parent.mkdir(parents=True)
    tries = [(str(place.folder / "ran"), "w"), (str(shared), "w"), (str(secret), "r")]
    add_source(place.wheels, "stactools-source", code=TRIES.format(tries=tries).strip())
    add_wheel(place.wheels, "stactools-needs-it", requires=["stactools-source"])
    tool = place.start(ITEMGEND_SOURCE_BUILDS="true", ITEMGEND_SANDBOX=sandbox, ITEMGEND_UV=str(UV), ITEMGEND_NETWORK="open")
    made = tool.use("stactools-needs-it")
    assert made["result"] == "done", made
    read = run_in(made, "import stactools_source, tried; print(tried.outcome[2])")
    left = (read, (place.folder / "ran").exists(), shared.exists())
    assert left == {"bubblewrap": ("refused", False, False), "limits": ("secret", True, True)}[sandbox]
    assert [path for path in shared.parent.iterdir() if path != shared] == []  # it used another cache
    build = Path(made["directory"]).parent
    wait_until("it is compiled", lambda: (build / "compiled").exists())
    assert list(build.glob("venv/lib/python*/site-packages/__pycache__/tried.*.pyc"))
    assert sorted(path.name for path in build.iterdir()) == ["compiled", "environment.json", "venv"]


def test_what_a_source_build_prints_stops_no_service(place: Place) -> None:
    code = "import sys; print('error: Failed to fetch: tcp connect error', file=sys.stderr); sys.exit(1)"
    add_source(place.wheels, "stactools-liar", code=code)
    tool = place.start(ITEMGEND_SOURCE_BUILDS="true", ITEMGEND_UV=str(UV), ITEMGEND_NETWORK="open")
    assert tool.use("stactools-liar")["result"] in ("never", "later")


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"UV_OFFLINE": "0", "UV_FIND_LINKS": "", "UV_DEFAULT_INDEX": "http://127.0.0.1:1/simple", "UV_HTTP_RETRIES": "0"}, "registry_unavailable", "127.0.0.1:1"),
        ({"UV_FIND_LINKS": "/nonexistent"}, "no_environment", "nonexistent"),
        ({"ITEMGEND_PYTHON": "/nonexistent/python"}, "no_environment", "/nonexistent/python"),
        ({"ITEMGEND_UV": "/nonexistent/uv"}, "cannot_run", "/nonexistent/uv"),
        ({"ITEMGEND_CACHE_DIR": "/proc/nonexistent"}, "no_environment", "/proc/nonexistent"),
    ],
)
def test_what_no_package_is_to_blame_for(place: Place, settings: dict[str, str], code: str, words: str) -> None:
    answer = place.start(**settings).use("stactools-a")
    assert (answer["result"], answer["code"]) == ("outage", code), answer
    assert words in answer["error"]


@pytest.fixture
def index(place: Place) -> Iterator[PackageIndex]:
    made = PackageIndex(place.wheels)
    yield made
    made.close()


A = "stactools_a-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("faults", "requirement", "result", "code", "words"),
    [
        ({"/simple/stactools-a": 500}, "stactools-a", "outage", "registry_unavailable", "500 Internal Server Error"),
        ({"/simple/stactools-a": 429}, "stactools-a", "outage", "registry_unavailable", "429 Too Many Requests"),
        ({f"/files/{A}": 503}, "stactools-a", "outage", "registry_unavailable", "503 Service Unavailable"),
        ({f"/files/{A}": "cut"}, "stactools-a", "outage", "registry_unavailable", "end of file before message length"),
        # The index answers, but does not have this package.
        ({"/simple/stactools-a": 404}, "stactools-a", "never", "unresolvable", "stactools-a was not found"),
        ({"/simple/stactools-a": 403}, "stactools-a", "never", "unresolvable", "403 Forbidden"),
        ({"/simple/stactools-a": 400}, "stactools-a", "never", "environment_failed", "400 Bad Request"),
        ({f"/files/{A}": 404}, "stactools-a", "never", "environment_failed", "404 Not Found"),
        ({f"/files/{A}": 403}, "stactools-a", "never", "environment_failed", "403 Forbidden"),
        ({"mistaken": A}, "stactools-a", "never", "environment_failed", "Hash mismatch"),
        ({"yanked": A}, "stactools-a", "never", "unresolvable", "was yanked"),
        ({"yanked": A}, "stactools-a==1.0", "done", "", ""),
        # The index refuses everything.
        ({"/": 401}, "stactools-a", "outage", "no_environment", "401 Unauthorized"),
        ({"/": 403}, "stactools-a", "outage", "no_environment", "403 Forbidden"),
        ({"/files/": 403}, "stactools-a", "outage", "no_environment", "403 Forbidden"),
        ({}, "stactools-a", "done", "", ""),
    ],
)  # fmt: skip
def test_what_an_index_answers(place: Place, index: PackageIndex, faults: dict[str, Any], requirement: str, result: str, code: str, words: str) -> None:
    index.faults, index.yanked, index.mistaken = faults, {faults.get("yanked")}, {faults.get("mistaken")}
    answer = place.start(UV_OFFLINE="0", UV_FIND_LINKS="", UV_HTTP_RETRIES="0", ITEMGEND_DEFAULT_INDEX=index.url).use(requirement)
    assert (answer["result"], answer.get("code", "")) == (result, code), answer
    assert words in answer.get("error", "")


def test_credentials_of_an_index_are_not_told(place: Place) -> None:
    index = "http://user:geheim@127.0.0.1:1/simple"
    tool = place.start(UV_OFFLINE="0", UV_FIND_LINKS="", UV_HTTP_RETRIES="0", ITEMGEND_DEFAULT_INDEX=index, ITEMGEND_PACKAGES="stactools-b")
    answer = tool.use("stactools-a")
    assert answer["code"] == "registry_unavailable"
    assert "geheim" not in answer["error"]
    wait_until("it is logged too", lambda: tool.events("WARNING"))
    assert "geheim" not in json.dumps(tool.log)
    tool.end()  # it removes files until it ends
    assert [path for path in place.cache.rglob("*") if path.is_file() and b"geheim" in path.read_bytes()] == []


def test_packages_are_made_at_the_start(place: Place) -> None:
    tool = place.start(ITEMGEND_PACKAGES="stactools-none memory_limit=1GiB,stactools-a concurrency=2")
    built = wait_until("it is made", lambda: tool.events("ENVIRONMENT_BUILT"))
    assert built[0]["package"] == "stactools-a"
    (warning,) = tool.events("WARNING")
    assert (warning["error_code"], warning["package"]) == ("unresolvable", "stactools-none")
    installations = place.installations()
    tool.have("stactools-a")
    assert place.installations() == installations


def prepare(place: Place, packages: str, **settings: str) -> Path:
    """itemgend --prepare, which needs no queue and no topic."""
    prepared = place.folder / "prepared"
    variables = {
        "PATH": "/usr/bin:/bin",
        "ITEMGEND_UV": str(place.uv),
        "ITEMGEND_PREPARED_DIR": str(prepared),
        "ITEMGEND_PACKAGES": packages,
        "UV_FIND_LINKS": str(place.wheels),
        "UV_OFFLINE": "1",
    }
    done = subprocess.run([TOOL.parents[1] / "bin" / "itemgend", "--prepare"], env=variables | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == [entry.split()[0] for entry in packages.split(",") if entry]
    return prepared


def contents(directory: Path) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for path in directory.rglob("*"):
        name = str(path.relative_to(directory))
        found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
    return found


def test_what_was_prepared_is_used_as_it_is(place: Place) -> None:
    add_wheel(place.wheels, "stactools-b")
    prepared = prepare(place, "Stactools_A memory_limit=512MiB,stactools-b")
    assert [path.name for path in prepared.iterdir()] == ["environments"]  # no downloads
    assert place.installations() == 2
    before = contents(prepared)
    add_wheel(place.wheels, "stactools-a", "1.1")
    tool = place.start(ITEMGEND_PREPARED_DIR=str(prepared), ITEMGEND_ENVIRONMENT_TTL="1s")
    made = tool.use("stactools-a")
    assert Path(made["directory"]).is_relative_to(prepared) and made["version"] == "1.0"
    bytecode = [content for name, content in before.items() if name.endswith(".pyc")]
    assert bytecode and {content[4:8] for content in bytecode} == {b"\1\0\0\0"}  # not checked against the times of sources (PEP 552)
    time.sleep(1.5)
    for _ in range(3):
        assert tool.use("stactools-a") == made
        tool.release()
    time.sleep(0.5)
    assert tool.events("ENVIRONMENT_BUILT") == [] and place.installations() == 2
    assert not Path(tool.have("stactools-a==1.1")).is_relative_to(prepared)
    tool.end()
    assert contents(prepared) == before


def test_what_was_prepared_needs_no_right_to_write(place: Place) -> None:
    prepared = prepare(place, "stactools-a")
    mounted = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"', str(prepared)]
    if subprocess.run([*mounted, "true"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    probe = subprocess.run([*mounted, "touch", str(prepared / "x")], capture_output=True, text=True)
    assert "Read-only" in probe.stderr
    tool = place.start(*mounted, ITEMGEND_PREPARED_DIR=str(prepared))
    assert tool.have("stactools-a").is_relative_to(prepared)


def test_preparing_again_makes_nothing_or_the_same(place: Place) -> None:
    prepared = prepare(place, "stactools-a")
    first = contents(prepared)
    prepare(place, "stactools-a")
    assert place.installations() == 1
    shutil.rmtree(prepared)
    (left,) = (prepared / name for name in first if name.endswith("build-prepared"))
    left.mkdir(parents=True)  # left by a killed build
    (left / "half").touch()
    prepare(place, "stactools-a")
    assert contents(prepared) == first


def test_what_decides_otherwise_is_not_served_what_was_prepared(place: Place) -> None:
    prepared = prepare(place, "stactools-a")
    for settings in ({"ITEMGEND_WITH": "stactools"}, {"UV_EXCLUDE_NEWER": "2030-01-01"}):
        tool = place.start(ITEMGEND_PREPARED_DIR=str(prepared), **settings)
        assert tool.have("stactools-a").is_relative_to(place.cache)
        tool.end()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "prepared_dir is not set"),
        ({"ITEMGEND_PREPARED_DIR": "here"}, "here is not an absolute path"),
        ({"ITEMGEND_PREPARED_DIR": "/var/cache/itemgend"}, "must not be the same directory as cache_dir"),
        ({"ITEMGEND_PREPARED_DIR": "/proc/none", "ITEMGEND_PACKAGES": "stactools-a"}, "cannot make /proc/none"),
    ],
)
def test_preparing_says_what_is_wrong(settings: dict[str, str], problem: str) -> None:
    done = subprocess.run([TOOL.parents[1] / "bin" / "itemgend", "--prepare"], env=settings, capture_output=True, text=True)
    assert done.returncode in (1, 78) and problem in done.stderr and done.stdout == ""
