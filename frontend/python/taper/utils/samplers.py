"""In which order rows are taken: what DataLoader's sampler and batch_sampler may be."""

from __future__ import annotations

from typing import Any, Iterator, List, Sequence

import numpy as np

from ..creation import generator as _chance


class Sampler:
    """Numbers of rows, and how many."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


class SequentialSampler(Sampler):
    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(SequentialSampler):
    def __init__(self, data_source: Any, replacement: bool = False, num_samples: int = 0) -> None:
        super().__init__(data_source)
        self.replacement, self.num_samples = replacement, num_samples or len(data_source)

    def __iter__(self) -> Iterator[int]:
        rows = len(self.data_source)
        if self.replacement:
            return iter(_chance().integers(0, rows, self.num_samples).tolist())
        return iter(_chance().permutation(rows)[:self.num_samples].tolist())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = list(indices)

    def __iter__(self) -> Iterator[int]:
        return (self.indices[i] for i in _chance().permutation(len(self.indices)))

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Rows as often as their weights say."""

    def __init__(self, weights: Sequence[float], num_samples: int, replacement: bool = True) -> None:
        self.weights = np.asarray(weights, np.float64)
        self.num_samples, self.replacement = num_samples, replacement

    def __iter__(self) -> Iterator[int]:
        share = self.weights / self.weights.sum()
        drawn = _chance().choice(len(share), self.num_samples, self.replacement, share)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """The rows of another sampler, so many at a time."""

    def __init__(self, sampler: Any, batch_size: int, drop_last: bool = False) -> None:
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[List[int]]:
        batch: List[int] = []
        for row in self.sampler:
            batch.append(row)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
