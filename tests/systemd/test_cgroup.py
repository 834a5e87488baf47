"""
Memory limits with cgroups of version 2, in a virtual machine with Debian's kernel and systemd, so that the host's own
cgroups do not matter.

All tests share one boot: SCRIPT runs there, and each test looks at one of its parts, "=== NAME".
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from local.stack import ROOT

from . import vm

pytestmark = pytest.mark.long

# Run as package code: each may have 64 MiB.
CHILDREN = """
import os, time
for i in range(8):
    if os.fork() == 0:
        held = b"x" * (20 << 20)
        time.sleep(20)
        os._exit(0)
os.wait()
"""
DAEMONS = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        held = b"x" * (50 << 20)
        time.sleep(20)
held = b"x" * (50 << 20)
time.sleep(20)
"""
# A sample does not see this memory: no process is attached to it.
SYSV = """
import ctypes
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
for i in range(20):
    place = libc.shmat(libc.shmget(0, 10 << 20, 0o1600), None, 0)
    ctypes.memset(place, 1, 10 << 20)
    libc.shmdt(ctypes.c_void_p(place))
"""
MEMFDS = """
import os
files = [os.memfd_create("x") for i in range(20)]
for file in files:
    os.write(file, bytes(10 << 20))
"""
HEAP = "bytearray(90 << 20)"
# The kernel keeps read pages as long as it can, and gives them up before it refuses more memory.
READS = """
import os
n = 0
for folder, _, names in os.walk("/usr/lib"):
    for name in names:
        try:
            with open(os.path.join(folder, name), "rb") as file:
                while part := file.read(1 << 20):
                    n += len(part)
        except OSError:
            pass
        if n > 100 << 20:
            print("read more than", n >> 20)
            raise SystemExit
"""
# Without a sandbox, the file belongs to the user of itemgend.
RAISES = """
with open("/proc/self/cgroup") as file:
    group = "/sys/fs/cgroup" + file.read().strip()[3:]
with open(group + "/memory.max", "w") as file:
    file.write("max")
""" + CHILDREN  # fmt: skip
# In its own namespaces, where it may mount the cgroups that it is in.
ATTACK = """
import errno, json, os, subprocess
os.chdir(os.environ["TMPDIR"])
os.mkdir("mounted")
subprocess.run(["mount", "-t", "cgroup2", "none", "mounted"], check=True)
os.chdir("mounted")
def attempt(act):
    try:
        act()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]
def write(name, text):
    with open(name, "w") as file:
        file.write(text)
tried = {name: attempt(lambda: write(name, text)) for name, text in
         {"memory.max": "max", "memory.oom.group": "0", "cgroup.kill": "1", "cgroup.freeze": "1", "cgroup.max.descendants": "9"}.items()}
print("tried", json.dumps(tried | {"mkdir": attempt(lambda: os.mkdir("x"))}))
"""
ATTACKS = """
import subprocess
command = ["unshare", "--user", "--map-root-user", "--mount", "--cgroup", "/usr/bin/python3", "/usr/local/share/attack.py"]
done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
"""
ITEMS = {"children": CHILDREN, "daemons": DAEMONS, "sysv": SYSV, "memfds": MEMFDS, "heap": HEAP, "reads": READS, "nothing": "print('nothing')"}
COMMANDS = {"children": CHILDREN, "sysv": SYSV, "attacks": ATTACKS + "print(done.stdout)"}
STAC = 'import sys\ndef run_cli():\n    exec(open(sys.argv[1]).read(), {"sys": sys})\n'

