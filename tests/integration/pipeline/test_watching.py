"""The daemons from the point of view of monitoring: Prometheus, a container's health check, ECS."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import free_port
from scripted_server import HANG, Answer, ScriptedServer, error, reply
from test_monitoring import check_embedded, get, samples

from local.daemons import DaemonError
from tests.integration.pipeline.conftest import Pipeline, item, wait_until
from tests.integration.pipeline.test_flow import Uvx, request, start, uvx  # noqa: F401


@pytest.fixture
def port() -> int:
    return free_port()


def read(daemon: str, port: int) -> dict[str, float]:
    """Metrics by name, without the daemon's name."""
    return {name.removeprefix(f"{daemon}_"): value for name, value in samples(port).items()}


def health(build: Path, daemon: str, port: int) -> "subprocess.CompletedProcess[str]":
    """Runs the health check as a container does: with the configuration from its image, and the environment."""
    environment = os.environ | {f"{daemon.upper()}_METRICS_ADDRESS": f"127.0.0.1:{port}", "ITEMGEND_CONSTRAINTS": "etc/constraints.txt"}
    command = [build / "bin" / daemon, "--config", f"etc/{daemon}.yaml", "--health"]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=20)


def test_itemloadd_while_it_loads(pipeline: Pipeline, build: Path, port: int) -> None:
    pipeline.start("itemloadd", ITEMLOADD_METRICS_ADDRESS=f"127.0.0.1:{port}", ITEMLOADD_BATCH_ITEMS="20")
    idle = read("itemloadd", port)
    assert (idle["ready"], idle["workers"], idle["messages_received_total"], idle["messages_held"]) == (1, 2, 0, 0)
    pipeline.publish_items([item(number) for number in range(200)] + [{"type": "Feature", "id": "no item"}])
    seen = [idle]
    while seen[-1]["messages_done_total"] + seen[-1]["messages_never_total"] < 201:
        assert len(seen) < 600, seen[-1]
        time.sleep(0.1)
        seen.append(read("itemloadd", port))
        assert get(port, "/health")[0] == get(port, "/ready")[0] == 200
    for before, after in zip(seen, seen[1:]):
        assert all(before[name] <= after[name] for name in after if name.endswith("_total"))
    assert max(sample["messages_held"] for sample in seen) > 0
    pipeline.wait_empty(pipeline.load_queue)
    last = read("itemloadd", port)
    assert last["messages_received_total"] == 201
    assert (last["messages_done_total"], last["messages_never_total"], last["messages_later_total"]) == (200, 1, 0)
    assert last["items_total"] == 200 and last["messages_held"] == 0
    assert last["batches_total"] == len(pipeline.log("itemloadd", "BATCH_LOADED")) >= 5
    durations = sum(int(line["duration_ms"]) for line in pipeline.log("itemloadd", "BATCH_LOADED"))
    assert last["work_seconds_total"] * 1000 == pytest.approx(durations)
    assert 0 < last["message_age_seconds_total"] / 201 < 60
    healthy = health(build, "itemloadd", port)
    assert (healthy.returncode, healthy.stdout, healthy.stderr) == (0, "itemloadd: healthy\n", "")
    pipeline.stop_all()
    gone = health(build, "itemloadd", port)
    assert (gone.returncode, gone.stdout) == (1, "") and "no answer" in gone.stderr


def test_itemgend_while_it_generates(pipeline: Pipeline, build: Path, port: int, uvx: Uvx) -> None:  # noqa: F811
    start(pipeline, uvx, ITEMGEND_METRICS_ADDRESS=f"127.0.0.1:{port}")
    for body in [request("stactools-there")] * 3 + [request("requests")]:
        pipeline.publish(pipeline.gen_topic, body)
    wait_until("all is settled", lambda: sum(read("itemgend", port)[f"messages_{way}_total"] for way in ("done", "never")) == 4)
    seen = read("itemgend", port)
    assert (seen["messages_received_total"], seen["messages_done_total"], seen["messages_never_total"]) == (4, 3, 1)
    assert (seen["items_total"], seen["messages_held"]) == (3, 0)
    assert seen["work_seconds_total"] > 0
    assert "batches_total" not in seen
    assert health(build, "itemgend", port).returncode == 0


