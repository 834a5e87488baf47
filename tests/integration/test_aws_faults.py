"""lib/aws and lib/sqs against faults that no server produces on demand: how often they try, and the results."""

import contextlib
import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aws_tool import LATER, NEVER, Tool, environment, has_failed
from scripted_server import CUT, HANG, RESET, Answer, Request, ScriptedServer, error, reply, xml

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/q"
TOPIC = "arn:aws:sns:eu-west-2:123456789012:t"
KEY, SECRET, TOKEN = "AKIAEXAMPLEEXAMPLE00", "the-secret-of-the-test", "the-token-of-the-test"
NO_MESSAGES = reply({})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    running = ScriptedServer()
    yield running
    running.end()


@pytest.fixture
def env(server: ScriptedServer) -> dict[str, str]:
    return environment(server.url, KEY, SECRET, AWS_SESSION_TOKEN=TOKEN)


@pytest.fixture
def tool(env: dict[str, str]) -> Iterator[Tool]:
    with Tool(env) as running:
        yield running


def message(body: str = "hello", md5: str | None = None) -> dict[str, Any]:
    digest = md5 or hashlib.md5(body.encode()).hexdigest()
    return {"MessageId": "m", "ReceiptHandle": "h", "Body": body, "MD5OfBody": digest}


def all_good(request: Request) -> Answer:
    """Accepts every entry of a batch."""
    return reply({"Successful": [{"Id": e["Id"]} for e in request.json["Entries"]], "Failed": []})


def send(tool: Tool, n: int = 1) -> dict[str, Any]:
    return tool("send", queue_url=QUEUE, entries=[{"body": f"m{i}"} for i in range(n)])


def info(tool: Tool) -> dict[str, Any]:
    return tool("info", queue_url=QUEUE)


INFO = reply({"Attributes": {"VisibilityTimeout": "30"}})


@pytest.mark.parametrize(
    "fault",
    [
        Answer(500),
        Answer(502, "<html><h1>Bad Gateway</h1></html>", {"Content-Type": "text/html"}),
        error("InternalFailure", 500),
        error("RequestThrottled"),
        error("ThrottlingException"),
        Answer(429),
        error("RequestTimeout"),
        RESET,
        CUT,
    ],
    ids=lambda f: f if isinstance(f, str) else f"{f.status}-{len(f.body)}",
)
def test_retried_faults(server: ScriptedServer, tool: Tool, fault: Answer | str) -> None:
    server.steps(fault, INFO)
    answer = info(tool)
    assert answer["result"] == 0 and answer["visibility_s"] == 30
    assert len(server.requests) == 2 and answer["retries"] == 1


@pytest.mark.parametrize(
    ("fault", "code", "outage"),
    [
        (Answer(503), "service_unavailable", True),
        (Answer(504, "<html>"), "service_unavailable", True),
        (error("RequestThrottled"), "throttled", False),
        (xml("<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>", 400), "throttled", False),
        (RESET, "connection_failed", True),
    ],
)
def test_three_attempts(server: ScriptedServer, tool: Tool, fault: Answer | str, code: str, outage: bool) -> None:
    server.steps(fault)
    assert has_failed(info(tool), LATER, code, outage)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("fault", "result", "code", "outage"),
    [
        (error("QueueDoesNotExist"), NEVER, "aws_error", False),
        (error("AccessDeniedException"), NEVER, "access_denied", False),
        (xml("<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", 403), NEVER, "access_denied", False),
        (error("UnrecognizedClientException"), LATER, "credentials_refused", True),
        (Answer(403), LATER, "service_unavailable", True),
        (Answer(407, "<html>who are you?</html>"), LATER, "service_unavailable", True),
        (Answer(301, "", {"Location": "http://127.0.0.1:1/"}), LATER, "service_unavailable", True),
        (Answer(200, '{"Attributes": '), LATER, "invalid_answer", True),
        (Answer(200, "<html>welcome to this hotel</html>"), LATER, "invalid_answer", True),
        (Answer(200, "[]"), LATER, "invalid_answer", True),
        (Answer(200, ""), LATER, "invalid_answer", True),
        (reply({"Attributes": {}}), LATER, "invalid_answer", True),
    ],
)
def test_errors_that_are_not_retried(
    server: ScriptedServer, tool: Tool, fault: Answer, result: int, code: str, outage: bool
) -> None:
    server.steps(fault)
    assert has_failed(info(tool), result, code, outage)
    assert len(server.requests) == 1


