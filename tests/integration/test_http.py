"""lib/http against a server that misbehaves: requests, answers, connections, the stop descriptor."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from http_tool import LATER, NEVER, TOOL, Rounds, environment, get, get_one, refused
from odd_server import Server


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


# Requests


def test_only_necessary_headers_are_sent(server):
    arguments = ["-X", "POST", "-H", "X-Empty:", "-H", "Content-Type: application/x-amz-json-1.0", "-d", "{}"]
    assert get_one(*arguments, server.url("/ok"))["status"] == 200
    (_, line, headers, body) = server.requests[0]
    assert line == "POST /ok HTTP/1.1"
    assert body == b"{}"
    agents = [h for h in headers if h.startswith("User-Agent: stactools-ingest/")]
    assert len(agents) == 1
    assert sorted(set(headers) - set(agents)) == [
        "Content-Length: 2",
        "Content-Type: application/x-amz-json-1.0",
        f"Host: 127.0.0.1:{server.port}",
        "X-Empty:",
    ]


def test_a_large_body_is_sent_without_expect(server):
    exchange = get_one("-X", "POST", "-z", "3000000", server.url("/ok"))
    assert exchange["status"] == 200
    (_, _, headers, body) = server.requests[0]
    assert len(body) == 3_000_000
    assert not [h for h in headers if h.lower().startswith(("expect", "content-type", "transfer-encoding"))]


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PUT", "POST"])
def test_methods(server, method):
    exchange = get_one("-X", method, server.url("/head-of-big" if method == "HEAD" else "/ok"))
    assert exchange["status"] == 200
    (_, line, headers, body) = server.requests[0]
    assert line.split()[0] == method
    assert ("Content-Length: 0" in headers) == (method in ("PUT", "POST"))


@pytest.mark.parametrize(
    "target",
    [
        "/a/./b/../c//d",
        "/..",
        "/%2e%2E/%2f%2F%c3%A9",
        "/a;b=c,d@e:f!g$h&i'(j)*k+l",
        "/?",
        "/?a=b&&c=%20+d?e/f",
        "?query=only",
        "/a%zz%",
        "/{curly}[square]|^`\"<>\\",
    ],
)
def test_target_is_sent_as_it_is(server, target):
    assert get_one(server.url(target))["status"] == 200
    assert server.requests[0][1] == f"GET {target if target[0] == '/' else '/' + target} HTTP/1.1"


def test_host_header_of_the_caller(server):
    assert get_one("-H", "Host: sqs.example.com", server.url("/ok"))["status"] == 200
    assert [h for h in server.requests[0][2] if h.startswith("Host:")] == ["Host: sqs.example.com"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "127.0.0.1/",
        "",
        "http://",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/a\nb",
        "http://127.0.0.1/#x",
        "http://127.0.0.1/schön",
        "http://user:pa55word@127.0.0.1/",
    ],
)
def test_bad_urls(url):
    exchange = get_one(url)
    refused(exchange, "bad_url", NEVER)
    assert "pa55word" not in exchange["text"]


@pytest.mark.parametrize("header", ["X: a\r\nY: b", "X: a\nb", "X Y: a", ": a", "X: \x01"])
def test_headers_with_line_breaks_are_rejected(server, header):
    exchange = get_one("-H", header, server.url("/ok"))
    refused(exchange, "bad_request", NEVER)
    assert server.requests == []


def test_messages_have_no_path_or_query():
    exchange = get_one("http://127.0.0.1:1/path?X-Amz-Signature=secret")
    refused(exchange, "connection_failed", outage=True)
    assert "127.0.0.1:1" in exchange["text"]
    assert "secret" not in exchange["text"] and "path" not in exchange["text"]


# Answers


@pytest.mark.parametrize("path", ["/ok", "/chunked", "/until-close"])
def test_answers(server, path):
    exchange = get_one(server.url(path))
    assert (exchange["result"], exchange["status"], exchange["body"]) == (0, 200, "hello")


def test_headers_are_those_of_the_final_answer(server):
    exchange = get_one(server.url("/interim"))
    assert exchange["status"] == 200
    assert exchange["headers"] == "Content-Length: 5\r\nX-Which: final\r\n"


def test_an_announced_length_over_the_limit(server):
    exchange = get_one("-m", "1000", "-t", "5000", server.url("/head-of-big"))
    refused(exchange, "response_too_large")
    assert exchange["ms"] < 2000


def test_redirect_is_not_followed(server):
    exchange = get_one(server.url("/redirect"))
    assert (exchange["result"], exchange["status"]) == (0, 307)
    assert len(server.requests) == 1


@pytest.mark.parametrize("path", ["/big-length", "/big-chunked", "/big-until-close", "/many-headers"])
def test_too_large(server, path):
    refused(get_one("-m", "100000", server.url(path)), "response_too_large")


def test_a_body_of_exactly_the_limit(server):
    assert get_one("-m", "5", server.url("/ok"))["body"] == "hello"
    refused(get_one("-m", "4", server.url("/ok")), "response_too_large")
    refused(get_one("-m", "4", server.url("/chunked")), "response_too_large")


@pytest.mark.parametrize("path", ["/long-header", "/endless-header"])
def test_header_line_without_end(server, path):
    refused(get_one(server.url(path)), "response_too_large")


@pytest.mark.parametrize("path", ["/cut", "/cut-chunk", "/reset", "/hang-up", "/garbage"])
def test_broken_answers(server, path):
    refused(get_one(server.url(path)), "connection_failed", outage=True)
    assert len(server.requests) == 1


def test_connection_refused():
    refused(get_one("http://127.0.0.1:1/"), "connection_failed", outage=True)


def test_name_not_found():
    refused(get_one("http://no-such-host.invalid/"), "connection_failed", outage=True)


def test_timeout(server):
    exchange = get_one("-t", "300", server.url("/never"))
    refused(exchange, "timeout", outage=True)
    assert 250 <= exchange["ms"] < 2000


def test_the_timeout_covers_the_whole_exchange(server):
    exchange = get_one("-t", "500", server.url("/trickle"))
    refused(exchange, "timeout", outage=True)
    assert 450 <= exchange["ms"] < 2000


def full_listener():
    """A listener whose queue is full, so that further connection attempts get no answer."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    return listener, fillers


