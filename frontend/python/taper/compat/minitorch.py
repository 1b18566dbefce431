"""minitorch's tensors, scalars, modules and nn functions, on taper.

Sums along an axis keep it, convolutions are anchored on the left and padded with zeros on the
right, numbers are double: as the course has it. Backends are accepted; there is one engine.
"""

from __future__ import annotations

import math
import random
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Union

import numpy as np

from .. import _dtype as dt
from .. import ops as _ops
from .._tensor import Tensor as _T
from ..creation import generator
from ..moves import pad_axes
from ..nn import functional as F
from ..scalar import Value as _Value

# --- operators (module 0) -------------------------------------------------------------------------


class operators:
    """The course's functions of numbers, and map, zip, reduce of lists."""

    mul = staticmethod(lambda x, y: x * y)
    id = staticmethod(lambda x: x)
    add = staticmethod(lambda x, y: x + y)
    neg = staticmethod(lambda x: -x)
    lt = staticmethod(lambda x, y: 1.0 if x < y else 0.0)
    eq = staticmethod(lambda x, y: 1.0 if x == y else 0.0)
    max = staticmethod(lambda x, y: x if x > y else y)
    is_close = staticmethod(lambda x, y: abs(x - y) < 1e-2)
    sigmoid = staticmethod(lambda x: 1 / (1 + math.exp(-x)) if x >= 0 else
                           math.exp(x) / (1 + math.exp(x)))
    relu = staticmethod(lambda x: x if x > 0 else 0.0)
    log = staticmethod(lambda x: math.log(x + 1e-6))
    exp = staticmethod(math.exp)
    log_back = staticmethod(lambda x, d: d / (x + 1e-6))
    inv = staticmethod(lambda x: 1.0 / x)
    inv_back = staticmethod(lambda x, d: -d / (x * x))
    relu_back = staticmethod(lambda x, d: d if x > 0 else 0.0)
    map = staticmethod(lambda f: lambda xs: [f(x) for x in xs])
    zipWith = staticmethod(lambda f: lambda xs, ys: [f(x, y) for x, y in zip(xs, ys)])

    @staticmethod
    def reduce(f: Callable[[Any, Any], Any], start: Any) -> Callable[[Iterable[Any]], Any]:
        def fold(xs: Iterable[Any]) -> Any:
            out = start
            for x in xs:
                out = f(x, out)
            return out
        return fold

    negList = staticmethod(lambda xs: [-x for x in xs])
    addLists = staticmethod(lambda xs, ys: [x + y for x, y in zip(xs, ys)])
    sum = staticmethod(lambda xs: operators.reduce(operators.add, 0.0)(xs))
    prod = staticmethod(lambda xs: operators.reduce(operators.mul, 1.0)(xs))


def central_difference(f: Callable[..., Any], *vals: Any, arg: int = 0,
                       epsilon: float = 1e-6) -> Any:
    up, down = list(vals), list(vals)
    up[arg], down[arg] = up[arg] + epsilon, down[arg] - epsilon
    return (f(*up) - f(*down)) / (2 * epsilon)


# --- scalars (module 1) ---------------------------------------------------------------------------


class Scalar(_Value):
    """A Value with the course's derivative field."""

    @property
    def derivative(self) -> Optional[float]:
        return None if self.tensor.grad is None else self.grad


def derivative_check(f: Callable[..., Any], *scalars: Scalar) -> None:
    f(*scalars).backward()
    for i, x in enumerate(scalars):
        want = central_difference(lambda *v: float(f(*[Scalar(y) for y in v]).data),
                                  *[float(s.data) for s in scalars], arg=i)
        np.testing.assert_allclose(x.grad, want, 1e-2, 1e-2)


# --- backends: one engine under all names ---------------------------------------------------------


class TensorBackend:
    def __init__(self, ops: Any = None) -> None:
        self.ops = ops
        self.cuda = False


SimpleOps = FastOps = CudaOps = object
SimpleBackend = TensorBackend(SimpleOps)
FastTensorBackend = TensorBackend(FastOps)

# --- tensors (modules 2 and 3) --------------------------------------------------------------------


