"""Interrupted starts, and the daemons that the stack starts: their environment, their start, their end."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from places import command, fake_programs, left_in, naming, record_of, run, wait_until

from local.daemons import DaemonError
from local.process import is_alive
from local.stack import ROOT, Stack

# --- interrupted

MOMENTS: list[tuple[str, str]] = [
    ("at the start", ""),
    ("servers started", "assets"),
    ("database started", "postgres"),
    ("a daemon not ready yet", "itemgend"),
]


def started(place: Path, name: str) -> bool:
    try:
        return not name or f'"name": "{name}"' in (place / "stack" / "state.json").read_text()
    except OSError:
        return False


def assert_interrupted(child: "subprocess.Popen[str]", number: int, place: Path) -> None:
    os.killpg(child.pid, number)  # a terminal sends it to the tools in the foreground too
    os.killpg(child.pid, number)  # as an impatient user does
    output, _ = child.communicate(timeout=30)
    assert (child.returncode, "interrupted" in output) == (130, True), output
    assert left_in(place) == [] and list((place / "tmp").iterdir()) == []
    assert naming(place) == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
@pytest.mark.parametrize("name", [row[1] for row in MOMENTS], ids=[row[0] for row in MOMENTS])
def test_interrupted_up_cleans_up(place: Path, name: str, number: int) -> None:
    child = command("up", "--programs", str(fake_programs(place)), place=place, FAKE="silent")
    wait_until(lambda: started(place, name) and (place / "stack").exists())
    assert_interrupted(child, number, place)


@pytest.mark.parametrize("tool", ["initdb", "pypgstac"])
def test_interrupted_while_the_archive_is_made(place: Path, tool: str) -> None:
    child = command("up", "--no-daemons", "--cache", str(place / "cache"), place=place)
    wait_until(lambda: any(tool in arguments for arguments in naming(place).values()))
    assert_interrupted(child, signal.SIGINT, place)
    assert list((place / "cache").glob("*")) == []


def test_down_after_up_was_killed(place: Path) -> None:
    child = command("up", "--programs", str(fake_programs(place)), place=place, FAKE="silent")
    wait_until(lambda: started(place, "itemgend"))
    child.kill()
    child.communicate()
    assert run("down", place=place)[0] == 0
    assert left_in(place) == [] and list((place / "tmp").iterdir()) == []


# --- the daemons


def test_the_daemons_environment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = fake_programs(place)
    caller = {
        "AWS_PROFILE": "mine",
        "AWS_SESSION_TOKEN": "mine",
        "NOTIFY_SOCKET": "/run/mine",
        "PGHOST": "mine",
        "ITEMLOADD_BATCH_WINDOW": "5s",
        "ITEMLOADD_DB_SSLMODE": "require",
        "UV_INDEX_URL": "mine",
    }
    status, output = run("up", "--programs", str(programs), place=place, **caller)
    assert status == 0, output
    try:
        stack = Stack(place / "stack")
        assert stack.state.load()
        for name in ("itemgend", "itemloadd"):
            record = record_of(place, name)
            env = record["env"]
            assert record["pid"] == stack.process(name).pid
            assert record["argv"] == ["--config", str(ROOT / "etc" / f"{name}.yaml")]
            assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "PGHOST"} & set(env)
            assert env["NOTIFY_SOCKET"] != "/run/mine"
            assert env["AWS_ENDPOINT_URL"] == f"http://{stack.state.endpoints['aws']}"
            assert (env["AWS_EC2_METADATA_DISABLED"], env["AWS_CONFIG_FILE"]) == ("true", "/dev/null")
            assert (env["ITEMLOADD_BATCH_WINDOW"], env["ITEMLOADD_DB_SSLMODE"]) == ("5s", "require"), (
                "the caller's wins"
            )
            assert env["ITEMGEND_QUEUE_URL"].endswith("-ItemGenQueue")
            assert env["ITEMGEND_LOAD_TOPIC_ARN"].endswith("-ItemLoadTopic")
            assert env["ITEMLOADD_QUEUE_URL"].endswith("-ItemLoadQueue")
            assert ":secretsmanager:" in env["ITEMLOADD_SECRET_ARN"]
            assert Path(env["ITEMGEND_UVX"]).exists() and Path(env["ITEMGEND_WORK_DIR"]).is_dir()
            assert env["UV_INDEX_URL"] == "mine"
            assert os.getsid(record["pid"]) == record["pid"], "outlives the shell"
            assert os.readlink(f"/proc/{record['pid']}/fd/0") == "/dev/null"
            assert f"{name} speaks" in (place / "stack" / f"{name}.log").read_text()
    finally:
        run("down", place=place)


@pytest.mark.parametrize(
    ("behaviour", "problem"),
    [
        ("fail", "cannot reach the queue"),
        ("silent", "was not ready in time"),
        ("impostor", "was not ready in time"),
    ],
)
def test_a_daemon_that_does_not_start(place: Path, behaviour: str, problem: str) -> None:
    settings = {"FAKE": behaviour}
    stack = Stack(place / "stack", programs=fake_programs(place), settings=settings, fsync=False, ready_timeout_s=5)
    try:
        with pytest.raises(DaemonError, match=problem) as caught:
            stack.up()
    finally:
        stack.down()
    assert "itemgend speaks" in str(caught.value), "the end of its log"
    assert left_in(place) == [] and naming(place) == {}


def test_a_daemon_that_does_not_exit_is_killed_with_its_children(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"FAKE": "stubborn"}
    with Stack(place / "stack", programs=fake_programs(place), settings=settings, fsync=False, stop_timeout_s=0.5):
        assert len([a for a in naming(place).values() if "itemgend" in a]) == 2
    assert "itemgend did not exit within 0.5 s and was killed" in capsys.readouterr().out
    assert naming(place) == {}


def test_one_daemon_alone(place: Path) -> None:
    """Stops and starts one, as tests of crashes do."""
    with Stack(place / "stack", programs=fake_programs(place), fsync=False) as stack:
        first = stack.process("itemloadd")
        stack.stop_daemon("itemloadd", signal.SIGKILL)
        assert not is_alive(first) and is_alive(stack.process("itemgend"))
        second = stack.start_daemon("itemloadd", {"ITEMLOADD_BATCH_MAX": "7"})
        assert second.pid != first.pid
        assert record_of(place, "itemloadd")["env"]["ITEMLOADD_BATCH_MAX"] == "7"
        assert stack.problems() == []
