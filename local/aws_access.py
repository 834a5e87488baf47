"""
Checks what the caller may do: moto's policy check with IAM's own names of actions and principals, and a log of all
requests.

Sources: the service authorization reference (an operation on a batch needs the permission for a single one) and the
IAM user guide ("AWS JSON policy elements: Principal"). Of a policy's conditions, only the one on TLS is evaluated.
"""

import json
import threading
from pathlib import Path
from typing import Any

from moto.iam.access_control import IAMPolicyStatement, IAMRequestBase, PermissionResult

ACTIONS = {
    "sns:PublishBatch": "sns:Publish",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}
# AWS services that assume the roles of what they run. Here they are users with these names.
SERVICES = ("ecs-tasks.amazonaws.com", "ec2.amazonaws.com")


class RequestLog:
    """Writes a JSON line for each check: caller, action, resource, allowed."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()

    def write(self, who: str, action: str, resource: str, allowed: bool) -> None:
        line = json.dumps({"who": who, "action": action, "resource": resource, "allowed": allowed})
        with self._lock:
            self._file.write(line + "\n")


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def is_principal(principal: Any, caller: str) -> bool:
    """True if a statement's Principal matches the caller, given as the ARN of a user or of a role's session."""
    if principal in (None, "*"):
        return True
    if not isinstance(principal, dict):
        return False
    account, _, name = caller.split(":", 4)[4].partition(":")
    names = {"*", account, f"arn:aws:iam::{account}:root", caller}
    if name.startswith("assumed-role/"):
        names.add(f"arn:aws:iam::{account}:role/{name.split('/')[1]}")
    service = name.removeprefix("user/")
    return bool(names & set(_as_list(principal.get("AWS", [])))) or service in _as_list(principal.get("Service", []))


def is_of_plain_http(statement: dict[str, Any]) -> bool:
    """True if the statement is about requests without TLS. Requests on loopback count as encrypted."""
    return bool(statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false")


def install(log: RequestLog | None) -> None:
    is_permitted = IAMRequestBase.check_action_permitted

    def check_action_permitted(self: Any, resource: str) -> None:
        self._action = ACTIONS.get(self._action, self._action)
        allowed = False
        try:
            is_permitted(self, resource)
            allowed = True
        finally:
            if log:
                log.write(self._access_key.arn, self._action, resource, allowed)

    is_action_permitted = IAMPolicyStatement.is_action_permitted

    def is_permitted_by_tls(self: Any, *arguments: Any, **named: Any) -> PermissionResult:
        if is_of_plain_http(self._statement):
            return PermissionResult.NEUTRAL
        return is_action_permitted(self, *arguments, **named)

    IAMRequestBase.check_action_permitted = check_action_permitted  # type: ignore[method-assign]
    IAMPolicyStatement.is_action_permitted = is_permitted_by_tls  # type: ignore[method-assign]
    IAMPolicyStatement._check_principal = (  # type: ignore[method-assign]
        lambda self, caller: is_principal(self._statement.get("Principal"), caller)
    )
