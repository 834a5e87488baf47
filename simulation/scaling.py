"""
Application Auto Scaling: how a target tracking policy and step policies set an ECS service's desired count.

Source: its user guide ("How target tracking scaling works", "How step scaling works"). Target tracking has two alarms:
above the target for 3 minutes, and below nine tenths of it for 15. It wants ceil(capacity x metric / target) tasks.
While a cooldown runs after a scale-out, the next capacity is computed from the one before that scale-out. Of several
policies, the one that wants most tasks wins. A missing or invalid metric scales nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simulation.cloudwatch import Alarm, State
from simulation.expression import Value, evaluate

# The alarms that target tracking creates.
HIGH_PERIODS, LOW_PERIODS, LOW_SHARE = 3, 15, 0.9

# Gives the values of a metric and a statistic (CloudWatch's names) for the last minutes, newest first, as far as they
# have arrived.
Metrics = Callable[[str, str, int], list[Value]]


@dataclass(frozen=True)
class Math:
    """Expressions that are evaluated one after the other, over metrics with ids. The last one is the result."""

    metrics: Mapping[str, tuple[str, str]]  # id: name and statistic
    expressions: tuple[tuple[str, str], ...]  # id and expression

    def history(self, metrics: Metrics, minutes: int) -> list[Value]:
        """The results, newest first."""
        series = {id_: metrics(name, stat, minutes)[::-1] for id_, (name, stat) in self.metrics.items()}
        for id_, expression in self.expressions:
            series[id_] = evaluate(expression, series)
        return series[self.expressions[-1][0]][::-1]


@dataclass(frozen=True)
class TargetTracking:
    math: Math
    target: float
    out_cooldown_s: int
    in_cooldown_s: int


@dataclass(frozen=True)
class Step:
    """An adjustment for a metric between two bounds, which are relative to the alarm's threshold."""

    adjustment: int
    lower: float | None = None
    upper: float | None = None

    def fits(self, difference: float) -> bool:
        return (self.lower is None or difference >= self.lower) and (self.upper is None or difference < self.upper)


@dataclass(frozen=True)
class StepPolicy:
    name: str
    math: Math
    comparison: str  # CloudWatch's name of it
    threshold: float
    periods: int
    datapoints: int
    missing: str
    kind: str  # ExactCapacity or ChangeInCapacity
    steps: tuple[Step, ...]
    cooldown_s: int


@dataclass(frozen=True)
class Policy:
    min_tasks: int
    max_tasks: int
    tracking: TargetTracking
    steps: tuple[StepPolicy, ...]
    keep_alive_s: int | None  # how often the schedule uses the queue; None without a schedule


COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


class _Tracker:
    def __init__(self, policy: TargetTracking) -> None:
        self._policy = policy
        self._high = Alarm(lambda value: value > policy.target, HIGH_PERIODS, HIGH_PERIODS)
        self._low = Alarm(lambda value: value < LOW_SHARE * policy.target, LOW_PERIODS, LOW_PERIODS)
        self._base: int | None = None  # the capacity before the scale-out whose cooldown is running
        self._out_until_s = self._in_until_s = 0

    def wants(self, now_s: int, capacity: int, metrics: Metrics) -> int:
        history = self._policy.math.history(metrics, self._low.range)
        high, low = self._high.evaluate(history), self._low.evaluate(history)
        latest = next((value for value in history if value is not None), None)
        if latest is None:
            return capacity
        if now_s >= self._out_until_s:
            self._base = None
        if high is State.ALARM:
            base = capacity if self._base is None else self._base
            return max(capacity, math.ceil(base * latest / self._policy.target))
        if low is State.ALARM and now_s >= self._in_until_s:
            return min(capacity, math.ceil(capacity * latest / self._policy.target))
        return capacity

    def took_effect(self, now_s: int, before: int, after: int) -> None:
        if after > before:
            self._base = before if self._base is None else self._base
            self._out_until_s = now_s + self._policy.out_cooldown_s
        elif after < before:
            self._in_until_s = now_s + self._policy.in_cooldown_s


class _Stepper:
    def __init__(self, policy: StepPolicy) -> None:
        compare = COMPARISONS[policy.comparison]
        self._policy = policy
        self._alarm = Alarm(
            lambda value: compare(value, policy.threshold), policy.periods, policy.datapoints, policy.missing
        )
        self._until_s = 0

    def wants(self, now_s: int, capacity: int, metrics: Metrics) -> int:
        history = self._policy.math.history(metrics, self._alarm.range)
        if self._alarm.evaluate(history) is not State.ALARM or now_s < self._until_s:
            return capacity
        latest = next((value for value in history if value is not None), self._policy.threshold)
        step = next((step for step in self._policy.steps if step.fits(latest - self._policy.threshold)), None)
        if step is None:
            return capacity
        return step.adjustment if self._policy.kind == "ExactCapacity" else capacity + step.adjustment

    def took_effect(self, now_s: int) -> None:
        self._until_s = now_s + self._policy.cooldown_s


class Scaling:
    """Called once a minute."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._tracker = _Tracker(policy.tracking)
        self._steppers = [_Stepper(step) for step in policy.steps]

    def desired(self, now_s: int, capacity: int, metrics: Metrics) -> int:
        wishes = [(stepper, self._limited(stepper.wants(now_s, capacity, metrics))) for stepper in self._steppers]
        tracked = self._limited(self._tracker.wants(now_s, capacity, metrics))
        changed = [wish for wish in (tracked, *(wish for _, wish in wishes)) if wish != capacity]
        if not changed:
            return capacity
        desired = max(changed)
        if tracked == desired:
            self._tracker.took_effect(now_s, capacity, desired)
        for stepper, wish in wishes:
            if wish == desired:
                stepper.took_effect(now_s)
        return desired

    def _limited(self, wish: int) -> int:
        return min(max(wish, self._policy.min_tasks), self._policy.max_tasks)
