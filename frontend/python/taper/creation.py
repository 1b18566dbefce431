"""New tensors: from data, filled, in steps, by chance."""

from __future__ import annotations

import math
from typing import Any, Optional, Sequence

import numpy as np

from . import _dtype as dt
from ._core import S, here, on_cpu, shape_of
from ._library import lib
from .moves import dims_of, dims_or_list
from ._tensor import Tensor, as_tensor, wrap

_chance = np.random.Generator(np.random.Philox(0))
_seed = 0


def manual_seed(seed: int) -> None:
    """All that is drawn from now on follows from it."""
    global _chance, _seed
    _seed = int(seed)
    _chance = np.random.Generator(np.random.Philox(int(seed) & (1 << 64) - 1))


seed = manual_seed


def generator() -> np.random.Generator:
    return _chance


def initial_seed() -> int:
    return _seed


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A copy of numbers, lists of them, or an array."""
    on_cpu(device)
    return Tensor(data, dtype, requires_grad)


def asarray(data: Any, dtype: Any = None) -> Tensor:
    return as_tensor(data, dtype)


def from_numpy(array: np.ndarray) -> Tensor:
    return Tensor(array)


def from_dlpack(other: Any) -> Tensor:
    """Any array with __dlpack__: NumPy's, PyTorch's, JAX's on the CPU. A copy."""
    return Tensor(np.from_dlpack(other))


def _made(array: np.ndarray, requires_grad: bool = False) -> Tensor:
    return Tensor(array, None, requires_grad)


def _kind(dtype: Any, otherwise: dt.dtype = dt.float32) -> dt.dtype:
    return otherwise if dtype is None else dt.as_dtype(dtype)


def full(size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False,
         device: Any = None) -> Tensor:
    on_cpu(device)
    size = (size,) if isinstance(size, int) else tuple(size)
    given = dt.as_dtype(type(fill_value)) if isinstance(fill_value, (bool, int, float)) else None
    kind = _kind(dtype, given or dt.float32)
    return Tensor(np.full(size, fill_value, np.float32 if kind.name == "bfloat16" else kind.numpy),
                  kind, requires_grad)


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    return full(dims_of(size), 0, dtype=_kind(dtype), requires_grad=requires_grad,
                device=device)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    return full(dims_of(size), 1, dtype=_kind(dtype), requires_grad=requires_grad,
                device=device)


def empty(*size: Any, **names: Any) -> Tensor:
    return zeros(*size, **names)


def zeros_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return full(x.shape, 0, dtype=dtype or x.dtype, requires_grad=requires_grad)


def ones_like(x: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return full(x.shape, 1, dtype=dtype or x.dtype, requires_grad=requires_grad)


empty_like = zeros_like


def full_like(x: Tensor, fill_value: Any, *, dtype: Any = None) -> Tensor:
    return full(x.shape, fill_value, dtype=dtype or x.dtype)


def arange(start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None,
           requires_grad: bool = False, device: Any = None) -> Tensor:
    on_cpu(device)
    if end is None:
        start, end = 0, start
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    kind = _kind(dtype, dt.int64 if whole else dt.float32)
    return _made(np.arange(start, end, step).astype(kind.numpy), requires_grad)


def linspace(start: float, end: float, steps: int, *, dtype: Any = None) -> Tensor:
    return _made(np.linspace(start, end, steps).astype(_kind(dtype).numpy))


def logspace(start: float, end: float, steps: int, base: float = 10.0, *,
             dtype: Any = None) -> Tensor:
    return _made(np.logspace(start, end, steps, base=base).astype(_kind(dtype).numpy))


def eye(n: int, m: Optional[int] = None, *, dtype: Any = None) -> Tensor:
    return _made(np.eye(n, m, dtype=_kind(dtype).numpy))


def tri(n: int, m: Optional[int] = None, diagonal: int = 0) -> Tensor:
    return _made(np.tri(n, m, diagonal, dtype=np.float32))


# --- chance ---------------------------------------------------------------------------------------


def _drawn(size: Any, dtype: Any, requires_grad: bool, eager: Any, traced: Any) -> Tensor:
    """In a function that is compiled a draw is new at each run."""
    kind = _kind(dtype)
    if S.trace is not None:
        return S.trace.drawn(traced(S.trace.graph.c, kind.code, shape_of(size)))
    return Tensor(np.asarray(eager(size)).astype(kind.numpy), kind, requires_grad)


def rand(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None,
         generator: Any = None) -> Tensor:
    on_cpu(device)
    return _drawn(dims_of(size), dtype, requires_grad, _chance.random,
                  lambda g, k, s: lib.tp_rand_at(g, k, s, here()))


def randn(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None,
          generator: Any = None) -> Tensor:
    on_cpu(device)
    return _drawn(dims_of(size), dtype, requires_grad, _chance.standard_normal,
                  lambda g, k, s: lib.tp_randn_at(g, k, s, here()))


def rand_like(x: Tensor) -> Tensor:
    return rand(x.shape, dtype=x.dtype)


def randn_like(x: Tensor) -> Tensor:
    return randn(x.shape, dtype=x.dtype)


def randint(low: int, high: Any = None, size: Any = None, *, dtype: Any = None,
            generator: Any = None) -> Tensor:
    if size is None:
        low, high, size = 0, low, high
    if S.trace is not None:
        kind = _kind(dtype, dt.int64)
        return S.trace.drawn(lib.tp_randint_at(S.trace.graph.c, kind.code, shape_of(tuple(size)),
                                               low, high, here()))
    return _made(_chance.integers(low, high, tuple(size)).astype(_kind(dtype, dt.int64).numpy))


def randperm(n: int, *, dtype: Any = None, device: Any = None, generator: Any = None) -> Tensor:
    on_cpu(device)
    return _made(_chance.permutation(n).astype(_kind(dtype, dt.int64).numpy))


def normal(mean: float = 0.0, std: float = 1.0, size: Any = ()) -> Tensor:
    return randn(*size) * std + mean


def bernoulli(p: Tensor) -> Tensor:
    return (rand(p.shape, dtype=p.dtype) < p).to(p.dtype)


def multinomial(p: Tensor, num_samples: int, replacement: bool = False) -> Tensor:
    rows = np.atleast_2d(p._array()).astype(np.float64)
    drawn = [_chance.choice(row.size, num_samples, replacement, row / row.sum()) for row in rows]
    return _made(np.asarray(drawn).reshape(tuple(p.shape[:-1]) + (num_samples,)))


def attach(cls: Any) -> None:
    cls.new_zeros = lambda self, *size, **k: zeros(*size, **{"dtype": self.dtype, **k})
    cls.new_ones = lambda self, *size, **k: ones(*size, **{"dtype": self.dtype, **k})
    cls.new_full = lambda self, size, v, **k: full(size, v, **{"dtype": self.dtype, **k})
    cls.new_tensor = lambda self, data, **k: tensor(data, k.get("dtype", self.dtype))
    for name, draw in (("normal_", lambda c, s, mean=0.0, std=1.0: c.normal(mean, std, s)),
                       ("uniform_", lambda c, s, a=0.0, b=1.0: c.uniform(a, b, s)),
                       ("random_", lambda c, s, n=2: c.integers(0, n, s)),
                       ("exponential_", lambda c, s, r=1.0: c.exponential(1 / r, s))):
        def fill(self: Tensor, *args: Any, _draw: Any = draw, **names: Any) -> Tensor:
            from ._tensor import in_place_is_good
            in_place_is_good(self)
            self._assign(Tensor(_draw(_chance, tuple(self.shape), *args, **names), self.dtype))
            return self
        setattr(cls, name, fill)
