"""Queues, dead-letter queues and deliveries of the local AWS behave as SQS and SNS do."""

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from places import wait_until

from local.cloud import policy_for

Make = Callable[..., Any]


def attributes_of(message: dict[str, Any], name: str) -> str:
    return str(message["Attributes"][name])


def code_of(call: Callable[..., Any], *arguments: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    return str(caught.value.response["Error"]["Code"])


# --- visibility


def test_a_message_is_invisible_for_its_time_and_counts_its_receives(make_queue: Make) -> None:
    queue = make_queue(VisibilityTimeout=1)
    before = int(time.time() * 1000)
    sent = queue.send("body")
    (first,) = queue.receive()
    assert queue.receive() == []
    assert (
        queue.attribute("ApproximateNumberOfMessages"),
        queue.attribute("ApproximateNumberOfMessagesNotVisible"),
    ) == ("0", "1")
    began = time.monotonic()
    (second,) = queue.receive(wait_s=5)
    assert 0.5 < time.monotonic() - began < 2, "a long poll ends when the message becomes visible"
    assert [m["MessageId"] for m in (first, second)] == [sent, sent]
    assert [attributes_of(m, "ApproximateReceiveCount") for m in (first, second)] == ["1", "2"]
    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    times = [int(attributes_of(second, n)) for n in ("SentTimestamp", "ApproximateFirstReceiveTimestamp")]
    assert before - 1 <= times[0] <= times[1] < before + 2000


def test_visibility_zero_returns_it_at_once(queue: Any) -> None:
    queue.send()
    (message,) = queue.receive()
    waiting: list[Any] = []
    poll = threading.Thread(target=lambda: waiting.extend(queue.receive(wait_s=10)))
    poll.start()
    time.sleep(0.2)
    began = time.monotonic()
    queue.hide(message, 0)
    poll.join()
    assert len(waiting) == 1 and time.monotonic() - began < 1


def test_heartbeats_keep_it_invisible(make_queue: Make) -> None:
    queue = make_queue(VisibilityTimeout=1)
    queue.send()
    (message,) = queue.receive()
    for _ in range(4):
        time.sleep(0.5)
        queue.hide(message, 1)
    assert queue.receive() == []


def test_a_late_heartbeat_succeeds_and_changes_nothing(make_queue: Make) -> None:
    queue = make_queue(VisibilityTimeout=1)
    queue.send()
    (message,) = queue.receive()
    wait_until(lambda: queue.attribute("ApproximateNumberOfMessages") == "1")
    queue.hide(message, 60)
    assert len(queue.receive()) == 1


def test_twelve_hours_in_all(queue: Any) -> None:
    queue.send()
    (message,) = queue.receive()
    time.sleep(1.1)
    assert code_of(queue.hide, message, 43200) == "InvalidParameterValue"
    queue.hide(message, 43190)


# --- receipt handles


def test_deleting_with_an_older_handle_deletes_nothing(queue: Any) -> None:
    queue.send()
    (first,) = queue.receive(VisibilityTimeout=0)
    (second,) = queue.receive(VisibilityTimeout=0)
    queue.delete(first)
    (third,) = queue.receive(VisibilityTimeout=0)
    assert third["MessageId"] == second["MessageId"]
    queue.delete(third)
    assert queue.receive() == []


def test_deleting_after_the_visibility_ended(make_queue: Make) -> None:
    queue = make_queue(VisibilityTimeout=1)
    queue.send()
    (message,) = queue.receive()
    wait_until(lambda: queue.attribute("ApproximateNumberOfMessages") == "1")
    queue.delete(message)
    assert queue.receive() == []


def test_handles_of_deleted_messages(queue: Any) -> None:
    queue.send()
    (message,) = queue.receive()
    for _ in range(3):
        queue.delete(message)
    assert code_of(queue.hide, message, 10) == "InvalidParameterValue"
    entries = [{"Id": "a", "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 10}]
    (failed,) = queue.sqs.change_message_visibility_batch(QueueUrl=queue.url, Entries=entries)["Failed"]
    assert (
        failed["Code"] == "InvalidParameterValue" and "not available for visibility timeout change" in failed["Message"]
    )


def test_handles_that_never_were(make_queue: Make) -> None:
    queue, other = make_queue(), make_queue()
    other.send()
    (message,) = other.receive()
    for handle in ({"ReceiptHandle": "bogus"}, message):
        assert code_of(queue.delete, handle) == "ReceiptHandleIsInvalid"
        assert code_of(queue.hide, handle, 1) == "ReceiptHandleIsInvalid"
    queue.send()
    (mine,) = queue.receive()
    entries = [{"Id": str(i), "ReceiptHandle": h} for i, h in enumerate([mine["ReceiptHandle"], "bogus"])]
    answer = queue.sqs.delete_message_batch(QueueUrl=queue.url, Entries=entries)
    assert [e["Id"] for e in answer["Successful"]] == ["0"]
    assert [(e["Id"], e["Code"]) for e in answer["Failed"]] == [("1", "ReceiptHandleIsInvalid")]


# --- many at once


def test_nothing_is_lost_or_delivered_twice(queue: Any, stack: Any) -> None:
    """Senders, receivers and deleters work at the same time."""
    n = 400
    received: list[str] = []
    done = threading.Event()

    def send(first: int) -> None:
        client = stack.account.client("sqs")
        for start in range(first, first + n // 2, 10):
            entries = [{"Id": str(i), "MessageBody": str(i)} for i in range(start, start + 10)]
            client.send_message_batch(QueueUrl=queue.url, Entries=entries)

    def consume() -> None:
        client = stack.account.client("sqs")
        while not done.is_set():
            answer = client.receive_message(
                QueueUrl=queue.url, MaxNumberOfMessages=10, VisibilityTimeout=60, WaitTimeSeconds=1
            )
            for message in answer.get("Messages", []):
                received.append(message["Body"])
                client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])

    threads = [threading.Thread(target=send, args=(i * n // 2,)) for i in range(2)]
    threads += [threading.Thread(target=consume) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(received) >= n, timeout_s=30)
    done.set()
    for thread in threads:
        thread.join()
    assert sorted(received, key=int) == [str(i) for i in range(n)]
    assert queue.attribute("ApproximateNumberOfMessagesNotVisible") == "0"


# --- dead letters


def pair(make_queue: Make, receives: int, **attributes: Any) -> tuple[Any, Any]:
    dlq = make_queue()
    redrive = {"deadLetterTargetArn": dlq.arn, "maxReceiveCount": receives}
    return make_queue(RedrivePolicy=redrive, **attributes), dlq


def test_dead_lettered_on_the_receive_after_the_last(make_queue: Make) -> None:
    queue, dlq = pair(make_queue, 2, VisibilityTimeout=0)
    attributes = {"published_at": {"DataType": "Number", "StringValue": "17"}}
    sent = queue.send("body", MessageAttributes=attributes)
    seen = [queue.receive() for _ in range(2)]
    assert [[attributes_of(m, "ApproximateReceiveCount") for m in messages] for messages in seen] == [["1"], ["2"]]
    assert dlq.receive() == [], "not before the next receive"
    assert queue.receive() == []
    (dead,) = dlq.receive()
    assert (dead["MessageId"], dead["Body"], dead["MessageAttributes"]) == (sent, "body", attributes)
    assert attributes_of(dead, "ApproximateReceiveCount") == "3", "the dead-letter queue continues the count"
    assert attributes_of(dead, "SentTimestamp") == attributes_of(seen[0][0], "SentTimestamp")
    assert attributes_of(dead, "DeadLetterQueueSourceArn") == queue.arn


def test_redrive_policy_is_written_as_aws_writes_it(make_queue: Make) -> None:
    queue, dlq = pair(make_queue, 2)
    assert queue.attribute("RedrivePolicy") == f'{{"deadLetterTargetArn":"{dlq.arn}","maxReceiveCount":2}}'


def test_redrive_allow_policy(make_queue: Make, sqs: Any) -> None:
    queue, dlq = make_queue(), make_queue()
    redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dlq.arn, "maxReceiveCount": 2})}
    for allow in ({"redrivePermission": "denyAll"}, {"redrivePermission": "byQueue", "sourceQueueArns": [dlq.arn]}):
        sqs.set_queue_attributes(QueueUrl=dlq.url, Attributes={"RedriveAllowPolicy": json.dumps(allow)})
        assert json.loads(dlq.attribute("RedriveAllowPolicy")) == allow
        code = code_of(sqs.set_queue_attributes, QueueUrl=queue.url, Attributes=redrive)
        assert code == "InvalidParameterValue"
    allow = {"redrivePermission": "byQueue", "sourceQueueArns": [queue.arn]}
    sqs.set_queue_attributes(QueueUrl=dlq.url, Attributes={"RedriveAllowPolicy": json.dumps(allow)})
    sqs.set_queue_attributes(QueueUrl=queue.url, Attributes=redrive)
    assert sqs.list_dead_letter_source_queues(QueueUrl=dlq.url)["queueUrls"] == [queue.url]
    sqs.set_queue_attributes(QueueUrl=dlq.url, Attributes={"RedriveAllowPolicy": ""})
    answer = sqs.get_queue_attributes(QueueUrl=dlq.url, AttributeNames=["All"])["Attributes"]
    assert "RedriveAllowPolicy" not in answer, "an empty policy removes it"


def task_of(sqs: Any, dlq: Any) -> dict[str, Any]:
    """The last move task, once it has ended."""
    found: list[dict[str, Any]] = []

    def ended() -> bool:
        found[:] = sqs.list_message_move_tasks(SourceArn=dlq.arn)["Results"]
        return found[0]["Status"] != "RUNNING"

    wait_until(ended)
    return found[0]


def test_a_move_task_brings_them_back_as_new_messages(make_queue: Make, sqs: Any) -> None:
    queue, dlq = pair(make_queue, 1, VisibilityTimeout=0)
    sent = queue.send("body")
    queue.receive()
    queue.receive()
    sqs.start_message_move_task(SourceArn=dlq.arn)
    task = task_of(sqs, dlq)
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 1)
    (back,) = queue.receive()
    assert back["Body"] == "body" and back["MessageId"] != sent
    assert attributes_of(back, "ApproximateReceiveCount") == "1"


def test_a_move_task_does_not_know_where_a_sent_dead_letter_came_from(make_queue: Make, sqs: Any) -> None:
    queue, dlq = pair(make_queue, 1)
    dlq.send("sent directly")
    sqs.start_message_move_task(SourceArn=dlq.arn)
    task = task_of(sqs, dlq)
    assert (task["Status"], task["FailureReason"]) == ("FAILED", "CouldNotDetermineMessageSource")
    sqs.start_message_move_task(SourceArn=dlq.arn, DestinationArn=queue.arn)
    assert task_of(sqs, dlq)["Status"] == "COMPLETED"
    assert [message["Body"] for message in queue.receive()] == ["sent directly"]


def test_move_tasks_one_at_a_time_and_cancelled(make_queue: Make, sqs: Any) -> None:
    queue, dlq = pair(make_queue, 1)
    assert code_of(sqs.start_message_move_task, SourceArn=queue.arn) == "InvalidParameterValue"
    assert code_of(sqs.start_message_move_task, SourceArn=dlq.arn + "-not") == "ResourceNotFoundException"
    for i in range(5):
        dlq.send(str(i))
    start = {"SourceArn": dlq.arn, "DestinationArn": queue.arn, "MaxNumberOfMessagesPerSecond": 1}
    handle = sqs.start_message_move_task(**start)["TaskHandle"]
    assert code_of(sqs.start_message_move_task, **start) == "InvalidParameterValue"
    sqs.cancel_message_move_task(TaskHandle=handle)
    assert task_of(sqs, dlq)["Status"] == "CANCELLED"
    assert code_of(sqs.cancel_message_move_task, TaskHandle=handle) == "ResourceNotFoundException"
    assert len(queue.receive()) + len(dlq.receive()) == 5


# --- SNS to SQS


@pytest.fixture
def topic(sns: Any) -> Any:
    arn = sns.create_topic(Name="deliveries")["TopicArn"]
    yield arn
    sns.delete_topic(TopicArn=arn)


def subscribed(make_queue: Make, sns: Any, topic: str, raw: str) -> Any:
    queue = make_queue()
    queue.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": policy_for(queue.arn, topic)})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn, Attributes={"RawMessageDelivery": raw})
    return queue


PUBLISHED = {
    "number": {"DataType": "Number", "StringValue": "12.50"},
    "text": {"DataType": "String", "StringValue": "é"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}


def test_raw_delivery_carries_attributes_with_their_types(make_queue: Make, sns: Any, topic: str) -> None:
    queue = subscribed(make_queue, sns, topic, "true")
    sns.publish(TopicArn=topic, Message='{"a": "é"}', MessageAttributes=PUBLISHED)
    entries = [{"Id": "1", "Message": "batch", "MessageAttributes": PUBLISHED}]
    sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    received = queue.receive()
    assert [m["Body"] for m in received] == ['{"a": "é"}', "batch"]
    assert [m["MessageAttributes"] for m in received] == [PUBLISHED, PUBLISHED]


def test_enveloped_delivery(make_queue: Make, sns: Any, topic: str) -> None:
    queue = subscribed(make_queue, sns, topic, "false")
    message_id = sns.publish(TopicArn=topic, Message='{"a": "é"}', Subject="s", MessageAttributes=PUBLISHED)[
        "MessageId"
    ]
    (message,) = queue.receive()
    assert "MessageAttributes" not in message
    envelope = json.loads(message["Body"])
    assert envelope | {"Signature": "", "SigningCertURL": "", "UnsubscribeURL": "", "Timestamp": ""} == {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": topic,
        "Subject": "s",
        "Message": '{"a": "é"}',
        "Timestamp": "",
        "SignatureVersion": "2",
        "Signature": "",
        "SigningCertURL": "",
        "UnsubscribeURL": "",
        "MessageAttributes": {
            "number": {"Type": "Number", "Value": "12.50"},
            "text": {"Type": "String", "Value": "é"},
            "bytes": {"Type": "Binary", "Value": "AP8="},
        },
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", envelope["Timestamp"])


def test_raw_delivery_of_what_sqs_refuses_is_discarded(make_queue: Make, sns: Any, topic: str) -> None:
    raw = subscribed(make_queue, sns, topic, "true")
    enveloped = subscribed(make_queue, sns, topic, "false")
    eleven = {f"a{i}": {"DataType": "String", "StringValue": "x"} for i in range(11)}
    sns.publish(TopicArn=topic, Message="eleven", MessageAttributes=eleven)
    sns.publish(TopicArn=topic, Message="control \x01")
    sns.publish(TopicArn=topic, Message="good")
    assert [m["Body"] for m in raw.receive()] == ["good"]
    assert [json.loads(m["Body"])["Message"] for m in enveloped.receive()] == ["eleven", "control \x01", "good"]


def test_a_queue_is_reached_only_where_its_policy_admits_the_topic(make_queue: Make, sns: Any, topic: str) -> None:
    queue = subscribed(make_queue, sns, topic, "true")
    other = make_queue(Policy=policy_for(queue.arn, topic + "-not"))
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=other.arn)
    sns.publish(TopicArn=topic, Message="x")
    assert (len(queue.receive()), len(other.receive())) == (1, 0)
