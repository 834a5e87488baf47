"""
A process that has imported stactools and its plugins, and forks itself for each item (docs/explanation/generation.md).

Run by itemgend as `ENVIRONMENT/bin/python -I forkserver.py apart|together`, mostly in a sandbox. Nothing but the standard
library of Python 3.9 and what the environment holds. Descriptor 3 is a SOCK_SEQPACKET socket to itemgend:

    to it   "ready apart" or "ready together" once everything is imported: whether items are apart from each other
    from it "item", with three descriptors: the job, a file of JSON {"arguments": [of stac], "directory", "variables":
            {name: value, more for the environment}, "waits", whether for a "go", "memory", "disk", "files": limits, bytes
            and a number}; a pipe for all that the item prints; a SOCK_SEQPACKET socket for its reports; its end: the
            server ends too

On an item's report socket:

    "started"      from the item's keeper, before anything else: the kernel tells the receiver its process id
    "waiting"      from the item's first process, where the job waits, before it runs anything of the package: it goes on when
                   it is told "go", which it takes from there, and by then is in the cgroup that holds its memory
    "ended EXIT SIGNAL PEAK_KIB CPU_MS"    once nothing of the item runs any more
    "failed TEXT"  it could not be started

An item's keeper is a fork of the server, and the item's first process is the keeper's child. Apart: that one is the
first of a PID namespace, so that all it starts ends with it, and its neighbours' directories are hidden from it. Together: all it starts stays below the keeper, which ends it.
"""

import atexit
import ctypes
import gc
import importlib
import json
import mmap
import os
import random
import resource
import signal
import socket
import struct
import sys
import threading

CONTROL_FD = 3
JOB_MAX = 4 << 20
LESSON_MAX, MODULES_MAX = 1 << 16, 20000
FILE_SLACK = 1 << 20  # a file may grow over the disk limit by this, so that the limit is seen to be exceeded

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
LINUX_CAPABILITY_VERSION_3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def prctl(option, value):
    check(libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")


# --- namespaces


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def unshare():
    """The same user, in namespaces of its own; the PID namespace is for what is forked from now on."""
    uid, gid = os.getuid(), os.getgid()
    check(libc.unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC), "unshare")
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{uid} {uid} 1")
    write("/proc/self/gid_map", f"{gid} {gid} 1")


def mount(source, place, flags):
    check(libc.mount(source and os.fsencode(source), os.fsencode(place), None, flags, None), f"mount {place}")


def make_read_only(place):
    kept = os.statvfs(place).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)  # a namespace may not do without them
    mount(None, place, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def hide_neighbours(directory):
    """
    The item's directory takes the place of its parent, where its neighbours have theirs, and of all else that they could
    both write to. Returns where it is.
    """
    parent = os.path.dirname(directory)
    os.chdir(directory)
    mount(".", parent, MS_BIND)
    mount(".", "/dev/shm", MS_BIND)
    make_read_only("/dev")
    if any(needed.startswith("/tmp/") for needed in (parent, sys.prefix, sys.base_prefix)):
        make_read_only("/tmp")
    else:
        mount(".", "/tmp", MS_BIND)
    os.chdir(parent)
    return parent


def close_in():
    """What a kernel or a sandbox may refuse, and an item is apart without: a /proc of its own, no further namespaces."""
    libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None)
    try:
        write("/proc/sys/user/max_user_namespaces", "0")
    except OSError:
        pass


def drop_capabilities():
    """Those that the new user namespace gave."""
    header = ctypes.create_string_buffer(struct.pack("Ii", LINUX_CAPABILITY_VERSION_3, 0))
    check(libc.capset(header, ctypes.create_string_buffer(struct.pack("6I", *[0] * 6))), "capset")


