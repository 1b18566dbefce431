"""Graphs, the eager tape, places in the user's program, and errors.

There is one eager graph. Each operation is computed as it is recorded; which tensors are still held
Python knows, and tells the library now and then (`sweep`), which forgets the rest of the tape.
While a function is traced for compiling, operations go to a graph that only records.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any, Dict, List, Optional, Tuple
from weakref import ref

from ._library import lib

CTensor = lib.types.tp_tensor
CLoc = lib.types.tp_loc
CShape = lib.types.tp_shape
CList = lib.types.tp_list

ROOT = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Error(RuntimeError):
    """What is refused: one line that names the place, what was found and expected."""

    def __init__(self, words: str, placed: bool = False) -> None:
        if not placed:
            at = here()
            words = f"{at.file.decode()}:{at.line}: {words}"
        super().__init__(words)


class Graph:
    """A tp_graph that frees itself."""

    def __init__(self, seed: int = 0, eager: bool = False) -> None:
        self.c = (lib.tp_eager_new if eager else lib.tp_graph_new)(seed)
        if not self.c:
            raise MemoryError("taper: no memory for a graph")
        self.eager = eager

    def check(self) -> None:
        """Raises the graph's error, if there is one, and lets it go on."""
        text = lib.tp_error(self.c)
        if text is None:
            return
        status = lib.tp_status(self.c)
        lib.tp_clear_error(self.c)
        words = text.decode("utf-8", "replace")
        raise NotImplementedError(words) if status == 3 else Error(words, True)

    def __del__(self) -> None:
        if lib is not None and self.c:
            lib.tp_graph_free(self.c)


class State:
    """What is global: the eager tape, whether gradients are wanted, what is being traced."""

    def __init__(self) -> None:
        self.graph = Graph(eager=True)
        self.grad = True
        self.trace: Optional[Any] = None  # compile.Trace
        self.held: List["ref[Any]"] = []  # tensors with a node in the eager graph
        self.limit = 4096  # of nodes, at which the tape is swept
        self.swept_bytes = 0
        self.since = 0  # results since the tape was looked at


S = State()

def on_cpu(device: Any) -> None:
    """Tensors are the CPU's: another device is refused, not passed over."""
    if device is not None and str(device).split(":")[0] != "cpu":
        raise NotImplementedError(f"device {str(device)!r}: tensors are the CPU's; expected "
                                  "'cpu' or no device; taper.compile(f, device='cuda') runs f "
                                  "there")


# --- places ---------------------------------------------------------------------------------------

_files: Dict[str, bytes] = {}
_no_place = CLoc(b"python", 0)


def _short(name: str) -> str:
    """A file without its folder; a notebook's cell as its traceback has it: In[3]."""
    if "ipykernel" not in name:
        return os.path.basename(name)
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    number = getattr(getattr(shell, "compile", None), "_filename_map", {}).get(name)
    return "cell" if number is None else f"In[{number}]"


def here() -> Any:
    """The innermost line outside of this package."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        name = code.co_filename
        if not name.startswith(ROOT):
            file = _files.get(name)
            if file is None:
                file = _files[name] = _short(name).encode("utf-8", "replace")
            return CLoc(file, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return _no_place


# --- the tape -------------------------------------------------------------------------------------


def sweep() -> None:
    """Forgets what no tensor holds. Tensors without a gradient keep their numbers alone."""
    live = []
    for weak in S.held:
        t = weak()
        if t is not None and t._c is not None and t._c.g == S.graph.c:
            live.append(t)
    count = len(live)
    handles = (CTensor * max(count, 1))(*[t._c for t in live])
    derived = (ctypes.c_bool * max(count, 1))(*[bool(t._fn) for t in live])
    if not lib.tp_keep(S.graph.c, count, handles, derived):
        S.graph.check()
        raise Error("taper: the tape could not be swept")
    for t, handle in zip(live, handles):
        t._c.id = handle.id
    S.held = [ref(t) for t in live]
    size = ctypes.c_size_t()
    nodes = lib.tp_tape(S.graph.c, ctypes.byref(size))
    S.limit = 2 * nodes + 4096
    S.swept_bytes = size.value


def swept_if_long() -> None:
    """Called every few results: a long tape of what nobody holds is swept."""
    S.since = 0
    size = ctypes.c_size_t()
    nodes = lib.tp_tape(S.graph.c, ctypes.byref(size))
    if nodes > S.limit or size.value > 2 * S.swept_bytes + (256 << 20):
        sweep()


# --- arguments ------------------------------------------------------------------------------------

Dims = Tuple[int, ...]


def shape_of(dims: Any) -> Any:
    n = len(dims)
    if n > 8:
        raise Error(f"{n} axes; expected at most 8")
    return CShape(n, (ctypes.c_int64 * 8)(*dims))


def number(value: float) -> Any:
    return CTensor(None, CTensor._Value(number=value))


def packed_axes(dims: Any) -> int:
    """Several axes as tp_axes() packs them."""
    packed = (len(dims) + 1) << 40
    for i, d in enumerate(dims):
        packed |= (d & 15) << 4 * i
    return packed


ALL_AXES = (1 << 63) - 1
NONE = CTensor(None, CTensor._Value(number=0.0))


def option(value: float) -> float:
    """A number where 0 would mean its default: a zero that is meant is -0.0."""
    return -0.0 if value == 0 else float(value)
