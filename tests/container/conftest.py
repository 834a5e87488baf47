"""
Images that buildah builds without an engine. They run as an engine would run them, and share the stack's loopback.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local import environment
from local.stack import ROOT, Stack
from tests.integration.pipeline.conftest import Pipeline

RUN = Path(__file__).with_name("run-image.sh")
IMAGES = ROOT / "container" / "images.sh"
BASE = "localhost/debian:12-slim"


def needs(*programs: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: images are built and run without an engine")
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed: LONG=1 make deps-test")


def call(*command: str | Path, env: dict[str, str] | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=ROOT, env=env)
    assert done.returncode == 0 or not check, f"{command}: exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done


def bare_root(build: Path) -> Path:
    """A minimal Debian 12 as a tar archive, built once and kept, so that no image registry is needed."""
    archive = build / "cache" / f"debian-12-{platform.machine()}.tar"
    if not archive.exists():
        archive.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
            root = Path(folder) / "root"
            call("debootstrap", "--variant=minbase", "bookworm", root)
            if proxies := re.findall(r"^Acquire::\S*proxy\S* .*$", call("apt-config", "dump").stdout, re.M | re.I):
                (root / "etc/apt/apt.conf.d/90proxy").write_text("\n".join(proxies) + "\n")
            call("tar", "-C", root, "--numeric-owner", "-cf", f"{folder}/tar", ".")
            Path(f"{folder}/tar").rename(archive)
    return archive


def mounts_of_this_machine() -> list[tuple[str, str]]:
    """Files of this machine that builds need to reach registries: its certificates and pip's settings."""
    found = [path for path in ("/usr/local/share/ca-certificates", "/etc/pip.conf") if Path(path).exists()]
    return [(path, path) for path in found]


@dataclass
class Builder:
    """buildah with its own storage."""

    folder: Path
    env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        conf = self.folder / "storage.conf"
        conf.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{self.folder}/storage"\nrunroot = "{self.folder}/run"\n')
        options = ["--pull-never", *(f"--volume={source}:{target}:ro" for source, target in mounts_of_this_machine())]
        options += [f"--env={name}" for name in os.environ if name.startswith("UV_")]
        self.env = environment.for_tools() | {
            "CONTAINERS_STORAGE_CONF": str(conf),
            "BUILDAH_ISOLATION": "chroot",
            "BUILDER": "buildah",
            "BASE": BASE,
            "DB_CA_BUNDLE": "",
            "BUILD_OPTIONS": " ".join(options),
            "TMPDIR": str(self.folder),
        }

    def buildah(self, *arguments: str | Path) -> str:
        return call("buildah", *arguments, env=self.env).stdout.strip()

    def make_base(self, archive: Path) -> None:
        container = self.buildah("from", "scratch")
        self.buildah("add", container, archive, "/")
        self.buildah("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        self.buildah("commit", "--rm", container, BASE)

    def build(self, name: str, tag: str, **arguments: str) -> None:
        call(IMAGES, "build", name, tag, env=self.env | arguments)

    def image(self, tag: str) -> "Image":
        config = json.loads(self.buildah("inspect", "--type", "image", tag))["Docker"]["config"]
        return Image(Path(self.buildah("mount", self.buildah("from", "--pull-never", tag))), config)

    def clear(self) -> None:
        self.buildah("umount", "--all")
        self.buildah("rm", "--all")
        shutil.rmtree(self.folder)


@dataclass
class Image:
    root: Path
    config: dict[str, Any]

    @property
    def env(self) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in self.config["Env"])

    @property
    def user(self) -> str:
        return self.config["User"]


class Container:
    """A running image. `folder` gets its volumes, with the content they have in the image, and its log."""

    def __init__(self, image: Image, folder: Path, settings: dict[str, str], mounts: dict[str, str] | None = None) -> None:
        self.image, self.log_file = image, folder / "log"
        self.env = image.env | settings
        options: list[str | Path] = ["-r", image.root, "-u", image.user]
        for path in image.config.get("Volumes") or {}:
            volume = folder / path.strip("/").replace("/", "-")
            call("cp", "-a", f"{image.root}{path}", volume)
            options += ["-v", f"{volume}:{path}"]
        for target, source in (mounts or {}).items():
            options += ["-m", f"{source}:{target}"]
        self.process = subprocess.Popen(
            [RUN, *options, "--", *image.config["Entrypoint"]],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self.log_file.open("w"),
            stderr=subprocess.STDOUT,
        )

    def children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    @property
    def pid(self) -> int:
        """The process id of its first process, as seen from outside. Waits until that is the daemon."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            for pid in self.children():
                if os.readlink(f"/proc/{pid}/exe").endswith(self.image.config["Entrypoint"][0]):
                    return pid
            time.sleep(0.05)
        raise AssertionError(f"the container does not run: {self.log_file.read_text()}")

    def log(self, event: str = "") -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in lines if event in ("", line["event"])]

    def execute(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command inside, like `docker exec`."""
        uid, gid = self.image.user.split(":")
        entry = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--uts", "--ipc", "--root", "--wd", f"--setuid={uid}", f"--setgid={gid}"]
        return subprocess.run([*entry, *command], env=self.env | environment, capture_output=True, text=True, timeout=30)

    def stop(self) -> int:
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(130)

    def kill(self) -> None:
        """Kills the first process of the namespace; all others end with it."""
        if self.process.poll() is None:
            for pid in self.children():
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)


@pytest.fixture(scope="session")
def builder(build: Path) -> Iterator[Builder]:
    needs("buildah", "debootstrap")
    made = Builder(Path(tempfile.mkdtemp(prefix="images.", dir=build)))
    made.make_base(bare_root(build))
    yield made
    made.clear()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("container"), fsync=False, run_daemons=False) as stack:
        yield stack


@pytest.fixture
def pipeline(stack: Stack) -> Iterator[Pipeline]:
    pipeline = Pipeline(stack)
    pipeline.db.execute("DELETE FROM collections")
    pipeline.add_collection("test")
    yield pipeline
    for queue in (pipeline.gen_queue, pipeline.load_queue):
        pipeline.sqs.purge_queue(QueueUrl=queue)
    pipeline.db.close()
