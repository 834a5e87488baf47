#!/usr/bin/env python3
"""
Ships the journal of some units to CloudWatch Logs, as the JSON lines that the daemons write without a journal.

Every few seconds it sends the entries after the last cursor, and saves the cursor when CloudWatch has them. Entries that
cannot be sent are sent later, also after a restart. When it is stopped, it first ships the remaining entries.
"""

import argparse
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

INTERVAL_S = 3
# Limits of one PutLogEvents
# (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html).
BATCH_EVENTS = 10_000
BATCH_BYTES = 1_048_576
EVENT_BYTES = 262_144
EVENT_OVERHEAD = 26
BATCH_SPAN_MS = 24 * 60 * 60 * 1000
LEVELS = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
# Fields that the journal adds, or that the line has under another name.
LEFT_OUT = {"EVENT", "INVOCATION_ID", "MESSAGE", "MESSAGE_ID", "PRIORITY", "TID", "UNIT"}
LEFT_OUT_PREFIXES = ("CODE_", "JOB_", "SYSLOG_", "_")


def text_of(value: Any) -> str:
    """Decodes a field. If it is not valid text, it is an array of bytes; if it occurs twice, an array of values."""
    if isinstance(value, list) and all(isinstance(byte, int) for byte in value):
        return bytes(value).decode(errors="replace")
    return text_of(value[-1]) if isinstance(value, list) else str(value)


def event_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Converts a journal entry to an event of CloudWatch Logs."""
    time_us = int(entry["__REALTIME_TIMESTAMP"])
    time = datetime.fromtimestamp(time_us / 1e6, timezone.utc)
    line = {"time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    line["level"] = LEVELS[int(text_of(entry.get("PRIORITY", 6))) % 8]
    if "EVENT" in entry:
        line["event"] = text_of(entry["EVENT"])
    line["message"] = text_of(entry.get("MESSAGE", ""))
    own = (name for name in entry if name not in LEFT_OUT and not name.startswith(LEFT_OUT_PREFIXES))
    line |= {name.lower(): text_of(entry[name]) for name in own}
    message = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
    while len(message.encode()) > EVENT_BYTES - EVENT_OVERHEAD:
        message = message[: len(message) * 3 // 4]
    return {"timestamp": time_us // 1000, "message": message}


def batches(events: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Cuts the events to the limits of one call: number, bytes, and a day from the first to the last."""
    number, count, size, first_ms = 0, 0, 0, 0

    def batch_number(event: dict[str, Any]) -> int:
        nonlocal number, count, size, first_ms
        bytes_more = len(event["message"].encode()) + EVENT_OVERHEAD
        late = event["timestamp"] - first_ms >= BATCH_SPAN_MS
        if count == BATCH_EVENTS or size + bytes_more > BATCH_BYTES or late:
            number, count, size, first_ms = number + 1, 0, 0, event["timestamp"]
        count, size = count + 1, size + bytes_more
        return number

    ordered = sorted(events, key=lambda event: event["timestamp"])
    for _, group in groupby(ordered, batch_number):
        yield list(group)


def entries_after(cursor: str, units: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Reads at most one batch of entries: those of the units, and what systemd says about them."""
    command = ["journalctl", "--quiet", "--no-pager", "--all", "--output=json", *(f"--unit={unit}" for unit in units)]
    command += [f"--after-cursor={cursor}"] if cursor else []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as journal:
        assert journal.stdout
        for number, line in enumerate(journal.stdout):
            if number == BATCH_EVENTS:
                journal.terminate()
                break
            yield json.loads(line)


def ship(logs: Any, group: str, stream: str, state: Path, units: Sequence[str]) -> int:
    """Ships the entries after the cursor, at most one batch. Returns their number."""
    entries = list(entries_after(state.read_text() if state.exists() else "", units))
    for batch in batches(map(event_of, entries)):
        answer = logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)
        if rejected := answer.get("rejectedLogEventsInfo"):
            print(f"CloudWatch Logs refused events as too old or too new: {rejected}", file=sys.stderr)
    if entries:
        new = state.with_suffix(".new")
        new.write_text(entries[-1]["__CURSOR"])
        new.replace(state)
    return len(entries)


def open_stream(logs: Any, group: str, stream: str) -> None:
    try:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    except logs.exceptions.ResourceAlreadyExistsException:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description="Ships the journal of some units to CloudWatch Logs.")
    parser.add_argument("--group", required=True, help="log group")
    parser.add_argument("--stream", required=True, help="log stream; created if it is missing")
    parser.add_argument("--state", required=True, type=Path, help="file for the position in the journal")
    parser.add_argument("units", nargs="+", help="units whose entries are shipped")
    options = parser.parse_args()

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    logs = boto3.client("logs", config=Config(retries={"mode": "standard", "total_max_attempts": 3}))
    is_open = False
    while True:
        is_last = stop.is_set()
        n = 0
        try:
            if not is_open:
                open_stream(logs, options.group, options.stream)
                is_open = True
            n = ship(logs, options.group, options.stream, options.state, options.units)
        except (BotoCoreError, ClientError) as error:
            print(f"not shipped, will retry: {error}", file=sys.stderr, flush=True)
        if is_last:
            break
        if n < BATCH_EVENTS:
            stop.wait(INTERVAL_S)


if __name__ == "__main__":
    main()
