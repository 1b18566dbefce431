"""Gradients on the tape: accumulation, graphs of gradients, what is kept, messages."""

import gc

import numpy as np
import pytest

import taper as tp
from support import close, derived
from taper._core import S
from taper._library import lib


def leaf(*values):
    return tp.tensor(list(values), requires_grad=True)


def test_reuse_adds_up():
    x = leaf(3.0)
    y = x * x + x
    (y * x).sum().backward()
    assert x.grad.item() == 3 * 9 + 2 * 3


def test_accumulates_until_zeroed():
    x = leaf(1.0, 2.0)
    for _ in range(3):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [6, 6]
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_a_second_time_is_an_error():
    x = leaf(1.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(tp.Error, match="second time"):
        y.backward()


def test_retain_graph():
    x = leaf(3.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12


def test_stale_history_is_an_error():
    x = leaf(1.0)
    h = x * 2
    h.sum().backward()
    with pytest.raises(tp.Error, match="second time"):
        (h * 3).sum().backward()


def test_two_losses_share_what_is_not_derived():
    a, b = leaf(2.0), leaf(5.0)
    fake = a * 3
    first = (fake.detach() * b).sum()
    first.backward()
    (fake * b).sum().backward()
    assert a.grad.item() == 15 and b.grad.item() == 12


def test_no_grad():
    x = leaf(2.0)
    with tp.no_grad():
        y = x * x
    assert not y.requires_grad
    z = (y * x).sum()
    z.backward()
    assert x.grad.item() == 4  # y is a constant

    @tp.no_grad()
    def f(x):
        return x * x
    assert not f(x).requires_grad
    with tp.no_grad(), tp.enable_grad():
        assert (x * x).requires_grad


def test_detach():
    x = leaf(2.0)
    d = x.detach()
    assert not d.requires_grad
    (d * x).sum().backward()
    assert x.grad.item() == 2


def test_backward_with_a_cotangent():
    x = leaf(1.0, 2.0, 3.0)
    (x * x).backward(tp.tensor([1.0, 10.0, 100.0]))
    assert x.grad.tolist() == [2, 40, 600]
    with pytest.raises(tp.Error, match="scalar"):
        (x * x).backward()
    with pytest.raises(tp.Error, match="shape"):
        (x * x).backward(tp.ones(2))


def test_unreached_stays_none():
    a, b = leaf(1.0), leaf(1.0)
    (a * 2).sum().backward()
    assert b.grad is None and a.grad is not None


def test_retain_grad_and_hooks():
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    (y * y).sum().backward()
    assert y.grad.item() == 12 and seen == [36]


def test_autograd_grad():
    a, b = leaf(2.0), leaf(3.0)
    ga, gb = tp.grad((a * a * b).sum(), (a, b))
    assert (ga.item(), gb.item()) == (12, 4) and a.grad is None
    with pytest.raises(tp.Error, match="allow_unused"):
        tp.grad((a * 1).sum(), (b,))
    assert tp.grad((a * 1).sum(), (b,), allow_unused=True) == (None,)


@pytest.mark.parametrize("n,want", [(1, 4 * 27.0), (2, 12 * 9.0), (3, 24 * 3.0), (4, 24.0)])
def test_gradients_of_gradients(n, want):
    f = lambda x: x ** 4  # noqa: E731
    for _ in range(n):
        f = tp.grad(f)
    assert f(3.0).item() == pytest.approx(want)


def test_create_graph():
    x = leaf(1.0, 2.0)
    y = (x ** 3).sum()
    g, = tp.grad(y, x, create_graph=True)
    g.sum().backward()
    assert x.grad.tolist() == [6, 12]


def test_jvp_vjp_hessian():
    f = lambda x: (x.sin() * x).sum()  # noqa: E731
    x, v = tp.tensor([0.3, 1.2], dtype=tp.float64), tp.tensor([1.0, -2.0], dtype=tp.float64)
    _, forward = tp.jvp(f, (x,), (v,))
    g = tp.grad(f)(x)
    close(forward, (g.detach() * v).sum().item(), 1e-9)
    y, pull = tp.vjp(lambda x: x * x, x)
    close(pull(v)[0], 2 * x.numpy() * v.numpy(), 1e-12)
    want = np.diag(2 * np.cos(x.numpy()) - x.numpy() * np.sin(x.numpy()))
    close(tp.hessian(f, x), want, 1e-9, 1e-12)
    _, second = tp.jvp(tp.grad(f), (x,), (v,))
    close(second, want @ v.numpy(), 1e-9, 1e-12)


def test_errors_name_the_line():
    a, b = tp.ones(2, 3), tp.ones(4)
    with pytest.raises(tp.Error, match=r"^test_autograd\.py:\d+: add: .*\[2 3\].*\[4\]"):
        a + b
    assert (a + 1).sum().item() == 12  # and goes on
    for bad in (lambda: a @ b, lambda: a.reshape(5), lambda: tp.cat([a, b]), lambda: a.sum(7)):
        with pytest.raises((tp.Error, IndexError)):
            bad()


def test_the_tape_is_bounded():
    w = tp.ones(8, requires_grad=True)
    for _ in range(50):
        (w * w).sum().backward()
    assert lib.tp_tape(S.graph.c, None) < 500
    x = tp.ones(8)
    for _ in range(20000):
        x = x + 1
    gc.collect()
    assert lib.tp_tape(S.graph.c, None) < 20000 and len(S.held) < 20000
    assert x[0].item() == 20001


def test_values_survive_sweeps():
    from taper._core import sweep
    x = leaf(1.0, 2.0)
    y = x.exp()
    z = y[1:] * 3
    plain = tp.tensor([5.0]) * 2
    for _ in range(3):
        sweep()
    assert plain.item() == 10
    z.sum().backward()
    close(x.grad, [0, 3 * np.exp(2)], 1e-6)


@pytest.mark.parametrize("f", [
    lambda x: x.softmax(1), lambda x: x.log_softmax(0), lambda x: x.logsumexp(1),
    lambda x: x.var(0), lambda x: x.std(1), lambda x: x.cumsum(1), lambda x: x.cumprod(0),
    lambda x: x.prod(1), lambda x: x.norm(), lambda x: x.amax(1), lambda x: x.max(0).values,
    lambda x: x.sort(1).values, lambda x: x.topk(2).values, lambda x: x.mean((0, 1)),
    lambda x: x.t() @ x, lambda x: x[1], lambda x: x[:, ::2], lambda x: x[[0, 1, 1]],
    lambda x: x[x > 0.8], lambda x: x.reshape(-1), lambda x: x.permute(1, 0), lambda x: x.flip(1),
    lambda x: x.roll(1, 0), lambda x: x.tril(), lambda x: x.repeat(2, 1),
    lambda x: x.expand(2, *x.shape), lambda x: tp.cat([x, x * x], 1), lambda x: tp.stack([x, -x]),
    lambda x: tp.einsum("ij,kj->ik", x, x), lambda x: x.split(1)[0], lambda x: x.chunk(2, 1)[1],
    lambda x: x.unbind(1)[2], lambda x: x.median(), lambda x: x.gather(1, tp.tensor([[0], [2]])),
    lambda x: tp.outer(x[0], x[1]), lambda x: tp.bmm(x[None], x.t()[None]), lambda x: x.diagonal(),
    lambda x: x.logcumsumexp(1), lambda x: x.quantile(0.3, 1), lambda x: x.narrow(1, 1, 2),
])
def test_gradient_of(f):
    derived(f, np.array([[0.5, 1.7, -0.3], [2.2, -1.1, 0.9]]))


def test_gradcheck():
    x, w = tp.randn(4, 3), tp.randn(3, 2)
    assert tp.autograd.gradcheck(lambda x, w: (tp.tanh(x @ w), x.exp()), (x, w))
    at = tp.tensor([0.0, 1.0])
    assert not tp.autograd.gradcheck(tp.relu, at, raise_exception=False)
    with pytest.raises(tp.Error, match="test_autograd.py:.*differences say"):
        tp.autograd.gradcheck(tp.relu, (at,))
    assert tp.autograd.gradcheck(tp.relu, at + 0.5)