def test_connection_refused(env: dict[str, str]) -> None:
    with Tool({**env, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}) as tool:
        assert has_failed(info(tool), LATER, "connection_failed", outage=True)


def test_retry_after(server: ScriptedServer, tool: Tool) -> None:
    server.steps(error("InternalFailure", 500, **{"x-amz-retry-after": "700"}), INFO)
    assert info(tool)["result"] == 0
    assert 0.7 <= server.requests[1].at - server.requests[0].at < 1.5


def test_the_quota_limits_retries(server: ScriptedServer, tool: Tool) -> None:
    server.steps(Answer(500))
    answers = [info(tool) for _ in range(20)]
    assert all(has_failed(a, LATER, "service_unavailable", outage=True) for a in answers)
    assert answers[-1]["retries"] == 35 and len(server.requests) == 20 + 35
    server.steps(INFO)
    for _ in range(4):  # each success earns one token: 10 and 4 pay for one retry
        assert info(tool)["result"] == 0
    server.steps(Answer(500), INFO)
    assert info(tool)["retries"] == 36


# Receiving


def test_a_lost_receive_is_not_retried(server: ScriptedServer, tool: Tool) -> None:
    for fault in (RESET, CUT):
        server.steps(fault)
        assert has_failed(tool("receive", queue_url=QUEUE), LATER, "connection_failed", outage=True)
        assert len(server.requests) == 1


def test_a_throttled_receive_is_retried(server: ScriptedServer, tool: Tool) -> None:
    server.steps(error("RequestThrottled"), Answer(503), reply({"Messages": [message()]}))
    answer = tool("receive", queue_url=QUEUE)
    assert [m["body"] for m in answer["messages"]] == ["hello"] and len(server.requests) == 3


def test_messages_do_not_wait_for_another_receive(server: ScriptedServer, tool: Tool) -> None:
    server.steps(Answer(500), reply({"Messages": [message()]}))
    answer = tool("receive", queue_url=QUEUE, requests=3)
    assert answer["result"] == 0 and len(answer["messages"]) == 2
    assert len(server.requests) == 3
    server.steps(Answer(200, "no JSON"), reply({"Messages": [message()]}))
    assert len(tool("receive", queue_url=QUEUE, requests=2)["messages"]) == 1


def test_the_request_of_a_receive(server: ScriptedServer, tool: Tool) -> None:
    server.steps(NO_MESSAGES)
    tool("receive", queue_url=QUEUE, max=7, wait_s=3, visibility_s=90)
    (request,) = server.requests
    assert request.json == {
        "QueueUrl": QUEUE,
        "MaxNumberOfMessages": 7,
        "WaitTimeSeconds": 3,
        "VisibilityTimeout": 90,
        "MessageSystemAttributeNames": [
            "ApproximateReceiveCount",
            "SentTimestamp",
            "ApproximateFirstReceiveTimestamp",
        ],
        "MessageAttributeNames": ["All"],
    }
    assert request.headers["x-amz-target"] == "AmazonSQS.ReceiveMessage"
    assert request.headers["content-type"] == "application/x-amz-json-1.0"
    assert request.headers["x-amz-security-token"] == TOKEN
    assert f"Credential={KEY}/" in request.headers["authorization"]
    assert "/eu-west-1/sqs/aws4_request" in request.headers["authorization"]  # signed for the queue's region, not AWS_REGION
    tool("receive", queue_url=QUEUE)
    assert "VisibilityTimeout" not in server.requests[-1].json


def test_damaged_bodies_are_dropped(server: ScriptedServer, tool: Tool) -> None:
    server.steps(reply({"Messages": [message("one"), message("two", md5="0" * 32), message("three")]}))
    answer = tool("receive", queue_url=QUEUE, max=3)
    assert [m["body"] for m in answer["messages"]] == ["one", "three"] and answer["full"] == 1


