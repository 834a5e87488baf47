"""itemgend: from requests on the topic to finished items, and bad requests to dead letters."""

from __future__ import annotations

import json
import os
import signal
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pipeline.conftest import Pipeline, wait_until
from tests.integration.pipeline.probe import make_wheel

GFC_ARGS = [f"https://example.com/Hansen_GFC-2023-v1.11_{layer}_40N_080W.tif" for layer in ("gain", "treecover2000", "lossyear", "datamask")]


def request(behaviour: str, *args: str, **changes: Any) -> dict[str, Any]:
    """A request to the probe package."""
    return {"package_name": "stactools-probe", "group_name": "probe", "create_item_args": [behaviour, *args]} | changes


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests, because an environment depends on the place of its packages."""
    return make_wheel(tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def generating(pipeline: Pipeline, wheels: Path) -> Pipeline:
    """itemgend runs and can install the probe package."""
    pipeline.probe_settings = {"UV_FIND_LINKS": str(wheels), "ITEMGEND_MEMORY_LIMIT": "300MiB", "ITEMGEND_TIME_LIMIT": "20s"}
    pipeline.start("itemgend", **pipeline.probe_settings)
    return pipeline


def generated(pipeline: Pipeline, timeout_s: float = 60) -> dict[str, Any]:
    """Takes the single item on the load queue: {"body", attributes}."""
    messages = wait_until(
        "an item is published",
        lambda: pipeline.sqs.receive_message(QueueUrl=pipeline.load_queue, MessageAttributeNames=["All"]).get("Messages"),
        timeout_s,
    )
    pipeline.sqs.delete_message(QueueUrl=pipeline.load_queue, ReceiptHandle=messages[0]["ReceiptHandle"])
    attributes = {k: v["StringValue"] for k, v in messages[0].get("MessageAttributes", {}).items()}
    return {"body": json.loads(messages[0]["Body"], parse_float=Decimal, parse_int=Decimal)} | attributes


def command_lines() -> list[str]:
    """Those of all processes."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it has just ended
    return lines


