"""Elementwise functions, comparisons, where: rows of ir/ops.def and frontend/formulas.def."""

from __future__ import annotations

import math
from typing import Any, Callable, Optional, Sequence

from . import _dtype as dt
from ._core import CList, CTensor, Error, S, here, on_cpu
from ._library import lib
from ._tensor import Tensor, as_tensor, binary, cast, handle, in_place_is_good, pair, unary, wrap

CNumbers = lib.types.tp_numbers


def real(x: Any) -> Tensor:
    """As a floating tensor: integers become float32."""
    x = as_tensor(x)
    return x if x.dtype.kind == "f" else cast(x, dt.float32)


def formula(name: str, tensors: Sequence[Any], numbers: Sequence[float] = (),
            diff: bool = True) -> Tensor:
    """A row of formulas.def."""
    held = [t for t in tensors if isinstance(t, Tensor)]
    handles = (CTensor * len(tensors))(*[handle(t) for t in tensors])
    given = CNumbers(len(numbers), (lib.types.tp_numbers._fields_[1][1])(*numbers))
    return wrap(lib.tp_formula_at(name.encode(), CList(len(tensors), handles), given, here()),
                held[0], None, diff, held[1:])


REAL = ("exp exp2 expm1 log log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh "
        "atanh erf erfc erfinv").split()
KEEPS = "neg abs sign relu floor ceil round trunc".split()
FORMULAS = "sigmoid log2 log10 deg2rad rad2deg sinc logit reciprocal".split()


def _unary(name: str, needs_real: bool) -> Callable[[Any], Tensor]:
    def function(x: Any) -> Tensor:
        return unary(name, real(x) if needs_real else as_tensor(x))
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of each element."
    return function


def _formula(name: str) -> Callable[[Any], Tensor]:
    def function(x: Any) -> Tensor:
        return formula(name, [real(x)])
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of each element."
    return function


for _name in REAL:
    globals()[_name] = _unary(_name, True)
for _name in KEEPS:
    globals()[_name] = _unary(_name, False)
for _name in FORMULAS:
    globals()[_name] = _formula(_name)
negative = globals()["neg"]
absolute = globals()["abs"]
fix = globals()["trunc"]


def square(x: Any) -> Tensor:
    x = as_tensor(x)
    return formula("square", [x])


def frac(x: Any) -> Tensor:
    return formula("frac", [real(x)])


def add(a: Any, b: Any, *, alpha: float = 1) -> Tensor:
    return binary("add", a, b if alpha == 1 else as_tensor(b) * alpha)


def sub(a: Any, b: Any, *, alpha: float = 1) -> Tensor:
    return binary("sub", a, b if alpha == 1 else as_tensor(b) * alpha)


def mul(a: Any, b: Any) -> Tensor:
    return binary("mul", a, b)


def div(a: Any, b: Any, *, rounding_mode: Optional[str] = None) -> Tensor:
    if rounding_mode == "floor":
        return floor_divide(a, b)
    y = binary("div", a, b)
    return globals()["trunc"](y) if rounding_mode == "trunc" else y


def pow(a: Any, b: Any) -> Tensor:  # noqa: A001
    if isinstance(a, Tensor) and not isinstance(b, Tensor):
        if isinstance(b, int) and a.dtype.kind != "f":
            return _int_power(a, b)
        if b == 2:
            return formula("square", [a if a.dtype.kind == "f" else real(a)])
        if b == 1:
            return a * 1
        return formula("pow_scalar", [real(a)], [float(b)])
    a, b = pair(a, b)
    if isinstance(a, Tensor) and a.dtype.kind != "f":
        to = a.dtype
        return cast(binary("pow", cast(a, dt.float64), cast(b, dt.float64)), to)
    return binary("pow", a, real(b))


def _int_power(a: Tensor, n: int) -> Tensor:
    if n < 0:
        raise Error("integers to a negative power; expected a floating type")
    y: Optional[Tensor] = None
    while n:
        if n & 1:
            y = a if y is None else y * a
        n >>= 1
        a = a * a if n else a
    return a * 0 + 1 if y is None else y * 1


def floor_divide(a: Any, b: Any) -> Tensor:
    a, b = pair(a, b)
    both = [x for x in (a, b) if isinstance(x, Tensor)]
    return wrap(lib.tp_floor_divide_at(handle(a), handle(b), here()), both[0], both[-1])


def _binary(name: str, op: str, diff: bool = True) -> Callable[[Any, Any], Tensor]:
    def function(a: Any, b: Any) -> Tensor:
        return binary(op, a, b, diff)
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of each two elements; shapes broadcast."
    return function


for _name, _op, _diff in (("maximum", "max", True), ("minimum", "min", True),
                          ("remainder", "mod", True), ("fmod", "rem", True), ("eq", "eq", False),
                          ("ne", "ne", False), ("lt", "lt", False), ("le", "le", False),
                          ("bitwise_and", "and", False), ("bitwise_or", "or", False),
                          ("bitwise_xor", "xor", False), ("bitwise_left_shift", "shl", False),
                          ("bitwise_right_shift", "shr", False)):
    globals()[_name] = _binary(_name, _op, _diff)


