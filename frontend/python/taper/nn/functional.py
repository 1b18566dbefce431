"""Functions of layers, by PyTorch's names: of given weights, on the library's own layers."""

from __future__ import annotations

import math
from typing import Any, Optional, Sequence, Tuple, Union

import numpy as np

from .. import _dtype as dt
from .. import ops
from .._core import NONE, CTensor, Error, S, here, number, option, shape_of
from .._library import lib
from .._tensor import Tensor, as_tensor, blank, cast, handle, wrap
from ..moves import pad_axes
from ..ops import formula, real
from ..reduce import log_softmax as _log_softmax
from ..reduce import softmax as _softmax

T = lib.types
Pair = Union[int, Sequence[int]]


def _of(x: Optional[Tensor]) -> Any:
    return NONE if x is None else x._handle()


def _tuple(v: Pair, n: int) -> Tuple[int, ...]:
    return (v,) * n if isinstance(v, int) else tuple(v)


# --- linear and convolutions ----------------------------------------------------------------------


def linear(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    c = lib.tp_linear_of_at(input._handle(), weight._handle(), _of(bias), here())
    return wrap(c, input, weight, True, () if bias is None else (bias,))


def bilinear(a: Tensor, b: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    y = ops.einsum("bi,oij,bj->bo", a, weight, b)
    return y if bias is None else y + bias


def _conv(what: str, n: int, x: Tensor, weight: Tensor, bias: Optional[Tensor], stride: Pair,
          padding: Any, dilation: Pair, groups: int, out_pad: Pair = 0,
          mode: Optional[str] = None) -> Tensor:
    single = x.ndim == n + 1
    if single:
        x = x.unsqueeze(0)
    args = T.tp_conv_args(groups=groups, strides=shape_of(_tuple(stride, n)),
                          dilations=shape_of(_tuple(dilation, n)))
    if padding == "same":
        args.same = True
    else:
        args.pads = shape_of(_tuple(0 if padding == "valid" else padding, n))
    args.out_pads = shape_of(_tuple(out_pad, n))
    if mode is not None and mode != "zeros":
        args.pad_mode = mode.encode()
    c = lib.tp_conv_of_at(what.encode(), n, x._handle(), weight._handle(), _of(bias), args, here())
    y = wrap(c, x, weight, True, () if bias is None else (bias,))
    return y.squeeze(0) if single else y


def _conv_function(n: int) -> Any:
    def conv(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: Pair = 1,
             padding: Any = 0, dilation: Pair = 1, groups: int = 1, *,
             padding_mode: Optional[str] = None) -> Tensor:
        return _conv(f"conv{n}d", n, input, weight, bias, stride, padding, dilation, groups,
                     mode=padding_mode)
    conv.__name__ = f"conv{n}d"
    return conv


def _transposed_function(n: int) -> Any:
    def conv(input: Tensor, weight: Tensor, bias: Optional[Tensor] = None, stride: Pair = 1,
             padding: Pair = 0, output_padding: Pair = 0, groups: int = 1,
             dilation: Pair = 1) -> Tensor:
        return _conv(f"conv_transpose{n}d", n, input, weight, bias, stride, padding, dilation,
                     groups, output_padding)
    conv.__name__ = f"conv_transpose{n}d"
    return conv


conv1d, conv2d, conv3d = (_conv_function(n) for n in (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = (_transposed_function(n) for n in (1, 2, 3))


# --- pooling --------------------------------------------------------------------------------------


def _pool_args(n: int, kernel: Pair, stride: Optional[Pair], padding: Pair, dilation: Pair = 1,
               ceil: bool = False, inside: bool = False, p: float = 0) -> Any:
    kernels = _tuple(kernel, n)
    return T.tp_pool_args(kernels=shape_of(kernels), kernel=kernels[0],
                          strides=shape_of(kernels if stride is None else _tuple(stride, n)),
                          pads=shape_of(_tuple(padding, n)),
                          dilations=shape_of(_tuple(dilation, n)), ceil=ceil, exclude_pad=inside,
                          p=p)


def _pool(op: str, n: int, x: Tensor, args: Any) -> Tensor:
    return wrap(lib.tp_pool_at(op.encode(), n, x._handle(), args, here()), x)


def _max_pool(n: int) -> Any:
    def pool(input: Tensor, kernel_size: Pair, stride: Optional[Pair] = None, padding: Pair = 0,
             dilation: Pair = 1, ceil_mode: bool = False, return_indices: bool = False) -> Any:
        args = _pool_args(n, kernel_size, stride, padding, dilation, ceil_mode)
        y = _pool(f"max_pool{n}d", n, input, args)
        if return_indices:
            c = lib.tp_max_pool_places_at(n, input._handle(), args, here())
            return y, wrap(c, input, None, False)
        return y
    pool.__name__ = f"max_pool{n}d"
    return pool


def _avg_pool(n: int) -> Any:
    def pool(input: Tensor, kernel_size: Pair, stride: Optional[Pair] = None, padding: Pair = 0,
             ceil_mode: bool = False, count_include_pad: bool = True) -> Tensor:
        return _pool(f"avg_pool{n}d", n, input,
                     _pool_args(n, kernel_size, stride, padding, 1, ceil_mode,
                                not count_include_pad))
    pool.__name__ = f"avg_pool{n}d"
    return pool


max_pool1d, max_pool2d, max_pool3d = (_max_pool(n) for n in (1, 2, 3))
avg_pool1d, avg_pool2d, avg_pool3d = (_avg_pool(n) for n in (1, 2, 3))


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Pair,
              stride: Optional[Pair] = None) -> Tensor:
    return _pool("lp_pool2d", 2, input, _pool_args(2, kernel_size, stride, 0, p=norm_type))


def _adaptive(kind: str, n: int) -> Any:
    def pool(input: Tensor, output_size: Any) -> Tensor:
        size = [-1 if s is None else s for s in _tuple(output_size, n)]
        return wrap(lib.tp_adaptive_pool_at(f"adaptive_{kind}_pool".encode(), input._handle(),
                                            shape_of(size), here()), input)
    pool.__name__ = f"adaptive_{kind}_pool{n}d"
    return pool


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (
    _adaptive("avg", n) for n in (1, 2, 3))
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (
    _adaptive("max", n) for n in (1, 2, 3))


def unfold(input: Tensor, kernel_size: int, dilation: int = 1, padding: int = 0,
           stride: int = 1) -> Tensor:
    return wrap(lib.tp_unfold_at(input._handle(), _pool_args(2, kernel_size, stride, padding,
                                                             dilation), here()), input)


def fold(input: Tensor, output_size: Pair, kernel_size: int, dilation: int = 1, padding: int = 0,
         stride: int = 1) -> Tensor:
    return wrap(lib.tp_fold_at(input._handle(), shape_of(_tuple(output_size, 2)),
                               _pool_args(2, kernel_size, stride, padding, dilation), here()),
                input)


# --- norms ----------------------------------------------------------------------------------------


def _more(*tensors: Optional[Tensor]) -> Tuple[Tensor, ...]:
    return tuple(t for t in tensors if t is not None)


def layer_norm(input: Tensor, normalized_shape: Any, weight: Optional[Tensor] = None,
               bias: Optional[Tensor] = None, eps: float = 1e-5) -> Tensor:
    n = 1 if isinstance(normalized_shape, int) else len(normalized_shape)
    return wrap(lib.tp_layer_norm_of_at(input._handle(), _of(weight), _of(bias), n, eps, True,
                                        here()), input, None, True, _more(weight, bias))


def rms_norm(input: Tensor, normalized_shape: Any, weight: Optional[Tensor] = None,
             eps: Optional[float] = None) -> Tensor:
    n = 1 if isinstance(normalized_shape, int) else len(normalized_shape)
    if eps is None:
        eps = float(np.finfo(np.float64 if input.dtype.name == "float64" else np.float32).eps)
    return wrap(lib.tp_layer_norm_of_at(input._handle(), _of(weight), NONE, n, eps, False, here()),
                input, None, True, _more(weight))


def group_norm(input: Tensor, num_groups: int, weight: Optional[Tensor] = None,
               bias: Optional[Tensor] = None, eps: float = 1e-5) -> Tensor:
    return wrap(lib.tp_group_norm_of_at(input._handle(), _of(weight), _of(bias), num_groups, eps,
                                        here()), input, None, True, _more(weight, bias))


def instance_norm(input: Tensor, weight: Optional[Tensor] = None, bias: Optional[Tensor] = None,
                  eps: float = 1e-5) -> Tensor:
    return group_norm(input, input.shape[1], weight, bias, eps)


def batch_norm(input: Tensor, running_mean: Optional[Tensor], running_var: Optional[Tensor],
               weight: Optional[Tensor] = None, bias: Optional[Tensor] = None,
               training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    running = (CTensor * 2)(_of(running_mean), _of(running_var))
    c = lib.tp_batch_norm_of_at(input._handle(), _of(weight), _of(bias), running, training,
                                momentum, eps, here())
    y = wrap(c, input, None, True, _more(weight, bias), settle=False)
    if training:
        for t, n in zip((running_mean, running_var), running):
            if t is not None:
                new = wrap(CTensor(n.g, CTensor._Value(id=n.id)), t, None, False, settle=False)
                t._assign(new)
    return y


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75,
                        k: float = 1.0) -> Tensor:
    return wrap(lib.tp_local_response_norm_at(
        input._handle(), T.tp_lrn_args(size=size, alpha=alpha, beta=beta, k=k), here()), input)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    return wrap(lib.tp_normalize_at(input._handle(), p, dim, eps, here()), input)


# --- activations ----------------------------------------------------------------------------------


def _activation(name: str, *defaults: Tuple[str, float]) -> Any:
    names = [d[0] for d in defaults]

    def function(input: Tensor, *args: Any, **options: Any) -> Tensor:
        options.pop("inplace", None)
        if args and isinstance(args[-1], bool):
            args = args[:-1]
        values = [args[i] if i < len(args) else options.pop(n, default)
                  for i, (n, default) in enumerate(defaults)]
        if options:
            raise TypeError(f"{name}() has no argument {next(iter(options))!r}")
        return formula(name, [input], [float(v) for v in values])
    function.__name__ = name
    function.__doc__ = f"{name}({', '.join(['input'] + names)})"
    return function


sigmoid, logsigmoid, silu = (_activation(n) for n in ("sigmoid", "log_sigmoid", "silu"))
mish, relu6, softsign, tanhshrink, selu, hardsigmoid, hardswish = (
    _activation(n) for n in ("mish", "relu6", "softsign", "tanhshrink", "selu", "hardsigmoid",
                             "hardswish"))
softplus = _activation("softplus", ("beta", 1), ("threshold", 20))
hardtanh = _activation("hardtanh", ("min_val", -1), ("max_val", 1))
leaky_relu = _activation("leaky_relu", ("negative_slope", 0.01))
elu, celu = _activation("elu", ("alpha", 1)), _activation("celu", ("alpha", 1))
softshrink, hardshrink = (_activation("softshrink", ("lambd", 0.5)),
                          _activation("hardshrink", ("lambd", 0.5)))
threshold = _activation("threshold", ("threshold", 0), ("value", 0))
tanh = ops.tanh  # type: ignore[attr-defined]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    return ops.relu(input)  # type: ignore[attr-defined]


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    return formula("gelu_tanh" if approximate == "tanh" else "gelu", [input])


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    return wrap(lib.tp_prelu_at(input._handle(), weight._handle(), here()), input, weight)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    return wrap(lib.tp_glu_at(b"glu", input._handle(), dim, here()), input)


def softmax(input: Tensor, dim: int = -1, dtype: Any = None) -> Tensor:
    return _softmax(input if dtype is None else input.to(dtype), dim)


def log_softmax(input: Tensor, dim: int = -1, dtype: Any = None) -> Tensor:
    return _log_softmax(input if dtype is None else input.to(dtype), dim)


def softmin(input: Tensor, dim: int = -1) -> Tensor:
    return _softmax(-input, dim)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    n = int(tensor._array().max()) + 1 if num_classes < 0 else num_classes
    return wrap(lib.tp_one_hot_at(tensor._handle(), n, dt.int64.code, here()), tensor, None, False)


def embedding(input: Tensor, weight: Tensor, padding_idx: Optional[int] = None) -> Tensor:
    if padding_idx is None:
        return wrap(lib.tp_take_at(weight._handle(), 0, input._handle(), here()), weight)
    return wrap(lib.tp_embedding_padded_at(weight._handle(), input._handle(),
                                           padding_idx % weight.shape[0], here()), weight)


# --- chance ---------------------------------------------------------------------------------------


def _drop(what: str, x: Tensor, p: float, axes: int, training: bool) -> Tensor:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout with probability {p}; expected 0 to 1")
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0.0
    if S.trace is not None:
        return wrap(lib.tp_dropout_at(what.encode(), x._handle(), p, axes, here()), x)
    from ..creation import generator
    mask = tuple(d if not axes or i < axes else 1 for i, d in enumerate(x.shape))
    kept = (generator().random(mask) >= p) / (1 - p)
    return x * Tensor(kept, x.dtype)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    return _drop("tp_dropout", input, p, 0, training)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True,
              inplace: bool = False) -> Tensor:
    return _drop("tp_dropout2d", input, p, 2, training)


def drop_path(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    return _drop("tp_drop_path", input, p, 1, training)


# --- shapes of images -----------------------------------------------------------------------------


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant",
        value: Optional[float] = None) -> Tensor:
    lo, hi = [0] * input.ndim, [0] * input.ndim
    for i in range(len(pad) // 2):
        lo[-1 - i], hi[-1 - i] = pad[2 * i], pad[2 * i + 1]
    if min(lo + hi, default=0) < 0:
        for axis in range(input.ndim):
            start, stop = max(-lo[axis], 0), input.shape[axis] - max(-hi[axis], 0)
            input = input.narrow(axis, start, stop - start)
        lo, hi = [max(v, 0) for v in lo], [max(v, 0) for v in hi]
    return pad_axes(input, lo, hi, value or 0, mode)


def interpolate(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                align_corners: Optional[bool] = None) -> Tensor:
    n = input.ndim - 2
    if size is None:
        size = [int(d * s) for d, s in zip(input.shape[2:], _tuple(scale_factor, n)
                                           if isinstance(scale_factor, (tuple, list))
                                           else (scale_factor,) * n)]
    kind = {"bilinear": "linear", "trilinear": "linear"}.get(mode, mode)
    return wrap(lib.tp_interpolate_at(input._handle(), kind.encode(), shape_of(_tuple(size, n)),
                                      bool(align_corners), here()), input)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    return wrap(lib.tp_pixel_shuffle_at(input._handle(), upscale_factor, here()), input)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    return wrap(lib.tp_pixel_unshuffle_at(input._handle(), downscale_factor, here()), input)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    return wrap(lib.tp_cosine_similarity_at(x1._handle(), x2._handle(), dim, eps, here()), x1, x2)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6) -> Tensor:
    return wrap(lib.tp_pairwise_distance_at(x1._handle(), x2._handle(), p, eps, here()), x1, x2)


def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor,
                                 attn_mask: Optional[Tensor] = None, dropout_p: float = 0.0,
                                 is_causal: bool = False, scale: Optional[float] = None) -> Tensor:
    args = T.tp_attention_args(v=value._handle(), causal=is_causal, mask=_of(attn_mask),
                               dropout=dropout_p, scale=scale or 0.0)
    return wrap(lib.tp_attention_at(query._handle(), key._handle(), args, here()), query, key, True,
                _more(value, attn_mask))


from .losses import (binary_cross_entropy, binary_cross_entropy_with_logits,  # noqa: E402,F401
                     cosine_embedding_loss, cross_entropy, ctc_loss, gaussian_nll_loss,
                     hinge_embedding_loss, huber_loss, kl_div, l1_loss, margin_ranking_loss,
                     mse_loss, multi_margin_loss, nll_loss, poisson_nll_loss, smooth_l1_loss,
                     soft_margin_loss, triplet_margin_loss)
