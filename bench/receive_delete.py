#!/usr/bin/env python3
"""What receiving and deleting costs: CPU seconds of the client per 1000 messages.

    bench/receive_delete.py [messages [body bytes [requests at once]]]

The queue is a server on loopback that always has ten messages to give and takes every delete, so that the
client is never the one to wait for. Its own time is not counted.
"""

import asyncio
import hashlib
import json
import multiprocessing
import os
import re
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

TOOL = Path(os.environ.get("BUILD", "build")) / "tests" / "aws"
SUCCESSFUL = {n: json.dumps({"Successful": [{"Id": str(i)} for i in range(n)], "Failed": []}) for n in range(11)}


def receive_answer(body_bytes: int) -> bytes:
    """Ten messages shaped as SQS's: a STAC item's text, so full of quotes, and the attributes that are asked for."""
    member = '"properties": {"datetime": "2024-05-06T07:08:09Z", "value": 1.25}, '
    body = "{" + member * (body_bytes // len(member) + 1)
    body = body[: body_bytes - 1] + "}"
    messages = [
        {
            "MessageId": f"00000000-0000-0000-0000-{i:012}",
            "ReceiptHandle": "AQEB" + hashlib.sha256(bytes([i])).hexdigest() * 6,
            "MD5OfBody": hashlib.md5(body.encode()).hexdigest(),
            "Body": body,
            "Attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": "1700000000111",
                "ApproximateFirstReceiveTimestamp": "1700000000222",
            },
        }
        for i in range(10)
    ]
    return with_head(json.dumps({"Messages": messages}))


def with_head(body: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body.encode()


def serve(ports: Connection, body_bytes: int) -> None:
    received = receive_answer(body_bytes)
    deleted = {n: with_head(text) for n, text in SUCCESSFUL.items()}
    length = re.compile(rb"content-length: (\d+)", re.IGNORECASE)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = length.search(head)
                body = await reader.readexactly(int(found.group(1)) if found else 0)
                writer.write(received if b"ReceiveMessage" in head else deleted[body.count(b'"ReceiptHandle"')])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        ports.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def main() -> None:
    total, body_bytes, requests = (int(a) for a in (sys.argv[1:] + ["20000", "1600", "4"][len(sys.argv) - 1 :]))
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there, body_bytes), daemon=True)
    server.start()
    queue_url = f"http://127.0.0.1:{here.recv()}/000000000000/bench"
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE00",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    line = json.dumps({"op": "drain", "queue_url": queue_url, "requests": requests, "total": total})
    done = subprocess.run([TOOL], input=line + "\n", stdout=subprocess.PIPE, text=True, check=True, env=env)
    server.terminate()
    result = json.loads(done.stdout)
    if result["result"] != 0:
        sys.exit(f"failed: {result['text']}")
    rate = result["messages"] / (result["wall_ms"] / 1000)
    print(
        f"{result['messages']} messages of {body_bytes} bytes, {requests} receives at once: "
        f"{result['cpu_s_per_1000']} CPU seconds per 1000, {rate:.0f} messages/s"
    )


if __name__ == "__main__":
    main()
