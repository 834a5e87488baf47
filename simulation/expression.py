"""
CloudWatch's metric math, as far as a scaling policy needs it. A series has one value a minute, oldest first; None means
that a data point is missing. ("Using metric math", Amazon CloudWatch User Guide.)
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache

Value = float | None
Values = list[Value]

OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
BOTH: dict[type, Callable[[float, float], float]] = {
    ast.And: lambda a, b: float(bool(a) and bool(b)),
    ast.Or: lambda a, b: float(bool(a) or bool(b)),
}


class ExpressionError(Exception):
    pass


def evaluate(expression: str, series: Mapping[str, Sequence[Value]]) -> Values:
    """
    The result has no data point where it would divide by zero, or where a value is missing that FILL does not
    supply.
    """
    length = len(next(iter(series.values())))
    return _Evaluation(series, length).of(_parse(expression))


@cache
def _parse(expression: str) -> ast.expr:
    words = {"AND": "and", "OR": "or", "&&": " and ", "||": " or "}
    text = re.sub(r"\bAND\b|\bOR\b|&&|\|\|", lambda match: words[match[0]], expression.strip())
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ExpressionError(f"{expression}: {error}") from error


class _Evaluation:
    def __init__(self, series: Mapping[str, Sequence[Value]], length: int) -> None:
        self._series = series
        self._length = length

    def of(self, node: ast.expr) -> Values:
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            return [float(node.value)] * self._length
        if isinstance(node, ast.Name) and node.id in self._series:
            return list(self._series[node.id])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return [None if value is None else -value for value in self.of(node.operand)]
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            return self._pairs(OPERATORS[type(node.op)], node.left, node.right)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OPERATORS:
            return self._pairs(OPERATORS[type(node.ops[0])], node.left, node.comparators[0])
        if isinstance(node, ast.BoolOp):
            return self._bool(BOTH[type(node.op)], node.values)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node.func.id.upper(), node.args)
        raise ExpressionError(f"cannot evaluate, or unknown metric: {ast.unparse(node)}")

    def _pairs(self, apply: Callable[[float, float], float], left: ast.expr, right: ast.expr) -> Values:
        return [self._apply(apply, a, b) for a, b in zip(self.of(left), self.of(right))]

    @staticmethod
    def _apply(apply: Callable[[float, float], float], a: Value, b: Value) -> Value:
        if a is None or b is None or (apply is operator.truediv and b == 0):
            return None
        return float(apply(a, b))

    def _bool(self, apply: Callable[[float, float], float], nodes: Sequence[ast.expr]) -> Values:
        result = self.of(nodes[0])
        for node in nodes[1:]:
            result = [self._apply(apply, a, b) for a, b in zip(result, self.of(node))]
        return result

    def _call(self, name: str, arguments: Sequence[ast.expr]) -> Values:
        if name == "FILL" and len(arguments) == 2:
            return self._fill(self.of(arguments[0]), arguments[1])
        if name == "IF" and len(arguments) == 3:
            condition, then, otherwise = (self.of(argument) for argument in arguments)
            return [None if c is None else a if c else b for c, a, b in zip(condition, then, otherwise)]
        raise ExpressionError(f"no function {name} of {len(arguments)}")

    def _fill(self, values: Values, filler: ast.expr) -> Values:
        if not (isinstance(filler, ast.Name) and filler.id == "REPEAT"):
            return [b if a is None else a for a, b in zip(values, self.of(filler))]
        last: Value = None
        filled = []
        for value in values:
            last = value if value is not None else last
            filled.append(last)
        return filled