def test_huge_answers(server: ScriptedServer, tool: Tool) -> None:
    server.steps(reply({"Messages": [message("é" * 1000000) for _ in range(5)]}))  # 30 MB of escapes
    assert len(tool("receive", queue_url=QUEUE)["messages"]) == 5
    for length in (None, 40 * 2**20):
        server.steps(Answer(200, b"x" * (33 * 2**20 if length is None else 1000), length=length))
        answer = tool("receive", queue_url=QUEUE)
        assert has_failed(answer, LATER, "response_too_large") and len(server.requests) == 1
    server.steps(Answer(200, b"x" * (2**20 + 1)))
    assert has_failed(info(tool), LATER, "response_too_large") and len(server.requests) == 1


def test_the_stop_descriptor_ends_a_receive(server: ScriptedServer, env: dict[str, str]) -> None:
    server.steps(HANG)
    with Tool(env, stop_after_ms=300) as tool:
        began = time.monotonic()
        assert has_failed(tool("receive", queue_url=QUEUE, wait_s=20), LATER, "interrupted")
        assert time.monotonic() - began < 2
        assert len(server.requests) == 1
        assert has_failed(info(tool), LATER, "interrupted") and len(server.requests) == 1


def test_the_stop_descriptor_ends_a_back_off(server: ScriptedServer, env: dict[str, str]) -> None:
    server.steps(error("InternalFailure", 500, **{"x-amz-retry-after": "4500"}), INFO)
    with Tool(env, stop_after_ms=300) as tool:
        began = time.monotonic()
        assert has_failed(info(tool), LATER, "service_unavailable", outage=True)
        assert time.monotonic() - began < 2 and len(server.requests) == 1


# Batches


def failed(entry: str, code: str, sender: bool = False) -> dict[str, Any]:
    return {"Id": entry, "SenderFault": sender, "Code": code, "Message": "a message"}


def test_batches_are_sent_in_tens(server: ScriptedServer, tool: Tool) -> None:
    server.steps(all_good)
    handles = [f"h{i}" for i in range(25)]
    answer = tool("delete", queue_url=QUEUE, handles=handles + handles)
    assert [e["result"] for e in answer["entries"]] == [0] * 50
    sent = [e for r in server.requests for e in r.json["Entries"]]
    assert sorted(len(r.json["Entries"]) for r in server.requests) == [5, 10, 10]
    assert sorted(e["ReceiptHandle"] for e in sent) == sorted(handles)  # each handle once
    assert all(len({e["Id"] for e in r.json["Entries"]}) == len(r.json["Entries"]) for r in server.requests)


def test_only_failed_entries_are_retried(server: ScriptedServer, tool: Tool) -> None:
    first = reply({"Successful": [{"Id": "0"}], "Failed": [failed("1", "InternalError"), failed("2", "InternalError")]})
    second = reply({"Successful": [{"Id": "1"}], "Failed": [failed("0", "InternalError")]})
    server.steps(first, second, all_good)
    answer = tool("delete", queue_url=QUEUE, handles=["a", "b", "c"])
    assert [e["result"] for e in answer["entries"]] == [0, 0, 0]
    assert [[e["ReceiptHandle"] for e in r.json["Entries"]] for r in server.requests] == [["a", "b", "c"], ["b", "c"], ["b"]]


def test_an_entry_that_keeps_failing(server: ScriptedServer, tool: Tool) -> None:
    def answer(request: Request) -> Answer:
        bad = [e["Id"] for e in request.json["Entries"] if e["ReceiptHandle"] == "b"]
        good = [{"Id": e["Id"]} for e in request.json["Entries"] if e["ReceiptHandle"] != "b"]
        return reply({"Successful": good, "Failed": [failed(i, "InternalError") for i in bad]})

    server.steps(answer)
    result = tool("visibility", queue_url=QUEUE, handles=["a", "b"], visibility_s=5)
    assert result["entries"][0]["result"] == 0
    assert has_failed(result["entries"][1], LATER, "service_unavailable")
    assert len(server.requests) == 3
    assert [e["VisibilityTimeout"] for e in server.requests[0].json["Entries"]] == [5, 5]


