"""Needle-like courses: Tensor in the manner of needle, ops with .compute and .gradient, nn, optim.

    import taper.compat.needle as ndl
    x = ndl.Tensor([1, 2, 3]); (x * x).sum().backward(); x.grad.numpy()
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Optional, Sequence, Tuple

import numpy as np

from .. import creation, moves, optim  # noqa: F401
from .. import nn as _nn
from .. import ops as _ops
from .. import reduce as _reduce
from .._tensor import Tensor as _Tensor
from .._tensor import as_tensor
from ..autograd import vjp_of
from ..nn import init  # noqa: F401


def Tensor(array: Any, *, device: Any = None, dtype: str = "float32",
           requires_grad: bool = True) -> _Tensor:
    """needle's tensors require gradients unless told otherwise."""
    t = as_tensor(np.asarray(array.numpy() if isinstance(array, _Tensor) else array, dtype))
    return t.detach().requires_grad_() if requires_grad and t.dtype.kind == "f" else t


class TensorOp:
    """An op is called on tensors; gradient(out_grad, node) gives the inputs' gradients, by taper's
    own rules: node has .inputs."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    def forward(self, *inputs: _Tensor) -> _Tensor:
        raise NotImplementedError

    def compute(self, *arrays: Any) -> np.ndarray:
        return self.forward(*[as_tensor(a) for a in arrays]).detach().numpy()

    def __call__(self, *inputs: Any) -> _Tensor:
        y = self.forward(*inputs)
        y.op, y.inputs = self, list(inputs)  # type: ignore[attr-defined]
        return y

    def gradient(self, out_grad: _Tensor, node: Any) -> Any:
        leaves = [x.detach().requires_grad_() for x in node.inputs]
        grads = vjp_of(self.forward(*leaves), out_grad, leaves, True)
        return grads[0] if len(grads) == 1 else tuple(grads)

    def gradient_as_tuple(self, out_grad: _Tensor, node: Any) -> Tuple[_Tensor, ...]:
        g = self.gradient(out_grad, node)
        return g if isinstance(g, tuple) else (g,)


def _op(name: str, function: Any, *fields: str) -> Any:
    def __init__(self: Any, *args: Any, **names: Any) -> None:
        TensorOp.__init__(self, **dict.fromkeys(fields), **{})
        self.__dict__.update(zip(fields, args))
        self.__dict__.update(names)

    def forward(self: Any, *inputs: _Tensor) -> _Tensor:
        return function(*inputs, *[getattr(self, f) for f in fields])
    return type(name, (TensorOp,), {"__init__": __init__, "forward": forward})


def _axes(x: _Tensor, axes: Any) -> _Tensor:
    a, b = axes if axes is not None else (-1, -2)
    return x.transpose(a, b)


def _plain_sum(x: _Tensor, axes: Any) -> _Tensor:
    return x.sum(axes)


EWiseAdd, EWiseMul = _op("EWiseAdd", _ops.add), _op("EWiseMul", _ops.mul)
EWiseDiv, EWisePow = _op("EWiseDiv", _ops.div), _op("EWisePow", _ops.pow)
AddScalar, MulScalar = (_op("AddScalar", _ops.add, "scalar"), _op("MulScalar", _ops.mul, "scalar"))
DivScalar, PowerScalar = (_op("DivScalar", _ops.div, "scalar"),
                          _op("PowerScalar", _ops.pow, "scalar"))
MatMul, Negate = _op("MatMul", _ops.matmul), _op("Negate", lambda x: -x)
Log, Exp = _op("Log", lambda x: x.log()), _op("Exp", lambda x: x.exp())
ReLU, Tanh = _op("ReLU", lambda x: x.relu()), _op("Tanh", lambda x: x.tanh())
Transpose = _op("Transpose", _axes, "axes")
Reshape = _op("Reshape", lambda x, shape: x.reshape(shape), "shape")
BroadcastTo = _op("BroadcastTo", lambda x, shape: x.expand(shape), "shape")
Summation = _op("Summation", _plain_sum, "axes")
LogSumExp = _op("LogSumExp", lambda x, axes: x.logsumexp(axes), "axes")
LogSoftmax = _op("LogSoftmax", lambda x: x.log_softmax(1))
Flip = _op("Flip", lambda x, axes: x.flip(axes), "axes")


def add(a: Any, b: Any) -> _Tensor:
    return EWiseAdd()(a, b)


def multiply(a: Any, b: Any) -> _Tensor:
    return EWiseMul()(a, b)


def divide(a: Any, b: Any) -> _Tensor:
    return EWiseDiv()(a, b)


def power(a: Any, b: Any) -> _Tensor:
    return EWisePow()(a, b)


def add_scalar(a: Any, scalar: float) -> _Tensor:
    return AddScalar(scalar)(a)


def mul_scalar(a: Any, scalar: float) -> _Tensor:
    return MulScalar(scalar)(a)


def divide_scalar(a: Any, scalar: float) -> _Tensor:
    return DivScalar(scalar)(a)


def power_scalar(a: Any, scalar: float) -> _Tensor:
    return PowerScalar(scalar)(a)


def matmul(a: Any, b: Any) -> _Tensor:
    return MatMul()(a, b)


def negate(a: Any) -> _Tensor:
    return Negate()(a)


def log(a: Any) -> _Tensor:
    return Log()(a)


def exp(a: Any) -> _Tensor:
    return Exp()(a)


def relu(a: Any) -> _Tensor:
    return ReLU()(a)


def tanh(a: Any) -> _Tensor:
    return Tanh()(a)


def transpose(a: Any, axes: Optional[Sequence[int]] = None) -> _Tensor:
    return Transpose(axes)(a)


def reshape(a: Any, shape: Sequence[int]) -> _Tensor:
    return Reshape(shape)(a)


def broadcast_to(a: Any, shape: Sequence[int]) -> _Tensor:
    return BroadcastTo(shape)(a)


def summation(a: Any, axes: Any = None) -> _Tensor:
    return Summation(axes)(a)


def logsumexp(a: Any, axes: Any = None) -> _Tensor:
    return LogSumExp(axes)(a)


def logsoftmax(a: Any) -> _Tensor:
    return LogSoftmax()(a)


def flip(a: Any, axes: Any) -> _Tensor:
    return Flip(axes)(a)


def stack(args: Sequence[Any], axis: int) -> _Tensor:
    return moves.stack(args, axis)


def split(a: _Tensor, axis: int) -> Tuple[_Tensor, ...]:
    return a.unbind(axis)


class _Linear(_nn.Module):
    """needle's weight is [in, out], its bias [1, out]."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: str = "float32") -> None:
        super().__init__()
        self.weight = _nn.Parameter(creation.zeros(in_features, out_features))
        bound = (6.0 / in_features) ** 0.5
        init.uniform_(self.weight, -bound, bound)
        self.bias = _nn.Parameter(creation.zeros(1, out_features)) if bias else None

    def forward(self, x: _Tensor) -> _Tensor:
        y = x @ self.weight
        return y if self.bias is None else y + self.bias


class _Softmax(_nn.Module):
    def forward(self, logits: _Tensor, y: _Tensor) -> _Tensor:
        return _nn.functional.cross_entropy(logits, y.long())


class _Residual(_nn.Module):
    def __init__(self, fn: Any) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: _Tensor) -> _Tensor:
        return x + self.fn(x)


nn = SimpleNamespace(
    Module=_nn.Module, Parameter=_nn.Parameter, Linear=_Linear, Sequential=_nn.Sequential,
    ReLU=_nn.ReLU, Tanh=_nn.Tanh, Sigmoid=_nn.Sigmoid, Identity=_nn.Identity, Flatten=_nn.Flatten,
    SoftmaxLoss=_Softmax, BatchNorm1d=_nn.BatchNorm1d, LayerNorm1d=_nn.LayerNorm,
    Dropout=_nn.Dropout, Residual=_Residual, Conv=_nn.Conv2d, Embedding=_nn.Embedding,
    RNN=_nn.RNN, LSTM=_nn.LSTM)
ops = SimpleNamespace(**{k: v for k, v in globals().items() if not k.startswith("_")})
