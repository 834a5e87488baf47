"""The Debian package: its content, in a bare Debian, and under a really booted systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import ROOT, Stack
from tests.integration.pipeline.conftest import Pipeline, wait_until
from tests.integration.pipeline.test_generation import GFC_ARGS
from tests.systemd.conftest import Booted, settings

from .conftest import IMAGES, Builder, bare_root, call, needs

pytestmark = pytest.mark.long

NAME = "stactools-ingest"
UNITS = "itemgend itemloadd"


def make_package(**variables: str) -> Path:
    """The make that runs us passes its variables (SAN=1) on through the environment."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k not in ("SAN", "CC", "OUT", "CFLAGS", "V")}
    call("make", "-s", "deb-now", env=env | variables)
    (made,) = (ROOT / "build").glob(f"{NAME}_*_{call('dpkg', '--print-architecture').stdout.strip()}.deb")
    return made


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("dpkg-shlibdeps")
    made = make_package()
    return Path(shutil.copy(made, tmp_path_factory.mktemp("deb") / made.name))


def field(package: Path, name: str) -> str:
    return call("dpkg-deb", "--field", package, name).stdout.strip()


# -------------------------------------------------------------- the content


def test_lintian(package: Path) -> None:
    needs("lintian")
    done = call("lintian", "--allow-root", "--fail-on", "error,warning", package, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_dependencies(package: Path) -> None:
    depends = {entry.split()[0] for entry in field(package, "Depends").split(",")}
    assert {"python3", "ca-certificates", "libpq5", "libcurl4", "libyaml-0-2", "libc6"} <= depends
    assert {"bubblewrap", "slirp4netns", "nftables"} == {entry.strip() for entry in field(package, "Recommends").split(",")}


def test_a_second_package_is_identical(package: Path) -> None:
    times = {"SOURCE_DATE_EPOCH": "1700000000"}
    first = make_package(**times).read_bytes()
    assert make_package(**times).read_bytes() == first


def listed(package: Path) -> list[str]:
    """Permissions, owners and names."""
    return [" ".join((line.split()[0], line.split()[1], line.split(maxsplit=5)[5])) for line in call("dpkg-deb", "--contents", package).stdout.splitlines()]


def test_the_same_is_built_in_a_container(builder: Builder, package: Path) -> None:
    folder = builder.folder / "package"
    call(IMAGES, "package", folder, env=builder.env)
    (made,) = folder.iterdir()
    assert made.name == package.name
    assert listed(made) == listed(package)
    assert field(made, "Version") == field(package, "Version")
    assert "libc6 (>= " in field(made, "Depends")


# ------------------------------------------------------------ a bare Debian


class Bare:
    """A Debian without anything installed. Commands run in it as root, and their changes are thrown away."""

    def __init__(self, folder: Path, archive: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        call("tar", "-C", self.root, "--numeric-owner", "-xf", archive)
        for path in ("/etc/resolv.conf", "/etc/hosts"):
            if Path(path).exists():
                shutil.copy(path, self.root / path[1:])

    def run(self, script: str, check: bool = True) -> str:
        mounted = 'mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" /bin/sh -euc "$1"'
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-euc", mounted, str(self.root), f"exec 2>&1\n{script}"]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        env |= {name: value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy", "no_proxy")}
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert done.returncode == 0 or not check, f"{script}: exit {done.returncode}\n{done.stdout[-4000:]}"
        return done.stdout.strip()


@pytest.fixture(scope="module")
def bare(build: Path, package: Path) -> Iterator[Bare]:
    needs("debootstrap")
    with tempfile.TemporaryDirectory(prefix="bare.", dir=build) as folder:
        made = Bare(Path(folder), bare_root(build))
        shutil.copy(package, made.root / "root")
        made.run(f"apt-get -q update; apt-get -q install --yes --no-install-recommends /root/{package.name}")
        yield made


def test_its_programs_run(bare: Bare) -> None:
    for program in ("itemgend", "itemloadd", "itemctl"):
        assert bare.run(f"{program} --version").startswith(program)
        assert bare.run(f"test -s /usr/share/man/man8/{program}.8.gz && echo there") == "there"
    env = "ITEMGEND_QUEUE_URL=https://127.0.0.1/1/q ITEMGEND_LOAD_TOPIC_ARN=arn:aws:sns:eu-central-2:123456789012:t"
    assert "/etc/stactools-ingest/constraints.txt" in bare.run(f"{env} itemgend --check-config")
    assert bare.run("/usr/libexec/stactools-ingest/uv --version").startswith("uv ")