def real_requests(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Requests to the two packages from PyPI that need no other data."""
    asset_url = pipeline.stack.env["ASSET_URL"]
    glclu = {
        "package_name": "stactools-glad-glclu2020",
        "group_name": "gladglclu2020",
        "create_item_args": [f"{asset_url}/v2/2000/50N_090W.tif"],
        "create_item_options": {"href-format": f"{asset_url}/v2/{{year}}/{{loc}}.tif"},
    }
    gfc = {
        "package_name": "stactools-glad-global-forest-change==0.1.2",
        "group_name": "gladglobalforestchange",
        "create_item_args": GFC_ARGS,
        "collection_id": "elsewhere",
    }
    return [glclu, gfc]


def test_both_real_packages_into_the_catalog(pipeline: Pipeline) -> None:
    for collection in ("glad-glclu2020-v2", "elsewhere"):
        pipeline.add_collection(collection)
    pipeline.start("itemgend", ITEMGEND_WORKERS="2")
    pipeline.start("itemloadd")
    for body in real_requests(pipeline):
        pipeline.publish(pipeline.gen_topic, body)
    wait_until("both are in the catalog", lambda: pipeline.ids("glad-glclu2020-v2") and pipeline.ids("elsewhere"), 180)
    assert pipeline.ids("glad-glclu2020-v2") == ["2000_50N_090W"]
    assert pipeline.content("2000_50N_090W", "glad-glclu2020-v2")["bbox"] == [-90, 40, -80, 50]
    pipeline.wait_empty(pipeline.gen_queue)
    pipeline.wait_empty(pipeline.load_queue)
    found = pipeline.query("SELECT search('{\"collections\": [\"elsewhere\"]}')")[0][0]["features"]
    assert [feature["collection"] for feature in found] == ["elsewhere"]


def test_both_runners_make_the_same_bytes(pipeline: Pipeline) -> None:
    made: dict[str, list[str]] = {}
    for runner in ("warm", "uvx"):
        pipeline.start("itemgend", ITEMGEND_RUNNER=runner, ITEMGEND_WORKERS="2")
        for body in real_requests(pipeline):
            pipeline.publish(pipeline.gen_topic, body)
        made[runner] = sorted(load_messages(pipeline, 2))
        pipeline.stop_all()
    assert made["warm"] == made["uvx"]
    assert len(pipeline.log("itemgend", "SERVER_STARTED")) == 2  # only of the first run


def load_messages(pipeline: Pipeline, count: int) -> list[str]:
    """Takes so many items from the load queue, as raw text."""
    bodies: list[str] = []

    def take() -> bool:
        answer = pipeline.sqs.receive_message(QueueUrl=pipeline.load_queue, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            bodies.append(message["Body"])
            pipeline.sqs.delete_message(QueueUrl=pipeline.load_queue, ReceiptHandle=message["ReceiptHandle"])
        return len(bodies) >= count

    wait_until(f"{count} items are published", take, 180)
    return bodies


BAD = {
    "no JSON": ("{", "invalid_json", "line 1"),
    "a list": ([], "invalid_request", "an array"),
    "nothing": ({}, "invalid_request", "package_name is missing; group_name is missing; create_item_args is missing"),
    "ill-typed": (request("ok") | {"create_item_args": "x"}, "invalid_request", "create_item_args is not a list"),
    "ill-typed argument": (request("ok") | {"create_item_args": [1]}, "invalid_request", "create_item_args"),
    "ill-typed option": (request("ok", create_item_options={"title": 1}), "invalid_request", "create_item_options"),
    "option as argument": (request("ok") | {"create_item_args": ["--help"]}, "invalid_request", "create_item_options"),
    "option with blank": (request("ok", create_item_options={"title x": "y"}), "invalid_request", "create_item_options"),
    "a command of stac": (request("ok", group_name="copy"), "invalid_request", "group_name is a command of stac"),
    "group as option": (request("ok", group_name="--version"), "invalid_request", "group_name"),
    "path": (request("ok", package_name="./stactools-probe"), "invalid_package", "plain requirement"),
    "URL": (request("ok", package_name="stactools-probe @ https://example.com/x.whl"), "invalid_package", "plain requirement"),
    "two packages": (request("ok", package_name="stactools-probe,requests"), "invalid_package", "plain requirement"),
    "option as package": (request("ok", package_name="--help"), "invalid_package", "plain requirement"),
    "archive": (request("ok", package_name="stactools-probe.zip"), "invalid_package", "plain requirement"),
    "not allowed": (request("ok", package_name="requests"), "package_not_allowed", "requests"),
    "no such package": (request("ok", package_name="stactools-this-is-not-there"), "unresolvable", "stactools-this-is-not-there"),
    "no such version": (request("ok", package_name="stactools-probe==9"), "unresolvable", "stactools-probe==9"),
    "no such group": (request("ok", group_name="nothere"), "bad_command", "nothere"),
    "no such option": (request("ok", create_item_options={"nothere": "x"}), "bad_command", "--nothere"),
    "no item": (request("nothing"), "no_item", "wrote no item"),
    "no JSON item": (request("text"), "invalid_json", "the file that create-item wrote"),
    "no STAC item": (request("incomplete"), "invalid_item", "geometry is missing; properties is missing; links is missing; assets is missing"),
    "no collection": (request("homeless"), "no_collection", "collection_id"),
    "a link as item": (request("symlink"), "no_item", "no item"),
    "too large": (request("large"), "item_too_large", "message of SNS"),
    "too much memory": (request("memory"), "out_of_memory", "memory"),
}


def test_requests_that_cannot_succeed(generating: Pipeline) -> None:
    """Each bad request is dead-lettered at its first receive, unchanged, with its reason. The good one after them is made."""
    for body, _, _ in BAD.values():
        generating.publish(generating.gen_topic, body)
    generating.publish(generating.gen_topic, request("ok", "after-them"))
    letters = generating.dead_letters(generating.gen_dlq, len(BAD), timeout_s=240)
    by_body = {letter["body"]: letter for letter in letters}
    for name, (body, code, words) in BAD.items():
        letter = by_body[body if isinstance(body, str) else json.dumps(body)]
        assert letter["error_code"] == code, (name, letter)
        assert words in letter["error"], (name, letter)
        assert letter["receive_count"] == "1"
    assert generated(generating)["body"]["id"] == "after-them"
    generating.wait_empty(generating.gen_queue)


def resident_mib(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) // 1024


def test_a_large_item_leaves_no_memory_behind(generating: Pipeline, build: Path) -> None:
    if build.name == "san":
        pytest.skip("AddressSanitizer keeps what was freed")
    generating.publish(generating.gen_topic, request("numbers"))
    (letter,) = generating.dead_letters(generating.gen_dlq, 1)
    assert letter["error_code"] == "item_too_large"
    assert resident_mib(generating.stack.process("itemgend").pid) < 60


@pytest.mark.long
def test_only_so_many_servers_stay_idle(generating: Pipeline) -> None:
    """With one worker: five."""
    packages = [f"stactools-probe>=0.{number}" for number in range(7)]
    for package in packages:
        generating.publish(generating.gen_topic, request("ok", package, package_name=package))
        wait_until("it is made", lambda name=package: name in [line["item_id"] for line in generating.log("itemgend", "ITEM_GENERATED")])
    ended = wait_until("two are ended", lambda: (lines := generating.log("itemgend", "SERVER_ENDED")) and len(lines) == 2 and lines)
    assert [line["package"] for line in ended] == packages[:2]


def test_failures_that_may_pass_are_tried_to_the_last_attempt(generating: Pipeline) -> None:
    generating.publish(generating.gen_topic, request("exit", "3"))
    (letter,) = generating.dead_letters(generating.gen_dlq, 1, timeout_s=120)
    assert (letter["error_code"], letter["receive_count"]) == ("create_item_failed", "5")
    assert "exit code 3" in letter["error"] and "the reason, on stderr" in letter["error"]
    assert len(generating.log("itemgend", "MESSAGE_LATER")) == 4


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        (("raise",), "create_item_failed", "RuntimeError: the file is broken"),
        (("sleep", "60"), "time_limit", "20 s"),
        (("print",), "create_item_failed", "exit code 1"),
        # A package prints uv's messages: the registry and the environment are fine.
        (("exit", "1", "error: Failed to fetch the scene: operation timed out"), "create_item_failed", "exit code 1: "),
        (("exit", "2", "error: the scene has no bands"), "create_item_failed", "exit code 2: "),
        (("exit", "1", "No solution found when resolving the orbit"), "create_item_failed", "exit code 1: "),
    ],
)
def test_what_is_told_of_a_failure(generating: Pipeline, behaviour: tuple[str, ...], code: str, words: str) -> None:
    generating.publish(generating.gen_topic, request(*behaviour))
    later = wait_until("it is put off", lambda: generating.log("itemgend", "MESSAGE_LATER"))
    assert later[0]["error_code"] == code and words in later[0]["message"]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"UV_DEFAULT_INDEX": "http://127.0.0.1:1/simple", "UV_HTTP_RETRIES": "0", "ITEMGEND_CACHE_DIR": "TMP/cache"}, "registry_unavailable"),
        ({"ITEMGEND_UV": "/nonexistent/uv", "ITEMGEND_CACHE_DIR": "TMP/cache"}, "cannot_run"),
        ({"ITEMGEND_UVX": "/nonexistent/uvx", "ITEMGEND_RUNNER": "uvx"}, "cannot_run"),
        ({"ITEMGEND_PYTHON": "/nonexistent/python", "ITEMGEND_CACHE_DIR": "TMP/cache"}, "no_environment"),
        ({"ITEMGEND_WORK_DIR": "/proc/nonexistent"}, "work_dir_unusable"),
    ],
)
def test_what_every_request_would_meet_costs_none(generating: Pipeline, tmp_path: Path, settings: dict[str, str], code: str) -> None:
    settings = {name: value.replace("TMP", str(tmp_path)) for name, value in settings.items()}
    generating.stop_all()
    generating.start("itemgend", **generating.probe_settings | settings)
    generating.publish(generating.gen_topic, request("ok", "the-one"))
    logged = wait_until("it is logged", lambda: generating.log("itemgend", "DEPENDENCY_DOWN"))
    assert logged[0]["error_code"] == code
    generating.stop_all()
    generating.start("itemgend", **generating.probe_settings)
    assert generated(generating)["body"]["id"] == "the-one"
    assert generating.counts(generating.gen_dlq) == (0, 0)


def test_package_code_sees_no_credentials(generating: Pipeline) -> None:
    generating.publish(generating.gen_topic, request("environment"))
    properties = generated(generating)["body"]["properties"]
    environ = properties["environ"]
    assert not [name for name in environ if name.startswith(("AWS_", "ITEMGEND_", "PG"))]
    for secret in (generating.stack.env["AWS_SECRET_ACCESS_KEY"], generating.stack.env["PGPASSWORD"]):
        assert secret not in json.dumps(environ)
    assert environ["HOME"] == properties["cwd"] != os.getcwd()
    ours = {"0", "1", "2"}
    assert {properties["descriptors"].pop(name).split(":")[0] for name in ours} == {"/dev/null", "pipe"}
    assert [target for target in properties["descriptors"].values() if target.startswith(("socket", "pipe", "anon_inode"))] == []
    (place,) = (Path(generating.stack.directory) / "work").glob("run-*/*")
    assert list(place.iterdir()) == []


def test_what_is_configured_for_packages(generating: Pipeline) -> None:
    """Packages get credentials of their role only, their items have provenance, and they have their own limits."""
    stack = generating.stack
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = stack.account.client("iam").create_role(RoleName="packages", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    settings = {
        "ITEMGEND_PACKAGE_ROLE_ARN": role,
        "ITEMGEND_PROVENANCE": "true",
        "ITEMGEND_PACKAGES": "stactools-probe process_limit=100 output_limit=2MiB",
    }
    generating.stop_all()
    generating.start("itemgend", **generating.probe_settings | settings)
    generating.publish(generating.gen_topic, request("environment"))
    item = generated(generating)["body"]
    environ = item["properties"]["environ"]
    names = ["AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
    assert sorted(name for name in environ if name.startswith("AWS_")) == names
    assert stack.env["AWS_SECRET_ACCESS_KEY"] not in json.dumps(environ)
    parts = {name.lower(): environ[name] for name in names if "REGION" not in name}
    assert stack.account.client("sts", **parts).get_caller_identity()["Arn"].endswith(":assumed-role/packages/itemgend")
    assert item["properties"]["processing:software"] == {"stactools-probe": "1.0"}
    assert item["stac_extensions"] == ["https://stac-extensions.github.io/processing/v1.2.0/schema.json"]
    generating.publish(generating.gen_topic, request("print"))
    (letter,) = generating.dead_letters(generating.gen_dlq, 1)
    assert letter["error_code"] == "output_limit" and "(2048 KiB)" in letter["error"]


def test_arguments_options_collection_and_digits(generating: Pipeline) -> None:
    generating.publish(
        generating.gen_topic,
        request("ok", "a b", "$(id)", "*", "the-id", create_item_options={"title": "--x 'y'"}, collection_id="other", unknown=1),
        published_at=1234,
    )
    item = generated(generating)
    assert item["published_at"] == "1234"
    assert item["body"]["collection"] == "other" and item["body"]["id"] == "the-id"
    assert item["body"]["properties"]["args"] == ["a b", "$(id)", "*", "the-id"]
    assert item["body"]["properties"]["title"] == "--x 'y'"
    assert any("unknown" in line["message"] for line in generating.log("itemgend", "WARNING"))
    generating.publish(generating.gen_topic, request("digits"))
    assert [str(number) for number in generated(generating)["body"]["properties"]["args"]] == ["1.10", "12345678901234567890"]


def test_an_item_too_large_for_a_message_goes_through_a_bucket(generating: Pipeline) -> None:
    generating.stop_all()
    generating.s3.create_bucket(Bucket="overflow", CreateBucketConfiguration={"LocationConstraint": generating.stack.env["AWS_REGION"]})
    generating.start("itemgend", **generating.probe_settings | {"ITEMGEND_OVERFLOW_BUCKET": "overflow"})
    generating.start("itemloadd", ITEMLOADD_S3_BUCKETS="overflow")
    generating.publish(generating.gen_topic, request("large"), published_at=1234)
    wait_until("it is in the catalog", generating.ids)
    assert len(generating.content("probe")["properties"]["padding"]) == 400000
    assert generating.query("SELECT private->>'published_at' FROM items") == [("1234",)]
    (found,) = generating.s3.list_objects_v2(Bucket="overflow")["Contents"]
    assert found["Key"] == "test/probe/1234.json"


def test_nothing_outlives_an_item(generating: Pipeline) -> None:
    generating.publish(generating.gen_topic, request("children"))
    generated(generating)
    assert [line for line in command_lines() if "create-item children" in line] == []


def test_longer_than_the_visibility_timeout_runs_once(generating: Pipeline) -> None:
    generating.publish(generating.gen_topic, request("sleep", "10", "slow"))  # the visibility timeout is 4 s
    assert generated(generating)["body"]["id"] == "slow"
    generating.wait_empty(generating.gen_queue)
    assert len(generating.log("itemgend", "ITEM_GENERATED")) == 1


def test_killed_in_the_middle(generating: Pipeline) -> None:
    generating.start("itemloadd")
    for number in range(6):
        generating.publish(generating.gen_topic, request("sleep", "1", f"item-{number}"))
    for made in (1, 3):
        wait_until(f"{made} are made", lambda: len(generating.log("itemgend", "ITEM_GENERATED")) >= made)
        time.sleep(0.5)
        generating.stack.stop_daemon("itemgend", signal.SIGKILL)
        generating.start("itemgend", **generating.probe_settings)
    expected = [f"item-{number}" for number in range(6)]
    wait_until("all are in the catalog", lambda: generating.ids() == expected, timeout_s=120)
    generating.wait_empty(generating.gen_queue, timeout_s=120)
    assert generating.counts(generating.gen_dlq) == (0, 0)
    assert generating.query("SELECT count(*) FROM items") == [(6,)]


def test_a_stop_lets_the_item_finish(generating: Pipeline) -> None:
    generating.publish(generating.gen_topic, request("sleep", "5", "finished"))
    wait_until("it is at work", lambda: generating.counts(generating.gen_queue) == (0, 1))
    time.sleep(2)
    generating.stack.stop_daemon("itemgend", signal.SIGTERM)
    assert generating.counts(generating.gen_queue) == (0, 0)
    assert generated(generating)["body"]["id"] == "finished"


def test_a_stop_that_cannot_wait_hands_back(generating: Pipeline) -> None:
    generating.stack.stop_daemon("itemgend", signal.SIGTERM)
    generating.start("itemgend", **generating.probe_settings | {"ITEMGEND_STOP_TIMEOUT": "1s", "ITEMGEND_VISIBILITY_TIMEOUT": "10m"})
    generating.publish(generating.gen_topic, request("sleep", "15", "unfinished"))
    wait_until("it is at work", lambda: generating.counts(generating.gen_queue) == (0, 1))
    time.sleep(2)
    began = time.monotonic()
    generating.stack.stop_daemon("itemgend", signal.SIGTERM)
    assert time.monotonic() - began < 10
    assert generating.counts(generating.gen_queue) == (1, 0)
    assert generating.log("itemgend", "MESSAGE_RETURNED")
