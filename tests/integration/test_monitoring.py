"""Monitoring a daemon: /health, /ready, /metrics, --health, and the metrics in its log."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from places import free_port
from prometheus_client.parser import text_string_to_metric_families
from scripted_server import HANG, Answer, ScriptedServer
from test_service import Daemon, run


def get(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def samples(port: int) -> dict[str, float]:
    """Read by Prometheus' own parser."""
    status, text, _ = get(port, "/metrics")
    assert status == 200
    return {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.05)


def is_closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def start(port: int) -> Iterator:
    """start({key: value}): a daemon that serves its status at `port`, and is ready."""
    folder = Path(tempfile.mkdtemp(prefix="service."))
    daemons: list[Daemon] = []

    def start_one(settings: dict[str, str] | None = None, ready: bool = True) -> Daemon:
        daemon = Daemon(folder, {"metrics_address": f"127.0.0.1:{port}"} | (settings or {}))
        daemons.append(daemon)
        if ready:
            daemon.wait_notified("READY=1")
        return daemon

    yield start_one
    for daemon in daemons:
        daemon.process.kill()
        daemon.process.wait()
        daemon.socket.close()
    shutil.rmtree(folder)


# ---------------------------------------------------------------- the answers


def test_healthy_and_ready(start, port: int) -> None:
    start()
    status, text, headers = get(port, "/health")
    assert (status, text) == (200, "healthy\n")
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["connection"] == "close"
    assert get(port, "/ready")[:2] == (200, "ready\n")


def test_metrics_as_prometheus_reads_them(start, port: int) -> None:
    before = time.time()
    start({"workers": "3"})
    assert get(port, "/metrics")[2]["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    seen = samples(port)
    assert before - 1 < seen.pop("process_start_time_seconds") < time.time() + 1
    assert all(name.startswith("tool_service_") for name in seen)
    assert seen["tool_service_build_info"] == 1
    assert seen["tool_service_messages_received_total"] == 3
    assert seen["tool_service_messages_done_total"] == 0
    assert seen["tool_service_ready"] == 1
    assert seen["tool_service_workers"] == 3
    assert seen["tool_service_workers_overdue"] == seen["tool_service_workers_waiting"] == 0
    text = get(port, "/metrics")[1]
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type in ("counter", "gauge")
        assert all(sample.name.endswith("_total") == (family.type == "counter") for sample in family.samples)


def test_every_metric_is_documented(start, port: int) -> None:
    start()
    documented = re.findall(r"^\| `([a-z_]+)(?:\{version\})?` \| [a-z]+ \|", run("--help-metrics").stdout, re.M)
    assert documented == list(samples(port))


def test_other_paths_and_methods(start, port: int) -> None:
    start()
    for path in ("/", "/healthz", "/health/", "/metrics/../health", "/%68ealthy", "//health"):
        assert get(port, path)[0] == 404, path
    assert get(port, "/health?verbose=1")[0] == 200
    status, text, headers = get(port, "/health", "HEAD")
    assert (status, text, headers["content-length"]) == (200, "", "8")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "NONSENSE"):
        status, _, headers = get(port, "/health", method)
        assert status == 405 and headers["allow"] == "GET, HEAD", method


def test_an_overdue_worker(start, port: int) -> None:
    start({"behaviour": "overdue", "workers": "3"})
    wait_for(lambda: get(port, "/health")[0] == 503)
    assert get(port, "/health")[1] == "no sign of life from worker 3\n"
    assert get(port, "/health", "HEAD")[:2] == (503, "")
    assert samples(port)["tool_service_workers_overdue"] == 1


def test_an_outage_is_named_but_the_daemon_stays_healthy_and_ready(start, port: int) -> None:
    start({"behaviour": "outage"})
    wait_for(lambda: "waiting" in get(port, "/ready")[1])
    assert get(port, "/ready")[:2] == (200, "ready; waiting for something to work again: worker 2 (database_unavailable)\n")
    assert get(port, "/health")[0] == 200
    assert samples(port)["tool_service_workers_waiting"] == 1


def test_it_answers_before_it_is_ready(start, port: int) -> None:
    daemon = start({"behaviour": "start_waits"}, ready=False)
    wait_for(lambda: not is_closed(port))
    assert get(port, "/ready")[:2] == (503, "starting\n")
    assert get(port, "/health")[0] == 200
    assert samples(port)["tool_service_ready"] == 0
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_while_it_drains_it_is_healthy_and_not_ready(start, port: int) -> None:
    daemon = start({"behaviour": "slow", "stop_timeout": "10m"})
    daemon.signal(signal.SIGTERM)
    daemon.wait_notified("STOPPING=1")
    wait_for(lambda: get(port, "/ready")[:2] == (503, "draining\n"))
    assert get(port, "/health")[0] == 200
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert is_closed(port)


