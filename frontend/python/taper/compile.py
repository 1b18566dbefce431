"""`@taper.compile`: a function, or a whole training step, as one program of the library.

At the first call with new shapes the function runs once on tensors that only record. Parameters and
other tensors that it reads become states of the program's graph; `loss.backward()` and
`optimizer.step()` inside become its backward part and its update. Later calls copy the arguments
in, run the program and copy the results out.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from . import _dtype as dt
from ._core import ALL_AXES, CList, CTensor, Error, Graph, S, here, number, shape_of
from ._homes import push, state_in, trained, unique
from ._library import lib
from ._tensor import Tensor, _set_up, blank, fail, wrap

T = lib.types


class _Elsewhere(Exception):
    """The optimiser has a graph already: the function is recorded again, there."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph


class Trace:
    """What a function does while it is recorded."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.captured: Dict[int, Tuple[Tensor, List[Any]]] = {}
        self.bound: Dict[int, Any] = {}
        self.changed: Dict[int, Tuple[Tensor, Tensor]] = {}
        self.backs: List[Tuple[Tensor, Dict[int, Tensor], bool]] = []
        self.optimizer: Any = None
        self.trained: List[Tensor] = []
        self.loss: Any = None
        self.modes: List[Tuple[Any, bool]] = []
        self.grads: List[Tensor] = []

    def handle(self, t: Tensor) -> Any:
        if t._t is self:
            return t._c
        if t._t is not None:
            raise Error("a tensor of another function that was compiled; expected that the "
                        "function returns it")
        found = self.bound.get(id(t))
        if found is not None:
            return found
        entry = state_in(self.graph, t)
        self.captured[id(t)] = (t, entry)
        self.bound[id(t)] = entry[0]
        return entry[0]

    def drawn(self, c: Any) -> Tensor:
        if not c.id:
            fail()
        return self.own(c)

    def own(self, c: Any, requires_grad: int = 0) -> Tensor:
        t = blank()
        _set_up(t, None)
        t._c, t._t, t._rg = c, self, requires_grad
        return t

    def assign(self, t: Tensor, new: Tensor) -> None:
        c = self.handle(new)
        if t._t is self:
            t._c, t._sh, t._dt, t._rg, t._fn = c, new._sh, new._dt, new._rg, new._fn
            return
        self.handle(t)
        self.bound[id(t)] = c
        self.changed[id(t)] = (t, new)

    def backward(self, y: Tensor, gradient: Any) -> None:
        from .autograd import depends, no_grad, vjp_of
        if not y._rg:
            raise Error("backward of a tensor that has nothing behind it that requires a gradient")
        leaves = [t for t, _ in self.captured.values() if t._leafy and t._rg == 1]
        leaves = [t for t, used in zip(leaves, depends(y, leaves)) if used]
        grads: Dict[int, Tensor] = {}
        alone = gradient is None and y.ndim == 0
        for t, g in zip(leaves, vjp_of(y, gradient, leaves, False)):
            if t.grad is not None and t.grad._t is self:
                with no_grad():
                    g = t.grad + g
                alone = False
            t.grad = grads[id(t)] = g
            self.grads.append(t)
        self.backs.append((y, grads, alone))

    def step(self, optimizer: Any) -> None:
        if optimizer._graph is None:
            optimizer._graph = self.graph
        elif optimizer._graph is not self.graph:
            raise _Elsewhere(optimizer._graph)
        if self.optimizer is not None:
            raise NotImplementedError("two updates in one compiled function; expected a function "
                                      "for each")
        self.optimizer = optimizer
        self.trained = [p for g in optimizer.param_groups for p in g["params"]
                        if p.grad is not None and p.grad._t is self]
        gradients = {id(p): p.grad for p in self.trained if p.grad is not None}
        if not self.trained:
            raise Error("optimizer.step() without gradients; expected backward() before it")
        y, grads, alone = self.backs[-1]
        if len(self.backs) == 1 and alone and all(
                gradients[id(p)] is grads.get(id(p)) for p in self.trained):
            self.loss = y._c
            return
        place = here()  # gradients that were changed: of a loss whose gradients they are
        for p in self.trained:
            g = lib.tp_unary_at(b"stop_gradient", gradients[id(p)]._c, place)
            part = lib.tp_reduce_at(b"sum", lib.tp_binary_at(
                b"mul", state_in(self.graph, p)[0], g, place), T.tp_reduce_args(dim=ALL_AXES), place)
            if p.dtype is not dt.float32:
                part = lib.tp_cast_at(part, dt.float32.code, place)
            self.loss = part if self.loss is None else lib.tp_binary_at(b"add", self.loss, part,
                                                                         place)


# --- arguments and results ------------------------------------------------------------------------


def flatten(tree: Any, leaves: List[Any]) -> Any:
    """What is no tensor is part of the form; tensors go to `leaves`."""
    if isinstance(tree, Tensor):
        leaves.append(tree)
        return ("tensor", tuple(tree.shape), tree.dtype.code, tree._rg)
    if isinstance(tree, np.ndarray):
        leaves.append(tree)
        return ("array", tree.shape, dt.as_dtype(tree.dtype).code)
    if isinstance(tree, (list, tuple)):
        return (type(tree).__name__,) + tuple(flatten(x, leaves) for x in tree)
    if isinstance(tree, dict):
        return ("dict",) + tuple((k, flatten(v, leaves)) for k, v in tree.items())
    try:
        hash(tree)
        return ("value", tree)
    except TypeError:
        return ("object", id(tree))


def rebuilt(tree: Any, next_leaf: Callable[[Any], Any]) -> Any:
    if isinstance(tree, (Tensor, np.ndarray)):
        return next_leaf(tree)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*[rebuilt(x, next_leaf) for x in tree])
    if isinstance(tree, (list, tuple)):
        return type(tree)(rebuilt(x, next_leaf) for x in tree)
    if isinstance(tree, dict):
        return {k: rebuilt(v, next_leaf) for k, v in tree.items()}
    return tree


def _view(program: Any, c: Any, shape: Tuple[int, ...], kind: dt.dtype) -> np.ndarray:
    size = ctypes.c_size_t()
    data = lib.tp_buffer(program, c, ctypes.byref(size))
    if not data:
        fail()
    buffer = (ctypes.c_char * size.value).from_address(data)
    flat: np.ndarray = np.frombuffer(memoryview(buffer), kind.numpy)
    return flat[:int(np.prod(shape, dtype=np.int64))].reshape(shape)


class _Program:
    """One recording, compiled."""

    def __init__(self, function: Callable[..., Any], graph: Graph, args: Any, names: Any,
                 options: Dict[str, Any]) -> None:
        self.trace = trace = Trace(graph)
        self.graph, self.grad = graph, S.grad
        inputs: List[Tensor] = []

        def enter(leaf: Any) -> Tensor:
            kind = leaf.dtype if isinstance(leaf, Tensor) else dt.as_dtype(leaf.dtype)
            name = unique(graph, f"input{len(inputs)}").encode()
            c = lib.tp_input_at(graph.c, name, kind.code, shape_of(tuple(leaf.shape)), here())
            if not c.id:
                fail()
            inputs.append(trace.own(c, leaf._rg if isinstance(leaf, Tensor) else 0))
            return inputs[-1]
        S.trace = trace
        before = S.grad
        try:
            args, names = rebuilt(args, enter), rebuilt(names, enter)
            result = function(*args, **names)
            self.result = result
            self._compile(inputs, options)
        finally:
            S.trace = None
            S.grad = before
            for t in trace.grads:
                t.grad = None
        self.captured = list(trace.captured.values())
        self.flags = [t._rg for t, _ in self.captured]

    def _compile(self, inputs: List[Tensor], options: Dict[str, Any]) -> None:
        trace, graph, place = self.trace, self.graph, here()
        outputs: List[Tensor] = []
        rebuilt(self.result, lambda t: outputs.append(t))
        self.outputs = [t if isinstance(t, Tensor) and t._t is trace else None for t in outputs]
        self.constants = outputs
        news = [new for _, new in trace.changed.values()]
        wanted = [trace.handle(t) for t in self.outputs if t is not None] + [
            trace.handle(t) for t in news]
        handles = CList(len(wanted), (CTensor * max(len(wanted), 1))(*wanted))
        graph.check()
        if trace.optimizer is not None:
            names = {id(p): p._homes[graph][3] for p in trace.trained}
            frozen = [e[3] for t, e in trace.captured.values()
                      if id(t) not in names and t.dtype.kind == "f"]
            opt, table = trace.optimizer.opt(names, frozen)
            args = T.tp_train_args(loss=trace.loss, opt=opt, also=handles,
                                   lr=lib.tp_given(trace.optimizer._rate()), **options)
            self.program = lib.tp_compile_train_at(args, place)
            del table
        else:
            if not wanted:
                raise Error("a compiled function that returns no tensor and changes nothing")
            self.program = lib.tp_compile_at(graph.c, handles, T.tp_compile_args(
                mode=lib.constants["TP_TRAIN"], **options), place)
        graph.check()
        self.inputs: List[Optional[np.ndarray]] = []
        for t in inputs:
            size = ctypes.c_size_t()
            if lib.tp_buffer(self.program, t._c, ctypes.byref(size)):
                self.inputs.append(_view(self.program, t._c, tuple(t.shape), t.dtype))
            else:  # it is not read
                lib.tp_clear_error(graph.c)
                self.inputs.append(None)
        self.views = [None if t is None else _view(self.program, t._c, tuple(t.shape), t.dtype)
                      for t in self.outputs]
        self.changes = [(t, _view(self.program, trace.handle(new), tuple(new.shape), new.dtype))
                        for t, new in trace.changed.values()]
        self.rows = [(p, p._homes[graph]) for p in trace.trained]
        self.key = trace.optimizer.key() if trace.optimizer is not None else None

    def holds(self) -> bool:
        """Is what was recorded still what the function would do?"""
        for module, training in self.trace.modes:
            if module.training != training:
                return False
        for (t, _), flag in zip(self.captured, self.flags):
            if t._rg != flag:
                return False
        optimizer = self.trace.optimizer
        return S.grad == self.grad and (optimizer is None or optimizer.key() == self.key)

    def run(self, leaves: List[Any]) -> Any:
        for view, leaf in zip(self.inputs, leaves):
            if view is not None:
                np.copyto(view, leaf._array() if isinstance(leaf, Tensor) else leaf)
        for t, entry in self.captured:
            if entry[1] != t._version:
                push(t, entry)
        if self.trace.optimizer is not None:
            self.trace.optimizer.set_rate(self.graph)
        if not lib.tp_run(self.program):
            self.graph.check()
        for p, entry in self.rows:
            if p._home is not entry[2]:
                trained(p, entry)
        for t, view in self.changes:
            t._np, t._c, t._home = view.copy(), None, None
            t._version += 1
        at = iter(zip(self.views, self.outputs, self.constants))

        def leave(_: Any) -> Any:
            view, traced, constant = next(at)
            if view is None or traced is None:
                return constant
            t = blank()
            _set_up(t, view.copy())
            t._dt = traced.dtype
            return t
        return rebuilt(self.result, leave)


class Compiled:
    """A function that is compiled for each form of its arguments."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self.function, self.options = function, options
        self.graph = Graph()
        self.programs: Dict[Any, List[_Program]] = {}
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **names: Any) -> Any:
        if S.trace is not None:
            return self.function(*args, **names)
        leaves: List[Any] = []
        form = flatten((args, names), leaves)
        for program in self.programs.get(form, ()):
            if program.holds():
                return program.run(leaves)
        try:
            program = _Program(self.function, self.graph, args, names, self.options)
        except _Elsewhere as there:
            self.graph = there.graph
            program = _Program(self.function, self.graph, args, names, self.options)
        self.programs.setdefault(form, []).append(program)
        return program.run(leaves)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def explain(self) -> str:
        """What the kernels compute, and why each is not one with those that it reads."""
        texts = [lib.tp_explain(p.program, None) for ps in self.programs.values() for p in ps]
        return "\n".join(t.decode() for t in texts if t)


def compile(function: Any = None, *, precision: Any = None, threads: int = 0,  # noqa: A001
            memory: int = 0, device: Any = None, fullgraph: bool = True,
            dynamic: Any = None, mode: Any = None, tf32: bool = False) -> Any:
    """`@taper.compile`, or `step = taper.compile(step, precision=taper.bfloat16)`.

    device: "cuda", "cuda:1", or "cuda-emu", the CPU as a GPU; tensors stay the host's, and what
    the function reads and gives is copied. fullgraph, dynamic and mode are torch.compile's, and
    change nothing: a function is always one program, for each form of its arguments. tf32: on a
    GPU, large products of float32 are computed from TF32, by tensor cores.
    """
    options: Dict[str, Any] = {"threads": threads, "memory": memory, "tf32": tf32}
    if device is not None:
        options["device"] = str(device).encode()
    if precision is not None:
        options["precision"] = dt.as_dtype(precision).code
    if function is None:
        return lambda f: compile(f, precision=precision, threads=threads, memory=memory,
                                 device=device, tf32=tf32)
    from .nn.module import Module
    if isinstance(function, Module):
        return Compiled(lambda *a, **k: function(*a, **k), **options)
    return Compiled(function, **options)
