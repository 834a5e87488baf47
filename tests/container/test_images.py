"""The daemons' images: built from their Dockerfiles, inspected, and run, read-only and as their user."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.stack import Stack
from tests.integration.pipeline.conftest import QUICK, Pipeline, item, wait_until
from tests.integration.pipeline.probe import make_wheel
from tests.integration.pipeline.test_generation import GFC_ARGS

from .conftest import Builder, Container, Image

pytestmark = pytest.mark.long

WARM = "stactools-glad-global-forest-change==0.1.2"
GFC = {"package_name": WARM, "group_name": "gladglobalforestchange", "create_item_args": GFC_ARGS, "collection_id": "test"}
PROBE = {"package_name": "stactools-probe", "group_name": "probe", "create_item_args": ["ok"]}


@pytest.fixture(scope="session")
def itemgend(builder: Builder) -> Image:
    builder.build("itemgend", "localhost/itemgend:1", WARM=WARM)
    return builder.image("localhost/itemgend:1")


@pytest.fixture(scope="session")
def itemloadd(builder: Builder) -> Image:
    builder.build("itemloadd", "localhost/itemloadd:1")
    return builder.image("localhost/itemloadd:1")


def settings(stack: Stack, daemon: str) -> dict[str, str]:
    """
    The settings of a task definition. Each task has its own loopback; here both daemons share one, so they need two
    ports.
    """
    aws = {name: value for name, value in stack.env.items() if name.startswith("AWS_")}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return aws | {name: value for name, value in QUICK.items() if name.startswith(daemon)} | {f"{daemon}_METRICS_ADDRESS": f"127.0.0.1:{port}", "no_proxy": "127.0.0.1"}


def itemgend_settings(stack: Stack) -> dict[str, str]:
    own = {"ITEMGEND_QUEUE_URL": stack.env["ITEM_GEN_QUEUE_URL"], "ITEMGEND_LOAD_TOPIC_ARN": stack.env["ITEM_LOAD_TOPIC_ARN"]}
    return settings(stack, "ITEMGEND") | own


def itemloadd_settings(stack: Stack) -> dict[str, str]:
    own = {
        "ITEMLOADD_QUEUE_URL": stack.env["ITEM_LOAD_QUEUE_URL"],
        "ITEMLOADD_SECRET_ARN": stack.env["PGSTAC_SECRET_ARN"],
        "ITEMLOADD_DB_SSLMODE": "disable",
    }
    return settings(stack, "ITEMLOADD") | own


Start = Callable[..., Container]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[Container] = []

    def start_one(image: Image, environment: dict[str, str], **mounts: str) -> Container:
        folder = tmp_path / str(len(running))
        folder.mkdir()
        running.append(Container(image, folder, environment, {f"/mnt/{name}": source for name, source in mounts.items()}))
        wait_until("it is ready", lambda: running[-1].log("DAEMON_STARTED"))
        return running[-1]

    yield start_one
    for container in running:
        container.kill()


# ---------------------------------------------------------------- the content


def files(root: Path) -> Iterator[Path]:
    for folder, directories, names in os.walk(root):
        yield from (Path(folder) / name for name in (*directories, *names))


def test_only_what_runs_is_in_them(itemgend: Image, itemloadd: Image) -> None:
    for image in (itemgend, itemloadd):
        there = {str(path.relative_to(image.root)) for path in files(image.root)}
        unwanted = {"usr/bin/gcc", "usr/bin/make", "usr/bin/pip3", "usr/bin/curl", "src", "install", "uv", "root/.cache"}
        assert not there & unwanted
        for folder in ("var/lib/apt/lists", "var/cache/apt", "var/log"):
            assert not [path for path in files(image.root / folder) if path.is_file()], folder
    brought = {path.name for path in files(itemgend.root / "usr/local") if path.is_file() and "environments" not in path.parts}
    assert brought == {"itemgend", "uv", "uvx", "itemgend-network", "forkserver.py"}
    brought = {path.name for path in files(itemloadd.root / "usr/local") if path.is_file() and path.suffix != ".crt"}
    assert brought == {"itemloadd", "database-ca.pem"}


def test_nothing_in_them_belongs_to_their_user_but_what_it_writes(itemgend: Image, itemloadd: Image) -> None:
    for image, writable in ((itemgend, {"/var/cache/itemgend", "/var/lib/itemgend"}), (itemloadd, set())):
        uid = int(image.user.split(":")[0])
        assert uid != 0
        own = {f"/{path.relative_to(image.root)}" for path in files(image.root) if path.lstat().st_uid == uid}
        assert own == writable
        anybodys = [path for path in files(image.root) if not path.is_symlink() and path.lstat().st_mode & stat.S_IWOTH]
        assert [path for path in anybodys if not path.lstat().st_mode & stat.S_ISVTX and "dev" not in path.parts] == []


def test_bytecode_counts_whatever_time_its_source_has(itemgend: Image) -> None:
    compiled = [path for path in files(itemgend.root / "usr") if path.suffix == ".pyc"]
    assert len(compiled) > 1000
    assert {path.read_bytes()[4:8] for path in compiled} == {b"\1\0\0\0"}  # PEP 552: unchecked


def state(root: Path) -> dict[str, str]:
    """Kind, permissions, owner, times and content of each file."""
    found = {}
    for path in files(root):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(root))] = f"{status.st_mode:o} {status.st_uid}:{status.st_gid} {status.st_mtime_ns} {content}"
    return found


def test_a_second_build_is_identical(builder: Builder, itemgend: Image) -> None:
    builder.build("itemgend", "localhost/itemgend:2", WARM=WARM, BUILD_OPTIONS=builder.env["BUILD_OPTIONS"] + " --no-cache")
    again = builder.image("localhost/itemgend:2")
    # buildah writes its own container's number into the configuration.
    assert again.config | {"Hostname": ""} == itemgend.config | {"Hostname": ""}
    before, after = state(itemgend.root), state(again.root)
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == set()


# ------------------------------------------------------------ running


def test_an_item_through_both(itemgend: Image, itemloadd: Image, stack: Stack, pipeline: Pipeline, start: Start) -> None:
    """Nothing can be downloaded: the environment is in the image."""
    generating = start(itemgend, itemgend_settings(stack) | {"https_proxy": "http://127.0.0.1:9"})
    loading = start(itemloadd, itemloadd_settings(stack))
    pipeline.publish(pipeline.gen_topic, GFC)
    wait_until("the item is loaded", pipeline.ids)
    (made,) = wait_until("it is logged", lambda: generating.log("ITEM_GENERATED"))
    assert [made["item_id"]] == pipeline.ids() and loading.log("ITEM_LOADED")[0]["item_id"] == made["item_id"]
    assert generating.log("ENVIRONMENT_BUILT") == []
    assert generating.log("SANDBOX_CHOSEN")[0]["sandbox"] == "limits"
    for container in (generating, loading):
        asked = container.execute(*container.image.config["Healthcheck"]["Test"][1:])
        assert asked.returncode == 0, asked.stderr
        assert Path(f"/proc/{container.pid}/status").read_text().split("NSpid:")[1].split()[1] == "1"
        assert container.stop() == 0, container.log_file.read_text()
        assert container.log("DAEMON_STOPPED")
    assert pipeline.counts(pipeline.gen_queue) == pipeline.counts(pipeline.load_queue) == (0, 0)


def test_a_missing_environment_is_created(itemgend: Image, stack: Stack, pipeline: Pipeline, start: Start, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels)
    wheels.chmod(0o755)
    ca = {"ca": "/etc/ssl/certs/ca-certificates.crt"}
    environment = {"UV_FIND_LINKS": "/mnt/wheels", "SSL_CERT_FILE": "/mnt/ca"}
    for name in ("wheels", "ca"):  # where they are mounted
        (itemgend.root / "mnt" / name).mkdir() if name == "wheels" else (itemgend.root / "mnt" / name).touch()
    environment |= {name: value for name, value in os.environ.items() if name.startswith("UV_") or name.lower().endswith("s_proxy")}
    start(itemgend, itemgend_settings(stack) | environment, wheels=str(wheels), **ca)
    pipeline.publish(pipeline.gen_topic, PROBE)
    (message,) = wait_until("the item is published", lambda: pipeline.sqs.receive_message(QueueUrl=pipeline.load_queue).get("Messages"), 120)
    assert '"probe"' in message["Body"]


def test_processes_that_package_code_kills_are_not_left(itemgend: Image, stack: Stack, pipeline: Pipeline, start: Start) -> None:
    """Without a sandbox, it can signal all processes of its user. It cannot kill the container's first process."""
    container = start(itemgend, itemgend_settings(stack))
    pipeline.publish(pipeline.gen_topic, GFC)
    wait_until("an item is made", lambda: container.log("ITEM_GENERATED"))
    assert len(processes(container)) > 2
    assert container.execute("/bin/sh", "-c", "kill -KILL -1").returncode == 0
    wait_until("nothing is left, not even a zombie", lambda: processes(container) == [container.pid])
    pipeline.publish(pipeline.gen_topic, GFC)
    wait_until("it goes on", lambda: len(container.log("ITEM_GENERATED")) == 2)
    assert container.stop() == 0


