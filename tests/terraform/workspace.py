"""
terraform in a copy of terraform/. The local AWS is its AWS, and the provider is linked, never copied.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local import cloud, environment, process
from local.cloud import Account
from local.process import Process, Starting

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "terraform"
# Of the user who deploys.
OWN = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl", "*.tfstate*", "*.tfplan", "*.tfvars", "backend.tf", "crash.log")
OLDEST = (1, 11)
MIRRORS = ["find", "/", "-maxdepth", "3", "-type", "d", "-name", "registry.terraform.*", "-printf", "%h\\n"]


def find_mirror() -> str | None:
    """A folder with the provider's files; None: they come from the registry."""
    if given := os.environ.get("TF_PLUGINS"):
        return given
    found = subprocess.run(MIRRORS, capture_output=True, text=True).stdout.splitlines()
    return found[0] if found else None


def find_terraform() -> str:
    program = shutil.which("terraform")
    if not program:
        pytest.skip("terraform is not installed")
    said = subprocess.run([program, "version", "-json"], env=settings(), capture_output=True, text=True, check=True)
    version = json.loads(said.stdout)["terraform_version"]
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        pytest.skip(f"terraform {version} is older than {'.'.join(map(str, OLDEST))}")
    return program


def settings() -> dict[str, str]:
    """The caller's environment without terraform settings, except for the path of its programs."""
    kept = {name: value for name, value in environment.for_tools().items() if not name.startswith("TF_")}
    return kept | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "TF_CLI_CONFIG_FILE": os.devnull}


def of_account(account: Account) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": account.url,
        "AWS_REGION": cloud.REGION,
        "AWS_ACCESS_KEY_ID": account.access_key_id,
        "AWS_SECRET_ACCESS_KEY": account.secret_access_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@contextmanager
def local_aws(directory: Path) -> Iterator[Account]:
    """A local AWS alone, with a user who may do everything."""
    reader, writer = os.pipe()
    log = directory / "aws.log"
    command = [sys.executable, "-m", "local.aws", "--terraform", "--ready-fd", str(writer)]
    started: list[Process] = []
    try:
        one, child = process.spawn("aws", command, environment.for_tools(), log, cwd=str(ROOT), pass_fds=[writer])
        started.append(one)
        os.close(writer)
        answer = Starting("aws", child, reader, log).wait(60)
        yield Account(answer["url"], **answer["keys"]["deployer"])
    finally:
        process.stop(started, 15, 5)


@dataclass(frozen=True)
class Resource:
    """A resource in a plan or in the state. `values`: known values; `unknown`: values that AWS will set."""

    address: str
    type: str
    values: dict[str, Any]
    unknown: dict[str, Any] = field(default_factory=dict)


class Resources(list[Resource]):
    def of(self, kind: str, within: str = "") -> "Resources":
        """The resources of a type whose address has these words in it."""
        return Resources(one for one in self if one.type == kind and within in one.address)

    def one(self, kind: str, within: str = "") -> dict[str, Any]:
        found = self.of(kind, within)
        assert len(found) == 1, f"{[one.address for one in found]} where one {kind} with {within!r} is expected"
        return found[0].values


def in_plan(plan: Mapping[str, Any]) -> Resources:
    changes = [one for one in plan["resource_changes"] if one["mode"] == "managed"]
    assert all(one["change"]["actions"] == ["create"] for one in changes)
    return Resources(
        Resource(one["address"], one["type"], one["change"]["after"], one["change"]["after_unknown"]) for one in changes
    )


def in_state(module: Mapping[str, Any]) -> Resources:
    """The resources of a state's root module and of the modules below it."""
    own = [
        Resource(one["address"], one["type"], one["values"])
        for one in module.get("resources", [])
        if one["mode"] == "managed"
    ]
    return Resources(own + [one for child in module.get("child_modules", []) for one in in_state(child)])


class Workspace:
    """A folder for many commands; `terraform init` has been run once."""

    def __init__(self, folder: Path) -> None:
        self.program = find_terraform()
        self.folder = folder / "terraform"
        self.log = folder / "terraform.log"
        self.env = settings()
        shutil.copytree(SOURCE, self.folder, ignore=OWN)
        shutil.copy(ROOT / "config.example.yaml", folder)
        mirror = find_mirror()
        if mirror:
            configuration = folder / "terraform.rc"
            configuration.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
            self.env["TF_CLI_CONFIG_FILE"] = str(configuration)
        done = self.run("init", check=False)
        if done.returncode != 0 and not mirror:
            pytest.skip(f"terraform's provider cannot be installed (TF_PLUGINS may name a mirror): {done.stderr.strip()[-500:]}")
        assert done.returncode == 0, done.stderr
        binaries = list(self.folder.glob(".terraform/providers/*/*/*/*/*"))
        assert binaries and (not mirror or all(path.is_symlink() for path in binaries)), "the provider must be linked"

    def use(self, account: Account) -> None:
        self.env |= of_account(account)

    def run(self, *arguments: str, check: bool = True, timeout_s: float = 1800) -> subprocess.CompletedProcess[str]:
        """Runs a command. Its output is also kept in terraform.log."""
        command = [self.program, f"-chdir={self.folder}", *arguments]
        color = ["-no-color"] if arguments[0] in ("apply", "destroy", "init", "plan", "validate") else []
        done = subprocess.run([*command, *color], env=self.env, capture_output=True, text=True, timeout=timeout_s)
        with self.log.open("a") as log:
            log.write(f"$ terraform {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        if check:
            assert done.returncode == 0, f"terraform {arguments[0]}:\n{done.stderr}\n{done.stdout[-4000:]}"
        return done

    def test(self, file: str) -> Iterator[dict[str, Any]]:
        """Runs `terraform test` on one file below tests/; yields its messages."""
        done = self.run("test", "-json", "-verbose", f"-filter={file}", check=False)
        messages = [json.loads(line) for line in done.stdout.splitlines()]
        problems = [
            f"{message['@message']}: {message.get('diagnostic', {}).get('detail')}"
            for message in messages
            if message["@level"] == "error"
        ]
        assert done.returncode == 0, "\n".join(problems) or done.stderr
        yield from messages

    def plans(self, configurations: Mapping[str, Path]) -> dict[str, Resources]:
        """
        The resources that each configuration would create. One process plans all of them, because the provider takes
        longer to start than to plan.
        """
        names = {example: example.replace("-", "_") for example in configurations}
        runs = [
            f'run "{names[example]}" {{\n  command = plan\n  variables {{\n    config_file = "{path}"\n  }}\n}}\n'
            for example, path in configurations.items()
        ]
        (self.folder / "tests").mkdir(exist_ok=True)
        file = self.folder / "tests" / "planned.tftest.hcl"
        file.write_text("\n".join(runs))
        found = {
            message["@testrun"]: in_plan(message["test_plan"])
            for message in self.test("tests/planned.tftest.hcl")
            if message["type"] == "test_plan"
        }
        file.unlink()
        return {example: found[name] for example, name in names.items()}

    def state(self) -> Resources:
        return in_state(json.loads(self.run("show", "-json").stdout)["values"]["root_module"])

    def outputs(self) -> dict[str, Any]:
        return {name: output["value"] for name, output in json.loads(self.run("output", "-json").stdout).items()}
