"""Layers with parameters, as PyTorch's of the same names."""

from __future__ import annotations

import math
from typing import Any, List, Optional, Tuple

import numpy as np

from .. import _dtype as dt
from .._core import NONE, CList, CTensor, here
from .._library import lib
from .._tensor import Tensor, wrap
from ..creation import ones, zeros
from ..moves import cat, flip, stack
from . import functional as F
from . import init
from .module import Module, Parameter


def _within(bound: float, *shape: int) -> Parameter:
    p = Parameter(zeros(*shape))
    return init.uniform_(p, -bound, bound)  # type: ignore[return-value]


class Linear(Module):
    """y = x W' + b."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True,
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        bound = 1 / math.sqrt(in_features) if in_features else 0
        self.weight = _within(bound, out_features, in_features)
        self.bias = _within(bound, out_features) if bias else None
        self.to(device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (f"in_features={self.in_features}, out_features={self.out_features}, "
                f"bias={self.bias is not None}")


class Bilinear(Module):
    def __init__(self, in1_features: int, in2_features: int, out_features: int,
                 bias: bool = True) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in1_features)
        self.weight = _within(bound, out_features, in1_features, in2_features)
        self.bias = _within(bound, out_features) if bias else None

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return F.bilinear(a, b, self.weight, self.bias)


class _Conv(Module):
    axes, transposed = 2, False

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
                 padding: Any = 0, *args: Any, dilation: Any = 1, groups: int = 1,
                 bias: bool = True, padding_mode: str = "zeros", output_padding: Any = 0) -> None:
        super().__init__()
        order = ["output_padding", "groups"] if self.transposed else ["dilation", "groups", "bias"]
        given = dict(dilation=dilation, groups=groups, bias=bias, output_padding=output_padding)
        given.update(zip(order, args))
        kernel = F._tuple(kernel_size, self.axes)
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel
        self.stride, self.padding, self.padding_mode = stride, padding, padding_mode
        self.dilation, self.groups = given["dilation"], given["groups"]
        self.output_padding = given["output_padding"]
        first, second = (in_channels, out_channels) if self.transposed else (
            out_channels, in_channels)
        fan = second // self.groups * int(np.prod(kernel))
        bound = 1 / math.sqrt(fan) if fan else 0
        self.weight = _within(bound, first, second // self.groups, *kernel)
        self.bias = _within(bound, out_channels) if given["bias"] else None

    def forward(self, x: Tensor) -> Tensor:
        if self.transposed:
            f = getattr(F, f"conv_transpose{self.axes}d")
            return f(x, self.weight, self.bias, self.stride, self.padding, self.output_padding,
                     self.groups, self.dilation)
        f = getattr(F, f"conv{self.axes}d")
        return f(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups,
                 padding_mode=self.padding_mode)

    def extra_repr(self) -> str:
        said = [str(self.in_channels), str(self.out_channels), f"kernel_size={self.kernel_size}",
                f"stride={F._tuple(self.stride, self.axes)}"]
        for name, usual in (("padding", 0), ("dilation", 1), ("output_padding", 0)):
            value = getattr(self, name)
            value = value if isinstance(value, str) else F._tuple(value, self.axes)
            if value != (usual,) * self.axes:
                said.append(f"{name}={value!r}")
        if self.groups != 1:
            said.append(f"groups={self.groups}")
        if self.bias is None:
            said.append("bias=False")
        if self.padding_mode != "zeros":
            said.append(f"padding_mode={self.padding_mode}")
        return ", ".join(said)


Conv1d = type("Conv1d", (_Conv,), {"axes": 1})
Conv2d = type("Conv2d", (_Conv,), {"axes": 2})
Conv3d = type("Conv3d", (_Conv,), {"axes": 3})
ConvTranspose1d = type("ConvTranspose1d", (_Conv,), {"axes": 1, "transposed": True})
ConvTranspose2d = type("ConvTranspose2d", (_Conv,), {"axes": 2, "transposed": True})
ConvTranspose3d = type("ConvTranspose3d", (_Conv,), {"axes": 3, "transposed": True})


class Embedding(Module):
    def __init__(self, num_embeddings: int, embedding_dim: int,
                 padding_idx: Optional[int] = None) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        self.weight = Parameter(zeros(num_embeddings, embedding_dim))
        init.normal_(self.weight)
        if padding_idx is not None:
            rows = self.weight._array().copy()
            rows[padding_idx] = 0
            self.weight.data = Tensor(rows)

    def forward(self, index: Tensor) -> Tensor:
        return F.embedding(index, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


# --- norms ----------------------------------------------------------------------------------------


class _BatchNorm(Module):
    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1,
                 affine: bool = True, track_running_stats: bool = True) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features) if tracked else None)
        self.register_buffer("running_var", ones(num_features) if tracked else None)

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias,
                            self.training or self.running_mean is None, self.momentum, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


BatchNorm1d = type("BatchNorm1d", (_BatchNorm,), {})
BatchNorm2d = type("BatchNorm2d", (_BatchNorm,), {})
BatchNorm3d = type("BatchNorm3d", (_BatchNorm,), {})


class LayerNorm(Module):
    def __init__(self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True,
                 bias: bool = True) -> None:
        super().__init__()
        self.normalized_shape = F._tuple(normalized_shape, 1)
        self.eps = eps
        self.weight = Parameter(ones(*self.normalized_shape)) if elementwise_affine else None
        self.bias = Parameter(zeros(*self.normalized_shape)) if elementwise_affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Module):
    def __init__(self, normalized_shape: Any, eps: Optional[float] = None,
                 elementwise_affine: bool = True) -> None:
        super().__init__()
        self.normalized_shape, self.eps = F._tuple(normalized_shape, 1), eps
        self.weight = Parameter(ones(*self.normalized_shape)) if elementwise_affine else None

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5,
                 affine: bool = True) -> None:
        super().__init__()
        self.num_groups, self.eps = num_groups, eps
        self.weight = Parameter(ones(num_channels)) if affine else None
        self.bias = Parameter(zeros(num_channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class _InstanceNorm(Module):
    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1,
                 affine: bool = False) -> None:
        super().__init__()
        self.eps = eps
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        return F.instance_norm(x, self.weight, self.bias, self.eps)


InstanceNorm1d = type("InstanceNorm1d", (_InstanceNorm,), {})
InstanceNorm2d = type("InstanceNorm2d", (_InstanceNorm,), {})


# --- recurrent ------------------------------------------------------------------------------------


class _Recurrent(Module):
    kind, gates = "rnn", 1

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1,
                 nonlinearity: str = "tanh", bias: bool = True, batch_first: bool = False,
                 dropout: float = 0.0, bidirectional: bool = False) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.use_bias, self.batch_first, self.dropout = bias, batch_first, dropout
        self.directions = 2 if bidirectional else 1
        self.nonlinearity = nonlinearity
        bound, n = 1 / math.sqrt(hidden_size), self.gates * hidden_size
        for layer in range(num_layers):
            size = input_size if layer == 0 else hidden_size * self.directions
            for end in ["", "_reverse"][:self.directions]:
                setattr(self, f"weight_ih_l{layer}{end}", _within(bound, n, size))
                setattr(self, f"weight_hh_l{layer}{end}", _within(bound, n, hidden_size))
                if bias:
                    setattr(self, f"bias_ih_l{layer}{end}", _within(bound, n))
                    setattr(self, f"bias_hh_l{layer}{end}", _within(bound, n))

    def _run(self, x: Tensor, start: List[Tensor], layer: int, reverse: bool) -> List[Tensor]:
        end = f"_l{layer}" + ("_reverse" if reverse else "")
        names = ["weight_ih", "weight_hh"] + (["bias_ih", "bias_hh"] if self.use_bias else [])
        weights = [getattr(self, n + end) for n in names]
        kind = "rnn_relu" if self.kind == "rnn" and self.nonlinearity == "relu" else self.kind
        held = CList(len(weights), (CTensor * len(weights))(*[w._handle() for w in weights]))
        starts = CList(len(start), (CTensor * len(start))(*[h._handle() for h in start]))
        r = lib.tp_recurrent_cell_at(kind.encode(), x._handle(), starts, held, reverse, here())
        parts = [r.y, r.h] + ([r.c] if self.kind == "lstm" else [])
        return [wrap(CTensor(c.g, CTensor._Value(id=c.id)), x, None, True, weights + start, False)
                for c in parts]

    def forward(self, x: Tensor, state: Any = None) -> Any:
        single = x.ndim == 2
        if single:
            x = x.unsqueeze(0 if self.batch_first else 1)
        x = x.transpose(0, 1) if self.batch_first else x
        count = 2 if self.kind == "lstm" else 1
        given = [] if state is None else list(state) if count == 2 else [state]
        given = [s.unsqueeze(1) for s in given] if single and given else given
        lasts: List[List[Tensor]] = [[] for _ in range(count)]
        for layer in range(self.num_layers):
            ys = []
            for d in range(self.directions):
                at = layer * self.directions + d
                start = [s[at] for s in given] if given else [
                    zeros(x.shape[1], self.hidden_size, dtype=x.dtype) for _ in range(count)]
                y, *last = self._run(x, start, layer, d == 1)
                ys.append(y)
                for i, h in enumerate(last):
                    lasts[i].append(h.reshape(x.shape[1], self.hidden_size))
            x = ys[0] if len(ys) == 1 else cat(ys, -1)
            if self.dropout and layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        out = [stack(h) for h in lasts]
        x = x.transpose(0, 1) if self.batch_first else x
        if single:
            x = x.squeeze(0 if self.batch_first else 1)
            out = [h.squeeze(1) for h in out]
        return x, tuple(out) if count == 2 else out[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class RNN(_Recurrent):
    pass


class _Gated(_Recurrent):
    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0,
                 bidirectional: bool = False) -> None:
        super().__init__(input_size, hidden_size, num_layers, "tanh", bias, batch_first, dropout,
                         bidirectional)


class LSTM(_Gated):
    kind, gates = "lstm", 4


class GRU(_Gated):
    kind, gates = "gru", 3


# --- attention ------------------------------------------------------------------------------------


class MultiheadAttention(Module):
    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
                 batch_first: bool = False) -> None:
        super().__init__()
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.batch_first = batch_first
        self.in_proj_weight = Parameter(zeros(3 * embed_dim, embed_dim))
        init.xavier_uniform_(self.in_proj_weight)
        self.in_proj_bias = Parameter(zeros(3 * embed_dim)) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)

    def forward(self, query: Tensor, key: Optional[Tensor] = None, value: Optional[Tensor] = None,
                attn_mask: Optional[Tensor] = None, is_causal: bool = False,
                need_weights: bool = False) -> Tuple[Tensor, None]:
        key = query if key is None else key
        value = key if value is None else value
        x = [t if self.batch_first else t.transpose(0, 1) for t in (query, key, value)]
        w = self.in_proj_weight.chunk(3, 0)
        b = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3, 0)
        q, k, v = (F.linear(t, wi, bi).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
                   for t, wi, bi in zip(x, w, b))
        if attn_mask is not None and attn_mask.dtype is dt.bool_:
            attn_mask = ~attn_mask  # PyTorch's module masks what is true
        y = F.scaled_dot_product_attention(q, k, v, attn_mask,
                                           self.dropout if self.training else 0.0, is_causal)
        y = self.out_proj(y.transpose(1, 2).flatten(2))
        return (y if self.batch_first else y.transpose(0, 1)), None
