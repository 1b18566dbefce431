"""needle's optimisers: momentum is an average, (1 - momentum) of it the gradient."""

from __future__ import annotations

from typing import Any, Dict, Iterable

from ..._tensor import Tensor
from ...autograd import no_grad


class Optimizer:
    def __init__(self, params: Iterable[Any]) -> None:
        self.params = list(params)

    def step(self) -> None:
        raise NotImplementedError

    def reset_grad(self) -> None:
        for p in self.params:
            p.grad = None

    zero_grad = reset_grad


def _plain(t: Any) -> Tensor:
    return Tensor(t.detach()._array())


class SGD(Optimizer):
    def __init__(self, params: Iterable[Any], lr: float = 0.01, momentum: float = 0.0,
                 weight_decay: float = 0.0) -> None:
        super().__init__(params)
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.u: Dict[Any, Tensor] = {}

    @no_grad
    def step(self) -> None:
        for p in self.params:
            if p.grad is None:
                continue
            x, g = _plain(p), _plain(p.grad)
            g = g + self.weight_decay * x if self.weight_decay else g
            if self.momentum:
                old = self.u.get(p)
                g = (1 - self.momentum) * g + (self.momentum * old if old is not None else 0)
                self.u[p] = g
            p.data = (x - self.lr * g)._array()


class Adam(Optimizer):
    def __init__(self, params: Iterable[Any], lr: float = 0.01, beta1: float = 0.9,
                 beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0,
                 **_: Any) -> None:
        super().__init__(params)
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps
        self.weight_decay, self.t = weight_decay, 0
        self.m: Dict[Any, Tensor] = {}
        self.v: Dict[Any, Tensor] = {}

    @no_grad
    def step(self) -> None:
        self.t += 1
        for p in self.params:
            if p.grad is None:
                continue
            x, g = _plain(p), _plain(p.grad)
            g = g + self.weight_decay * x if self.weight_decay else g
            m = (1 - self.beta1) * g + self.beta1 * self.m.get(p, x * 0)
            v = (1 - self.beta2) * g * g + self.beta2 * self.v.get(p, x * 0)
            self.m[p], self.v[p] = m, v
            step = m / (1 - self.beta1 ** self.t)
            step = step / ((v / (1 - self.beta2 ** self.t)).sqrt() + self.eps)
            p.data = (x - self.lr * step)._array()
