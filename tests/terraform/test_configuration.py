"""Errors for a wrong config.yaml: they name the key. AWS is not used."""

import re
from pathlib import Path

import pytest

from tests.terraform.workspace import Workspace

# The file's content, and the error.
WRONG = {
    "unknown keys": (
        "projectid: imagery\nitemgend: {slots: 4}\nbucket_notifications: [{bucket: stac-items, sufix: .json}]\n",
        "unknown keys: projectid, bucket_notifications[0].sufix, itemgend.slots.",
    ),
    "a text for a number": ("itemgend:\n  item_slots: many\n", "These must be numbers: itemgend.item_slots."),
    "a number for a mapping": ("itemgend: 4\n", 'attribute "itemgend": object required'),
    "more than Fargate has": ("itemgend: {item_slots: 40}\n", "itemgend needs 20480 CPU units and 41472 MiB for 40 item_slots of 1024 MiB"),
    "no YAML": ("stage: [\n", "is not valid YAML"),
}


def refusal(workspace: Workspace, *arguments: str) -> str:
    """The error of a plan, on one line."""
    done = workspace.run("plan", *arguments, check=False)
    assert done.returncode == 1, done.stdout
    return re.sub(r"\s+", " ", done.stderr)


@pytest.mark.parametrize("case", WRONG)
def test_a_configuration_that_is_wrong(workspace: Workspace, tmp_path: Path, case: str) -> None:
    text, said = WRONG[case]
    (tmp_path / "config.yaml").write_text(text)
    assert said in refusal(workspace, f"-var=config_file={tmp_path}/config.yaml")


def test_no_configuration_and_no_release(workspace: Workspace) -> None:
    said = refusal(workspace, "-var=release=1.2.3 (test)")
    assert "config.yaml does not exist: copy config.example.yaml to config.yaml and change it" in said
    assert "is not valid YAML" not in said
    assert "release must be letters, digits, dots, hyphens and underscores" in said
