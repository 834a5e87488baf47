"""An HTTP server on loopback that follows a test's script, for faults that no real server produces on demand."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Answer:
    status: int = 200
    body: bytes | str = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None  # announced instead of the body's real length


def reply(value: object, status: int = 200, **headers: str) -> Answer:
    """A JSON answer."""
    return Answer(status, json.dumps(value), {"Content-Type": "application/x-amz-json-1.0", **headers})


def error(kind: str, status: int = 400, message: str = "a message", **headers: str) -> Answer:
    return reply({"__type": f"com.amazonaws.sqs#{kind}", "message": message}, status, **headers)


def xml(text: str, status: int = 200) -> Answer:
    return Answer(status, text, {"Content-Type": "text/xml"})


RESET = "reset"  # closes the connection without an answer
CUT = "cut"  # closes it in the middle of an answer
HANG = "hang"  # does not answer

Step = Answer | str | Callable[[Request], Answer]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "ScriptedServer"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.requestline.split(" ")[1]  # self.path lacks a second "/" at its beginning
        request = Request(self.command, path, {k.lower(): v for k, v in self.headers.items()}, body, time.monotonic())
        step = self.server.take(request)
        if callable(step):
            step = step(request)
        if isinstance(step, Answer):
            self.send(step)
        else:
            self.fail(step)

    do_GET = do_POST = do_PUT = answer

    def send(self, answer: Answer) -> None:
        body = answer.body.encode() if isinstance(answer.body, str) else answer.body
        self.send_response_only(answer.status)
        headers = {"Date": formatdate(usegmt=True), "Content-Length": str(answer.length or len(body)), **answer.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def fail(self, how: str) -> None:
        self.close_connection = True
        if how == HANG:
            self.server.released.wait(30)
        if how == CUT:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            self.wfile.flush()
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class ScriptedServer(ThreadingHTTPServer):
    """Each request takes the next step of the script. The last step repeats."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.requests: list[Request] = []
        self.script: list[Step] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def steps(self, *script: Step) -> None:
        with self.lock:
            self.script, self.requests = list(script), []

    def take(self, request: Request) -> Step:
        with self.lock:
            self.requests.append(request)
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def handle_error(self, *_: object) -> None:
        pass  # clients that hang up are part of the tests

    def end(self) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()
