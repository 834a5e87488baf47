"""What --check-config of the daemons refuses beyond types and limits."""

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
        assert result.returncode == 78 and f"{key.lower()}: is no queue's URL" in result.stderr
        assert "secret" not in result.stdout + result.stderr
    good = check(build, daemon, **{f"{prefix}_QUEUE_URL": "http://127.0.0.1:4566/123456789012/q"})
    assert good.returncode == 0, good.stderr
