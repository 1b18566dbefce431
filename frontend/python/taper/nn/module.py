"""Parameter and Module: a tree of parameters with names, and the state that is saved."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple
from weakref import ref

import numpy as np

from .._core import Error, S, on_cpu
from .._dtype import BY_NAME
from .._tensor import Tensor, _set_up, as_tensor


class Parameter(Tensor):
    """A tensor that a module trains."""

    def __new__(cls, *_: Any, **__: Any) -> "Parameter":
        return Tensor.__new__(cls)

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        data = as_tensor(data)
        _set_up(self, data._array().copy())
        self._dt = data.dtype
        if requires_grad:
            self.requires_grad_()


class Module:
    """What has parameters and a forward."""

    training: bool

    def __init__(self) -> None:
        d = self.__dict__
        d["_parameters"], d["_buffers"], d["_modules"] = OrderedDict(), OrderedDict(), OrderedDict()
        d["_parent"], d["training"], d["_hidden"], d["_hooks"] = None, True, set(), []

    def forward(self, *args: Any, **names: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *args: Any, **names: Any) -> Any:
        if S.trace is not None:
            S.trace.modes.append((self, self.training))
        y = self.forward(*args, **names)
        for hook in self._hooks:
            changed = hook(self, args, y)
            y = y if changed is None else changed
        return y

    def register_forward_hook(self, hook: Callable[..., Any]) -> None:
        self._hooks.append(hook)

    # --- the tree ---------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError("super().__init__() comes before the first attribute")
        self.__dict__.pop(name, None)
        for group in (self._parameters, self._buffers, self._modules):
            if value is not None or name not in group:
                group.pop(name, None)
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self.add_module(name, value)
        elif name in self._buffers or name in self._parameters or name in self._modules:
            group = next(g for g in (self._buffers, self._parameters, self._modules) if name in g)
            group[name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for group in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(group, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for group in (self._parameters, self._buffers, self._modules):
            if name in group:
                del group[name]
                return
        object.__delattr__(self, name)

    def register_parameter(self, name: str, value: Optional[Parameter]) -> None:
        self._parameters[name] = value
        if value is not None:
            value._name, value._owner = name, ref(self)

    def register_buffer(self, name: str, value: Optional[Tensor], persistent: bool = True) -> None:
        self._buffers[name] = value
        if value is not None:
            value._name, value._owner = name, ref(self)
        if not persistent:
            self._hidden.add(name)

    def add_module(self, name: str, value: Optional["Module"]) -> None:
        self._modules[name] = value
        if value is not None:
            value.__dict__["_parent"] = (ref(self), name)

    register_module = add_module

    def named_children(self) -> Iterator[Tuple[str, "Module"]]:
        return ((n, m) for n, m in self._modules.items() if m is not None)

    def children(self) -> Iterator["Module"]:
        return (m for _, m in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[Tuple[str, "Module"]]:
        yield prefix, self
        for name, module in self.named_children():
            yield from module.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator["Module"]:
        seen = set()
        for _, m in self.named_modules():
            if id(m) not in seen:
                seen.add(id(m))
                yield m

    def _named(self, group: str, prefix: str = "") -> Iterator[Tuple[str, Any]]:
        seen = set()
        for path, module in self.named_modules(prefix):
            for name, value in getattr(module, group).items():
                if value is not None and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{path}.{name}" if path else name, value

    def named_parameters(self, prefix: str = "") -> Iterator[Tuple[str, Parameter]]:
        return self._named("_parameters", prefix)

    def parameters(self) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[Tuple[str, Tensor]]:
        return self._named("_buffers", prefix)

    def buffers(self) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers())

    def get_submodule(self, path: str) -> "Module":
        module = self
        for part in path.split(".") if path else []:
            module = module._modules[part]
        return module

    # --- modes ------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> "Module":
        for m in self.modules():
            m.__dict__["training"] = mode
        return self

    def eval(self) -> "Module":
        return self.train(False)

    def requires_grad_(self, wanted: bool = True) -> "Module":
        for p in self.parameters():
            p.requires_grad_(wanted)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        for p in self.parameters():
            p.grad = None if set_to_none or p.grad is None else p.grad * 0

    def apply(self, function: Callable[["Module"], Any]) -> "Module":
        for m in self.children():
            m.apply(function)
        function(self)
        return self

    def to(self, *args: Any, **names: Any) -> "Module":
        on_cpu(names.get("device"))
        for a in args:
            if isinstance(a, str) and a not in BY_NAME:
                on_cpu(a)
        for t in list(self.parameters()) + list(self.buffers()):
            if t.dtype.kind == "f":
                moved = t.detach().to(*args, **names)
                if moved.dtype is not t.dtype:
                    t._homes = None
                    t.data = moved
        return self

    def double(self) -> "Module":
        return self.to("float64")

    def float(self) -> "Module":
        return self.to("float32")

    def cpu(self) -> "Module":
        return self

    def cuda(self, *_: Any) -> "Module":
        on_cpu("cuda")
        return self

    # --- state ------------------------------------------------------------------------------------

    def state_dict(self, prefix: str = "") -> Dict[str, Tensor]:
        out: Dict[str, Tensor] = OrderedDict()
        for path, module in self.named_modules(prefix.rstrip(".")):
            for name, value in module._parameters.items():
                if value is not None:
                    out[f"{path}.{name}" if path else name] = value.detach()
            for name, value in module._buffers.items():
                if value is not None and name not in module._hidden:
                    out[f"{path}.{name}" if path else name] = value.detach()
        return out

    def load_state_dict(self, state: Dict[str, Any], strict: bool = True) -> Any:
        own = dict(self._named("_parameters"))
        own.update(self._named("_buffers"))
        missing = [n for n in self.state_dict() if n not in state]
        unexpected = [n for n in state if n not in own]
        if strict and (missing or unexpected):
            raise Error(f"state of {type(self).__name__}: missing {missing}, unexpected "
                        f"{unexpected}")
        for name, value in state.items():
            if name in own:
                value = as_tensor(np.asarray(value) if not isinstance(value, Tensor) else value)
                if tuple(value.shape) != tuple(own[name].shape):
                    raise Error(f"{name}: {tuple(value.shape)}; expected "
                                f"{tuple(own[name].shape)}")
                own[name].data = value.to(own[name].dtype)
        return missing, unexpected

    def extra_repr(self) -> str:
        return ""

    def __repr__(self) -> str:
        lines = []
        for name, module in self._modules.items():
            lines.append(f"({name}): " + repr(module).replace("\n", "\n  "))
        inside = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({inside})"
        return f"{type(self).__name__}({inside}\n  " + "\n  ".join(lines) + "\n)"


def path_of(t: Tensor) -> str:
    """The full name of a parameter or buffer: "fc1.weight"."""
    words: List[str] = [t._name or "tensor"]
    module = t._owner() if t._owner is not None else None
    while module is not None and module._parent is not None:
        parent, name = module._parent
        words.append(name)
        module = parent()
    return ".".join(reversed(words))
