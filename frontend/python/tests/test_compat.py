"""In the spirit of the test-suites that the adapters are for."""

import math
import random

import numpy as np
import pytest

import taper as tp
from taper.compat import micrograd, minitorch, needle as ndl
from taper.scalar import Value


# --- micrograd ------------------------------------------------------------------------------------


def test_micrograd_sanity():
    x = Value(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    y.backward()
    assert y.data == -20 and x.grad == 46


def test_micrograd_more_ops():
    a, b = Value(-4.0), Value(2.0)
    c = a + b
    d = a * b + b ** 3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e ** 2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert abs(g.data - 24.70408163265306) < 1e-6
    assert abs(a.grad - 138.8338192419825) < 1e-6
    assert abs(b.grad - 645.5772594752186) < 1e-6


@pytest.mark.parametrize("name,f", [
    ("tanh", math.tanh), ("exp", math.exp), ("sigmoid", lambda x: 1 / (1 + math.exp(-x))),
    ("sin", math.sin), ("cos", math.cos), ("relu", lambda x: max(x, 0))])
def test_micrograd_functions(name, f):
    x = Value(0.7)
    y = getattr(x, name)()
    y.backward()
    assert abs(y.data - f(0.7)) < 1e-12
    assert abs(x.grad - (f(0.7 + 1e-6) - f(0.7 - 1e-6)) / 2e-6) < 1e-6


def test_micrograd_network_learns():
    random.seed(3)
    net = micrograd.MLP(2, [4, 1])
    assert len(net.parameters()) == 17 and "MLP of" in repr(net)
    xs, ys = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 2]
    losses = []
    for _ in range(15):
        loss = sum(((net(x) - y) ** 2 for x, y in zip(xs, ys)), Value(0.0))
        net.zero_grad()
        loss.backward()
        for p in net.parameters():
            p.data -= 0.02 * p.grad
        losses.append(loss.data)
    assert losses[-1] < 0.7 * losses[0]


# --- minitorch ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fn", [
    lambda t: -t, lambda t: t.sigmoid(), lambda t: (t * 3 + 5).relu(), lambda t: t.exp(),
    lambda t: (t * t + 1).log(), lambda t: t.sum(0), lambda t: t.mean(1), lambda t: t * t,
    lambda t: 2 / (t * t + 1), lambda t: t.permute(1, 0), lambda t: t.view(6), lambda t: 5 - t,
    lambda t: minitorch.softmax(t, 1), lambda t: minitorch.logsoftmax(t, 0),
    lambda t: minitorch.max(t, 1), lambda t: t @ t.permute(1, 0)])
def test_minitorch_gradients(fn):
    minitorch.grad_check(fn, minitorch.rand((2, 3)))


def test_minitorch_broadcast_and_shapes():
    a, b = minitorch.rand((2, 1, 3)), minitorch.rand((4, 1))
    minitorch.grad_check(lambda a, b: a * b + a, a, b)
    assert a.sum(1).shape == (2, 1, 3) and (a + b).shape == (2, 4, 3)
    t = minitorch.tensor([[2, 3, 4], [4, 5, 7]])
    assert t.sum().item() == 25 and t.sum(0)[0, 1] == 8 and t.size == 6
    assert minitorch.tensor([[2, 3]], minitorch.FastTensorBackend).is_close(
        minitorch.tensor([[2, 3]])).all().item() == 1


def test_minitorch_conv():
    t = minitorch.tensor([0, 1, 2, 3]).view(1, 1, 4)
    w = minitorch.tensor([[1, 2, 3]]).view(1, 1, 3)
    out = minitorch.Conv1dFun.apply(t, w)
    assert out[0, 0, 0] == 0 * 1 + 1 * 2 + 2 * 3 and out[0, 0, 1] == 1 * 1 + 2 * 2 + 3 * 3
    assert out[0, 0, 2] == 2 * 1 + 3 * 2 and out[0, 0, 3] == 3 * 1
    minitorch.grad_check(minitorch.Conv1dFun.apply, t, w)
    minitorch.grad_check(minitorch.Conv2dFun.apply, minitorch.rand((1, 2, 6, 6)),
                         minitorch.rand((3, 2, 2, 4)))


def test_minitorch_pool_dropout():
    t = minitorch.rand((1, 1, 4, 4))
    assert minitorch.avgpool2d(t, (2, 2))[0, 0, 0, 0] == pytest.approx(
        sum(t[0, 0, i, j] for i in range(2) for j in range(2)) / 4)
    assert minitorch.maxpool2d(t, (4, 1)).shape == (1, 1, 1, 4)
    minitorch.grad_check(lambda t: minitorch.maxpool2d(t, (2, 2)), t)
    assert minitorch.tile(t, (2, 2))[0].shape == (1, 1, 2, 2, 4)
    assert minitorch.dropout(t, 0.0).sum().item() == pytest.approx(t.sum().item())
    assert minitorch.dropout(t, 1.0).sum().item() == 0
    assert minitorch.dropout(t, 1.0, ignore=True)[0, 0, 0, 0] == t[0, 0, 0, 0]


