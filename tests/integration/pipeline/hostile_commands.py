"""
The code of the package stactools-hostile: `stac hostile create-item NAME BEHAVIOUR ARGS... OUT`. It plays the code of
strangers, and runs where itemgend runs packages: no test imports it.

A behaviour that returns leaves an item with what it saw; itemgend ends the others. Each is limited in its use of resources
and time, so that it also ends on a machine without any protection. It sends signals only to parts of itemgend, or inside a
process namespace of its own.
"""

import array
import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import socket
import sys
import time

import click

MIB = 1 << 20
LASTS_S = 100  # surviving processes end after that
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x10000000, 0x20000000


def outcome(do, *args):
    """The result of a call, or the name of its error."""
    try:
        return do(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def item(name, properties):
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "test",
        "geometry": {"type": "Point", "coordinates": [1, 2]},
        "bbox": [1, 2, 1, 2],
        "properties": {"datetime": "2021-01-01T00:00:00Z"} | properties,
        "links": [],
        "assets": {},
    }


def good(*args):
    return {}


# --- what package code sees


def read_text(path):
    with open(path, "rb") as file:
        return file.read(20000).decode(errors="replace").replace("\0", "\n")  # a NUL would make the item a bad one


def read(*paths):
    return {path: outcome(read_text, path) for path in paths}


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def look(*args):
    """Its own properties, and those of other processes that it can see: environments, command lines."""
    others = [pid for pid in pids() if pid != os.getpid()]
    listed = {name: outcome(os.readlink, "/proc/self/fd/" + name) for name in os.listdir("/proc/self/fd")}
    return {
        "environ": dict(os.environ),
        "descriptors": {name: link for name, link in listed.items() if link != "ENOENT"},
        "cwd": os.getcwd(),
        "files": os.listdir("."),
        "uid": os.getuid(),
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "module": __file__,
        "home": outcome(os.listdir, "/root"),
        "neighbours": outcome(os.listdir, ".."),
        "environs": {pid: outcome(read_text, f"/proc/{pid}/environ") for pid in others},
        "processes": {pid: outcome(read_text, f"/proc/{pid}/cmdline").replace("\n", " ") for pid in others},
        "namespaces": {kind: outcome(os.readlink, f"/proc/self/ns/{kind}") for kind in ("pid", "mnt", "net", "user", "ipc")},
        "capabilities": [line for line in read_text("/proc/self/status").splitlines() if line.startswith(("CapEff", "NoNewPrivs"))],
    }


def connect_to(host, port):
    with socket.create_connection((host, int(port)), timeout=3) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return connection.recv(1000).decode(errors="replace")


def connect(*places):
    return {place: outcome(connect_to, *place.rsplit(":", 1)) for place in places}


# --- files


def write_text(path):
    with open(path, "a") as file:
        file.write("written by stactools-hostile\n")
    return "written"


def write(*paths):
    return {path: outcome(write_text, path) for path in paths}


def link_here(path):
    os.link(path, "linked")
    return "linked"


def hard_link(*paths):
    return {path: outcome(link_here, path) for path in paths}


def trace(*numbers):
    """All ways for one process to reach into another."""
    seen = {}
    for pid in {os.getppid(), 1, *map(int, numbers)} - {os.getpid()}:
        ptraced = LIBC.ptrace(16, pid, 0, 0)  # PTRACE_ATTACH
        seen[pid] = {
            "ptrace": errno.errorcode[ctypes.get_errno()] if ptraced < 0 else "traced",
            "mem": outcome(lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)) or "opened"),
            "environ": outcome(read_text, f"/proc/{pid}/environ"),
            "fd": outcome(os.listdir, f"/proc/{pid}/fd"),
        }
        if ptraced == 0:
            os.waitpid(pid, 0x40000000)  # __WALL: let it stop, then let it go
            LIBC.ptrace(17, pid, 0, 0)
    return seen


# --- processes


