"""needle's modules: parameters are found in attributes, lists and tables of them."""

from __future__ import annotations

from typing import Any, Iterator, List

from ... import nn as _nn
from ..._tensor import Tensor as Base
from ...nn import functional as F
from . import init, ops
from .tensor import Parameter as Parameter, Tensor


def _inside(value: Any, kind: type) -> List[Any]:
    if isinstance(value, kind):
        return [value]
    if isinstance(value, _nn.Module):
        return _inside(value.__dict__, kind)
    if isinstance(value, dict):
        return [p for v in value.values() for p in _inside(v, kind)]
    if isinstance(value, (list, tuple)):
        return [p for v in value for p in _inside(v, kind)]
    return []


class Module(_nn.Module):
    def parameters(self) -> List[Any]:  # type: ignore[override]
        return list({id(p): p for p in _inside(self.__dict__, _nn.Parameter)}.values())

    def modules(self) -> Iterator[_nn.Module]:
        yield self
        for child in _inside(self.__dict__, _nn.Module):
            yield from child.modules()

    def _children(self) -> List[_nn.Module]:
        return _inside(self.__dict__, _nn.Module)


class _Of(Module):
    """A module of taper's with parameters of this kind."""

    def __init__(self, inner: _nn.Module) -> None:
        super().__init__()
        for module in inner.modules():
            for name, p in module._parameters.items():
                if p is not None:
                    module.register_parameter(name, Parameter(p))
        self.inner = inner

    def forward(self, *x: Any) -> Any:
        return self.inner(*x)


class Identity(Module):
    def forward(self, x: Any) -> Any:
        return x


class Linear(Module):
    """The weight is [in, out], the bias [1, out]."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: Any = "float32") -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(init.kaiming_uniform(in_features, out_features, dtype=dtype))
        self.bias = Parameter(init.kaiming_uniform(out_features, 1, dtype=dtype).reshape(
            (1, out_features))) if bias else None

    def forward(self, x: Any) -> Any:
        y = x @ self.weight
        return y if self.bias is None else y + self.bias.broadcast_to(tuple(y.shape))


class Flatten(Module):
    def forward(self, x: Any) -> Any:
        return x.reshape((x.shape[0], -1))


class ReLU(Module):
    def forward(self, x: Any) -> Any:
        return ops.relu(x)


class Tanh(Module):
    def forward(self, x: Any) -> Any:
        return ops.tanh(x)


class Sigmoid(Module):
    def forward(self, x: Any) -> Any:
        return x.sigmoid()


class Sequential(Module):
    def __init__(self, *modules: Any) -> None:
        super().__init__()
        self.modules_ = modules

    def forward(self, x: Any) -> Any:
        for module in self.modules_:
            x = module(x)
        return x


class SoftmaxLoss(Module):
    def forward(self, logits: Any, y: Any) -> Any:
        return F.cross_entropy(logits, y.long())


class BatchNorm1d(Module):
    """The running variance is the batch's own, divided by its size."""

    def __init__(self, dim: int, eps: float = 1e-5, momentum: float = 0.1, device: Any = None,
                 dtype: Any = "float32") -> None:
        super().__init__()
        self.dim, self.eps, self.momentum = dim, eps, momentum
        self.weight = Parameter(init.ones(dim, dtype=dtype))
        self.bias = Parameter(init.zeros(dim, dtype=dtype))
        self.running_mean: Base = init.zeros(dim)
        self.running_var: Base = init.ones(dim)

    def forward(self, x: Any) -> Any:
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = Base.mean(x, 0), Base.var(x, 0, correction=0)
            m = self.momentum
            self.running_mean = (1 - m) * self.running_mean + m * mean.detach()
            self.running_var = (1 - m) * self.running_var + m * var.detach()
        return self.weight * (x - mean) / (var + self.eps).sqrt() + self.bias


class LayerNorm1d(Module):
    def __init__(self, dim: int, eps: float = 1e-5, device: Any = None,
                 dtype: Any = "float32") -> None:
        super().__init__()
        self.dim, self.eps = dim, eps
        self.weight = Parameter(init.ones(dim, dtype=dtype))
        self.bias = Parameter(init.zeros(dim, dtype=dtype))

    def forward(self, x: Any) -> Any:
        return F.layer_norm(x, (self.dim,), self.weight, self.bias, self.eps)


class Dropout(Module):
    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        return x * init.randb(*x.shape, p=1 - self.p, dtype=x.dtype) / (1 - self.p)


class Residual(Module):
    def __init__(self, fn: Any) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Any) -> Any:
        return self.fn(x) + x


def Conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, bias: bool = True,
         device: Any = None, dtype: Any = "float32") -> Module:
    """[n c h w]; padded so that a stride of 1 keeps the size."""
    return _Of(_nn.Conv2d(in_channels, out_channels, kernel_size, stride=stride,
                          padding=kernel_size // 2, bias=bias))


def Embedding(num_embeddings: int, embedding_dim: int, device: Any = None,
              dtype: Any = "float32") -> Module:
    class Table(_Of):
        def forward(self, x: Any) -> Any:
            return self.inner(x.long())
    return Table(_nn.Embedding(num_embeddings, embedding_dim))


def RNN(input_size: int, hidden_size: int, num_layers: int = 1, **names: Any) -> Module:
    return _Of(_nn.RNN(input_size, hidden_size, num_layers, **names))


def LSTM(input_size: int, hidden_size: int, num_layers: int = 1, **names: Any) -> Module:
    return _Of(_nn.LSTM(input_size, hidden_size, num_layers, **names))


__all__ = [n for n in dir() if not n.startswith("_") and n not in
           ("Any", "Iterator", "List", "Base", "Tensor", "annotations", "F", "init", "ops")]
