"""
Identifies the caller: checks signature version 4 on the request's own bytes before moto sees the request.

moto checks signatures too, but on a parsed and rewritten form. It believes X-Amz-Content-Sha256 without looking at the
body, and ignores clock and expiry. Sources: the IAM user guide, "Create a signed AWS API request" and "Troubleshoot".
botocore, which signs for boto3, computes the signatures. moto's policy check then decides what the caller may do.
"""

import hashlib
import hmac
import io
import json
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape, unescape

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.iam.access_control import IAMRequestBase
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from werkzeug.datastructures import EnvironHeaders

Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Any], Iterable[bytes]]

BODY_MAX = 64 * 1024 * 1024
SKEW = timedelta(minutes=5)
SKEW_S3 = timedelta(minutes=15)
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED_ACTION = "AssumeRoleWithWebIdentity"

# The names that JSON services give to the same refusals ("Common errors").
JSON_NAMES = {
    "AccessDenied": "AccessDeniedException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "IncompleteSignature": "IncompleteSignatureException",
    "ExpiredToken": "ExpiredTokenException",
}


class Denied(Exception):
    def __init__(self, code: str, message: str, service: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.service = service


@dataclass
class Signature:
    """The parts of an Authorization header."""

    key_id: str
    date: str
    region: str
    service: str
    headers: list[str]
    signature: str


_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([^/,\s]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})"
)


def parse_authorization(header: str) -> Signature:
    match = _AUTHORIZATION.fullmatch(header.strip())
    if not match:
        raise Denied("IncompleteSignature", "Authorization header is not of the form of AWS4-HMAC-SHA256.")
    key_id, date, region, service, headers, signature = match.groups()
    return Signature(key_id, date, region, service, headers.split(";"), signature)


def find_credentials(key_id: str, token: str | None, account: str, now: datetime) -> Credentials:
    """
    Returns the secret that belongs to a key: of an IAM user, or of an assumed role with its token and expiry time.
    """
    for user in iam_backends[account]["aws"].list_users("/", None, None):
        for key in user.access_keys:
            if key.access_key_id == key_id and key.status == "Active" and token is None:
                return Credentials(key_id, key.secret_access_key)
    for role in sts_backends[account]["aws"].assumed_roles:
        if role.access_key_id == key_id and token is not None and hmac.compare_digest(role.session_token, token):
            if role.expiration.replace(tzinfo=timezone.utc) <= now:
                raise Denied("ExpiredToken", "The security token included in the request is expired")
            return Credentials(key_id, role.secret_access_key, token)
    raise Denied("InvalidClientTokenId", "The security token included in the request is invalid.")


def check_time(signature: Signature, stamp: str, now: datetime) -> None:
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        raise Denied("IncompleteSignature", f"Date must be in ISO-8601 'basic format'. Got '{stamp}'.") from None
    if stamp[:8] != signature.date:
        raise Denied(
            "SignatureDoesNotMatch",
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{signature.date}' != '{stamp[:8]}', from '{stamp}'.",
        )
    skew = SKEW_S3 if signature.service == "s3" else SKEW
    if abs(signed_at - now) <= skew:
        return
    if signature.service == "s3":
        raise Denied(
            "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
        )
    limit = now - skew if signed_at < now else now + skew
    relation = (
        "Signature expired: {} is now earlier than {}"
        if signed_at < now
        else "Signature not yet current: {} is still later than {}"
    )
    raise Denied("SignatureDoesNotMatch", relation.format(stamp, limit.strftime("%Y%m%dT%H%M%SZ")))


def check_payload(declared: str | None, service: str, body: bytes) -> None:
    if declared is None or (service == "s3" and (declared == "UNSIGNED-PAYLOAD" or declared.startswith("STREAMING-"))):
        return
    if not hmac.compare_digest(declared, hashlib.sha256(body).hexdigest()):
        code = "XAmzContentSHA256Mismatch" if service == "s3" else "SignatureDoesNotMatch"
        raise Denied(code, "The provided 'x-amz-content-sha256' header does not match what was computed.")


def check_signed_headers(signature: Signature, names: Iterable[str]) -> None:
    wanted = {"host"} | {name for name in names if name.startswith("x-amz-")}
    if missing := sorted(wanted - set(signature.headers)):
        raise Denied("SignatureDoesNotMatch", f"'{missing[0]}' must be a 'SignedHeader' in the AWS Authorization.")


def expected_signature(signature: Signature, credentials: Credentials, environ: Environ, body: bytes) -> str:
    headers = {k.lower(): v for k, v in EnvironHeaders(environ).items()}
    request = AWSRequest(
        method=environ["REQUEST_METHOD"],
        url=f"http://{environ['HTTP_HOST']}{environ['REQUEST_URI']}",
        data=body,
        headers={name: headers[name] for name in signature.headers if name in headers},
    )
    request.context["timestamp"] = headers["x-amz-date"]
    kind = S3SigV4Auth if signature.service == "s3" else SigV4Auth
    auth = kind(credentials, signature.service, signature.region)
    calculated: str = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return calculated


