"""
itemgend's scheduling: which requests wait for others, which programs it starts, and which ones no request can start.

uvx is a script here that records its arguments and makes an item, so that nothing is installed.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pipeline.conftest import Pipeline, wait_until

UVX = r"""#!/bin/sh
printf '%s\037' "$@" '
' >>"DIR/calls" # at once: others write there too
case "$*" in *stactools-fresh*)
    if [ -e "DIR/registry-is-down" ]; then
        echo refused >>"DIR/refused"
        echo "error: Failed to fetch: tcp connect error" >&2; exit 2
    fi;;
esac
case "$*" in *" python -c pass") exit 0;; esac
case "$*" in *wait-for-it*) until [ -e "DIR/go" ]; do sleep 0.1; done;; esac
for last; do :; done
printf '{"type":"Feature","stac_version":"1.0.0","id":"item-%s","collection":"test","geometry":{"type":"Point",
"coordinates":[1,2]},"bbox":[1,2,1,2],"properties":{"datetime":"2021-01-01T00:00:00Z"},"links":[],"assets":{}}' $$ >"$last"
"""


def request(package: str, *args: str, **changes: Any) -> dict[str, Any]:
    return {"package_name": package, "group_name": "group", "create_item_args": list(args)} | changes


class Uvx:
    """Controls the script, and reads its recorded arguments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "uvx"
        self.program.write_text(UVX.replace("DIR", str(folder)))
        self.program.chmod(0o755)

    def set_flag(self, name: str) -> None:
        (self.folder / name).touch()

    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        return [line.split("\x1f")[:-1] for line in path.read_text().split("\n\x1f")[:-1]] if path.exists() else []

    def refused(self) -> int:
        """The number of calls that failed because the registry was down."""
        path = self.folder / "refused"
        return path.read_text().count("\n") if path.exists() else 0


@pytest.fixture
def uvx(tmp_path: Path) -> Uvx:
    return Uvx(tmp_path)


def start(pipeline: Pipeline, uvx: Uvx, **settings: str) -> None:
    own = {"ITEMGEND_RUNNER": "uvx", "ITEMGEND_UVX": str(uvx.program), "ITEMGEND_SANDBOX": "limits", "ITEMGEND_PROBE_INTERVAL": "1s"}
    pipeline.start("itemgend", **own | settings)


def generated(pipeline: Pipeline) -> list[str]:
    """Packages, in the order in which their items were made."""
    return [line["package"] for line in pipeline.log("itemgend", "ITEM_GENERATED")]


def test_requests_that_need_the_registry_wait_and_others_go_on(pipeline: Pipeline, uvx: Uvx) -> None:
    uvx.set_flag("registry-is-down")
    start(pipeline, uvx)  # one worker
    for package in ("stactools-fresh", "stactools-there", "stactools-there"):
        pipeline.publish(pipeline.gen_topic, request(package))
    wait_until("the others are made", lambda: generated(pipeline) == ["stactools-there"] * 2)
    wait_until("it is logged", lambda: pipeline.log("itemgend", "DEPENDENCY_DOWN"))
    wait_until("one message is in flight", lambda: pipeline.counts(pipeline.gen_queue) == (0, 1))
    # Each attempt fails twice: as the command, and once more to find out that uv failed. The registry must not come
    # back between the two.
    refused = uvx.refused()
    wait_until("it is tried again", lambda: uvx.refused() >= refused + 2 and uvx.refused() % 2 == 0)
    (uvx.folder / "registry-is-down").unlink()
    wait_until("it is made", lambda: generated(pipeline) == ["stactools-there", "stactools-there", "stactools-fresh"])
    pipeline.wait_empty(pipeline.gen_queue)
    assert len(pipeline.log("itemgend", "DEPENDENCY_DOWN")) == len(pipeline.log("itemgend", "DEPENDENCY_UP")) == 1
    assert pipeline.log("itemgend", "MESSAGE_LATER") == []
    assert pipeline.counts(pipeline.gen_dlq) == (0, 0)


def test_a_stop_releases_waiting_messages(pipeline: Pipeline, uvx: Uvx) -> None:
    uvx.set_flag("registry-is-down")
    start(pipeline, uvx, ITEMGEND_WORKERS="2", ITEMGEND_VISIBILITY_TIMEOUT="10m")
    for _ in range(5):
        pipeline.publish(pipeline.gen_topic, request("stactools-fresh"))
    # While more than two requests wait, itemgend receives nothing. Each worker may have been about to add one.
    wait_until("some wait", lambda: pipeline.counts(pipeline.gen_queue)[1] >= 3)
    pipeline.stop_all()
    assert pipeline.counts(pipeline.gen_queue) == (5, 0)
    assert len(pipeline.log("itemgend", "MESSAGE_RETURNED")) in (3, 4)


def test_released_messages_are_not_received_again_by_a_stopping_daemon(pipeline: Pipeline, uvx: Uvx) -> None:
    waiting = {"ITEMGEND_WAIT_TIME": "5s", "ITEMGEND_VISIBILITY_TIMEOUT": "10m"}
    start(pipeline, uvx, ITEMGEND_WORKERS="3", ITEMGEND_PACKAGES="stactools-limited concurrency=1", **waiting)
    for _ in range(3):
        pipeline.publish(pipeline.gen_topic, request("stactools-limited", "wait-for-it"))
    wait_until("one item is being made and two messages wait", lambda: pipeline.counts(pipeline.gen_queue) == (0, 3) and uvx.calls())
    os.kill(pipeline.stack.process("itemgend").pid, signal.SIGTERM)
    wait_until("it is stopping", lambda: pipeline.log("itemgend", "DAEMON_STOPPING"))
    uvx.set_flag("go")  # this worker finishes while the two other messages still wait
    wait_until("it has stopped", lambda: pipeline.log("itemgend", "DAEMON_STOPPED"))
    assert [line["receive_count"] for line in pipeline.log("itemgend", "MESSAGE_RETURNED")] == ["1", "1"]
    assert pipeline.counts(pipeline.gen_queue) == (2, 0)


