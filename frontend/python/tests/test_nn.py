"""Modules, losses, optimisers and data against their formulas."""

import math

import numpy as np
import pytest

import taper as tp
import taper.nn as nn
import taper.nn.functional as F
from support import close, derived

R = np.random.default_rng(11)


def test_modules_are_trees():
    m = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()), nn.Linear(3, 1))
    names = [n for n, _ in m.named_parameters()]
    assert names == ["0.weight", "0.bias", "1.0.weight", "1.0.bias", "2.weight", "2.bias"]
    assert [n for n, _ in m.named_buffers()] == ["1.0.running_mean", "1.0.running_var"]
    assert sum(p.numel() for p in m.parameters()) == 6 + 3 + 6 + 3 + 1
    m.eval()
    assert not any(x.training for x in m.modules())
    assert "(1): Sequential(" in repr(m) and m[0].in_features == 2 and len(m) == 3


def test_state_dicts():
    a, b = nn.Linear(2, 3), nn.Linear(2, 3)
    b.load_state_dict(a.state_dict())
    assert a.weight.tolist() == b.weight.tolist()
    with pytest.raises(tp.Error, match="missing"):
        b.load_state_dict({"weight": a.weight})
    with pytest.raises(tp.Error, match=r"\(3, 2\)"):
        b.load_state_dict({"weight": tp.ones(4, 2)}, strict=False)


def test_linear_and_gradient():
    x, w, b = R.standard_normal((4, 3)), R.standard_normal((2, 3)), R.standard_normal(2)
    close(F.linear(tp.tensor(x), tp.tensor(w), tp.tensor(b)), x @ w.T + b, 1e-9)
    derived(F.linear, x, w, b)


def conv(x, w, stride, pad):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    n = (x.shape[2] - w.shape[2]) // stride + 1
    out = np.zeros((x.shape[0], w.shape[0], n, n))
    for i in range(n):
        for j in range(n):
            part = x[:, :, i * stride:i * stride + w.shape[2], j * stride:j * stride + w.shape[3]]
            out[:, :, i, j] = np.einsum("bcij,ocij->bo", part, w)
    return out


@pytest.mark.parametrize("stride,pad", [(1, 0), (1, 1), (2, 0), (2, 1)])
def test_conv2d(stride, pad):
    x, w = R.standard_normal((2, 3, 5, 5)), R.standard_normal((4, 3, 3, 3))
    close(F.conv2d(tp.tensor(x), tp.tensor(w), None, stride, pad), conv(x, w, stride, pad), 1e-9)
    derived(lambda x, w: F.conv2d(x, w, None, stride, pad), x[:1, :1], w[:2, :1])


