"""Parameters, a tree of modules, and SGD."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

from .scalar import Scalar
from .tensor import Tensor


class Parameter:
    def __init__(self, x: Any, name: Optional[str] = None) -> None:
        self.name = name
        self.update(x)

    def update(self, x: Any) -> None:
        self.value = x
        if isinstance(x, Tensor):
            x.t = x.t.detach()
        if hasattr(x, "requires_grad_"):
            x.requires_grad_(True)

    def __repr__(self) -> str:
        return repr(self.value)


class Module:
    """A tree of modules and parameters by attribute."""

    def __init__(self) -> None:
        object.__setattr__(self, "_modules", {})
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "training", True)

    def modules(self) -> List["Module"]:
        return list(self._modules.values())

    def train(self) -> None:
        self._mode(True)

    def eval(self) -> None:
        self._mode(False)

    def _mode(self, training: bool) -> None:
        object.__setattr__(self, "training", training)
        for m in self.modules():
            m._mode(training)

    def named_parameters(self) -> List[Tuple[str, Parameter]]:
        own = list(self._parameters.items())
        return own + [(f"{n}.{k}", p) for n, m in self._modules.items()
                      for k, p in m.named_parameters()]

    def parameters(self) -> List[Parameter]:
        return [p for _, p in self.named_parameters()]

    def add_parameter(self, k: str, v: Any) -> Parameter:
        self._parameters[k] = Parameter(v, k)
        return self._parameters[k]

    def __setattr__(self, key: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._parameters[key] = value
        elif isinstance(value, Module):
            self._modules[key] = value
        else:
            object.__setattr__(self, key, value)

    def __getattr__(self, key: str) -> Any:
        for group in ("_parameters", "_modules"):
            if key in self.__dict__.get(group, {}):
                return self.__dict__[group][key]
        raise AttributeError(key)

    def __call__(self, *args: Any, **names: Any) -> Any:
        return self.forward(*args, **names)


class SGD:
    def __init__(self, parameters: Sequence[Parameter], lr: float = 1.0) -> None:
        self.parameters, self.lr = list(parameters), lr

    def zero_grad(self) -> None:
        for p in self.parameters:
            if isinstance(p.value, Tensor):
                p.value.zero_grad_()
            elif p.value is not None:
                p.value.grad = 0

    def step(self) -> None:
        for p in self.parameters:
            v = p.value
            if isinstance(v, Tensor) and v.t.grad is not None:
                p.update(Tensor(v.t.detach() - v.t.grad * self.lr, v.backend))
            elif isinstance(v, Scalar):
                p.update(Scalar(v.data - self.lr * v.grad))
