"""
What a task does per second: read from the tables of docs/explanation/performance.md, so that the simulation has the rates that were
measured last.

Where a rate depends on who else used the machine, the processor time of an item counts ("CPU ms an item", "CPU
s/1000"), as that document asks: one virtual CPU then makes 1000 / CPU ms items a second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "performance.md"

# AWS Lambda Developer Guide, "Configure Lambda function memory": at 1,769 MB a function has the equivalent of one vCPU.
LAMBDA_MIB_PER_VCPU = 1769


class RateError(Exception):
    pass


@cache
def _document() -> str:
    return DOCUMENT.read_text()


@cache
def measured(case: str, row: str, column: str) -> float:
    """One figure of the first table of a case."""
    match = re.search(rf"^\*\*{re.escape(case)}\*\*:.*\n\n((?:\|.*\n)+)", _document(), re.M)
    if not match:
        raise RateError(f"docs/explanation/performance.md has no table of {case}")
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in match[1].splitlines()]
    for cells in rows:
        if cells[0] == row:
            if column not in head:
                raise RateError(f"the table of {case} has no column {column}")
            return float(cells[head.index(column)].replace(",", ""))
    raise RateError(f"the table of {case} has no row {row}")


@dataclass(frozen=True)
class Generation:
    cpu_s: float  # of an item
    cold_s: tuple[float, float]  # the first item where there is no environment yet: best and worst
    cold_cpu_s: float  # of that, processor time

    def seconds(self, vcpu: float, wait_s: float) -> float:
        """One item alone on so much of a processor."""
        return self.cpu_s / min(vcpu, 1) + wait_s


@dataclass(frozen=True)
class Loading:
    connection_rate: float  # items a second over one connection
    cpu_s: float  # of an item, the client's
    database_cpu_s: float  # of an item, the database's


def ours_generation() -> Generation:
    """itemgend without bubblewrap, as on Fargate, where the kernel does not allow it."""
    return Generation(
        cpu_s=measured("generation_glclu", "ours, 2 workers, sandbox: limits", "CPU ms an item") / 1000,
        cold_s=_cold("ours"),
        cold_cpu_s=measured("generation_cold", "glclu, nothing there: ours", "CPU s"),
    )


def original_generation() -> Generation:
    return Generation(
        cpu_s=measured("generation_glclu", "the original's handler", "CPU ms an item") / 1000,
        cold_s=_cold("the original's handler"),
        cold_cpu_s=measured("generation_cold", "glclu, nothing there: the original's handler", "CPU s"),
    )


def _cold(who: str) -> tuple[float, float]:
    row = f"glclu, nothing there: {who}"
    return measured("generation_cold", row, "s, best"), measured("generation_cold", row, "worst")


def ours_loading() -> Loading:
    """Items scattered over 60 months, the dearer case; the client's time with the queue (end_to_end)."""
    return Loading(
        connection_rate=measured("months", "ours, 1 connection", "items/s"),
        cpu_s=measured("end_to_end", "2 workers", "CPU s/1000") / 1000,
        database_cpu_s=measured("months", "ours", "database's") / 1000,
    )


def original_loading() -> Loading:
    return Loading(
        connection_rate=measured("months", "the original's path", "items/s"),
        cpu_s=measured("months", "the original's path", "CPU s/1000") / 1000,
        database_cpu_s=measured("months", "the original's path", "database's") / 1000,
    )
