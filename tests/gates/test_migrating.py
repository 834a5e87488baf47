"""docs/migrating.md: it has the new form of each command in the original's README, and everything it names exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
DOCUMENT = TOP / "docs" / "migrating.md"

# Outputs that the original's README reads with `aws cloudformation describe-stacks`, and two more outputs of its stack.
OUTPUT_KEYS = {
    "PgstacSecret": "PgstacSecret",
    "ItemGenSNSTopicArn": "ItemGenSNSTopicArn",
    "ItemGenFunctionName": "ItemGenLogGroup",
    "ItemLoadFunctionName": "ItemLoadLogGroup",
    "ItemGenDLQUrl": "ItemGenDLQUrl",
    "ItemLoadDLQUrl": "ItemLoadDLQUrl",
    "ItemLoadTopicArn": "ItemLoadTopicArn",
    "ItemGenQueueUrl": "ItemGenQueueUrl",
    "ItemLoadQueueUrl": "ItemLoadQueueUrl",
}
LOG_COMMANDS = {
    "aws logs tail /aws/lambda/$ITEM_GEN_FUNCTION --follow": ("ItemGenLogGroup", "itemgend"),
    "aws logs tail /aws/lambda/$ITEM_LOAD_FUNCTION --follow": ("ItemLoadLogGroup", "itemloadd"),
}
# Keys of the original's config.yml.
CONFIG_KEYS = ("project_id", "stage", "tags", "nat_gateway_count", "db_instance_type", "db_allocated_storage")


@pytest.fixture(scope="module")
def text() -> str:
    return DOCUMENT.read_text()


def rows(text: str) -> list[list[str]]:
    """The rows of all tables."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def declared_outputs() -> set[str]:
    return set(re.findall(r'^output "(\w+)"', (TOP / "terraform" / "outputs.tf").read_text(), re.M))


def test_each_describe_stacks_has_its_terraform_output(text: str) -> None:
    found = {
        match[1]: row[1] for row in rows(text) if len(row) == 2 and (match := re.search(r"OutputKey=='(\w+)'", row[0]))
    }
    assert {key: f"`terraform -chdir=terraform output -raw {name}`" for key, name in OUTPUT_KEYS.items()} == found


def test_each_log_command_has_its_new_form(text: str) -> None:
    found = {row[0].strip("`"): row[1:] for row in rows(text) if row[0].startswith("`aws logs tail")}
    assert found == {
        command: [f'`aws logs tail "$(output {group})" --follow`', f"`journalctl -u {daemon} -f`"]
        for command, (group, daemon) in LOG_COMMANDS.items()
    }


def test_each_output_that_it_names_is_declared(text: str) -> None:
    named = set(re.findall(r"terraform -chdir=terraform output (?:-raw )?(\w+)", text))
    named |= set(re.findall(r"(?:\$\(|`)output (\w+)", text))
    assert named >= set(OUTPUT_KEYS.values())
    assert named - declared_outputs() == set()


def test_each_key_of_the_configuration_is_there(text: str) -> None:
    keys = [row[0].strip("`") for row in rows(text) if len(row) == 2]
    assert [key for key in keys if key in CONFIG_KEYS] == list(CONFIG_KEYS)
    example = (TOP / "config.example.yaml").read_text()
    named = set(CONFIG_KEYS) | set(re.findall(r"`(\w+):? ?[\w.]*`", text))
    known = set(re.findall(r"^ *(\w+):", example, re.M))
    assert set(CONFIG_KEYS) <= known
    new = {"vpc", "database_secret_arn", "database_security_group_id", "bucket_notifications", "delivery"}
    assert new <= named & known


def test_its_commands_are_shell(text: str) -> None:
    blocks = re.findall(r"^ *```bash\n(.*?)^ *```", text, re.M | re.S)
    assert len(blocks) >= 6
    for block in blocks:
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + block


def test_the_readme_lists_it() -> None:
    assert "(docs/migrating.md)" in (TOP / "README.md").read_text()
