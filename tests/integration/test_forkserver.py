"""libexec/forkserver.py by itself, with a stand-in for stactools: its messages, what items see, and that nothing is left of them."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "libexec" / "forkserver.py"

# It runs its arguments as a Python program; the real one runs commands of click.
CLI = """
import random, sys
VALUE = random.random()
def run_cli():
    exec(sys.argv[1], {"sys": sys})
"""
LAZY = "IMPORTED = True\n"


class Server:
    def __init__(self, python: Path, place: Path, mode: str, sandbox: list[str]) -> None:
        self.place = place
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(60)

        def hand_over() -> None:
            os.dup2(theirs.fileno(), 3)

        self.process = subprocess.Popen([*sandbox, python, "-I", PROGRAM, mode], preexec_fn=hand_over, pass_fds=[3], stderr=subprocess.PIPE)
        theirs.close()
        self.ready = self.control.recv(100).decode()

    def item(self, script: str, **changes: Any) -> tuple[list[str], str, Path]:
        """The reports, the output, and the directory."""
        directory = self.place / f"item-{len(list(self.place.iterdir()))}"
        directory.mkdir()
        job = {"arguments": [script], "directory": str(directory), "variables": {"MORE": "x"}, "waits": False, "memory": 1 << 30, "disk": 1 << 20, "files": 64}
        file = os.memfd_create("job")
        os.write(file, json.dumps(job | changes).encode())
        reader, writer = os.pipe()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(60)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        socket.send_fds(self.control, [b"item"], [file, writer, theirs.fileno()])
        for descriptor in (file, writer):
            os.close(descriptor)
        theirs.close()
        reports = []
        with ours, open(reader, "rb") as output:
            while message := ours.recvmsg(1000, 100):
                if not message[0]:
                    break
                reports.append(message[0].decode())
                if reports[-1] == "started":
                    self.keeper = struct.unpack("3i", message[1][0][2])[0]
                if reports[-1] == "waiting":
                    self.first = struct.unpack("3i", message[1][0][2])[0]
                    self.waiting_for = Path(f"/proc/{self.first}/stat").read_text().rpartition(")")[2].split()[1], os.listdir(directory)
                    ours.send(b"go")
            return reports, output.read().decode(), directory

    def result(self, script: str, **changes: Any) -> tuple[int, int, str]:
        """Exit code, signal and output."""
        reports, output, _ = self.item(script, **changes)
        assert len(reports) == 2 and reports[0] == "started", (reports, output)
        word, code, number, peak, _ = reports[1].split()
        assert word == "ended" and int(peak) > 0
        return int(code), int(number), output


def bubblewrap(python: Path, place: Path) -> list[str]:
    environment = python.parent.parent
    seen = [word for path in (environment, PROGRAM.parent) for word in ("--ro-bind", str(path), str(path))]
    return ["bwrap", "--unshare-user", "--unshare-pid", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
            "--tmpfs", "/tmp", *seen, "--bind", str(place), str(place), "--"]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "stactools" / "cli").mkdir(parents=True)
    (packages / "stactools" / "cli" / "cli.py").write_text(CLI)
    (packages / "lazy_module.py").write_text(LAZY)
    return folder / "bin" / "python"


@pytest.fixture(scope="module", params=["together", "apart"])
def server(request: pytest.FixtureRequest, python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("place")
    sandbox = bubblewrap(python, place) if request.param == "apart" else []
    if sandbox and subprocess.run([*sandbox, "true"], capture_output=True).returncode != 0:
        pytest.skip("bubblewrap does not work here")
    server = Server(python, place, request.param, sandbox)
    assert server.ready == f"ready {request.param}"
    yield server
    server.control.close()
    assert server.process.wait(60) == 0


ENDS = {
    "nothing": ("", (0, 0), ""),
    "printed": ("print('out'); print('err', file=sys.stderr)", (0, 0), "out"),
    "exit code": ("sys.exit(3)", (3, 0), ""),
    "exit text": ("sys.exit('words')", (1, 0), "words"),
    "exception": ("raise ValueError('broken')", (1, 0), "ValueError: broken"),
    "signal": ("import os; os.kill(os.getpid(), 11)", None, ""),
    "killed": ("import os, signal; p = os.fork() or os.kill(os.getpid(), 9) or 0; sys.exit(os.waitpid(p, 0)[1])", (9, 0), ""),
    "at exit": ("import atexit; atexit.register(lambda: print('last'))", (0, 0), "last"),
    "thread": ("import threading, time; threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()", (0, 0), "late"),
    "memory": ("bytearray(2 << 30)", (1, 0), "MemoryError"),
    "file": ("open('f', 'wb').write(bytes(3 << 20))", (1, 0), "File too large"),
    "name": ("print(sys.argv[0])", (0, 0), "stac\n"),
}


@pytest.mark.parametrize("name", ENDS)
def test_how_items_end(server: Server, name: str) -> None:
    script, expected, words = ENDS[name]
    code, number, output = server.result(script)
    # The first process of a PID namespace ignores signals that it sends to itself.
    if expected is not None:
        assert (code, number) == expected, output
    elif server.ready == "ready together":
        assert (code, number) == (0, 11)
    assert words in output


def test_an_item_waits_until_it_may_go(server: Server) -> None:
    """The first process waits, so that itemgend can put it into a cgroup."""
    reports, output, directory = server.item("import os; open('ran', 'w'); print(len(os.listdir('/proc/self/fd')))", waits=True)
    assert reports[:2] == ["started", "waiting"] and reports[2].startswith("ended 0 0 "), (reports, output)
    assert server.waiting_for == (str(server.keeper), []) and server.first != server.keeper
    assert os.listdir(directory) == ["ran"]
    assert output == server.item("import os; open('ran', 'w'); print(len(os.listdir('/proc/self/fd')))")[1]


def test_what_an_item_sees(server: Server) -> None:
    script = """import json, os