def gt(a: Any, b: Any) -> Tensor:
    return binary("lt", b, a, False)


def ge(a: Any, b: Any) -> Tensor:
    return binary("le", b, a, False)


def _two(name: str, diff: bool = True) -> Callable[[Any, Any], Tensor]:
    def function(a: Any, b: Any) -> Tensor:
        a, b = pair(a, b)
        a = real(a) if isinstance(a, Tensor) and diff else a
        b = real(b) if isinstance(b, Tensor) and diff else b
        return formula(name, [a, b], (), diff)
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} of each two elements; shapes broadcast."
    return function


for _name in ("hypot", "logaddexp", "copysign", "xlogy"):
    globals()[_name] = _two(_name)


def _truth(x: Any) -> Tensor:
    x = as_tensor(x)
    return x if x.dtype is dt.bool_ else binary("ne", x, 0, False)


def logical_and(a: Any, b: Any) -> Tensor:
    return binary("and", _truth(a), _truth(b), False)


def logical_or(a: Any, b: Any) -> Tensor:
    return binary("or", _truth(a), _truth(b), False)


def logical_xor(a: Any, b: Any) -> Tensor:
    return binary("ne", _truth(a), _truth(b), False)


def logical_not(x: Any) -> Tensor:
    return unary("not", _truth(x), False)


def bitwise_not(x: Any) -> Tensor:
    x = as_tensor(x)
    return unary("not", x, False) if x.dtype is dt.bool_ else -x - 1


def atan2(a: Any, b: Any) -> Tensor:
    return binary("atan2", real(a) if isinstance(a, Tensor) else a,
                  real(b) if isinstance(b, Tensor) else b)


def isnan(x: Tensor) -> Tensor:
    return unary("isnan", real(x), False)


def isinf(x: Tensor) -> Tensor:
    return formula("isinf", [real(x)], (), False)


def isfinite(x: Tensor) -> Tensor:
    return formula("isfinite", [real(x)], (), False)


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8) -> Tensor:
    a, b = pair(as_tensor(a), as_tensor(b))
    return formula("isclose", [real(a), real(b)], [rtol, atol], False)


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    return bool(isclose(a, b, rtol, atol).all())


def equal(a: Tensor, b: Tensor) -> bool:
    return tuple(a.shape) == tuple(b.shape) and bool(binary("eq", a, b, False).all())


def clamp(x: Any, min: Any = None, max: Any = None) -> Tensor:  # noqa: A002
    x = as_tensor(x)
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        x = x if min is None else binary("max", x, min)
        return x if max is None else binary("min", x, max)
    if x.dtype.kind != "f":
        x = x if min is None else binary("max", x, min)
        return x if max is None else binary("min", x, max)
    return formula("clamp", [x], [-math.inf if min is None else min,
                                  math.inf if max is None else max])


clip = clamp


def lerp(a: Any, b: Any, weight: Any) -> Tensor:
    return formula("lerp", [a, b, weight])


def addcmul(x: Any, a: Any, b: Any, *, value: float = 1) -> Tensor:
    return formula("addcmul", [x, a, b], [value])


def addcdiv(x: Any, a: Any, b: Any, *, value: float = 1) -> Tensor:
    return formula("addcdiv", [x, a, b], [value])


def nan_to_num(x: Tensor) -> Tensor:
    return wrap(lib.tp_nan_to_num_at(x._handle(), here()), x)


def where(condition: Any, a: Any = None, b: Any = None) -> Any:
    condition = as_tensor(condition)
    if a is None:
        from .reduce import nonzero
        return nonzero(condition, as_tuple=True)
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        a = as_tensor(a)
    a, b = pair(a, b)
    both = [x for x in (a, b) if isinstance(x, Tensor)]
    return wrap(lib.tp_where_at(_truth(condition)._handle(), handle(a), handle(b), here()),
                both[0], both[-1])


def masked_fill(x: Tensor, mask: Any, value: Any) -> Tensor:
    return where(as_tensor(mask), value, x)


def dot(a: Tensor, b: Tensor) -> Tensor:
    return matmul(a, b)


def matmul(a: Any, b: Any) -> Tensor:
    """By PyTorch's rules for vectors and batches."""
    a, b = pair(as_tensor(a), as_tensor(b))
    return wrap(lib.tp_matmul_at(a._handle(), b._handle(), here()), a, b)


mm = mv = matmul


def bmm(a: Tensor, b: Tensor) -> Tensor:
    return wrap(lib.tp_bmm_at(a._handle(), b._handle(), here()), a, b)


def outer(a: Tensor, b: Tensor) -> Tensor:
    return wrap(lib.tp_outer_at(a._handle(), b._handle(), here()), a, b)


def kron(a: Tensor, b: Tensor) -> Tensor:
    return wrap(lib.tp_kron_at(a._handle(), b._handle(), here()), a, b)


