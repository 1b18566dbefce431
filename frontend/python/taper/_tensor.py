"""Tensor: numbers that remember what they were made of.

A tensor has its numbers in one of three places: a NumPy array that no operation has read yet, a
node of the eager tape, or (parameters that a program has trained) a state of that program's graph,
from where they are fetched when somebody looks.
"""

from __future__ import annotations

import ctypes
from typing import Any, Dict, List, Optional, Tuple
from weakref import ref

import numpy as np

from . import _dtype as dt
from ._core import ALL_AXES, CTensor, Error, S, here, number, shape_of, sweep, swept_if_long
from ._library import lib


class Tensor:
    """Data, and its gradient once `backward` has come by."""

    __slots__ = ("_c", "_np", "_rg", "_fn", "_t", "_dt", "_sh", "_stop", "_home", "_homes",
                 "_version", "_keeps", "_hooks", "_name", "_owner", "_leafy", "grad",
                 "__weakref__", "__dict__")
    __array_priority__ = 1000
    _results: Any

    def __init__(self, data: Any = (), dtype: Any = None, requires_grad: bool = False) -> None:
        array = to_numpy(data, dtype)
        _set_up(self, array)
        if dtype is not None and dt.as_dtype(dtype).name == "bfloat16":
            self._dt = dt.bfloat16
        if requires_grad:
            self.requires_grad_()

    # --- questions --------------------------------------------------------------------------------

    @property
    def shape(self) -> Tuple[int, ...]:
        if self._sh is None:
            s = lib.tp_shape_of(self._c)
            self._sh = tuple(s.dim[:s.rank])
        return Size(self._sh)

    @property
    def dtype(self) -> dt.dtype:
        if self._dt is None:
            self._dt = dt.BY_CODE[lib.tp_dtype_of(self._c)]
        return self._dt

    @property
    def ndim(self) -> int:
        return len(self.shape)

    dim = ndimension = lambda self: len(self.shape)  # noqa: E731

    def size(self, axis: Optional[int] = None) -> Any:
        return self.shape if axis is None else self.shape[axis]

    def numel(self) -> int:
        n = 1
        for d in self.shape:
            n *= d
        return n

    nelement = numel

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def is_leaf(self) -> bool:
        return not self._fn

    @property
    def grad_fn(self) -> Optional[str]:
        """None of a leaf; which operation made it the tape alone knows."""
        return "<taper>" if self._fn else None

    def is_floating_point(self) -> bool:
        return self.dtype.kind == "f"

    def is_contiguous(self) -> bool:
        return True

    def element_size(self) -> int:
        return self.dtype.numpy.itemsize

    @property
    def nbytes(self) -> int:
        return self.numel() * self.element_size()

    @property
    def requires_grad(self) -> bool:
        return bool(self._rg)

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self, wanted: bool = True) -> "Tensor":
        if wanted and self.dtype.kind != "f":
            raise Error("only tensors of floating types can require gradients")
        if self._fn:
            if wanted:
                return self
            raise Error("requires_grad of what was computed cannot be taken away; use detach()")
        self._rg = 1 if wanted else 0
        if wanted and not self._leafy:
            self._leafy = True
            LEAVES.append(ref(self))
        return self

    def retain_grad(self) -> None:
        if self._fn and not self._keeps:
            self._keeps = True
            LEAVES.append(ref(self))

    # --- numbers ----------------------------------------------------------------------------------

    def _handle(self) -> Any:
        """The node that stands for it where operations are recorded now."""
        if S.trace is not None:
            return S.trace.handle(self)
        if self._t is not None:
            raise Error("a tensor of a function that was being compiled is used outside of it; "
                        "expected that the function returns it")
        if self._home is not None:
            self._fetch()
        if self._c is None:
            self._enter()
        elif self._stop and S.grad:
            self._c = lib.tp_unary_at(b"stop_gradient", self._c, here())
            self._stop = False
        return self._c

    def _enter(self) -> None:
        array = np.ascontiguousarray(self._np).reshape(self._np.shape)
        c = lib.tp_array_at(S.graph.c, self.dtype.code, shape_of(array.shape),
                            array.ctypes.data, here())
        if not c.id:
            fail()
        self._c = c
        S.held.append(ref(self))

    def _fetch(self) -> None:
        """From the graph whose program wrote it last."""
        graph, state = self._home[0], self._home[1]
        array = np.empty(self.shape, self.dtype.numpy)
        lib.tp_get_values(state, array.ctypes.data, array.nbytes)
        graph.check()
        self._np, self._c, self._home = array, None, None

    def _array(self) -> np.ndarray:
        """The numbers, not to be written to."""
        if self._home is not None:
            self._fetch()
        if self._np is None:
            if self._t is not None:
                raise Error("a tensor of a function that is being compiled has no numbers yet; "
                            "expected that the function returns it, or where() in place of if")
            size = ctypes.c_size_t()
            data = lib.tp_values(self._c, ctypes.byref(size))
            if not data:
                fail()
            flat = np.empty(self.shape, self.dtype.numpy)
            ctypes.memmove(flat.ctypes.data, data, flat.nbytes)
            self._np = flat
        return self._np

    def numpy(self) -> np.ndarray:
        if self._rg and S.grad:
            raise Error("numpy() of a tensor that requires a gradient; use detach().numpy()")
        array = self._array()
        return from_bfloat(array) if self.dtype.name == "bfloat16" else array.copy()

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        array = self._array()
        array = from_bfloat(array) if self.dtype.name == "bfloat16" else array.copy()
        return array if dtype is None else array.astype(dtype)

    def item(self) -> Any:
        if self.numel() != 1:
            raise Error(f"item() of {self.numel()} elements; expected one")
        array = self._array()
        if self.dtype.name == "bfloat16":
            array = from_bfloat(array)
        return array.reshape(()).item()

    def tolist(self) -> Any:
        return self.__array__().tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind == "f":
            raise TypeError("an index is an integer")
        return int(self.item())

    def __bool__(self) -> bool:
        if self.numel() != 1:
            raise Error("the truth of a tensor of several elements; expected all() or any()")
        return bool(self.item())

    def detach(self) -> "Tensor":
        if S.trace is not None:
            return unary("stop_gradient", self, False)
        t = blank()
        if self._home is not None:
            self._fetch()
        _set_up(t, self._array())
        t._dt = self.dtype
        return t

    @property
    def data(self) -> "Tensor":
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        self._assign(as_tensor(value).detach())

    def _assign(self, new: "Tensor") -> None:
        """The numbers become those of another tensor: what was computed keeps what it read."""
        if tuple(new.shape) != tuple(self.shape) and not self._fn and self._homes:
            raise Error(f"a parameter of shape {tuple(self.shape)} cannot take {tuple(new.shape)}")
        self._version += 1
        if S.trace is not None:
            S.trace.assign(self, new)
            return
        self._home = None
        self._np, self._sh, self._dt = new._np, new._sh, new._dt
        self._c, self._stop = None, False
        if new._c is not None:
            if new._fn or new._np is None:
                self._c = CTensor(new._c.g, CTensor._Value(id=new._c.id))
                S.held.append(ref(self))
            self._stop = new._stop
        if not self._leafy or new._fn:
            self._fn = new._fn
            self._rg = self._rg if self._leafy else new._rg

    def copy_(self, source: Any) -> "Tensor":
        source = as_tensor(source)
        in_place_is_good(self)
        if source.dtype != self.dtype:
            source = source.to(self.dtype)
        if tuple(source.shape) != tuple(self.shape):
            source = source.expand(*self.shape)
        self._assign(source if source._fn else source.detach())
        return self

    def backward(self, gradient: Any = None, retain_graph: Optional[bool] = None,
                 create_graph: bool = False) -> None:
        from .autograd import backward
        backward(self, gradient, bool(retain_graph), create_graph)

    def register_hook(self, hook: Any) -> None:
        self._hooks = (self._hooks or []) + [hook]

    def zero_(self) -> "Tensor":
        return self.fill_(0)

    def fill_(self, value: float) -> "Tensor":
        in_place_is_good(self)
        self._assign(Tensor(np.full(self.shape, value, self.dtype.numpy)))
        return self

    def __repr__(self) -> str:
        from .show import text_of
        return text_of(self)

    def __hash__(self) -> int:
        return id(self)

    def __deepcopy__(self, memo: Any) -> "Tensor":
        t = type(self).__new__(type(self))
        _set_up(t, self._array().copy())
        t._dt = self.dtype
        t._name = self._name
        if self._rg and not self._fn:
            t.requires_grad_()
        memo[id(self)] = t
        return t

    def __reduce__(self) -> Any:
        return (_again, (type(self), self._array(), self.dtype.name, bool(self._rg)))

    def __dlpack__(self, stream: Any = None, **_: Any) -> Any:
        if self.dtype.name == "bfloat16":  # NumPy would call its bits integers
            raise BufferError("a bfloat16 tensor is not handed out by DLPack; expected float()")
        return self._array().copy().__dlpack__()

    def __dlpack_device__(self) -> Tuple[int, int]:
        return (1, 0)

    def __iter__(self) -> Any:
        return iter([self[i] for i in range(len(self))])


