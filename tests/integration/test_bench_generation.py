"""`make bench BENCH=generation` with its smallest sizes, and the script that stands for the original in it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import generation, handler, makers, queues, report
from bench.contest import envelope
from local import environment

ROOT = Path(__file__).resolve().parents[2]
BUILD = os.environ.get("BUILD", "build")
WARM = {"label", "items", "rate", "rate_min", "rate_max", "ratio", "cpu_ms", "own_cpu_ms", "core_busy", "peak_mib"}
DAEMON_MIB = 24  # most messages that itemgend itself may have in flight
needs_queue = pytest.mark.skipif(bool(queues.fauxqs_problem()), reason="npm is not installed, which the fast local queue needs")


def run(case: str, folder: Path) -> dict[str, Any]:
    """Runs one case. Returns its results, after checking that they are printed as they are written."""
    env = environment.for_tools() | {"BENCH": case, "BENCH_REQUESTS": "2", "BENCH_REPEAT": "1", "BENCH_FSYNC": "0"}
    command = [sys.executable, "-m", "bench", "--programs", BUILD, "--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((folder / "results.json").read_text())
    assert report.text(results) in done.stdout
    found: dict[str, Any] = results["cases"][0]
    return found


@needs_queue
def test_both_make_every_item(tmp_path: Path) -> None:
    found = run("generation_gfc", tmp_path)
    rows = {row["label"]: row for row in found["rows"]}
    assert list(rows) == [contender.label for contender in generation.CONTENDERS]
    for label, row in rows.items():
        assert WARM <= set(row)
        assert row["items"] == (1 if "uvx" in label or "original" in label else 2)
        assert row["rate_min"] == row["rate"] == row["rate_max"] > 0
        assert row["cpu_ms"] >= row["own_cpu_ms"]
        assert row["ratio"] == pytest.approx(rows[generation.OURS.label]["rate"] / row["rate"])
        if label.startswith("ours") and BUILD == "build":
            assert 0 < row["resident_mib"] <= row["peak_mib"] < DAEMON_MIB
    assert found["in_force"].startswith("sandbox: ")
    assert found["in_force"] in found["notes"][0] and "times the original's rate" in found["notes"][0]


@needs_queue
@pytest.mark.skipif(not os.environ.get("LONG"), reason="a long test: LONG=1 runs it")
def test_both_make_a_first_item(tmp_path: Path) -> None:
    found = run("generation_cold", tmp_path)
    assert len(found["rows"]) == len(makers.PACKAGES) * len(generation.STATES) * len(generation.STARTERS)
    for row in found["rows"]:
        assert 0 < row["seconds"] <= row["seconds_max"]
    ratios = [row["ratio"] for row in found["rows"] if row["label"].endswith(generation.STARTERS[1].label)]
    assert f"{min(ratios):.2f} to {max(ratios):.2f} times as long" in found["notes"][0]
    assert not list((tmp_path / "stack").glob("caches.*"))


class Topic:
    """Replaces boto3's client."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []

    def publish(self, TopicArn: str, Message: str) -> None:
        assert TopicArn == "arn"
        self.published.append(json.loads(Message))


UVX = """#!/bin/sh
echo "$@" >>"$WORDS"
case $* in *bad*) exit 1 ;; esac
for last; do :; done
echo '{"type": "Feature", "collection": "own"}' >"$last"
"""


def test_the_handler_makes_one_item_after_another_and_reports_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "uvx").write_text(UVX)
    (tmp_path / "uvx").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("WORDS", str(tmp_path / "words"))
    base = {"package_name": "p==1", "group_name": "g", "create_item_args": ["a", "b"]}
    requests = [base, base | {"group_name": "bad"}, base | {"collection_id": "c", "create_item_options": {"o": "v"}}]
    records = [{"messageId": str(i), "body": envelope(request)} for i, request in enumerate(requests)]
    topic = Topic()
    assert handler.handle({"Records": records}, topic, "arn") == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert [item["collection"] for item in topic.published] == ["own", "c"]
    start = "--with requests,p==1 --from stactools stac"
    assert (tmp_path / "words").read_text().splitlines() == [
        f"{start} g create-item a b item.json",
        f"{start} bad create-item a b item.json",
        f"{start} g create-item a b --o v item.json",
    ]
    assert "exited with 1" in capsys.readouterr().err


def test_requests_name_the_served_files() -> None:
    made = makers.glclu_requests(30, "http://127.0.0.1:9")
    assert len({request["create_item_args"][0] for request in made}) == 12
    assert all(request["create_item_args"][0].startswith("http://127.0.0.1:9/v2/") for request in made)