class Tensor:
    """The course's tensor around one of taper's."""

    __array_priority__ = 1000

    def __init__(self, t: _T, backend: TensorBackend = SimpleBackend) -> None:
        self.t, self.backend = t, backend

    @staticmethod
    def make(storage: Any, shape: Sequence[int], strides: Any = None,
             backend: TensorBackend = SimpleBackend) -> "Tensor":
        return Tensor(_T(np.asarray(storage, float).reshape(tuple(shape)), dt.float64), backend)

    def _new(self, t: Any) -> "Tensor":
        return Tensor(t if t.dtype.kind == "f" else t.double(), self.backend)

    @property
    def shape(self) -> Tuple[int, ...]:
        return tuple(self.t.shape)

    @property
    def size(self) -> int:
        return self.t.numel()

    @property
    def dims(self) -> int:
        return self.t.ndim

    @property
    def grad(self) -> Optional["Tensor"]:
        return None if self.t.grad is None else Tensor(self.t.grad, self.backend)

    @grad.setter
    def grad(self, value: Any) -> None:
        self.t.grad = None if value is None else value.t

    def requires_grad_(self, wanted: bool) -> "Tensor":
        self.t.requires_grad_(wanted)
        return self

    def requires_grad(self) -> bool:
        return self.t.requires_grad

    def is_leaf(self) -> bool:
        return self.t.is_leaf

    def zero_grad_(self) -> None:
        self.t.grad = None

    def backward(self, grad_output: Optional["Tensor"] = None) -> None:
        if grad_output is None and self.t.ndim:
            self.t.reshape(()).backward()
        else:
            self.t.backward(None if grad_output is None else grad_output.t)

    def detach(self) -> "Tensor":
        return Tensor(self.t.detach(), self.backend)

    def to_numpy(self) -> np.ndarray:
        return self.t.detach().numpy()

    def item(self) -> float:
        return self.t.item()

    def contiguous(self) -> "Tensor":
        return self

    def zeros(self, shape: Optional[Sequence[int]] = None) -> "Tensor":
        return zeros(self.shape if shape is None else shape, self.backend)

    def sum(self, dim: Optional[int] = None) -> "Tensor":
        return self._new(self.t.sum() if dim is None else self.t.sum(int(dim), True))

    def mean(self, dim: Optional[int] = None) -> "Tensor":
        return self._new(self.t.mean() if dim is None else self.t.mean(int(dim), True))

    def all(self, dim: Optional[int] = None) -> "Tensor":
        return self._new(self.t.all() if dim is None else self.t.all(int(dim), True))

    def view(self, *shape: int) -> "Tensor":
        return self._new(self.t.reshape(*[int(d) for d in shape]))

    def permute(self, *order: int) -> "Tensor":
        return self._new(self.t.permute(*[int(d) for d in order]))

    def is_close(self, other: Any) -> "Tensor":
        return self._new((self.t - _of(other)).abs() < 1e-2)

    def sigmoid(self) -> "Tensor":
        return self._new(self.t.sigmoid())

    def relu(self) -> "Tensor":
        return self._new(self.t.relu())

    def log(self) -> "Tensor":
        return self._new((self.t + 1e-6).log())

    def exp(self) -> "Tensor":
        return self._new(self.t.exp())

    def __getitem__(self, key: Any) -> float:
        return self.t[key].item()

    def __setitem__(self, key: Any, value: float) -> None:
        self.t[key] = value

    def __neg__(self) -> "Tensor":
        return self._new(-self.t)

    def __matmul__(self, other: "Tensor") -> "Tensor":
        return self._new(self.t @ other.t)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return repr(self.t)


def _of(x: Any) -> Any:
    return x.t if isinstance(x, Tensor) else x


def _operator(name: str, turned: bool = False) -> Any:
    f = getattr(_ops, name)
    if turned:
        return lambda self, other: self._new(f(_of(other), self.t))
    return lambda self, other: self._new(f(self.t, _of(other)))


for _name in ("add", "sub", "mul", "truediv"):
    _f = {"truediv": "div"}.get(_name, _name)
    setattr(Tensor, f"__{_name}__", _operator(_f))
    setattr(Tensor, f"__r{_name}__", _operator(_f, True))
for _name in ("eq", "lt", "gt"):
    setattr(Tensor, f"__{_name}__", _operator(_name))


def tensor(ls: Any, backend: TensorBackend = SimpleBackend, requires_grad: bool = False) -> Tensor:
    t = Tensor(_T(np.asarray(ls, float), dt.float64), backend)
    return t.requires_grad_(True) if requires_grad else t


def zeros(shape: Sequence[int], backend: TensorBackend = SimpleBackend) -> Tensor:
    return tensor(np.zeros(tuple(shape)), backend)


def rand(shape: Sequence[int], backend: TensorBackend = SimpleBackend,
         requires_grad: bool = False) -> Tensor:
    return tensor(generator().random(tuple(shape)), backend, requires_grad)


def grad_check(f: Callable[..., Tensor], *vals: Tensor) -> None:
    """The gradient of the sum at one place of each argument, by differences."""
    for v in vals:
        v.requires_grad_(True)
        v.zero_grad_()
    f(*vals).sum().backward()
    for i, v in enumerate(vals):
        place = tuple(random.randrange(d) for d in v.shape)
        ends = []
        for step in (1e-6, -1e-6):
            moved = [tensor(x.to_numpy()) for x in vals]
            array = vals[i].to_numpy()
            array[place] += step
            moved[i] = tensor(array)
            ends.append(f(*moved).sum().item())
        got = 0.0 if v.grad is None else v.grad[place]
        np.testing.assert_allclose(got, (ends[0] - ends[1]) / 2e-6, 1e-2, 1e-2)


