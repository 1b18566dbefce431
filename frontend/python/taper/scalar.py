"""Value: one number with its gradient, as micrograd has it; the numbers are taper's, in double."""

from __future__ import annotations

from typing import Any, Union

from . import ops
from ._tensor import Tensor, _set_up, as_tensor, blank

Number = Union[int, float, "Value"]


class Value:
    """A scalar: + - * / ** on it and numbers, relu, tanh, exp, log, sigmoid; backward(). What it
    was made of, and by what, is in _prev and _op, for those who draw the graph."""

    __slots__ = ("tensor", "label", "_prev", "_op", "__weakref__")

    def __init__(self, data: Any, _children: Any = (), _op: str = "", label: str = "") -> None:
        if isinstance(data, Tensor):
            self.tensor = data
        else:
            self.tensor = Tensor(float(data), "float64", True)
        self._prev, self._op, self.label = set(_children), _op, label

    @property
    def data(self) -> float:
        return self.tensor.item()

    @data.setter
    def data(self, value: float) -> None:
        self.tensor.data = Tensor(float(value), "float64")

    @property
    def grad(self) -> float:
        g = self.tensor.grad
        return 0.0 if g is None else g.item()

    @grad.setter
    def grad(self, value: float) -> None:
        self.tensor.grad = None if value == 0 else Tensor(float(value), "float64")

    def backward(self) -> None:
        self.tensor.backward(retain_graph=True)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"

    def __float__(self) -> float:
        return self.data


def _of(x: Any) -> Any:
    return x.tensor if isinstance(x, Value) else float(x)


def _result(t: Tensor, op: str, *of: Any) -> Any:
    """A value of the first value's class."""
    values = [x for x in of if isinstance(x, Value)]
    t.retain_grad()
    made = type(values[0])(t)
    made._prev, made._op = set(values), op
    return made


def _operator(name: str, sign: str, turned: bool) -> Any:
    def method(self: Value, other: Any) -> Any:
        if not isinstance(other, (int, float, Value)) and not hasattr(other, "__float__"):
            return NotImplemented
        a, b = _of(self), _of(other)
        f = getattr(ops, name)
        return _result(f(b, a) if turned else f(a, b), sign, self, other)
    return method


def _function(name: str) -> Any:
    def method(self: Value) -> Value:
        return _result(getattr(ops, name)(self.tensor), "ReLU" if name == "relu" else name, self)
    method.__name__ = name
    return method


def _order(name: str) -> Any:
    def method(self: Value, other: Any) -> bool:
        return bool(getattr(self.data, name)(float(other)))
    return method


for _name, _f, _sign in (("add", "add", "+"), ("sub", "sub", "-"), ("mul", "mul", "*"),
                         ("truediv", "div", "/"), ("pow", "pow", "**")):
    setattr(Value, f"__{_name}__", _operator(_f, _sign, False))
    setattr(Value, f"__r{_name}__", _operator(_f, _sign, True))
for _name in ("relu", "tanh", "exp", "log", "sigmoid", "sin", "cos", "sqrt"):
    setattr(Value, _name, _function(_name))
Value.__neg__ = lambda self: _result(-self.tensor, "neg", self)  # type: ignore
for _name in ("lt", "gt", "le", "ge"):
    setattr(Value, f"__{_name}__", _order(f"__{_name}__"))
