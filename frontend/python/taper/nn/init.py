"""How parameters start, in place; formulas and defaults are PyTorch's."""

from __future__ import annotations

import math
from typing import Any, Tuple

import numpy as np

from .._core import Error
from .._tensor import Tensor
from ..creation import generator

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 0.75,
         "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0}


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    return GAINS[nonlinearity]


def fans(t: Tensor) -> Tuple[int, int]:
    if t.ndim < 2:
        raise Error(f"a tensor of {t.ndim} dimensions has no fans; expected two or more")
    field = int(np.prod(t.shape[2:]))
    return t.shape[1] * field, t.shape[0] * field


_calculate_fan_in_and_fan_out = fans


def _set(t: Tensor, array: Any) -> Tensor:
    t.data = Tensor(np.asarray(array), t.dtype)
    return t


def _uniform(t: Tensor, lo: float, hi: float) -> Tensor:
    return _set(t, generator().uniform(lo, hi, tuple(t.shape)))


def _normal(t: Tensor, mean: float, std: float) -> Tensor:
    return _set(t, generator().normal(mean, std, tuple(t.shape)))


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    return _uniform(tensor, a, b)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    return _normal(tensor, mean, std)


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0,
                  b: float = 2.0) -> Tensor:
    out = generator().normal(mean, std, tuple(tensor.shape))
    while ((out < a) | (out > b)).any():
        bad = (out < a) | (out > b)
        out[bad] = generator().normal(mean, std, int(bad.sum()))
    return _set(tensor, out)


def constant_(tensor: Tensor, val: float) -> Tensor:
    return _set(tensor, np.full(tuple(tensor.shape), val))


def zeros_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    return constant_(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    return _set(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return _uniform(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    return _normal(tensor, 0, gain * math.sqrt(2.0 / sum(fans(tensor))))


def _kaiming(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan = fans(tensor)[0 if mode == "fan_in" else 1]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_uniform_(tensor: Tensor, a: float = 0, mode: str = "fan_in",
                     nonlinearity: str = "leaky_relu") -> Tensor:
    bound = math.sqrt(3.0) * _kaiming(tensor, a, mode, nonlinearity)
    return _uniform(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0, mode: str = "fan_in",
                    nonlinearity: str = "leaky_relu") -> Tensor:
    return _normal(tensor, 0, _kaiming(tensor, a, mode, nonlinearity))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    rows, columns = tensor.shape[0], int(np.prod(tensor.shape[1:]))
    q, r = np.linalg.qr(generator().standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))
    return _set(tensor, gain * (q if rows >= columns else q.T).reshape(tuple(tensor.shape)))


def dirac_(tensor: Tensor) -> Tensor:
    out = np.zeros(tuple(tensor.shape))
    middle = tuple(d // 2 for d in tensor.shape[2:])
    for i in range(min(tensor.shape[:2])):
        out[(i, i) + middle] = 1
    return _set(tensor, out)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01) -> Tensor:
    out = generator().normal(0, std, tuple(tensor.shape))
    for column in out.T:
        column[generator().permutation(len(column))[:math.ceil(sparsity * len(column))]] = 0
    return _set(tensor, out)
