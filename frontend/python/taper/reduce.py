"""Reductions, softmax, running sums, sorting and searching."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional, Sequence, Tuple, Union

import ctypes
import numpy as np

from . import _dtype as dt
from ._core import ALL_AXES, CTensor, Error, here, packed_axes
from ._library import lib
from .ops import real
from ._tensor import Tensor, as_tensor, cast, unary, wrap

Axes = Union[None, int, Sequence[int]]
CReduce = lib.types.tp_reduce_args


class ValuesIndices(NamedTuple):
    values: Tensor
    indices: Tensor


def axis_of(x: Tensor, axis: int) -> int:
    n = x.ndim or 1
    if not -n <= axis < n:
        raise IndexError(f"dimension {axis} of a tensor of {x.ndim}; expected {-n} to {n - 1}")
    return axis % n


def _axes(x: Tensor, axes: Axes) -> int:
    if axes is None or x.ndim == 0:
        return ALL_AXES
    if isinstance(axes, int):
        return axis_of(x, axes)
    if len(axes) == 0:
        return ALL_AXES
    return packed_axes([axis_of(x, a) for a in axes])


def reduced(op: str, x: Tensor, axes: Axes = None, keepdim: bool = False, diff: bool = True,
            **options: Any) -> Tensor:
    args = CReduce(dim=_axes(x, axes), keepdim=keepdim, **options)
    return wrap(lib.tp_reduce_at(op.encode(), x._handle(), args, here()), x, None, diff)


def _by(dim: Any, keepdim: bool, names: Any) -> Tuple[Any, bool]:
    """NumPy's words are good, too: axis and keepdims."""
    if names:
        dim, keepdim = names.pop("axis", dim), names.pop("keepdims", keepdim)
        for name in names:
            raise TypeError(f"no argument {name!r}; expected dim (or axis) and keepdim (or keepdims)")
    return dim, keepdim


def sum(x: Any, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None,  # noqa: A001
        **names: Any) -> Tensor:
    x, (dim, keepdim) = as_tensor(x), _by(dim, keepdim, names)
    if dtype is not None:
        x = x.to(dtype)
    elif x.dtype.kind != "f":
        x = cast(x, dt.int64)
    return reduced("sum", x, dim, keepdim)


def mean(x: Any, dim: Axes = None, keepdim: bool = False, *, dtype: Any = None,
         **names: Any) -> Tensor:
    x, (dim, keepdim) = as_tensor(x), _by(dim, keepdim, names)
    if dtype is not None:
        x = x.to(dtype)
    if x.dtype.kind != "f":
        raise Error(f"mean of {x.dtype!r}; expected a floating type, x.float() makes it one")
    return reduced("mean", x, dim, keepdim)


def prod(x: Tensor, dim: Axes = None, keepdim: bool = False, **names: Any) -> Tensor:
    x = x if x.dtype.kind == "f" else cast(x, dt.int64)
    return reduced("prod", x, *_by(dim, keepdim, names))


def amax(x: Tensor, dim: Axes = None, keepdim: bool = False, **names: Any) -> Tensor:
    return reduced("amax", x, *_by(dim, keepdim, names))


def amin(x: Tensor, dim: Axes = None, keepdim: bool = False, **names: Any) -> Tensor:
    return reduced("amin", x, *_by(dim, keepdim, names))


def argmax(x: Tensor, dim: Optional[int] = None, keepdim: bool = False, **names: Any) -> Tensor:
    return reduced("argmax", x, *_by(dim, keepdim, names), False)


def argmin(x: Tensor, dim: Optional[int] = None, keepdim: bool = False, **names: Any) -> Tensor:
    return reduced("argmin", x, *_by(dim, keepdim, names), False)


