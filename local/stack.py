"""
The whole stack in one folder: up, down, status; and `with Stack(directory):` for tests and benchmarks.

    python -m local.stack up [--dir build/local] [--programs build/bin] [--enveloped] [--no-daemons]
    python -m local.stack down | status [--dir build/local]
"""

import argparse
import fcntl
import os
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from local import cloud, daemons, environment, postgres, process
from local.cloud import Account, Cloud
from local.daemons import Daemon
from local.postgres import Postgres
from local.process import Process, Starting
from local.state import State

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent  # the virtual environment's programs
PREFIX = "stactools-ingest."  # of the temporary directory's name

# DIR/env unsets these variables of the caller's shell: each would lead a client away from the stack.
UNSET = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ENDPOINT_URL_SNS"),
    *("AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_SECRETS_MANAGER"),
    *("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "PGHOSTADDR", "PGSERVICE", "PGSSLMODE", "PGOPTIONS", "PGPASSFILE"),
)


class StackError(Exception):
    pass


class Stack:
    """
    One stack.

    directory: has its logs and DIR/env.
    prefix: at the start of the names of topics and queues.
    programs: the directory of the daemons; one that is missing is not started.
    settings: environment of the daemons; overrides the stack's own.
    log_requests: write a line for each request to the local AWS to requests.log.
    for_terraform: the local AWS accepts what terraform/ declares.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        prefix: str = "stactools-ingest-local",
        enveloped: bool = False,
        run_daemons: bool = True,
        fsync: bool = True,
        programs: Path = ROOT / "build" / "bin",
        cache: Path = ROOT / "build" / "cache",
        settings: Mapping[str, str] | None = None,
        log_requests: bool = False,
        for_terraform: bool = False,
        ready_timeout_s: float = 60,
        stop_timeout_s: float = 150,
    ) -> None:
        self.directory = Path(directory).absolute()
        self.prefix = prefix
        self.enveloped = enveloped
        self.run_daemons = run_daemons
        self.fsync = fsync
        self.programs = Path(programs).absolute()
        self.cache = Path(cache).absolute()
        self.settings = dict(settings or {})
        self.log_requests = log_requests
        self.for_terraform = for_terraform
        self.ready_timeout_s = ready_timeout_s
        self.stop_timeout_s = stop_timeout_s
        self.env: dict[str, str] = {}  # what DIR/env exports
        self.account: Account
        self.accounts: dict[str, Account]  # by user (local.aws.ACTIONS)
        self.cloud: Cloud
        self.postgres: Postgres
        self.asset_url = ""
        self.state = State(self.directory / "state.json")

    def __enter__(self) -> "Stack":
        if not self.up():
            raise StackError(f"a stack is already up in {self.directory}")
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def processes(self) -> list[Process]:
        """The stack's processes, in the order of starting."""
        return list(self.state.processes)

    def process(self, name: str) -> Process:
        return next(started for started in self.state.processes if started.name == name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def problems(self) -> list[str]:
        """
        Lists what differs from the state that `up` left. Empty for a healthy stack. Call it for a stack that is up.
        """
        dead = [
            f"{started.name} (pid {started.pid}) is gone" for started in self.processes if not process.is_alive(started)
        ]
        deaf = [
            f"{name} does not answer at {where}" for name, where in self.state.endpoints.items() if not answers(where)
        ]
        return dead + deaf

    # --- up

    def up(self) -> bool:
        """Returns False if it was already up. On any failure it leaves nothing behind but logs."""
        with self._locked():
            if self.state.load():
                if self.state.endpoints and not self.problems():
                    return False
                self._down()
            try:
                self._start()
            except BaseException:
                with process.interrupts.shielded():
                    self._down()
                raise
        return True

    def _start(self) -> None:
        for log in self.directory.glob("*.log"):
            log.unlink()
        self.state.clear()
        assets = self.directory / "assets"
        aws = self._server("aws", self._aws_arguments())
        files = self._server("assets", ["--directory", str(assets)])
        self.postgres = Postgres(self._make_temporary(), self.directory / "postgres.log", self.state)
        self.postgres.start(self.cache, fsync=self.fsync)
        self.asset_url = files.wait(self.ready_timeout_s)["url"]
        answer = aws.wait(self.ready_timeout_s)
        self.accounts = {name: Account(answer["url"], **key) for name, key in answer["keys"].items()}
        self.account = self.accounts["stack"]
        secret = {
            "host": "127.0.0.1",
            "port": self.postgres.port,
            "dbname": postgres.DATABASE,
            "username": self.postgres.loader.user,
            "password": self.postgres.loader.password,
        }
        self.cloud = cloud.set_up(self.account, self.prefix, secret, enveloped=self.enveloped)
        self.env = self._exports()
        if self.run_daemons:
            self._start_daemons()
        self._write_env()
        self.state.endpoints = {
            "postgres": f"127.0.0.1:{self.postgres.port}",
            "aws": urlsplit(self.account.url).netloc,
            "assets": urlsplit(self.asset_url).netloc,
        }
        self.state.save()

    def _aws_arguments(self) -> list[str]:
        log = ["--request-log", str(self.directory / "requests.log")] if self.log_requests else []
        return log + (["--terraform"] if self.for_terraform else [])

    def _make_temporary(self) -> Path:
        """Not in build/: PostgreSQL's account could not enter a clone below /root."""
        usual = tempfile.gettempdir()
        with process.interrupts.shielded():
            temporary = tempfile.mkdtemp(prefix=PREFIX, dir=usual if postgres.can_live_in(usual) else "/tmp")
            self.state.temporary = temporary
            self.state.save()
        if owner := postgres.account():
            shutil.chown(temporary, owner, owner)
        return Path(temporary)

    def _server(self, name: str, arguments: Sequence[str]) -> Starting:
        reader, writer = os.pipe()
        try:
            with process.interrupts.shielded():
                started, child = process.spawn(
                    name,
                    [sys.executable, "-m", f"local.{name}", "--ready-fd", str(writer), *arguments],
                    environment.for_tools(),
                    self.directory / f"{name}.log",
                    cwd=str(ROOT),
                    pass_fds=[writer],
                )
                self.state.add(started)
        finally:
            os.close(writer)
        return Starting(name, child, reader, self.directory / f"{name}.log")

    def _exports(self) -> dict[str, str]:
        generation, loading = self.cloud.generation, self.cloud.loading
        return {
            "AWS_ENDPOINT_URL": self.account.url,
            "AWS_REGION": cloud.REGION,
            "AWS_DEFAULT_REGION": cloud.REGION,
            "AWS_ACCESS_KEY_ID": self.account.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.account.secret_access_key,
            "AWS_EC2_METADATA_DISABLED": "true",
            "ITEM_GEN_TOPIC_ARN": generation.topic_arn,
            "ITEM_LOAD_TOPIC_ARN": loading.topic_arn,
            "ITEM_GEN_QUEUE_URL": generation.queue_url,
            "ITEM_GEN_DLQ_URL": generation.dlq_url,
            "ITEM_LOAD_QUEUE_URL": loading.queue_url,
            "ITEM_LOAD_DLQ_URL": loading.dlq_url,
            "PGSTAC_SECRET_ARN": self.cloud.secret_arn,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.postgres.port),
            "PGDATABASE": postgres.DATABASE,
            "PGUSER": self.postgres.owner.user,
            "PGPASSWORD": self.postgres.owner.password,
            "ASSET_URL": self.asset_url,
            **environment.no_proxy(),
        }

    def _write_env(self) -> None:
        lines = [f"unset {' '.join(UNSET)}"]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in self.env.items()]
        lines += [f'export PATH={shlex.quote(f"{self.programs.resolve()}:{TOOLS}")}:"$PATH"', ""]
        path = self.directory / "env"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("\n".join(lines))

    # --- the daemons

    def _start_daemons(self) -> None:
        for name in daemons.NAMES:
            if (self.programs / name).exists():
                self.start_daemon(name)
            else:
                print(f"{name}: not built, not started", flush=True)

    def start_daemon(self, name: str, settings: Mapping[str, str] | None = None) -> Process:
        """Starts one daemon and waits until it is ready. `settings` override everything else."""
        daemon = Daemon(name, self.programs / name, ROOT / "etc" / f"{name}.yaml", self.directory / f"{name}.log")
        daemons.start(daemon, self._daemon_env() | dict(settings or {}), self.ready_timeout_s, self.state.add)
        return self.process(name)

    def stop_daemon(self, name: str, number: int = signal.SIGTERM) -> None:
        """Sends one daemon a signal and waits until it exits. Raises StackError if it had to be killed."""
        if not self.state.end(self.process(name), number, self.stop_timeout_s):
            raise StackError(f"{name} did not exit within {self.stop_timeout_s} s")

    def _daemon_env(self) -> dict[str, str]:
        work = self.directory / "work"
        work.mkdir(exist_ok=True)
        stack = {
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "ITEMGEND_QUEUE_URL": self.cloud.generation.queue_url,
            "ITEMGEND_LOAD_TOPIC_ARN": self.cloud.loading.topic_arn,
            "ITEMGEND_UV": str(TOOLS / "uv"),
            "ITEMGEND_UVX": str(TOOLS / "uvx"),
            "ITEMGEND_CACHE_DIR": str(self.cache / "uv"),
            "ITEMGEND_WORK_DIR": str(work),
            "ITEMGEND_LOOPBACK_PORTS": str(urlsplit(self.asset_url).port),  # the stack's public bucket
            "ITEMGEND_CONSTRAINTS": str(ROOT / "etc" / "constraints.txt"),
            "ITEMLOADD_QUEUE_URL": self.cloud.loading.queue_url,
            "ITEMLOADD_SECRET_ARN": self.cloud.secret_arn,
            "ITEMLOADD_DB_SSLMODE": "disable",
            "PATH": f"{TOOLS}:{os.environ.get('PATH', os.defpath)}",
        }
        aws = {name: value for name, value in self.env.items() if name.startswith("AWS_")}
        return environment.for_tools() | aws | stack | self.settings | environment.daemon_settings()

    # --- down

    def down(self) -> bool:
        """Returns False if nothing was up. A second signal has no effect until this is done."""
        with self._locked(), process.interrupts.shielded():
            if not self.state.load():
                return False
            self._down()
        return True

    def _down(self) -> None:
        running = self.processes
        busy = [started.name for started in running if started.name in daemons.NAMES and process.is_alive(started)]
        if busy:
            print(f"stopping {' and '.join(busy)}: waiting at most {self.stop_timeout_s} s for their messages", flush=True)
        late = process.stop([p for p in running if p.name in daemons.NAMES], signal.SIGTERM, self.stop_timeout_s)
        for killed in late:
            print(f"{killed.name} did not exit within {self.stop_timeout_s} s and was killed", flush=True)
        process.stop([p for p in running if p.name in ("aws", "assets")], signal.SIGTERM, 5)
        process.stop([p for p in running if p.name == "postgres"], signal.SIGINT, 20)
        temporary = self.state.temporary
        if temporary and Path(temporary).name.startswith(PREFIX):
            shutil.rmtree(temporary, ignore_errors=True)
        for name in ("assets", "work"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        (self.directory / "env").unlink(missing_ok=True)
        self.state.remove()


def answers(where: str) -> bool:
    host, _, port = where.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


# --- the command


def run_up(stack: Stack) -> int:
    began = time.monotonic()
    if not stack.up():
        print(f"already up: . {shown(stack.directory / 'env')}")
        return 0
    names = ", ".join(started.name for started in stack.processes)
    print(f"up in {time.monotonic() - began:.1f} s: {names}")
    print(f"next: . {shown(stack.directory / 'env')}; logs are in {shown(stack.directory)}")
    return 0


def run_down(stack: Stack) -> int:
    print("down" if stack.down() else "nothing is up")
    return 0


def run_status(stack: Stack) -> int:
    if not stack.state.load():
        print("down")
        return 3
    for started in stack.processes:
        print(f"{started.name:10} pid {started.pid}")
    for name, where in stack.state.endpoints.items():
        print(f"{name:10} {where}")
    problems = stack.problems()
    for problem in problems:
        print(problem)
    print("not healthy: run `down`, then `up`" if problems else "up")
    return 1 if problems else 0


def shown(path: Path) -> str:
    """Relative to the current directory, if that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="local.stack", description="The stack without AWS.")
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("--dir", default="build/local", help="the stack's folder (default: %(default)s)")
    enveloped = os.environ.get("LOCAL_ENVELOPED", "0") not in ("", "0")
    parser.add_argument("--enveloped", action="store_true", default=enveloped, help="SNS envelopes instead of raw delivery")
    parser.add_argument("--programs", default="build/bin", help="directory of the daemons (default: %(default)s)")
    parser.add_argument("--cache", default="build/cache", help="cache kept between runs (default: %(default)s)")
    parser.add_argument("--no-daemons", action="store_true", help="do not start itemgend and itemloadd")
    options = parser.parse_args(arguments)
    environment.scrub()
    process.interrupts.install()
    stack = Stack(
        options.dir,
        enveloped=options.enveloped,
        run_daemons=not options.no_daemons,
        programs=Path(options.programs),
        cache=Path(options.cache),
    )
    commands = {"up": run_up, "down": run_down, "status": run_status}
    try:
        return commands[options.command](stack)
    except process.Interrupted:
        print("interrupted: all processes that were started have been stopped", file=sys.stderr)
        return 130
    except (StackError, process.StartError, postgres.PostgresError, daemons.DaemonError) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
