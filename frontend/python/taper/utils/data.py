"""Data sets and batches, by PyTorch's names, and sets that the library reads or makes."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from .._core import CList, CTensor, Error, Graph, here, shape_of
from .._library import lib
from .._tensor import Tensor, as_tensor
from ..creation import generator
from ..moves import stack
from .samplers import (BatchSampler as BatchSampler, RandomSampler as RandomSampler,
                       Sampler as Sampler, SequentialSampler as SequentialSampler,
                       SubsetRandomSampler as SubsetRandomSampler,
                       WeightedRandomSampler as WeightedRandomSampler)


class Dataset:
    """What has rows by number."""

    def __getitem__(self, i: int) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def __add__(self, other: "Dataset") -> "ConcatDataset":
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError


class TensorDataset(Dataset):
    """Rows of tensors of one length."""

    def __init__(self, *tensors: Any) -> None:
        self.tensors = tuple(as_tensor(t) for t in tensors)
        if len({len(t) for t in self.tensors}) != 1:
            raise Error("tensors of different lengths")
        self.arrays = [t._array() for t in self.tensors]

    def __getitem__(self, i: Any) -> Tuple[Tensor, ...]:
        return tuple(Tensor(a[i]) for a in self.arrays)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset):
    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, list(indices)

    def __getitem__(self, i: int) -> Any:
        return self.dataset[self.indices[i]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset):
    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __getitem__(self, i: int) -> Any:
        i = i + len(self) if i < 0 else i
        for d in self.datasets:
            if i < len(d):
                return d[i]
            i -= len(d)
        raise IndexError(i)

    def __len__(self) -> int:
        return sum(len(d) for d in self.datasets)


def random_split(dataset: Any, lengths: Sequence[float]) -> List[Subset]:
    n = len(dataset)
    if sum(lengths) <= 1 and n > 1:
        lengths = [int(n * part) for part in lengths]
        lengths[0] += n - sum(lengths)
    if sum(lengths) != n:
        raise ValueError(f"parts of {sum(lengths)} rows, of {n}")
    order = generator().permutation(n)
    ends = np.cumsum([0] + list(lengths))
    return [Subset(dataset, order[int(a):int(b)].tolist()) for a, b in zip(ends, ends[1:])]


def default_collate(rows: Sequence[Any]) -> Any:
    """Rows as a batch: tensors along a new first axis, the same inside tuples and dicts."""
    first = rows[0]
    if isinstance(first, Tensor):
        return Tensor(np.stack([r._array() for r in rows]), first.dtype)
    if isinstance(first, (tuple, list)):
        return type(first)(default_collate(column) for column in zip(*rows))
    if isinstance(first, dict):
        return {k: default_collate([r[k] for r in rows]) for k in first}
    if isinstance(first, str):
        return list(rows)
    if isinstance(first, (np.ndarray, np.generic)):
        return Tensor(np.stack(rows))
    return Tensor(list(rows))


# What PyTorch's loader takes for processes and devices that there are not here.
UNUSED = set("""pin_memory timeout worker_init_fn multiprocessing_context generator prefetch_factor
             persistent_workers pin_memory_device in_order""".split())


class DataLoader:
    """Batches of a data set: `for x, y in DataLoader(data, batch_size=64, shuffle=True)`."""

    def __init__(self, dataset: Any, batch_size: int = 1, shuffle: bool = False,
                 sampler: Optional[Iterable[int]] = None, num_workers: int = 0,
                 collate_fn: Optional[Callable[[Sequence[Any]], Any]] = None,
                 drop_last: bool = False, batch_sampler: Optional[Iterable[Any]] = None,
                 **names: Any) -> None:
        for name in names:
            if name not in UNUSED:
                raise TypeError(f"DataLoader has no argument {name!r}")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.sampler, self.collate_fn, self.drop_last = sampler, collate_fn, drop_last
        self.batch_sampler = batch_sampler

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        n = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def _order(self) -> Iterable[int]:
        if self.sampler is not None:
            return self.sampler
        n = len(self.dataset)
        return generator().permutation(n) if self.shuffle else np.arange(n)

    def _batches(self) -> Iterator[Any]:
        if self.batch_sampler is not None:
            yield from (np.fromiter(rows, np.int64) for rows in self.batch_sampler)
            return
        order = np.fromiter(self._order(), np.int64)
        for start in range(0, len(order), self.batch_size):
            rows = order[start:start + self.batch_size]
            if not self.drop_last or len(rows) == self.batch_size:
                yield rows

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.dataset, IterableDataset):
            yield from self._stream(iter(self.dataset))
            return
        for rows in self._batches():
            if type(self.dataset) is TensorDataset and self.collate_fn is None:
                yield list(self.dataset[rows])
            else:
                yield (self.collate_fn or default_collate)([self.dataset[int(i)] for i in rows])

    def _stream(self, items: Iterator[Any]) -> Iterator[Any]:
        rows: List[Any] = []
        for item in items:
            rows.append(item)
            if len(rows) == self.batch_size:
                yield (self.collate_fn or default_collate)(rows)
                rows = []
        if rows and not self.drop_last:
            yield (self.collate_fn or default_collate)(rows)


# --- sets of the library --------------------------------------------------------------------------


def _rows(loader: Any, columns: Sequence[Tuple[str, str, Tuple[int, ...]]]) -> TensorDataset:
    """All rows of one of the library's loaders, through a program that only hands them on."""
    graph = Graph()
    try:
        text = lib.tp_loader_error(loader)
        if text:
            raise Error(text.decode())
        n, batch = lib.tp_loader_rows(loader), 64
        symbol = lib.tp_symbol(graph.c, b"batch", 1, batch)
        inputs = [lib.tp_input_at(graph.c, name.encode(), lib.constants[kind],
                                  shape_of((symbol,) + row), here())
                  for name, kind, row in columns]
        handles = CList(len(inputs), (CTensor * len(inputs))(*inputs))
        program = lib.tp_compile_at(graph.c, handles, lib.types.tp_compile_args(mode=1), here())
        graph.check()
        kinds = {"TP_U8": np.uint8, "TP_I32": np.int32, "TP_F32": np.float32}
        out = [np.empty((n,) + row, kinds[kind]) for _, kind, row in columns]
        at, size = 0, ctypes.c_size_t()
        while lib.tp_next(loader, program):
            rows = min(batch, n - at)
            for array, c in zip(out, inputs):
                data = lib.tp_buffer(program, c, ctypes.byref(size))
                part = array[at:at + rows]
                ctypes.memmove(part.ctypes.data, data, part.nbytes)
            at += rows
        graph.check()
        return TensorDataset(*[Tensor(a.astype(np.int64) if a.dtype == np.int32 else a)
                               for a in out])
    finally:
        lib.tp_loader_free(loader)


