"""The processes of a stack, recorded in DIR/state.json at each step, so that `down` finds them even if `up` failed."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from local import process
from local.process import Process


class State:
    def __init__(self, file: Path) -> None:
        self._file = file
        self.clear()

    def clear(self) -> None:
        self.processes: list[Process] = []  # in the order of starting, including those that exited
        self.temporary: str | None = None  # directory
        self.endpoints: dict[str, str] = {}  # host:port by name; set when all are up

    def load(self) -> bool:
        """Returns False if there is nothing to load."""
        try:
            stored: dict[str, Any] = json.loads(self._file.read_text())
        except FileNotFoundError:
            return False
        self.processes = [Process(**entry) for entry in stored["processes"]]
        self.temporary = stored["temporary"]
        self.endpoints = stored["endpoints"]
        return True

    def save(self) -> None:
        stored = {
            "processes": [asdict(started) for started in self.processes],
            "temporary": self.temporary,
            "endpoints": self.endpoints,
        }
        partial = self._file.with_suffix(".new")
        partial.write_text(json.dumps(stored, indent=1))
        partial.replace(self._file)

    def remove(self) -> None:
        self._file.unlink(missing_ok=True)
        self.clear()

    def add(self, started: Process) -> None:
        self.processes.append(started)
        self.save()

    def end(self, started: Process, number: int, timeout_s: float) -> bool:
        """Stops one process and forgets it. Returns False if it had to be killed."""
        late = process.stop([started], number, timeout_s)
        self.processes.remove(started)
        self.save()
        return not late
