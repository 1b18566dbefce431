"""The library's optimisers under PyTorch's names.

A step is a program of the library over parameters and gradients: compiled once, for what does not
change; the rate is given at each step. The moments are states of its graph, which a compiled
training step of the same optimiser uses too.
"""

from __future__ import annotations

import ctypes
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import numpy as np

from .. import _dtype as dt
from .._core import ALL_AXES, CList, CTensor, Error, Graph, S, here, option, shape_of
from .._homes import push, state_in, trained, unique
from .._library import lib
from .._tensor import Tensor
from ..autograd import no_grad

T = lib.types
SLOTS = ("exp_avg exp_avg_sq momentum_buffer square_avg grad_avg sum exp_inf mu_product acc_delta "
         "exp_avg_sq_row exp_avg_sq_col").split()


class Optimizer:
    """Groups of parameters, each with its rate and options."""

    kind = 0
    decoupled = False

    def __init__(self, params: Any, defaults: Dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: List[Dict[str, Any]] = []
        params = list(params)
        if not params:
            raise ValueError("an optimiser without parameters")
        if isinstance(params[0], dict):
            for group in params:
                self.add_param_group(group)
        elif isinstance(params[0], tuple):
            self.add_param_group({"params": [p for _, p in params]})
        else:
            self.add_param_group({"params": params})
        self._graph: Optional[Graph] = None
        self._programs: Dict[Any, Any] = {}
        self._recent: Any = None

    def add_param_group(self, group: Dict[str, Any]) -> None:
        held = group["params"]
        group = {**self.defaults, **group,
                 "params": [held] if isinstance(held, Tensor) else list(held)}
        if not 0 <= float(group["lr"]) < float("inf"):
            raise ValueError(f"a learning rate of {group['lr']}; expected 0 or more")
        for p in group["params"]:
            if not isinstance(p, Tensor):
                raise TypeError(f"an optimiser of {type(p).__name__}; expected tensors")
            if p._fn:
                raise ValueError("an optimiser can only train leaves")
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None if set_to_none or p.grad is None else p.grad * 0

    @property
    def state(self) -> Dict[Tensor, Dict[str, Tensor]]:
        return {p: self._slots(p) for g in self.param_groups for p in g["params"]}

    # --- what the library is told -----------------------------------------------------------------

    def options(self, group: Dict[str, Any]) -> Dict[str, Any]:
        """Fields of tp_opt."""
        return {}

    def _rate(self) -> float:
        return float(self.param_groups[0]["lr"])

    def opt(self, names: Dict[int, bytes], frozen: Iterable[bytes] = ()) -> Tuple[Any, Any]:
        """tp_opt for parameters by their names, and what must live as long."""
        first = self.param_groups[0]
        rate = self._rate()
        groups = [T.tp_group(match=name, frozen=True) for name in frozen]
        for group in self.param_groups[1:]:
            if self.options(group) != self.options(first):
                raise NotImplementedError("groups that differ in more than rate and decay")
            scale = float(group["lr"]) / rate if rate else 1.0
            decay = float(group.get("weight_decay", 0))
            for p in group["params"]:
                if id(p) in names:
                    groups.append(T.tp_group(match=names[id(p)], lr_scale=scale,
                                             weight_decay=decay, no_decay=decay == 0))
        table = (T.tp_group * (len(groups) + 1))(*groups)
        fields = dict(self.options(first))
        if "weight_decay" in first:
            fields["weight_decay"] = option(first["weight_decay"])
        opt = T.tp_opt(kind=self.kind, **fields)
        if groups:
            opt.groups = table
        return lib.tp_opt_of(self.kind, opt), table

    def key(self) -> Any:
        """What the compiled update depends on."""
        rate = self._rate()
        return tuple((float(g["lr"]) / rate if rate else 1.0, float(g.get("weight_decay", 0)),
                      tuple(sorted(self.options(g).items()))) for g in self.param_groups)

    def set_rate(self, graph: Graph) -> None:
        rate = self._rate()
        if graph.__dict__.get("rate") != rate:
            if not lib.tp_set_rate(graph.c, rate):
                graph.check()
            graph.__dict__["rate"] = rate

    # --- the step ---------------------------------------------------------------------------------

    def step(self, closure: Optional[Callable[[], Any]] = None) -> Any:
        loss = None if closure is None else closure()
        if S.trace is not None:
            S.trace.step(self)
            return loss
        held = [p for g in self.param_groups for p in g["params"] if p.grad is not None]
        if not held:
            return loss
        key = (tuple([id(p) for p in held]), self.key())
        program = self._programs.get(key)
        if program is None:
            program = self._programs[key] = _Update(self, held)
        program.run(self)
        return loss

    def graph(self) -> Graph:
        if self._graph is None:
            self._graph = Graph()
        return self._graph

    # --- saving -----------------------------------------------------------------------------------

    def _slots(self, p: Tensor) -> Dict[str, Tensor]:
        out = {}
        entry = (p._homes or {}).get(self._graph)
        for slot in SLOTS if entry else ():
            c = lib.tp_find(self._graph.c, entry[3] + b"." + slot.encode())
            if c.id:
                s = lib.tp_shape_of(c)
                array = np.empty(tuple(s.dim[:s.rank]), dt.BY_CODE[lib.tp_dtype_of(c)].numpy)
                lib.tp_get_values(c, array.ctypes.data, array.nbytes)
                out[slot] = Tensor(array)
        return out

    def state_dict(self) -> Dict[str, Any]:
        state, groups, n = {}, [], 0
        for group in self.param_groups:
            ids = []
            for p in group["params"]:
                slots: Dict[str, Any] = self._slots(p) if self._graph else {}
                if slots:
                    state[n] = slots
                ids.append(n)
                n += 1
            groups.append({**{k: v for k, v in group.items() if k != "params"}, "params": ids})
        steps = np.zeros((), np.int64)
        if self._graph is not None:
            c = lib.tp_find(self._graph.c, b"taper.steps")
            if c.id:
                lib.tp_get_values(c, steps.ctypes.data, 8)
        return {"state": state, "param_groups": groups, "steps": int(steps)}

    def load_state_dict(self, saved: Dict[str, Any]) -> None:
        for group, given in zip(self.param_groups, saved["param_groups"]):
            group.update({k: v for k, v in given.items() if k != "params"})
        if not saved["state"]:
            return
        held = [p for g in self.param_groups for p in g["params"]]
        now = [held[int(i)] for i in saved["state"]]
        key = (tuple(id(p) for p in now), self.key())
        if key not in self._programs:
            self._programs[key] = _Update(self, now)
        assert self._graph is not None
        for i, slots in saved["state"].items():
            name = held[int(i)]._homes[self._graph][3]
            for slot, value in slots.items():
                array = np.ascontiguousarray(value._array())
                lib.tp_set_values(lib.tp_find(self._graph.c, name + b"." + slot.encode()),
                                  array.ctypes.data, array.nbytes)
        steps = np.array(saved["steps"], np.int64)
        lib.tp_set_values(lib.tp_find(self._graph.c, b"taper.steps"), steps.ctypes.data, 8)
        self._graph.check()

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, g in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {v}" for k, v in g.items() if k != "params"]
        return "\n".join(lines) + "\n)"


class _Update:
    """The program that takes gradients and changes parameters: the step of the loss sum(p g)."""

    def __init__(self, optimizer: Optimizer, held: List[Tensor]) -> None:
        self.graph = graph = optimizer.graph()
        place = here()
        self.rows = []
        names, loss = {}, None
        for p in held:
            entry = state_in(graph, p)
            names[id(p)] = entry[3]
            name = unique(graph, "grad:" + entry[3].decode()).encode()
            g = lib.tp_input_at(graph.c, name, p.dtype.code, shape_of(tuple(p.shape)), place)
            part = lib.tp_reduce_at(b"sum", lib.tp_binary_at(b"mul", entry[0], g, place),
                                    T.tp_reduce_args(dim=ALL_AXES), place)
            if p.dtype is not dt.float32:
                part = lib.tp_cast_at(part, dt.float32.code, place)
            loss = part if loss is None else lib.tp_binary_at(b"add", loss, part, place)
            self.rows.append([p, entry, g])
        graph.check()
        opt, table = optimizer.opt(names)
        args = T.tp_train_args(loss=loss, opt=opt, lr=lib.tp_given(optimizer._rate()))
        self.program = lib.tp_compile_train_at(args, place)
        del table
        graph.check()
        size = ctypes.c_size_t()
        for row in self.rows:
            row[2] = lib.tp_buffer(self.program, row[2], ctypes.byref(size))

    def run(self, optimizer: Optimizer) -> None:
        optimizer.set_rate(self.graph)
        size = ctypes.c_size_t()
        for p, entry, buffer in self.rows:
            g = p.grad
            if g._np is None and g._t is None:
                ctypes.memmove(buffer, lib.tp_values(g._handle(), ctypes.byref(size)), size.value)
            else:
                array = np.ascontiguousarray(g._array())
                ctypes.memmove(buffer, array.ctypes.data, array.nbytes)
            if entry[1] != p._version:
                push(p, entry)
        if not lib.tp_run(self.program):
            self.graph.check()
        for p, entry, _ in self.rows:
            trained(p, entry)


def _beta(group: Dict[str, Any]) -> Dict[str, Any]:
    return {"beta1": option(group["betas"][0]), "beta2": option(group["betas"][1])}


def _class(name: str, kind: int, doc: str, fields: Dict[str, str], **defaults: Any) -> Any:
    """An optimiser: its arguments in their order with defaults, and which field each is."""
    def __init__(self: Any, params: Any, *args: Any, **given: Any) -> None:
        values = dict(defaults)
        values.update(zip(defaults, args))
        for key in ("foreach", "fused", "capturable", "differentiable", "maximize", "amsgrad"):
            if given.pop(key, None) and key in ("maximize", "amsgrad"):
                raise NotImplementedError(f"{name} with {key}")
        for key, value in given.items():
            if key not in defaults:
                raise TypeError(f"{name} has no argument {key!r}")
            values[key] = value
        Optimizer.__init__(self, params, values)

    def options(self: Any, group: Dict[str, Any]) -> Dict[str, Any]:
        out: Dict[str, Any] = {}
        for key, field in fields.items():
            value = group[key]
            if key == "betas":
                out.update(_beta(group))
            else:
                out[field] = value if isinstance(value, bool) else option(value)
        return out
    return type(name, (Optimizer,), {"__init__": __init__, "options": options, "kind": kind,
                                     "__doc__": doc, "__module__": __name__})


SGD = _class("SGD", 0, "Momentum, damped or Nesterov's.",
             {"momentum": "momentum", "dampening": "dampening", "nesterov": "nesterov"},
             lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False)
_B = {"betas": "", "eps": "eps"}
Adam = _class("Adam", 1, "arXiv:1412.6980", _B, lr=1e-3, betas=(0.9, 0.999), eps=1e-8,
              weight_decay=0.0)
AdamW = _class("AdamW", 2, "arXiv:1711.05101", _B, lr=1e-3, betas=(0.9, 0.999), eps=1e-8,
               weight_decay=1e-2)
RMSprop = _class("RMSprop", 3, "Hinton's lecture 6.",
                 {"alpha": "alpha", "eps": "eps", "momentum": "momentum", "centered": "centered"},
                 lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False)
Adagrad = _class("Adagrad", 4, "JMLR 2011.", {"eps": "eps"}, lr=1e-2, lr_decay=0.0,
                 weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10)
Adamax = _class("Adamax", 5, "arXiv:1412.6980", _B, lr=2e-3, betas=(0.9, 0.999), eps=1e-8,
                weight_decay=0.0)
NAdam = _class("NAdam", 6, "Dozat 2016.", _B, lr=2e-3, betas=(0.9, 0.999), eps=1e-8,
               weight_decay=0.0)
RAdam = _class("RAdam", 7, "arXiv:1908.03265", _B, lr=1e-3, betas=(0.9, 0.999), eps=1e-8,
               weight_decay=0.0)
Adadelta = _class("Adadelta", 8, "arXiv:1212.5701", {"rho": "alpha", "eps": "eps"}, lr=1.0, rho=0.9,
                  eps=1e-6, weight_decay=0.0)
Lion = _class("Lion", 9, "arXiv:2302.06675", {"betas": ""}, lr=1e-4, betas=(0.9, 0.99),
              weight_decay=0.0)
LAMB = _class("LAMB", 10, "arXiv:1904.00962", _B, lr=1e-3, betas=(0.9, 0.999), eps=1e-6,
              weight_decay=0.0)
LARS = _class("LARS", 11, "arXiv:1708.03888", {"momentum": "momentum", "trust": "alpha"}, lr=1e-3,
              momentum=0.9, trust=1e-3, weight_decay=0.0)
Muon = _class("Muon", 13, "Jordan et al. 2024.", {"momentum": "momentum"}, lr=1e-3,
              weight_decay=0.1, momentum=0.95)
