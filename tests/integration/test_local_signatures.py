"""The local AWS accepts a request only with the signature that belongs to its exact bytes."""

import hashlib
import json
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import botocore.auth
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local.cloud import REGION
from local.stack import Stack

TARGET = "AmazonSQS.GetQueueAttributes"


def signed(
    stack: Stack,
    *,
    url: str = "",
    body: bytes = b"{}",
    headers: dict[str, str] | None = None,
    secret: str = "",
    service: str = "sqs",
) -> AWSRequest:
    json_headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": TARGET}
    request = AWSRequest("POST", url or stack.account.url + "/", data=body, headers=headers or json_headers)
    key = Credentials(stack.account.access_key_id, secret or stack.account.secret_access_key)
    SigV4Auth(key, service, REGION).add_auth(request)
    return request


def ask(request: AWSRequest, **changes: Any) -> tuple[int, bytes, dict[str, str]]:
    """Sends the request with changes made after signing. Returns status, body and headers."""
    body = changes.pop("body", request.data)
    headers = {**dict(request.headers.items()), **changes.pop("headers", {})}
    headers = {name: value for name, value in headers.items() if value is not None}
    try:
        url = changes.pop("url", request.url)
        with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers), timeout=10) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def body_of(stack: Stack) -> bytes:
    return json.dumps({"QueueUrl": stack.cloud.loading.queue_url, "AttributeNames": ["All"]}).encode()


def code_of(answer: tuple[int, bytes, dict[str, str]]) -> str:
    assert answer[0] in (400, 403), answer
    error = json.loads(answer[1])
    assert error["message"]
    assert answer[2]["x-amzn-query-error"].endswith(";Sender")
    return str(error["__type"]).rpartition("#")[2]


def test_a_good_signature(stack: Stack) -> None:
    assert ask(signed(stack, body=body_of(stack)))[0] == 200


def test_requests_that_were_changed_after_signing(stack: Stack) -> None:
    request = signed(stack, body=body_of(stack))
    good = request.headers["Authorization"]
    last = "0" if good[-1] != "0" else "1"
    changes: dict[str, dict[str, Any]] = {
        "body": {"body": body_of(stack) + b" "},
        "signature": {"headers": {"Authorization": good[:-1] + last}},
        "target": {"headers": {"X-Amz-Target": "AmazonSQS.PurgeQueue"}},
        "date": {"headers": {"X-Amz-Date": request.headers["X-Amz-Date"][:-2] + "0Z"}},
        "path": {"url": stack.account.url + "/x"},
        "query": {"url": stack.account.url + "/?Action=x"},
        "content type": {"headers": {"Content-Type": "application/x-amz-json-1.1"}},
        "region": {"headers": {"Authorization": good.replace(f"/{REGION}/", "/us-east-1/")}},
    }
    if changes["date"]["headers"]["X-Amz-Date"] == request.headers["X-Amz-Date"]:
        changes["date"]["headers"]["X-Amz-Date"] = request.headers["X-Amz-Date"][:-2] + "1Z"
    codes = {name: code_of(ask(request, **change)) for name, change in changes.items()}
    assert codes == dict.fromkeys(changes, "InvalidSignatureException")


def test_a_declared_hash_is_compared_with_the_body(stack: Stack) -> None:
    body = body_of(stack)
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": TARGET,
        "X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest(),
    }
    request = signed(stack, body=body, headers=headers)
    assert ask(request)[0] == 200
    assert code_of(ask(request, body=body + b" ")) == "InvalidSignatureException"
    headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
    assert code_of(ask(signed(stack, body=body, headers=headers))) == "InvalidSignatureException"


def test_keys(stack: Stack) -> None:
    body = body_of(stack)
    assert code_of(ask(signed(stack, body=body, secret="wrong"))) == "InvalidSignatureException"
    request = signed(stack, body=body)
    unknown = request.headers["Authorization"].replace(stack.account.access_key_id, "AKIAUNKNOWNUNKNOWNUN")
    assert code_of(ask(request, headers={"Authorization": unknown})) == "UnrecognizedClientException"
    assert code_of(ask(request, headers={"Authorization": None})) == "MissingAuthenticationTokenException"
    assert code_of(ask(request, headers={"Authorization": "AWS4-HMAC-SHA256 x"})) == "IncompleteSignatureException"


def test_headers_that_must_be_signed(stack: Stack) -> None:
    request = signed(stack, body=body_of(stack))
    assert code_of(ask(request, headers={"X-Amz-Meta": "added"})) == "InvalidSignatureException"


@pytest.mark.parametrize(("minutes", "status"), [(-6, 400), (-4, 200), (4, 200), (6, 400)])
def test_the_clock(stack: Stack, monkeypatch: pytest.MonkeyPatch, minutes: int, status: int) -> None:
    moment = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda remove_tzinfo=True: moment.replace(tzinfo=None))
    answer = ask(signed(stack, body=body_of(stack)))
    assert answer[0] == status
    if status != 200:
        message = json.loads(answer[1])["message"]
        assert ("expired" if minutes < 0 else "not yet current") in message
        assert "Date" in answer[2], "clients correct their clocks with it"


def test_a_form_is_checked_in_the_format_that_was_sent(stack: Stack) -> None:
    """SNS: a client may escape more than boto3 does, in any order. A bad signature is answered in XML."""
    message = quote("a ~é", safe="").replace("~", "%7E")
    form = (
        f"Message={message}&TopicArn={quote(stack.cloud.loading.topic_arn)}&Version=2010-03-31&Action=Publish".encode()
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask(signed(stack, body=form, headers=headers, service="sns"))[0] == 200
    status, text, _ = ask(signed(stack, body=form, headers=headers, service="sns"), body=form + b"&Subject=x")
    assert status == 403
    assert ElementTree.fromstring(text).findtext("Error/Code") == "SignatureDoesNotMatch"
    sqs = stack.account.client("sqs")
    received = sqs.receive_message(QueueUrl=stack.cloud.loading.queue_url)["Messages"]
    assert [m["Body"] for m in received] == ["a ~é"]
    sqs.delete_message(QueueUrl=stack.cloud.loading.queue_url, ReceiptHandle=received[0]["ReceiptHandle"])


def test_checking_cannot_be_switched_off(stack: Stack) -> None:
    """moto's own control pages cannot be reached."""
    request = urllib.request.Request(stack.account.url + "/moto-api/reset-auth", data=b"1000")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    with caught.value as error:
        assert error.code == 404
    assert code_of(ask(signed(stack, secret="wrong"))) == "InvalidSignatureException"


def test_an_assumed_role(stack: Stack) -> None:
    """Its key needs its token, and its policy decides."""
    iam, sts = stack.account.client("iam"), stack.account.client("sts")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": "sqs:GetQueueAttributes", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName="reader", PolicyName="read", PolicyDocument=policy)
    key = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]

    def client(**changes: str) -> Any:
        options = {
            "aws_access_key_id": key["AccessKeyId"],
            "aws_secret_access_key": key["SecretAccessKey"],
            "aws_session_token": key["SessionToken"],
        }
        return stack.account.client("sqs", **(options | changes))

    url = stack.cloud.loading.queue_url
    assert client().get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    with pytest.raises(ClientError) as caught:
        client(aws_session_token="other").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"
    with pytest.raises(ClientError) as caught:
        client().purge_queue(QueueUrl=url)
    assert "AccessDenied" in caught.value.response["Error"]["Code"]
