"""Clipping of gradients, and parameters as one vector."""

from __future__ import annotations

from typing import Any, Iterable

from .._core import S
from .._tensor import Tensor
from ..autograd import no_grad
from ..moves import cat, stack


def _list(parameters: Any) -> Any:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def clip_grad_norm_(parameters: Any, max_norm: float, norm_type: float = 2.0) -> Tensor:
    """All gradients together are scaled down to this norm; gives the norm before."""
    held = [p for p in _list(parameters) if p.grad is not None]
    with no_grad():
        norms = stack([p.grad.norm(norm_type) for p in held])
        total = norms.norm(norm_type)
        scale = (max_norm / (total + 1e-6)).clamp(max=1.0)
        for p in held:
            p.grad = p.grad * scale
    return total


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    with no_grad():
        for p in _list(parameters):
            if p.grad is not None:
                p.grad = p.grad.clamp(-clip_value, clip_value)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vector: Tensor, parameters: Iterable[Tensor]) -> None:
    at = 0
    for p in parameters:
        p.data = vector[at:at + p.numel()].reshape(*p.shape)
        at += p.numel()
