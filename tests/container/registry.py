"""
An image registry on loopback with the name and the password of an account's ECR. Clients reach it through a proxy that
maps each host name to it, so names, TLS and login are as on AWS.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import environment
from local.postgres import free_port
from local.process import tail

from .conftest import call

CONFIGURATION = """
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}}}
http:
  addr: 127.0.0.1:{port}
  tls: {{certificate: {folder}/registry.crt, key: {folder}/registry.key}}
auth: {{htpasswd: {{realm: ecr, path: {folder}/htpasswd}}}}
"""


def make_certificate(folder: Path, host: str) -> None:
    subject = ["-subj", "/CN=registry", "-addext", f"subjectAltName=DNS:{host}", "-days", "2"]
    call("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "registry.key", "-out", folder / "registry.crt", *subject)


class Proxy:
    """Connects each CONNECT request, for any host, to one address."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (byte := client.recv(1)):
                return
            head += byte
        target = socket.create_connection(("127.0.0.1", self.target))
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        threading.Thread(target=self._copy, args=(client, target), daemon=True).start()
        self._copy(target, client)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.listener.close()


@dataclass
class Registry:
    folder: Path
    host: str
    password: str
    port: int = 0

    @property
    def certificate(self) -> Path:
        return self.folder / "registry.crt"

    def ask(self, path: str) -> Any:
        """GET /v2/PATH as JSON; None if it does not exist."""
        types = "application/vnd.docker.distribution.manifest.v2+json, application/json, */*"
        login = base64.b64encode(f"AWS:{self.password}".encode()).decode()
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}/v2/{path}", headers={"Accept": types, "Authorization": f"Basic {login}"})
        context = ssl.create_default_context(cafile=self.certificate)
        context.check_hostname = False
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def image(self, name: str, tag: str) -> dict[str, Any] | None:
        """The configuration of an image that was pushed."""
        manifest = self.ask(f"{name}/manifests/{tag}")
        return manifest and self.ask(f"{name}/blobs/{manifest['config']['digest']}")["config"]


@contextlib.contextmanager
def serve(folder: Path, host: str, password: str) -> Iterator[Registry]:
    program = shutil.which("docker-registry")
    if not program:
        pytest.skip("docker-registry is not installed: LONG=1 make deps-test")
    registry = Registry(folder, host, password, free_port())
    make_certificate(folder, host)
    hashed = call("perl", "-e", "print crypt($ARGV[0], q($2y$05$abcdefghijklmnopqrstuu))", password).stdout
    (folder / "htpasswd").write_text(f"AWS:{hashed}\n")
    (folder / "config.yml").write_text(CONFIGURATION.format(folder=folder, port=registry.port))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, "serve", folder / "config.yml"], env=environment.for_tools(), stdout=log, stderr=log)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", registry.port), 1).close()
                break
            assert process.poll() is None, tail(folder / "log")
            threading.Event().wait(0.1)
        yield registry
    finally:
        process.terminate()
        process.wait(30)


def write_pusher(path: Path, builder: str, registry: Registry, proxy: Proxy) -> None:
    """Writes a wrapper of the builder that reaches registries through the proxy, and builds as usual."""
    path.write_text(
        "#!/bin/sh\n"
        f'case $1 in login | push) export HTTPS_PROXY={proxy.url} SSL_CERT_FILE={registry.certificate} NO_PROXY= no_proxy=; esac\n'
        f'exec {shutil.which(builder)} "$@"\n'
    )
    os.chmod(path, 0o755)
