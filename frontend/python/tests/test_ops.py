"""Each function of elements, its values against NumPy's and its derivative against differences."""

import math

import numpy as np
import pytest

import taper as tp
from support import close, derived

X = np.array([[-1.7, -0.4, 0.3], [0.9, 1.6, 2.2]])
P = np.abs(X) + 0.2
U = np.array([[-0.9, -0.4, 0.3], [0.1, 0.6, 0.8]])
erf = np.vectorize(math.erf)

UNARY = [
    ("exp", X, np.exp), ("exp2", X, np.exp2), ("expm1", X, np.expm1), ("log", P, np.log),
    ("log1p", P, np.log1p), ("log2", P, np.log2), ("log10", P, np.log10), ("sqrt", P, np.sqrt),
    ("rsqrt", P, lambda x: 1 / np.sqrt(x)), ("sin", X, np.sin), ("cos", X, np.cos),
    ("tan", U, np.tan), ("asin", U, np.arcsin), ("acos", U, np.arccos), ("atan", X, np.arctan),
    ("sinh", X, np.sinh), ("cosh", X, np.cosh), ("tanh", X, np.tanh), ("asinh", X, np.arcsinh),
    ("acosh", P + 1, np.arccosh), ("atanh", U, np.arctanh), ("erf", X, erf),
    ("erfc", X, lambda x: 1 - erf(x)), ("neg", X, np.negative), ("abs", X, np.abs),
    ("sign", X, np.sign), ("relu", X, lambda x: np.maximum(x, 0)), ("floor", X, np.floor),
    ("ceil", X, np.ceil), ("round", X, np.round), ("trunc", X, np.trunc),
    ("sigmoid", X, lambda x: 1 / (1 + np.exp(-x))), ("square", X, np.square),
    ("reciprocal", P, np.reciprocal), ("deg2rad", X, np.deg2rad), ("rad2deg", X, np.rad2deg),
    ("sinc", X, np.sinc), ("logit", (U + 1) / 2, lambda p: np.log(p / (1 - p))),
]


@pytest.mark.parametrize("name,x,want", UNARY, ids=[u[0] for u in UNARY])
def test_unary_value(name, x, want):
    close(getattr(tp, name)(tp.tensor(x)), want(x), 1e-9, 1e-9)
    close(getattr(tp.tensor(x, dtype=tp.float32), name)(), want(x), 2e-6, 1e-6)


@pytest.mark.parametrize("name,x,want", UNARY, ids=[u[0] for u in UNARY])
def test_unary_gradient(name, x, want):
    derived(getattr(tp, name), x)


