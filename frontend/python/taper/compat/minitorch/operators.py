"""The course's functions of numbers, and map, zipWith and reduce of lists (module 0)."""

from __future__ import annotations

import math
from typing import Any, Callable, Iterable, List, Sequence


def mul(x: float, y: float) -> float:
    return x * y


def id(x: Any) -> Any:  # noqa: A001
    return x


def add(x: float, y: float) -> float:
    return x + y


def neg(x: float) -> float:
    return -x


def lt(x: float, y: float) -> float:
    return 1.0 if x < y else 0.0


def eq(x: float, y: float) -> float:
    return 1.0 if x == y else 0.0


def max(x: float, y: float) -> float:  # noqa: A001
    return x if x > y else y


def is_close(x: float, y: float) -> bool:
    return abs(x - y) < 1e-2


def sigmoid(x: float) -> float:
    """Without overflow on either side."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def relu(x: float) -> float:
    return x if x > 0 else 0.0


EPS = 1e-6


def log(x: float) -> float:
    return math.log(x + EPS)


def exp(x: float) -> float:
    return math.exp(x)


def inv(x: float) -> float:
    return 1.0 / x


def log_back(x: float, d: float) -> float:
    return d / (x + EPS)


def inv_back(x: float, d: float) -> float:
    return -d / (x * x)


def relu_back(x: float, d: float) -> float:
    return d if x > 0 else 0.0


# --- lists ----------------------------------------------------------------------------------------


def map(f: Callable[[Any], Any]) -> Callable[[Iterable[Any]], List[Any]]:  # noqa: A001
    return lambda xs: [f(x) for x in xs]


def zipWith(f: Callable[[Any, Any], Any]) -> Callable[[Iterable[Any], Iterable[Any]], List[Any]]:
    return lambda xs, ys: [f(x, y) for x, y in zip(xs, ys)]


def reduce(f: Callable[[Any, Any], Any], start: Any) -> Callable[[Iterable[Any]], Any]:
    def fold(xs: Iterable[Any]) -> Any:
        out = start
        for x in xs:
            out = f(x, out)
        return out
    return fold


def negList(xs: Iterable[float]) -> List[float]:
    return map(neg)(xs)


def addLists(xs: Iterable[float], ys: Iterable[float]) -> List[float]:
    return zipWith(add)(xs, ys)


def sum(xs: Iterable[float]) -> float:  # noqa: A001
    return reduce(add, 0.0)(xs)


def prod(xs: Sequence[float]) -> float:
    return reduce(mul, 1.0)(xs)
