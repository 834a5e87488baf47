"""
The limits of SQS and SNS, and the error codes for requests beyond them.

Sources: the Amazon SQS and SNS API references and developer guides ("message metadata", "message quotas", "message
attributes"). An attribute is what both services' models call it: {"DataType", "StringValue" or "BinaryValue"}.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from moto.core.exceptions import ServiceException

Attributes = Mapping[str, Mapping[str, Any]]

SQS_BATCH_BYTES = 1024 * 1024
SNS_MESSAGE_BYTES = 256 * 1024
BATCH_ENTRIES = 10
ATTRIBUTES = 10
VISIBILITY_S = 12 * 60 * 60

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_TYPE = re.compile(r"(String|Number|Binary)(\..+)?", re.DOTALL)

SQS_CHARACTERS = (
    "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | "
    "#x10000 to #x10FFFF"
)


class Refusal(ServiceException):
    """moto formats it as an error of the service's protocol."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)


def invalid_value(message: str) -> Refusal:
    """The error code that SQS uses most."""
    return Refusal("InvalidParameterValue", message)


def has_forbidden_character(text: str) -> bool:
    return _FORBIDDEN.search(text) is not None


def message_size(body: str, attributes: Attributes) -> int:
    """The size that counts towards a limit: the body and each attribute's name, type and value, in bytes."""
    return len(body.encode("utf-8", "surrogatepass")) + sum(
        len(name.encode()) + len(attribute["DataType"].encode()) + len(_value_bytes(attribute))
        for name, attribute in attributes.items()
    )


def _value_bytes(attribute: Mapping[str, Any]) -> bytes:
    if attribute["DataType"].startswith("Binary"):
        return bytes(attribute.get("BinaryValue") or b"")
    return str(attribute.get("StringValue") or "").encode("utf-8", "surrogatepass")


def _is_number(text: str) -> bool:
    """True for up to 38 digits, from 10^-128 to 10^126."""
    if not re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", text):
        return False
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    return len(number.as_tuple().digits) <= 38 and (number == 0 or -128 <= number.adjusted() <= 126)


def check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        reason = f"between {low} and {high}" if name == "MaxNumberOfMessages" else f">= {low} and <= {high}"
        raise invalid_value(f"Value {value} for parameter {name} is invalid. Reason: Must be {reason}, if provided.")


# --- SQS


def check_sqs_message(body: str | None, attributes: Attributes, maximum: int) -> None:
    if not body:
        raise Refusal("MissingParameter", "The request must contain the parameter MessageBody.")
    if has_forbidden_character(body):
        raise Refusal("InvalidMessageContents", SQS_CHARACTERS)
    if len(attributes) > ATTRIBUTES:
        raise invalid_value(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{ATTRIBUTES}]."
        )
    for name, attribute in attributes.items():
        _check_sqs_attribute(name, attribute)
    if message_size(body, attributes) > maximum:
        raise invalid_value(
            f"One or more parameters are invalid. Reason: Message must be shorter than {maximum} bytes."
        )


