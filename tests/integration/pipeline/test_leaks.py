"""Both daemons run under valgrind, from start to stop: they must not leak or access invalid memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.pipeline.conftest import Pipeline, item, wait_until
from tests.integration.pipeline.probe import make_wheel

# A forked child that runs no other program exits without freeing memory that its parent goes on using.
VALGRIND = "valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect,possible --child-silent-after-fork=yes --log-file={log}"


@pytest.fixture
def watched(pipeline: Pipeline, tmp_path: Path, build: Path):
    """Starts the daemons under valgrind. When they have stopped, valgrind must have reported nothing."""
    if build.name == "san":
        pytest.skip("AddressSanitizer looks for leaks itself")
    original = pipeline.stack.programs
    for name in ("itemgend", "itemloadd"):
        wrapper = tmp_path / name
        command = VALGRIND.format(log=tmp_path / f"{name}.valgrind")
        wrapper.write_text(f'#!/bin/sh\nexec {command} {original / name} "$@"\n')
        wrapper.chmod(0o755)
    pipeline.stack.programs = tmp_path
    yield pipeline
    pipeline.stack.programs = original


def test_a_request_reaches_the_catalog(watched: Pipeline, tmp_path: Path) -> None:
    wheels = make_wheel(tmp_path / "wheels")
    watched.start("itemgend", UV_FIND_LINKS=str(wheels))
    watched.start("itemloadd", ITEMLOADD_MISSING_COLLECTION="reject")
    for arguments in (["ok", "generated"], ["exit", "3"], ["text"]):
        request = {"package_name": "stactools-probe", "group_name": "probe", "create_item_args": arguments}
        watched.publish(watched.gen_topic, request)
    watched.publish(watched.gen_topic, "{")
    watched.publish_items([item(number) for number in range(30)] + [item(1), item("bad", id=None), item("homeless", collection="no")])
    wait_until("all is loaded", lambda: len(watched.ids()) == 31, timeout_s=120)
    watched.dead_letters(watched.gen_dlq, 3, timeout_s=120)
    watched.dead_letters(watched.load_dlq, 2)
    watched.stop_all()
    for name in ("itemgend", "itemloadd"):
        said = (tmp_path / f"{name}.valgrind").read_text().splitlines()
        # "--PID--" lines are valgrind's own: this version does not know pidfd_open, and the daemons have a fallback.
        assert [line for line in said if line.startswith("==")] == []
        assert watched.log(name, "DAEMON_STOPPED")
    assert os.listdir(Path(watched.stack.directory) / "work") == []