@pytest.mark.parametrize("sender", [True, False])
@pytest.mark.parametrize(
    "code",
    [
        "ReceiptHandleIsInvalid",
        "AWS.SimpleQueueService.MessageNotInflight",
        "MessageNotInflight",
        "InvalidParameterValue",
    ],
)
def test_a_bad_handle_does_not_affect_others(
    server: ScriptedServer, tool: Tool, code: str, sender: bool
) -> None:
    server.steps(reply({"Successful": [{"Id": "0"}], "Failed": [failed("1", code, sender)]}))
    entries = tool("visibility", queue_url=QUEUE, handles=["a", "b"], visibility_s=5)["entries"]
    assert entries[0]["result"] == 0 and has_failed(entries[1], NEVER, "not_in_flight")
    assert len(server.requests) == 1


def test_errors_that_every_entry_gets(server: ScriptedServer, tool: Tool) -> None:
    server.steps(reply({"Successful": [{"Id": "0"}], "Failed": [failed("1", "AccessDenied", sender=True)]}))
    entries = tool("visibility", queue_url=QUEUE, handles=["a", "b"], visibility_s=5)["entries"]
    assert entries[0]["result"] == 0 and has_failed(entries[1], LATER, "aws_error", outage=True)
    assert len(server.requests) == 1


def test_entries_missing_in_the_answer(server: ScriptedServer, tool: Tool) -> None:
    server.steps(reply({"Successful": [{"Id": "0"}, {"Id": "17"}, {"Id": "x"}, {}, 5]}), all_good)
    answer = tool("delete", queue_url=QUEUE, handles=["a", "b"])
    assert [e["result"] for e in answer["entries"]] == [0, 0]
    assert [e["ReceiptHandle"] for e in server.requests[1].json["Entries"]] == ["b"]
    server.steps(reply({}))
    answer = tool("delete", queue_url=QUEUE, handles=["a"])
    assert has_failed(answer["entries"][0], LATER, "service_unavailable") and len(server.requests) == 3


def test_a_batch_request_that_fails(server: ScriptedServer, tool: Tool) -> None:
    def second_fails(request: Request) -> Answer:
        return Answer(503) if len(request.json["Entries"]) == 5 else all_good(request)

    server.steps(second_fails)
    entries = send(tool, 15)["entries"]
    assert [e["result"] for e in entries] == [0] * 10 + [LATER] * 5
    assert has_failed(entries[14], LATER, "service_unavailable", outage=True)
    assert len(server.requests) == 1 + 3
    server.steps(error("QueueDoesNotExist"))
    entries = tool("delete", queue_url=QUEUE, handles=["a", "b"])["entries"]
    assert all(has_failed(e, LATER, "aws_error", outage=True) for e in entries) and len(server.requests) == 1


@pytest.mark.parametrize("code", ["InvalidMessageContents", "BatchRequestTooLong", "InvalidParameterValue"])
def test_one_bad_message_does_not_fail_its_batch(server: ScriptedServer, tool: Tool, code: str) -> None:
    def answer(request: Request) -> Answer:
        is_bad = any(e["MessageBody"] == "m1" for e in request.json["Entries"])
        return error(code, message="Message must be shorter than 5 bytes.") if is_bad else all_good(request)

    server.steps(answer)
    entries = send(tool, 3)["entries"]
    assert [e["result"] for e in entries] == [0, NEVER, 0]
    assert entries[1]["code"] == "message_too_large" and len(server.requests) == 4


def test_a_rejected_message_of_a_batch(server: ScriptedServer, tool: Tool) -> None:
    server.steps(reply({"Successful": [{"Id": "0"}], "Failed": [failed("1", "InvalidMessageContents", sender=True)]}))
    entries = send(tool, 2)["entries"]
    assert entries[0]["result"] == 0 and has_failed(entries[1], NEVER, "invalid_message")


def test_a_send_without_an_answer_is_repeated(server: ScriptedServer, tool: Tool) -> None:
    """Sends are at least once: a message may arrive twice, but must not be lost."""
    server.steps(RESET, all_good)
    assert send(tool)["entries"][0]["result"] == 0 and len(server.requests) == 2


# Credentials and clock


