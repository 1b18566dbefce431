"""Code as the courses' suites have it, with the courses' own imports."""

import random
import sys

import numpy as np
import pytest

from taper import compat

for _name in compat.PARTS:
    compat.install(_name)

import micrograd.engine  # noqa: E402
import minitorch  # noqa: E402
import needle as ndl  # noqa: E402
import needle.nn as nn  # noqa: E402
from micrograd.nn import MLP  # noqa: E402
from minitorch.operators import add, prod, sigmoid  # noqa: E402
from minitorch.testing import MathTest, MathTestVariable  # noqa: E402

ONE, TWO, REDUCED = MathTestVariable._comp_testing()
BACKENDS = {"simple": minitorch.SimpleBackend, "fast": minitorch.TensorBackend(minitorch.FastOps)}


def test_install_refuses_what_there_is_not():
    with pytest.raises(ValueError, match="no adapter 'tinygrad'; there are micrograd, minitorch"):
        compat.install("tinygrad")
    assert sys.modules["needle.nn"] is nn and add(2, 3) == 5 and prod([2, 3]) == 6


# --- micrograd ------------------------------------------------------------------------------------


def test_a_graph_can_be_drawn():
    """What draw_dot goes through: _prev and _op, down to the leaves."""
    a, b = micrograd.engine.Value(2.0, label="a"), micrograd.engine.Value(-3.0)
    y = (a * b + a).tanh()
    nodes, edges = set(), set()

    def build(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                build(child)
    build(y)
    assert len(nodes) == 5 and len(edges) == 5
    assert y._op == "tanh" and {v._op for v in nodes} == {"tanh", "+", "*", ""}
    assert a.label == "a" and a._prev == set()


def test_seed_of_random_decides_a_network():
    outs = []
    for _ in range(2):
        random.seed(5)
        outs.append(MLP(3, [4, 1])([1.0, -2.0, 3.0]).data)
    assert outs[0] == outs[1]


# --- minitorch ------------------------------------------------------------------------------------


def drawn(backend, *shapes):
    chance = np.random.default_rng(len(shapes))
    return [minitorch.tensor(chance.uniform(-5, 5, s), backend=backend) for s in shapes]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fn", ONE, ids=lambda f: f[0])
def test_one_argument(backend, fn):
    _, base, of_tensor = fn
    (t,) = drawn(BACKENDS[backend], (2, 3))
    y = of_tensor(t)
    for i in y._tensor.indices():
        assert y[i] == pytest.approx(base(t[i]), 1e-2, 1e-2)
    minitorch.grad_check(of_tensor, t)
    scalar = of_tensor(minitorch.Scalar(1.25))
    assert scalar.data == pytest.approx(base(1.25), 1e-2, 1e-2)
    minitorch.derivative_check(of_tensor, minitorch.Scalar(1.25))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fn", TWO, ids=lambda f: f[0])
def test_two_arguments(backend, fn):
    _, base, of_tensor = fn
    a, b = drawn(BACKENDS[backend], (2, 3), (2, 3))
    y = of_tensor(a, b)
    for i in y._tensor.indices():
        assert y[i] == pytest.approx(base(a[i], b[i]), 1e-2, 1e-2)
    minitorch.grad_check(of_tensor, a, b)
    minitorch.grad_check(of_tensor, a.sum(0), b)
    assert of_tensor(minitorch.Scalar(2.0), minitorch.Scalar(3.0)).data == pytest.approx(
        base(2.0, 3.0), 1e-2, 1e-2)


@pytest.mark.parametrize("fn", REDUCED, ids=lambda f: f[0])
def test_reductions(fn):
    _, base, of_tensor = fn
    (t,) = drawn(minitorch.SimpleBackend, (4,))
    assert of_tensor(t)[0] == pytest.approx(base([t[i] for i in range(4)]))
    minitorch.grad_check(of_tensor, t)


def test_all_elements_reduce_to_one():
    t = minitorch.tensor([[2, 3], [4, 6], [5, 7]])
    assert t.sum().shape == (1,) and t.sum()[0] == 27 and t.mean()[0] == 4.5
    assert t.sum(1).shape == (3, 1) and t.all().shape == (1,)
    a = minitorch.tensor([1], requires_grad=True)
    b = minitorch.tensor([[1, 1]], requires_grad=True)
    c = (a * b).sum()
    c.backward()
    assert c.shape == (1,) and a.grad.shape == a.shape and b.grad.shape == b.shape
    with pytest.raises(RuntimeError, match="expected one number"):
        b.backward()


def test_tensor_data():
    data = minitorch.TensorData(list(range(15)), (3, 5), (5, 1))
    assert data.is_contiguous() and data.index((1, 2)) == 7 and data.get((2, 4)) == 14
    turned = data.permute(1, 0)
    assert turned.shape == (5, 3) and turned.strides == (1, 5) and not turned.is_contiguous()
    for i in data.indices():
        assert data.index(i) == turned.index(tuple(reversed(i)))
    assert len(list(data.indices())) == 15 and data.index(data.sample()) < 15
    assert minitorch.Tensor(turned)[4, 2] == 14
    turned.set((0, 1), -1)
    assert data.get((1, 0)) == -1  # of one storage
    for bad in [(5, 0), (0, 0, 0), (0, -1)]:
        with pytest.raises(minitorch.IndexingError):
            data.index(bad)
    with pytest.raises(minitorch.IndexingError):
        minitorch.TensorData(list(range(15)), (3, 5), (6,))
    with pytest.raises(minitorch.IndexingError):
        minitorch.tensor([1, 2])[2]


def test_index_arithmetic():
    assert minitorch.strides_from_shape((2, 3, 4)) == (12, 4, 1)
    for ordinal, want in enumerate(np.ndindex(2, 3)):
        got = [0, 0]
        minitorch.to_index(ordinal, (2, 3), got)
        assert tuple(got) == want and minitorch.index_to_position(got, (3, 1)) == ordinal
    small = [7]
    minitorch.broadcast_index([2, 3], [5, 5], [1], small)
    assert small == [0]
    minitorch.broadcast_index([2, 3], [5, 5], [5], small)
    assert small == [3]
    for a, b, want in [((1,), (5, 5), (5, 5)), ((5, 5), (1,), (5, 5)), ((1, 5, 5), (5, 5), (1, 5, 5)),
                       ((5, 1, 5, 1), (1, 5, 1, 5), (5, 5, 5, 5)), ((2, 5), (5,), (2, 5))]:
        assert minitorch.shape_broadcast(a, b) == want
    for a, b in [((5, 7, 5, 1), (1, 5, 1, 5)), ((5, 2), (5,))]:
        with pytest.raises(minitorch.IndexingError):
            minitorch.shape_broadcast(a, b)


def test_backends_make_functions_of_functions():
    a, b = drawn(minitorch.SimpleBackend, (2, 3), (2, 3))
    ops = minitorch.FastOps
    for known, other in [(sigmoid, lambda x: sigmoid(x)), (minitorch.operators.neg, lambda x: -x)]:
        assert ops.map(known)(a).is_close(ops.map(other)(a)).all()[0] == 1
    assert ops.zip(add)(a, b).is_close(ops.zip(lambda x, y: x + y)(a, b)).all()[0] == 1
    for known, other, start in [(add, lambda x, y: x + y, 0.0),
                                (minitorch.operators.mul, lambda x, y: x * y, 1.0)]:
        got = ops.reduce(known, start)(a, 1)
        assert got.shape == (2, 1)
        assert got.is_close(ops.reduce(other, start)(a, 1)).all()[0] == 1
    backend = BACKENDS["fast"]
    assert backend.add_zip(a, b).is_close(a + b).all()[0] == 1
    assert backend.matrix_multiply(a, b.permute(1, 0)).shape == (2, 2)


def test_products_of_batches():
    a, b = drawn(BACKENDS["fast"], (2, 3, 4), (1, 4, 2))
    want = (a.contiguous().view(2, 3, 4, 1) * b.contiguous().view(1, 1, 4, 2)).sum(2).view(2, 3, 2)
    got = a @ b
    for i in got._tensor.indices():
        assert got[i] == pytest.approx(want[i])
    minitorch.grad_check(lambda a, b: a @ b, a, b)


def test_parameters_take_what_wants_gradients():
    class Wants:
        wanted = None

        def requires_grad_(self, x):
            self.wanted = x
    first, second = Wants(), Wants()
    p = minitorch.Parameter(first)
    p.update(second)
    assert first.wanted and second.wanted and minitorch.Parameter(5).value == 5


def test_dropout_is_seen_by_its_samples():
    (t,) = drawn(minitorch.SimpleBackend, (1, 1, 4, 4))
    i = minitorch.dropout(t, 0.0)._tensor.sample()
    assert minitorch.dropout(t, 0.0)[i] == t[i] and minitorch.dropout(t, 1.0)[i] == 0
    x = minitorch.softmax(t, 3).sum(dim=3)
    assert x[0, 0, 0, 0] == pytest.approx(1)


# --- needle ---------------------------------------------------------------------------------------


def gradient_check(f, *args, backward=False):
    """Differences by writing into the arguments' data."""
    numeric = [np.zeros(a.shape) for a in args]
    for i, a in enumerate(args):
        data = a.realize_cached_data()
        for j in range(data.size):
            data.flat[j] += 1e-4
            up = float(f(*args).numpy().sum())
            data.flat[j] -= 2e-4
            down = float(f(*args).numpy().sum())
            data.flat[j] += 1e-4
            numeric[i].flat[j] = (up - down) / 2e-4
    if backward:
        f(*args).sum().backward()
        got = [a.grad.numpy() for a in args]
    else:
        out = f(*args)
        ones = ndl.Tensor(np.ones(out.shape))
        got = [g.numpy() for g in out.op.gradient_as_tuple(ones, out)]
    for g, n in zip(got, numeric):
        np.testing.assert_allclose(g, n, atol=1e-5)


def t64(*shape):
    return ndl.Tensor(np.random.default_rng(sum(shape)).uniform(0.5, 2, shape))


@pytest.mark.parametrize("f,shapes", [
    (ndl.add, [(2, 3), (2, 3)]), (ndl.multiply, [(2, 3), (2, 3)]), (ndl.divide, [(2, 3), (2, 3)]),
    (ndl.matmul, [(2, 3), (3, 2)]), (ndl.matmul, [(2, 2, 3), (3, 2)]), (ndl.log, [(3,)]),
    (ndl.exp, [(3,)]), (ndl.relu, [(3,)]), (ndl.tanh, [(3,)]), (ndl.negate, [(3,)]),
    (lambda x: ndl.power_scalar(x, 3), [(3,)]), (lambda x: ndl.divide_scalar(x, 2), [(3,)]),
    (lambda x: ndl.reshape(x, (3, 2)), [(2, 3)]), (lambda x: ndl.transpose(x), [(1, 2, 3)]),
    (lambda x: ndl.transpose(x, axes=(0, 2)), [(1, 2, 3)]),
    (lambda x: ndl.summation(x, axes=(1,)), [(2, 3)]), (ndl.summation, [(2, 3)]),
    (lambda x: ndl.broadcast_to(x, (3, 3)), [(3, 1)]),
    (lambda x: ndl.broadcast_to(x, (3, 3, 3)), [(1, 3)]),
    (lambda x: ndl.logsumexp(x, (1,)), [(2, 3)]), (ndl.logsoftmax, [(2, 3)]),
    (lambda x: ndl.flip(x, (0,)), [(2, 3)])])
def test_ops_of_needle(f, shapes):
    gradient_check(f, *[t64(*s) for s in shapes])


@pytest.mark.parametrize("f,shapes", [
    (lambda a, b, c: ndl.summation((a @ b + c) * (a @ b), axes=None), [(3, 2), (2, 4), (3, 4)]),
    (lambda a, b: ndl.summation(ndl.broadcast_to(a, (3, 4)) * b, axes=None), [(3, 1), (3, 4)]),
    (lambda a: (ndl.exp(a) - 1) / (2 + a ** 2) - a, [(4,)]),
    (lambda a: ndl.dilate(a, (0, 1), 1).reshape((4, 6)) * 2, [(2, 3)]),
    (lambda a, b: ndl.conv(a, b, stride=1, padding=1), [(1, 3, 3, 2), (3, 3, 2, 1)])])
def test_backward_of_needle(f, shapes):
    gradient_check(f, *[t64(*s) for s in shapes], backward=True)


def test_gradients_of_gradients():
    x2, x3 = ndl.Tensor([6]), ndl.Tensor([0])
    y = x2 * x2 + x2 * x3
    y.backward()
    g2, g3 = x2.grad, x3.grad
    assert y.numpy() == 36 and g2.numpy() == 12 and g3.numpy() == 6
    g2.backward()
    assert x2.grad.numpy() == 2 and x3.grad.numpy() == 1  # set, not added
    g3.backward()
    assert x2.grad.numpy() == 1


def test_order_of_nodes():
    a, b = ndl.Tensor([[0.88282157]]), ndl.Tensor([[0.90170084]])
    y = 3 * a * a + 4 * b * a - a
    order = [n.numpy().item() for n in ndl.autograd.find_topo_sort([y])]
    assert len(order) == 9 and order[0] == pytest.approx(0.88282157) and order[-1] == y.numpy()
    assert all(isinstance(n, ndl.Tensor) for n in ndl.autograd.find_topo_sort([y]))


def test_needle_tensors():
    x = ndl.Tensor(np.ones((2, 3)), device=ndl.cpu(), dtype="float32")
    y = ndl.exp(x)
    assert isinstance(y, ndl.Tensor) and str(y.dtype).endswith("float32") and x.requires_grad
    assert y.device == ndl.cpu() and x.is_leaf() and not y.is_leaf() and ndl.cpu().enabled()
    np.testing.assert_allclose(y.numpy(), np.full((2, 3), np.e), rtol=1e-6)
    x.data = ndl.Tensor(np.zeros((2, 3)), dtype="float32")
    assert (ndl.exp(x).numpy() == 1).all() and not x.data.requires_grad
    assert x.transpose().shape == (3, 2) and x.sum(axes=1).shape == (2,)
    assert x.reshape((6,)).shape == (6,) and x.reshape(3, 2).shape == (3, 2)


def test_initial_numbers_follow_numpys_seed():
    np.random.seed(42)
    want = (np.random.rand(3, 5) * 2 - 1) * np.sqrt(6 / 3)
    np.random.seed(42)
    np.testing.assert_allclose(ndl.init.kaiming_uniform(3, 5).numpy(), want, rtol=1e-6)
    np.random.seed(42)
    want = np.random.randn(3, 5) * np.sqrt(2 / 8)
    np.random.seed(42)
    np.testing.assert_allclose(ndl.init.xavier_normal(3, 5).numpy(), want, rtol=1e-6)
    np.testing.assert_array_equal(ndl.init.one_hot(3, ndl.Tensor([2, 0])).numpy(),
                                  [[0, 0, 1], [1, 0, 0]])
    assert ndl.init.constant(2, c=5).numpy().tolist() == [5, 5]


class Block(nn.Module):
    """Modules in a list are found, too."""

    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Dropout(0.5))]
        self.table = {"norm": nn.BatchNorm1d(4)}

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.table["norm"](x)


