"""
One standard queue: a message's life from sending to deletion.

moto keeps queues, tags and permissions; this module keeps the messages. With several threads, moto's own queue gives
one message to two receivers, brings deleted messages back and refuses handles it has just given out. Even with one
thread it deletes by an old handle, counts the twelve hours from the sending, and scans the whole queue for each
receive. Rules: Amazon SQS API reference (ReceiveMessage, ChangeMessageVisibility, DeleteMessage) and developer guide
("visibility timeout", "dead-letter queues").
"""

import heapq
import itertools
import json
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from moto.sqs.models import Message as AttributeDigest
from moto.sqs.models import Queue

from local import aws_limits
from local.aws_limits import Refusal, invalid_value

RANGES = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1024, 1024 * 1024),
    "MessageRetentionPeriod": (60, 14 * 24 * 60 * 60),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, aws_limits.VISIBILITY_S),
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(eq=False)
class Message:
    body: str
    attributes: dict[str, dict[str, Any]]
    system_attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    sent_at: int = field(default_factory=now_ms)
    receive_count: int = 0
    first_received_at: int = 0
    received_at: int = 0
    hidden_until: int = 0
    source_arn: str | None = None  # the queue whose redrive policy moved it here
    handles: list[str] = field(default_factory=list)  # those of the queue it is in now, the newest last

    def as_new(self) -> "Message":
        """The message as a move task sends it: with a new id and enqueue time, never received."""
        return Message(self.body, self.attributes, self.system_attributes)


