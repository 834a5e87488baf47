"""package_role_arn: the credentials of package code, by build/tests/package-role, with a scripted STS and then the stack's."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_tool import environment
from credential_server import SECRET, TOKEN, CredentialServer, sts_error, sts_keys

from local.stack import Stack

TOOL = Path(os.environ.get("BUILD", "build")).resolve() / "tests" / "package-role"
ROLE = "arn:aws:iam::123456789012:role/reader"
LATER = 1


@pytest.fixture
def server() -> Iterator[CredentialServer]:
    server = CredentialServer()
    yield server
    server.end()


def ask(url: str, key: str = "OWN", secret: str = "own-secret", role: str = ROLE, time_limit_s: int = 120, times: int = 1, threads: int = 1) -> list[Any]:
    """The variables, or the error."""
    arguments = [str(TOOL), role, str(time_limit_s * 1000), str(times), str(threads)]
    done = subprocess.run(arguments, env=environment(url, key, secret), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert "own-secret" not in done.stdout
    return [dict(pair.split("=", 1) for pair in answer) if isinstance(answer, list) else answer for answer in answers]


def test_variables(server: CredentialServer) -> None:
    server.steps(sts_keys("ROLE"))
    expected = {
        "AWS_ACCESS_KEY_ID": "ROLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    assert ask(server.url, times=5) == [expected] * 5
    (request,) = server.requests
    assert request.signer == "OWN"
    assert request.form == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "itemgend",
        "DurationSeconds": "3600",
    }


def test_no_role_no_variables(server: CredentialServer) -> None:
    assert ask(server.url, role="") == [{}]
    assert server.requests == []


def test_one_thread_asks_and_the_others_wait(server: CredentialServer) -> None:
    server.steps(sts_keys("ROLE"))
    answers = ask(server.url, threads=16, times=3)
    assert [answer["AWS_ACCESS_KEY_ID"] for answer in answers] == ["ROLE"] * 48
    assert len(server.requests) == 1


def test_they_outlive_the_time_limit(server: CredentialServer) -> None:
    server.steps(sts_keys("ROLE", minutes=120))
    ask(server.url, time_limit_s=3600)
    assert server.requests[0].form["DurationSeconds"] == str(3600 + 60 + 20 * 60)
    server.steps(sts_keys("SHORT", minutes=60))
    (answer,) = ask(server.url, time_limit_s=3600)
    assert (answer["result"], answer["outage"], answer["error"]) == (LATER, True, "package_role_unavailable")
    assert "they must last longer" in answer["text"]


@pytest.mark.parametrize(("code", "message"), [("AccessDenied", "User: x is not authorized to perform: sts:AssumeRole"), ("ValidationError", "too long")])
def test_what_sts_says_is_told(server: CredentialServer, code: str, message: str) -> None:
    server.steps(sts_error(code, message))
    (answer,) = ask(server.url)
    assert (answer["result"], answer["outage"], answer["error"]) == (LATER, True, "package_role_unavailable")
    assert f"{code}: {message}" in answer["text"] and ROLE in answer["text"]
    server.steps(sts_error(code, message), sts_keys("ROLE"))
    assert ask(server.url, times=2)[1]["AWS_ACCESS_KEY_ID"] == "ROLE"


def test_an_sts_that_cannot_be_reached(server: CredentialServer) -> None:
    server.end()
    (answer,) = ask(server.url)
    assert (answer["result"], answer["outage"], answer["error"]) == (LATER, True, "package_role_unavailable")


def test_a_real_role_and_its_identity(stack: Stack) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    iam, account = stack.account.client("iam"), stack.account
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="package-reader", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    (variables,) = ask(account.url, account.access_key_id, account.secret_access_key, role)
    client = account.client(
        "sts",
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=variables["AWS_SESSION_TOKEN"],
    )
    assert client.get_caller_identity()["Arn"].endswith(":assumed-role/package-reader/itemgend")