@pytest.mark.parametrize("f,shapes", [
    (lambda x, w: F.conv1d(x, w, padding=1), ((1, 2, 5), (3, 2, 3))),
    (lambda x, w: F.conv2d(x, w, groups=2), ((1, 2, 4, 4), (2, 1, 3, 3))),
    (lambda x, w: F.conv_transpose2d(x, w, stride=2), ((1, 2, 3, 3), (2, 2, 2, 2))),
    (lambda x, w: F.conv2d(x, w, dilation=2), ((1, 1, 5, 5), (1, 1, 2, 2))),
    (lambda x, w: F.layer_norm(x, 4, w), ((2, 4), (4,))),
    (lambda x, w: F.rms_norm(x, 4, w), ((2, 4), (4,))),
    (lambda x, w: F.group_norm(x, 2, w), ((2, 4, 3), (4,))),
    (lambda x, w: F.batch_norm(x, None, None, w, None, True), ((5, 3), (3,))),
    (lambda x, w: F.prelu(x, w), ((2, 3), (1,))),
    (lambda x, w: F.scaled_dot_product_attention(x, w, w, is_causal=True), ((1, 3, 4), (1, 3, 4))),
    (lambda x, w: F.embedding(tp.tensor([0, 2, 2]), w) * x, ((3, 2), (4, 2))),
    (lambda x, w: F.bilinear(x, x, w), ((2, 3), (2, 3, 3))),
], ids=range(12))
def test_gradient_of_layers(f, shapes):
    derived(f, *[R.standard_normal(s) for s in shapes], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", """relu sigmoid tanh gelu silu mish softplus elu selu celu relu6
    leaky_relu hardtanh hardsigmoid hardswish softsign tanhshrink softshrink hardshrink
    logsigmoid""".split())
def test_activations(name):
    derived(getattr(F, name), np.array([-4.1, -1.3, -0.7, 0.2, 0.8, 2.6, 7.0]))


@pytest.mark.parametrize("f", [
    lambda x: F.max_pool2d(x, 2), lambda x: F.avg_pool2d(x, 2), lambda x: F.max_pool2d(x, 3, 1, 1),
    lambda x: F.adaptive_avg_pool2d(x, 2), lambda x: F.interpolate(x, scale_factor=2),
    lambda x: F.interpolate(x, size=(3, 5), mode="bilinear"), lambda x: F.pad(x, (1, 1), "replicate"),
    lambda x: F.unfold(x, 2), lambda x: F.normalize(x), lambda x: F.local_response_norm(x, 2),
    lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), lambda x: F.glu(x, 2)],
    ids=range(12))
def test_gradient_of_pools(f):
    derived(f, R.standard_normal((1, 2, 4, 4)))


def soft(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_cross_entropy():
    x, y = R.standard_normal((5, 3)), np.array([0, 2, 1, 1, 0])
    each = -np.log(soft(x)[np.arange(5), y])
    for how, want in (("mean", each.mean()), ("sum", each.sum()), ("none", each)):
        close(F.cross_entropy(tp.tensor(x), tp.tensor(y), reduction=how), want, 1e-9)
    close(F.cross_entropy(tp.tensor(x), tp.tensor(np.eye(3)[y])), each.mean(), 1e-9)
    close(F.nll_loss(tp.tensor(x).log_softmax(1), tp.tensor(y)), each.mean(), 1e-9)
    left = np.array([0, -100, 1, 1, -100])
    close(F.cross_entropy(tp.tensor(x), tp.tensor(left)), -np.log(soft(x)[[0, 2, 3], [0, 1, 1]]).mean(), 1e-9)
    w = np.array([1.0, 2.0, 3.0])
    close(F.cross_entropy(tp.tensor(x), tp.tensor(y), tp.tensor(w)), (each * w[y]).sum() /
          w[y].sum(), 1e-9)
    images = R.standard_normal((2, 3, 4, 4))
    target = R.integers(0, 3, (2, 4, 4))
    want = -np.log(np.take_along_axis(soft(images), target[:, None], 1)).mean()
    close(F.cross_entropy(tp.tensor(images), tp.tensor(target)), want, 1e-9)
    derived(lambda x: F.cross_entropy(x, tp.tensor(y), label_smoothing=0.1), x)


A, B = R.uniform(0.1, 0.9, (4, 3)), R.uniform(0.1, 0.9, (4, 3))
LOSSES = {
    "mse_loss": lambda a, b: (a - b) ** 2, "l1_loss": lambda a, b: abs(a - b),
    "smooth_l1_loss": lambda a, b: 0.5 * (a - b) ** 2,
    "huber_loss": lambda a, b: 0.5 * (a - b) ** 2,
    "binary_cross_entropy": lambda a, b: -(b * np.log(a) + (1 - b) * np.log(1 - a)),
    "binary_cross_entropy_with_logits": lambda a, b: np.log1p(np.exp(a)) - a * b,
    "kl_div": lambda a, b: b * (np.log(b) - a),
    "poisson_nll_loss": lambda a, b: np.exp(a) - b * a,
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, reduction):
    each = LOSSES[name](A, B)
    want = {"mean": each.mean(), "sum": each.sum(), "none": each}[reduction]
    close(getattr(F, name)(tp.tensor(A), tp.tensor(B), reduction=reduction), want, 1e-8)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent(kind):
    tp.manual_seed(0)
    m = getattr(nn, kind)(3, 4, 2, bidirectional=True)
    x = tp.randn(5, 2, 3)
    y, h = m(x)
    assert y.shape == (5, 2, 8)
    last = h[0] if kind == "LSTM" else h
    assert last.shape == (4, 2, 4)
    close(y[-1, :, :4], last[2].detach().numpy())
    close(y[0, :, 4:], last[3].detach().numpy())
    y.sum().backward()
    assert all(p.grad is not None for p in m.parameters())

def test_class_numbers_are_looked_at():
    scores = tp.zeros(2, 3)
    for wrong in (3, -1):
        with pytest.raises(IndexError, match=f"target {wrong} is out of bounds; expected 0 to 2"):
            F.cross_entropy(scores, tp.tensor([0, wrong]))
        with pytest.raises(IndexError):
            F.nll_loss(scores, tp.tensor([wrong, 0]))
    assert F.cross_entropy(scores, tp.tensor([0, 7]), ignore_index=7).item() > 1


def test_a_negative_rate_is_refused():
    w = nn.Linear(2, 3).parameters()
    with pytest.raises(ValueError, match="learning rate of -1"):
        tp.optim.SGD(w, lr=-1)


def test_convolutions_say_what_they_are():
    said = repr(nn.Conv1d(4, 8, 5, padding=2, groups=2, bias=False))
    assert said == "Conv1d(4, 8, kernel_size=(5,), stride=(1,), padding=(2,), groups=2, bias=False)"
    assert repr(nn.Conv2d(1, 2, 3)) == "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))"


def test_batch_norm_runs_on():
    m = nn.BatchNorm1d(3)
    x = R.standard_normal((8, 3)).astype("f4") * 2 + 1
    y = m(tp.tensor(x))
    close(y.mean(0), np.zeros(3), 0, 1e-5)
    close(m.running_mean, 0.1 * x.mean(0), 1e-5)
    close(m.running_var, 0.9 + 0.1 * x.var(0, ddof=1), 1e-5)
    m.eval()
    close(m(tp.tensor(x)), (x - m.running_mean.numpy()) / np.sqrt(m.running_var.numpy() + 1e-5), 1e-4)


def test_dropout():
    m = nn.Dropout(0.25)
    y = m(tp.ones(4000))
    close(np.unique(y.numpy()), [0, 4 / 3])
    assert abs(y.mean().item() - 1) < 0.1
    assert m.eval()(tp.ones(3)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("name,std", [
    ("xavier_uniform_", math.sqrt(2 / 500)), ("xavier_normal_", math.sqrt(2 / 500)),
    ("kaiming_uniform_", math.sqrt(2 / 300)), ("kaiming_normal_", math.sqrt(2 / 300)),
    ("normal_", 1.0), ("uniform_", math.sqrt(1 / 12)), ("orthogonal_", math.sqrt(1 / 300))])
def test_init(name, std):
    t = getattr(nn.init, name)(tp.zeros(200, 300))
    assert abs(t.std().item() / std - 1) < 0.03


def adam(g, p, m, v, t, lr):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return p - lr * (m / (1 - 0.9 ** t)) / (np.sqrt(v / (1 - 0.999 ** t)) + 1e-8), m, v


def test_adam_by_hand():
    w = tp.tensor([1.0, -2.0], dtype=tp.float64, requires_grad=True)
    opt = tp.optim.Adam([w], lr=0.1)
    p, m, v = w.detach().numpy(), 0, 0
    for t in range(1, 6):
        opt.zero_grad()
        (w ** 2).sum().backward()
        opt.step()
        p, m, v = adam(2 * p, p, m, v, t, 0.1)
        close(w, p, 1e-6)
    saved = opt.state_dict()
    assert saved["steps"] == 5
    close(saved["state"][0]["exp_avg"], m, 1e-5)
    other = w.detach().requires_grad_()
    again = tp.optim.Adam([other], lr=0.1)
    again.load_state_dict(saved)
    for x, o in ((w, opt), (other, again)):
        o.zero_grad()
        (x ** 2).sum().backward()
        o.step()
    close(other, w.detach().numpy(), 1e-12)


@pytest.mark.parametrize("name", "SGD Adam AdamW RMSprop Adagrad Adamax NAdam RAdam Adadelta Lion "
                                 "LAMB LARS Muon".split())
def test_optimisers_descend(name):
    w = nn.Parameter(tp.tensor([[1.0, -2.0], [0.5, 3.0]]))
    opt = getattr(tp.optim, name)([w], lr=1.0 if name == "Adadelta" else 0.01)
    losses = []
    for _ in range(6):
        opt.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_groups_and_momentum():
    a, b = nn.Parameter(tp.tensor([1.0])), nn.Parameter(tp.tensor([1.0]))
    opt = tp.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.5, "weight_decay": 1.0}], lr=0.1,
                       momentum=0.9)
    va = vb = 0.0
    pa = pb = 1.0
    for _ in range(3):
        opt.zero_grad()
        (a * 2 + b * 3).sum().backward()
        opt.step()
        va, vb = 0.9 * va + 2, 0.9 * vb + 3 + pb
        pa, pb = pa - 0.1 * va, pb - 0.5 * vb
        close(a, [pa], 1e-5), close(b, [pb], 1e-5)


@pytest.mark.parametrize("make,want", [
    (lambda o, s: s.StepLR(o, 2, 0.1), [1, 1, 0.1, 0.1, 0.01]),
    (lambda o, s: s.MultiStepLR(o, [1, 3], 0.5), [1, 0.5, 0.5, 0.25, 0.25]),
    (lambda o, s: s.ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125, 0.0625]),
    (lambda o, s: s.CosineAnnealingLR(o, 4), [1, 0.853553, 0.5, 0.146447, 0]),
    (lambda o, s: s.LinearLR(o, 0.5, 1.0, 2), [0.5, 0.75, 1, 1, 1]),
    (lambda o, s: s.LambdaLR(o, lambda t: 1 / (t + 1)), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]),
    (lambda o, s: s.PolynomialLR(o, 4), [1, 0.75, 0.5, 0.25, 0]),
], ids=range(7))
def test_schedules(make, want):
    opt = tp.optim.SGD([nn.Parameter(tp.ones(1))], lr=1.0)
    s = make(opt, tp.optim.lr_scheduler)
    seen = []
    for _ in want:
        seen.append(opt.param_groups[0]["lr"])
        s.step()
    np.testing.assert_allclose(seen, want, atol=1e-6)


def test_plateau():
    """the rates of PyTorch's source"""
    opt = tp.optim.SGD([nn.Parameter(tp.ones(1))], lr=1.0)
    s = tp.optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=1, cooldown=1, min_lr=0.2)
    seen = []
    for loss in [5, 4, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3]:
        s.step(loss)
        seen.append(opt.param_groups[0]["lr"])
    assert seen == [1, 1, 1, .5, .5, .5, .25, .25, .25, .25, .2, .2, .2]