def test_minitorch_modules_and_sgd():
    class Net(minitorch.Module):
        def __init__(self):
            super().__init__()
            self.w = minitorch.Parameter(minitorch.rand((2, 1)))
            self.inner = minitorch.Module()
            self.inner.add_parameter("b", minitorch.zeros((1,)))

        def forward(self, x):
            return x @ self.w.value + self.inner.b.value
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["w", "inner.b"]
    net.eval()
    assert not net.inner.training
    opt = minitorch.SGD(net.parameters(), 0.1)
    x, y = minitorch.tensor([[0, 1], [1, 0], [1, 1]]), minitorch.tensor([[1], [2], [3]])
    losses = []
    for _ in range(10):
        opt.zero_grad()
        d = net(x) - y
        loss = (d * d).mean()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_minitorch_scalars_and_operators():
    o = minitorch.operators
    assert o.sum([1, 2, 3]) == 6 and o.prod([2, 3]) == 6 and o.addLists([1], [2]) == [3]
    assert o.is_close(o.relu_back(2.0, 5.0), 5) and o.map(o.neg)([1, -2]) == [-1, 2]
    minitorch.derivative_check(lambda x, y: x * y + x.exp(), minitorch.Scalar(0.5),
                               minitorch.Scalar(1.5))
    assert minitorch.central_difference(lambda x: x * x, 3.0) == pytest.approx(6)


# --- needle ---------------------------------------------------------------------------------------


A = np.random.default_rng(0).uniform(0.5, 2, (2, 3, 4)).astype("f4")


@pytest.mark.parametrize("op,n,shapes", [
    (ndl.EWiseAdd(), 2, None), (ndl.EWiseMul(), 2, None), (ndl.EWiseDiv(), 2, None),
    (ndl.EWisePow(), 2, None), (ndl.AddScalar(3), 1, None), (ndl.MulScalar(3), 1, None),
    (ndl.DivScalar(3), 1, None), (ndl.PowerScalar(3), 1, None), (ndl.Negate(), 1, None),
    (ndl.Log(), 1, None), (ndl.Exp(), 1, None), (ndl.ReLU(), 1, None), (ndl.Tanh(), 1, None),
    (ndl.Transpose((0, 1)), 1, None), (ndl.Reshape((4, 3)), 1, None),
    (ndl.Summation((1,)), 1, None), (ndl.LogSumExp((0,)), 1, None), (ndl.Flip((0,)), 1, None),
    (ndl.BroadcastTo((2, 3, 4)), 1, None)], ids=lambda v: type(v).__name__)
def test_needle_gradients(op, n, shapes):
    """op.gradient against differences, as the course's checker does it."""
    inputs = [ndl.Tensor(a, dtype="float64") for a in A[:n]]
    y = op(*inputs)
    c = np.cos(np.arange(y.numel())).reshape(tuple(y.shape))
    grads = op.gradient_as_tuple(ndl.Tensor(c, dtype="float64"), y)
    np.testing.assert_allclose(op.compute(*[x.detach().numpy() for x in inputs]),
                               y.detach().numpy())
    for i, g in enumerate(grads):
        for j in [(0, 0), (2, 3)]:
            ends = []
            for step in (1e-6, -1e-6):
                moved = [x.detach().numpy() for x in inputs]
                moved[i][j] += step
                ends.append((op.compute(*moved) * c).sum())
            assert g.detach().numpy()[j] == pytest.approx(
                (ends[0] - ends[1]) / 2e-6, 1e-5, 1e-7)


def test_needle_training():
    tp.manual_seed(0)
    model = ndl.nn.Sequential(ndl.nn.Linear(4, 8), ndl.nn.ReLU(),
                              ndl.nn.Residual(ndl.nn.Linear(8, 8)), ndl.nn.Linear(8, 3))
    opt = ndl.optim.Adam(model.parameters(), lr=0.05, weight_decay=1e-4)
    x = ndl.Tensor(np.random.default_rng(0).standard_normal((12, 4)), requires_grad=False)
    y = ndl.Tensor(np.arange(12) % 3, requires_grad=False)
    loss_of, losses = ndl.nn.SoftmaxLoss(), []
    for _ in range(10):
        opt.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and len(list(model.parameters())) == 6
    z = ndl.summation(ndl.relu(ndl.matmul(ndl.Tensor(A[0]), ndl.transpose(ndl.Tensor(A[1])))))
    z.backward()
    assert z.item() == pytest.approx(float((A[0] @ A[1].T).sum()), rel=1e-5)
