"""A task's protection from scale-in, with an ECS agent that records the calls and answers as the test says."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_server import CUT, HANG, RESET, Answer, Request, ScriptedServer, Step, reply
from test_service import Daemon

ARN = "arn:aws:ecs:us-west-2:111122223333:task/1234567890abcdef0"


def agree(request: Request) -> Answer:
    """The answer if ECS does it."""
    enabled = request.json["ProtectionEnabled"]
    date = "2030-01-01T00:00:00Z" if enabled else None
    return reply({"protection": {"ExpirationDate": date, "ProtectionEnabled": enabled, "TaskArn": ARN}})


def failure(reason: str, status: int = 200) -> Answer:
    return reply({"failure": {"Arn": ARN, "Detail": None, "Reason": reason}}, status)


class Agent(ScriptedServer):
    def __init__(self) -> None:
        super().__init__()
        self.steps(agree)

    @property
    def uri(self) -> str:
        return f"{self.url}/api/0123-4567"

    @property
    def calls(self) -> list[Any]:
        with self.lock:
            requests = list(self.requests)
        for request in requests:
            assert (request.method, request.path) == ("PUT", "/api/0123-4567/task-protection/v1/state")
            assert request.headers["content-type"] == "application/json"
        return [request.json for request in requests]

    def wait_calls(self, count: int, seconds: float = 10) -> list[Any]:
        deadline = time.monotonic() + seconds
        while len(self.calls) < count:
            assert time.monotonic() < deadline, self.calls
            time.sleep(0.02)
        return self.calls

    def expect_no_more_calls(self, seconds: float) -> None:
        before, deadline = self.calls, time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.calls == before
            time.sleep(0.02)


ON = {"ProtectionEnabled": True, "ExpiresInMinutes": 10}
OFF = {"ProtectionEnabled": False}


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent()
    yield agent
    agent.end()


@pytest.fixture
def start(agent: Agent) -> Iterator:
    folder = Path(tempfile.mkdtemp(prefix="service."))
    daemons: list[Daemon] = []

    def start_one(behaviour: str, settings: dict[str, str] | None = None, uri: str | None = agent.uri) -> Daemon:
        environment = {"http_proxy": "http://127.0.0.1:1"} | ({"ECS_AGENT_URI": uri} if uri is not None else {})
        daemon = Daemon(folder, {"behaviour": behaviour, "workers": "1"} | (settings or {}), environment)
        daemons.append(daemon)
        daemon.wait_notified("READY=1")
        return daemon

    yield start_one
    for daemon in daemons:
        daemon.process.kill()
        daemon.process.wait()
        daemon.socket.close()
    shutil.rmtree(folder)


def stop(daemon: Daemon) -> float:
    before = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    return time.monotonic() - before


def logged(daemon: Daemon) -> list[tuple[str, str | None]]:
    return [(line["level"], line.get("error_code")) for line in daemon.lines("TASK_PROTECTION")]


def test_protected_while_it_holds_messages_and_released_at_the_stop(start, agent: Agent) -> None:
    daemon = start("hold")
    assert agent.wait_calls(1) == [ON]
    agent.expect_no_more_calls(2.5)
    stop(daemon)
    assert agent.calls == [ON, OFF]
    assert logged(daemon) == [("info", None), ("info", None)]


def test_protected_after_messages_that_were_settled_between_two_looks(start, agent: Agent) -> None:
    daemon = start("wait")
    assert agent.wait_calls(1) == [ON]
    stop(daemon)


def test_released_when_it_has_been_idle_for_half_a_minute(start, agent: Agent) -> None:
    daemon = start("hold_once")
    agent.wait_calls(1)
    assert agent.wait_calls(2, seconds=45) == [ON, OFF]
    assert 28 < agent.requests[1].at - agent.requests[0].at < 38
    stop(daemon)
    assert agent.calls == [ON, OFF]


def test_an_idle_task_is_not_protected(start, agent: Agent) -> None:
    daemon = start("idle")
    agent.expect_no_more_calls(2.5)
    stop(daemon)
    assert agent.calls == []


def test_a_reload_releases_the_task_and_protects_it_again(start, agent: Agent) -> None:
    daemon = start("hold")
    agent.wait_calls(1)
    daemon.signal(signal.SIGHUP)
    assert agent.wait_calls(3) == [ON, OFF, ON]
    daemon.configure({"behaviour": "hold", "workers": "1", "task_protection": "false"})
    daemon.signal(signal.SIGHUP)
    daemon.wait_notified("READY=1", times=3)
    agent.expect_no_more_calls(1.5)
    assert agent.calls == [ON, OFF, ON, OFF]


@pytest.mark.parametrize("uri", [None, ""])
def test_nothing_without_ecs(start, agent: Agent, uri: str | None) -> None:
    daemon = start("hold", uri=uri)
    assert "task protection" not in threads(daemon)
    stop(daemon)
    assert agent.calls == [] and logged(daemon) == []


def test_nothing_if_it_is_switched_off(start, agent: Agent) -> None:
    daemon = start("hold", {"task_protection": "false"})
    assert "task protection" not in threads(daemon)
    stop(daemon)
    assert agent.calls == []


def threads(daemon: Daemon) -> set[str]:
    return {path.read_text().strip() for path in Path(f"/proc/{daemon.process.pid}/task").glob("*/comm")}


REFUSALS = [
    (failure("DEPLOYMENT_BLOCKED"), "notice", "deployment_blocked"),
    (failure("DEPLOYMENT_BLOCKED", 400), "notice", "deployment_blocked"),
    (failure("TASK_NOT_VALID"), "notice", "task_not_valid"),
    (reply({"requestID": "r", "error": {"Arn": ARN, "Code": "AccessDeniedException", "Message": "may not"}}, 400),
     "warning", "task_protection_failed"),
    (Answer(404, "404 page not found\n"), "warning", "task_protection_failed"),
    (Answer(200, "{"), "warning", "task_protection_failed"),
    (Answer(200, "x" * 100_000), "warning", "response_too_large"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "level", "code"), REFUSALS)
def test_a_refusal_is_logged_once_and_changes_nothing(start, agent: Agent, step: Step, level: str, code: str) -> None:
    agent.steps(step)
    daemon = start("hold")
    assert agent.wait_calls(1) == [ON]
    agent.expect_no_more_calls(2.5)  # the next one comes after a minute
    assert stop(daemon) < 2
    assert logged(daemon) == [(level, code)]
    assert daemon.lines("DAEMON_STOPPED")[0]["done"] == "1"
    if code != "response_too_large":
        assert agent.calls == [ON], "a refused protection is not released"


@pytest.mark.parametrize(("step", "code"), [(HANG, "timeout"), (RESET, "connection_failed"), (CUT, "connection_failed")])
def test_an_agent_that_does_not_answer(start, agent: Agent, step: str, code: str) -> None:
    """ECS may have protected the task all the same, so it is released at the stop."""
    agent.steps(step)
    daemon = start("hold")
    agent.wait_calls(1)
    daemon.wait_line("TASK_PROTECTION")
    assert daemon.process.poll() is None
    assert stop(daemon) < 4
    assert agent.calls[-1] == OFF
    assert logged(daemon) == [("warning", code)]
    assert daemon.lines("DAEMON_STOPPED")[0]["done"] == "1"


def test_a_stop_does_not_wait_for_the_answer_to_a_call(start, agent: Agent) -> None:
    agent.steps(HANG, agree)
    daemon = start("hold")
    agent.wait_calls(1)
    assert stop(daemon) < 1.5
    assert agent.calls == [ON, OFF]


def test_an_agent_that_is_gone(start, agent: Agent) -> None:
    agent.shutdown()
    agent.server_close()
    daemon = start("hold")
    daemon.wait_line("TASK_PROTECTION")
    assert stop(daemon) < 2
    assert logged(daemon) == [("warning", "connection_failed")]


def test_a_uri_that_is_not_valid(start) -> None:
    daemon = start("hold", uri="nonsense")
    daemon.wait_line("TASK_PROTECTION")
    assert stop(daemon) < 2
    assert logged(daemon) == [("warning", "bad_url")]


@pytest.mark.long
def test_a_protection_that_blocked_a_deployment_and_is_possible_again(start, agent: Agent) -> None:
    agent.steps(failure("DEPLOYMENT_BLOCKED"), failure("DEPLOYMENT_BLOCKED"), agree)
    daemon = start("hold")
    assert agent.wait_calls(3, seconds=140) == [ON] * 3
    daemon.wait_line("TASK_PROTECTION", times=2)
    assert logged(daemon) == [("notice", "deployment_blocked"), ("info", None)]
    assert json.dumps(agent.calls[-1]) == json.dumps(ON)
