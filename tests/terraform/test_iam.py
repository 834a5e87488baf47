"""
docs/reference/iam.md has each action that terraform/ allows, and nothing else. test_daemons.py compares both with the
calls, test_plans.py with the roles.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from local.cloud import Account
from tests.terraform import iam
from tests.terraform.deployment import Deployment
from tests.terraform.deployment import example as of_example
from tests.terraform.existing import Existing
from tests.terraform.iam import Call, Row, Statement


@pytest.fixture(scope="module")
def documented() -> list[Row]:
    return iam.rows(iam.DOCUMENT.read_text())


def test_each_action_is_documented(documented: list[Row]) -> None:
    written = iam.written()
    assert len(written) > 30
    assert {(row.statement, row.action) for row in documented} == written


def test_no_action_is_a_pattern(documented: list[Row]) -> None:
    assert [row for row in documented if "*" in row.action] == []


# ------------------------------------------------------------- the comparisons find what they should

RECEIVE = Row("itemgend-task", "ReceiveMessages", "sqs:ReceiveMessage", is_called=True)
DECRYPT = Row("itemgend-task", "UseKey", "kms:Decrypt", is_called=False)
ALLOWED = Statement("itemgend-task", "ReceiveMessages", ("sqs:ReceiveMessage",), ("arn:aws:sqs:*:1:p-s-ItemGenQueue",))
CALL = Call("itemgend-task", "sqs:ReceiveMessage", "arn:aws:sqs:eu-central-2:1:p-s-ItemGenQueue", was_allowed=True)


def test_rows() -> None:
    text = "| role | statement | action | resource | needed by |\n|---|---|---|---|---|\n"
    text += "| a-task, a-instance | S | sqs:ReceiveMessage | q | ReceiveMessage: every poll |\n| b | T | kms:Decrypt | k | reason: SQS |\n"
    assert iam.rows(text) == [
        Row("a-task", "S", "sqs:ReceiveMessage", True),
        Row("a-instance", "S", "sqs:ReceiveMessage", True),
        Row("b", "T", "kms:Decrypt", False),
    ]


def test_an_action_that_is_not_documented() -> None:
    assert iam.undocumented([RECEIVE], [ALLOWED]) == []
    more = replace(ALLOWED, actions=("sqs:ReceiveMessage", "sqs:PurgeQueue"))
    assert iam.undocumented([RECEIVE], [more]) == ["itemgend-task ReceiveMessages sqs:PurgeQueue"]
    assert iam.undocumented([RECEIVE], [replace(ALLOWED, role="itemloadd-task")]) == ["itemloadd-task ReceiveMessages sqs:ReceiveMessage"]
    assert iam.undocumented([RECEIVE], [replace(ALLOWED, sid="Other")]) == ["itemgend-task Other sqs:ReceiveMessage"]


@pytest.mark.parametrize(
    "call",
    [
        replace(CALL, action="sqs:PurgeQueue"),
        replace(CALL, resource="arn:aws:sqs:eu-central-2:1:p-s-ItemLoadQueue"),
        replace(CALL, role="itemloadd-task"),
        replace(CALL, was_allowed=False),
    ],
)
def test_a_call_that_no_statement_allows(call: Call) -> None:
    assert iam.refused([ALLOWED], [CALL]) == []
    assert iam.refused([ALLOWED], [CALL, call]) == [f"{call.role} {call.action} {call.resource}"]


def test_an_action_that_is_never_called() -> None:
    both = [RECEIVE, DECRYPT]
    assert iam.uncalled(both, [ALLOWED], [CALL], ["itemgend-task"]) == [], "kms:Decrypt has a reason"
    assert iam.uncalled(both, [ALLOWED], [], ["itemgend-task"]) == ["itemgend-task ReceiveMessages sqs:ReceiveMessage"]
    assert iam.uncalled(both, [ALLOWED], [], ["itemloadd-task"]) == []


# ------------------------------------------------------------ every variant's policies, as AWS gets them


@pytest.mark.long
@pytest.mark.parametrize("example", ["ecs-ec2", "ec2-systemd", "no-api", "pgbouncer"])
def test_policies_of_a_variant(example: str, documented: list[Row], had: Existing, account: Account, tmp_path: Path) -> None:
    """
    Creates only the roles and the resources in their policies. The database, which takes minutes, is created only if it
    has its own roles.
    """
    configuration = of_example(example)
    if example != "pgbouncer":
        without = {"database_secret_arn": "", "database_security_group_id": "", "stac_api": {"enabled": False}}
        configuration |= without
    deployment = Deployment(account, tmp_path, had.put_into(configuration))
    deployment.apply(only="aws_iam_role_policy")
    state = deployment.workspace.state()
    allowed = iam.statements(state, deployment.prefix)
    roles = {one.values["name"].removeprefix(f"{deployment.prefix}-") for one in state.of("aws_iam_role")}
    assert {one.role for one in allowed} == roles and len(roles) >= 4
    assert iam.undocumented(documented, allowed) == []
