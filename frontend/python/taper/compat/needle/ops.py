"""needle's operations: objects with compute and gradient, and the functions that make them."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from ... import moves
from ... import ops as _ops
from ..._tensor import Tensor as Base
from ...autograd import vjp_of
from ...nn import functional as F
from .tensor import Tensor


class TensorOp:
    """An op is called on tensors; gradient(out_grad, node) gives the inputs' gradients, by taper's
    own rules: node has .inputs."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def forward(self, *inputs: Tensor) -> Tensor:
        raise NotImplementedError

    def compute(self, *arrays: Any) -> np.ndarray:
        return self.forward(*[Tensor(a) for a in arrays]).numpy()

    def __call__(self, *inputs: Any) -> Tensor:
        y = self.forward(*inputs)
        if isinstance(y, Tensor) and y.requires_grad and all(y is not x for x in inputs):
            y.op, y.inputs = self, list(inputs)
        return y

    def gradient(self, out_grad: Tensor, node: Any) -> Any:
        leaves = [x.detach().requires_grad_() for x in node.inputs]
        grads = vjp_of(self.forward(*leaves), out_grad, leaves, True)
        return grads[0] if len(grads) == 1 else tuple(grads)

    def gradient_as_tuple(self, out_grad: Tensor, node: Any) -> Tuple[Tensor, ...]:
        g = self.gradient(out_grad, node)
        return g if isinstance(g, tuple) else (g,)


def _op(name: str, function: Any, *fields: str) -> Any:
    def __init__(self: Any, *args: Any, **names: Any) -> None:
        TensorOp.__init__(self, **dict.fromkeys(fields), **{})
        self.__dict__.update(zip(fields, args))
        self.__dict__.update(names)

    def forward(self: Any, *inputs: Tensor) -> Tensor:
        return function(*inputs, *[getattr(self, f) for f in fields])
    return type(name, (TensorOp,), {"__init__": __init__, "forward": forward})


def _axes(x: Tensor, axes: Any) -> Tensor:
    a, b = axes if axes is not None else (-1, -2)
    return Base.transpose(x, a, b)  # type: ignore[return-value]


def _plain_sum(x: Tensor, axes: Any) -> Tensor:
    return Base.sum(x, axes)  # type: ignore[return-value]


EWiseAdd, EWiseMul = _op("EWiseAdd", _ops.add), _op("EWiseMul", _ops.mul)
EWiseDiv, EWisePow = _op("EWiseDiv", _ops.div), _op("EWisePow", _ops.pow)
AddScalar, MulScalar = (_op("AddScalar", _ops.add, "scalar"), _op("MulScalar", _ops.mul, "scalar"))
DivScalar, PowerScalar = (_op("DivScalar", _ops.div, "scalar"),
                          _op("PowerScalar", _ops.pow, "scalar"))
MatMul, Negate = _op("MatMul", _ops.matmul), _op("Negate", _ops.negative)
Log, Exp = _op("Log", lambda x: x.log()), _op("Exp", lambda x: x.exp())
ReLU, Tanh = _op("ReLU", lambda x: x.relu()), _op("Tanh", lambda x: x.tanh())
Transpose = _op("Transpose", _axes, "axes")
Reshape = _op("Reshape", moves.reshape, "shape")
BroadcastTo = _op("BroadcastTo", moves.expand, "shape")
Summation = _op("Summation", _plain_sum, "axes")
LogSumExp = _op("LogSumExp", lambda x, axes: x.logsumexp(axes), "axes")
LogSoftmax = _op("LogSoftmax", lambda x: x.log_softmax(1))
Flip = _op("Flip", lambda x, axes: x.flip(axes), "axes")


def add(a: Any, b: Any) -> Tensor:
    return EWiseAdd()(a, b)


def multiply(a: Any, b: Any) -> Tensor:
    return EWiseMul()(a, b)


def divide(a: Any, b: Any) -> Tensor:
    return EWiseDiv()(a, b)


def power(a: Any, b: Any) -> Tensor:
    return EWisePow()(a, b)


def add_scalar(a: Any, scalar: float) -> Tensor:
    return AddScalar(scalar)(a)


def mul_scalar(a: Any, scalar: float) -> Tensor:
    return MulScalar(scalar)(a)


def divide_scalar(a: Any, scalar: float) -> Tensor:
    return DivScalar(scalar)(a)


