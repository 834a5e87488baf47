"""Fixtures of the credentials tests: a home, a server, and no access to the real services."""

import os
import socket
import time

import pytest
from creds_tool import environment
from credential_server import SECRET, TOKEN, Answer, CredentialServer

SECRET_PATH = "/v2/credentials/7c1e5a2b"
ROLE = "arn:aws:iam::123456789012:role/loader"


@pytest.fixture
def server():
    server = CredentialServer()
    yield server
    server.end()


@pytest.fixture(autouse=True)
def no_real_metadata(monkeypatch):
    """Processes that a test starts itself must not find the real services either."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def aws(tmp_path):
    """The tool's environment with a config and a credentials file of the given texts."""

    def make(config="", credentials="", **changes):
        folder = tmp_path / ".aws"
        folder.mkdir(exist_ok=True)
        (folder / "config").write_text(config)
        (folder / "credentials").write_text(credentials)
        return environment(tmp_path, **changes)

    return make


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def seconds_left(answer):
    return answer["expires_at_ms"] / 1000 - time.time()


def no_secret(text):
    for secret in (SECRET, TOKEN, SECRET_PATH):
        assert secret not in text, text


def imds_of(*keys_steps, role="my-role"):
    return [Answer(body="imds-token"), Answer(body=role), *keys_steps]


def with_imds(aws, url, **changes):
    return aws(AWS_EC2_METADATA_DISABLED=None, AWS_EC2_METADATA_SERVICE_ENDPOINT=url, **changes)
