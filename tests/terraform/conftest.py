"""terraform/ with the local AWS, once for each test process."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from local.cloud import Account
from tests.terraform import existing
from tests.terraform.existing import Existing
from tests.terraform.workspace import SOURCE, Resources, Workspace, local_aws

EXAMPLES = sorted(path.parent.name for path in SOURCE.glob("examples/*/config.yaml"))
SECRET = {"host": "127.0.0.1", "port": 5432, "dbname": "postgis", "username": "loader", "password": "secret"}


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="session")
def account(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The account of a user who deploys, in a local AWS that is empty."""
    with local_aws(tmp_path_factory.mktemp("aws")) as account:
        workspace.use(account)
        yield account


@pytest.fixture(scope="session")
def had(account: Account) -> Existing:
    return existing.make(account, SECRET, "partner-stac-items")


@pytest.fixture(scope="session")
def plans(workspace: Workspace, had: Existing, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Resources]:
    """By example: the resources that it would create."""
    folder = tmp_path_factory.mktemp("examples")
    files: dict[str, Path] = {}
    for example in EXAMPLES:
        files[example] = folder / f"{example}.yaml"
        given = yaml.safe_load((SOURCE / "examples" / example / "config.yaml").read_text())
        files[example].write_text(json.dumps(had.put_into(given)))  # JSON is YAML
    return workspace.plans(files)