_IMAGES = [("x", "TP_U8", (1, 28, 28)), ("y", "TP_I32", ())]


def digits(part: str = "train", count: int = 0, seed: int = 0) -> TensorDataset:
    """Pictures of digits that the library draws: x uint8 [n 1 28 28], y [n]."""
    args = lib.types.tp_loader_args(part=part.encode(), batch=64, count=count, seed=seed)
    return _rows(lib.tp_load_made(b"digits", args), _IMAGES)


def mnist(folder: str, part: str = "train") -> TensorDataset:
    """A folder's IDX files."""
    args = lib.types.tp_loader_args(part=part.encode(), batch=64)
    return _rows(lib.tp_load_data_with(b"idx", folder.encode(), args), _IMAGES)


def cifar10(folder: str, part: str = "train") -> TensorDataset:
    args = lib.types.tp_loader_args(part=part.encode(), batch=64)
    return _rows(lib.tp_load_data_with(b"cifar", folder.encode(), args),
                 [("x", "TP_U8", (3, 32, 32)), ("y", "TP_I32", ())])


def planar(name: str, count: int = 200, seed: int = 0, noise: float = 0.0) -> TensorDataset:
    """Points of the plane in two classes: "moons", "xor", "spiral", "circle", .."""
    args = lib.types.tp_loader_args(batch=64, count=count, seed=seed, noise=noise)
    return _rows(lib.tp_load_made(name.encode(), args), [("x", "TP_F32", (2,)),
                                                         ("y", "TP_I32", ())])
