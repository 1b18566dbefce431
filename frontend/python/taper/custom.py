"""A Python function of NumPy arrays as an operation of a compiled step."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, List, Optional, Sequence

import numpy as np

from ._core import CList, CTensor, here, shape_of
from ._dtype import ALL
from ._library import lib
from ._tensor import Tensor, as_tensor, wrap

_Array = lib.types.tp_array
_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Array),
                             ctypes.POINTER(_Array))
_kept: List[Any] = []  # programs call them as long as they live


def _view(a: Any) -> np.ndarray:
    kind = ALL[a.dtype - 1].numpy
    shape = [a.dim[i] for i in range(a.rank)]
    strides = [a.pitch[i] * kind.itemsize for i in range(a.rank)]
    reach = sum(s * max(n - 1, 0) for s, n in zip(strides, shape)) + kind.itemsize
    memory = (ctypes.c_char * reach).from_address(a.data)
    return np.ndarray(shape, kind, memory, strides=strides)


def _callback(function: Callable[..., Any], inputs: int) -> Any:
    """What is raised is printed, and the result is nothing: NaN."""

    def call(_user: Any, by: int, arrays: Any, out: Any) -> None:
        result = _view(out[0])
        result.fill(np.nan if result.dtype.kind == "f" else 0)
        given = [_view(arrays[i]) for i in range(inputs + (2 if by >= 0 else 0))]
        result[...] = function(by, *given) if by >= 0 else function(*given)

    kept = _Callback(call)
    _kept.append(kept)
    return ctypes.cast(kept, ctypes.c_void_p)


def custom(name: str, function: Callable[..., Any], inputs: Sequence[Any], shape: Sequence[int],
           dtype: Any = None, backward: Optional[Callable[..., Any]] = None) -> Tensor:
    """function(*arrays) gives the result, of this shape (and the first input's type);
    backward(by, *arrays, y, dy) the gradient by floating input number `by`. Both must be pure."""
    tensors = [as_tensor(t) for t in inputs]
    handles = CList(len(tensors), (CTensor * len(tensors))(*[t._handle() for t in tensors]))
    args = lib.types.tp_custom_args(
        function=_callback(function, len(tensors)),
        backward=_callback(backward, len(tensors)) if backward else None)
    code = (dtype or tensors[0].dtype).code
    made = lib.tp_custom_at(name.encode(), handles, code, shape_of(list(shape)), args, here())
    return wrap(made, tensors[0], None, backward is not None, tensors[1:])
