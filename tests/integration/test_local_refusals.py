"""
The local AWS refuses what SQS and SNS refuse, with the same error codes, so that a test which passes on it means
something.
"""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

MIB = 1024 * 1024
KIB_256 = 256 * 1024


def text(value: str, kind: str = "String") -> dict[str, str]:
    return {"DataType": kind, "StringValue": value}


def refused(call: Callable[..., Any], **parameters: Any) -> str:
    """Returns the refusal's error code."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


FORBIDDEN = ["\x00", "\x01", "\x08", "\x0b", "\x1f", "\ufffe", "\uffff"]
ALLOWED = ["\t", "\n", "\r", " ", "\x7f", "é", "\ud7ff", "\ue000", "\ufffd", "\U0001f6f0", "\U0010ffff"]

# Bad messages: name, parameters, error code.
BAD_MESSAGES: list[tuple[str, dict[str, Any], str]] = [
    ("empty body", {"MessageBody": ""}, "MissingParameter"),
    ("no body", {"MessageBody": None}, "MissingParameter"),
    ("too long", {"MessageBody": "x" * (MIB + 1)}, "InvalidParameterValue"),
    ("too long in bytes", {"MessageBody": "é" * (MIB // 2 + 1)}, "InvalidParameterValue"),
    (
        "too long with attributes",
        {"MessageBody": "x" * (MIB - 10), "MessageAttributes": {"ab": text("cdef")}},  # 2 + 6 + 4 bytes
        "InvalidParameterValue",
    ),
    *[(f"body {c!a}", {"MessageBody": f"a{c}b"}, "InvalidMessageContents") for c in FORBIDDEN],
]

# Bad attributes: name of the case, the attribute's name, the attribute.
BAD_ATTRIBUTES: list[tuple[str, str, dict[str, Any]]] = [
    ("empty value", "a", text("")),
    ("no value", "a", {"DataType": "String"}),
    ("empty type", "a", text("x", "")),
    ("unknown type", "a", text("x", "Text")),
    ("lower-case type", "a", text("x", "string")),
    ("empty label", "a", text("x", "String.")),
    ("type too long", "a", text("x", "String." + "t" * 256)),
    ("no number", "a", text("12x", "Number")),
    ("no finite number", "a", text("NaN", "Number")),
    ("infinite", "a", text("Infinity", "Number")),
    ("number with blanks", "a", text(" 1 ", "Number")),
    ("39 digits", "a", text("1" * 39, "Number")),
    ("number of a kind", "a", text("one", "Number.int")),
    ("string for binary", "a", text("x", "Binary")),
    ("empty name", "", text("x")),
    ("name too long", "n" * 257, text("x")),
    ("name with a blank", "a b", text("x")),
    ("name with a letter of another alphabet", "é", text("x")),
    ("name that starts with a period", ".a", text("x")),
    ("name that ends with a period", "a.", text("x")),
    ("name with two periods", "a..b", text("x")),
    ("AWS's own name", "AWS.a", text("x")),
    ("Amazon's own name", "aMaZoN.a", text("x")),
    *[(f"value {c!a}", "a", text(f"a{c}")) for c in FORBIDDEN],
]

GOOD_ATTRIBUTES: list[dict[str, Any]] = [
    {"a": text("x", "String.kind")},
    {"n" * 256: text("x")},
    {"A-z_0.9": text("x")},
    {"a": text("-1.5e10", "Number")},
    {"a": text("0." + "1" * 37, "Number.float")},
    {"a": {"DataType": "Binary.png", "BinaryValue": b"\x00\x01\xff"}},
    {"awsome": text("x"), "Amazonas": text("x")},
    {f"a{i}": text("x") for i in range(10)},
    {"a": text("".join(ALLOWED))},
]


def send(sqs: Any, queue: Any, **parameters: Any) -> str:
    return refused(sqs.send_message, QueueUrl=queue.url, **parameters)


@pytest.mark.parametrize(
    ("parameters", "code"), [row[1:] for row in BAD_MESSAGES], ids=[row[0] for row in BAD_MESSAGES]
)
def test_bad_message(sqs: Any, queue: Any, parameters: dict[str, Any], code: str) -> None:
    parameters = {name: value for name, value in parameters.items() if value is not None}
    assert send(sqs, queue, **parameters) == code
    assert queue.receive() == []


@pytest.mark.parametrize(("name", "value"), [row[1:] for row in BAD_ATTRIBUTES], ids=[row[0] for row in BAD_ATTRIBUTES])
def test_bad_attribute(sqs: Any, queue: Any, name: str, value: dict[str, Any]) -> None:
    assert send(sqs, queue, MessageBody="x", MessageAttributes={name: value}) == "InvalidParameterValue"
    assert queue.receive() == []


def test_eleven_attributes(sqs: Any, queue: Any) -> None:
    attributes = {f"a{i}": text("x") for i in range(11)}
    assert send(sqs, queue, MessageBody="x", MessageAttributes=attributes) == "InvalidParameterValue"


def test_good_messages_arrive_as_they_were_sent(queue: Any) -> None:
    for attributes in GOOD_ATTRIBUTES:
        queue.send("".join(ALLOWED), MessageAttributes=attributes)
        (message,) = queue.receive()
        assert (message["Body"], message["MessageAttributes"]) == ("".join(ALLOWED), attributes)
        queue.delete(message)
    queue.send("x" * (MIB - 12), MessageAttributes={"ab": text("cdef")})  # exactly at the limit
    assert len(queue.receive()) == 1


def test_the_queues_own_limit(sqs: Any, make_queue: Any) -> None:
    small = make_queue(MaximumMessageSize=1024)
    small.send("x" * 1024)
    assert send(sqs, small, MessageBody="x" * 1025) == "InvalidParameterValue"


# --- batches


def entry(identifier: str, body: str = "x", **rest: Any) -> dict[str, Any]:
    return {"Id": identifier, "MessageBody": body, **rest}


PREFIX = "AWS.SimpleQueueService."
BAD_BATCHES: list[tuple[str, list[dict[str, Any]], str]] = [
    ("none", [], PREFIX + "EmptyBatchRequest"),
    ("eleven", [entry(str(i)) for i in range(11)], PREFIX + "TooManyEntriesInBatchRequest"),
    ("the same id twice", [entry("a"), entry("b"), entry("a")], PREFIX + "BatchEntryIdsNotDistinct"),
    ("empty id", [entry("")], PREFIX + "InvalidBatchEntryId"),
    ("id too long", [entry("i" * 81)], PREFIX + "InvalidBatchEntryId"),
    ("odd id", [entry("a.b")], PREFIX + "InvalidBatchEntryId"),
    ("id of another alphabet", [entry("é")], PREFIX + "InvalidBatchEntryId"),
    ("too long in all", [entry(str(i), "x" * (MIB // 4)) for i in range(5)], PREFIX + "BatchRequestTooLong"),
    (
        "too long in all with attributes",
        [entry("a", "x" * (MIB - 10), MessageAttributes={"ab": text("cdef")})],
        PREFIX + "BatchRequestTooLong",
    ),
]


@pytest.mark.parametrize(("entries", "code"), [row[1:] for row in BAD_BATCHES], ids=[row[0] for row in BAD_BATCHES])
def test_bad_batch(sqs: Any, queue: Any, entries: list[dict[str, Any]], code: str) -> None:
    assert refused(sqs.send_message_batch, QueueUrl=queue.url, Entries=entries) == code
    assert queue.receive() == []


@pytest.mark.parametrize("operation", ["delete_message_batch", "change_message_visibility_batch"])
@pytest.mark.parametrize(
    ("entries", "code"), [row[1:] for row in BAD_BATCHES[:7]], ids=[row[0] for row in BAD_BATCHES[:7]]
)
def test_bad_batch_after_receiving(
    sqs: Any, queue: Any, operation: str, entries: list[dict[str, Any]], code: str
) -> None:
    visibility = {"VisibilityTimeout": 1} if operation.startswith("change") else {}
    handles = [{"Id": e["Id"], "ReceiptHandle": "h", **visibility} for e in entries]
    assert refused(getattr(sqs, operation), QueueUrl=queue.url, Entries=handles) == code


def test_a_bad_entry_fails_alone(sqs: Any, queue: Any) -> None:
    entries = [
        entry("good"),
        entry("control", "\x01"),
        entry("empty", ""),
        entry("attributes", MessageAttributes={f"a{i}": text("x") for i in range(11)}),
        entry("also-good", "y", MessageAttributes={"a": text("1", "Number")}),
    ]
    answer = sqs.send_message_batch(QueueUrl=queue.url, Entries=entries)
    assert {e["Id"] for e in answer["Successful"]} == {"good", "also-good"}
    assert {e["Id"]: (e["Code"], e["SenderFault"]) for e in answer["Failed"]} == {
        "control": ("InvalidMessageContents", True),
        "empty": ("MissingParameter", True),
        "attributes": ("InvalidParameterValue", True),
    }
    assert sorted(message["Body"] for message in queue.receive()) == ["x", "y"]


# --- parameters

BAD_RECEIVES = [
    *[{"MaxNumberOfMessages": n} for n in (-1, 0, 11)],
    *[{"WaitTimeSeconds": n} for n in (-1, 21)],
    *[{"VisibilityTimeout": n} for n in (-1, 43201)],
]


@pytest.mark.parametrize("parameters", BAD_RECEIVES, ids=str)
def test_bad_receive(sqs: Any, queue: Any, parameters: dict[str, int]) -> None:
    assert refused(sqs.receive_message, QueueUrl=queue.url, **parameters) == "InvalidParameterValue"


@pytest.mark.parametrize("seconds", [-1, 43201])
def test_bad_visibility(sqs: Any, queue: Any, seconds: int) -> None:
    queue.send()
    (message,) = queue.receive()
    handle = message["ReceiptHandle"]
    call = sqs.change_message_visibility
    parameters = {"QueueUrl": queue.url, "ReceiptHandle": handle, "VisibilityTimeout": seconds}
    assert refused(call, **parameters) == "InvalidParameterValue"
    entries = [{"Id": "a", "ReceiptHandle": handle, "VisibilityTimeout": seconds}]
    (failed,) = sqs.change_message_visibility_batch(QueueUrl=queue.url, Entries=entries)["Failed"]
    assert failed["Code"] == "InvalidParameterValue"


@pytest.mark.parametrize("seconds", [-1, 901])
def test_bad_delay(sqs: Any, queue: Any, seconds: int) -> None:
    assert send(sqs, queue, MessageBody="x", DelaySeconds=seconds) == "InvalidParameterValue"


def test_unknown_queue(sqs: Any, queue: Any) -> None:
    code = refused(sqs.receive_message, QueueUrl=queue.url + "-not")
    assert code == "AWS.SimpleQueueService.NonExistentQueue"


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"VisibilityTimeout": "43201"}, "InvalidAttributeValue"),
        ({"MessageRetentionPeriod": "59"}, "InvalidAttributeValue"),
        ({"MaximumMessageSize": "1048577"}, "InvalidAttributeValue"),
        ({"NoSuch": "1"}, "InvalidAttributeName"),
    ],
    ids=str,
)
def test_bad_queue_attributes(sqs: Any, queue: Any, attributes: dict[str, str], code: str) -> None:
    assert refused(sqs.set_queue_attributes, QueueUrl=queue.url, Attributes=attributes) == code


# --- SNS


@pytest.fixture
def topic(sns: Any) -> str:
    return str(sns.create_topic(Name="refusals")["TopicArn"])


SNS_BAD: list[tuple[str, dict[str, Any], str]] = [
    ("empty", {"Message": ""}, "InvalidParameter"),
    ("too long", {"Message": "x" * (KIB_256 + 1)}, "InvalidParameter"),
    (
        "too long with attributes",
        {"Message": "x" * (KIB_256 - 10), "MessageAttributes": {"ab": text("cdef")}},
        "InvalidParameter",
    ),
    *[
        (name, {"Message": "x", "MessageAttributes": attributes}, "ParameterValueInvalid")
        for name, attributes in {
            "empty value": {"a": text("")},
            "no value": {"a": {"DataType": "String"}},
            "unknown type": {"a": text("x", "Text")},
            "no number": {"a": text("x", "Number")},
            "binary value of a string": {"a": {"DataType": "String", "BinaryValue": b"x"}},
            "name too long": {"n" * 257: text("x")},
            "odd name": {"a^b": text("x")},
            "period first": {".a": text("x")},
            "period last": {"a.": text("x")},
            "two periods": {"a..b": text("x")},
        }.items()
    ],
]


@pytest.mark.parametrize(("parameters", "code"), [row[1:] for row in SNS_BAD], ids=[row[0] for row in SNS_BAD])
def test_bad_publish(sns: Any, topic: str, parameters: dict[str, Any], code: str) -> None:
    assert refused(sns.publish, TopicArn=topic, **parameters) == code


def test_publish_exactly_at_the_limit(sns: Any, topic: str) -> None:
    sns.publish(TopicArn=topic, Message="x" * (KIB_256 - 12), MessageAttributes={"ab": text("cdef")})


def test_unknown_topic(sns: Any, topic: str) -> None:
    assert refused(sns.publish, TopicArn=topic + "-not", Message="x") == "NotFound"
    assert refused(sns.publish, TopicArn="topic", Message="x") == "InvalidParameter"


def published(identifier: str, message: str = "x", **rest: Any) -> dict[str, Any]:
    return {"Id": identifier, "Message": message, **rest}


SNS_BAD_BATCHES: list[tuple[str, list[dict[str, Any]], str]] = [
    ("none", [], "EmptyBatchRequest"),
    ("eleven", [published(str(i)) for i in range(11)], "TooManyEntriesInBatchRequest"),
    ("the same id twice", [published("a"), published("a")], "BatchEntryIdsNotDistinct"),
    ("id too long", [published("i" * 81)], "InvalidBatchEntryId"),
    ("odd id", [published("a.b")], "InvalidBatchEntryId"),
    ("too long in all", [published(str(i), "x" * (KIB_256 // 4)) for i in range(5)], "BatchRequestTooLong"),
    ("bad attribute", [published("a", MessageAttributes={"a": text("")})], "ParameterValueInvalid"),
    ("empty message", [published("a"), published("b", "")], "InvalidParameter"),
]


@pytest.mark.parametrize(
    ("entries", "code"), [row[1:] for row in SNS_BAD_BATCHES], ids=[row[0] for row in SNS_BAD_BATCHES]
)
def test_bad_publish_batch(sns: Any, topic: str, entries: list[dict[str, Any]], code: str) -> None:
    assert refused(sns.publish_batch, TopicArn=topic, PublishBatchRequestEntries=entries) == code