def test_modules_of_needle():
    block = Block()
    assert [tuple(p.shape) for p in block.parameters()] == [(4, 4), (1, 4), (4,), (4,)]
    assert all(isinstance(p, nn.Parameter) for p in block.parameters())
    block.eval()
    assert not block.table["norm"].training and not block.layers[1].modules_[1].training
    x = np.random.default_rng(0).standard_normal((8, 4)).astype("f4")
    norm = nn.BatchNorm1d(4)
    np.testing.assert_allclose(norm(ndl.Tensor(x)).numpy(),
                               (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), atol=1e-5)
    np.testing.assert_allclose(norm.running_var.numpy(), 0.9 + 0.1 * x.var(0), rtol=1e-5)
    rows = nn.LayerNorm1d(4)(ndl.Tensor(x)).numpy()
    np.testing.assert_allclose(rows.mean(1), 0, atol=1e-6)
    logits, y = ndl.Tensor(x), np.arange(8) % 4
    want = np.mean(np.log(np.exp(x).sum(1)) - x[np.arange(8), y])
    assert nn.SoftmaxLoss()(logits, ndl.Tensor(y)).numpy() == pytest.approx(want, rel=1e-5)
    assert nn.Flatten()(ndl.Tensor(np.ones((2, 3, 4)))).shape == (2, 12)
    assert nn.Conv(3, 8, 3, stride=2)(ndl.init.rand(2, 3, 8, 8)).shape == (2, 8, 4, 4)
    out = nn.Embedding(10, 4)(ndl.Tensor([[1, 2], [3, 4]]))
    assert isinstance(out, ndl.Tensor) and out.shape == (2, 2, 4)
    assert nn.RNN(3, 5)(ndl.init.rand(6, 2, 3))[0].shape == (6, 2, 5)


