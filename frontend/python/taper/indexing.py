"""x[..] and x[..] = y: Python's slices, None, Ellipsis, integers, masks and arrays of integers.

Slices are views of the library. An array of integers picks along an axis; what else NumPy allows is
said by the places that NumPy itself would pick, of the tensor's elements in their order.
"""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np

from . import _dtype as dt
from ._core import here
from ._library import lib
from .moves import index_select
from .ops import where
from ._tensor import Tensor, as_tensor, in_place_is_good, wrap

Basic = (int, slice, type(None), type(Ellipsis), np.integer)


def _text(x: Tensor, key: Tuple[Any, ...]) -> str:
    """As tp_pick reads it; integers are checked here, for Python ends loops by IndexError."""
    words: List[str] = []
    axis, rest = 0, x.ndim - sum(k is not None and k is not Ellipsis for k in key)
    if rest < 0:
        raise IndexError(f"{len(key)} indices for a tensor of {x.ndim} dimensions")
    for k in key:
        if k is None:
            words.append("None")
        elif k is Ellipsis:
            words.append("...")
            axis += rest
        elif isinstance(k, slice):
            extent = x.shape[axis]
            start, stop, step = k.indices(extent)
            if step > 0:
                words.append(f"{min(start, extent)}:{max(stop, start)}:{step}")
            else:
                words.append(f"{start if start >= 0 else ''}:{stop if stop >= 0 else ''}:{step}"
                             if start > stop else "0:0:1")
            axis += 1
        else:
            extent = x.shape[axis]
            if not -extent <= int(k) < extent:
                raise IndexError(f"index {int(k)} of axis {axis}, which has {extent}")
            words.append(str(int(k) % extent))
            axis += 1
    return ", ".join(words)


def _plain(k: Any) -> Any:
    if isinstance(k, (list, np.ndarray)):
        return Tensor(np.asarray(k, np.int64 if len(k) == 0 else None))
    if isinstance(k, range):
        return Tensor(np.arange(k.start, k.stop, k.step))
    if isinstance(k, Tensor) and k.ndim == 0 and k.dtype.kind == "i" and k._t is None:
        return int(k.item())
    return k


def _key(key: Any) -> Tuple[Any, ...]:
    if isinstance(key, list) and any(isinstance(k, (slice, type(None))) for k in key):
        key = tuple(key)
    return tuple(_plain(k) for k in (key if isinstance(key, tuple) else (key,)))


def _numpy_key(key: Tuple[Any, ...]) -> Tuple[Any, ...]:
    return tuple(k._array() if isinstance(k, Tensor) else k for k in key)


def _places(x: Tensor, key: Tuple[Any, ...]) -> np.ndarray:
    flat = np.arange(x.numel(), dtype=np.int64).reshape(tuple(x.shape))
    return flat[_numpy_key(key)]


def _rising(index: Tensor, extent: int) -> Tensor:
    """Indices from 0 on."""
    if index._t is None:
        array = index._array()
        if array.size and (array.min() < -extent or array.max() >= extent):
            raise IndexError(f"index {int(array.max())} of an axis of {extent}")
        return index if not array.size or array.min() >= 0 else Tensor(array % extent)
    return index  # a traced one is taken as it is


def getitem(x: Tensor, key: Any) -> Tensor:
    key = _key(key)
    if all(isinstance(k, Basic) and not isinstance(k, bool) for k in key):
        return wrap(lib.tp_pick_at(x._handle(), _text(x, key).encode(), here()), x)
    if len(key) == 1 and isinstance(key[0], Tensor) and key[0].dtype.kind == "i":
        return index_select(x, 0, _rising(key[0], x.shape[0]))
    lead = [k for k in key if isinstance(k, Tensor) and k.dtype.kind == "i"]
    if len(lead) == len(key) and len(lead) <= x.ndim:  # x[i, j]: of the first axes made one
        flat = lead[0].long()
        flat = _rising(flat, x.shape[0])
        for k, extent in zip(lead[1:], x.shape[1:]):
            flat = flat * extent + _rising(k.long(), extent)
        extents = x.shape[len(lead):]
        return index_select(x.reshape(-1, *extents), 0, flat)
    if len(lead) == 1 and all(isinstance(k, slice) and k == slice(None) or k is lead[0]
                              for k in key):
        axis = [k is lead[0] for k in key].index(True)
        return index_select(x, axis, _rising(lead[0], x.shape[axis]))
    return index_select(x.reshape(-1), 0, Tensor(_places(x, key)))


def setitem(x: Tensor, key: Any, value: Any) -> None:
    in_place_is_good(x)
    if isinstance(key, Tensor) and key.dtype is dt.bool_ and tuple(key.shape) == tuple(x.shape) \
            and as_tensor(value).numel() == 1:
        x._assign(where(key, as_tensor(value).reshape(()).to(x.dtype), x))
        return
    places = _places(x, _key(key))
    value = as_tensor(value, x.dtype)
    from .moves import scatter
    spread = value.expand(*places.shape).reshape(-1) if places.shape else value.reshape(1)
    changed = scatter(x.reshape(-1), 0, Tensor(places.reshape(-1)), spread)
    x._assign(changed.reshape(*x.shape) if x.ndim else changed.reshape(()))


def attach(cls: Any) -> None:
    cls.__getitem__ = getitem
    cls.__setitem__ = setitem