print(json.dumps({"cwd": os.getcwd(), "home": os.environ["HOME"], "tmp": os.environ["TMPDIR"], "more": os.environ["MORE"],
    "there": os.listdir("."), "neighbours": os.listdir(os.path.dirname(os.getcwd())), "pid": os.getpid(),
    "descriptors": sorted(int(n) for n in os.listdir("/proc/self/fd"))[:-1], "input": os.read(0, 1).decode(),
    "capabilities": [l.split()[1] for l in open("/proc/self/status") if l.startswith("CapEff")][0], "session": os.getsid(0)}))"""
    reports, output, directory = server.item(script)
    seen = json.loads(output)
    assert seen["home"] == seen["tmp"] == seen["cwd"] and seen["more"] == "x" and seen["there"] == [] and seen["input"] == ""
    assert seen["descriptors"] == [0, 1, 2]
    if server.ready == "ready apart":
        assert seen["cwd"] == str(server.place) and seen["pid"] == 1 and int(seen["capabilities"], 16) == 0
    else:
        assert seen["cwd"] == str(directory) and seen["session"] == seen["pid"]
    server.result("open('item.json', 'w').write('x')")
    assert sorted(server.place.glob("*/item.json"))[-1].read_text() == "x"


def test_neighbours_are_hidden(server: Server) -> None:
    if server.ready != "ready apart":
        pytest.skip("together: items of one package see each other's files")
    server.item("open('secret', 'w').write('x')")
    script = f"""import os, signal
print(os.listdir({str(server.place)!r}), os.listdir("/dev/shm"))
for path in ("/tmp/x", "/dev/x", "/x"):
    try:
        open(path, "w")
        print("could write", path)
    except OSError:
        pass
if os.fork() == 0:
    try:
        os.kill(-1, signal.SIGKILL)
    finally:
        os._exit(0)
os.wait()"""
    assert server.result(script) == (0, 0, "[] []\n")
    assert server.result("")[0] == 0


def test_nothing_is_left(server: Server) -> None:
    script = """import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("mark", "w").write(str(os.getpid()))
        os.execvp("sleep", ["sleep", "54321.25"])
    os._exit(0)
while not os.path.exists("mark") or not open("mark").read(): time.sleep(0.01)"""
    assert server.result(script)[0] == 0
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert [line for line in lines if b"54321.25" in line] == []


def test_the_keeper_tells_who_it_is_and_ends(server: Server) -> None:
    server.item("")
    assert server.keeper not in (0, os.getpid(), server.process.pid)


def test_what_one_item_imports_the_next_ones_have(server: Server) -> None:
    assert server.result("print('lazy_module' in sys.modules); import lazy_module")[2] == "False\n"
    assert server.result("print('lazy_module' in sys.modules)")[2] == "True\n"


def test_items_are_no_copies_of_chance(server: Server) -> None:
    script = "import random, uuid, tempfile, os; print(random.random(), uuid.uuid4(), os.path.basename(tempfile.mktemp()))"
    first, second = (server.result(script)[2].split() for _ in range(2))
    assert not set(first) & set(second)


def test_a_job_that_makes_no_sense_is_told(server: Server) -> None:
    reports, _, _ = server.item("", memory="much")
    assert reports[0] == "started" and (reports[-1].startswith("failed ") or reports[-1].startswith("ended 1 "))
    reports, _, _ = server.item("", directory="/nonexistent/item")
    assert reports[-1].startswith("ended 1 ")
    assert server.result("")[0] == 0


def test_a_package_that_cannot_be_imported(python: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    venv.EnvBuilder(with_pip=False, symlinks=True).create(tmp_path / "other")
    server = Server(tmp_path / "other" / "bin" / "python", tmp_path / "empty", "together", [])
    assert server.ready == ""
    assert server.process.wait(60) == 1
    assert b"No module named 'stactools'" in server.process.stderr.read()


