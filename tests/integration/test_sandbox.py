"""build/tests/sandbox: what package code can see and do in itemgend's sandbox, and the warnings without one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

NOBODY = 65534
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SECRET = "the-daemons-own-secret"
NEEDED = {
    "PATH": SYSTEM_PATH,
    "ITEMGEND_NETWORK": "open",
    "ITEMGEND_QUEUE_URL": "https://sqs.eu-central-2.amazonaws.com/123456789012/q",
    "ITEMGEND_LOAD_TOPIC_ARN": "arn:aws:sns:eu-central-2:123456789012:t",
}
# Variables that a daemon may have and package code must not.
FOREIGN = {
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": f"/v2/credentials/{SECRET}",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": SECRET,
    "ECS_CONTAINER_METADATA_URI_V4": f"http://169.254.170.2/v4/{SECRET}",
    "ITEMGEND_DEFAULT_INDEX": f"https://user:{SECRET}@example.com/simple",
    "UV_INDEX_URL": f"https://user:{SECRET}@example.com/simple",
    "UV_INDEX_MINE_PASSWORD": SECRET,
    "NOTIFY_SOCKET": f"/run/{SECRET}",
    "CREDENTIALS_DIRECTORY": f"/run/credentials/{SECRET}",
    "PGPASSWORD": SECRET,
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": "/tmp",
    "LD_PRELOAD": "",
    "HOME": "/root",
}

LOOK = """
import json, os, pwd, socket, sys
def attempt(action):
    try:
        return action() or "done"
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
def write(path):
    with open(os.path.join(path, "written-by-package-code"), "w") as file:
        file.write("x")
def read(path):
    with open(path, "rb") as file:
        return file.read().decode(errors="replace")
