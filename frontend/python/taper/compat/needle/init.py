"""Initial numbers, by NumPy's chance: np.random.seed decides them, as in the course."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .tensor import Tensor


def _of(array: Any, dtype: Any, requires_grad: bool) -> Tensor:
    return Tensor(np.asarray(array), dtype=dtype, requires_grad=requires_grad)


def rand(*shape: int, low: float = 0.0, high: float = 1.0, device: Any = None,
         dtype: Any = "float32", requires_grad: bool = False) -> Tensor:
    return _of(np.random.rand(*shape) * (high - low) + low, dtype, requires_grad)


def randn(*shape: int, mean: float = 0.0, std: float = 1.0, device: Any = None,
          dtype: Any = "float32", requires_grad: bool = False) -> Tensor:
    return _of(np.random.randn(*shape) * std + mean, dtype, requires_grad)


def constant(*shape: int, c: float = 1.0, device: Any = None, dtype: Any = "float32",
             requires_grad: bool = False) -> Tensor:
    return _of(np.full(shape, c), dtype, requires_grad)


def ones(*shape: int, **names: Any) -> Tensor:
    return constant(*shape, c=1.0, **names)


def zeros(*shape: int, **names: Any) -> Tensor:
    return constant(*shape, c=0.0, **names)


def randb(*shape: int, p: float = 0.5, device: Any = None, dtype: Any = "bool",
          requires_grad: bool = False) -> Tensor:
    return _of(np.random.rand(*shape) <= p, dtype, requires_grad)


def one_hot(n: int, i: Any, device: Any = None, dtype: Any = "float32",
            requires_grad: bool = False) -> Tensor:
    at = i.numpy() if isinstance(i, Tensor) else np.asarray(i)
    return _of(np.eye(n)[at.astype(np.int64)], dtype, requires_grad)


def zeros_like(array: Tensor, *, device: Any = None, requires_grad: bool = False) -> Tensor:
    return zeros(*array.shape, dtype=array.dtype, requires_grad=requires_grad)


def ones_like(array: Tensor, *, device: Any = None, requires_grad: bool = False) -> Tensor:
    return ones(*array.shape, dtype=array.dtype, requires_grad=requires_grad)


def xavier_uniform(fan_in: int, fan_out: int, gain: float = 1.0, **names: Any) -> Tensor:
    a = gain * math.sqrt(6 / (fan_in + fan_out))
    return rand(fan_in, fan_out, low=-a, high=a, **names)


def xavier_normal(fan_in: int, fan_out: int, gain: float = 1.0, **names: Any) -> Tensor:
    return randn(fan_in, fan_out, std=gain * math.sqrt(2 / (fan_in + fan_out)), **names)


def kaiming_uniform(fan_in: int, fan_out: int, nonlinearity: str = "relu", **names: Any) -> Tensor:
    assert nonlinearity == "relu"
    a = math.sqrt(6 / fan_in)
    return rand(fan_in, fan_out, low=-a, high=a, **names)


def kaiming_normal(fan_in: int, fan_out: int, nonlinearity: str = "relu", **names: Any) -> Tensor:
    assert nonlinearity == "relu"
    return randn(fan_in, fan_out, std=math.sqrt(2 / fan_in), **names)
