"""The same elements in another place: reshaping, joining, padding, scattering."""

from __future__ import annotations

import ctypes
from typing import Any, List, Optional, Sequence, Tuple

from ._core import ALL_AXES, CList, CTensor, Error, here, packed_axes, shape_of
from ._library import lib
from .reduce import axis_of
from ._tensor import Tensor, as_tensor, fail, handle, pair, wrap


def dims_of(dims: Sequence[Any]) -> Tuple[int, ...]:
    """(2, 3), or ((2, 3),) as PyTorch allows both."""
    if len(dims) == 1 and isinstance(dims[0], (tuple, list)):
        dims = dims[0]
    return tuple(int(d) for d in dims)


def reshape(x: Tensor, *dims: Any) -> Tensor:
    return wrap(lib.tp_reshape_at(x._handle(), shape_of(dims_of(dims)), here()), x)


view = reshape


def view_as(x: Tensor, other: Tensor) -> Tensor:
    return reshape(x, *other.shape)


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    if x.ndim == 0:
        return reshape(x, 1)
    first, last = axis_of(x, start_dim), axis_of(x, end_dim)
    if first == last:
        return x
    shape = x.shape
    return reshape(x, *shape[:first], Sized(shape[first:last + 1]), *shape[last + 1:])


def Sized(dims: Sequence[int]) -> int:
    n = 1
    for d in dims:
        n *= d
    return n


ravel = flatten


def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    return wrap(lib.tp_unflatten_at(x._handle(), dim, shape_of(sizes), here()), x)


def squeeze(x: Tensor, dim: Any = None) -> Tensor:
    if dim is None:
        axes = ALL_AXES
    elif isinstance(dim, int):
        axes = axis_of(x, dim)
        if x.ndim == 0:
            return x
    else:
        axes = packed_axes([axis_of(x, d) for d in dim])
    return wrap(lib.tp_squeeze_at(x._handle(), axes, here()), x)


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    return wrap(lib.tp_unsqueeze_at(x._handle(), dim, here()), x)


def permute(x: Tensor, *dims: Any) -> Tensor:
    axes = dims_of(dims)
    return wrap(lib.tp_permute_at(x._handle(), shape_of([axis_of(x, a) for a in axes]), here()), x)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    return wrap(lib.tp_transpose_at(x._handle(), dim0, dim1, here()), x)


swapaxes = swapdims = transpose


def t(x: Tensor) -> Tensor:
    return x if x.ndim < 2 else transpose(x, 0, 1)


def movedim(x: Tensor, source: int, destination: int) -> Tensor:
    return wrap(lib.tp_movedim_at(x._handle(), source, destination, here()), x)


moveaxis = movedim


def expand(x: Tensor, *dims: Any) -> Tensor:
    wanted = list(dims_of(dims))
    more = len(wanted) - x.ndim
    for i, d in enumerate(wanted):
        if d == -1 and i >= more:
            wanted[i] = x.shape[i - more]
    return wrap(lib.tp_expand_at(x._handle(), shape_of(wanted), here()), x)


broadcast_to = expand


def expand_as(x: Tensor, other: Tensor) -> Tensor:
    return expand(x, *other.shape)


def repeat(x: Tensor, *times: Any) -> Tensor:
    times = dims_of(times)
    while x.ndim < len(times):
        x = unsqueeze(x, 0)
    return wrap(lib.tp_tile_at(x._handle(), shape_of(times), here()), x)


def tile(x: Tensor, *times: Any) -> Tensor:
    times = dims_of(times)
    return repeat(x, (1,) * (x.ndim - len(times)) + times)


def repeat_interleave(x: Tensor, repeats: int, dim: Optional[int] = None) -> Tensor:
    if dim is None:
        x, dim = reshape(x, -1), 0
    return wrap(lib.tp_repeat_interleave_at(x._handle(), repeats, dim, here()), x)


