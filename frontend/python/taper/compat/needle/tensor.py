"""needle's Tensor: a tensor of taper's that requires a gradient unless told otherwise.

Backward sets gradients, which are part of the graph: they can be derived again. numpy() needs no
detach(), and what realize_cached_data() of a leaf gives may be written to.
"""

from __future__ import annotations

from typing import Any, List, Optional, Tuple

import numpy as np

from ... import _dtype as dt
from ..._core import S
from ..._tensor import LEAVES, Tensor as Base, _set_up
from ...autograd import depends, vjp_of
from ...nn import Parameter as _Parameter


class Device:
    """There is one."""

    def enabled(self) -> bool:
        return True

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Device)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "needle.cpu()"


def cpu() -> Device:
    return Device()


default_device = cpu


def all_devices() -> List[Device]:
    return [cpu()]


class Tensor(Base):
    """Of arrays, in their own floating type; of lists and integers, in float32."""

    op: Any = None
    _lent: Optional[Tuple[np.ndarray, np.ndarray]] = None  # what may be written to, what it was

    def __init__(self, array: Any = (), *, device: Any = None, dtype: Any = None,
                 requires_grad: bool = True) -> None:
        data = array._array() if isinstance(array, Base) else np.asarray(array)
        if dtype is not None:
            kind = dt.as_dtype(dtype).numpy
        elif data.dtype.kind != "f" and requires_grad or not isinstance(array, (Base, np.ndarray)):
            kind = np.dtype(np.float32)
        else:
            kind = data.dtype
        _set_up(self, np.array(data, kind, order="C"))
        if requires_grad and self.dtype.kind == "f":
            self.requires_grad_()

    @property
    def inputs(self) -> List[Base]:
        return list(self.__dict__.get("inputs", ()))

    @inputs.setter
    def inputs(self, value: List[Base]) -> None:
        self.__dict__["inputs"] = value

    @property
    def device(self) -> Any:
        return cpu()

    def is_leaf(self) -> bool:  # type: ignore[override]
        return not self._fn

    def detach(self) -> "Tensor":
        t = Tensor.__new__(Tensor)
        _set_up(t, super().detach()._array())
        return t

    @property  # type: ignore[override]
    def data(self) -> "Tensor":
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        self._lent = None
        self._assign(value.detach() if isinstance(value, Tensor) else Tensor(value).detach())

    @staticmethod
    def make_const(data: Any, requires_grad: bool = False) -> "Tensor":
        return Tensor(data, requires_grad=requires_grad)

    def numpy(self) -> np.ndarray:
        return self.realize_cached_data().copy()

    def realize_cached_data(self) -> np.ndarray:
        if self._fn or S.trace is not None:
            return self._array()
        if self._lent is None:
            array = self._array().copy()
            self._lent = array, array.copy()
        return self._lent[0]

    cached_data = property(realize_cached_data)

    def _handle(self) -> Any:
        if self._lent is not None and not self._fn and S.trace is None:
            lent, was = self._lent
            if not np.array_equal(lent, was, equal_nan=True):
                was[...] = lent
                self._np, self._c, self._home = lent.copy(), None, None
        return super()._handle()

    def backward(self, out_grad: Any = None, *_: Any, **__: Any) -> None:  # type: ignore[override]
        if S.trace is not None:
            S.trace.backward(self, out_grad)
            return
        if out_grad is None:
            out_grad = Tensor(np.ones(tuple(self.shape), self.dtype.numpy), requires_grad=False)
        leaves = []
        for weak in LEAVES:
            t = weak()
            if t is not None and t._rg and t._c is not None and t._home is None and t._t is None:
                leaves.append(t)
        leaves = [t for t, used in zip(leaves, depends(self, leaves)) if used]
        for t, g in zip(leaves, vjp_of(self, out_grad, leaves, True)):
            t.grad = g
        LEAVES[:] = [weak for weak in LEAVES if weak() is not None]


Tensor._results = Tensor


class Parameter(Tensor, _Parameter):  # type: ignore[misc]
    """A tensor that a module trains."""

    def __init__(self, data: Any = (), requires_grad: bool = True, **names: Any) -> None:
        Tensor.__init__(self, data, requires_grad=requires_grad, **names)
