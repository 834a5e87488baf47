"""A CloudWatch alarm, and how it treats missing data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

PERIOD_S = 60


class State(Enum):
    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


@dataclass
class Alarm:
    """
    `datapoints` of `periods` minutes must be beyond the threshold. Missing data follow the CloudWatch User Guide
    ("Using Amazon CloudWatch Alarms", how alarm state is evaluated when data is missing): the alarm looks at two
    periods more than it needs and uses the most recent values. Only if these are too few, `missing` says how to count
    the others.
    """

    breaches: Callable[[float], bool]
    periods: int
    datapoints: int
    missing: str = "missing"  # or breaching, notBreaching, ignore
    state: State = State.INSUFFICIENT_DATA

    @property
    def range(self) -> int:
        return self.periods + 2

    def evaluate(self, newest_first: list[float | None]) -> State:
        """Returns the alarm's state, given the values of the last `range` minutes."""
        real = [
            (age, self.breaches(value)) for age, value in enumerate(newest_first[: self.range]) if value is not None
        ]
        n_missing = self.periods - len(real)
        if n_missing <= 0:
            breaching = sum(is_breach for _, is_breach in real[: self.periods])
            self.state = State.ALARM if breaching >= self.datapoints else State.OK
        elif self.missing in ("breaching", "notBreaching"):
            breaching = sum(is_breach for _, is_breach in real) + n_missing * (self.missing == "breaching")
            self.state = State.ALARM if breaching >= self.datapoints else State.OK
        elif not real:
            self.state = State.INSUFFICIENT_DATA if self.missing == "missing" else self.state
        elif any(not is_breach for _, is_breach in real):
            self.state = State.OK
        elif self.missing == "missing":
            # All present values breach: alarm only when the oldest of them is as old as the alarm needs.
            is_old = real[-1][0] + 1 >= self.datapoints
            self.state = State.ALARM if is_old else State.INSUFFICIENT_DATA
        return self.state