SCRIPT = """
cp -r /run/vm/root/. /
for mode in items attacked; do
    /usr/bin/python3 -m venv --without-pip /usr/local/$mode && cli=$(echo /usr/local/$mode/lib/python3*/site-packages)/stactools/cli
    mkdir -p $cli && cp /run/vm/$mode.py $cli/cli.py
done
cp /run/vm/attack.py /run/vm/scripts/* /usr/local/share/
printf '%s\\n' ITEMGEND_QUEUE_URL=http://127.0.0.1:1/queue ITEMGEND_LOAD_TOPIC_ARN=arn:aws:sns:us-west-2:123456789012:topic \\
    ITEMGEND_NETWORK=open AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-west-2 ASAN_OPTIONS=detect_leaks=0 >/etc/stactools-ingest/environment
unit() {
    systemd-run --quiet --wait --pipe --collect -p DynamicUser=yes -p StateDirectory=items -p EnvironmentFile=/etc/stactools-ingest/environment "$@" 2>&1
}
for sandbox in bubblewrap limits; do
    for script in ITEMS; do items[${#items[@]}]=/usr/local/share/$script; done
    echo "=== $sandbox items"
    unit -p Delegate=memory -E ITEMGEND_SANDBOX=$sandbox /usr/local/bin/item -p /usr/local/items/bin/python /var/lib/items "${items[@]}"
    items=()
    for script in COMMANDS; do
        echo "=== $sandbox command $script"
        unit -p Delegate=memory -E ITEMGEND_SANDBOX=$sandbox /usr/local/bin/item /var/lib/items python3 /usr/local/share/$script
    done
    echo "=== $sandbox import"
    unit -p Delegate=memory -E ITEMGEND_SANDBOX=$sandbox /usr/local/bin/item -p /usr/local/attacked/bin/python /var/lib/items x
    echo "=== $sandbox not delegated"
    unit -E ITEMGEND_SANDBOX=$sandbox /usr/local/bin/item /var/lib/items python3 /usr/local/share/nothing
    echo "=== $sandbox read-only"
    unit -p Delegate=memory -p ProtectControlGroups=yes -E ITEMGEND_SANDBOX=$sandbox /usr/local/bin/item /var/lib/items python3 /usr/local/share/nothing
done
echo "=== limits raises"
unit -p Delegate=memory -E ITEMGEND_SANDBOX=limits /usr/local/bin/item -p /usr/local/items/bin/python /var/lib/items /usr/local/share/raises
echo "=== shared"
unit -p Delegate=memory -E ITEMGEND_SANDBOX=limits sh -c '/usr/local/bin/item /var/lib/items python3 /usr/local/share/nothing; cat /proc/self/cgroup'
echo "=== left"
find /sys/fs/cgroup -name 'item-*' -o -name daemon

# Our unit. Its queue does not answer, so it would never be ready.
mkdir -p /etc/systemd/system/itemgend.service.d && printf '[Service]\\nType=exec\\nRestartSec=1\\n' >/etc/systemd/system/itemgend.service.d/exec.conf
systemctl daemon-reload
group=/sys/fs/cgroup/system.slice/itemgend.service
held() {
    for i in $(seq 100); do
        [ "$(journalctl -q -u itemgend EVENT=SANDBOX_CHOSEN -o cat | wc -l)" -ge "$1" ] && break
        sleep 0.2
    done
    echo "processes: $(wc -l <$group/cgroup.procs) and $(wc -l <$group/daemon/cgroup.procs), divided: $(cat $group/cgroup.subtree_control)"
}
echo "=== unit started"
systemctl start itemgend; held 1
echo "=== unit reloaded"
systemctl reload --no-block itemgend; held 2 # which is over when it is ready
echo "=== unit killed"
kill -KILL $(systemctl show -P MainPID itemgend); held 3
echo "=== unit stopped"
systemctl stop itemgend; ls -d $group
echo "=== unit log"
journalctl -q -u itemgend EVENT=SANDBOX_CHOSEN -o cat
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, build: Path) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("vm")
    sanitize = ["SAN=1"] if build.name == "san" else []
    subprocess.run(["make", "-s", "-C", ROOT, *sanitize, "install", f"DESTDIR={folder}/root", "UNITDIR=/usr/lib/systemd/system"], check=True)
    (folder / "root/usr/local/bin/item").write_bytes((build / "tests" / "item").read_bytes())
    (folder / "root/usr/local/bin/item").chmod(0o755)
    (folder / "attack.py").write_text(ATTACK)
    (folder / "items.py").write_text(STAC)
    (folder / "attacked.py").write_text(ATTACKS + "raise SystemExit(done.stdout)\n")
    (folder / "scripts").mkdir()
    for name, script in (ITEMS | COMMANDS | {"raises": RAISES}).items():
        (folder / "scripts" / name).write_text(script)
    try:
        done = vm.run(SCRIPT.replace("in ITEMS", f"in {' '.join(ITEMS)}").replace("in COMMANDS", f"in {' '.join(COMMANDS)}"), folder, 400)
    except vm.CannotHere as error:
        pytest.skip(str(error))
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    _, *found = re.split(r"^=== (.*)\n", done.stdout, flags=re.M)
    return dict(zip(found[::2], found[1::2]))


KILLED = "out_of_memory: create-item reached memory_limit: it used 64 MiB of 64 MiB, and could not get more: it printed nothing"
BOTH = pytest.mark.parametrize("sandbox", ["bubblewrap", "limits"])


@BOTH
def test_limits_hold_for_items(parts: dict[str, str], sandbox: str) -> None:
    lines = parts[f"{sandbox} items"].splitlines()
    assert lines[:2] == [f"in force: sandbox {sandbox}, network open", "memory: cgroup v2"]
    ends = dict(zip(ITEMS, (line for line in lines[2:] if re.match("[a-z_]+: ", line)), strict=True))
    for name in ("children", "daemons", "memfds"):  # a sample may notice it first
        assert re.match(r"out_of_memory: create-item .* memory_limit \(64 MiB\)", ends[name]), ends
    assert ends["sysv"] == KILLED
    assert ends["heap"].startswith("out_of_memory: ") and "MemoryError" in parts[f"{sandbox} items"]
    assert re.fullmatch(r"made: read more than \d{3}", ends["reads"]) and ends["nothing"] == "made: nothing"


@BOTH
def test_limits_hold_for_commands(parts: dict[str, str], sandbox: str) -> None:
    assert parts[f"{sandbox} command sysv"].splitlines()[1:] == ["memory: cgroup v2", KILLED]
    assert "\nout_of_memory: " in parts[f"{sandbox} command children"]


@pytest.mark.parametrize("code", ["bubblewrap command attacks", "bubblewrap import"])
def test_package_code_cannot_raise_its_limit_by_what_it_mounts(parts: dict[str, str], code: str) -> None:
    tried = re.search("tried (.*)", parts[code])
    assert tried, parts[code]
    refused = dict.fromkeys(("memory.max", "cgroup.kill", "cgroup.freeze", "cgroup.max.descendants"), "EPERM")
    assert json.loads(tried[1]) == refused | {"memory.oom.group": "done", "mkdir": "EAGAIN"}


def test_without_a_sandbox_it_can_change_its_cgroup_and_is_sampled(parts: dict[str, str]) -> None:
    assert "memory: cgroup v2" in parts["limits raises"]
    assert re.search(r"out_of_memory: create-item used \d+ MiB of memory, more than memory_limit", parts["limits raises"])


@BOTH
@pytest.mark.parametrize(("place", "why"), [("not delegated", "Permission denied"), ("read-only", "Read-only file system")])
def test_without_cgroups_nothing_changes(parts: dict[str, str], sandbox: str, place: str, why: str) -> None:
    lines = parts[f"{sandbox} {place}"].splitlines()
    assert re.fullmatch(rf"memory: limits and samples, because cannot make a subgroup of /sys/fs/cgroup/system.slice/.*: {why}", lines[1])
    assert lines[2] == "made: nothing"


def test_a_cgroup_with_other_processes_is_left_as_it_was(parts: dict[str, str]) -> None:
    assert re.search("because cannot divide the memory of .*: Device or resource busy\nmade: nothing\n\n0::/system.slice/[^/]*.service$", parts["shared"])


def test_nothing_is_left(parts: dict[str, str]) -> None:
    assert parts["left"] == ""


def test_our_unit(parts: dict[str, str]) -> None:
    for what in ("started", "reloaded", "killed"):
        assert parts[f"unit {what}"] == "processes: 0 and 1, divided: memory\n", what
    assert "No such file" in parts["unit stopped"]
    lines = parts["unit log"].splitlines()
    assert len(lines) == 3 and all(re.fullmatch("package code runs with sandbox bubblewrap, .*; memory: cgroup v2", line) for line in lines)