@pytest.mark.parametrize(("step", "code"), [(Answer(500), "service_unavailable"), (error("RequestThrottled"), "throttled")])
def test_a_start_that_waits_for_the_queue(
    pipeline: Pipeline, port: int, monkeypatch: pytest.MonkeyPatch, step: Answer, code: str
) -> None:
    """
    An SQS endpoint that only this daemon uses, and that does not work. The daemon does not become ready, and its
    status says why.
    """
    server = ScriptedServer()
    server.steps(step)
    monkeypatch.setattr(pipeline.stack, "ready_timeout_s", 4)
    try:
        with pytest.raises(DaemonError, match="was not ready in time"):
            pipeline.start("itemloadd", ITEMLOADD_METRICS_ADDRESS=f"127.0.0.1:{port}", AWS_ENDPOINT_URL_SQS=server.url)
        assert get(port, "/ready")[:2] == (503, "starting\n")
        assert get(port, "/health")[0] == 200
        assert read("itemloadd", port)["retries_total"] >= 2
        assert [line["error_code"] for line in pipeline.log("itemloadd", "DEPENDENCY_DOWN")] == [code]
    finally:
        server.end()


def test_an_outage_of_the_database(pipeline: Pipeline, port: int) -> None:
    secret = pipeline.secrets.create_secret(Name=f"watching-{port}", SecretString="{}")["ARN"]
    pipeline.start("itemloadd", ITEMLOADD_METRICS_ADDRESS=f"127.0.0.1:{port}", ITEMLOADD_SECRET_ARN=secret,
                   ITEMLOADD_WORKERS="1", ITEMLOADD_PROBE_INTERVAL="500ms")  # fmt: skip
    waiting = "ready; waiting for something to work again: loader 1 (bad_secret)\n"
    wait_until("it is logged", lambda: get(port, "/ready")[:2] == (200, waiting))
    assert read("itemloadd", port)["workers_waiting"] == 1
    assert get(port, "/health")[0] == 200
    good = pipeline.secrets.get_secret_value(SecretId=pipeline.stack.env["PGSTAC_SECRET_ARN"])["SecretString"]
    pipeline.secrets.put_secret_value(SecretId=secret, SecretString=good)
    wait_until("it works again", lambda: get(port, "/ready")[:2] == (200, "ready\n"))
    assert read("itemloadd", port)["workers_waiting"] == 0


def test_metrics_for_cloudwatch(pipeline: Pipeline) -> None:
    pipeline.start("itemloadd", ITEMLOADD_METRICS_NAMESPACE="stactools-ingest")
    pipeline.publish_items([item(number) for number in range(3)])
    pipeline.wait_empty(pipeline.load_queue)
    wait_until("they are loaded", lambda: len(pipeline.ids()) == 3)
    pipeline.stop_all()
    (line,) = pipeline.log("itemloadd", "METRICS")
    assert line["Service"] == "itemloadd"
    values = check_embedded(line)
    assert (values["MessagesReceived"], values["MessagesDone"], values["Items"], values["MessagesHeld"]) == (3, 3, 3, 0)


# ------------------------------------------------------------------------------ ECS


@pytest.fixture
def agent() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    server.steps(lambda call: reply({"protection": {"ProtectionEnabled": call.json["ProtectionEnabled"], "TaskArn": "a"}}))
    yield server
    server.end()


def calls(agent: ScriptedServer) -> list[bool]:
    return [call.json["ProtectionEnabled"] for call in agent.requests]


def test_a_task_of_ecs_is_protected_while_it_holds_messages(pipeline: Pipeline, agent: ScriptedServer) -> None:
    pipeline.start("itemloadd", ECS_AGENT_URI=f"{agent.url}/api/1", ITEMLOADD_BATCH_IDLE="4s")
    time.sleep(2)
    assert calls(agent) == []
    pipeline.publish_items([item(1)])
    wait_until("it is protected", lambda: calls(agent) == [True])
    assert pipeline.ids() == [], "the task must be protected before its work is done"
    wait_until("it is loaded", lambda: pipeline.ids() == ["item-1"])
    pipeline.stop_all()
    assert calls(agent) == [True, False]


@pytest.mark.parametrize("step", [HANG, reply({"failure": {"Arn": "a", "Reason": "DEPLOYMENT_BLOCKED"}}, 400), Answer(500, "no")])
def test_an_agent_that_fails_delays_nothing(pipeline: Pipeline, agent: ScriptedServer, step: Answer | str) -> None:
    agent.steps(step)
    pipeline.start("itemloadd", ECS_AGENT_URI=f"{agent.url}/api/1")
    for number in range(3):
        before = time.monotonic()
        pipeline.publish_items([item(number)])
        wait_until("it is loaded", lambda: len(pipeline.ids()) == number + 1)
        assert time.monotonic() - before < 10
    before = time.monotonic()
    pipeline.stop_all()
    assert time.monotonic() - before < 8
    assert len(pipeline.log("itemloadd", "TASK_PROTECTION")) == 1, json.dumps(pipeline.log("itemloadd"))
    assert pipeline.counts(pipeline.load_queue) == pipeline.counts(pipeline.load_dlq) == (0, 0)
