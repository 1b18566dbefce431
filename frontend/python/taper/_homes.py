"""Where a tensor lives besides: states of graphs whose programs read and train it.

Each holder has the version of the numbers that it holds, so they are copied when they differ and at
no other time.
"""

from __future__ import annotations

from typing import Any, List

import numpy as np

from ._core import CTensor, Error, Graph, here, shape_of
from ._library import lib
from ._tensor import Tensor

T = lib.types


def unique(graph: Graph, name: str) -> str:
    names = graph.__dict__.setdefault("names", {})
    count = names.get(name, 0)
    names[name] = count + 1
    return name if count == 0 else f"{name}~{count}"


def state_in(graph: Graph, t: Tensor) -> List[Any]:
    """[its state in the graph, the version there], with the newest numbers."""
    if t._homes is None:
        t._homes = {}
    entry = t._homes.get(graph)
    if entry is None:
        from .nn.module import path_of
        name = unique(graph, path_of(t)[:150]).encode()
        shape = shape_of(tuple(t.shape))
        trained = bool(t._leafy and t._rg == 1)
        if t.dtype.kind == "f":
            args = T.tp_param_args(init=T.tp_init(1, 0, 0), dtype=t.dtype.code, frozen=not trained)
            c = lib.tp_param_at(graph.c, name, shape, args, here())
        else:
            c = lib.tp_state_at(graph.c, name, t.dtype.code, shape, T.tp_init(1, 0, 0), here())
        graph.check()
        entry = t._homes[graph] = [c, -1, (graph, c), name]
    if entry[1] != t._version:
        push(t, entry)
    return entry


def push(t: Tensor, entry: List[Any]) -> None:
    array = np.ascontiguousarray(t._array())
    if not lib.tp_set_values(entry[0], array.ctypes.data, array.nbytes):
        entry[2][0].check()
    entry[1] = t._version


def trained(t: Tensor, entry: List[Any]) -> None:
    """A program has changed the state: the newest numbers are there."""
    if t._home is not entry[2]:
        t.shape, t.dtype
        t._home, t._c, t._np = entry[2], None, None
        t._version += 1
        entry[1] = t._version
