"""Application Auto Scaling, computed by hand: what a policy does to a service, minute by minute."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulation.expression import Value
from simulation.scaling import Math, Policy, Scaling, Step, StepPolicy, TargetTracking

LOAD = Math({"load": ("Load", "Average")}, (("each", "load"),))
TRACKING = TargetTracking(LOAD, target=100, out_cooldown_s=180, in_cooldown_s=120)
POLICY = Policy(min_tasks=0, max_tasks=10, tracking=TRACKING, steps=(), keep_alive_s=None)


class Clock:
    """A service whose metric is set minute by minute."""

    def __init__(self, policy: Policy, capacity: int = 1) -> None:
        self.scaling = Scaling(policy)
        self.capacity = capacity
        self.values: list[Value] = []
        self.now_s = 0

    def minute(self, value: Value) -> int:
        self.values.append(value)
        self.now_s += 60
        known = lambda _name, _statistic, n: (self.values[::-1] + [None] * n)[:n]  # noqa: E731
        self.capacity = self.scaling.desired(self.now_s, self.capacity, known)
        return self.capacity

    def minutes(self, *values: Value) -> list[int]:
        return [self.minute(value) for value in values]


def test_above_the_target_for_three_minutes() -> None:
    assert Clock(POLICY).minutes(350, 350, 350) == [1, 1, 4]  # ceil(1 x 350 / 100)


def test_one_minute_below_the_target_restarts_the_count() -> None:
    assert Clock(POLICY).minutes(350, 350, 50, 350, 350, 350) == [1, 1, 1, 1, 1, 4]


def test_max_tasks_is_the_limit() -> None:
    assert Clock(POLICY).minutes(5000, 5000, 5000)[-1] == 10


def test_tasks_that_start_are_not_ordered_again() -> None:
    """
    The backlog of one task is measured until the others run. During the cooldown, the next number is computed from the
    one before; later from the number that exists, and by then the others should run.
    """
    clock = Clock(POLICY)
    assert clock.minutes(300, 300, 300, 300, 300) == [1, 1, 3, 3, 3]
    assert clock.minute(300) == 9  # after 180 s: ceil(3 x 300 / 100)


def test_more_in_the_cooldown_is_more_at_once() -> None:
    clock = Clock(POLICY)
    assert clock.minutes(300, 300, 300) == [1, 1, 3]
    assert clock.minute(700) == 7


def test_below_nine_tenths_for_fifteen_minutes() -> None:
    clock = Clock(POLICY, 8)
    assert clock.minutes(*[40] * 14) == [8] * 14
    assert clock.minutes(40, 40, 40) == [4, 4, 2]  # ceil(8 x 0.4), then after 120 s ceil(4 x 0.4)
    assert Clock(POLICY, 8).minutes(*[95] * 20) == [8] * 20


def test_without_measurements_nothing_is_decided() -> None:
    assert Clock(POLICY, 3).minutes(*[None] * 30) == [3] * 30


def test_late_values_count_as_long_as_they_are_looked_at() -> None:
    """Three minutes of five."""
    assert Clock(POLICY).minutes(350, 350, 350, None)[-1] == 4
    assert Clock(POLICY).minutes(None, 350, 350, 350, None)[-1] == 4


WAKE = StepPolicy(
    "wake", LOAD, "GreaterThanOrEqualToThreshold", 1, 1, 1, "notBreaching", "ChangeInCapacity", (Step(1, 0),), 300
)
SLEEP = StepPolicy(
    "sleep", LOAD, "LessThanThreshold", 1, 3, 3, "notBreaching", "ExactCapacity", (Step(0, None, 0),), 60
)
QUIET = replace(TRACKING, target=1e9)


def test_a_step_is_taken_once_in_its_cooldown() -> None:
    clock = Clock(replace(POLICY, tracking=QUIET, steps=(WAKE,)), 0)
    assert clock.minutes(1, 1, 1, 1, 1, 1, 1) == [1, 1, 1, 1, 1, 2, 2]


def test_from_one_to_zero() -> None:
    clock = Clock(replace(POLICY, tracking=replace(TRACKING, target=1), steps=(WAKE, SLEEP)), 1)
    assert clock.minutes(0, 0, 0) == [1, 1, 0]


def test_the_policy_that_wants_most_wins() -> None:
    """The step would end all tasks; target tracking wants more."""
    both = Policy(0, 10, TRACKING, (replace(SLEEP, threshold=1000, periods=1, datapoints=1),), None)
    assert Clock(both, 2).minutes(500, 500, 500) == [0, 0, 0]
    clock = Clock(replace(both, steps=(replace(SLEEP, threshold=1000, periods=3, datapoints=3),)), 2)
    assert clock.minutes(500, 500, 500) == [2, 2, 10]


@pytest.mark.parametrize(("difference", "adjustment"), [(-5, 1), (0, 2), (4.9, 2), (5, 3), (1e9, 3)])
def test_the_bounds_of_steps_meet(difference: float, adjustment: int) -> None:
    steps = (Step(1, None, 0), Step(2, 0, 5), Step(3, 5, None))
    assert [step.adjustment for step in steps if step.fits(difference)] == [adjustment]
