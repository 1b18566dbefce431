"""minitorch's tensors and their backends, on taper (modules 2 and 3).

Sums of all elements have the shape (1,), those along an axis keep it; numbers are double: as the
course has it. There is one engine; a backend's map, zip and reduce make it do what a function of
numbers says, or call the function for each element.
"""

from __future__ import annotations

import random
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import numpy as np

from ... import _dtype as dt
from ... import ops as _ops
from ..._core import Error
from ..._tensor import Tensor as _T
from ...creation import generator
from . import operators
from .tensor_data import TensorData, checked_index

# --- backends -------------------------------------------------------------------------------------

Known = Dict[Any, Callable[..., Any]]
MAPS: Known = {operators.id: lambda x: x, operators.neg: lambda x: -x, operators.inv: lambda x: 1 / x,
        operators.relu: lambda x: x.relu(), operators.sigmoid: lambda x: x.sigmoid(),
        operators.exp: lambda x: x.exp(), operators.log: lambda x: (x + operators.EPS).log()}
ZIPS: Known = {operators.add: _ops.add, operators.mul: _ops.mul, operators.max: _ops.maximum,
        operators.lt: _ops.lt, operators.eq: _ops.eq,
        operators.is_close: lambda x, y: (x - y).abs() < 1e-2,
        operators.relu_back: lambda x, d: d * (x > 0),
        operators.log_back: lambda x, d: d / (x + operators.EPS),
        operators.inv_back: lambda x, d: -d / (x * x)}
REDUCES: Known = {operators.add: lambda x, d, start: x.sum(d, True) + start,
           operators.mul: lambda x, d, start: x.prod(d, True) * start,
           operators.max: lambda x, d, start: _ops.maximum(x.amax(d, True), start)}


def _each(f: Callable[..., float], *tensors: _T) -> _T:
    """Any function of numbers, element by element; without a derivative."""
    arrays = np.broadcast_arrays(*[t.detach().numpy() for t in tensors])
    return _T(np.vectorize(f, otypes=[float])(*arrays), dt.float64)


class TensorOps:
    """Functions of tensors from functions of numbers."""

    cuda = False

    @staticmethod
    def map(fn: Callable[[float], float]) -> Callable[..., "Tensor"]:
        known = MAPS.get(fn)
        return lambda a, out=None: a._new(known(a.t) if known else _each(fn, a.t))

    @staticmethod
    def zip(fn: Callable[[float, float], float]) -> Callable[["Tensor", "Tensor"], "Tensor"]:
        known = ZIPS.get(fn)
        return lambda a, b: a._new(known(a.t, b.t) if known else _each(fn, a.t, b.t))

    @staticmethod
    def reduce(fn: Callable[[float, float], float],
               start: float = 0.0) -> Callable[["Tensor", int], "Tensor"]:
        known = REDUCES.get(fn)

        def along(a: "Tensor", dim: int) -> "Tensor":
            if known:
                return a._new(known(a.t, int(dim), start))
            out = _T(np.full((1,) * a.dims, start), dt.float64)
            for part in a.t.detach().split(1, int(dim)):
                out = _each(fn, part, out)
            return a._new(out)
        return along

    @staticmethod
    def matrix_multiply(a: "Tensor", b: "Tensor") -> "Tensor":
        return a @ b


class SimpleOps(TensorOps):
    pass


class FastOps(TensorOps):
    pass


class CudaOps(TensorOps):
    pass


class TensorBackend:
    """The course's functions of tensors, by one of the ops above."""

    def __init__(self, ops: Any = SimpleOps) -> None:
        self.ops, self.cuda = ops, False
        for name in ("neg", "sigmoid", "relu", "log", "exp", "id", "inv"):
            setattr(self, f"{name}_map", ops.map(getattr(operators, name)))
        self.id_cmap = self.id_map  # type: ignore[attr-defined]
        for name in ("add", "mul", "lt", "eq", "is_close", "relu_back", "log_back", "inv_back"):
            setattr(self, f"{name}_zip", ops.zip(getattr(operators, name)))
        self.add_reduce = ops.reduce(operators.add, 0.0)
        self.mul_reduce = ops.reduce(operators.mul, 1.0)
        self.matrix_multiply = ops.matrix_multiply