# ---------------------------------------------------------------- the address


def test_without_an_address_nothing_listens_and_there_is_no_thread(start, port: int) -> None:
    daemon = start({"metrics_address": ""})
    threads = {path.read_text().strip() for path in Path(f"/proc/{daemon.process.pid}/task").glob("*/comm")}
    assert threads == {"service", "worker 1", "worker 2"}
    assert is_closed(port)


def test_ipv6(start, port: int) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 on loopback: {error}")
    start({"metrics_address": f'"[::1]:{port}"'})
    assert get(port, "/health", host="::1")[0] == 200
    assert is_closed(port)
    assert run("--health", TOOL_SERVICE_METRICS_ADDRESS=f"[::1]:{port}").returncode == 0


def test_a_port_in_use(start, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        daemon = start(ready=False)
        assert daemon.wait() == 1
    line = daemon.lines("DAEMON_STOPPED")[0]
    assert line["error_code"] == "cannot_listen"
    assert f"metrics_address: cannot listen at 127.0.0.1:{port}: Address already in use" in line["message"]
    daemon.listen(0.05)
    assert daemon.count("READY=1") == 0


def test_a_restart_gets_its_port_at_once(start, port: int) -> None:
    daemon = start()
    assert get(port, "/health")[0] == 200
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    shutil.rmtree(daemon.folder)
    daemon.folder.mkdir()
    start()
    assert get(port, "/health")[0] == 200


def test_a_reload_moves_the_server_only_to_another_address(start, port: int) -> None:
    daemon = start()
    other = free_port()
    with socket.create_connection(("127.0.0.1", port)) as kept:  # to the first server, which stays
        for times, address in enumerate((port, port, other, None, port), start=2):
            daemon.configure({"metrics_address": f"127.0.0.1:{address}"} if address else {})
            daemon.signal(signal.SIGHUP)
            daemon.wait_notified("READY=1", times=times)
            assert [is_closed(port), is_closed(other)] == [address != port, address != other], address
            if times == 3:
                kept.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
                assert kept.recv(1000).startswith(b"HTTP/1.1 200")
    # The counters go on: 2 workers in 6 runs.
    assert samples(port)["tool_service_messages_received_total"] == 12


def test_a_reload_to_a_port_in_use_keeps_the_previous_configuration(start, port: int) -> None:
    daemon = start()
    with socket.create_server(("127.0.0.1", 0)) as other:
        daemon.configure({"metrics_address": f"127.0.0.1:{other.getsockname()[1]}"})
        daemon.signal(signal.SIGHUP)
        daemon.wait_notified("READY=1", times=2)
        assert "Address already in use" in daemon.wait_line("CONFIG_REFUSED")["message"]
        assert get(port, "/ready")[0] == 200


@pytest.mark.parametrize("address", ["9464", "localhost", "::1:9464", "127.0.0.1:0", "http://127.0.0.1:9464"])
def test_an_address_that_is_not_valid(address: str) -> None:
    result = run("--check-config", TOOL_SERVICE_METRICS_ADDRESS=address)
    assert result.returncode == 78
    assert result.stderr == f'environment TOOL_SERVICE_METRICS_ADDRESS: "{address}" is not of the form HOST:PORT or [IPv6]:PORT\n'


# ---------------------------------------------------------------- bad clients


def test_idle_connections_do_not_block_others_for_long(start, port: int) -> None:
    start()
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    try:
        wait_for(lambda: get(port, "/health")[0] == 200, seconds=20)
    finally:
        for connection in silent:
            connection.close()


def test_a_request_that_does_not_end(start, port: int) -> None:
    daemon = start()
    status = Path(f"/proc/{daemon.process.pid}/statm")
    pages = int(status.read_text().split()[1])
    with socket.create_connection(("127.0.0.1", port)) as endless:
        endless.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        answer = b""
        try:
            for _ in range(1000):
                endless.sendall(b"X-More: " + b"x" * 1000 + b"\r\n")
            while data := endless.recv(1000):
                answer += data
        except OSError:
            pass
    assert answer == b"" or answer.split()[1] in (b"413", b"431")
    assert get(port, "/health")[0] == 200
    assert int(status.read_text().split()[1]) < pages + 500


@pytest.mark.parametrize("garbage", [b"\0" * 100, b"\x16\x03\x01\x02\x00\x01", b"GET /health\r\n\r\n", b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
                                     b"GET /health HTTP/1.1\r\n\r\n", b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nx"])  # fmt: skip
def test_garbage(start, port: int, garbage: bytes) -> None:
    start()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1000):
            pass
    assert get(port, "/health")[0] == 200


# ------------------------------------------------------------------------- --health


def test_health_of_a_healthy_daemon(start, port: int) -> None:
    daemon = start()
    # With the address from the file, then from the environment. The proxy must not be asked.
    for result in (
        run("--config", str(daemon.config), "--health"),
        run("--health", TOOL_SERVICE_METRICS_ADDRESS=f"127.0.0.1:{port}", http_proxy="http://127.0.0.1:1"),
    ):
        assert (result.returncode, result.stdout, result.stderr) == (0, "tool-service: healthy\n", "")


def test_health_of_a_daemon_with_an_overdue_worker(start, port: int) -> None:
    daemon = start({"behaviour": "overdue"})
    wait_for(lambda: get(port, "/health")[0] == 503)
    result = run("--config", str(daemon.config), "--health")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "tool-service: no sign of life from worker 2\n"


def test_health_without_a_daemon(port: int) -> None:
    result = run("--health", TOOL_SERVICE_METRICS_ADDRESS=f"127.0.0.1:{port}")
    assert (result.returncode, result.stdout) == (1, "")
    assert f"no answer from http://127.0.0.1:{port}" in result.stderr


def test_health_without_an_address_or_with_a_wrong_configuration(tmp_path: Path) -> None:
    result = run("--health")
    assert (result.returncode, result.stdout) == (78, "")
    assert "metrics_address is not set" in result.stderr
    config = tmp_path / "tool.yaml"
    config.write_text("workers: many\n")
    result = run("--config", str(config), "--health", TOOL_SERVICE_METRICS_ADDRESS="127.0.0.1:1")
    assert result.returncode == 78
    assert "expected a whole number" in result.stderr
    assert run("--config", str(tmp_path / "nothing"), "--health").returncode == 78


def test_health_does_not_wait_long_for_an_answer() -> None:
    server = ScriptedServer()
    try:
        server.steps(HANG)
        before = time.monotonic()
        result = run("--health", TOOL_SERVICE_METRICS_ADDRESS=f"127.0.0.1:{server.server_port}")
        assert 2.5 < time.monotonic() - before < 4.5
        assert (result.returncode, result.stdout) == (1, "")
        server.steps(Answer(500, "somebody \x1b[31m else"))
        result = run("--health", TOOL_SERVICE_METRICS_ADDRESS=f"127.0.0.1:{server.server_port}")
        assert (result.returncode, result.stderr) == (1, "tool-service: somebody ?[31m else\n")
    finally:
        server.end()


# ------------------------------------------------------------- metrics in the log


def check_embedded(line: dict) -> dict[str, float]:
    """The rules of the specification: each metric is a member at the top, of the right type."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert set(line["_aws"]) == {"Timestamp", "CloudWatchMetrics"}
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert abs(line["_aws"]["Timestamp"] / 1000 - time.time()) < 600
    assert directive["Dimensions"] == [["Service"]] and isinstance(line["Service"], str)
    assert 0 < len(directive["Metrics"]) <= 100
    for metric in directive["Metrics"]:
        assert set(metric) == {"Name", "Unit"} and metric["Unit"] == "Count"
    return {metric["Name"]: float(line[metric["Name"]]) for metric in directive["Metrics"]}


def test_metrics_in_the_log(start) -> None:
    daemon = start({"metrics_namespace": "Test/Ingest", "log_level": "error", "workers": "3"})
    daemon.signal(signal.SIGHUP)
    daemon.wait_notified("READY=1", times=2)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    lines = daemon.lines("METRICS")
    assert [line["_aws"]["CloudWatchMetrics"][0]["Namespace"] for line in lines] == ["Test/Ingest"] * 2
    assert [line["Service"] for line in lines] == ["tool-service"] * 2
    # The messages of each run, not since the start.
    assert [check_embedded(line)["MessagesReceived"] for line in lines] == [3, 3]
    assert [check_embedded(line)["MessagesDone"] for line in lines] == [3, 3]


def test_no_metrics_in_the_log_without_a_namespace(start) -> None:
    daemon = start()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert daemon.lines("METRICS") == []


@pytest.mark.long
def test_metrics_in_the_log_each_minute(start) -> None:
    daemon = start({"metrics_namespace": "Test"})
    wait_for(lambda: len(daemon.lines("METRICS")) == 2, seconds=130)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    lines = daemon.lines("METRICS")
    assert [check_embedded(line)["MessagesReceived"] for line in lines] == [2, 0, 0]
    times = [line["_aws"]["Timestamp"] for line in lines]
    assert 59_000 < times[1] - times[0] < 61_500


@pytest.mark.parametrize("space", ["AWS/SQS", ":x", "a b", "x" * 256])
def test_a_namespace_that_is_not_valid(space: str) -> None:
    result = run("--check-config", TOOL_SERVICE_METRICS_NAMESPACE=space)
    assert result.returncode == 78
    assert f"environment TOOL_SERVICE_METRICS_NAMESPACE: {json.dumps(space)} is not" in result.stderr
