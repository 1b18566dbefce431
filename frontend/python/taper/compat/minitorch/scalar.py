"""Scalars, and what checks their derivatives (module 1)."""

from __future__ import annotations

from typing import Any, Callable, Optional

import numpy as np

from ...scalar import Value
from .operators import eq, lt


def central_difference(f: Callable[..., Any], *vals: Any, arg: int = 0,
                       epsilon: float = 1e-6) -> Any:
    up, down = list(vals), list(vals)
    up[arg], down[arg] = up[arg] + epsilon, down[arg] - epsilon
    return (f(*up) - f(*down)) / (2 * epsilon)


class Scalar(Value):
    """A Value with the course's derivative field."""

    @property
    def derivative(self) -> Optional[float]:
        return None if self.tensor.grad is None else self.grad

    def __lt__(self, other: Any) -> Any:
        return Scalar(lt(self.data, float(other)))

    def __gt__(self, other: Any) -> Any:
        return Scalar(lt(float(other), self.data))

    def __eq__(self, other: Any) -> Any:
        return Scalar(eq(self.data, float(other)))

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        return self.data != 0


def derivative_check(f: Callable[..., Any], *scalars: Scalar) -> None:
    f(*scalars).backward()
    for i, x in enumerate(scalars):
        want = central_difference(lambda *v: float(f(*[Scalar(y) for y in v]).data),
                                  *[float(s.data) for s in scalars], arg=i)
        np.testing.assert_allclose(x.grad, want, 1e-2, 1e-2)