def signed_at(request: Request) -> float:
    return time.mktime(time.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")) - time.timezone


@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch"])
@pytest.mark.parametrize("skew_s", [3600, -3600, 300])
def test_a_wrong_clock_is_corrected(server: ScriptedServer, tool: Tool, code: str, skew_s: int) -> None:
    date = {"Date": formatdate(time.time() + skew_s, usegmt=True)}
    server.steps(error(code, 403, **date), INFO)
    answer = info(tool)
    assert answer["result"] == 0 and len(server.requests) == 2
    assert abs(signed_at(server.requests[1]) - time.time() - skew_s) < 5
    assert info(tool)["result"] == 0 and len(server.requests) == 3  # the corrected clock is kept
    assert abs(signed_at(server.requests[2]) - time.time() - skew_s) < 5


def test_a_wrong_clock_with_many_calls_at_once(server: ScriptedServer, tool: Tool) -> None:
    def skewed(request: Request) -> Answer:
        if abs(signed_at(request) - time.time() - 3600) < 60:
            return reply({"Messages": [message()]})
        return error("RequestTimeTooSkewed", 403, Date=formatdate(time.time() + 3600, usegmt=True))

    server.steps(skewed)
    answer = tool("receive", queue_url=QUEUE, requests=5)
    assert len(answer["messages"]) == 5 and len(server.requests) == 10


def test_expired_credentials_with_many_calls_at_once(server: ScriptedServer, tool: Tool) -> None:
    expired = error("ExpiredToken", 403)
    server.steps(expired, expired, expired, reply({"Messages": [message()]}))
    assert len(tool("receive", queue_url=QUEUE, requests=3)["messages"]) == 3


@pytest.mark.parametrize("date", [None, "yesterday", ""])
def test_a_correct_clock_is_not_changed(server: ScriptedServer, tool: Tool, date: str | None) -> None:
    if date is None:  # a clock less than four minutes ahead
        date = formatdate(time.time() + 200, usegmt=True)
    server.steps(error("SignatureDoesNotMatch", 403, Date=date))
    assert has_failed(info(tool), LATER, "credentials_refused", outage=True)
    assert len(server.requests) == 1


def test_a_clock_is_corrected_once(server: ScriptedServer, tool: Tool) -> None:
    def moving(request: Request) -> Answer:
        date = formatdate(time.time() + 3600 * len(server.requests), usegmt=True)
        return error("RequestTimeTooSkewed", 403, Date=date)

    server.steps(moving)
    assert has_failed(info(tool), LATER, "credentials_refused", outage=True)
    assert len(server.requests) == 2


@pytest.mark.parametrize("code", ["ExpiredToken", "ExpiredTokenException"])
def test_credentials_that_stay_expired(server: ScriptedServer, tool: Tool, code: str) -> None:
    server.steps(error(code, 403))
    assert has_failed(info(tool), LATER, "credentials_refused", outage=True)
    assert len(server.requests) == 2


def test_expired_credentials_are_fetched_again(server: ScriptedServer, env: dict[str, str], tmp_path: Path) -> None:
    """A credential_process that prints other keys the second time."""
    program = tmp_path / "keys"
    program.write_text(
        f"""#!/bin/sh
echo x >> {tmp_path}/count
n=$(wc -l < {tmp_path}/count)
echo '{{"Version": 1, "AccessKeyId": "AKIANUMBER'$n'", "SecretAccessKey": "s", "SessionToken": "t",'
echo '"Expiration": "{time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 7200))}"}}'
"""
    )
    program.chmod(0o700)
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {program}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        del env[name]
    server.steps(INFO, error("ExpiredToken", 403), INFO)
    with Tool({**env, "AWS_CONFIG_FILE": str(config)}) as tool:
        assert info(tool)["result"] == 0
        assert info(tool)["result"] == 0
    keys = [r.headers["authorization"].split("Credential=")[1].split("/")[0] for r in server.requests]
    assert keys == ["AKIANUMBER1", "AKIANUMBER1", "AKIANUMBER2"]


def test_no_credentials(server: ScriptedServer, env: dict[str, str]) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        del env[name]
    server.steps(INFO)
    with Tool(env) as tool:
        assert has_failed(info(tool), LATER, "no_credentials", outage=True)
        assert send(tool)["entries"][0]["code"] == "no_credentials"
    assert server.requests == []


def test_a_quoted_request_stays_out_of_messages(server: ScriptedServer, tool: Tool) -> None:
    """AWS's SignatureDoesNotMatch quotes the canonical request, also the session token."""
    text = f"The signature does not match.\n\nThe Canonical String should have been\nx-amz-security-token:{TOKEN}"
    server.steps(error("SignatureDoesNotMatch", 403, text))
    answer = info(tool)
    assert "The signature does not match." in answer["text"] and TOKEN not in answer["text"]


# SNS, Secrets Manager, S3


def published(*ids: str, failed_entries: str = "") -> Answer:
    members = "".join(f"<member><Id>{i}</Id><MessageId>id-{i}</MessageId></member>" for i in ids)
    return xml(
        '<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult>'
        f"<Successful>{members}</Successful><Failed>{failed_entries}</Failed></PublishBatchResult></PublishBatchResponse>"
    )


def failed_member(entry: str, code: str, sender: str = "false") -> str:
    return (
        f"<member><Id>{entry}</Id><Code>{code}</Code><Message>a message</Message>"
        f"<SenderFault>{sender}</SenderFault></member>"
    )


def publish(tool: Tool, n: int) -> list[dict[str, Any]]:
    answer = tool("publish_many", topic_arn=TOPIC, messages=[{"body": f"m{i}"} for i in range(n)])
    assert answer["result"] == 0
    return answer["messages"]


def test_publish_batch_entries(server: ScriptedServer, tool: Tool) -> None:
    bad = failed_member("1", "InternalError") + failed_member("2", "InvalidParameter", "true")
    server.steps(published("0", failed_entries=bad), published("0"))
    first, second, third = publish(tool, 3)
    assert first["message_id"] == "id-0" and second["message_id"] == "id-0"
    assert has_failed(third, NEVER, "invalid_message")
    assert len(server.requests) == 2 and b"Message=m1" in server.requests[1].body
    assert b"Message=m0" not in server.requests[1].body
    assert "/eu-west-2/sns/aws4_request" in server.requests[0].headers["authorization"]  # signed for the topic's region


def test_publish_batch_rejected_as_a_whole(server: ScriptedServer, tool: Tool) -> None:
    def answer(request: Request) -> Answer:
        if b"Message=m1" in request.body:
            return xml("<ErrorResponse><Error><Code>InvalidParameter</Code></Error></ErrorResponse>", 400)
        return published("0")

    server.steps(answer)
    assert [m["result"] for m in publish(tool, 3)] == [0, NEVER, 0]
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("fault", "code", "attempts"),
    [
        (xml("<ErrorResponse><Error><Code>NotFound</Code></Error></ErrorResponse>", 404), "aws_error", 1),
        (xml("<ErrorResponse><Error><Code>AuthorizationError</Code></Error></ErrorResponse>", 403), "access_denied", 1),
        (
            xml(
                "<ErrorResponse><Error><Code>InvalidParameter</Code><Message>Invalid parameter: TopicArn</Message>"
                "</Error></ErrorResponse>",
                400,
            ),
            "aws_error",
            1,
        ),
        (xml("<html><br></html>"), "invalid_answer", 1),
        (Answer(503), "service_unavailable", 3),
    ],
)
def test_publish_errors_that_every_message_gets(
    server: ScriptedServer, tool: Tool, fault: Answer, code: str, attempts: int
) -> None:
    server.steps(fault)
    assert all(has_failed(m, LATER, code, outage=True) for m in publish(tool, 2))
    assert len(server.requests) == attempts
    server.steps(fault)
    one = tool("publish", topic_arn=TOPIC, messages=[{"body": "x"}])
    assert has_failed(one, LATER, code, outage=True) and len(server.requests) == attempts