def flip(x: Tensor, *dims: Any) -> Tensor:
    return wrap(lib.tp_flip_at(x._handle(), shape_of(dims_of(dims)), here()), x)


def fliplr(x: Tensor) -> Tensor:
    return flip(x, 1)


def flipud(x: Tensor) -> Tensor:
    return flip(x, 0)


def diff(x: Tensor, n: int = 1, dim: int = -1) -> Tensor:
    """Each element less the one before it, n times."""
    for _ in range(n):
        length = x.shape[axis_of(x, dim)] - 1
        x = narrow(x, axis_of(x, dim), 1, length) - narrow(x, axis_of(x, dim), 0, length)
    return x


def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask is true, as a vector: its length depends on numbers, so this is
    not for compiled functions."""
    return x[mask.expand(*x.shape)]


def roll(x: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    if dims is None:
        return reshape(roll(reshape(x, -1), shifts, 0), *x.shape)
    if isinstance(dims, (tuple, list)):
        for s, d in zip(shifts, dims):
            x = roll(x, s, d)
        return x
    return wrap(lib.tp_roll_at(x._handle(), shifts, dims, here()), x)


def rot90(x: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    return wrap(lib.tp_rot90_at(x._handle(), k, dims[0], dims[1], here()), x)


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    return wrap(lib.tp_triangle_at(b"tp_tril", x._handle(), diagonal, here()), x)


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    return wrap(lib.tp_triangle_at(b"tp_triu", x._handle(), diagonal, here()), x)


def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    return wrap(lib.tp_diagonal_at(x._handle(), offset, dim1, dim2, here()), x)


def diag(x: Tensor, diagonal: int = 0) -> Tensor:
    return wrap(lib.tp_diag_at(x._handle(), diagonal, here()), x)


def trace(x: Tensor) -> Tensor:
    return wrap(lib.tp_trace_at(x._handle(), here()), x)


def narrow(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    return wrap(lib.tp_narrow_at(x._handle(), dim, start, length, here()), x)


def select(x: Tensor, dim: int, index: int) -> Tensor:
    return wrap(lib.tp_index_at(x._handle(), dim, index, here()), x)


# --- several --------------------------------------------------------------------------------------


def _list(tensors: Sequence[Any]) -> Tuple[List[Tensor], Any]:
    listed = [as_tensor(t) for t in tensors]
    if not listed:
        raise Error("no tensors to join")
    first = listed[0]
    for other in listed[1:]:
        first = pair(first, other)[0]
    listed = [t.to(first.dtype) for t in listed]
    return listed, CList(len(listed), (CTensor * len(listed))(*[t._handle() for t in listed]))


def cat(tensors: Sequence[Any], dim: int = 0, **names: Any) -> Tensor:
    listed, handles = _list([t for t in tensors if tuple(t.shape) != (0,)] or tensors)
    return wrap(lib.tp_concat_at(names.pop("axis", dim), handles, here()), listed[0], None, True,
                listed[1:])


concat = concatenate = cat


def stack(tensors: Sequence[Any], dim: int = 0, **names: Any) -> Tensor:
    listed, handles = _list(tensors)
    return wrap(lib.tp_stack_at(names.pop("axis", dim), handles, here()), listed[0], None, True,
                listed[1:])


def _parts(x: Tensor, out: Any, count: int) -> Tuple[Tensor, ...]:
    return tuple(wrap(CTensor(c.g, CTensor._Value(id=c.id)), x, settle=False) for c in out[:count])


def split(x: Tensor, sizes: Any, dim: int = 0) -> Tuple[Tensor, ...]:
    axis = axis_of(x, dim)
    if isinstance(sizes, int):
        extent = x.shape[axis]
        sizes = [min(sizes, extent - i) for i in range(0, extent, sizes)]
    return tuple(narrow(x, axis, sum(sizes[:i]), n) for i, n in enumerate(sizes))


def chunk(x: Tensor, chunks: int, dim: int = 0) -> Tuple[Tensor, ...]:
    extent = x.shape[axis_of(x, dim)]
    return split(x, -(-extent // chunks) if extent else 1, dim)


def unbind(x: Tensor, dim: int = 0) -> Tuple[Tensor, ...]:
    room = x.shape[axis_of(x, dim)]
    out = (CTensor * max(room, 1))()
    if lib.tp_unbind_at(x._handle(), axis_of(x, dim), room, out, here()) < room:
        fail()
    return _parts(x, out, room)


def meshgrid(*vectors: Any, indexing: str = "ij") -> Tuple[Tensor, ...]:
    listed, handles = _list(dims_or_list(vectors))
    out = (CTensor * len(listed))()
    if not lib.tp_meshgrid_at(handles, out, here()):
        fail()
    parts = _parts(listed[0], out, len(listed))
    return tuple(transpose(p, 0, 1) for p in parts) if indexing == "xy" else parts


def dims_or_list(items: Sequence[Any]) -> Sequence[Any]:
    return items[0] if len(items) == 1 and isinstance(items[0], (tuple, list)) else items


# --- by indices -----------------------------------------------------------------------------------


def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    return wrap(lib.tp_take_at(x._handle(), dim, as_tensor(index)._handle(), here()), x)


def take_along_dim(x: Tensor, index: Tensor, dim: int) -> Tensor:
    return wrap(lib.tp_gather_at(x._handle(), dim, index._handle(), here()), x)


def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    return wrap(lib.tp_index_add_at(x._handle(), dim, index._handle(), source._handle(), alpha,
                                    here()), x, source)


def index_copy(x: Tensor, dim: int, index: Tensor, source: Any) -> Tensor:
    source = as_tensor(source)
    return wrap(lib.tp_index_copy_at(x._handle(), dim, index._handle(), handle(source), here()),
                x, source)


def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    return wrap(lib.tp_scatter_add_at(x._handle(), dim, index._handle(), src._handle(), here()),
                x, src)


def scatter(x: Tensor, dim: int, index: Tensor, src: Any) -> Tensor:
    return wrap(lib.tp_scatter_at(b"set", x._handle(), dim, index._handle(), handle(src), here()),
                x, src if isinstance(src, Tensor) else None)


def scatter_reduce(x: Tensor, dim: int, index: Tensor, src: Any, reduce: str) -> Tensor:
    """reduce: sum, prod, amax or amin, with what is there"""
    if reduce == "sum":
        return scatter_add(x, dim, index, src)
    how = {"prod": b"mul", "amax": b"max", "amin": b"min"}.get(reduce, reduce.encode())
    return wrap(lib.tp_scatter_at(how, x._handle(), dim, index._handle(), handle(src), here()),
                x, src if isinstance(src, Tensor) else None)


def pad_axes(x: Tensor, lo: Sequence[int], hi: Sequence[int], value: float = 0,
             mode: str = "constant") -> Tensor:
    if mode == "constant":
        return wrap(lib.tp_pad_at(x._handle(), shape_of(lo), shape_of(hi), value, here()), x)
    return wrap(lib.tp_pad_mode_at(x._handle(), shape_of(lo), shape_of(hi), mode.encode(), here()),
                x)


def attach(cls: Any) -> None:
    for name in """reshape view view_as flatten ravel unflatten squeeze unsqueeze permute transpose
            swapaxes swapdims t movedim moveaxis diff masked_select fliplr flipud expand broadcast_to expand_as repeat tile repeat_interleave flip roll
            rot90 tril triu diagonal diag trace narrow select split chunk unbind index_select
            take_along_dim index_add index_copy scatter_add scatter
            scatter_reduce""".split():
        setattr(cls, name, globals()[name])
    cls.reshape_as = view_as
    cls.split_with_sizes = split
    cls.T = property(lambda self: permute(self, *range(self.ndim)[::-1]))
    cls.mT = property(lambda self: transpose(self, -1, -2))
