"""Functions of numbers and of tensors that must agree: what the course's suites go through."""

from __future__ import annotations

from typing import Any, Callable, List, Tuple

from . import operators as o

One = Tuple[str, Callable[..., float], Callable[..., Any]]


def _mean(xs: Any) -> float:
    return o.sum(xs) / len(xs)


ONE: List[One] = [
    ("id", lambda a: a, lambda a: a),
    ("neg", lambda a: -a, lambda a: -a),
    ("addConstant", lambda a: a + 5, lambda a: a + 5),
    ("subConstant", lambda a: a - 5, lambda a: a - 5),
    ("multConstant", lambda a: 5 * a, lambda a: 5 * a),
    ("div", lambda a: a / 5, lambda a: a / 5),
    ("square", lambda a: a * a, lambda a: a * a),
    ("cube", lambda a: a * a * a, lambda a: a * a * a),
    ("inv", lambda a: 1.0 / (a + 3.5), lambda a: 1.0 / (a + 3.5)),
    ("sig", o.sigmoid, lambda a: a.sigmoid()),
    ("relu", lambda a: o.relu(a + 5.5), lambda a: (a + 5.5).relu()),
    ("exp", lambda a: o.exp(a - 200), lambda a: (a - 200).exp()),
    ("log", lambda a: o.log(a + 100000), lambda a: (a + 100000).log()),
    ("explog", lambda a: o.log(a + 100000) + o.exp(a - 200),
     lambda a: (a + 100000).log() + (a - 200).exp()),
    ("complex", lambda a: o.log(o.sigmoid(o.relu(o.relu(a * 10 + 7) * 6 + 5) * 10)) / 50,
     lambda a: (((a * 10 + 7).relu() * 6 + 5).relu() * 10).sigmoid().log() / 50)]
TWO: List[One] = [
    ("add2", lambda a, b: a + b, lambda a, b: a + b),
    ("mul2", lambda a, b: a * b, lambda a, b: a * b),
    ("div2", lambda a, b: a / (b + 5.5), lambda a, b: a / (b + 5.5)),
    ("gt2", lambda a, b: o.lt(b, a + 1.2), lambda a, b: b < (a + 1.2)),
    ("lt2", lambda a, b: o.lt(a + 1.2, b), lambda a, b: (a + 1.2) < b),
    ("eq2", lambda a, b: o.eq(a, b + 5.5), lambda a, b: a == (b + 5.5))]
REDUCED: List[One] = [("sum", o.sum, lambda a: a.sum(0)), ("mean", _mean, lambda a: a.mean(0)),
                      ("mean_full", _mean, lambda a: a.mean())]


class MathTest:
    """(name, function of numbers) of one, of two, of a list."""

    rows = (ONE, TWO, REDUCED)

    @classmethod
    def _tests(cls) -> Any:
        return tuple([(name, f) for name, f, _ in row] for row in cls.rows)

    @classmethod
    def _comp_testing(cls) -> Any:
        return cls.rows


class MathTestVariable(MathTest):
    """(name, function of numbers, of scalars or tensors)."""
