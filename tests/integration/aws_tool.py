"""Runs build/tests/aws, which performs operations of lib/aws and lib/sqs, one JSON line each."""

import json
import os
import select
import subprocess
from pathlib import Path
from typing import Any

TOOL = str(Path(os.environ.get("BUILD", "build")).resolve() / "tests" / "aws")
LATER, NEVER = 1, 2
ANSWER_TIMEOUT_S = 60


def environment(endpoint: str | None, key: str, secret: str, **more: str) -> dict[str, str]:
    """An environment without the caller's AWS settings and proxies, and without instance metadata."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") and not k.lower().endswith("_proxy")}
    aws = {
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent/config",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent/credentials",
    }
    if endpoint:
        aws["AWS_ENDPOINT_URL"] = endpoint
    return {**kept, **aws, **more}


class Tool:
    """One process, which keeps connections, retry quota and clock offset between operations."""

    def __init__(self, env: dict[str, str], stop_after_ms: int | None = None) -> None:
        arguments = [] if stop_after_ms is None else [str(stop_after_ms)]
        self.process = subprocess.Popen(
            [TOOL, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )

    def __call__(self, op: str, **arguments: Any) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        self.process.stdin.flush()
        answers, _, _ = select.select([self.process.stdout], [], [], ANSWER_TIMEOUT_S)
        assert answers, f"no answer to {op}"
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def close(self) -> None:
        _, errors = self.process.communicate(timeout=30)
        assert self.process.returncode == 0 and errors == "", errors

    def __enter__(self) -> "Tool":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.process.kill()
            self.process.communicate()


def has_failed(outcome: dict[str, Any], result: int, code: str, outage: bool = False) -> bool:
    assert (outcome["result"], outcome["code"], outcome["outage"]) == (result, code, outage), outcome
    return True


def attribute(name: str, value: str, kind: str = "String") -> dict[str, str]:
    return {"name": name, "type": kind, "value": value}
