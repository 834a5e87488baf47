"""Errors of --check-config beyond types and limits."""

import os
import subprocess
from pathlib import Path

import pytest

NEEDED = {
    "ITEMGEND_QUEUE_URL": "https://sqs.eu-central-2.amazonaws.com/123456789012/q",
    "ITEMGEND_LOAD_TOPIC_ARN": "arn:aws:sns:eu-central-2:123456789012:t",
    "ITEMLOADD_QUEUE_URL": "https://sqs.eu-central-2.amazonaws.com/123456789012/q",
    "ITEMGEND_CONSTRAINTS": "etc/constraints.txt",
    "ITEMLOADD_SECRET_ARN": "pgstac",
}


def check(build: Path, daemon: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [build / "bin" / daemon, "--config", f"etc/{daemon}.yaml", "--check-config"]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | NEEDED | environment)


@pytest.mark.parametrize("daemon", ["itemgend", "itemloadd"])
@pytest.mark.parametrize("url", ["q", "ftp://h/1/q", "http://user:secret@h/1/q", "https://h", "https://h/", "https://h/a q"])
def test_queue_url(build: Path, daemon: str, url: str) -> None:
    prefix = daemon.upper()
    for key in ("QUEUE_URL", "DEAD_LETTER_QUEUE_URL"):
        result = check(build, daemon, **{f"{prefix}_{key}": url})
        assert result.returncode == 78 and f"environment {prefix}_{key}: is not a queue URL" in result.stderr
        assert "secret" not in result.stdout + result.stderr
    good = check(build, daemon, **{f"{prefix}_QUEUE_URL": "http://127.0.0.1:4566/123456789012/q"})
    assert good.returncode == 0, good.stderr


def test_errors_name_the_place_that_set_the_value(build: Path, tmp_path: Path) -> None:
    config = tmp_path / "itemloadd.yaml"
    config.write_text("# first\nqueue_url: q\nbackoff_min: 1h\ndb_sslmode: verify\n")
    command = [build / "bin/itemloadd", "--config", config, "--check-config"]
    environment = os.environ | {"ITEMLOADD_SECRET_ARN": "pgstac", "ITEMLOADD_METRICS_NAMESPACE": "AWS/Mine"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stdout) == (78, "")
    assert result.stderr.splitlines() == [
        f'{config}:4: db_sslmode: "verify" is not one of verify-full, verify-ca, require, prefer, allow, disable',
        f"{config}:2: queue_url: is not a queue URL like https://sqs.us-west-2.amazonaws.com/123456789012/NAME",
        'environment ITEMLOADD_METRICS_NAMESPACE: "AWS/Mine" is not a valid CloudWatch namespace for custom metrics',
        f"{config}:3: backoff_min: must not be longer than backoff_max",
    ]
