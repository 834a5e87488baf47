#!/usr/bin/env python3
"""
Stands in for a daemon in the tests of the stack: writes its arguments and environment to DIR/NAME.json and does what
FAKE says: "ready" (then waits for SIGTERM), "fail", "silent", "stubborn" (ready, ignores SIGTERM, has a child that
does), "impostor" (its child says READY=1).
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path


def notify(text: str) -> None:
    address = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.send(text.encode())


def main() -> None:
    name = Path(sys.argv[0]).name
    behaviour = os.environ.get("FAKE", "ready")
    record = Path(os.environ["FAKE_DIR"]) / f"{name}.json"
    record.write_text(json.dumps({"pid": os.getpid(), "argv": sys.argv[1:], "env": dict(os.environ)}))
    print(f"{name} speaks", flush=True)
    if behaviour == "fail":
        sys.exit("cannot reach the queue")
    if behaviour in ("stubborn", "impostor") and os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if behaviour == "impostor":
            notify("READY=1")
        time.sleep(600)
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if behaviour in ("ready", "stubborn"):
        notify("STATUS=starting")
        notify("READY=1\nSTATUS=ready")
    time.sleep(600)


main()
