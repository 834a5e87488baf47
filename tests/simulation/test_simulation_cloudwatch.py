"""Alarms and metric math, checked with the examples of the CloudWatch User Guide."""

from __future__ import annotations

import pytest

from simulation.cloudwatch import Alarm, State
from simulation.expression import ExpressionError, Values, evaluate

# "Using Amazon CloudWatch Alarms": the five most recent data points, oldest first: 0 is fine, X breaches, - is missing.
THREE_OF_THREE = [
    ("0 - X - X", "OK", "OK", "OK", "OK"),
    ("0 - - - -", "OK", "OK", "OK", "OK"),
    ("- - - - -", "INSUFFICIENT_DATA", "retained", "ALARM", "OK"),
    ("0 X X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("- - - - X", "INSUFFICIENT_DATA", "retained", "ALARM", "OK"),
    ("X - - - -", "ALARM", "retained", "ALARM", "OK"),
]
TWO_OF_THREE = [
    ("0 - X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0 0 X 0 X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0 - X - -", "OK", "OK", "ALARM", "OK"),
    ("- - - - 0", "OK", "OK", "ALARM", "OK"),
    ("- - - - X", "INSUFFICIENT_DATA", "retained", "ALARM", "OK"),
]
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


@pytest.mark.parametrize(
    ("datapoints", "row"), [(3, row) for row in THREE_OF_THREE] + [(2, row) for row in TWO_OF_THREE]
)
def test_missing_data(datapoints: int, row: tuple[str, ...]) -> None:
    points = [{"0": 0.0, "X": 2.0, "-": None}[point] for point in reversed(row[0].split())]
    for treatment, expected in zip(TREATMENTS, row[1:]):
        for before in (State.OK, State.ALARM):
            alarm = Alarm(lambda value: value > 1, 3, datapoints, treatment, before)
            assert alarm.evaluate(points).value == (before.value if expected == "retained" else expected), treatment


def test_an_alarm_takes_as_long_as_its_periods() -> None:
    alarm = Alarm(lambda value: value > 1, 3, 3)
    history: Values = [0.0] * 5
    states = []
    for _ in range(4):
        history = [2.0, *history]
        states.append(alarm.evaluate(history))
    assert states == [State.OK, State.OK, State.ALARM, State.ALARM]


SERIES: dict[str, Values] = {"a": [1.0, 2.0, None, 4.0], "b": [0.0, 4.0, 5.0, 2.0], "gone": [None] * 4}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a + b * 2", [1, 10, None, 8]),
        ("(a + b) / b", [None, 1.5, None, 3]),  # no value where it would divide by zero
        ("-a", [-1, -2, None, -4]),
        ("FILL(a, 9)", [1, 2, 9, 4]),
        ("FILL(a, REPEAT)", [1, 2, 2, 4]),
        ("FILL(gone, REPEAT)", [None] * 4),
        ("FILL(FILL(gone, REPEAT), 0)", [0, 0, 0, 0]),
        ("IF(b > 3, a, b)", [0, 2, None, 2]),
        ("IF(gone < 1, 1, gone)", [None] * 4),
        ("a > 0 AND b < 5", [1, 1, None, 1]),
        ("b == 0 OR b >= 5", [1, 0, 1, 0]),
    ],
)
def test_metric_math(expression: str, expected: Values) -> None:
    assert evaluate(expression, SERIES) == expected


@pytest.mark.parametrize("expression", ["c", "a +", "SEARCH('x', 'Sum')", "a if b else 1", "a[0]"])
def test_unknown_syntax_is_an_error(expression: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(expression, SERIES)
