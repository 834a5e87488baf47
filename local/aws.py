"""
AWS on loopback: moto, completed by the refusals of the real services (local.aws_limits), standard queues with the
documented behaviour (local.aws_queue), SNS deliveries (local.aws_sns) and a check of signatures on the bytes
(local.aws_auth).

It is for development and tests: nothing is stored, and nothing leaves the machine.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

# moto reads these when it is imported. The caller's own AWS settings must not reach it.
for name in [name for name in os.environ if name.startswith(("AWS_", "MOTO_"))]:
    del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

from moto.backends import get_backend  # noqa: E402
from moto.iam.models import iam_backends  # noqa: E402
from moto.moto_server.werkzeug_app import (  # noqa: E402
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.secretsmanager.responses import SecretsManagerResponse  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

from local import aws_access, aws_auth, aws_sns, aws_sqs  # noqa: E402

ACCOUNT = "123456789012"
USER = "stack"
DEPLOYER = "deployer"
# By user. The deployer has the permissions of the person who runs terraform.
ACTIONS = {
    USER: ["iam:*", "s3:*", "secretsmanager:*", "sns:*", "sqs:*", "sts:*"],
    DEPLOYER: ["*"],
    **{service: ["sts:AssumeRole"] for service in aws_access.SERVICES},
}


class Handler(MotoRequestHandler):
    """
    HTTP/1.1 with connections that stay open, as AWS's do. werkzeug's own handler closes each connection after one
    answer.
    """

    protocol_version = "HTTP/1.1"
    timeout = 120  # for an idle connection; Go clients, such as terraform's provider, close theirs after 90 s
    disable_nagle_algorithm = True
    one_at_a_time = threading.Lock()

    def run_wsgi(self) -> None:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        status, headers, body = self._call(self.make_environ())
        code, _, phrase = status.partition(" ")
        self.send_response(int(code), phrase)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _call(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        answer: list[Any] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], _exc_info: object = None
        ) -> Callable[[bytes], object]:
            answer[:] = [status, headers]
            return answer.append

        with self._turn():
            body = b"".join(self.server.app(environ, start_response))
        return answer[0], answer[1], body

    def _turn(self) -> AbstractContextManager[Any]:
        """
        A lock, because moto is not thread-safe. Queues are (local.aws_queue), and their long polls must not block
        others.
        """
        is_queue = "/sqs/aws4_request" in self.headers.get("Authorization", "")
        return nullcontext() if is_queue else self.one_at_a_time

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Logs refusals only: one poll a second would hide them."""
        if str(code)[:1] not in "23":
            self.log("warning", '"%s %s" %s %s', self.command, self.path, self.headers.get("X-Amz-Target", "-"), code)

    def log_error(self, format: str, *arguments: object) -> None:
        if not format.startswith("Request timed out"):  # an idle connection was closed
            super().log_error(format, *arguments)


def create_user(name: str, actions: list[str]) -> dict[str, str]:
    """Creates a user who may do `actions` on everything, and returns his key."""
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    backend = iam_backends[ACCOUNT]["aws"]
    backend.create_user("us-east-1", name)
    backend.put_user_policy(name, name, json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    key = backend.create_access_key(name)
    return {"access_key_id": key.access_key_id, "secret_access_key": key.secret_access_key}


def secret_resource(self: Any) -> str:
    """For a policy check: the secret's ARN, if the request names it."""
    return self._get_param("SecretId") or "*"


def build(log: aws_access.RequestLog | None, *, for_terraform: bool) -> aws_auth.Authenticated:
    aws_sqs.install()
    aws_sns.install()
    aws_auth.install()
    aws_access.install(log)
    if for_terraform:
        from local import aws_terraform  # moto needs most of a second to import its services

        aws_terraform.install()
    SecretsManagerResponse._determine_resource = secret_resource  # type: ignore[attr-defined]
    dispatcher = DomainDispatcherApplication(create_backend_app)
    for service in ("iam", "secretsmanager", "sns", "sqs", "sts"):
        get_backend(service)  # imported now, so that the first request need not wait
    return aws_auth.Authenticated(dispatcher, ACCOUNT)


def main() -> int:
    parser = argparse.ArgumentParser(prog="local.aws", description=__doc__)
    parser.add_argument(
        "--ready-fd", type=int, required=True, help="descriptor to write the URL and the user's key to when the server is ready"
    )
    parser.add_argument(
        "--request-log", type=Path, help="file that gets a line for each request: caller, action, resource"
    )
    parser.add_argument("--terraform", action="store_true", help="also serve the calls of terraform's provider")
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    log = aws_access.RequestLog(options.request_log) if options.request_log else None
    server = make_server("127.0.0.1", 0, build(log, for_terraform=options.terraform), threaded=True, request_handler=Handler)
    keys = {name: create_user(name, actions) for name, actions in ACTIONS.items()}
    ready = {"url": f"http://127.0.0.1:{server.server_port}", "account": ACCOUNT, "keys": keys}
    os.write(options.ready_fd, json.dumps(ready).encode())
    os.close(options.ready_fd)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
