"""Writes requests signed by botocore as cases in the format of AWS's published SigV4 test suite.

botocore encodes the parts of a query itself, so it gets them decoded (params). The spelling as sent is only in
request.txt.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


class UnnormalizedSigV4Auth(SigV4Auth):
    """Does not normalise the path. botocore has this only for S3, but AWS's suite has it for any service."""

    def _normalize_url_path(self, path):
        return quote(path or "/", safe="/~")


@dataclass
class Case:
    name: str
    method: str = "GET"
    path: str = "/"  # as sent
    query: str | None = None  # as sent
    params: list[tuple[str, str]] = field(default_factory=list)  # the same, decoded
    headers: list[tuple[str, str]] = field(default_factory=list)  # with Host; values may be folded
    body: bytes = b""
    normalize: bool = True
    omit_session_token: bool = False
    access_key_id: str = "AKIDORACLE"
    secret_access_key: str = "secret"
    token: str | None = None
    region: str = "eu-central-1"
    service: str = "sqs"
    timestamp: datetime = datetime(2024, 2, 29, 23, 59, 59, tzinfo=timezone.utc)

    @property
    def sign_body(self):
        return self.service == "s3"

    def signer(self):
        credentials = Credentials(
            self.access_key_id, self.secret_access_key, None if self.omit_session_token else self.token
        )
        if self.service == "s3":
            return S3SigV4Auth(credentials, self.service, self.region)
        if self.normalize:
            return SigV4Auth(credentials, self.service, self.region)
        return UnnormalizedSigV4Auth(credentials, self.service, self.region)

    def sign(self):
        """botocore's canonical request, string to sign, signature and Authorization, at our time."""
        request = AWSRequest(self.method, "https://ignored.example.com" + self.path, data=self.body, params=self.params)
        for name, value in self.headers:
            request.headers.add_header(name, value)
        request.context["timestamp"] = self.timestamp.strftime("%Y%m%dT%H%M%SZ")
        signer = self.signer()
        signer._modify_request_before_signing(request)
        canonical = signer.canonical_request(request)
        to_sign = signer.string_to_sign(request, canonical)
        signature = signer.signature(to_sign, request)
        signer._inject_signature_to_request(request, signature)
        return canonical, to_sign, signature, request.headers

    def head(self):
        target = self.path + ("" if self.query is None else "?" + self.query)
        return "".join([f"{self.method} {target} HTTP/1.1\n", *[f"{n}:{v}\n" for n, v in self.headers]])

    def context(self):
        credentials = {"access_key_id": self.access_key_id, "secret_access_key": self.secret_access_key}
        if self.token:
            credentials["token"] = self.token
        return {
            "credentials": credentials,
            "expiration_in_seconds": 3600,
            "normalize": self.normalize,
            "omit_session_token": self.omit_session_token,
            "region": self.region,
            "service": self.service,
            "sign_body": self.sign_body,
            "timestamp": self.timestamp.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def write(self, parent):
        canonical, to_sign, signature, signed = self.sign()
        added = [("X-Amz-Security-Token", self.token)] if self.token else []
        added.append(("X-Amz-Date", signed["X-Amz-Date"]))
        if self.sign_body:
            added.append(("x-amz-content-sha256", signed["X-Amz-Content-SHA256"]))
        added.append(("Authorization", signed["Authorization"]))
        signed_head = self.head() + "".join(f"{n}:{v}\n" for n, v in added)
        empty_line = b"\n" if self.body else b""

        folder = Path(parent) / self.name
        folder.mkdir(parents=True)
        files = {
            "context.json": (json.dumps(self.context(), indent=4) + "\n").encode(),
            "request.txt": self.head().encode() + empty_line + self.body,
            "header-canonical-request.txt": canonical.encode(),
            "header-string-to-sign.txt": to_sign.encode(),
            "header-signature.txt": signature.encode(),
            "header-signed-request.txt": signed_head.encode() + b"\n" + self.body,
        }
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder
