"""Requests that try to run anything other than create-item of the package with these arguments: none succeeds."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pipeline.conftest import Pipeline, wait_until
from tests.integration.pipeline.probe import NAME, make_wheel

# MARK: a file that does not exist, and must not be made.
SHELL = ["$(touch MARK)", "`touch MARK`", "; touch MARK", "| touch MARK", "&& touch MARK", "> MARK", "\ntouch MARK\n", "'; touch MARK; '", '"$(touch MARK)"']

PACKAGES = [  # refused: code
    *((f"{NAME}{text}", "invalid_package") for text in SHELL),
    (f"./{NAME}", "invalid_package"),
    (f"../{NAME}", "invalid_package"),
    (f"/tmp/{NAME}", "invalid_package"),
    (f"file:///tmp/{NAME}", "invalid_package"),
    (f"git+https://127.0.0.1:1/{NAME}", "invalid_package"),
    (f"{NAME} @ https://127.0.0.1:1/x.whl", "invalid_package"),
    (f"{NAME}@https://127.0.0.1:1/x.whl", "invalid_package"),
    (f"{NAME}.zip", "invalid_package"),
    (f"{NAME}-1.0-py3-none-any.whl", "invalid_package"),
    (f"{NAME},requests", "invalid_package"),
    (f"{NAME} requests", "invalid_package"),
    (f"{NAME}\nrequests", "invalid_package"),
    (f"{NAME}; python_version > '3'", "invalid_package"),
    (f"{NAME}[x", "invalid_package"),
    (f"{NAME}==1.0 --index-url=http://127.0.0.1:1", "invalid_package"),
    (f"{NAME}==1.0;touch", "invalid_package"),
    (f"-r{NAME}", "invalid_package"),
    ("--index-url=http://127.0.0.1:1", "invalid_package"),
    ("-e.", "invalid_package"),
    ("--", "invalid_package"),
    (f"{NAME}\u00e9", "invalid_package"),
    ("requests", "package_not_allowed"),
    ("xstactools-probe", "package_not_allowed"),
]
GROUPS = [  # refused: code
    *((f"probe{text}", "invalid_request") for text in SHELL),
    ("--help", "invalid_request"),
    ("-v", "invalid_request"),
    ("probe create-item", "invalid_request"),
    ("probe\n", "invalid_request"),
    ("../probe", "invalid_request"),
    ("copy", "invalid_request"),
    ("validate", "invalid_request"),
    ("create-item", "invalid_request"),
    ("os.system", "bad_command"),
    ("nothere", "bad_command"),
]
REFUSED_ARGUMENTS = ["--help", "--title=x", "-h", "--", "--version", "-c"]
ARGUMENTS = [*SHELL, "-1", "-0.5", "@/etc/passwd", "~", "*", "?", "{a,b}", "%s%n", "../../MARK", "a=b", "a\tb", "\\", "\u00e9\u4e2d", "x" * 50000, "item.json"]
OPTIONS = [  # name, value, code; "": the item is made, and the package sees the value
    *(("title", text, "") for text in SHELL),
    ("title", "--help", ""),
    ("title", "-", ""),
    ("title", "--", ""),
    ("title", "", ""),
    ("title", "a=b", ""),
    ("title", "@/etc/passwd", ""),
    ("help", "x", "bad_command"),
    ("verbose", "x", "bad_command"),
    ("titel", "x", "bad_command"),
    ("title=x", "y", "invalid_request"),
    ("-c", "touch MARK", "invalid_request"),
    ("--title", "x", "invalid_request"),
    ("title x", "y", "invalid_request"),
    ("", "x", "invalid_request"),
    ("title\n--help", "x", "invalid_request"),
]


def request(name: str, arguments: list[str], **changes: Any) -> dict[str, Any]:
    """A valid request to the probe package, with these changes; `name` is the name of its item."""
    return {"package_name": NAME, "group_name": "probe", "create_item_args": ["ok", *arguments, name]} | changes


def cases(mark: Path) -> dict[str, tuple[dict[str, Any], str, Any]]:
    """By name: the request, and the error code, or "" and the content of the item."""

    def marked(text: str) -> str:
        return text.replace("MARK", str(mark))

    found: dict[str, tuple[dict[str, Any], str, Any]] = {}
    for number, (package, code) in enumerate(PACKAGES):
        found[f"package-{number}"] = (request(f"package-{number}", [], package_name=marked(package)), code, None)
    for number, (group, code) in enumerate(GROUPS):
        found[f"group-{number}"] = (request(f"group-{number}", [], group_name=marked(group)), code, None)
    for number, argument in enumerate(REFUSED_ARGUMENTS):
        found[f"refused-{number}"] = (request(f"refused-{number}", [marked(argument)]), "invalid_request", None)
    for number, argument in enumerate(ARGUMENTS):
        name = f"argument-{number}"
        found[name] = (request(name, [marked(argument)]), "", {"args": [marked(argument), name], "title": None})
    for number, (option, value, code) in enumerate(OPTIONS):
        name = f"option-{number}"
        options = {marked(option): marked(value)}
        found[name] = (request(name, [], create_item_options=options), code, {"args": [name], "title": marked(value)})
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="injection-test."))
    yield made
    shutil.rmtree(made)


def start(pipeline: Pipeline, folder: Path) -> None:
    """A uv that records its arguments."""
    settings = pipeline.stack._daemon_env()
    for name in ("uv", "uvx"):
        recorder = folder / name
        real = settings[f"ITEMGEND_{name.upper()}"]
        recorder.write_text(f'#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done >>{folder}/words\nexec {real} "$@"\n')
        recorder.chmod(0o755)
    wheels = make_wheel(folder / "wheels")
    pipeline.start("itemgend", UV_FIND_LINKS=str(wheels), ITEMGEND_UV=str(folder / "uv"), ITEMGEND_UVX=str(folder / "uvx"))


def collect(pipeline: Pipeline, answers: dict[str, tuple[str, Any]]) -> int:
    """Adds the answers so far, by the name of the request."""
    for queue in (pipeline.load_queue, pipeline.gen_dlq):
        for message in pipeline.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get("Messages", []):
            pipeline.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            body = json.loads(message["Body"])
            if "properties" in body:
                answers[body["id"]] = ("", body["properties"])
            else:
                answers[body["create_item_args"][-1]] = (message["MessageAttributes"]["error_code"]["StringValue"], None)
    return len(answers)


def test_nothing_else_is_run(pipeline: Pipeline, folder: Path) -> None:
    mark = folder / "mark"
    every = cases(mark)
    start(pipeline, folder)
    for body, _, _ in every.values():
        pipeline.sqs.send_message(QueueUrl=pipeline.gen_queue, MessageBody=json.dumps(body))
    answers: dict[str, tuple[str, Any]] = {}
    wait_until("all are answered", lambda: collect(pipeline, answers) == len(every), 240)
    wrong = []
    for name, (body, code, expected) in every.items():
        got, properties = answers[name]
        same = got == code and (code != "" or {key: properties[key] for key in expected} == expected)
        if not same:
            wrong.append(f"{name}: {str(body)[:300]}: {got or str(properties)[:300]}")
    assert not wrong, "\n".join(wrong)
    assert not mark.exists() and not list(folder.glob("*touch*"))
    words = (folder / "words").read_text().splitlines() if (folder / "words").exists() else []
    assert {word for word in words if NAME in word and os.sep not in word} <= {NAME, f"requests,{NAME}"}
    assert not [word for word in words if "127.0.0.1:1" in word or "touch" in word]
