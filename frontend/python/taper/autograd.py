"""Gradients: backward along the tape, grad and vjp and jvp of functions, and where none are kept."""

from __future__ import annotations

import ctypes
import functools
from typing import Any, Callable, List, Optional, Sequence, Tuple, Union

import numpy as np

from ._core import CTensor, Error, S, here, number, sweep
from ._library import lib
from ._tensor import LEAVES, Tensor, as_tensor, fail, wrap

Tensors = Union[Tensor, Sequence[Tensor]]


class _Mode:
    """Gradients on or off: in `with`, or for a function that it decorates."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.before: List[bool] = []

    def __enter__(self) -> "_Mode":
        self.before.append(S.grad)
        S.grad = self.wanted
        return self

    def __exit__(self, *_: Any) -> None:
        S.grad = self.before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inside(*args: Any, **names: Any) -> Any:
            with _Mode(self.wanted):
                return function(*args, **names)
        return inside


def _mode(wanted: bool, function: Any) -> Any:
    return _Mode(wanted)(function) if callable(function) else _Mode(wanted)


def no_grad(function: Any = None) -> Any:
    """`with taper.no_grad():`, or as a decorator with or without brackets."""
    return _mode(False, function)


inference_mode = no_grad


def enable_grad(function: Any = None) -> Any:
    return _mode(True, function)


def set_grad_enabled(wanted: bool) -> _Mode:
    return _Mode(wanted)


def is_grad_enabled() -> bool:
    return S.grad


def depends(y: Tensor, x: Sequence[Tensor]) -> List[bool]:
    handles = (CTensor * max(len(x), 1))(*[t._handle() for t in x])
    out = (ctypes.c_bool * max(len(x), 1))()
    lib.tp_depends(y._handle(), len(x), handles, out)
    return list(out[:len(x)])


def vjp_of(y: Tensor, cotangent: Any, x: Sequence[Tensor], keep: bool) -> List[Tensor]:
    """The derivatives by x, as tensors; they may be derived again where `keep` says so."""
    place = here()
    n = max(len(x), 1)
    handles = (CTensor * n)(*[t._handle() for t in x])
    out = (CTensor * n)()
    if cotangent is None:
        arriving = number(1.0)
    else:
        cotangent = as_tensor(cotangent)
        if tuple(cotangent.shape) != tuple(y.shape):
            raise Error(f"a gradient of shape {tuple(cotangent.shape)} for a tensor of "
                        f"{tuple(y.shape)}; expected the same")
        if cotangent.dtype is not y.dtype:
            cotangent = cotangent.to(y.dtype)
        arriving = cotangent._handle()
    if not lib.tp_vjp_at(y._handle(), arriving, len(x), handles, out, place):
        fail()
    grads = []
    for c, t in zip(out, x):
        g = wrap(CTensor(c.g, CTensor._Value(id=c.id)), t, y, settle=False)
        g._sh, g._dt = t._sh, t._dt
        if not keep:
            g._rg, g._fn, g._stop = 0, False, True
        grads.append(g)
    return grads


def _ready(y: Tensor, gradient: Any) -> None:
    if not y._rg:
        raise Error("backward of a tensor that does not require a gradient and has nothing behind "
                    "it that does")
    if y._rg & 2:
        raise Error("backward through the tape a second time; expected retain_graph=True at the "
                    "first, or that it is computed again")
    if gradient is None and y.numel() != 1:
        raise Error(f"backward of a tensor of shape {tuple(y.shape)}; expected a scalar, or a "
                    "gradient for it")


def backward(y: Tensor, gradient: Any, retain: bool, create: bool) -> None:
    if S.trace is not None:
        S.trace.backward(y, gradient)
        return
    _ready(y, gradient)
    if gradient is None and y.ndim:
        from .creation import ones_like
        gradient = ones_like(y)
    if y._fn:
        leaves = []
        for weak in LEAVES:
            t = weak()
            if t is not None and t._rg and t._c is not None and t._home is None and t._t is None:
                leaves.append(t)
        leaves = [t for t, wanted in zip(leaves, depends(y, leaves)) if wanted]
    else:
        leaves = [y]
    if len(LEAVES) > 2 * len(leaves) + 64:
        LEAVES[:] = [weak for weak in LEAVES if weak() is not None]
    for t, g in zip(leaves, vjp_of(y, gradient, leaves, create)):
        for hook in t._hooks or ():
            changed = hook(g)
            g = g if changed is None else changed
        if t.grad is None:
            t.grad = g
        else:
            with _Mode(create):
                t.grad = t.grad + g
    if not retain and not create:
        _consume(y)
        sweep()


def _consume(y: Tensor) -> None:
    """What the tape behind y has served: it cannot be derived again."""
    derived = []
    for weak in S.held:
        t = weak()
        if t is not None and t._fn and t._c is not None:
            derived.append(t)
    for t, behind in zip(derived, depends(y, derived)):
        if behind:
            t._rg, t._fn = 3, False
            t._leafy = t._leafy and not t._rg
    y._rg, y._fn = 3, False


def grad(outputs: Any, inputs: Any = None, grad_outputs: Any = None,
         retain_graph: Optional[bool] = None, create_graph: bool = False,
         allow_unused: bool = False, argnums: Any = 0) -> Any:
    """Of a function: the function that gives its gradient (by argument `argnums`), which may be
    derived again. Of tensors: PyTorch's autograd.grad(outputs, inputs)."""
    if callable(outputs) and not isinstance(outputs, Tensor):
        both = value_and_grad(outputs, inputs if inputs is not None else argnums)
        return functools.wraps(outputs)(lambda *a, **k: both(*a, **k)[1])
    ys = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    xs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    cts = [None] * len(ys) if grad_outputs is None else (
        [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs))
    total: List[Optional[Tensor]] = [None] * len(xs)
    for y, ct in zip(ys, cts):
        if S.trace is None:
            _ready(y, ct)
        used = depends(y, xs)
        if not all(used) and not allow_unused:
            raise Error("one of the inputs is not behind the outputs; expected allow_unused=True "
                        "where that is meant")
        if ct is None and y.ndim:
            from .creation import ones_like
            ct = ones_like(y)
        for i, g in enumerate(vjp_of(y, ct, xs, create_graph)):
            if used[i]:
                total[i] = g if total[i] is None else total[i] + g
    if S.trace is None and not (retain_graph or create_graph):
        for y in ys:
            if y._fn:
                _consume(y)
        sweep()
    return tuple(total)