def digests(body: str, attributes: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """MD5 of a message's body and of its attributes, as SQS computes them."""
    digest = AttributeDigest("", body)
    digest.message_attributes = attributes
    return digest.body_md5, digest.attribute_md5


def _check_redrive_allow_policy(text: str) -> None:
    try:
        policy = json.loads(text or "{}")
    except ValueError:
        policy = None
    if not isinstance(policy, dict) or policy.get("redrivePermission", "allowAll") not in (
        "allowAll",
        "denyAll",
        "byQueue",
    ):
        raise invalid_value(f"Value {text} for parameter RedriveAllowPolicy is invalid.")


class LocalQueue(Queue):
    """All methods are thread-safe."""

    BASE_ATTRIBUTES = [*Queue.BASE_ATTRIBUTES, "RedriveAllowPolicy"]
    redrive_allow_policy: str | None = None

    def __init__(self, name: str, region: str, account_id: str, **attributes: Any) -> None:
        self._visible: dict[Message, None] = {}  # in the order in which they are delivered
        self._hidden: list[
            tuple[int, int, Message]
        ] = []  # a heap by time; an entry is void if its message's time has changed since
        self._order = itertools.count()
        self._handles: dict[str, Message | None] = {}  # every handle ever given out; None if its message is gone
        self._here: set[Message] = set()
        super().__init__(name, region, account_id, **attributes)

    # --- attributes

    def _set_attributes(self, attributes: dict[str, Any], now: float | None = None) -> None:
        for name, value in attributes.items():
            low, high = RANGES.get(name, (0, 0))
            if name in RANGES and not low <= int(value) <= high:
                raise Refusal("InvalidAttributeValue", f"Invalid value for the parameter {name}.")
        if "RedriveAllowPolicy" in attributes:
            _check_redrive_allow_policy(attributes["RedriveAllowPolicy"])
        policy = getattr(self, "policy", None) if hasattr(self, "_policy_json") else None
        super()._set_attributes(attributes, now)
        if "Policy" not in attributes and policy:  # moto forgets it when another attribute is set
            self.policy = policy

    def _setup_dlq(self, policy: Any) -> None:
        super()._setup_dlq(policy)
        if self.redrive_policy:
            if not 1 <= self.redrive_policy["maxReceiveCount"] <= 1000:
                raise invalid_value(
                    f"Value {policy} for parameter RedrivePolicy is invalid. Reason: Invalid value for "
                    f"maxReceiveCount: {self.redrive_policy['maxReceiveCount']}, valid values are from 1 to 1000 both "
                    "inclusive."
                )
            self._check_allowed(policy)

    def _check_allowed(self, policy: Any) -> None:
        allow = json.loads(getattr(self.dead_letter_queue, "redrive_allow_policy", None) or "{}")
        permission = allow.get("redrivePermission", "allowAll")
        if permission == "denyAll" or (
            permission == "byQueue" and self.queue_arn not in allow.get("sourceQueueArns", [])
        ):
            self.redrive_policy = self.dead_letter_queue = None
            raise invalid_value(
                f"Value {policy} for parameter RedrivePolicy is invalid. Reason: Queue does not have permission to use "
                "this queue as a dead-letter queue."
            )

    @property
    def attributes(self) -> dict[str, Any]:
        attributes = super().attributes
        for name in ("CreatedTimestamp", "LastModifiedTimestamp"):
            attributes[name] = int(attributes[name])
        if not self.redrive_allow_policy:  # an empty one removes it
            attributes.pop("RedriveAllowPolicy", None)
        if self.redrive_policy:  # AWS writes no spaces, and terraform sees them as a difference
            attributes["RedrivePolicy"] = json.dumps(self.redrive_policy, separators=(",", ":"), sort_keys=True)
        return attributes

    @property
    def approximate_number_of_messages(self) -> int:
        with self._messages_lock:
            self._show_due()
            return len(self._visible)

    @property
    def approximate_number_of_messages_not_visible(self) -> int:
        with self._messages_lock:
            self._show_due()
            return sum(1 for m in self._here if m not in self._visible and m.receive_count)

    @property
    def approximate_number_of_messages_delayed(self) -> int:
        with self._messages_lock:
            self._show_due()
            return sum(1 for m in self._here if m not in self._visible and not m.receive_count)

    # --- messages

    def put(self, message: Message, delay_s: int = 0) -> None:
        with self._messages_lock:
            self._here.add(message)
            self._hide(message, now_ms() + delay_s * 1000 if delay_s else 0)
            self._messages_lock.notify_all()

    def receive(self, count: int, wait_s: float, visibility_s: int) -> list[tuple[Message, str, int]]:
        """
        Waits for the first message. Returns up to `count` messages, each with its receipt handle and receive count.
        """
        deadline = time.monotonic() + wait_s
        with self._messages_lock:
            while True:
                taken = self._take(count, visibility_s)
                left = deadline - time.monotonic()
                if taken or left <= 0:
                    return taken
                due = self._hidden[0][0] - now_ms() if self._hidden else 60_000
                self._messages_lock.wait(min(left, max(due, 1) / 1000))

    def delete(self, handle: str) -> None:
        """With an older handle than the last, it succeeds and deletes nothing, as the API reference says."""
        with self._messages_lock:
            message = self._of_handle(handle)
            if message is not None and message.handles[-1] == handle:
                self._remove(message)

    def change_visibility(self, handle: str, visibility_s: int) -> None:
        """
        Accepts any handle of a message in flight, as AWS does. If the message is visible again it stays so, and the
        call succeeds.
        """
        with self._messages_lock:
            message = self._of_handle(handle)
            if message is None:
                raise invalid_value(
                    f"Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not "
                    "available for visibility timeout change."
                )
            self._show_due()
            until = now_ms() + visibility_s * 1000
            if until - message.received_at > aws_limits.VISIBILITY_S * 1000 + 999:
                raise invalid_value(
                    f"Value {visibility_s} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout "
                    f"for the message is beyond the limit [{aws_limits.VISIBILITY_S} seconds]."
                )
            if message not in self._visible:
                self._hide(message, until if visibility_s else 0)
                self._messages_lock.notify_all()

    def purge(self) -> None:
        with self._messages_lock:
            for message in list(self._here):
                self._remove(message)

    def take_for_move(self) -> Message | None:
        """Removes and returns the next visible message, for a move task."""
        with self._messages_lock:
            self._show_due()
            message = next(iter(self._visible), None)
            if message is not None:
                self._remove(message)
            return message

    def _of_handle(self, handle: str) -> Message | None:
        if handle not in self._handles:
            raise Refusal(
                "ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.'
            )
        return self._handles[handle]

    def _hide(self, message: Message, until: int) -> None:
        self._visible.pop(message, None)
        message.hidden_until = until
        if until:
            heapq.heappush(self._hidden, (until, next(self._order), message))
        else:
            self._visible[message] = None

    def _show_due(self) -> None:
        now = now_ms()
        while self._hidden and self._hidden[0][0] <= now:
            until, _, message = heapq.heappop(self._hidden)
            if message in self._here and message.hidden_until == until and message not in self._visible:
                self._visible[message] = None

    def _remove(self, message: Message) -> None:
        self._visible.pop(message, None)
        self._here.discard(message)
        self._handles.update(dict.fromkeys(message.handles))
        message.handles.clear()

    def _take(self, count: int, visibility_s: int) -> list[tuple[Message, str, int]]:
        self._show_due()
        taken: list[tuple[Message, str, int]] = []
        for message in list(itertools.islice(self._visible, 1000)):
            if len(taken) == count:
                break
            if now_ms() - message.sent_at > int(self.message_retention_period) * 1000:  # type: ignore[attr-defined]
                self._remove(message)
            elif self._is_spent(message):
                self._redrive(message)
            else:
                taken.append(self._hand_out(message, visibility_s))
        return taken

    def _is_spent(self, message: Message) -> bool:
        policy: dict[str, Any] = self.redrive_policy or {}
        return bool(policy) and message.receive_count >= policy["maxReceiveCount"]

    def _redrive(self, message: Message) -> None:
        """Moves the message. It keeps its id, its enqueue time and its receive count."""
        self._remove(message)
        message.source_arn = self.queue_arn
        assert isinstance(self.dead_letter_queue, LocalQueue)
        self.dead_letter_queue.put(message)

    def _hand_out(self, message: Message, visibility_s: int) -> tuple[Message, str, int]:
        handle = secrets.token_urlsafe(120)
        message.received_at = now_ms()
        message.first_received_at = message.first_received_at or message.received_at
        message.receive_count += 1
        self._handles[handle] = message
        message.handles.append(handle)
        self._hide(message, message.received_at + visibility_s * 1000 if visibility_s else 0)
        return message, handle, message.receive_count