class Size(tuple):
    """A shape, with PyTorch's numel()."""

    def numel(self) -> int:
        n = 1
        for d in self:
            n *= d
        return n

    def __repr__(self) -> str:
        return f"taper.Size({list(self)})"


Tensor._results = Tensor  # the class of what is computed from it: an adapter's, or this one

LEAVES: List["ref[Tensor]"] = []


def _again(kind: Any, array: np.ndarray, name: str, requires_grad: bool) -> Tensor:
    t = kind.__new__(kind)
    _set_up(t, array)
    t._dt = dt.BY_NAME[name]
    return t.requires_grad_() if requires_grad else t


def _set_up(t: Tensor, array: Optional[np.ndarray]) -> None:
    t._c = t._dt = t._sh = t._t = t._home = t._homes = t.grad = None
    t._name = t._owner = t._hooks = None
    t._np = array
    t._rg = t._version = 0
    t._fn = t._stop = t._keeps = t._leafy = False
    if array is not None:
        t._sh = array.shape
        t._dt = dt.BY_NUMPY[array.dtype]


def blank() -> Tensor:
    return Tensor.__new__(Tensor)


def to_numpy(data: Any, dtype: Any = None) -> np.ndarray:
    """Numbers by PyTorch's rules: Python's floats are float32, its integers int64. A copy."""
    wanted = None if dtype is None else dt.as_dtype(dtype)
    if isinstance(data, Tensor):
        array = data._array()
        kind = data.dtype
    elif isinstance(data, np.ndarray) or np.isscalar(data) and isinstance(data, np.generic):
        array = np.asarray(data)
        kind = dt.as_dtype(array.dtype)
    else:
        if isinstance(data, (list, tuple)) and any(isinstance(x, Tensor) for x in data):
            data = [x._array() if isinstance(x, Tensor) else x for x in data]
            array = np.asarray(data)
        else:
            array = np.asarray(data)
            if array.dtype == np.float64 and wanted is None:
                array = array.astype(np.float32)
        if array.dtype == object:
            raise Error("numbers in rows of different lengths, or no numbers")
        kind = dt.as_dtype(array.dtype)
    wanted = wanted or kind
    if wanted.name == "bfloat16" and kind.name != "bfloat16":
        return to_bfloat(array)
    if kind.name == "bfloat16" and wanted.name != "bfloat16":
        array = from_bfloat(array)
    return np.array(array, dtype=wanted.numpy, order="C")


