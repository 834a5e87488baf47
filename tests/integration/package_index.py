"""A package index on loopback (PEP 503) over a directory of wheels, which fails when a test asks for it."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class PackageIndex:
    """`faults`: by the beginning of a path, the status of its answer, or "cut": half of the file."""

    def __init__(self, wheels: Path) -> None:
        self.wheels = wheels
        self.faults: dict[str, int | str] = {}
        self.yanked: set[str | None] = set()  # files
        self.mistaken: set[str | None] = set()  # files that are listed with a wrong digest
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _page(self, package: str) -> bytes:
        files = [path for path in self.wheels.iterdir() if path.name.partition("-")[0].replace("_", "-") == package]
        return "".join(self._link(path) for path in files).encode()

    def _link(self, path: Path) -> str:
        digest = "0" * 64 if path.name in self.mistaken else hashlib.sha256(path.read_bytes()).hexdigest()
        yanked = "data-yanked" if path.name in self.yanked else ""
        return f'<a href="/files/{path.name}#sha256={digest}" {yanked}>{path.name}</a>\n'

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        faults = [fault for start, fault in self.faults.items() if request.path.startswith(start)]
        kind, name = request.path.strip("/").split("/")
        status, content = 200, b""
        if faults and isinstance(faults[0], int):
            status = faults[0]
        elif kind == "simple":
            content = self._page(name)
            status = 200 if content else 404
        else:
            content = (self.wheels / name).read_bytes()
        request.send_response(status)
        request.send_header("Content-Type", "text/html" if kind == "simple" else "application/octet-stream")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content[: len(content) // 2] if "cut" in faults else content)