# --- functions (module 4) -------------------------------------------------------------------------


def _anchored(x: Tensor, w: Tensor, n: int) -> Tensor:
    more = [0] * 2 + [k - 1 for k in w.shape[2:]]
    padded = pad_axes(x.t, [0] * (n + 2), more)
    return x._new((F.conv1d if n == 1 else F.conv2d)(padded, w.t))


class Conv1dFun:
    @staticmethod
    def apply(input: Tensor, weight: Tensor) -> Tensor:
        return _anchored(input, weight, 1)


class Conv2dFun:
    @staticmethod
    def apply(input: Tensor, weight: Tensor) -> Tensor:
        return _anchored(input, weight, 2)


conv1d, conv2d = Conv1dFun.apply, Conv2dFun.apply


def tile(input: Tensor, kernel: Tuple[int, int]) -> Tuple[Tensor, int, int]:
    b, c, h, w = input.shape
    kh, kw = kernel
    x = input.t.reshape(b, c, h // kh, kh, w // kw, kw).permute(0, 1, 2, 4, 3, 5)
    return input._new(x.reshape(b, c, h // kh, w // kw, kh * kw)), h // kh, w // kw


def avgpool2d(input: Tensor, kernel: Tuple[int, int]) -> Tensor:
    return input._new(F.avg_pool2d(input.t, kernel))


def maxpool2d(input: Tensor, kernel: Tuple[int, int]) -> Tensor:
    return input._new(F.max_pool2d(input.t, kernel))


def max(input: Tensor, dim: int) -> Tensor:  # noqa: A001
    return input._new(input.t.amax(int(dim), True))


def argmax(input: Tensor, dim: int) -> Tensor:
    return input._new(input.t == input.t.amax(int(dim), True))


def softmax(input: Tensor, dim: int) -> Tensor:
    return input._new(input.t.softmax(int(dim)))


def logsoftmax(input: Tensor, dim: int) -> Tensor:
    return input._new(input.t.log_softmax(int(dim)))


def dropout(input: Tensor, rate: float, ignore: bool = False) -> Tensor:
    """Elements are dropped; what is left is not scaled, as in the course."""
    if ignore:
        return input
    return input._new(input.t * _T(generator().random(input.shape) > rate, dt.float64))


# --- modules --------------------------------------------------------------------------------------


class Parameter:
    def __init__(self, x: Any, name: Optional[str] = None) -> None:
        self.name = name
        self.update(x)

    def update(self, x: Any) -> None:
        self.value = x
        if isinstance(x, Tensor):
            x.t = x.t.detach()
            x.requires_grad_(True)

    def __repr__(self) -> str:
        return repr(self.value)


class Module:
    """A tree of modules and parameters by attribute."""

    def __init__(self) -> None:
        object.__setattr__(self, "_modules", {})
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "training", True)

    def modules(self) -> List["Module"]:
        return list(self._modules.values())

    def train(self) -> None:
        self._mode(True)

    def eval(self) -> None:
        self._mode(False)

    def _mode(self, training: bool) -> None:
        object.__setattr__(self, "training", training)
        for m in self.modules():
            m._mode(training)

    def named_parameters(self) -> List[Tuple[str, Parameter]]:
        own = list(self._parameters.items())
        return own + [(f"{n}.{k}", p) for n, m in self._modules.items()
                      for k, p in m.named_parameters()]

    def parameters(self) -> List[Parameter]:
        return [p for _, p in self.named_parameters()]

    def add_parameter(self, k: str, v: Any) -> Parameter:
        self._parameters[k] = Parameter(v, k)
        return self._parameters[k]

    def __setattr__(self, key: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._parameters[key] = value
        elif isinstance(value, Module):
            self._modules[key] = value
        else:
            object.__setattr__(self, key, value)

    def __getattr__(self, key: str) -> Any:
        for group in ("_parameters", "_modules"):
            if key in self.__dict__.get(group, {}):
                return self.__dict__[group][key]
        raise AttributeError(key)

    def __call__(self, *args: Any, **names: Any) -> Any:
        return self.forward(*args, **names)


class SGD:
    def __init__(self, parameters: Sequence[Parameter], lr: float = 1.0) -> None:
        self.parameters, self.lr = list(parameters), lr

    def zero_grad(self) -> None:
        for p in self.parameters:
            if isinstance(p.value, Tensor):
                p.value.zero_grad_()
            elif p.value is not None:
                p.value.grad = 0

    def step(self) -> None:
        for p in self.parameters:
            v = p.value
            if isinstance(v, Tensor) and v.t.grad is not None:
                p.update(Tensor(v.t.detach() - v.t.grad * self.lr, v.backend))
            elif isinstance(v, Scalar):
                p.update(Scalar(v.data - self.lr * v.grad))
