"""
The rates of a task, read from the tables of docs/explanation/performance.md, so that the simulation always has
the newest measured rates.

If a rate depends on what else used the machine, the processor time of an item counts ("CPU ms an item", "CPU s/1000"),
as that document recommends. One virtual CPU then makes 1000 / CPU ms items a second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "performance.md"

# AWS Lambda Developer Guide, "Configure Lambda function memory": a function with 1,769 MB has the equivalent of one
# vCPU.
LAMBDA_MIB_PER_VCPU = 1769


class RateError(Exception):
    pass


@cache
def _document() -> str:
    return DOCUMENT.read_text()


@cache
def measured(case: str, row: str, column: str) -> float:
    """One figure of the first table of a benchmark case."""
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
    cpu_s: float  # for one item
    cold_s: tuple[float, float]  # duration of the first item, which has to create its environment: best and worst
    cold_cpu_s: float  # processor time of that first item

    def seconds(self, vcpu: float, wait_s: float) -> float:
        """Seconds for one item that has this much of a processor to itself."""
        return self.cpu_s / min(vcpu, 1) + wait_s


@dataclass(frozen=True)
class Loading:
    connection_rate: float  # items a second over one connection
    cpu_s: float  # client's processor time for an item
    database_cpu_s: float  # database's processor time for an item


def ours_generation() -> Generation:
    """itemgend without bubblewrap, as on Fargate, where the kernel does not allow bubblewrap."""
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
    """
    Items scattered over 60 months, the more expensive case, with the client's time from the case with a queue
    (end_to_end).
    """
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