def processes(container: Container) -> list[int]:
    """The processes of its namespace: they all descend from its first process."""
    found = [container.pid]
    for pid in found:
        for thread in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += [int(child) for child in thread.read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has just ended
    return found


def test_a_stop_finishes_work_in_progress(itemloadd: Image, stack: Stack, pipeline: Pipeline, start: Start) -> None:
    pipeline.publish_items([item(number) for number in range(240)])
    container = start(itemloadd, itemloadd_settings(stack) | {"ITEMLOADD_BATCH_ITEMS": "40", "ITEMLOADD_VISIBILITY_TIMEOUT": "10m"})
    wait_until("it is working", lambda: len(pipeline.ids()) >= 40)
    assert container.stop() == 0
    visible, in_flight = pipeline.counts(pipeline.load_queue)
    assert in_flight == 0 and len(pipeline.ids()) + visible == 240


def test_a_wrong_setting_is_named_in_the_error(itemloadd: Image, tmp_path: Path) -> None:
    container = Container(itemloadd, tmp_path, {"ITEMLOADD_QUEUE_URL": "https://127.0.0.1/1/q", "ITEMLOADD_WORKER": "2"})
    assert container.process.wait(30) == 78
    assert "ITEMLOADD_WORKER" in container.log_file.read_text() and "ITEMLOADD_SECRET_ARN" in container.log_file.read_text()
