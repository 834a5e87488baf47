"""
What a stack has started, in DIR/state.json: written at each step, so that `down` finds it whatever became of `up`.
"""

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
        self.processes: list[Process] = []  # in the order of starting; those that ended by themselves too
        self.temporary: str | None = None  # directory
        self.endpoints: dict[str, str] = {}  # host:port by name; set when all is up

    def load(self) -> bool:
        """False: there is none."""
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
        """Stops one and forgets it. False: it had to be killed."""
        late = process.stop([started], number, timeout_s)
        self.processes.remove(started)
        self.save()
        return not late
