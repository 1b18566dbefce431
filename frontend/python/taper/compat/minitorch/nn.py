"""Convolution, pooling, softmax, dropout (module 4)."""

from __future__ import annotations

from typing import Tuple

from ... import _dtype as dt
from ..._tensor import Tensor as _T
from ...creation import generator
from ...moves import pad_axes
from ...nn import functional as F
from .tensor import Tensor


def _anchored(x: Tensor, w: Tensor, n: int) -> Tensor:
    more = [0] * 2 + [k - 1 for k in w.shape[2:]]
    padded = pad_axes(x.t, [0] * (n + 2), more)
    return x._new((F.conv1d if n == 1 else F.conv2d)(padded, w.t))


class Conv1dFun:
    @staticmethod
    def apply(input: Tensor, weight: Tensor) -> Tensor:
        return _anchored(input, weight, 1)


class Conv2dFun:
    @staticmethod
    def apply(input: Tensor, weight: Tensor) -> Tensor:
        return _anchored(input, weight, 2)


conv1d, conv2d = Conv1dFun.apply, Conv2dFun.apply


def tile(input: Tensor, kernel: Tuple[int, int]) -> Tuple[Tensor, int, int]:
    b, c, h, w = input.shape
    kh, kw = kernel
    x = input.t.reshape(b, c, h // kh, kh, w // kw, kw).permute(0, 1, 2, 4, 3, 5)
    return input._new(x.reshape(b, c, h // kh, w // kw, kh * kw)), h // kh, w // kw


def avgpool2d(input: Tensor, kernel: Tuple[int, int]) -> Tensor:
    return input._new(F.avg_pool2d(input.t, kernel))


def maxpool2d(input: Tensor, kernel: Tuple[int, int]) -> Tensor:
    return input._new(F.max_pool2d(input.t, kernel))


def max(input: Tensor, dim: int) -> Tensor:  # noqa: A001
    return input._new(input.t.amax(int(dim), True))


def argmax(input: Tensor, dim: int) -> Tensor:
    return input._new(input.t == input.t.amax(int(dim), True))


def softmax(input: Tensor, dim: int) -> Tensor:
    return input._new(input.t.softmax(int(dim)))


def logsoftmax(input: Tensor, dim: int) -> Tensor:
    return input._new(input.t.log_softmax(int(dim)))


def dropout(input: Tensor, rate: float, ignore: bool = False) -> Tensor:
    """Elements are dropped; what is left is not scaled, as in the course."""
    if ignore:
        return input
    return input._new(input.t * _T(generator().random(input.shape) > rate, dt.float64))