def addmm(x: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    return wrap(lib.tp_addmm_at(x._handle(), a._handle(), b._handle(), beta, alpha, here()),
                a, b, True, (x,))


def einsum(equation: str, *tensors: Any) -> Tensor:
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    handles = (CTensor * len(tensors))(*[t._handle() for t in tensors])
    return wrap(lib.tp_einsum_at(equation.replace(" ", "").encode(),
                                 CList(len(tensors), handles), here()),
                tensors[0], None, True, tensors[1:])


def to(x: Tensor, *args: Any, **names: Any) -> Tensor:
    """To another type, or to the device \"cpu\", which is the one there is."""
    wanted = names.get("dtype")
    on_cpu(names.get("device"))
    for a in args:
        if isinstance(a, Tensor):
            wanted = a.dtype
        elif isinstance(a, str) and a not in dt.BY_NAME:
            on_cpu(a)
        elif not isinstance(a, bool):  # non_blocking
            wanted = a
    return x if wanted is None else cast(x, dt.as_dtype(wanted))


def type_as(x: Tensor, other: Tensor) -> Tensor:
    return cast(x, other.dtype)


def in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """x.f_(..): x takes the value of f(x, ..)."""
    def changed(x: Tensor, *args: Any, **names: Any) -> Tensor:
        in_place_is_good(x)
        y = function(x, *args, **names)
        if tuple(y.shape) != tuple(x.shape):
            raise Error(f"a result of shape {tuple(y.shape)} in place of {tuple(x.shape)}")
        x._assign(cast(y, x.dtype))
        return x
    changed.__name__ = function.__name__ + "_"
    return changed


def attach(cls: Any) -> None:
    """All of these as methods and operators of Tensor."""
    here_ = globals()
    names = (REAL + KEEPS + FORMULAS + """square frac add sub mul div pow floor_divide maximum
        minimum remainder fmod eq ne lt le gt ge logical_and logical_or logical_xor logical_not
        atan2 isnan isinf isfinite isclose allclose equal clamp clip lerp addcmul addcdiv
        nan_to_num masked_fill dot matmul mm mv bmm outer kron to type_as hypot logaddexp bitwise_and
        bitwise_or bitwise_xor bitwise_not negative absolute fix copysign xlogy""".split())
    for name in names:
        setattr(cls, name, here_[name])
    for name, same in (("less", "lt"), ("less_equal", "le"), ("greater", "gt"),
                       ("greater_equal", "ge"), ("not_equal", "ne"), ("arctan2", "atan2")):
        setattr(cls, name, here_[same])
    for name in """add sub mul div pow clamp clip exp log sqrt sigmoid tanh relu neg abs floor
            ceil round lerp addcmul addcdiv masked_fill reciprocal""".split():
        setattr(cls, name + "_", in_place(here_[name]))
    cls.where = lambda self, condition, other: where(condition, self, other)
    cls.multiply, cls.divide, cls.subtract, cls.true_divide = mul, div, sub, div
    for name, kind in (("float", dt.float32), ("double", dt.float64), ("half", dt.float16),
                       ("bfloat16", dt.bfloat16), ("int", dt.int32), ("long", dt.int64),
                       ("bool", dt.bool_), ("short", dt.int16), ("byte", dt.uint8)):
        setattr(cls, name, lambda self, _kind=kind: cast(self, _kind))
    cls.type = lambda self, kind=None: to(self, kind) if kind is not None else repr(self.dtype)
    cls.cpu = lambda self: self
    cls.cuda = lambda self, *_: on_cpu("cuda")
    cls.contiguous = lambda self: self
    cls.clone = lambda self: self * 1 if self.dtype.kind != "b" else logical_or(self, self)
    for op, function in (("add", add), ("sub", sub), ("mul", mul), ("truediv", div),
                         ("pow", pow), ("matmul", matmul), ("floordiv", floor_divide),
                         ("mod", here_["remainder"]), ("and", here_["bitwise_and"]),
                         ("or", here_["bitwise_or"]), ("xor", here_["bitwise_xor"]),
                         ("lshift", here_["bitwise_left_shift"]),
                         ("rshift", here_["bitwise_right_shift"])):
        setattr(cls, f"__{op}__", _operator(function))
        setattr(cls, f"__r{op}__", _operator(function, True))
        setattr(cls, f"__i{op}__", in_place(function))
    for op, function in (("eq", here_["eq"]), ("ne", here_["ne"]), ("lt", here_["lt"]),
                         ("le", here_["le"]), ("gt", gt), ("ge", ge)):
        setattr(cls, f"__{op}__", _operator(function))
    cls.__neg__ = here_["neg"]
    cls.__pos__ = lambda self: self
    cls.__abs__ = here_["abs"]
    cls.__invert__ = bitwise_not


def _operator(function: Any, turned: bool = False) -> Any:
    """Python's protocol: what is no number and no array is for the other one to say."""
    def method(self: Tensor, other: Any) -> Any:
        if other is None or isinstance(other, (str, dict, set)):
            return NotImplemented
        return function(other, self) if turned else function(self, other)
    return method