def test_secret_answers(server: ScriptedServer, tool: Tool) -> None:
    arn = "arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:pgstac-AbCdEf"
    server.steps(reply({"SecretString": "s"}))
    assert tool("secret", id=arn)["hex"] == b"s".hex()
    assert server.requests[0].json == {"SecretId": arn, "VersionStage": "AWSCURRENT"}
    assert "/ap-southeast-2/secretsmanager/aws4_request" in server.requests[0].headers["authorization"]
    for bad in (Answer(200, '{"SecretString": "s'), reply({}), reply({"SecretBinary": "!"})):
        server.steps(bad)
        assert has_failed(tool("secret", id="pgstac"), LATER, "invalid_answer", outage=True)


def test_a_bucket_of_another_region(server: ScriptedServer, tool: Tool) -> None:
    moved = xml("<Error><Code>PermanentRedirect</Code></Error>", 301)
    moved.headers["x-amz-bucket-region"] = "us-west-2"
    server.steps(moved, Answer(200, "content"))
    got = tool("get", bucket="bucket", key="a b", region="eu-central-1")
    assert bytes.fromhex(got["hex"]) == b"content"
    assert [r.path for r in server.requests] == ["/bucket/a%20b"] * 2
    assert "/us-west-2/s3/aws4_request" in server.requests[1].headers["authorization"]
    server.steps(moved)
    assert has_failed(tool("get", bucket="bucket", key="a"), NEVER, "aws_error") and len(server.requests) == 2
    server.steps(moved, Answer(200))
    assert tool("put", bucket="bucket", key="a", region="eu-central-1", data="x", content_type="text/plain")["result"] == 0
    assert "/us-west-2/s3/aws4_request" in server.requests[1].headers["authorization"] and server.requests[1].body == b"x"
    moved.headers["x-amz-bucket-region"] = "evil.example/"
    server.steps(moved)
    assert has_failed(tool("get", bucket="bucket", key="a"), NEVER, "aws_error") and len(server.requests) == 1