def is_never_signed(environ: Environ, body: bytes) -> bool:
    actions = parse_qs(body.decode("latin-1")).get("Action", [])
    is_plain = not environ.get("QUERY_STRING") and "HTTP_X_AMZ_TARGET" not in environ
    return is_plain and actions == [UNSIGNED_ACTION]


def check(environ: Environ, body: bytes, account: str, now: datetime) -> None:
    """Raises Denied unless the request is signed by a known key, or is one that is never signed."""
    authorization = environ.get("HTTP_AUTHORIZATION")
    if not authorization:
        if is_never_signed(environ, body):
            return
        raise Denied("MissingAuthenticationToken", "Request is missing Authentication Token")
    signature = parse_authorization(authorization)
    try:
        names = {name.lower() for name, _ in EnvironHeaders(environ).items()}
        check_signed_headers(signature, names)
        check_time(signature, environ.get("HTTP_X_AMZ_DATE", ""), now)
        credentials = find_credentials(signature.key_id, environ.get("HTTP_X_AMZ_SECURITY_TOKEN"), account, now)
        check_payload(environ.get("HTTP_X_AMZ_CONTENT_SHA256"), signature.service, body)
        if not hmac.compare_digest(expected_signature(signature, credentials, environ, body), signature.signature):
            raise Denied(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details.",
            )
    except Denied as denied:
        denied.service = signature.service
        raise


def render(denied: Denied, is_json: bool) -> tuple[str, list[tuple[str, str]], bytes]:
    """Returns status, headers and body in the format of the service's protocol."""
    request_id = str(uuid.uuid4())
    headers = [("x-amzn-RequestId", request_id)]
    if is_json:
        kind = f"com.amazon.coral.service#{JSON_NAMES.get(denied.code, denied.code)}"
        body = json.dumps({"__type": kind, "message": denied.message}).encode()
        headers += [("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-query-error", f"{denied.code};Sender")]
        return "400 Bad Request", headers, body
    inner = f"<Code>{denied.code}</Code><Message>{escape(denied.message)}</Message>"
    if denied.service == "s3":
        text = f"<Error>{inner}<RequestId>{request_id}</RequestId></Error>"
    else:
        error = f"<Error><Type>Sender</Type>{inner}</Error>"
        text = f"<ErrorResponse>{error}<RequestId>{request_id}</RequestId></ErrorResponse>"
    return "403 Forbidden", [*headers, ("Content-Type", "text/xml")], text.encode()


class Authenticated:
    """A WSGI application in front of moto. It hides moto's own control pages."""

    def __init__(self, app: WsgiApp, account: str) -> None:
        self._app = app
        self._account = account

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > BODY_MAX or "HTTP_TRANSFER_ENCODING" in environ:
            start_response("411 Length Required", [("Connection", "close")])
            return [b""]
        body = environ["wsgi.input"].read(length)
        if environ["PATH_INFO"].startswith("/moto-api"):
            start_response("404 Not Found", [])
            return [b""]
        is_json = environ.get("CONTENT_TYPE", "").startswith("application/x-amz-json")
        try:
            check(environ, body, self._account, datetime.now(timezone.utc))
            status, headers, text = self._ask(environ, body)
            if is_json and status.startswith("403"):
                raise policy_refusal(text)
        except Denied as denied:
            status, headers, text = render(denied, is_json)
        except NotImplementedError as missing:  # an error in moto; clients would retry status 500 for minutes
            _, headers, text = render(Denied("NotImplemented", str(missing)), is_json)
            status = "501 Not Implemented"
        start_response(status, headers)
        return [text]

    def _ask(self, environ: Environ, body: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
        """Calls moto and returns its answer."""
        answer: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
            answer[:] = [status, headers]

        environ["wsgi.input"] = io.BytesIO(body)
        chunks = self._app(environ, start_response)
        try:
            text = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        return answer[0], answer[1], text


def policy_refusal(text: bytes) -> Denied:
    """Converts an error that moto wrote in XML to the service's protocol."""
    message = re.search(rb"<Message>(.*?)</Message>", text, re.DOTALL)
    return Denied("AccessDenied", unescape(message[1].decode()) if message else "Access Denied")


def install() -> None:
    """Turns on moto's policy check. The signature has been checked before."""
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    IAMRequestBase.check_signature = lambda self: None  # type: ignore[method-assign]
    authorize = ActionAuthenticatorMixin._authenticate_and_authorize_action

    def authorize_signed(self: Any, iam_request_cls: type, resource: str = "*") -> None:
        if "Authorization" in self.headers:
            authorize(self, iam_request_cls, resource)

    ActionAuthenticatorMixin._authenticate_and_authorize_action = authorize_signed  # type: ignore[method-assign]