def power_scalar(a: Any, scalar: float) -> Tensor:
    return PowerScalar(scalar)(a)


def matmul(a: Any, b: Any) -> Tensor:
    return MatMul()(a, b)


def negate(a: Any) -> Tensor:
    return Negate()(a)


def log(a: Any) -> Tensor:
    return Log()(a)


def exp(a: Any) -> Tensor:
    return Exp()(a)


def relu(a: Any) -> Tensor:
    return ReLU()(a)


def tanh(a: Any) -> Tensor:
    return Tanh()(a)


def transpose(a: Any, axes: Optional[Sequence[int]] = None) -> Tensor:
    return Transpose(axes)(a)


def reshape(a: Any, shape: Sequence[int]) -> Tensor:
    return Reshape(shape)(a)


def broadcast_to(a: Any, shape: Sequence[int]) -> Tensor:
    return BroadcastTo(shape)(a)


def summation(a: Any, axes: Any = None) -> Tensor:
    return Summation(axes)(a)


def logsumexp(a: Any, axes: Any = None) -> Tensor:
    return LogSumExp(axes)(a)


def logsoftmax(a: Any) -> Tensor:
    return LogSoftmax()(a)


def flip(a: Any, axes: Any) -> Tensor:
    return Flip(axes)(a)


def stack(args: Sequence[Any], axis: int) -> Tensor:
    return moves.stack(args, axis)  # type: ignore[return-value]


def split(a: Tensor, axis: int) -> Tuple[Base, ...]:
    return a.unbind(axis)


def dilate(a: Base, axes: Sequence[int], dilation: int) -> Base:
    """So many zeros behind each element along the axes."""
    for axis in axes:
        lo, hi = [0] * (a.ndim + 1), [0] * (a.ndim + 1)
        hi[axis + 1] = dilation
        shape = list(a.shape)
        shape[axis] *= dilation + 1
        a = moves.pad_axes(a.unsqueeze(axis + 1), lo, hi).reshape(*shape)
    return a


def conv(a: Base, b: Base, stride: int = 1, padding: int = 1) -> Base:
    """a [n h w c], b [k k c out]."""
    y = F.conv2d(a.permute(0, 3, 1, 2), b.permute(3, 2, 0, 1), None, stride, padding)
    return y.permute(0, 2, 3, 1)


def find_topo_sort(nodes: Sequence[Any]) -> List[Any]:
    """What the nodes were made of, arguments before users."""
    found: List[Any] = []
    seen = set()

    def visit(node: Any) -> None:
        if id(node) not in seen:
            seen.add(id(node))
            for x in getattr(node, "inputs", ()):
                visit(x)
            found.append(node)
    for node in nodes:
        visit(node)
    return found


# --- operators make the same ops ------------------------------------------------------------------


def _operator(pairwise: Any, scalar: Any) -> Any:
    def method(self: Tensor, other: Any) -> Any:
        return pairwise()(self, other) if isinstance(other, Base) else scalar(other)(self)
    return method


def _shape(dims: Any) -> Any:
    """(2, 3), ((2, 3),) or nothing."""
    if len(dims) == 1 and (dims[0] is None or isinstance(dims[0], (tuple, list))):
        return dims[0]
    return tuple(dims) or None


for _name, _two, _one in (("add", EWiseAdd, AddScalar), ("mul", EWiseMul, MulScalar),
                          ("truediv", EWiseDiv, DivScalar), ("pow", EWisePow, PowerScalar)):
    setattr(Tensor, f"__{_name}__", _operator(_two, _one))
setattr(Tensor, "__radd__", Tensor.__add__)
setattr(Tensor, "__rmul__", Tensor.__mul__)
setattr(Tensor, "__sub__", lambda self, other: self + -other)
setattr(Tensor, "__rsub__", lambda self, other: -self + other)
setattr(Tensor, "__neg__", lambda self: Negate()(self))
setattr(Tensor, "__matmul__", lambda self, other: MatMul()(self, other))
setattr(Tensor, "matmul", Tensor.__matmul__)
setattr(Tensor, "sum", lambda self, axes=None: Summation(axes)(self))
setattr(Tensor, "reshape", lambda self, *shape: Reshape(_shape(shape) or ())(self))
setattr(Tensor, "broadcast_to", lambda self, *shape: BroadcastTo(_shape(shape) or ())(self))
setattr(Tensor, "transpose", lambda self, *axes: Transpose(_shape(axes))(self))
