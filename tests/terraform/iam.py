"""Compares what the roles' policies allow, what docs/reference/iam.md says about it, and what was called."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulation import hcl
from tests.terraform.workspace import ROOT, SOURCE, Resources

DOCUMENT = ROOT / "docs" / "reference" / "iam.md"
COLUMNS = ["role", "statement", "action", "resource", "needed by"]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def matches(pattern: str, text: str) -> bool:
    """A pattern of IAM's: * is any characters, ? is one."""
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, text) is not None


# ------------------------------------------------------------ the document


@dataclass(frozen=True)
class Row:
    """
    A row of the document: one action in one statement of one role, and whether a daemon's call is given as the
    reason.
    """

    role: str
    statement: str
    action: str
    is_called: bool


def rows(document: str) -> list[Row]:
    found = []
    for line in document.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) != len(COLUMNS) or cells == COLUMNS or set(cells[0]) == {"-"}:
            continue
        roles, statement, action, _, need = cells
        assert need, line
        found += [Row(role, statement, action, not need.startswith("reason: ")) for role in roles.split(", ")]
    assert len(found) == len(set(found)), "a row occurs twice"
    return found


# ------------------------------------------------------------ policies


@dataclass(frozen=True)
class Statement:
    role: str  # without the deployment's prefix
    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]

    def allows(self, call: "Call") -> bool:
        return (
            call.role == self.role
            and any(matches(action, call.action) for action in self.actions)
            and any(matches(resource, call.resource) for resource in self.resources)
        )


def statements(state: Resources, prefix: str) -> list[Statement]:
    """The statements of all roles in a state. Each must allow something, and have a name."""
    found = []
    for one in state.of("aws_iam_role_policy"):
        role = one.values["role"]
        assert role.startswith(f"{prefix}-"), role
        for statement in as_list(json.loads(one.values["policy"])["Statement"]):
            assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}, one.address
            assert statement["Effect"] == "Allow", one.address
            actions, resources = as_list(statement["Action"]), as_list(statement["Resource"])
            found.append(Statement(role.removeprefix(f"{prefix}-"), statement["Sid"], tuple(actions), tuple(resources)))
    for kind in ("aws_iam_policy", "aws_iam_role_policy_attachment", "aws_iam_user", "aws_iam_group"):
        assert state.of(kind) == [], "every permission must be in an inline policy of its role"
    return found


ACTIONS = r'\bAction\s*=\s*(\[[^\]]*\]|"[^"]*")'
IN_JSON = (
    re.compile(r'\bSid\s*=\s*"(\w+)"(?P<between>.*?)' + ACTIONS, re.DOTALL),
    re.compile(r"\b(\w+)\s*=\s*\{\s*is_wanted\b(?P<between>[^}]*?)" + ACTIONS, re.DOTALL),
)


def statement_blocks(document: hcl.Block) -> list[hcl.Body]:
    dynamic = [block.one("content") for block in document.all("dynamic", "statement")]
    return [*document.all("statement"), *dynamic]


def written(folder: Path = SOURCE) -> set[tuple[str, str]]:
    """
    Statement and action of every policy of a role, as written in the modules. Actions of examples that nobody plans are
    included.
    """
    found = set()
    for module in {file.parent for file in folder.glob("**/*.tf")}:
        for pattern in IN_JSON:
            for match in pattern.finditer("".join(file.read_text() for file in module.glob("*.tf"))):
                if "Principal" not in match["between"]:
                    found |= {(match[1], action) for action in re.findall(r'"([^"]+)"', match[3])}
        body = hcl.parse_folder(module)
        local = {f"local.{name}": value for block in body.all("locals") for name, value in block.attributes.items()}
        for document in body.all("data", "aws_iam_policy_document"):
            for statement in statement_blocks(document):
                if not statement.all("principals"):
                    sid, actions = statement.attribute("sid"), statement.attribute("actions")
                    found |= {(sid.strip('"'), action.strip('"')) for action in hcl.list_of(local.get(actions, actions))}
    return found


# ------------------------------------------------------------ calls


@dataclass(frozen=True)
class Call:
    """A line of the local AWS's request log."""

    role: str  # without the deployment's prefix
    action: str
    resource: str
    was_allowed: bool


def calls(log: Path, prefix: str) -> list[Call]:
    """The calls of the deployment's roles."""
    found = []
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        role = re.fullmatch(rf"arn:aws:sts::\d+:assumed-role/{re.escape(prefix)}-([^/]+)/[^/]+", entry["who"])
        if role:
            found.append(Call(role[1], entry["action"], entry["resource"], entry["allowed"]))
    return found


# ------------------------------------------------------------ together


def undocumented(documented: Iterable[Row], allowed: Iterable[Statement]) -> list[str]:
    """Actions that a role has and docs/reference/iam.md does not list."""
    known = {(row.role, row.statement, row.action) for row in documented}
    had = {(one.role, one.sid, action) for one in allowed for action in one.actions}
    return [" ".join(one) for one in sorted(had - known)]


def refused(allowed: Iterable[Statement], called: Iterable[Call]) -> list[str]:
    """Calls that no statement allows, and calls that the local AWS refused."""
    allowed = list(allowed)
    return sorted(
        {
            f"{call.role} {call.action} {call.resource}"
            for call in called
            if not call.was_allowed or not any(one.allows(call) for one in allowed)
        }
    )


def uncalled(documented: Iterable[Row], allowed: Iterable[Statement], called: Iterable[Call], roles: Iterable[str]) -> list[str]:
    """Actions of these roles whose documented reason is a call that did not happen."""
    allowed, called = list(allowed), list(called)
    seen = {(call.role, one.sid, call.action) for call in called for one in allowed if one.allows(call)}
    said = {(row.role, row.statement, row.action) for row in documented if row.is_called and row.role in roles}
    return [" ".join(one) for one in sorted(said - seen)]