@pytest.mark.parametrize("limits", [["-c", "300"], ["-t", "300"]])
def test_connect_timeout(limits):
    listener, fillers = full_listener()
    exchange = get_one(*limits, f"http://127.0.0.1:{listener.getsockname()[1]}/")
    refused(exchange, "timeout", outage=True)
    assert 250 <= exchange["ms"] < 2000
    for s in [listener, *fillers]:
        s.close()


def test_name_server_that_does_not_answer(tmp_path):
    """The system's resolver does not know our time limit. Here a resolver that hangs replaces it."""
    source, library = tmp_path / "hang.c", tmp_path / "hang.so"
    source.write_text(
        "#include <netdb.h>\n#include <unistd.h>\n"
        "int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r)\n"
        "{ (void)n; (void)s; (void)h; (void)r; sleep(20); return EAI_AGAIN; }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    env = environment(LD_PRELOAD=str(library), ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0")
    start = time.monotonic()
    exchange = get_one("-t", "400", "http://somewhere.invalid/", env=env)
    refused(exchange, "timeout", outage=True)
    assert time.monotonic() - start < 5


# Connections


def test_keep_alive(server):
    with Rounds(server.url("/ok")) as rounds:
        for _ in range(5):
            assert rounds.step_one()["body"] == "hello"
    assert server.n_connections == 1


def test_all_connections_of_a_call_are_kept(server):
    with Rounds(*[server.url(f"/slow?{i}") for i in range(40)]) as rounds:
        for _ in range(3):
            assert [e["body"] for e in rounds.step(40)] == ["hello"] * 40
    assert server.n_connections == 40


def test_many_at_once(server):
    exchanges = get(*[server.url(f"/slow?{i}") for i in range(40)])
    assert [e["body"] for e in exchanges] == ["hello"] * 40
    assert server.most_waiting == 40
    assert exchanges[0]["ms"] < 3000


def test_more_requests_than_may_run_at_once(server):
    exchanges = get("-t", "2000", *[server.url(f"/slow?{i}") for i in range(150)])
    assert [e["result"] for e in exchanges] == [0] * 150
    assert server.most_waiting == 64
    assert server.n_connections == 64


