"""
SQS's operations on messages, over local.aws_queue, with the refusals of local.aws_limits.

moto parses requests and formats answers, from the service's model.
"""

import base64
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import moto.sqs.models
import moto.sqs.urls
from moto.core.common_types import TYPE_RESPONSE
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult
from moto.sqs.models import SQSBackend, sqs_backends
from moto.sqs.responses import SQSResponse

from local import aws_limits
from local.aws_limits import Refusal, check_range, invalid_value
from local.aws_queue import LocalQueue, Message, digests, now_ms

# Errors that SQS's model does not name come from the framework below it, with other names in JSON.
FRAMEWORK_ERRORS = {
    "InvalidParameterValue": "InvalidParameterValueException",
    "MissingParameter": "MissingRequiredParameterException",
}
SETTABLE = {
    *("DelaySeconds", "MaximumMessageSize", "MessageRetentionPeriod", "Policy", "ReceiveMessageWaitTimeSeconds"),
    *("RedriveAllowPolicy", "RedrivePolicy", "SqsManagedSseEnabled", "VisibilityTimeout"),
    *("KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId"),
}
MOVES_PER_SECOND = 500


class LocalBackend(SQSBackend):
    @property
    def _url_module(self) -> ModuleType:
        return moto.sqs.urls

    def queue_of_arn(self, arn: str) -> LocalQueue:
        queue = self.get_queue(arn.rpartition(":")[2])
        assert isinstance(queue, LocalQueue)
        return queue

    def purge_queue(self, queue_name: str) -> None:
        self.queue(queue_name).purge()

    def queue(self, name: str) -> LocalQueue:
        queue = self.get_queue(name)
        assert isinstance(queue, LocalQueue)
        return queue


@dataclass
class MoveTask:
    source_arn: str
    destination_arn: str | None
    per_second: int | None
    to_move: int
    task_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started_at: int = field(default_factory=now_ms)
    moved: int = 0
    status: str = "RUNNING"
    failure: str | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    def handle(self) -> str:
        text = json.dumps({"taskId": self.task_id, "sourceArn": self.source_arn})
        return base64.b64encode(text.encode()).decode()

    def describe(self) -> dict[str, Any]:
        described = {
            "TaskHandle": self.handle() if self.status == "RUNNING" else None,
            "Status": self.status,
            "SourceArn": self.source_arn,
            "DestinationArn": self.destination_arn,
            "MaxNumberOfMessagesPerSecond": self.per_second,
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": self.to_move,
            "FailureReason": self.failure,
            "StartedTimestamp": self.started_at,
        }
        return {name: value for name, value in described.items() if value is not None}

    def run(self, backend: LocalBackend) -> None:
        """
        Moves messages until the source has no visible one. Without a destination, each message goes back to the queue
        whose redrive policy moved it. A message that was sent to the dead-letter queue directly has no such queue, and
        ends the task.
        """
        pause = 1 / (self.per_second or MOVES_PER_SECOND)
        try:
            source = backend.queue_of_arn(self.source_arn)
            while not self.cancelled.wait(pause) and (message := source.take_for_move()):
                self._move(backend, source, message)
                if self.failure:
                    break
        except ServiceException as error:
            self.failure = error.code
        self.status = "FAILED" if self.failure else "CANCELLED" if self.cancelled.is_set() else "COMPLETED"

    def _move(self, backend: LocalBackend, source: LocalQueue, message: Message) -> None:
        target_arn = self.destination_arn or message.source_arn
        try:
            if target_arn is None:
                raise Refusal("CouldNotDetermineMessageSource", "sent directly to the dead-letter queue")
            backend.queue_of_arn(target_arn).put(message.as_new())
            self.moved += 1
        except ServiceException as error:
            self.failure = error.code
            source.put(message)