def test_its_unit_finds_uv(bare: Bare) -> None:
    path = bare.run("sed -n 's/^Environment=PATH=//p' /lib/systemd/system/itemgend.service")
    assert bare.run(f"PATH={path}; command -v uv; command -v uvx") == "/usr/libexec/stactools-ingest/uv\n/usr/libexec/stactools-ingest/uvx"


def test_nothing_is_enabled(bare: Bare) -> None:
    assert bare.run("ls /lib/systemd/system | grep ^item") == "itemgend.service\nitemloadd.service"
    assert bare.run("find /etc/systemd -name 'item*'") == ""


def test_an_administrators_configuration_stays_until_it_is_purged(bare: Bare, package: Path) -> None:
    bare.run("echo 'workers: 4' >>/etc/stactools-ingest/itemgend.yaml; mkdir -p /var/cache/private/itemgend /var/lib/private/itemgend")
    bare.run(f"dpkg --install /root/{package.name}")
    assert bare.run("tail -n 1 /etc/stactools-ingest/itemgend.yaml") == "workers: 4"
    assert bare.run(f"dpkg --verify {NAME}") == "??5?????? c /etc/stactools-ingest/itemgend.yaml"
    bare.run(f"dpkg --remove {NAME}")
    assert bare.run("ls /etc/stactools-ingest") == "constraints.txt\nitemgend.yaml\nitemloadd.yaml"
    bare.run(f"dpkg --purge {NAME}")
    assert bare.run("find / -xdev '(' -name 'item*' -o -name 'stactools-ingest*' ')' -not -path '/root/*' -not -path '/proc/*'") == ""


# ------------------------------------------------------------ a booted systemd


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("deb-stack"), fsync=False, run_daemons=False) as stack:
        yield stack


@pytest.fixture(scope="module")
def booted(stack: Stack, package: Path) -> Iterator[Booted]:
    needs()
    booted = Booted()
    # Inside, the host's files are below an overlay. There, services may be started and stopped.
    booted.run("rm -f /usr/sbin/policy-rc.d; rm -rf /usr/local/bin/uv /usr/local/bin/uvx /etc/stactools-ingest; mkdir -p /etc/stactools-ingest")
    lines = "\n".join(f"{name}={value}" for name, value in settings(stack).items() if name != "ITEMGEND_UVX")
    booted.run(f"cat >/etc/stactools-ingest/environment <<'END'\n{lines}\nEND")
    # Inside, /tmp is a different one.
    with tempfile.TemporaryDirectory(prefix="package.", dir=ROOT / "build") as folder:
        shutil.copy(package, Path(folder) / "package.deb")
        booted.run(f"cp {folder}/package.deb /run/")
    booted.run("dpkg --install /run/package.deb")
    yield booted
    booted.close()


def test_it_starts_nothing_and_then_what_is_asked_for(booted: Booted, stack: Stack) -> None:
    assert booted.run(f"systemctl is-enabled {UNITS}", check=False).split() == ["disabled", "disabled"]
    assert booted.run(f"systemctl is-active {UNITS}", check=False).split() == ["inactive", "inactive"]
    pipeline = Pipeline(stack)
    pipeline.add_collection("test")
    booted.run(f"systemctl start {UNITS} || {{ journalctl -n 30 --no-pager; false; }}")
    request = {"package_name": "stactools-glad-global-forest-change==0.1.2", "group_name": "gladglobalforestchange"}
    pipeline.publish(pipeline.gen_topic, request | {"create_item_args": GFC_ARGS, "collection_id": "test"})
    wait_until("the item is loaded", pipeline.ids, timeout_s=120)
    pipeline.db.close()


def test_an_upgrade_restarts_only_running_units(booted: Booted) -> None:
    booted.run("systemctl start itemloadd; systemctl stop itemgend; systemctl enable itemgend")
    before = booted.run("systemctl show -p MainPID --value itemloadd")
    booted.run("dpkg --install /run/package.deb")
    assert booted.run(f"systemctl is-active {UNITS}", check=False).split() == ["inactive", "active"]
    assert booted.run("systemctl show -p MainPID --value itemloadd") != before
    assert booted.run("systemctl show -p Result --value itemloadd") == "success"


def test_its_removal_stops_what_runs(booted: Booted) -> None:
    booted.run(f"dpkg --purge {NAME}")
    assert booted.run(f"systemctl is-active {UNITS}", check=False).split() == ["inactive", "inactive"]
    assert booted.run("systemctl --failed --no-legend") == ""
    assert booted.run("find /etc/systemd/system -name 'item*'") == ""