def _leaf(x: Any) -> Tensor:
    """An argument to derive by: itself where it is part of something that is derived already."""
    x = as_tensor(x)
    if x._rg:
        return x + 0.0 if x._fn else x
    if S.trace is not None:
        x = x + 0.0
        x._rg = 1
        return x
    return x.detach().requires_grad_()


def _called(function: Callable[..., Any], args: Any, argnums: Any, names: Any) -> Any:
    places = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    args = list(args)
    xs = []
    for i in places:
        args[i] = _leaf(args[i])
        xs.append(args[i])
    with _Mode(True):
        return function(*args, **names), xs


def value_and_grad(function: Callable[..., Any], argnums: Any = 0) -> Callable[..., Any]:
    def both(*args: Any, **names: Any) -> Any:
        y, xs = _called(function, args, argnums, names)
        if not isinstance(y, Tensor) or y.ndim:
            raise Error("grad of a function that does not return a scalar")
        with _Mode(True):
            grads = vjp_of(y, None, xs, True) if y._rg else [x * 0 for x in xs]
        return y, grads[0] if isinstance(argnums, int) else tuple(grads)
    return both


def vjp(function: Callable[..., Any], *primals: Any) -> Tuple[Tensor, Callable[[Any], Any]]:
    """The value, and the function from a cotangent to the gradients."""
    y, xs = _called(function, primals, tuple(range(len(primals))), {})

    def pull(cotangent: Any) -> Any:
        return tuple(vjp_of(y, cotangent, xs, True))
    return y, pull


def jvp(function: Callable[..., Any], primals: Sequence[Any],
        tangents: Sequence[Any]) -> Tuple[Any, Any]:
    """The value, and how it changes along the tangents: forward mode, one pass."""
    y, xs = _called(function, primals, tuple(range(len(primals))), {})
    ys = [y] if isinstance(y, Tensor) else list(y)
    moves = [as_tensor(t, x.dtype) for t, x in zip(tangents, xs)]
    n = len(xs)
    along = (CTensor * n)(*[x._handle() for x in xs]), (CTensor * n)(*[t._handle() for t in moves])
    changes = []
    for t in ys:
        out = CTensor()
        if not lib.tp_jvp_at(t._handle(), n, *along, ctypes.byref(out), here()):
            fail()
        changes.append(wrap(out, t, None, True, moves, False))
    return (y, changes[0]) if isinstance(y, Tensor) else (tuple(ys), tuple(changes))


def jacobian(function: Callable[..., Tensor], x: Any) -> Tensor:
    """[outputs.. inputs..], a backward pass for each output."""
    from .moves import stack
    y, (leaf,) = _called(function, (x,), (0,), {})
    flat = y.reshape(-1)
    rows = [vjp_of(flat[i], None, [leaf], True)[0] for i in range(flat.numel())]
    return stack(rows).reshape(*y.shape, *leaf.shape)


def hessian(function: Callable[..., Tensor], x: Any) -> Tensor:
    return jacobian(grad(function), x)


def gradcheck(function: Callable[..., Any], inputs: Any, raise_exception: bool = True) -> bool:
    """Are the derivatives of a function right at these inputs? In f64 against central differences
    and forward mode (tp_gradcheck); PyTorch's autograd.gradcheck. For custom functions above all."""
    given = [inputs] if isinstance(inputs, Tensor) else [as_tensor(x) for x in inputs]
    xs = []
    for t in given:
        x = Tensor(np.array(t._array(), copy=True))
        xs.append(x.requires_grad_() if x.dtype.is_floating_point else x)
    made = function(*xs)
    total = as_tensor(0.0)
    for i, y in enumerate([made] if isinstance(made, Tensor) else list(made)):
        weights = as_tensor(np.cos(np.arange(y.numel()) + 0.5).reshape(tuple(y.shape)))
        part = (y * weights.to(y.dtype)).sum()
        total = part if i == 0 else total + part
    asked = [x for x in xs if x.requires_grad]
    handles = (CTensor * max(len(asked), 1))(*[x._handle() for x in asked])
    if lib.tp_gradcheck_at(total._handle(), len(asked), handles, here()):
        return True
    try:
        fail()
    except Error:
        if raise_exception:
            raise
    return False