asked = json.loads(sys.argv[1])
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "root": sorted(os.listdir("/")), "etc": sorted(os.listdir("/etc")), "environ": dict(os.environ), "cwd": os.getcwd(),
    "commands": [attempt(lambda: read(f"/proc/{pid}/cmdline")) for pid in os.listdir("/proc") if pid.isdigit()],
    "environs": [attempt(lambda: read(f"/proc/{pid}/environ")) for pid in os.listdir("/proc") if pid.isdigit()],
    "capabilities": [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privs": status["NoNewPrivs"].strip(), "session": os.getsid(0), "host_name": socket.gethostname(),
    "namespaces": {name: os.readlink(f"/proc/self/ns/{name}") for name in ("user", "pid", "ipc", "uts", "mnt", "net")},
    "user": next((user.pw_name for user in pwd.getpwall() if user.pw_uid == os.getuid()), None),
    "read": {path: attempt(lambda: read(path)) for path in asked["read"]},
    "write": {path: attempt(lambda: write(path)) for path in asked["write"]},
    "exists": {path: os.path.exists(path) for path in asked["exists"]},
    "connect": [attempt(lambda: socket.create_connection(("127.0.0.1", port), 10).close()) for port in asked["connect"]],
    "signal": {pid: attempt(lambda: os.kill(int(pid), 0)) for pid in asked["signal"]},
}))
"""


@dataclass(frozen=True)
class Place:
    """A folder with the tool that the user of the test can enter; runs commands as that user."""

    folder: Path
    prefix: list[str]

    def make(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        if self.prefix:
            os.chown(path, NOBODY, NOBODY)
        return path

    def tool(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [*self.prefix, self.folder / "sandbox", *arguments]
        return subprocess.run(command, env=NEEDED | environment, capture_output=True, text=True, timeout=60)

    def look(self, *arguments: str | Path, asked: dict[str, Any] | None = None, **environment: str) -> dict[str, Any]:
        """Runs LOOK, by default in bubblewrap. It tries to write everywhere."""
        asked = {"read": [], "write": [], "exists": [], "connect": [], "signal": []} | (asked or {})
        environment = {"ITEMGEND_SANDBOX": "bubblewrap"} | environment
        done = self.tool(*arguments, "/usr/bin/python3", "-c", LOOK, json.dumps(asked), **FOREIGN, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(params=["root", "user"])
def place(request: pytest.FixtureRequest, build: Path) -> Iterator[Place]:
    is_root = os.geteuid() == 0
    if request.param == "root" and not is_root:
        pytest.skip("the tests do not run as root")
    folder = Path(tempfile.mkdtemp(prefix="sandbox-test."))
    folder.chmod(0o755)
    for program in (build / "tests" / "sandbox", build / "bin" / "itemgend"):
        shutil.copy(program, folder)
    as_nobody = ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]
    yield Place(folder, as_nobody if is_root and request.param == "user" else [])
    shutil.rmtree(folder)


@pytest.fixture
def bubblewrap(place: Place) -> None:
    command = [*place.prefix, "bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    try:
        works = subprocess.run(command, env={"PATH": SYSTEM_PATH}, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("bubblewrap is not installed: make deps-test")
    if works.returncode != 0:
        pytest.skip(f"bubblewrap does not work here: {works.stderr.strip()}")


@pytest.fixture
def victim(place: Place) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process of the same user, with a secret in its environment."""
    process = subprocess.Popen([*place.prefix, "sleep", "3217"], env={"PATH": SYSTEM_PATH, "TOKEN": SECRET})
    wait_until(lambda: b"sleep" in Path(f"/proc/{process.pid}/cmdline").read_bytes()[:6])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def wait_until(holds: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "did not come to hold in time"
        time.sleep(0.01)


# ----------------------------------------------------------------- bubblewrap


@pytest.mark.usefixtures("bubblewrap")
def test_only_what_programs_need_is_seen(place: Place, victim: "subprocess.Popen[bytes]") -> None:
    work, shown, hidden = (place.make(name) for name in ("work", "shown", "hidden"))
    (hidden / "credentials").write_text(SECRET)
    (shown / "data").write_text("the package's")
    seen = place.look(
        "-r", shown, "-w", work,
        asked={
            "read": [str(shown / "data"), str(hidden / "credentials"), "/proc/1/environ"],
            "exists": ["/root", "/home", "/run", "/var", "/sys", "/opt", "/srv", "/boot", "/etc/shadow", "/etc/machine-id", "/etc/hostname",
                       "/etc/ssl/private", "/etc/stactools-ingest", "/etc/resolv.conf", "/usr/bin/env", "/dev/kmsg", "/dev/net"],
        },
    )  # fmt: skip
    assert set(seen["root"]) <= {"bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "tmp", "usr", folder_of(place)}
    assert [path for path, exists in seen["exists"].items() if exists] == ["/etc/resolv.conf", "/usr/bin/env"]
    assert seen["read"][str(shown / "data")] == "the package's"
    assert seen["read"][str(hidden / "credentials")] == "No such file or directory"
    # It sees only itself and the processes that started it, which have no secrets either.
    assert len(seen["commands"]) <= 3 and not any("3217" in command for command in seen["commands"])
    assert SECRET not in json.dumps(seen)
    assert seen["cwd"] == str(work)


def folder_of(place: Place) -> str:
    return place.folder.parts[1]


@pytest.mark.usefixtures("bubblewrap")
def test_namespaces_session_and_privileges(place: Place) -> None:
    seen = place.look()
    ours = {name: os.readlink(f"/proc/self/ns/{name}") for name in seen["namespaces"]}
    assert {name for name in ours if ours[name] == seen["namespaces"][name]} == {"net"}
    assert seen["capabilities"] == [0, 0, 0, 0, 0] and seen["no_new_privs"] == "1"
    assert seen["session"] > 0, "a session of its own, not one of outside"
    assert seen["host_name"] == "localhost"
    assert seen["user"] in ("nobody", None)


@pytest.mark.usefixtures("bubblewrap")
def test_only_what_is_given_is_written(place: Place) -> None:
    work, shown = place.make("work"), place.make("shown")
    held = ["/", "/usr", "/usr/lib", "/etc", "/etc/ssl/certs", "/dev", "/proc", "/proc/sys/kernel", str(shown)]
    private = ["/tmp", "/dev/shm", str(place.folder)]  # the sandbox's own, not those of the host
    seen = place.look("-r", shown, "-w", work, asked={"write": [*held, *private, str(work)]})
    answers = {path: seen["write"][path] for path in held}
    assert set(answers.values()) <= {"Read-only file system", "Permission denied", "No such file or directory"}, answers
    assert [seen["write"][path] for path in [*private, str(work)]] == ["done"] * 4
    written = work / "written-by-package-code"
    assert written.read_text() == "x" and written.stat().st_uid == (NOBODY if place.prefix else os.geteuid())
    outside = [path for path in map(Path, held + private) if (path / written.name).exists()]
    for path in outside:
        (path / written.name).unlink()
    assert outside == []


@pytest.mark.usefixtures("bubblewrap")
def test_tmp_is_small(place: Place) -> None:
    for path in ("/tmp", "/dev/shm"):
        done = place.tool("sh", "-c", f"head -c 100M /dev/zero >{path}/full", ITEMGEND_SANDBOX="bubblewrap")
        assert done.returncode != 0 and "No space left" in done.stderr


@pytest.mark.usefixtures("bubblewrap")
def test_processes_outside_cannot_be_reached(place: Place, victim: "subprocess.Popen[bytes]") -> None:
    pid = str(victim.pid)
    seen = place.look(asked={"signal": [pid], "exists": [f"/proc/{pid}/sched"], "read": [f"/proc/{pid}/environ"]})
    if seen["exists"][f"/proc/{pid}/sched"]:
        pytest.skip("a process inside has the same number")
    assert seen["signal"][pid] == "No such process"
    assert victim.poll() is None


@pytest.mark.usefixtures("bubblewrap")
@pytest.mark.parametrize(("network", "reached"), [("open", "done"), ("closed", "Connection refused")])
def test_network(place: Place, port: int, network: str, reached: str) -> None:
    assert place.look(asked={"connect": [port]}, ITEMGEND_NETWORK=network)["connect"] == [reached]


@pytest.mark.usefixtures("bubblewrap")
def test_further_namespaces_can_be_made_inside(place: Place) -> None:
    work = place.make("work")
    done = place.tool("-w", work, "unshare", "--user", "--pid", "--mount", "--fork", "--map-current-user", "sh", "-c", "echo $$; touch file")
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert (work / "file").exists()


@pytest.mark.usefixtures("bubblewrap")
def test_nothing_outlives_who_started_it(place: Place) -> None:
    marker = f"{place.folder}/marker"
    script = f'{place.folder}/sandbox setsid sh -c "sleep 4321; : {marker}" & wait'
    parent = subprocess.Popen([*place.prefix, "sh", "-c", script], env=NEEDED)
    try:
        wait_until(lambda: len(named(marker)) >= 4)  # the shell, two of bubblewrap, and the command
    finally:
        parent.kill()
        parent.wait()
    try:
        wait_until(lambda: named(marker) == [])
    finally:
        for pid in named(marker):
            os.kill(pid, signal.SIGKILL)


def named(text: str) -> list[int]:
    """The processes with this text in their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            pass
    return found


@pytest.mark.usefixtures("bubblewrap")
def test_certificates_that_were_named_are_seen(place: Place) -> None:
    certificates, directory = place.make("certificates"), place.make("directory")
    (certificates / "ca.pem").write_text("a certificate")
    (certificates / "key.pem").write_text(SECRET)
    (directory / "hash.0").write_text("another")
    paths = [certificates / "ca.pem", certificates / "key.pem", directory / "hash.0"]
    environment = {"SSL_CERT_FILE": str(paths[0]), "SSL_CERT_DIR": f"/nowhere:{directory}", "CURL_CA_BUNDLE": "/etc/ssl/certs/ca-certificates.crt"}
    seen = place.look(asked={"exists": [str(path) for path in paths]}, **environment)
    assert list(seen["exists"].values()) == [True, False, True]
    assert {name: seen["environ"].get(name) for name in environment} == environment


@pytest.mark.usefixtures("bubblewrap")
def test_resolv_conf_that_is_a_link_is_followed(place: Place) -> None:
    if os.geteuid() != 0:
        pytest.skip("changing /etc/resolv.conf, in a mount namespace, needs root")
    layers = place.make("layers")
    script = f"""set -e
        mount -t tmpfs tmpfs {layers}; mkdir {layers}/upper {layers}/work {layers}/run; chmod 755 {layers}/run
        mount -t overlay -o lowerdir=/etc,upperdir={layers}/upper,workdir={layers}/work overlay /etc
        echo nameserver 192.0.2.1 >{layers}/run/stub.conf; rm /etc/resolv.conf; ln -s {layers}/run/stub.conf /etc/resolv.conf
        chmod 644 {layers}/run/stub.conf
        exec "$@" {place.folder}/sandbox cat /etc/resolv.conf"""
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "-", *place.prefix], env=NEEDED, capture_output=True, text=True)
    assert done.stdout == "nameserver 192.0.2.1\n", done.stderr


# ---------------------------------------------------------- resource limits only


def test_limits_hold_less(place: Place, victim: "subprocess.Popen[bytes]") -> None:
    """The gaps without bubblewrap that docs/explanation/sandbox.md lists."""
    hidden = place.make("hidden")
    (hidden / "credentials").write_text(SECRET)
    environ, pid = f"/proc/{victim.pid}/environ", str(victim.pid)
    seen = place.look(asked={"read": [str(hidden / "credentials"), environ], "signal": [pid], "exists": ["/etc/shadow"]}, ITEMGEND_SANDBOX="limits")
    assert seen["read"][str(hidden / "credentials")] == SECRET and SECRET in seen["read"][environ]
    assert seen["signal"][pid] == "done" and seen["exists"]["/etc/shadow"]
    assert SECRET not in json.dumps(seen["environ"])


# ------------------------------------------------------ the sandbox in force, and warnings


def in_force(place: Place, **variables: str) -> str:
    """Describes sandbox and network without a warning. Whether there are cgroups depends on the machine."""
    sandbox, memory = place.tool("-d", **variables).stdout.splitlines()
    assert re.fullmatch("memory: (cgroup v2|limits and samples, because .+)", memory)
    return sandbox


@pytest.mark.usefixtures("bubblewrap")
def test_bubblewrap_is_chosen_where_it_works(place: Place) -> None:
    assert in_force(place) == "in force: sandbox bubblewrap, network open"
    assert in_force(place, ITEMGEND_NETWORK="closed") == "in force: sandbox bubblewrap, network closed"
    assert in_force(place, ITEMGEND_SANDBOX="limits") == "in force: sandbox limits, network open"
    checked = subprocess.run([*place.prefix, place.folder / "itemgend", "--check-config"], env=NEEDED, capture_output=True, text=True)
    assert checked.returncode == 0 and "\n# in force: sandbox bubblewrap, network open\n# memory: " in checked.stdout


def refusing(place: Place) -> Path:
    """A PATH with a bwrap that fails as if the kernel refused it."""
    folder = place.make("refusing")
    program = folder / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\necho more >&2\nexit 1\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("absent", "bubblewrap is not installed (no program bwrap in PATH): install the package bubblewrap"),
        ("refused", "bubblewrap does not work here (bwrap: setting up uid map: Permission denied): allow this user to make namespaces"),
    ],
)
def test_without_bubblewrap(place: Place, kind: str, why: str) -> None:
    path = str(place.make("empty") if kind == "absent" else refusing(place))
    described = place.tool("-d", PATH=path)
    assert described.returncode == 0
    assert described.stdout.startswith("in force: sandbox limits, network open\n")
    assert f"package code runs without a sandbox, with resource limits only: {why}" in described.stdout
    demanded = place.tool("-d", PATH=path, ITEMGEND_SANDBOX="bubblewrap")
    assert demanded.returncode == 2 and demanded.stderr.startswith(f"sandbox_unavailable: {why}")
    for sandbox in ("auto", "limits"):
        closed = place.tool("-d", PATH=path, ITEMGEND_NETWORK="closed", ITEMGEND_SANDBOX=sandbox)
        assert closed.returncode == 2 and closed.stderr.startswith("sandbox_unavailable: ")


def test_what_cannot_start_is_told_before_it_does(place: Place) -> None:
    demanding = NEEDED | {"ITEMGEND_SANDBOX": "limits", "ITEMGEND_NETWORK": "filtered"}
    checked = subprocess.run([*place.prefix, place.folder / "itemgend", "--check-config"], env=demanding, capture_output=True, text=True)
    assert checked.returncode == 1 and "\n# cannot start: the network of package code can be filtered" in checked.stdout


@pytest.mark.long
def test_a_slow_machine_is_no_reason_to_go_without(place: Place) -> None:
    folder = place.make("slow")
    (folder / "bwrap").write_text("#!/bin/sh\nexec /bin/sleep 1000\n")
    (folder / "bwrap").chmod(0o755)
    described = place.tool("-d", PATH=str(folder))
    assert described.returncode == 2 and described.stderr.startswith("timeout: "), described.stdout


def test_daemon_without_what_is_demanded_does_not_start(place: Place) -> None:
    environment = NEEDED | {"PATH": str(place.make("empty")), "ITEMGEND_SANDBOX": "bubblewrap"}
    started = subprocess.run([*place.prefix, place.folder / "itemgend"], env=environment, capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in started.stdout.splitlines()]
    assert started.returncode == 1
    assert lines[-1]["error_code"] == "sandbox_unavailable" and "install the package bubblewrap" in lines[-1]["message"]


# ------------------------------------------------------------------ environment


@pytest.mark.parametrize("sandbox", ["auto", "limits"])
def test_package_code_gets_a_list_of_variables(place: Place, sandbox: str) -> None:
    work = place.make("work")
    passed = {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt", "https_proxy": "http://proxy:3128", "NO_PROXY": "localhost"}
    environ = place.look("-w", work, ITEMGEND_SANDBOX=sandbox, **passed)["environ"]
    environ.pop("PWD", None)  # bubblewrap's
    environ.pop("LC_CTYPE", None)  # Python's
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    assert environ == passed | threads | {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": str(work), "TMPDIR": str(work)}


def test_uv_gets_its_settings(place: Place) -> None:
    work = place.make("work")

    def settings(**environment: str) -> dict[str, str]:
        done = place.tool("-u", "-w", work, "env", "-0", ITEMGEND_SANDBOX="limits", **environment)
        return dict(word.split("=", 1) for word in done.stdout.split("\0") if word.startswith("UV_"))

    own = {"UV_CACHE_DIR": "/var/cache/itemgend", "UV_PYTHON": "python3", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1", "UV_NO_PROGRESS": "1"}
    assert settings() == own | {"UV_NO_BUILD": "1"}
    theirs = {"UV_INDEX": "https://a/simple", "UV_DEFAULT_INDEX": "https://b/simple", "UV_EXTRA_INDEX_URL": "https://c/simple",
              "UV_INDEX_URL": "https://d/simple", "UV_INDEX_STRATEGY": "unsafe-best-match", "UV_INDEX_A_PASSWORD": "x", "UV_OFFLINE": "1"}  # fmt: skip
    built = {"ITEMGEND_SOURCE_BUILDS": "true", "UV_PYTHON_DOWNLOADS": "automatic", "UV_CONFIG_FILE": "/tmp/x", "UV_PROJECT": "/tmp"}
    assert settings(**theirs, **built) == own | theirs
    chosen = settings(**theirs, ITEMGEND_DEFAULT_INDEX="https://e/simple", ITEMGEND_INDEXES="https://f/simple, https://g/simple",
                      ITEMGEND_CONSTRAINTS="/dev/null")  # fmt: skip
    assert chosen == own | {"UV_NO_BUILD": "1", "UV_CONSTRAINT": "/dev/null", "UV_DEFAULT_INDEX": "https://e/simple",
                            "UV_INDEX": "https://f/simple https://g/simple", "UV_INDEX_STRATEGY": "unsafe-best-match",
                            "UV_INDEX_A_PASSWORD": "x", "UV_OFFLINE": "1"}  # fmt: skip


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://user:pass-word@proxy:3128", True), ("user:pass-word@proxy:3128", True), ("http://user@proxy:3128/x:y@z", False), ("http://proxy:3128", False)],
)
def test_a_proxy_with_a_password_is_warned_of(place: Place, url: str, warned: bool) -> None:
    output = place.tool("-d", ITEMGEND_SANDBOX="limits", https_proxy=url).stdout
    assert ("package code can read the password in https_proxy" in output) is warned
    assert "pass-word" not in output


# ------------------------------------------------------------------- the daemon


def test_the_daemon_keeps_its_memory_to_itself(place: Place, build: Path) -> None:
    """Without bubblewrap, package code runs beside the daemon as its user."""
    if build.name == "san":
        pytest.skip("a sanitizer's leak check needs a process that can be traced")
    if os.geteuid() == 0 and not place.prefix:
        pytest.skip("root may read all")
    log = (place.folder / "log").open("w")
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "eu-central-2",
               "ITEMGEND_WORK_DIR": str(place.make("work")), "ITEMGEND_SANDBOX": "limits"}  # fmt: skip
    daemon = subprocess.Popen([*place.prefix, place.folder / "itemgend"], env=NEEDED | nowhere, stdout=log, stderr=log)
    try:
        wait_until(lambda: "SANDBOX_CHOSEN" in (place.folder / "log").read_text())
        paths = [f"/proc/{daemon.pid}/{name}" for name in ("environ", "mem", "auxv")]
        seen = place.look(asked={"read": paths}, ITEMGEND_SANDBOX="limits")
        assert list(seen["read"].values()) == ["Permission denied"] * 3
        assert daemon.poll() is None
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=60) == 0
        log.close()