def test_object_answers(server: ScriptedServer, tool: Tool) -> None:
    server.steps(xml("<Error><Code>AccessDenied</Code></Error>", 403))
    assert has_failed(tool("get", bucket="bucket", key="k"), NEVER, "access_denied")
    server.steps(xml("<Error><Code>MethodNotAllowed</Code></Error>", 405))
    assert has_failed(tool("get", bucket="bucket", key="k", version_id="v"), NEVER, "no_such_key")
    assert server.requests[0].path == "/bucket/k?versionId=v"
    server.steps(Answer(404, "<html>not ours</html>"))
    assert has_failed(tool("get", bucket="bucket", key="k"), LATER, "service_unavailable", outage=True)
    server.steps(xml("<Error><Code>SlowDown</Code></Error>", 503), Answer(200, "x"))
    assert tool("get", bucket="bucket", key="k")["result"] == 0 and len(server.requests) == 2
    server.steps(Answer(200, b"x" * 100, length=10**9))
    assert has_failed(tool("get", bucket="bucket", key="k"), NEVER, "object_too_large") and len(server.requests) == 1


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that rejects every connection: its URL, and the hosts that clients asked for."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        method, host, _ = connection.recv(4096).decode().split(" ", 2)
                        asked.append(f"{method} {host}")
                        connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        listener.shutdown(socket.SHUT_RDWR)


def test_hosts_of_buckets(env: dict[str, str], proxy: tuple[str, list[str]]) -> None:
    """Without an override the bucket is part of the host's name. Buckets with dots are not: no certificate would match."""
    url, asked = proxy
    del env["AWS_ENDPOINT_URL"]
    with Tool({**env, "https_proxy": url}) as tool:
        for bucket, region in (("stac-items", "eu-central-1"), ("stac.items", "eu-central-1"), ("stac-items", "cn-north-1")):
            assert has_failed(tool("get", bucket=bucket, key="k", region=region), LATER, "connection_failed", outage=True)
    hosts = ["stac-items.s3.eu-central-1.amazonaws.com", "s3.eu-central-1.amazonaws.com", "stac-items.s3.cn-north-1.amazonaws.com.cn"]
    assert list(dict.fromkeys(asked)) == [f"CONNECT {host}:443" for host in hosts]


def test_overrides_of_one_service(server: ScriptedServer, env: dict[str, str]) -> None:
    env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:1"
    env["AWS_ENDPOINT_URL_SQS"] = server.url + "/"
    server.steps(INFO)
    with Tool(env) as tool:
        assert info(tool)["result"] == 0 and server.requests[0].path == "/"
    del env["AWS_ENDPOINT_URL"], env["AWS_ENDPOINT_URL_SQS"]
    with Tool(env) as tool:  # without an override: the queue URL's host
        answer = tool("info", queue_url=f"{server.url}/123456789012/q")
        assert answer["result"] == 0 and server.requests[1].path == "/"
        assert json.loads(server.requests[1].body)["QueueUrl"] == f"{server.url}/123456789012/q"
        assert "/eu-central-1/sqs/" in server.requests[1].headers["authorization"]
