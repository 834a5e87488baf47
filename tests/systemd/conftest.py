"""
A really booted systemd with the daemons installed, connected to a stack on the loopback that it shares with us.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import environment
from local.stack import ROOT, TOOLS, Stack
from tests.integration.pipeline.conftest import Pipeline

SCRIPT = Path(__file__).with_name("booted.sh")
QUICK = {"WAIT_TIME": "1s", "VISIBILITY_TIMEOUT": "10s", "BACKOFF_MIN": "1s", "BACKOFF_MAX": "1s"}
END = "--- status "


class Booted:
    """A shell inside the booted system. Each run() runs one command in it."""

    def __init__(self) -> None:
        command = [str(SCRIPT), "-t", "600", "/bin/bash", "-s"]
        if os.geteuid() != 0:
            command = ["sudo", "-n", *command]
        self.shell = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def run(self, command: str, check: bool = True) -> str:
        """Returns its output, including stderr."""
        assert self.shell.stdin and self.shell.stdout
        try:
            self.shell.stdin.write(f"{{ {command}\n}} </dev/null 2>&1; printf '\\n{END}%d\\n' $?\n")
            self.shell.stdin.flush()
        except BrokenPipeError:
            pass
        output = []
        for line in self.shell.stdout:
            if line.startswith(END):
                status = int(line.removeprefix(END))
                text = "\n".join(output).strip()
                assert status == 0 or not check, f"{command}: exit {status}\n{text}"
                return text
            output.append(line.rstrip("\n"))
        if self.shell.wait() == 77:
            pytest.skip("cannot boot systemd on this machine")
        raise AssertionError(f"the booted system ended at: {command}\n" + "\n".join(output))

    def close(self) -> None:
        assert self.shell.stdin
        self.shell.stdin.close()
        self.shell.wait(timeout=60)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, build: Path) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("systemd"), fsync=False, run_daemons=False) as stack:
        yield stack


def settings(stack: Stack) -> dict[str, str]:
    """The content of /etc/stactools-ingest/environment, as an administrator would write it."""
    quick = {f"{daemon}_{key}": value for key, value in QUICK.items() for daemon in ("ITEMGEND", "ITEMLOADD")}
    aws = {name: value for name, value in stack.env.items() if name.startswith("AWS_")}
    registry = {k: v for k, v in environment.for_tools().items() if "CERT" in k or k.startswith("UV_") or "proxy" in k.lower()}
    return (
        quick
        | aws
        | registry
        | {
            "ITEMGEND_QUEUE_URL": stack.env["ITEM_GEN_QUEUE_URL"],
            "ITEMGEND_LOAD_TOPIC_ARN": stack.env["ITEM_LOAD_TOPIC_ARN"],
            "ITEMGEND_UVX": "/usr/local/bin/uvx",
            "ITEMLOADD_QUEUE_URL": stack.env["ITEM_LOAD_QUEUE_URL"],
            "ITEMLOADD_SECRET_ARN": stack.env["PGSTAC_SECRET_ARN"],
            "ITEMLOADD_DB_SSLMODE": "disable",
            "ITEMLOADD_BATCH_IDLE": "500ms",
            # LeakSanitizer (SAN=1) traces its own process, which the units' system call filter forbids.
            "ASAN_OPTIONS": "detect_leaks=0",
        }
    )


@pytest.fixture(scope="session")
def booted(stack: Stack, build: Path) -> Iterator[Booted]:
    if os.geteuid() != 0 and (not shutil.which("sudo") or subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode):
        pytest.skip("booting a systemd needs root")
    booted = Booted()
    sanitize = "SAN=1 " if build.name == "san" else ""
    booted.run(f"make -s -C {ROOT} {sanitize}install")
    booted.run(f"cp {TOOLS}/uv {TOOLS}/uvx /usr/local/bin/")
    lines = "\n".join(f"{name}={value}" for name, value in settings(stack).items())
    booted.run(f"cat >/etc/stactools-ingest/environment <<'END'\n{lines}\nEND")
    booted.run("systemctl daemon-reload")
    yield booted
    booted.close()


@pytest.fixture
def pipeline(stack: Stack) -> Iterator[Pipeline]:
    pipeline = Pipeline(stack)
    pipeline.db.execute("DELETE FROM collections")
    pipeline.add_collection("test")
    yield pipeline
    pipeline.db.close()
