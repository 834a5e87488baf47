"""Runs build/tests/http-get, which performs requests with lib/http."""

import json
import os
import subprocess
from pathlib import Path

TOOL = str(Path(os.environ.get("BUILD", "build")).resolve() / "tests" / "http-get")
LATER, NEVER = 1, 2
CA_VARIABLES = ("AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def environment(**changes):
    clean = {k: v for k, v in os.environ.items() if k not in CA_VARIABLES and not k.lower().endswith("_proxy")}
    return {**clean, **changes}


def get(*arguments, env=None, **options):
    """The exchanges that http-get printed."""
    done = subprocess.run(
        [TOOL, *arguments], stdout=subprocess.PIPE, text=True, timeout=30, env=env or environment(), **options
    )
    assert done.returncode == 0, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def get_one(*arguments, **options):
    (exchange,) = get(*arguments, **options)
    return exchange


def refused(exchange, code, result=LATER, outage=False):
    assert (exchange["result"], exchange["code"], exchange["outage"]) == (result, code, outage), exchange
    assert exchange["status"] == 0 and exchange["body_len"] == 0 and exchange["header_len"] == 0, exchange
    assert exchange["text"]


class Rounds:
    """http-get -r: one client, which performs a round for each step()."""

    def __init__(self, *arguments, env=None, **options):
        self.process = subprocess.Popen(
            [TOOL, "-r", "100", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env or environment(),
            **options,
        )
        self.started = False

    def step_one(self):
        return self.step(1)[0]

    def step(self, n):
        """Performs a round and returns its `n` exchanges."""
        if self.started:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        self.started = True
        return [json.loads(self.process.stdout.readline()) for _ in range(n)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