def _extreme(name: str) -> Any:
    def function(x: Tensor, dim: Any = None, keepdim: bool = False, **names: Any) -> Any:
        dim, keepdim = _by(dim, keepdim, names)
        if isinstance(dim, Tensor):
            from . import ops
            return getattr(ops, name + "imum")(x, dim)
        if dim is None:
            return reduced("a" + name, x)
        where = reduced("arg" + name, x, dim, True, False)
        values = gather(x, dim, where)
        if not keepdim:
            values, where = values.squeeze(dim), where.squeeze(dim)
        return ValuesIndices(values, where)
    function.__name__ = name
    function.__doc__ = f"Of all; with `dim`, values and indices along it; of two tensors, {name}imum."
    return function


max = _extreme("max")  # noqa: A001
min = _extreme("min")  # noqa: A001


def all(x: Tensor, dim: Axes = None, keepdim: bool = False, **names: Any) -> Tensor:  # noqa: A001
    x = x if x.dtype is dt.bool_ else x != 0
    return reduced("all", x, *_by(dim, keepdim, names), False)


def any(x: Tensor, dim: Axes = None, keepdim: bool = False, **names: Any) -> Tensor:  # noqa: A001
    x = x if x.dtype is dt.bool_ else x != 0
    return reduced("any", x, *_by(dim, keepdim, names), False)


def _spread(op: str, x: Tensor, dim: Axes, keepdim: bool, unbiased: Any, correction: Any) -> Tensor:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    c = correction if correction is not None else int(unbiased)
    return reduced(op, x, dim, keepdim, biased=c == 0, correction=float(c))


def var(x: Tensor, dim: Axes = None, unbiased: bool = True, keepdim: bool = False, *,
        correction: Optional[float] = None, **names: Any) -> Tensor:
    return _spread("var", x, *_by(dim, keepdim, names), unbiased, correction)


def std(x: Tensor, dim: Axes = None, unbiased: bool = True, keepdim: bool = False, *,
        correction: Optional[float] = None, **names: Any) -> Tensor:
    return _spread("std", x, *_by(dim, keepdim, names), unbiased, correction)


def var_mean(x: Tensor, dim: Axes = None, unbiased: bool = True, keepdim: bool = False,
             **names: Any) -> Tuple[Tensor, Tensor]:
    return var(x, dim, unbiased, keepdim, **names), mean(x, names.get("axis", dim),
                                                      names.get("keepdims", keepdim))


def std_mean(x: Tensor, dim: Axes = None, unbiased: bool = True, keepdim: bool = False,
             **names: Any) -> Tuple[Tensor, Tensor]:
    return std(x, dim, unbiased, keepdim, **names), mean(x, names.get("axis", dim),
                                                      names.get("keepdims", keepdim))


def logsumexp(x: Tensor, dim: Axes = None, keepdim: bool = False, **names: Any) -> Tensor:
    return reduced("logsumexp", x, *_by(dim, keepdim, names))


def count_nonzero(x: Tensor, dim: Axes = None) -> Tensor:
    return reduced("count_nonzero", x, dim, False, False)


def norm(x: Tensor, p: Any = 2, dim: Axes = None, keepdim: bool = False) -> Tensor:
    p = 2.0 if p == "fro" else float(p)
    args = CReduce(dim=_axes(x, dim), keepdim=keepdim)
    return wrap(lib.tp_norm_at(x._handle(), p, args, here()), x)


def softmax(x: Any, dim: int = -1, **names: Any) -> Tensor:
    x = real(x)
    return wrap(lib.tp_softmax_at(b"softmax", x._handle(), _by(dim, False, names)[0], here()), x)


def log_softmax(x: Any, dim: int = -1, **names: Any) -> Tensor:
    x = real(x)
    return wrap(lib.tp_softmax_at(b"log_softmax", x._handle(), _by(dim, False, names)[0], here()), x)


def _cumulated(name: str) -> Any:
    def function(x: Tensor, dim: int) -> Tensor:
        return wrap(lib.tp_cumulate_at(name.encode(), x._handle(), dim, here()), x)
    function.__name__ = name
    return function


