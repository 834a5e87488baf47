"""A configuration of terraform/ in the local AWS, and the commands of its owner."""

import json
from pathlib import Path
from typing import Any

import yaml

from local.cloud import Account
from tests.terraform import inventory
from tests.terraform.workspace import SOURCE, Workspace, in_plan


class Deployment:
    def __init__(self, account: Account, folder: Path, configuration: dict[str, Any]) -> None:
        """`account`: of a user who may do everything."""
        self.account = account
        self.prefix = f"{configuration['project_id']}-{configuration['stage']}"
        self.workspace = Workspace(folder)
        self.workspace.use(self.account)
        self.before = inventory.everything(self.account)
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(configuration))
        self._variables = [f"-var=config_file={file}"]

    def apply(self, only: str | None = None) -> None:
        """`only`: one type of resources, which is created alone with its dependencies."""
        self.workspace.run("validate")
        plan = ["plan", *self._variables, "-out=first.tfplan"]
        self.workspace.run(*plan)
        if only:
            planned = in_plan(json.loads(self.workspace.run("show", "-json", "first.tfplan").stdout))
            self.workspace.run(*plan, *(f"-target={one.address}" for one in planned.of(only)))
        self.workspace.run("apply", "-parallelism=30", "first.tfplan")

    def second_plan(self) -> str:
        """The changes that a second plan would make, in terraform's format; empty: none."""
        done = self.workspace.run("plan", "-detailed-exitcode", *self._variables, check=False)
        return "" if done.returncode == 0 else done.stdout[-8000:] + done.stderr

    def destroy(self) -> None:
        """As terraform/README.md describes."""
        force = "-var=force_delete=true"
        self.workspace.run("apply", "-auto-approve", "-parallelism=30", *self._variables, force)
        self.workspace.run("destroy", "-auto-approve", "-parallelism=30", *self._variables, force)

    def difference(self) -> list[str]:
        """Resources that the account has now and did not have before, or the other way round."""
        return sorted(inventory.everything(self.account) ^ self.before)


def example(name: str) -> dict[str, Any]:
    configuration: dict[str, Any] = yaml.safe_load((SOURCE / "examples" / name / "config.yaml").read_text())
    return configuration
