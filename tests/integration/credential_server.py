"""
An HTTP server on loopback that plays the sources of credentials: a container endpoint, EC2's instance metadata, STS
and SSO. It records every request and follows a test's script.
"""

import json
import re
import threading
import urllib.parse
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "s3cr3t/of+the=server"
TOKEN = "t0ken/of+the=server"


def in_minutes(minutes):
    return (datetime.now(timezone.utc) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Request:
    method: str
    path: str
    headers: dict
    body: bytes

    @property
    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def signer(self):
        """The access key id that signed the request. None: it is not signed."""
        match = re.search(r"Credential=([^/]+)/", self.headers.get("authorization", ""))
        return match and match[1]


@dataclass
class Answer:
    status: int = 200
    body: str = ""
    headers: dict = field(default_factory=dict)


def keys(access_key_id, minutes=60, **more):
    """An answer with keys, as container endpoints and instance metadata write it."""
    return Answer(
        body=json.dumps(
            {
                "AccessKeyId": access_key_id,
                "SecretAccessKey": SECRET,
                "Token": TOKEN,
                "Expiration": in_minutes(minutes),
                **more,
            }
        )
    )


def sts_keys(access_key_id, action="AssumeRole", minutes=60):
    return Answer(
        body=f"""<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>
        <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>R:s</AssumedRoleId></AssumedRoleUser>
        <Credentials><AccessKeyId>{access_key_id}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>
        <SessionToken>{TOKEN}</SessionToken><Expiration>{in_minutes(minutes)}</Expiration></Credentials>
        </{action}Result><ResponseMetadata><RequestId>x</RequestId></ResponseMetadata></{action}Response>"""
    )


def sts_error(code, message="a message", status=403, **headers):
    text = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, f'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{text}</ErrorResponse>', headers)


def sts(request):
    """A small STS. The name of the new key has the role, the key that signed the request, and the token."""
    form = request.form
    parts = [form["RoleArn"].rsplit("/", 1)[-1]]
    parts += [f"{name}-{form[name]}" for name in ("ExternalId", "DurationSeconds") if name in form]
    if not re.match("botocore-session-|stactools-ingest-", form["RoleSessionName"]):
        parts.append(form["RoleSessionName"])
    parts.append(form.get("WebIdentityToken") or request.signer)
    return sts_keys(".".join(parts), form["Action"])


def sso(request):
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.path).query))
    expiration = int((datetime.now(timezone.utc) + timedelta(hours=1)).timestamp() * 1000)
    role = {
        "accessKeyId": f"sso.{query['account_id']}.{query['role_name']}.{request.headers['x-amz-sso_bearer_token']}",
        "secretAccessKey": SECRET,
        "sessionToken": TOKEN,
        "expiration": expiration,
    }
    return Answer(body=json.dumps({"roleCredentials": role}))


HANG = "hang"  # does not answer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        step = self.server.take(request)
        step = step(request) if callable(step) else step
        if step == HANG:
            self.close_connection = True
            self.server.released.wait(30)
            return
        content = step.body.encode()
        self.send_response_only(step.status)
        for name, value in {"Date": formatdate(usegmt=True), "Content-Length": len(content), **step.headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = answer


class CredentialServer(ThreadingHTTPServer):
    """Each request takes the next step of the script: an Answer, or a function of the request. The last step repeats."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.requests = []
        self.script = [Answer(404)]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def steps(self, *script):
        with self.lock:
            self.script, self.requests = list(script), []

    def take(self, request):
        with self.lock:
            self.requests.append(request)
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def handle_error(self, *_):
        pass  # clients that hang up are part of some tests

    def end(self):
        self.released.set()
        self.shutdown()
        self.server_close()
