"""A list of numbers with a shape and strides, and how indices of such lists meet (module 2)."""

from __future__ import annotations

import random
from typing import Any, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from .operators import prod

Index = Tuple[int, ...]


class IndexingError(RuntimeError):
    """What an index, or two shapes, cannot do."""


def index_to_position(index: Sequence[int], strides: Sequence[int]) -> int:
    return int(sum(int(i) * int(s) for i, s in zip(index, strides)))


def checked_index(index: Any, shape: Index) -> Index:
    at = (index,) if isinstance(index, int) else tuple(int(i) for i in index)
    if len(at) != len(shape):
        raise IndexingError(f"index {at} of the shape {shape}")
    for i, d in zip(at, shape):
        if not 0 <= i < d:
            raise IndexingError(f"index {at} lies outside of the shape {shape}")
    return at


def to_index(ordinal: int, shape: Sequence[int], out_index: Any) -> None:
    """The ordinal-th index of a shape, in the order of rows."""
    rest = int(ordinal)
    for axis in reversed(range(len(shape))):
        out_index[axis] = rest % int(shape[axis])
        rest //= int(shape[axis])


def broadcast_index(big_index: Sequence[int], big_shape: Sequence[int], shape: Sequence[int],
                    out_index: Any) -> None:
    """Where the element of a broadcast array comes from in the small one."""
    more = len(big_shape) - len(shape)
    for axis in range(len(shape)):
        out_index[axis] = int(big_index[axis + more]) if shape[axis] > 1 else 0


def shape_broadcast(shape1: Sequence[int], shape2: Sequence[int]) -> Index:
    try:
        return tuple(np.broadcast_shapes(tuple(shape1), tuple(shape2)))
    except ValueError:
        raise IndexingError(f"shapes {tuple(shape1)} and {tuple(shape2)} do not broadcast") from None


def strides_from_shape(shape: Sequence[int]) -> Index:
    strides: List[int] = [1] * len(shape)
    for axis in reversed(range(len(shape) - 1)):
        strides[axis] = strides[axis + 1] * int(shape[axis + 1])
    return tuple(strides)


class TensorData:
    def __init__(self, storage: Any, shape: Sequence[int],
                 strides: Optional[Sequence[int]] = None) -> None:
        self._storage = np.asarray(storage, np.float64)
        self.shape: Index = tuple(int(d) for d in shape)
        self.strides: Index = (strides_from_shape(self.shape) if strides is None
                               else tuple(int(s) for s in strides))
        if len(self.strides) != len(self.shape):
            raise IndexingError(f"strides {self.strides} for the shape {self.shape}")
        self.dims, self.size = len(self.shape), int(prod(self.shape))
        if self._storage.size != self.size:
            raise IndexingError(f"{self._storage.size} numbers for the shape {self.shape}")

    def is_contiguous(self) -> bool:
        return all(a >= b for a, b in zip(self.strides, self.strides[1:]))

    @staticmethod
    def shape_broadcast(shape_a: Sequence[int], shape_b: Sequence[int]) -> Index:
        return shape_broadcast(shape_a, shape_b)

    def index(self, index: Any) -> int:
        return index_to_position(checked_index(index, self.shape), self.strides)

    def indices(self) -> Iterator[Index]:
        return iter(np.ndindex(*self.shape))

    def sample(self) -> Index:
        return tuple(random.randint(0, d - 1) for d in self.shape)

    def get(self, key: Any) -> float:
        return float(self._storage[self.index(key)])

    def set(self, key: Any, value: float) -> None:
        self._storage[self.index(key)] = value

    def tuple(self) -> Tuple[np.ndarray, Index, Index]:
        return self._storage, self.shape, self.strides

    def permute(self, *order: int) -> "TensorData":
        if sorted(int(i) for i in order) != list(range(self.dims)):
            raise IndexingError(f"the order {order} of {self.dims} axes")
        return TensorData(self._storage, [self.shape[int(i)] for i in order],
                          [self.strides[int(i)] for i in order])

    def array(self) -> np.ndarray:
        """Row-major, a copy."""
        step = self._storage.itemsize
        view = np.lib.stride_tricks.as_strided(self._storage, self.shape,
                                               [s * step for s in self.strides])
        return np.array(view)

    def to_string(self) -> str:
        return str(self.array())
