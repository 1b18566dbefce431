"""A NumPy function inside eager programs and compiled steps, with its gradient."""

import numpy as np
import taper as tp
import taper.nn as nn

from support import close


def cubed(x):
    return tp.custom("cubed", lambda a: a ** 3, [x], x.shape,
                     backward=lambda by, a, y, dy: 3 * a * a * dy)


def test_values_and_gradients():
    x = tp.tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
    y = cubed(x * 2)
    close(y, (2 * x.detach().numpy()) ** 3, 1e-6)
    y.sum().backward()
    close(x.grad, 24 * x.detach().numpy() ** 2, 1e-5)


def test_without_backward_it_has_no_gradient():
    x = tp.tensor([1.0, 2.0])
    y = tp.custom("picked", lambda a, i: a[i], [x, tp.tensor([1, 1, 0])], [3])
    close(y, np.array([2.0, 2.0, 1.0]), 0)


def losses(compiled):
    tp.manual_seed(1)
    model = nn.Linear(2, 3)
    opt = tp.optim.SGD(model.parameters(), lr=0.1)

    def step(x):
        opt.zero_grad()
        loss = (cubed(tp.tanh(model(x))) - 0.5).square().mean()
        loss.backward()
        opt.step()
        return loss

    step = tp.compile(step) if compiled else step
    x = tp.tensor(np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2))
    return [step(x).item() for _ in range(4)]


def test_a_compiled_step_calls_it():
    eager, compiled = losses(False), losses(True)
    assert eager == compiled and eager[3] < eager[0]