BINARY = [
    ("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("div", np.divide),
    ("pow", np.power), ("maximum", np.maximum), ("minimum", np.minimum), ("atan2", np.arctan2),
    ("hypot", np.hypot), ("logaddexp", np.logaddexp), ("fmod", np.fmod),
    ("remainder", np.remainder), ("copysign", np.copysign),
]
SHAPES = [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((3,), ()), ((2, 1, 3), (4, 1))]


def two(shapes):
    r = np.random.default_rng(3)
    return [r.uniform(0.5, 2.0, s) for s in shapes]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name,want", BINARY, ids=[b[0] for b in BINARY])
def test_binary_value(name, want, shapes):
    a, b = two(shapes)
    close(getattr(tp, name)(tp.tensor(a), tp.tensor(b)), want(a, b), 1e-9, 1e-9)


@pytest.mark.parametrize("shapes", SHAPES[1:4:2], ids=str)
@pytest.mark.parametrize("name,want", [b for b in BINARY if b[0] not in ("fmod", "remainder")],
                         ids=[b[0] for b in BINARY if b[0] not in ("fmod", "remainder")])
def test_binary_gradient(name, want, shapes):
    derived(getattr(tp, name), *two(shapes))


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_comparison(name):
    import operator
    a, b = np.array([1., 2., 3.]), np.array([1., 3., 2.])
    got = getattr(operator, name)(tp.tensor(a), tp.tensor(b))
    assert got.dtype == tp.bool and not got.requires_grad
    np.testing.assert_array_equal(got.numpy(), getattr(operator, name)(a, b))
    np.testing.assert_array_equal(getattr(operator, name)(tp.tensor(a), 2).numpy(),
                                  getattr(operator, name)(a, 2))


OPERATORS = {
    "x+2": lambda x: x + 2, "2+x": lambda x: 2 + x, "x-2": lambda x: x - 2, "2-x": lambda x: 2 - x,
    "x*2": lambda x: x * 2, "2*x": lambda x: 2 * x, "x/2": lambda x: x / 2, "2/x": lambda x: 2 / x,
    "x**2": lambda x: x ** 2, "x**3": lambda x: x ** 3, "x**-1": lambda x: x ** -1,
    "x**0.5": lambda x: x ** 0.5, "2**x": lambda x: 2 ** x, "-x": lambda x: -x,
    "x@x.T": lambda x: x @ x.T, "abs": abs, "x//2": lambda x: x // 2, "x%2": lambda x: x % 2,
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operator(name):
    f = OPERATORS[name]
    close(f(tp.tensor(P)), f(P), 1e-9)
    if name != "x//2":
        derived(f, P)


@pytest.mark.parametrize("a", ["uint8", "int32", "int64", "float16", "float32", "float64", "bool"])
@pytest.mark.parametrize("b", ["int32", "int64", "float32", "float64", "bool"])
def test_types_promote(a, b):
    """As NumPy's, but that a floating type of any width goes before integers."""
    x, y = tp.ones(3, dtype=a), tp.ones(3, dtype=b)
    kinds = [tp.ones(1, dtype=t).dtype for t in (a, b)]
    floats = [k for k in kinds if k.kind == "f"]
    want = max(floats, key=lambda k: k.itemsize) if floats else np.promote_types(a, b)
    assert (x * y).dtype == want
    assert (x + y).numpy().tolist() == [2.0 if floats or want != bool else True] * 3


def test_numbers_and_types():
    i, f = tp.arange(4), tp.arange(4.0)
    assert i.dtype == tp.int64 and f.dtype == tp.float32
    assert (i + 1).dtype == tp.int64 and (i + 1.5).dtype == tp.float32
    assert (i / 2).dtype == tp.float32 and (i // 2).dtype == tp.int64
    assert (f + 1).dtype == tp.float32 and (f.double() + 1).dtype == tp.float64
    assert tp.tensor([True, False]).dtype == tp.bool
    assert (i > 1).sum().item() == 2
    assert i.sum().dtype == tp.int64 and (i ** 2).tolist() == [0, 1, 4, 9]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "float16",
                                   "bfloat16", "float32", "float64", "bool"])
def test_cast(dtype):
    x = tp.tensor([0.0, 1.0, 3.0]).to(dtype)
    assert x.dtype.name == dtype
    assert x.float().tolist() == ([0, 1, 1] if dtype == "bool" else [0, 1, 3])


def test_where_clamp_lerp():
    x = tp.tensor(X)
    close(tp.where(x > 0, x, 0.0), np.where(X > 0, X, 0))
    close(x.clamp(-1, 1), np.clip(X, -1, 1))
    close(x.clamp(min=0), np.maximum(X, 0))
    close(tp.lerp(x, x * 3, 0.25), X + 0.25 * 2 * X)
    close(tp.addcmul(x, x, x, value=0.5), X + 0.5 * X * X)
    close(x.masked_fill(x < 0, 9), np.where(X < 0, 9, X))
    derived(lambda x: tp.where(x > 0, x * x, -x), X)
    derived(lambda x: x.clamp(-1, 1), X)
    close(tp.nan_to_num(tp.tensor([1.0, float("nan")])), [1, 0])
    assert tp.isnan(tp.tensor([1.0, float("nan")])).tolist() == [False, True]
    assert tp.allclose(x, x + 1e-9) and not tp.equal(x, x + 1)


def test_logic():
    a, b = tp.tensor([True, True, False]), tp.tensor([True, False, False])
    assert (a & b).tolist() == [True, False, False] and (a | b).tolist() == [True, True, False]
    assert (a ^ b).tolist() == [False, True, False] and (~a).tolist() == [False, False, True]
    assert tp.logical_not(tp.tensor([0.0, 2.0])).tolist() == [True, False]


def test_in_place():
    x = tp.tensor([1.0, 2.0])
    y = x
    x += 1
    x.mul_(2).sub_(1)
    assert y is x and x.tolist() == [3, 5]
    w = tp.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(tp.Error, match="no_grad"):
        w += 1
    with tp.no_grad():
        w -= 0.5
    assert w.requires_grad and w.tolist() == [0.5, 1.5]
    w.data = tp.tensor([4.0, 5.0])
    (w * w).sum().backward()
    assert w.grad.tolist() == [8, 10]