def to_bfloat(array: np.ndarray) -> np.ndarray:
    """Bits, rounded to nearest even; no NaN becomes a number."""
    whole = np.ascontiguousarray(array, np.float32)
    bits = whole.view(np.uint32).astype(np.uint64)
    near = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    near = np.where(np.isnan(whole), bits >> 16 | 0x40, near)
    return near.astype(np.uint16).reshape(np.shape(array))


def from_bfloat(array: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(array).astype(np.uint32) << 16
    return bits.view(np.float32).reshape(np.shape(array))


def as_tensor(data: Any, dtype: Any = None, like: Optional[Tensor] = None) -> Tensor:
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype == dt.as_dtype(dtype) else data.to(dtype)
    return Tensor(data, dtype)


def in_place_is_good(t: Tensor) -> None:
    if t._rg and not t._fn and S.grad:
        raise Error("a leaf that requires a gradient is changed in place; expected that it is "
                    "done under no_grad()")


def fail() -> None:
    graph = S.trace.graph if S.trace is not None else S.graph
    graph.check()
    raise Error("taper: an operation gave no result")


def wrap(c: Any, a: Tensor, b: Optional[Tensor] = None, diff: bool = True,
         more: Any = (), settle: bool = True) -> Tensor:
    """The result of an operation on a, b and more as a tensor."""
    if not c.id:
        fail()
    made = a._results if b is None or a._results is not Tensor else b._results
    t: Tensor = made.__new__(made)
    t._c = c
    t._np = t._dt = t._sh = t._home = t._homes = t.grad = t._name = t._owner = t._hooks = None
    t._version = 0
    t._keeps = t._leafy = False
    rg = a._rg
    if b is not None:
        rg |= b._rg
    for x in more:
        rg |= x._rg
    if rg and not (diff and S.grad):
        t._rg, t._fn, t._stop = 0, False, diff
    else:
        t._rg, t._fn, t._stop = rg, rg != 0, False
    trace = S.trace
    t._t = trace
    if trace is None:
        S.held.append(ref(t))
        S.since += 1
        if settle and S.since > 48:
            swept_if_long()
    return t


def unary(op: str, x: Tensor, diff: bool = True) -> Tensor:
    t = wrap(lib.tp_unary_at(op.encode(), x._handle(), here()), x, None, diff)
    t._sh = x._sh
    return t


def cast(x: Tensor, to: dt.dtype) -> Tensor:
    if x.dtype is to:
        return x
    t = wrap(lib.tp_cast_at(x._handle(), to.code, here()), x, None, to.kind == "f")
    t._dt, t._sh = to, x._sh
    return t


def pair(a: Any, b: Any, what: str = "") -> Tuple[Any, Any]:
    """Two arguments of one type; a Python number stays one where its type allows."""
    if isinstance(a, Tensor):
        if isinstance(b, Tensor):
            if a.dtype is not b.dtype:
                if a.ndim == 0 and b.ndim and a.dtype.kind == b.dtype.kind:
                    to = b.dtype
                elif b.ndim == 0 and a.ndim and a.dtype.kind == b.dtype.kind:
                    to = a.dtype
                else:
                    to = dt.promote(a.dtype, b.dtype)
                a, b = cast(a, to), cast(b, to)
            return a, b
        if isinstance(b, (bool, int, float)) or np.isscalar(b):
            return fitted(a, b), b
        return pair(a, as_tensor(b))
    if isinstance(b, Tensor):
        b, a = pair(b, a)
        return a, b
    return pair(as_tensor(a), b)


def fitted(a: Tensor, value: Any) -> Tensor:
    """`a` in the type that it and a Python number have together."""
    kind = a.dtype.kind
    if kind == "f":
        return a
    if isinstance(value, (float, np.floating)):
        return cast(a, dt.float32)
    if kind == "b" and not isinstance(value, (bool, np.bool_)):
        return cast(a, dt.int64)
    return a


TRUTH = {"mul": "and", "add": "or", "max": "or", "min": "and", "sub": ""}  # of truth values


def binary(op: str, a: Any, b: Any, diff: bool = True) -> Tensor:
    a, b = pair(a, b)
    if op in TRUTH and (a if isinstance(a, Tensor) else b).dtype is dt.bool_:
        op = TRUTH[op]
        if not op:
            return binary("sub", as_tensor(a).to(dt.int64), as_tensor(b).to(dt.int64))
    if isinstance(a, Tensor):
        ha = a._handle()
        hb = b._handle() if isinstance(b, Tensor) else number(float(b))
        first, second = a, b if isinstance(b, Tensor) else None
    else:
        ha, hb = number(float(a)), b._handle()
        first, second = b, None
    return wrap(lib.tp_binary_at(op.encode(), ha, hb, here()), first, second, diff)


def handle(x: Any) -> Any:
    return x._handle() if isinstance(x, Tensor) else number(float(x))
