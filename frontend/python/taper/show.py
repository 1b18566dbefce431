"""How a tensor is written: as NumPy writes arrays, with what matters beside."""

from __future__ import annotations

from typing import Any

import numpy as np


def text_of(t: Any) -> str:
    if t._t is not None:
        return f"tensor(<traced>, shape={tuple(t.shape)}, dtype={t.dtype!r})"
    more = []
    if t.dtype.name not in ("float32", "int64", "bool"):
        more.append(f"dtype={t.dtype!r}")
    if t._fn:
        more.append("grad_fn=<taper>")
    elif t._rg:
        more.append("requires_grad=True")
    array = t.__array__()
    if array.size == 0:
        more.insert(0, f"size={tuple(t.shape)}")
    begin = "Parameter containing:\ntensor(" if type(t).__name__ == "Parameter" else "tensor("
    with np.printoptions(precision=4, suppress=False, threshold=1000, edgeitems=3):
        body = np.array2string(array, separator=", ", prefix="tensor(")
    return begin + ", ".join([body] + more) + ")"
