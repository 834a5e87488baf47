"""
handler.py QUEUE_URL TOPIC_ARN: makes items as the original's Lambda function does, for comparison. The handler gets up
to ten messages at a time, makes one item after another with uvx in a temporary directory, and publishes each. It leaves
failed messages in the queue.

It creates its clients, writes "ready" and works until stdin ends. It reports failures on stderr. UV_CACHE_DIR,
UV_CONSTRAINT and similar variables are read by uv.
"""

import json
import select
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

AT_ONCE = 10
OUTPUT = "item.json"


def command(request: dict[str, Any]) -> list[str]:
    words = ["uvx", "--with", f"requests,{request['package_name']}", "--from", "stactools"]
    words += ["stac", request["group_name"], "create-item", *request["create_item_args"]]
    for name, value in request.get("create_item_options", {}).items():
        words += [f"--{name}", value]
    return [*words, OUTPUT]


def make_item(request: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(command(request), cwd=directory, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{done.args} exited with {done.returncode}: {done.stderr[-2000:]}")
        item: dict[str, Any] = json.loads((Path(directory) / OUTPUT).read_text())
    if request.get("collection_id"):
        item["collection"] = request["collection_id"]
    return item


def handle(event: dict[str, Any], sns: Any, topic_arn: str) -> dict[str, Any]:
    failures = []
    for record in event["Records"]:
        try:
            item = make_item(json.loads(json.loads(record["body"])["Message"]))
            sns.publish(TopicArn=topic_arn, Message=json.dumps(item))
        except Exception:  # a failed message goes back to the queue
            traceback.print_exc()
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def poll(sqs: Any, queue_url: str, sns: Any, topic_arn: str) -> None:
    """Does what Lambda's event source mapping does for a function."""
    answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=AT_ONCE, WaitTimeSeconds=1)
    messages = answer.get("Messages", [])
    if not messages:
        return
    records = [{"messageId": message["MessageId"], "body": message["Body"]} for message in messages]
    failures = handle({"Records": records}, sns, topic_arn)["batchItemFailures"]
    failed = {failure["itemIdentifier"] for failure in failures}
    entries = [
        {"Id": str(i), "ReceiptHandle": message["ReceiptHandle"]}
        for i, message in enumerate(messages)
        if message["MessageId"] not in failed
    ]
    if entries:
        sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)


def main() -> None:
    queue_url, topic_arn = sys.argv[1:]
    endpoint = f"http://{urlsplit(queue_url).netloc}"
    sqs, sns = (boto3.client(service, endpoint_url=endpoint) for service in ("sqs", "sns"))
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        poll(sqs, queue_url, sns, topic_arn)


if __name__ == "__main__":
    main()
