"""modules/database alone (database.tftest.hcl)."""

import shutil
from pathlib import Path

import pytest

from tests.terraform.workspace import Workspace

FILE = Path(__file__).with_name("database.tftest.hcl")


@pytest.mark.usefixtures("account")
def test_database(workspace: Workspace) -> None:
    copy = workspace.folder / "tests" / FILE.name
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(FILE, copy)
    try:
        workspace.run("init", "-backend=false")  # terraform also installs the modules of a test file
        messages = list(workspace.test(f"tests/{FILE.name}"))
    finally:
        copy.unlink()
    (summary,) = [message["test_summary"] for message in messages if message["type"] == "test_summary"]
    assert summary["passed"] == FILE.read_text().count("\nrun ")
