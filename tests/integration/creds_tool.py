"""Runs build/tests/creds, which prints the credentials that lib/aws finds in an environment."""

import json
import os
import subprocess
from pathlib import Path

TOOL = str(Path(os.environ.get("BUILD", "build")).resolve() / "tests" / "creds")
LATER, NEVER = 1, 2
REGION = "eu-central-1"


def environment(home, **changes):
    """An environment with its own home, without the caller's AWS settings and proxies, and without real instance metadata."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_") and not k.lower().endswith("_proxy")}
    own = {
        "HOME": str(home),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1",
    }
    env = {**kept, **own, **{k: str(v) for k, v in changes.items() if v is not None}}
    for name in [k for k, v in changes.items() if v is None]:
        env.pop(name, None)
    # A relative URI always leads to the real endpoint.
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" not in env
    disabled = env.get("AWS_EC2_METADATA_DISABLED") == "true"
    assert disabled or env["AWS_EC2_METADATA_SERVICE_ENDPOINT"].startswith("http://127.0.0.1:")
    return env


def ask(env, *arguments):
    """The lines that the tool printed, one for each creds_get."""
    done = subprocess.run([TOOL, *map(str, arguments)], stdout=subprocess.PIPE, text=True, timeout=60, env=env)
    assert done.returncode in (0, 1), done
    return [json.loads(line) for line in done.stdout.splitlines()]


def ask_once(env, *arguments):
    (answer,) = ask(env, *arguments)
    return answer


def found(answer, access_key_id, source):
    assert "error" not in answer, answer
    assert (answer["access_key_id"], answer["source"]) == (access_key_id, source), answer
    return answer


def refused(answer, *parts):
    """Expects no credentials, as an outage, with a text that has all parts."""
    assert (answer["result"], answer["error"], answer["outage"]) == (LATER, "no_credentials", True), answer
    for part in parts:
        assert part in answer["text"], answer["text"]
    return answer["text"]