def test_clipping():
    w = nn.Parameter(tp.tensor([3.0, 4.0]))
    (w * w / 2).sum().backward()
    assert nn.utils.clip_grad_norm_([w], 1.0).item() == pytest.approx(5)
    close(w.grad, [0.6, 0.8], 1e-5)


def test_data():
    from taper.utils.data import (ConcatDataset, DataLoader, Dataset, TensorDataset, digits,
                                  planar, random_split)
    data = TensorDataset(tp.arange(10.0), tp.arange(10))
    batches = list(DataLoader(data, batch_size=4))
    assert [len(x) for x, _ in batches] == [4, 4, 2] and batches[1][1].tolist() == [4, 5, 6, 7]
    loader = DataLoader(data, batch_size=4, shuffle=True, drop_last=True)
    assert len(loader) == 2 and len(list(loader)) == 2
    seen = [v for x, _ in DataLoader(data, 3, shuffle=True) for v in x.tolist()]
    assert sorted(seen) == list(range(10)) and seen != list(range(10))

    class Squares(Dataset):
        def __getitem__(self, i):
            return {"x": i * i}

        def __len__(self):
            return 5
    assert next(iter(DataLoader(Squares(), 3)))["x"].tolist() == [0, 1, 4]
    a, b = random_split(data, [7, 3])
    assert len(a) == 7 and len(ConcatDataset([a, b])) == 10
    x, y = digits("test", 100).tensors
    assert x.shape[1:] == (1, 28, 28) and x.dtype == tp.uint8 and 0 <= y.min().item() <= 9
    assert planar("moons", 50).tensors[0].shape[1] == 2