def _check_sqs_attribute(name: str, attribute: Mapping[str, Any]) -> None:
    if not _NAME.fullmatch(name):
        raise invalid_value(
            "Message (user) attributes name can only contain upper and lower score characters, digits, periods, "
            "hyphens and underscores."
        )
    if name.lower().startswith(("aws.", "amazon.")) or name.startswith(".") or name.endswith(".") or ".." in name:
        raise invalid_value(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.', nor ones that start or end "
            "with a period or have two in succession."
        )
    kind = attribute.get("DataType") or ""
    if not _TYPE.fullmatch(kind) or len(kind) > 256:
        raise invalid_value(f"The type of message (user) attribute '{name}' is invalid: String, Binary or Number.")
    text = attribute.get("StringValue")
    is_binary = kind.startswith("Binary")
    if not (attribute.get("BinaryValue") if is_binary else text):
        raise invalid_value(f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'.")
    if not is_binary and has_forbidden_character(str(text)):
        raise invalid_value(SQS_CHARACTERS)
    if kind.startswith("Number") and not _is_number(str(text)):
        raise invalid_value(f"Can't cast the value of message (user) attribute '{name}' to a number.")


def check_sqs_entries(entries: Sequence[Mapping[str, Any]], name: str) -> None:
    """`name`: the shape of an entry, for example "SendMessageBatchRequestEntry"."""
    if not entries:
        raise Refusal(
            "AWS.SimpleQueueService.EmptyBatchRequest", f"There should be at least one {name} in the request."
        )
    if len(entries) > BATCH_ENTRIES:
        raise Refusal(
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {BATCH_ENTRIES}. You have sent {len(entries)}.",
        )
    seen: set[str] = set()
    for entry in entries:
        identifier = entry.get("Id") or ""
        if not _ENTRY_ID.fullmatch(identifier):
            raise Refusal(
                "AWS.SimpleQueueService.InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                "It can be at most 80 letters long.",
            )
        if identifier in seen:
            raise Refusal("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", f"Id {identifier} repeated.")
        seen.add(identifier)


def check_sqs_batch_size(entries: Sequence[Mapping[str, Any]]) -> None:
    total = sum(message_size(e.get("MessageBody") or "", sized_attributes(e)) for e in entries)
    if total > SQS_BATCH_BYTES:
        raise Refusal(
            "AWS.SimpleQueueService.BatchRequestTooLong",
            f"Batch requests cannot be longer than {SQS_BATCH_BYTES} bytes. You have sent {total} bytes.",
        )


def sized_attributes(entry: Mapping[str, Any]) -> Attributes:
    """Size of an entry's attributes that have a type. Those without one are refused later, one by one."""
    return {k: v for k, v in (entry.get("MessageAttributes") or {}).items() if v.get("DataType")}


# --- SNS


def check_sns_message(message: str | None, attributes: Attributes, where: str) -> None:
    """`where`: the path to the attributes in the request's model, for the error about a missing value."""
    for name, attribute in attributes.items():
        _check_sns_attribute(name, attribute, where)
    if not message:
        raise Refusal("InvalidParameter", "Invalid parameter: Empty message")


def check_sns_size(message: str, attributes: Attributes) -> None:
    if message_size(message, attributes) > SNS_MESSAGE_BYTES:
        raise Refusal("InvalidParameter", "Invalid parameter: Message too long")


def _check_sns_name(name: str) -> None:
    problem = None
    odd = re.search(r"[^A-Za-z0-9_.-]", name)
    if len(name.encode()) > 256:
        problem = "Length of message attribute name must be less than 256 bytes."
    elif not name:
        problem = "Message attribute name can not be empty."
    elif odd:
        problem = (
            f"Invalid non-alphanumeric character '#x{ord(odd[0]):X}' was found in the message attribute name. Can only "
            "include alphanumeric characters, hyphens, underscores, or dots."
        )
    elif name[0] == ".":
        problem = "Invalid message attribute name starting with character '.' was found."
    elif name[-1] == ".":
        problem = "Invalid message attribute name ending with character '.' was found."
    elif ".." in name:
        problem = "Message attribute name can not have successive '.' character."
    if problem:
        raise Refusal("ParameterValueInvalid", problem)


def _check_sns_attribute(name: str, attribute: Mapping[str, Any], where: str) -> None:
    _check_sns_name(name)
    kind = attribute.get("DataType")
    if kind is None:
        raise Refusal(
            "ValidationError",
            f"1 validation error detected: Value null at '{where}.{name}.member.dataType' failed to satisfy "
            "constraint: Member must not be null",
        )
    if not _TYPE.fullmatch(kind):
        raise Refusal(
            "ParameterValueInvalid",
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes "
            "is Binary, Number, and String.",
        )
    field = "Binary" if kind.startswith("Binary") else "String"
    other = "String" if field == "Binary" else "Binary"
    if f"{field}Value" not in attribute and f"{other}Value" in attribute:
        raise Refusal(
            "ParameterValueInvalid", f"The message attribute '{name}' with type '{kind}' must use field '{field}'."
        )
    value = attribute.get(f"{field}Value")
    if not value:
        raise Refusal(
            "ParameterValueInvalid",
            f"The message attribute '{name}' must contain non-empty message attribute value for message attribute type "
            f"'{kind}'.",
        )
    if kind.startswith("Number") and not _is_number(str(value)):
        raise Refusal("ParameterValueInvalid", f"Could not cast message attribute '{name}' value to number.")


def check_sns_entries(entries: Sequence[Mapping[str, Any]]) -> None:
    if not entries:
        raise Refusal("EmptyBatchRequest", "The batch request doesn't contain any entries.")
    if len(entries) > BATCH_ENTRIES:
        raise Refusal("TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
    identifiers = [entry.get("Id") or "" for entry in entries]
    for identifier in identifiers:
        if len(identifier) > 80:
            raise Refusal(
                "InvalidBatchEntryId", f"The Id of a batch entry in the batch request is too long: {identifier}"
            )
        if not _ENTRY_ID.fullmatch(identifier):
            raise Refusal(
                "InvalidBatchEntryId",
                f"The Id of a batch entry in the batch request contains an impermissible character: {identifier}",
            )
    if len(set(identifiers)) != len(identifiers):
        raise Refusal("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")


def check_sns_batch_size(entries: Sequence[Mapping[str, Any]]) -> None:
    total = sum(message_size(entry["Message"], sized_attributes(entry)) for entry in entries)
    if total > SNS_MESSAGE_BYTES:
        raise Refusal("BatchRequestTooLong", "The length of all the messages put together is more than the limit.")