class LocalSQS(SQSResponse):
    tasks: list[MoveTask] = []  # the newest first
    tasks_lock = threading.Lock()

    @property
    def backend(self) -> LocalBackend:
        backend = self.sqs_backend
        assert isinstance(backend, LocalBackend)
        return backend

    def _queue(self) -> LocalQueue:
        return self.backend.queue(self._get_queue_name())

    def _dispatch(self, request: Any, full_url: str | None = None, headers: Any = None) -> TYPE_RESPONSE:
        status, answer_headers, body = super()._dispatch(request, full_url, headers)
        if status >= 400 and "x-amzn-query-error" in answer_headers:
            code = answer_headers["x-amzn-query-error"].partition(";")[0]
            answer = json.loads(body)
            name = answer["__type"].rpartition("#")[2]
            if code in FRAMEWORK_ERRORS:
                kind = f"com.amazon.coral.service#{FRAMEWORK_ERRORS[code]}"
            else:
                kind = f"com.amazonaws.sqs#{name}"
            body = json.dumps({"__type": kind, "message": answer.get("message") or answer.get("Message")})
            answer_headers["X-Amzn-Errortype"] = kind
        return status, answer_headers, body

    def _determine_resource(self) -> str:
        """For a policy check: the queue's ARN. Requests name a queue in several ways."""
        if name := self._get_param("QueueName"):
            return f"arn:aws:sqs:{self.region}:{self.current_account}:{name}"
        if arn := self._get_param("SourceArn"):
            return str(arn)
        resource: str = super()._determine_resource()
        return resource

    def _require(self, name: str) -> Any:
        value = self._get_param(name)
        if value is None:
            raise Refusal("MissingParameter", f"The request must contain the parameter {name}.")
        return value

    # --- queues

    def create_queue(self) -> ActionResult:
        attributes = self._get_param("Attributes", {})
        if attributes.get("FifoQueue") == "true" or self._require("QueueName").endswith(".fifo"):
            raise Refusal("AWS.SimpleQueueService.UnsupportedOperation", "Only standard queues are supported.")
        self._check_names(attributes)
        return super().create_queue()

    def set_queue_attributes(self) -> ActionResult:
        self._check_names(self._get_param("Attributes", {}))
        return super().set_queue_attributes()

    @staticmethod
    def _check_names(attributes: Mapping[str, str]) -> None:
        for name in attributes:
            if name not in SETTABLE:
                raise Refusal("InvalidAttributeName", f"Unknown Attribute {name}.")

    # --- sending

    def send_message(self) -> ActionResult:
        sent = self._send(self.params)
        return ActionResult(sent)

    def _send(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        queue = self._queue()
        attributes = entry.get("MessageAttributes") or {}
        body = entry.get("MessageBody")
        delay = entry.get("DelaySeconds")
        aws_limits.check_sqs_message(body, attributes, int(queue.maximum_message_size))  # type: ignore[attr-defined]
        check_range("DelaySeconds", delay or 0, 0, 900)
        message = Message(str(body), attributes, entry.get("MessageSystemAttributes") or {})
        queue.put(message, int(queue.delay_seconds) if delay is None else delay)  # type: ignore[attr-defined]
        body_md5, attributes_md5 = digests(message.body, attributes)
        sent = {"MessageId": message.message_id, "MD5OfMessageBody": body_md5}
        return sent | ({"MD5OfMessageAttributes": attributes_md5} if attributes else {})

    def send_message_batch(self) -> ActionResult:
        return self._batch("SendMessageBatchRequestEntry", self._send, aws_limits.check_sqs_batch_size)

    def _batch(
        self,
        name: str,
        action: Callable[[Mapping[str, Any]], dict[str, Any]],
        check: Callable[[list[dict[str, Any]]], None] | None = None,
    ) -> ActionResult:
        """Handles each entry on its own: a bad one is listed in Failed, and the others are done."""
        self._queue()
        entries = self._get_param("Entries", [])
        aws_limits.check_sqs_entries(entries, name)
        if check:
            check(entries)
        done: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for entry in entries:
            try:
                done.append({"Id": entry["Id"]} | action(entry))
            except ServiceException as error:
                failed.append({"Id": entry["Id"], "SenderFault": True, "Code": error.code, "Message": error.message})
        return ActionResult({"Successful": done, "Failed": failed})

    # --- receiving

    def receive_message(self) -> ActionResult:
        queue = self._queue()
        count = self._get_param("MaxNumberOfMessages", 1)
        wait = self._get_param("WaitTimeSeconds", int(queue.receive_message_wait_time_seconds))  # type: ignore[attr-defined]
        visibility = self._get_param("VisibilityTimeout", int(queue.visibility_timeout))  # type: ignore[attr-defined]
        check_range("MaxNumberOfMessages", count, 1, aws_limits.BATCH_ENTRIES)
        check_range("WaitTimeSeconds", wait, 0, 20)
        check_range("VisibilityTimeout", visibility, 0, aws_limits.VISIBILITY_S)
        system_names = self._get_param("AttributeNames", []) + self._get_param("MessageSystemAttributeNames", [])
        names = self._get_param("MessageAttributeNames", [])
        received = [
            render(message, handle, times, system_names, names)
            for message, handle, times in queue.receive(count, wait, visibility)
        ]
        return ActionResult({"Messages": received} if received else {})

    # --- after receiving

    def delete_message(self) -> ActionResult:
        self._queue().delete(self._require("ReceiptHandle"))
        return EmptyResult()

    def delete_message_batch(self) -> ActionResult:
        def delete(entry: Mapping[str, Any]) -> dict[str, Any]:
            self._queue().delete(entry.get("ReceiptHandle", ""))
            return {}

        return self._batch("DeleteMessageBatchRequestEntry", delete)

    def change_message_visibility(self) -> ActionResult:
        self._change(
            {"ReceiptHandle": self._require("ReceiptHandle"), "VisibilityTimeout": self._require("VisibilityTimeout")}
        )
        return EmptyResult()

    def _change(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        visibility = entry.get("VisibilityTimeout")
        if visibility is None:
            raise Refusal("MissingParameter", "The request must contain the parameter VisibilityTimeout.")
        check_range("VisibilityTimeout", visibility, 0, aws_limits.VISIBILITY_S)
        self._queue().change_visibility(entry.get("ReceiptHandle", ""), visibility)
        return {}

    def change_message_visibility_batch(self) -> ActionResult:
        return self._batch("ChangeMessageVisibilityBatchRequestEntry", self._change)

    # --- move tasks

    def start_message_move_task(self) -> ActionResult:
        source_arn = self._require("SourceArn")
        destination_arn = self._get_param("DestinationArn")
        per_second = self._get_param("MaxNumberOfMessagesPerSecond")
        source = self._queue_of_arn("SourceArn", source_arn)
        if not self.backend.list_dead_letter_source_queues(source.name):
            raise invalid_value("Source queue must be configured as a Dead Letter Queue.")
        if destination_arn:
            self._queue_of_arn("DestinationArn", destination_arn)
        if per_second is not None:
            check_range("MaxNumberOfMessagesPerSecond", per_second, 1, MOVES_PER_SECOND)
        with self.tasks_lock:
            if any(task.source_arn == source_arn and task.status == "RUNNING" for task in self.tasks):
                raise invalid_value(
                    "There is already a task running. Only one active task is allowed for a source queue arn at a "
                    "given time."
                )
            task = MoveTask(source_arn, destination_arn, per_second, source.approximate_number_of_messages)
            self.tasks.insert(0, task)
        threading.Thread(target=task.run, args=(self.backend,), daemon=True).start()
        return ActionResult({"TaskHandle": task.handle()})

    def list_message_move_tasks(self) -> ActionResult:
        source_arn = self._require("SourceArn")
        limit = self._get_param("MaxResults", 1)
        check_range("MaxResults", limit, 1, 10)
        self._queue_of_arn("SourceArn", source_arn)
        with self.tasks_lock:
            described = [task.describe() for task in self.tasks if task.source_arn == source_arn]
        return ActionResult({"Results": described[:limit]})

    def cancel_message_move_task(self) -> ActionResult:
        try:
            wanted = json.loads(base64.b64decode(self._require("TaskHandle"), validate=True))
            task_id, source_arn = wanted["taskId"], wanted["sourceArn"]
        except (ValueError, KeyError, TypeError):
            raise invalid_value("Value for parameter TaskHandle is invalid.") from None
        self._queue_of_arn("SourceArn", source_arn)
        with self.tasks_lock:
            task = next((task for task in self.tasks if task.task_id == task_id and task.status == "RUNNING"), None)
        if task is None:
            raise Refusal("ResourceNotFoundException", "Task does not exist.")
        task.cancelled.set()
        return ActionResult({"ApproximateNumberOfMessagesMoved": task.moved})

    def _queue_of_arn(self, parameter: str, arn: str) -> LocalQueue:
        try:
            return self.backend.queue_of_arn(arn)
        except ServiceException:
            raise Refusal(
                "ResourceNotFoundException",
                f"The resource that you specified for the {parameter} parameter doesn't exist.",
            ) from None


def render(message: Message, handle: str, times: int, system_names: list[str], names: list[str]) -> dict[str, Any]:
    """Formats a message for ReceiveMessage, with the requested attributes."""
    trace = message.system_attributes.get("AWSTraceHeader", {}).get("StringValue")
    system = {
        "SenderId": moto.sqs.models.DEFAULT_SENDER_ID,
        "SentTimestamp": str(message.sent_at),
        "ApproximateReceiveCount": str(times),
        "ApproximateFirstReceiveTimestamp": str(message.first_received_at),
        "AWSTraceHeader": trace,
        "DeadLetterQueueSourceArn": message.source_arn,
    }
    wanted = {k: v for k, v in system.items() if v is not None and ("All" in system_names or k in system_names)}
    prefixes = tuple(name[:-2] for name in names if name.endswith(".*"))
    everything = "All" in names or ".*" in names
    attributes = {
        name: value
        for name, value in message.attributes.items()
        if everything or name in names or (prefixes and name.startswith(prefixes))
    }
    body_md5, attributes_md5 = digests(message.body, attributes)
    rendered: dict[str, Any] = {
        "MessageId": message.message_id,
        "ReceiptHandle": handle,
        "MD5OfBody": body_md5,
        "Body": message.body,
    }
    if attributes:
        rendered |= {"MessageAttributes": attributes, "MD5OfMessageAttributes": attributes_md5}
    return rendered | ({"Attributes": wanted} if wanted else {})


def install() -> None:
    """Replaces moto's own operations. Call it before the first request."""
    moto.sqs.models.Queue = LocalQueue  # type: ignore[misc]
    sqs_backends.backend = LocalBackend
    moto.sqs.urls.url_paths = dict.fromkeys(moto.sqs.urls.url_paths, LocalSQS.dispatch)
