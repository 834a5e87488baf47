"""
terraform/deploy.sh with the real terraform, aws and buildah, on the local AWS and a registry with its ECR's name and
password.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from local.cloud import REGION, Account
from local.stack import ROOT, TOOLS
from tests.terraform import inventory
from tests.terraform.workspace import Workspace, local_aws

from .conftest import Builder
from .registry import Proxy, Registry, serve, write_pusher

pytestmark = pytest.mark.long

ACCOUNT = "123456789012"
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
NAME = "deployed-test"
TASK = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{NAME}/0a1b2c"


def ends_with(code: int) -> list[tuple[list[str], str, int]]:
    """Answers for the migration's task, which the local AWS cannot run: it starts and exits."""
    task = {"taskArn": TASK, "lastStatus": "STOPPED", "containers": [{"exitCode": code}]}
    said = {"events": [{"message": "pgstac is there"}]}
    started = json.dumps({"tasks": [{"taskArn": TASK}], "failures": []})
    return [(["run-task"], started, 0), (["describe-tasks"], json.dumps({"tasks": [task]}), 0), (["get-log-events"], json.dumps(said), 0)]


class Site:
    """A copy of the needed files, and an account that may do everything."""

    def __init__(self, folder: Path, account: Account, builder: Builder, registry: Registry, proxy: Proxy) -> None:
        self.top, self.account, self.registry = folder / "project", account, registry
        self.top.mkdir()
        self.workspace = Workspace(self.top)
        self.workspace.use(account)
        context = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        for path in (*context, ".dockerignore"):
            target = self.top / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(ROOT / path, target) if (ROOT / path).is_dir() else shutil.copy(ROOT / path, target)
        (self.top / "config.yaml").write_text(yaml.safe_dump({"project_id": "deployed", "stage": "test", "stac_api": {"enabled": False}}))
        programs = folder / "bin"
        programs.mkdir()
        write_pusher(programs / "pusher", "buildah", registry, proxy)
        self.answers = folder / "answers"
        aws = Path(__file__).with_name("aws_in_part.py")
        (programs / "aws").write_text(f'#!/bin/sh\nexec {sys.executable} {aws} "$@"\n')
        (programs / "aws").chmod(0o755)
        self.env = builder.env | self.workspace.env | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "BUILDER": "pusher",
            "AWS": str(TOOLS / "aws"),
            "PROJECT": str(ROOT),
            "REGISTRY": json.dumps({**asdict(registry), "folder": str(registry.folder)}),
            "REGISTRY_AUTH_FILE": str(folder / "auth.json"),
            "CALLS": str(folder / "calls"),
            "ANSWERS": str(self.answers),
            "CONFIRM": "yes",
            "MIGRATION_POLL_S": "0.1",
            "TF_CLI_ARGS_apply": "-parallelism=30",
            "TF_CLI_ARGS_destroy": "-parallelism=30",
        }  # fmt: skip

    def everything(self) -> set[str]:
        return inventory.everything(self.account)

    def run(self, *options: str, migration: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        self.answers.write_text(json.dumps(ends_with(migration)))
        command = [self.top / "terraform" / "deploy.sh", *options]
        return subprocess.run(command, env=self.env | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)


@pytest.fixture
def site(tmp_path: Path, builder: Builder) -> Iterator[Site]:
    with local_aws(tmp_path) as account:
        token = account.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        password = subprocess.run(["base64", "-d"], input=token, capture_output=True, text=True, check=True).stdout.removeprefix("AWS:")
        (tmp_path / "registry").mkdir()
        with serve(tmp_path / "registry", HOST, password) as registry:
            proxy = Proxy(registry.port)
            yield Site(tmp_path, account, builder, registry, proxy)
            proxy.close()


def shown(done: subprocess.CompletedProcess[str]) -> str:
    return f"exit {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-4000:]}"


def test_a_deployment_from_nothing_to_nothing(site: Site) -> None:
    before = site.everything()
    planned = site.run("--plan", CONFIRM="")
    assert planned.returncode == 0 and " to add, 0 to change, 0 to destroy" in planned.stdout, shown(planned)
    assert site.everything() == before

    failed = site.run(migration=3)
    assert failed.returncode == 1 and "exit code 3" in failed.stderr and "pgstac is there" in failed.stdout, shown(failed)
    there = " ".join(site.everything())
    assert f"{NAME}-itemgend" in there and f"{NAME}-ItemGenQueue" not in there, "resources that need the database must not exist before it is migrated"

    done = site.run()
    assert done.returncode == 0, shown(done)
    outputs = site.workspace.outputs()
    assert outputs["release"] in done.stdout and outputs["ItemGenSNSTopicArn"] in done.stdout
    assert set(outputs["repositories"]) == {"itemgend", "itemloadd", "migrate"}
    for name, url in outputs["repositories"].items():
        assert url == f"{HOST}/{NAME}-{name}"
        pushed = site.registry.image(f"{NAME}-{name}", outputs["release"])
        assert pushed and pushed["User"] == "65532:65532" and pushed["Labels"]["org.opencontainers.image.title"] == name
        assert f"image {name}:{outputs['release']} exists" in done.stdout, "the failed deployment has already pushed it"

    again = site.run()
    assert again.returncode == 0 and again.stdout.count("No changes.") == 3 and "building" not in again.stdout, shown(again)

    refused = site.run("--destroy", CONFIRM="yes")
    assert refused.returncode == 1 and "nothing was destroyed" in refused.stderr
    gone = site.run("--destroy", CONFIRM=outputs["cluster_name"])
    assert gone.returncode == 0, shown(gone)
    assert site.everything() == before