def can_be_apart():
    pid = os.fork()
    if pid == 0:
        try:
            unshare()
            os._exit(0)
        except OSError as error:
            print(f"items are not apart from each other: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


# --- the item's first process


def set_limits(job):
    for kind, value in (
        (resource.RLIMIT_DATA, job["memory"]),
        (resource.RLIMIT_FSIZE, job["disk"] + FILE_SLACK),
        (resource.RLIMIT_NOFILE, job["files"]),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def run_stac(arguments):
    """What the command `stac` does, to its exit code."""
    sys.argv = ["stac", *arguments]
    try:
        code = sys.modules["stactools.cli.cli"].run_cli()
    except SystemExit as exit:
        code = exit.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    return code or 0


def teach(known, lesson):
    """What this item has imported beyond its server, so that the next ones have it from the start."""
    names = "\n".join(set(sys.modules) - known).encode(errors="replace")
    if len(names) < len(lesson):
        lesson[: len(names)] = names


def finish():
    """What the interpreter does at its end, but for taking all objects apart, which costs more than some items."""
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass


def make_item(job, apart, output_fd, known, lesson):
    """Never returns. Only now the package's own code is called."""
    code = 1
    try:
        os.dup2(output_fd, 1)
        os.dup2(output_fd, 2)
        os.close(output_fd)
        os.setsid()
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        if apart:
            place = hide_neighbours(job["directory"])
            close_in()
            drop_capabilities()
        else:
            place = job["directory"]
            os.chdir(place)
        os.environ.update(job["variables"], HOME=place, TMPDIR=place)
        set_limits(job)
        if "tempfile" in sys.modules:
            sys.modules["tempfile"].tempdir = None
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()
        random.seed()
        code = run_stac(job["arguments"])
        teach(known, lesson)
        finish()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code & 0xFF)


# --- the keeper


def children_of(pid):
    """By the kernel's list, of all its threads."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            found += [int(child) for child in file.read().split()]
    return found


def end_descendants():
    """Whoever loses its parent becomes a child of this process: so in the end nobody is left."""
    while True:
        for pid in children_of("self"):
            os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


class ServerEnded(Exception):
    pass


def server_ended(number, frame):
    raise ServerEnded


def read_job(fd):
    with open(fd, "rb") as file:
        file.seek(0)
        return json.loads(file.read(JOB_MAX))


def start_item(job, apart, output_fd, report, lessons):
    """The item's first process, which ends with this one; and a page that it writes its lesson on."""
    if apart:
        unshare()
    else:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGTERM, server_ended)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL if apart else signal.SIGTERM)
    lesson = mmap.mmap(-1, LESSON_MAX)
    watched, held = os.pipe()
    pid = os.fork()
    if pid != 0:
        os.close(watched)
        os.close(output_fd)
        return pid, lesson
    os.close(held)
    os.close(lessons.writer)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.set_blocking(watched, False)
    try:
        os.read(watched, 1)
        os._exit(1)  # the keeper ended before its end could be a signal to us
    except BlockingIOError:
        os.close(watched)
    if job["waits"]:
        report.send(b"waiting")
        if report.recv(2) != b"go":
            os._exit(1)
    report.close()
    make_item(job, apart, output_fd, lessons.known, lesson)


def keep(fds, apart, lessons):
    """Never returns."""
    job_fd, output_fd, report_fd = fds
    report = socket.socket(fileno=report_fd)
    try:
        report.send(b"started")
        os.close(CONTROL_FD)
        os.close(lessons.reader)
        pid, lesson = start_item(read_job(job_fd), apart, output_fd, report, lessons)
        try:
            _, status, usage = os.wait4(pid, 0)
        finally:
            if not apart:
                end_descendants()
        lessons.bring(lesson)
        exit_code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        cpu_ms = int((usage.ru_utime + usage.ru_stime) * 1000)
        report.send(b"ended %d %d %d %d" % (exit_code, number, usage.ru_maxrss, cpu_ms))
    except BaseException as error:
        report.send(f"failed {error!r}".encode()[:500])
    finally:
        os._exit(0)


# --- the server


class Lessons:
    """What items import lazily, imported once; much of what a small item costs is that. Keepers bring it."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self.writer, False)
        self.known = set(sys.modules)

    def bring(self, lesson):
        names = lesson[: lesson.find(b"\0")]
        if names:
            try:
                os.write(self.writer, names + b"\n")
            except BlockingIOError:
                pass  # many items teach at once: the next one will

    def learn(self):
        try:
            names = os.read(self.reader, LESSON_MAX).decode(errors="replace").split("\n")[:-1]
        except BlockingIOError:
            return
        for name in sorted(set(names) - self.known):
            if len(self.known) < MODULES_MAX:
                self.known.add(name)
                try:
                    importlib.import_module(name)
                except BaseException:
                    pass  # an item's own name, or one that cannot be imported by itself: nothing is lost
        self.known |= set(sys.modules)
        gc.freeze()


def wait_for_ended_keepers():
    """So that what items have cost is the server's, for who looks at that."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def serve(control, apart):
    """Until itemgend closes its end."""
    lessons = Lessons()
    while True:
        message, fds, _, _ = socket.recv_fds(control, 64, 3)
        if not message:
            return
        wait_for_ended_keepers()
        lessons.learn()
        if message == b"item" and len(fds) == 3:
            pid = os.fork()
            if pid == 0:
                keep(fds, apart, lessons)
        for fd in fds:
            os.close(fd)


def main():
    control = socket.socket(fileno=CONTROL_FD)
    control.set_inheritable(False)
    import stactools.cli.cli  # as the command `stac` does: it registers the plugins

    apart = sys.argv[1] == "apart" and can_be_apart()
    sys.stdout.flush()
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    gc.collect()
    gc.freeze()  # what is there now is not looked at again, and so stays shared
    control.send(b"ready apart" if apart else b"ready together")
    serve(control, apart)
    os._exit(0)


if __name__ == "__main__":
    main()