cumsum, cumprod = _cumulated("cumsum"), _cumulated("cumprod")
cummax_values, cummin_values = _cumulated("cummax"), _cumulated("cummin")


def logcumsumexp(x: Tensor, dim: int) -> Tensor:
    return wrap(lib.tp_logcumsumexp_at(x._handle(), dim, here()), x)


def sort(x: Tensor, dim: int = -1, descending: bool = False, *,
         stable: bool = True) -> ValuesIndices:
    where = CTensor()
    args = lib.types.tp_sort_args(axis=dim, descending=descending, index=ctypes.pointer(where))
    y = lib.tp_sort_at(x._handle(), args, here())
    values = wrap(y, x, settle=False)
    return ValuesIndices(values, wrap(CTensor(where.g, where.value), x, None, False, settle=False))


def argsort(x: Tensor, dim: int = -1, descending: bool = False) -> Tensor:
    args = lib.types.tp_sort_args(axis=dim, descending=descending)
    return wrap(lib.tp_argsort_at(x._handle(), args, here()), x, None, False)


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True) -> ValuesIndices:
    where = CTensor()
    args = lib.types.tp_topk_args(k=k, axis=dim, smallest=not largest,
                                  index=ctypes.pointer(where))
    values = wrap(lib.tp_topk_at(x._handle(), args, here()), x, settle=False)
    return ValuesIndices(values, wrap(CTensor(where.g, where.value), x, None, False, settle=False))


def kthvalue(x: Tensor, k: int, dim: int = -1) -> ValuesIndices:
    where = CTensor()
    args = lib.types.tp_sort_args(axis=dim, index=ctypes.pointer(where))
    values = wrap(lib.tp_kthvalue_at(x._handle(), k, args, here()), x, settle=False)
    return ValuesIndices(values, wrap(CTensor(where.g, where.value), x, None, False, settle=False))


def quantile(x: Tensor, q: float, dim: Optional[int] = None) -> Tensor:
    return wrap(lib.tp_quantile_at(b"tp_quantile", x._handle(), q, ALL_AXES if dim is None else dim,
                                   here()), x)


def median(x: Tensor, dim: Optional[int] = None) -> Tensor:
    return wrap(lib.tp_quantile_at(b"tp_median", x._handle(), 0.5, ALL_AXES if dim is None else dim,
                                   here()), x)


def searchsorted(rows: Tensor, values: Tensor, *, right: bool = False) -> Tensor:
    return wrap(lib.tp_searchsorted_at(rows._handle(), values._handle(), right, here()), values,
                None, False)


def bincount(x: Tensor, weights: Optional[Tensor] = None, minlength: int = 0) -> Tensor:
    size = int(np.maximum(x._array().max() + 1 if x.numel() else 0, minlength))
    from ._tensor import handle
    return wrap(lib.tp_bincount_at(x._handle(), handle(1 if weights is None else weights), size,
                                   here()), x if weights is None else weights, None,
                weights is not None)


def nonzero(x: Tensor, as_tuple: bool = False) -> Any:
    """How many there are is known only by looking, so this is not for compiled functions."""
    places = np.nonzero(x._array())
    if as_tuple:
        return tuple(Tensor(p) for p in places)
    return Tensor(np.stack(places, 1) if places else np.zeros((0, 0), np.int64))


def unique(x: Tensor) -> Tensor:
    return Tensor(np.unique(x._array()))


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    return wrap(lib.tp_gather_at(x._handle(), dim, index._handle(), here()), x)


def attach(cls: Any) -> None:
    for name in """sum mean prod amax amin argmax argmin max min all any var std logsumexp norm
            count_nonzero softmax log_softmax cumsum cumprod sort argsort topk kthvalue quantile
            median nonzero unique gather bincount logcumsumexp""".split():
        setattr(cls, name, globals()[name])
