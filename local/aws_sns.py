"""
SNS's Publish and PublishBatch, with the refusals of local.aws_limits, and the delivery to queues.

A message reaches a queue only if the queue's policy admits the topic and SQS would accept it. SNS discards what SQS
refuses, as with any client-side error ("Amazon SNS message delivery retries"; "message attributes and raw message
delivery"), and so does this server. Its log says so.
"""

import base64
import fnmatch
import json
import logging
from collections import deque
from typing import Any

import moto.sns.models
import moto.sns.urls
from moto.core.responses import ActionResult
from moto.sns.models import Subscription
from moto.sns.responses import SNSResponse
from moto.sqs.models import sqs_backends

from local import aws_limits
from local.aws_limits import Refusal
from local.aws_queue import LocalQueue, Message

log = logging.getLogger("local.sns")

ENVELOPE = (
    *("Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion", "Signature"),
    *("SigningCertURL", "UnsubscribeURL", "MessageAttributes"),
)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _matches_topic(condition: dict[str, Any], topic_arn: str) -> bool:
    """True if a condition on aws:SourceArn is met. Any other condition is not understood, and counts as not met."""
    for operator, wanted in condition.items():
        values = {name.lower(): value for name, value in wanted.items()}
        if set(values) != {"aws:sourcearn"}:
            return False
        patterns = _as_list(values["aws:sourcearn"])
        if operator in ("ArnEquals", "ArnLike", "StringLike"):
            holds = any(fnmatch.fnmatchcase(topic_arn, pattern) for pattern in patterns)
        else:
            holds = operator == "StringEquals" and topic_arn in patterns
        if not holds:
            return False
    return True


def policy_admits(policy: str | None, queue_arn: str, topic_arn: str) -> bool:
    """True if a queue's policy lets SNS send to it for this topic ("Subscribing an Amazon SQS queue to a topic")."""
    for statement in _as_list(json.loads(policy or "{}").get("Statement", [])):
        principal = statement.get("Principal", {})
        services = _as_list(principal.get("Service", [])) if isinstance(principal, dict) else []
        actions = [action.lower() for action in _as_list(statement.get("Action", []))]
        if (
            statement.get("Effect") == "Allow"
            and (principal in ("*", {"AWS": "*"}) or "sns.amazonaws.com" in services)
            and any(fnmatch.fnmatchcase("sqs:sendmessage", action) for action in actions)
            and any(fnmatch.fnmatchcase(queue_arn, pattern) for pattern in _as_list(statement.get("Resource", [])))
            and _matches_topic(statement.get("Condition", {}), topic_arn)
        ):
            return True
    return False


class LocalSubscription(Subscription):
    def publish(
        self,
        message: str,
        message_id: str,
        subject: str | None = None,
        message_attributes: dict[str, Any] | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
        message_structure: str | None = None,
    ) -> None:
        if self.protocol != "sqs":
            log.warning(
                "topic %s: protocol %s is not supported, message %s discarded", self.topic.name, self.protocol, message_id
            )
            return
        attributes = message_attributes or {}
        if self._filter_policy_matcher and not self._filter_policy_matcher.matches(attributes, message):
            return
        if message_structure == "json":
            message = self._parse_message_structure(message, self.protocol)
        try:
            self._deliver(message, message_id, subject, attributes)
        except Exception as error:  # the publisher gets an answer in any case
            log.warning("topic %s: message %s discarded for %s: %s", self.topic.name, message_id, self.endpoint, error)

    def _deliver(self, message: str, message_id: str, subject: str | None, attributes: dict[str, Any]) -> None:
        region, _, name = self.endpoint.split(":")[3:6]
        queue = sqs_backends[self.account_id][region].get_queue(name)
        assert isinstance(queue, LocalQueue)
        if not policy_admits(queue.policy, queue.queue_arn, self.topic.arn):
            raise Refusal("AccessDenied", "the queue's policy does not admit the topic")
        if str(self.attributes.get("RawMessageDelivery")).lower() == "true":
            body, sqs_attributes = message, {name: as_sqs_attribute(value) for name, value in attributes.items()}
        else:
            body, sqs_attributes = self._envelope(message, message_id, subject, attributes), {}
        maximum = int(queue.maximum_message_size)  # type: ignore[attr-defined]
        aws_limits.check_sqs_message(body, sqs_attributes, maximum)
        queue.put(Message(body, sqs_attributes), int(queue.delay_seconds))  # type: ignore[attr-defined]

    def _envelope(self, message: str, message_id: str, subject: str | None, attributes: dict[str, Any]) -> str:
        data = self.get_post_data(message, message_id, subject, message_attributes=attributes)
        ordered = {name: data[name] for name in ENVELOPE if name in data}
        return json.dumps(ordered, indent=2, separators=(",", " : "), ensure_ascii=False)


