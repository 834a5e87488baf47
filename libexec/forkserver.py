"""
A process that has imported stactools and its plugins, and forks itself for each item (docs/explanation/generation.md).

itemgend runs it as `ENVIRONMENT/bin/python -I forkserver.py apart|together`, in a sandbox where there is one. It needs only
the standard library of Python 3.9 and the packages of the environment. Descriptor 3 is a SOCK_SEQPACKET socket to itemgend:

    to it    "ready apart" or "ready together" after the import: whether items are isolated from each other
    from it  "item", with three descriptors:
             - the job, a JSON file {"arguments": [of stac], "directory", "variables": {name: value, added to the environment},
               "waits": whether to wait for "go", "memory", "disk", "files": limits in bytes and a number}
             - a pipe for everything that the item prints
             - a SOCK_SEQPACKET socket for its reports
             The end of the socket ends the server.

The reports of an item:

    "started"      the first report, from the item's keeper: the kernel gives its process id to the receiver
    "waiting"      from the item's first process, if the job waits, before it runs package code. itemgend moves it into the
                   cgroup that limits its memory, and answers "go"
    "ended EXIT SIGNAL PEAK_KIB CPU_MS"    all processes of the item have ended
    "failed TEXT"  the item could not be started

The keeper is a fork of the server, and the item's first process is a child of the keeper. Apart: the first process is
process 1 of a PID namespace, so all that it starts ends with it, and it cannot see the directories of other items.
Together: all that it starts stays below the keeper, which kills it.
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
FILE_SLACK = 1 << 20  # a file may exceed the disk limit by this, so that the excess is measured before a write fails

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
    """Makes namespaces with the same user. The PID namespace is for processes that are forked from now on."""
    uid, gid = os.getuid(), os.getgid()
    check(libc.unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC), "unshare")
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{uid} {uid} 1")
    write("/proc/self/gid_map", f"{gid} {gid} 1")


def mount(source, place, flags):
    check(libc.mount(source and os.fsencode(source), os.fsencode(place), None, flags, None), f"mount {place}")


def make_read_only(place):
    kept = os.statvfs(place).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)  # a user namespace may not remove these
    mount(None, place, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def hide_neighbours(directory):
    """
    Mounts the item's directory over its parent, which holds the directories of other items, and over all other places that
    two items could write to. Returns its new path.
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
    """Restrictions that are not essential, and that a kernel or a sandbox may refuse: its own /proc, no further namespaces."""
    libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None)
    try:
        write("/proc/sys/user/max_user_namespaces", "0")
    except OSError:
        pass


def drop_capabilities():
    """Drops the capabilities that came with the new user namespace."""
    header = ctypes.create_string_buffer(struct.pack("Ii", LINUX_CAPABILITY_VERSION_3, 0))
    check(libc.capset(header, ctypes.create_string_buffer(struct.pack("6I", *[0] * 6))), "capset")


def can_be_apart():
    pid = os.fork()
    if pid == 0:
        try:
            unshare()
            os._exit(0)
        except OSError as error:
            print(f"items are not isolated from each other: {error}", file=sys.stderr, flush=True)
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
    """Does the same as the command `stac`. Returns its exit code."""
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
    """Writes the names of the modules that this item imported, so that the server imports them for the next items."""
    names = "\n".join(set(sys.modules) - known).encode(errors="replace")
    if len(names) < len(lesson):
        lesson[: len(names)] = names


def finish():
    """Ends like the interpreter, but without destroying all objects, which can take longer than the item."""
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
    """Never returns. Package code is called only here."""
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
    """The children of all its threads, from /proc."""
    found = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            found += [int(child) for child in file.read().split()]
    return found


def end_descendants():
    """Kills all descendants. Orphans become children of this process, so in the end none is left."""
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
    """Forks the item's first process, which ends with this one. Returns its id, and the memory that it writes its lesson to."""
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
        os._exit(1)  # the keeper has ended already, so its end will not send a signal
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
    """Modules that items import lazily. The server imports them once, to save small items time. Keepers send the names."""

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
                pass  # the pipe is full: the next item will teach it

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
                    pass  # a module of the item alone, or one that cannot be imported by itself
        self.known |= set(sys.modules)
        gc.freeze()


def wait_for_ended_keepers():
    """Adds the resource usage of ended items to that of the server."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def serve(control, apart):
    """Serves until itemgend closes its end."""
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
    gc.freeze()  # the collector skips these objects from now on, so their memory stays shared
    control.send(b"ready apart" if apart else b"ready together")
    serve(control, apart)
    os._exit(0)


if __name__ == "__main__":
    main()