def survive(token, unshare=0):
    """Becomes a program with another name, environment, session and directory, and without our descriptors."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if unshare:
        LIBC.unshare(unshare)
    os.chdir("/")
    os.execve("/bin/sleep", [token, str(LASTS_S)], {})


def spawn(token, sessions, unshare=0):
    """A process below so many intermediate processes, which end at once and have sessions of their own."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        for _ in range(sessions):
            os.setsid()
            if os.fork() != 0:
                os._exit(0)
        survive(token, unshare)
    os.close(writer)
    os.read(reader, 1)  # the end of the file: all have executed or ended (PEP 446 closes it)
    os.close(reader)


def daemons(token):
    spawn(token, 0)
    spawn(token, 1)
    spawn(token, 2)
    spawn(token, 1, CLONE_NEWUSER | CLONE_NEWPID)
    return {}


def fork_bomb(*args):
    """Doubles seven times: 128 processes, and all of them stay."""
    for _ in range(7):
        outcome(os.fork)
    time.sleep(20)
    os._exit(7)


# --- memory and disk: up to 800 MiB; then it stays for a while, to be found


def stay(code=7):
    time.sleep(20)
    os._exit(code)


def fill_heap(*args):
    blocks = []
    for _ in range(80):
        blocks.append(bytearray(10 * MIB))
        time.sleep(0.01)
    stay()


def fill_shared(*args):
    blocks = []
    for _ in range(80):
        blocks.append(mmap.mmap(-1, 10 * MIB))
        for page in range(0, 10 * MIB, 4096):
            blocks[-1][page] = 1
    stay()


def fill_memfd(*args):
    """Each file is smaller than the limit of one file."""
    for _ in range(80):
        os.write(os.memfd_create("x"), bytes(10 * MIB))
        time.sleep(0.01)
    stay()


def fill_children(*args):
    """Each process uses less than any limit."""
    for _ in range(16):
        if os.fork() == 0:
            block = bytearray(50 * MIB)
            stay(len(block) % 256)
    stay()


def fill_file(path, mib):
    written = 0
    try:
        with open(path, "wb", buffering=0) as file:
            while written < mib:
                written += file.write(bytes(MIB)) // MIB
    except OSError as error:
        return errno.errorcode[error.errno]
    return "filled"


def fill_tmpfs(*args):
    """Files in memory; deleted at the end if they do not count."""
    seen = {place: fill_file(os.path.join(place, "hostile"), 800) for place in ("/dev/shm", "/tmp")}
    for place in seen:
        outcome(os.unlink, os.path.join(place, "hostile"))
    return seen


def fill_segments(*args):
    """System V shared memory to which no process is attached. It stays until it is removed."""
    LIBC.shmat.restype = ctypes.c_void_p
    taken = 0
    for _ in range(80):
        number = LIBC.shmget(0, ctypes.c_size_t(10 * MIB), 0o1600)
        if number < 0:
            return {"taken": taken, "error": errno.errorcode[ctypes.get_errno()]}
        place = LIBC.shmat(number, None, 0)
        ctypes.memset(place, 1, 10 * MIB)
        LIBC.shmdt(ctypes.c_void_p(place))
        taken += 10
    stay()


def fill_mounted(*args):
    """A file system of its own in memory."""
    os.mkdir("mounted")
    if LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0:
        return {"unshare": errno.errorcode[ctypes.get_errno()]}
    if LIBC.mount(b"x", b"mounted", b"tmpfs", 0, b"size=800m") < 0:
        return {"mount": errno.errorcode[ctypes.get_errno()]}
    seen = fill_file("mounted/x", 700)
    print(f"the file: {seen}", file=sys.stderr, flush=True)
    stay()