def as_sqs_attribute(attribute: dict[str, str]) -> dict[str, Any]:
    """Converts SNS's {"Type", "Value"}; a Binary value is base64."""
    if attribute["Type"].startswith("Binary"):
        return {"DataType": attribute["Type"], "BinaryValue": base64.b64decode(attribute["Value"])}
    return {"DataType": attribute["Type"], "StringValue": attribute["Value"]}


class LocalSNS(SNSResponse):
    def _determine_resource(self) -> str:
        params = getattr(self, "params", {})
        return params.get("TopicArn") or params.get("TargetArn") or "*"

    def create_topic(self) -> ActionResult:
        result: Any = super().create_topic()
        topic = self.backend.get_topic(result.result["TopicArn"])
        topic.sent_notifications = deque(maxlen=0)  # type: ignore[assignment]  # moto would keep every message ever sent
        return ActionResult(result.result)

    def publish(self) -> ActionResult:
        attributes = self._get_param("MessageAttributes", {})
        message = self._get_param("Message")
        aws_limits.check_sns_message(message, attributes, "messageAttributes")
        aws_limits.check_sns_size(message, attributes)
        if self._get_param("Subject") == "":
            raise Refusal("InvalidParameter", "Invalid parameter: Subject")
        arn = self._get_param("TargetArn") or self._get_param("TopicArn") or ""
        return ActionResult({"MessageId": self._publish(arn, self.params)})

    def publish_batch(self) -> ActionResult:
        entries = self._get_param("PublishBatchRequestEntries", [])
        self.backend.get_topic(self._get_param("TopicArn"))
        aws_limits.check_sns_entries(entries)
        for index, entry in enumerate(entries, 1):
            where = f"publishBatchRequestEntries.{index}.member.messageAttributes"
            aws_limits.check_sns_message(entry.get("Message"), entry.get("MessageAttributes", {}), where)
        aws_limits.check_sns_batch_size(entries)
        published = [
            {"Id": entry["Id"], "MessageId": self._publish(self._get_param("TopicArn"), entry)} for entry in entries
        ]
        return ActionResult({"Successful": published, "Failed": []})

    def _publish(self, arn: str, entry: dict[str, Any]) -> str:
        if arn.count(":") < 5:
            elements = arn.count(":") + 1
            raise Refusal(
                "InvalidParameter",
                f"Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not {elements}",
            )
        return self.backend.get_topic(arn).publish(
            entry["Message"],
            subject=entry.get("Subject"),
            message_attributes=self._transform_message_attributes(entry.get("MessageAttributes", {})),
            message_structure=entry.get("MessageStructure"),
        )


def install() -> None:
    """Replaces moto's own operations. Call it before the first request."""
    moto.sns.models.Subscription = LocalSubscription  # type: ignore[misc]
    paths = moto.sns.urls.url_paths
    moto.sns.urls.url_paths = {path: LocalSNS.dispatch if path == "{0}/$" else view for path, view in paths.items()}
