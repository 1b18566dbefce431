"""ONNX out, as torch.onnx has it: a module or a function, recorded once on the arguments, in
evaluation. Weights stand in the file under their names; extents are those of the arguments."""

from __future__ import annotations

import os
from typing import Any, List, Optional, Sequence

from . import _dtype as dt
from ._core import CList, CTensor, Error, Graph, S, here, shape_of
from ._library import lib
from ._tensor import Tensor, fail
from .compile import Trace, rebuilt


def _record(model: Any, args: Any, graph: Graph, trace: Trace, names: Sequence[str]) -> List[Tensor]:
    count = 0

    def enter(leaf: Any) -> Tensor:
        nonlocal count
        kind = leaf.dtype if isinstance(leaf, Tensor) else dt.as_dtype(leaf.dtype)
        name = names[count] if count < len(names) else f"input{count}"
        count += 1
        c = lib.tp_input_at(graph.c, name.encode(), kind.code, shape_of(tuple(leaf.shape)), here())
        if not c.id:
            fail()
        return trace.own(c)
    found: List[Tensor] = []
    rebuilt(model(*rebuilt(args, enter)), lambda t: found.append(t))
    if count < len(names):
        raise ValueError(f"{len(names)} input_names for {count} tensors; expected as many")
    for t in found:
        if not isinstance(t, Tensor):
            raise Error("an output that is no tensor of the function; expected what it computes")
    if not found:
        raise Error("a function that returns no tensor; expected an output")
    return found


def export(model: Any, args: Any, f: Any, *, input_names: Optional[Sequence[str]] = None,
           output_names: Optional[Sequence[str]] = None, dynamic_axes: Any = None,
           dynamic_shapes: Any = None) -> None:
    """`taper.onnx.export(model, x, "m.onnx")`; args: a tensor, or a tuple of what model takes."""
    if dynamic_axes or dynamic_shapes:
        raise NotImplementedError("dynamic_axes: extents are those of args; expected none (taper "
                                  "export writes models with a symbolic batch)")
    if S.trace is not None:
        raise Error("export inside of a compiled function; expected it outside")
    args = args if isinstance(args, tuple) else (args,)
    graph, before = Graph(), S.grad
    trace = Trace(graph)
    modes = [(m, m.training) for m in model.modules()] if hasattr(model, "modules") else []
    for module, _ in modes:
        module.training = False
    try:
        S.trace, S.grad = trace, False
        outputs = _record(model, args, graph, trace, input_names or ())
        handles = [trace.handle(t) for t in outputs]
        names = list(output_names or [f"output{i}" for i in range(len(outputs))])
        if len(names) != len(outputs):
            raise ValueError(f"{len(names)} output_names for {len(outputs)} outputs; expected as many")
        graph.check()
        lib.tp_export_onnx_at(graph.c, os.fsencode(f),
                              CList(len(handles), (CTensor * len(handles))(*handles)),
                              ", ".join(names).encode(), here())
        graph.check()
    finally:
        S.trace, S.grad = None, before
        for module, training in modes:
            module.training = training
        for t, _ in trace.captured.values():
            if t._homes is not None:
                t._homes.pop(graph, None)