@pytest.mark.parametrize("optimizer,options", [
    ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.05}), ("Adam", {"lr": 0.05, "weight_decay": 0.01})])
def test_optimisers_of_needle(optimizer, options):
    """Against the formulas in NumPy, and the loss falls."""
    np.random.seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Residual(nn.Linear(8, 8)),
                          nn.Linear(8, 3))
    opt = getattr(ndl.optim, optimizer)(model.parameters(), **options)
    x = ndl.Tensor(np.random.randn(12, 4).astype("f4"), requires_grad=False)
    y = ndl.Tensor(np.arange(12) % 3, requires_grad=False)
    losses, w = [], model.parameters()[0]
    want, u, v = w.numpy().astype("f8"), 0.0, 0.0
    for t in range(1, 9):
        opt.reset_grad()
        loss = nn.SoftmaxLoss()(model(x), y)
        loss.backward()
        g = w.grad.numpy() + options.get("weight_decay", 0) * want
        if optimizer == "SGD":
            m = options.get("momentum", 0)
            u = m * u + (1 - m) * g
            want = want - 0.1 * u
        else:
            u, v = 0.9 * u + 0.1 * g, 0.999 * v + 0.001 * g * g
            want = want - 0.05 * (u / (1 - 0.9 ** t)) / (np.sqrt(v / (1 - 0.999 ** t)) + 1e-8)
        opt.step()
        losses.append(float(loss.numpy()))
    np.testing.assert_allclose(w.numpy(), want, rtol=2e-4, atol=2e-5)
    assert losses[-1] < losses[0]