def test_each_has_its_own_result(server):
    paths = ["/ok", "/hang-up", "/never", "/redirect", "/big-length", "/chunked"]
    urls = [server.url(p) for p in paths] + ["ftp://x/", "http://127.0.0.1:1/"]
    exchanges = get("-t", "1000", "-m", "1000", *urls)
    assert [(e["result"], e["status"], e["code"]) for e in exchanges] == [
        (0, 200, ""),
        (LATER, 0, "connection_failed"),
        (LATER, 0, "timeout"),
        (0, 307, ""),
        (LATER, 0, "response_too_large"),
        (0, 200, ""),
        (NEVER, 0, "bad_url"),
        (LATER, 0, "connection_failed"),
    ]


@pytest.mark.parametrize("path", ["/close-idle", "/die-on-second", "/reset-on-second", "/rude-on-second"])
@pytest.mark.parametrize("arguments", [[], ["-X", "POST", "-d", "{}"], ["-X", "POST", "-z", "3000000"]])
def test_a_dead_kept_connection_is_replaced(server, path, arguments):
    with Rounds(*arguments, server.url(path)) as rounds:
        for _ in range(3):
            exchange = rounds.step_one()
            assert (exchange["result"], exchange["body"]) == (0, "hello"), exchange
            time.sleep(0.1)
    assert server.n_connections >= 2
    assert {len(r[3]) for r in server.requests} == {{"-d": 2, "-z": 3_000_000}[arguments[2]] if arguments else 0}


def test_many_kept_connections_all_dead(server):
    arguments = [server.url(f"/die-on-second?{i}") for i in range(30)]
    with Rounds(*arguments) as rounds:
        rounds.step(30)
        assert [e["result"] for e in rounds.step(30)] == [0] * 30
    with Rounds("-o", *arguments) as rounds:
        rounds.step(30)
        (exchange,) = rounds.step(1)
        assert exchange["result"] == 0, exchange


def test_sockets_are_closed_on_exec(server):
    with Rounds(server.url("/ok")) as rounds:
        rounds.step_one()
        folder = Path(f"/proc/{rounds.process.pid}")
        inodes = {
            line.split()[9]: line.split()[2] for line in (folder / "net" / "tcp").read_text().splitlines()[1:]
        }
        flags = []
        for link in (folder / "fd").iterdir():
            target = os.readlink(link)
            if target.startswith("socket:[") and target[8:-1] in inodes:
                info = (folder / "fdinfo" / link.name).read_text()
                flags.append(int(info.split("flags:")[1].split()[0], 8))
        assert flags and all(f & os.O_CLOEXEC for f in flags)


def test_a_server_that_hangs_up_on_a_body(server):
    refused(get_one("-X", "POST", "-z", "20000000", server.url("/rude")), "connection_failed", outage=True)


# The stop descriptor


@pytest.mark.parametrize("busy", ["/never", "/trickle"])
@pytest.mark.parametrize("how", ["byte", "hang-up"])
def test_stop_in_the_middle(server, how, busy):
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [TOOL, "-s", str(reader), server.url("/never"), server.url(busy), server.url("/ok")],
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[reader],
        env=environment(),
    )
    os.close(reader)
    deadline = time.monotonic() + 10
    while len(server.requests) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.5)  # libcurl's timers at the beginning would end its wait
    start = time.monotonic()
    if how == "byte":
        os.write(writer, b"x")
    os.close(writer)
    output, _ = process.communicate(timeout=10)
    assert time.monotonic() - start < 1
    *waiting, ok = [json.loads(line) for line in output.splitlines()]
    for exchange in waiting:
        refused(exchange, "interrupted")
    assert (ok["result"], ok["body"]) == (0, "hello")


def test_stopped_before_anything_is_sent(server):
    reader, writer = os.pipe()
    os.write(writer, b"x")
    exchanges = get("-s", str(reader), server.url("/ok"), server.url("/ok"), pass_fds=[reader])
    os.close(reader)
    os.close(writer)
    for exchange in exchanges:
        refused(exchange, "interrupted")
    assert server.n_connections == 0


# Proxies


def test_proxy_of_the_environment(server):
    env = environment(http_proxy=f"http://127.0.0.1:{server.port}")
    assert get_one("http://somewhere.invalid/x", env=env)["status"] == 200
    assert server.requests[0][1] == "GET http://somewhere.invalid/x HTTP/1.1"
    exchange = get_one("-N", "http://somewhere.invalid/x", env=env)
    refused(exchange, "connection_failed", outage=True)
    exchange = get_one("http://somewhere.invalid/x", env={**env, "no_proxy": "somewhere.invalid"})
    refused(exchange, "connection_failed", outage=True)
    assert len(server.requests) == 1