SimpleBackend, FastTensorBackend = TensorBackend(SimpleOps), TensorBackend(FastOps)

# --- tensors --------------------------------------------------------------------------------------

class Tensor:
    """The course's tensor around one of taper's."""

    __array_priority__ = 1000

    def __init__(self, t: Any, backend: TensorBackend = SimpleBackend) -> None:
        self.t = _T(t.array(), dt.float64) if isinstance(t, TensorData) else t
        self.backend, self.name = backend, None

    @staticmethod
    def make(storage: Any, shape: Sequence[int], strides: Any = None,
             backend: TensorBackend = SimpleBackend) -> "Tensor":
        return Tensor(TensorData(storage, shape, strides), backend)

    def _new(self, t: Any) -> "Tensor":
        return Tensor(t if t.dtype.kind == "f" else t.double(), self.backend)

    @property
    def _tensor(self) -> TensorData:
        """What it holds, by the course's own class: a copy."""
        return TensorData(self.to_numpy().reshape(-1), self.shape)

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
        """It becomes a leaf."""
        self.t = self.t if self.t.is_leaf else self.t.detach()
        self.t.requires_grad_(wanted)
        return self

    def requires_grad(self) -> bool:
        return self.t.requires_grad

    def is_leaf(self) -> bool:
        return self.t.is_leaf

    def zero_grad_(self) -> None:
        self.t.grad = None

    def backward(self, grad_output: Optional["Tensor"] = None) -> None:
        if grad_output is None and self.size != 1:
            raise Error(f"backward of {self.shape}; expected one number, or a gradient for it")
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

    def _along(self, how: str, dim: Any) -> "Tensor":
        flat = self.t.reshape(-1) if dim is None else self.t
        return self._new(getattr(flat, how)(0 if dim is None else _number(dim), True))

    def sum(self, dim: Optional[int] = None) -> "Tensor":
        return self._along("sum", dim)

    def mean(self, dim: Optional[int] = None) -> "Tensor":
        return self._along("mean", dim)

    def all(self, dim: Optional[int] = None) -> "Tensor":
        return self._along("all", dim)

    def view(self, *shape: int) -> "Tensor":
        return self._new(self.t.reshape(*[_number(d) for d in shape]))

    def permute(self, *order: int) -> "Tensor":
        return self._new(self.t.permute(*[_number(d) for d in order]))

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
        self._inside(key)
        return self.t[key].item()

    def __setitem__(self, key: Any, value: float) -> None:
        self._inside(key)
        wanted, self.t = self.t.requires_grad, self.t.detach()
        self.t[key] = value
        self.t.requires_grad_(wanted)

    def _inside(self, key: Any) -> None:
        checked_index(key, self.shape)

    def __neg__(self) -> "Tensor":
        return self._new(-self.t)

    def __matmul__(self, other: "Tensor") -> "Tensor":
        return self._new(self.t @ other.t)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return repr(self.t)


def _number(x: Any) -> int:
    return int(x.item() if isinstance(x, Tensor) else x)


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


def ones(shape: Sequence[int], backend: TensorBackend = SimpleBackend) -> Tensor:
    return tensor(np.ones(tuple(shape)), backend)


def rand(shape: Sequence[int], backend: TensorBackend = SimpleBackend,
         requires_grad: bool = False) -> Tensor:
    return tensor(generator().random(tuple(shape)), backend, requires_grad)


def grad_check(f: Callable[..., Tensor], *vals: Tensor) -> None:
    """The gradient of the sum at one place of each argument, by differences."""
    for v in vals:
        v.requires_grad_(True)
        v.zero_grad_()
    out = f(*vals).sum()
    if out.requires_grad():  # a comparison does not
        out.backward()
    for i, v in enumerate(vals):
        place = tuple(random.randrange(d) for d in v.shape)
        ends = []
        for step in (1e-6, -1e-6):
            moved = [tensor(x.to_numpy()) for x in vals]
            array = vals[i].to_numpy()
            array[place] += step
            moved[i] = tensor(array)
            ends.append(f(*moved).sum()[0])
        got = 0.0 if v.grad is None else v.grad[place]
        np.testing.assert_allclose(got, (ends[0] - ends[1]) / 2e-6, 1e-2, 1e-2)