def test_a_command_that_is_too_long_fails_alone(pipeline: Pipeline, uvx: Uvx) -> None:
    start(pipeline, uvx)
    pipeline.publish(pipeline.gen_topic, request("stactools-x", "x" * 140_000))  # Linux's limit for one argument is 128 KiB
    pipeline.publish(pipeline.gen_topic, request("stactools-x"))
    wait_until("the other one is made", lambda: generated(pipeline) == ["stactools-x"])
    assert [letter["error_code"] for letter in pipeline.dead_letters(pipeline.gen_dlq, 1)] == ["bad_command"]


def test_concurrency_of_a_package_is_limited_and_delays_no_other(pipeline: Pipeline, uvx: Uvx) -> None:
    start(pipeline, uvx, ITEMGEND_WORKERS="2", ITEMGEND_PACKAGES="stactools-limited concurrency=1")
    for number in range(3):
        pipeline.publish(pipeline.gen_topic, request("stactools_limited", "wait-for-it", str(number)))
    wait_until("one item is being made and two messages wait", lambda: pipeline.counts(pipeline.gen_queue) == (0, 3) and uvx.calls())
    for _ in range(3):
        pipeline.publish(pipeline.gen_topic, request("stactools-free"))
    wait_until("the others are made", lambda: generated(pipeline) == ["stactools-free"] * 3)
    assert len([call for call in uvx.calls() if "wait-for-it" in call]) == 1
    uvx.set_flag("go")
    wait_until("all are made", lambda: len(generated(pipeline)) == 6)
    pipeline.wait_empty(pipeline.gen_queue)


# No request can choose another program, another package, another command, or an option of one of them.
REFUSED_PACKAGES = [
    "requests", "stactools", "--help", "-stactools-x", "--index-url=http://127.0.0.1:1", "-r/etc/passwd", "@/etc/passwd", ".", "/", "./stactools-x",
    "../stactools-x", "/tmp/stactools-x", "stactools-x/..", "stactools-x.whl", "stactools-x.tar.gz", "file:///tmp/stactools-x",
    "https://127.0.0.1:1/stactools-x.whl", "git+https://127.0.0.1:1/stactools-x", "stactools-x @ file:///tmp/x", "stactools-x@file:///tmp/x",
    "stactools-x,requests", "stactools-x[a],requests", "stactools-x==1,requests", "stactools-x requests", "stactools-x\nrequests", "stactools-x;requests",
    "stactools-x; python_version>'3'", "stactools-x --from requests", "UV_INDEX=http://127.0.0.1:1", "stactools-x=1", "$HOME", "$(id)", "`id`",
    "stactools-x|id", "stactools-x&id", "stactools-x>/tmp/x", "stactools-x#egg=y", "stactools-x[", "stactools-x[]", "stactools-x==", "stactools-\u00e4",
]  # fmt: skip
REFUSED = [request(package) for package in REFUSED_PACKAGES] + [
    request("stactools-x", group_name=name)
    for name in ("--version", "-v", "copy", "create-item", "group create-item", "/bin/sh", "../x", "a=b", "$(id)", "a\nb", "a;id")
] + [
    request("stactools-x", *args)
    for args in (["--help"], ["--"], ["-o"], ["a", "--href-format=x"])
] + [
    request("stactools-x", create_item_options={name: "x"})
    for name in ("", "-a", "--a", "a b", "a=b", "a\nb", "$(id)", "../a", "a;id")
]  # fmt: skip
COMMAND = ["--from", "stactools", "stac", "group", "create-item"]
TAKEN = [
    (request("stactools-x"), ["requests,stactools-x", *COMMAND, "--"]),
    (request("stactools-x[a,b]>=1,<2"), ["requests,stactools-x[a,b]>=1,<2", *COMMAND, "--"]),
    (request("stactools-x", "-5", "$(id)", "a b; id", "`id`", "*", ""), ["requests,stactools-x", *COMMAND, "--", "-5", "$(id)", "a b; id", "`id`", "*", ""]),
    (
        request("stactools-x", "a", create_item_options={"title": "--help", "flag": "", "n": "-5"}),
        ["requests,stactools-x", *COMMAND, "--title=--help", "--flag=", "--n=-5", "--", "a"],
    ),
]


def test_nothing_but_the_intended_command_is_ever_started(pipeline: Pipeline, uvx: Uvx) -> None:
    assert len(REFUSED) >= 60
    start(pipeline, uvx, ITEMGEND_WORKERS="2")
    for body in REFUSED:
        pipeline.publish(pipeline.gen_topic, body)
    for body, _ in TAKEN:
        pipeline.publish(pipeline.gen_topic, body)
    letters = pipeline.dead_letters(pipeline.gen_dlq, len(REFUSED))
    assert {letter["error_code"] for letter in letters} == {"invalid_package", "package_not_allowed", "invalid_request"}
    assert sorted(letter["body"] for letter in letters) == sorted(json.dumps(body) for body in REFUSED)
    wait_until("the others are made", lambda: len(generated(pipeline)) == len(TAKEN))
    assert sorted(uvx.calls()) == sorted(["--with", *words, "item.json"] for _, words in TAKEN)
