"""
receive.py THREADS QUEUE_URL MESSAGES: receives, parses and deletes this many messages with boto3, as
build/bench/receive does with lib/sqs: it writes "ready", waits for a line, and prints its costs as JSON.
"""

import json
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

PATIENCE_S = 15  # without a message


class Count:
    def __init__(self, total: int) -> None:
        self._lock = threading.Lock()
        self._left = total

    def take(self, n: int) -> None:
        with self._lock:
            self._left -= n

    @property
    def left(self) -> int:
        return self._left


def drain(client: Any, queue_url: str, count: Count) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while count.left > 0 and time.monotonic() < deadline:
        answer = client.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        messages = answer.get("Messages", [])
        for message in messages:
            json.loads(message["Body"])
        entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
        if entries:
            deadline = time.monotonic() + PATIENCE_S
            count.take(len(client.delete_message_batch(QueueUrl=queue_url, Entries=entries)["Successful"]))


def peak_kib() -> int:
    """getrusage is not used, because its value begins with the parent's."""
    found = re.search(r"^VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(), re.M)
    return int(found[1]) if found else 0


def main() -> None:
    threads, queue_url, total = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    endpoint = f"http://{urlsplit(queue_url).netloc}"
    client = boto3.client("sqs", endpoint_url=endpoint, config=Config(max_pool_connections=threads))
    count = Count(total)
    workers = [threading.Thread(target=drain, args=(client, queue_url, count)) for _ in range(threads)]
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.monotonic(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    answer = {
        "messages": total - count.left,
        "seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - cpu,
        "peak_kib": peak_kib(),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