def fill_in_flight(*args):
    """Files in memory that no process has open: they wait in the queues of sockets."""
    pairs = []
    for number in range(60):
        if number % 5 == 0:
            pairs.append(ends := socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        file = os.memfd_create("x")
        os.write(file, bytes(10 * MIB))
        socket.send_fds(ends[0], [b"x"], [file])
        os.close(file)
    stay()


def leave_segment(*args):
    """A small shared memory for other items to find."""
    return {"number": LIBC.shmget(0, ctypes.c_size_t(4096), 0o1600)}


def fill_disk(*args):
    seen = fill_file("large", 800)
    print(f"the file: {seen}", file=sys.stderr, flush=True)
    stay()


def fill_disk_by_many(*args):
    for number in range(800):
        fill_file(f"file-{number}", 1)
    stay()


def fill_deleted(*args):
    """An unlinked file."""
    file = open("gone", "wb", buffering=0)
    os.unlink("gone")
    try:
        for _ in range(800):
            file.write(bytes(MIB))
    except OSError as error:
        print(f"the file: {error}", file=sys.stderr, flush=True)
    stay()


def print_much(stream):
    line = b"x" * 65536
    for _ in range(1 << 14):  # 1 GiB
        os.write(1 if stream == "stdout" else 2, line)
    os._exit(7)


def sleep(seconds=LASTS_S):
    time.sleep(float(seconds))
    return {}


def ignore_signals(*args):
    for number in range(1, 65):
        outcome(signal.signal, number, signal.SIG_IGN) if number not in (9, 19, 32, 33) else None
    time.sleep(LASTS_S)


def burn(*args):
    end = time.monotonic() + LASTS_S
    while time.monotonic() < end:
        pass


def burn_in_children(*args):
    """Each process ends soon."""
    end = time.monotonic() + LASTS_S
    while time.monotonic() < end:
        if (child := os.fork()) == 0:
            short = time.monotonic() + 0.3
            while time.monotonic() < short:
                pass
            os._exit(0)
        os.waitpid(child, 0)


# --- killing


def parent_of(pid):
    try:
        return int(read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def may_kill(pid, machine, daemon):
    """In its own process namespace: any process. Otherwise: only the daemon of the test and the processes below it."""
    try:
        if os.readlink("/proc/self/ns/pid") != machine:
            return True
    except OSError:
        return False
    while pid > 1 and pid != daemon:
        pid = parent_of(pid)
    return pid == daemon > 1


def kill_one(pid, machine, daemon):
    if pid <= 0 or not may_kill(pid, machine, daemon):
        return "nobody"
    os.kill(pid, signal.SIGKILL)
    return "killed"


def kill_daemon(machine):
    """Kills its topmost ancestor that is an itemgend."""
    pid, daemon = os.getppid(), 0
    while pid > 1:
        words = read_text(f"/proc/{pid}/cmdline").split("\n")
        if os.path.basename(words[0]) == "itemgend":
            daemon = pid
        pid = parent_of(pid)
    seen = outcome(kill_one, daemon, machine, daemon)
    time.sleep(0.5)
    return seen


def kill_parent(machine, daemon):
    seen = outcome(kill_one, os.getppid(), machine, int(daemon))
    time.sleep(0.5)
    return seen


def kill_all(machine, daemon):
    """Kills all other processes that it sees."""
    others = [pid for pid in pids() if pid not in (1, os.getpid(), int(daemon))]
    seen = {pid: outcome(kill_one, pid, machine, int(daemon)) for pid in others}
    if os.readlink("/proc/self/ns/pid") != machine:
        seen["all"] = outcome(os.kill, -1, signal.SIGKILL)
    time.sleep(0.5)
    return {pid: what for pid, what in seen.items() if what != "nobody"}


# --- reports


def steal_descriptors(pid):
    """Copies of the sockets of another process."""
    handle = os.pidfd_open(pid)
    stolen = []
    for number in range(64):
        descriptor = LIBC.syscall(438, handle, number, 0)  # pidfd_getfd
        if descriptor >= 0:
            stolen.append(descriptor)
    os.close(handle)
    return stolen


CLAIM = b"ended 0 0 1 1"


def claim(*args):
    """Reports success on the sockets of its ancestors, then fails."""
    stolen = []
    for pid in {os.getppid(), 1} - {0, os.getpid()}:
        found = outcome(steal_descriptors, pid)
        stolen += found if isinstance(found, list) else []
    for descriptor in stolen:
        for message in (CLAIM, b"\0" * 8, b"{", b"x" * 100000):
            try:
                socket.socket(fileno=os.dup(descriptor)).send(message, socket.MSG_DONTWAIT)
            except OSError:
                pass
    print(f"stole {len(stolen)} descriptors", file=sys.stderr, flush=True)
    os._exit(9)


def teach(*names):
    """Adds names to the list of modules that its server imports for the next items."""
    frame = sys._getframe()
    while frame and "lesson" not in frame.f_locals:
        frame = frame.f_back
    if not frame:
        return {"lesson": "not found"}
    lesson = frame.f_locals["lesson"]
    text = "\n".join(names).encode().ljust(len(lesson), b"\n")
    lesson[:] = text
    name = sys.argv[sys.argv.index("teach") - 1]
    with open(sys.argv[-1], "w") as file:
        file.write(json.dumps(item(name, {"seen": "taught"})))
    os._exit(0)  # so that no other lesson replaces it


def abuse_descriptors(*args):
    """Writes to all descriptors, also those it does not have, and closes them."""
    for number in range(3, 64):
        outcome(os.write, number, CLAIM)
        outcome(os.close, number)
    os.closerange(0, 3)
    return {}


# --- items


def leave(kind, name, out):
    if kind == "symlink":
        os.symlink("/etc/passwd", out)
    elif kind == "loop":
        os.symlink(out, out)
    elif kind == "fifo":
        os.mkfifo(out)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(out)
    elif kind == "directory":
        os.mkdir(out)
    elif kind == "large":
        before, after = json.dumps(item(name, {"x": "middle"})).split("middle")
        with open(out, "w") as file:
            file.write(before)
            for _ in range(100):
                file.write("x" * MIB)
            file.write(after)
    elif kind == "sparse":
        with open(out, "w") as file:
            file.truncate(1 << 33)
    elif kind == "locked":
        with open(out, "w") as file:
            json.dump(item(name, {"seen": {}}), file)
        os.chmod(out, 0)
        os.chmod(".", 0)
    elif kind == "deep":  # as JSON: more levels than the stack of a parser allows
        with open(out, "w") as file:
            file.write("[" * 100000 + "]" * 100000)


def lock_directory(*args):
    """A directory without permissions, and trees too deep for a path."""
    top = os.getcwd()
    for name in ("a", "b"):
        os.chdir(top)
        for _ in range(5000):
            os.mkdir(name * 200 if name == "a" else name)
            os.chdir(name * 200 if name == "a" else name)
        with open("file", "w") as file:
            file.write("x")
        os.chmod(".", 0)
    os.chdir(top)
    for number in range(2000):
        os.mkdir(f"x-{number}", 0)
    os.chmod("a" * 200, 0)
    os.chmod(".", 0)
    os._exit(5)


def create_command(cli):
    @cli.group("hostile")
    def group():
        pass

    @group.command("create-item")
    @click.argument("name")
    @click.argument("behaviour")
    @click.argument("args", nargs=-1)
    @click.argument("out")
    def create_item(name, behaviour, args, out):
        if behaviour == "leave":
            leave(args[0], name, out)
            return
        seen = globals()[behaviour](*args)
        with open(out, "w") as file:
            file.write(json.dumps(item(name, {"seen": seen})))

    return group


# --- at import


def at_import(behaviour):
    if behaviour == "raise":
        raise RuntimeError("hostile from the first line on")
    if behaviour == "exit":
        os._exit(3)
    if behaviour == "sleep":
        time.sleep(LASTS_S)
    if behaviour == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "fill":
        fill_heap()
    if behaviour == "bomb":
        fork_bomb()
    if behaviour == "print":
        print_much("stderr")
    if behaviour == "garbage":
        garbage()
    if behaviour == "close":
        os.closerange(0, 64)
    if behaviour == "lie":
        lie()


def garbage():
    """Messages on every descriptor, also with descriptors attached, and more of them than anyone reads."""
    for number in range(3, 64):
        try:
            channel = socket.socket(fileno=os.dup(number))
        except OSError:
            continue
        channel.setblocking(False)
        for message in (b"\0" * 8, b"{", CLAIM, b"x" * 200000):
            for _ in range(50):
                try:
                    channel.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
                except OSError:
                    break


def lie():
    """Replaces functions of the server so that they report success."""
    json.loads = lambda *args, **kwargs: {}
    os.wait4 = lambda pid, options=0: (pid, 0, resource.getrusage(resource.RUSAGE_SELF))
    os.waitpid = lambda pid, options=0: (pid, 0)
    os._exit = lambda code=0: os.kill(os.getpid(), signal.SIGKILL)
