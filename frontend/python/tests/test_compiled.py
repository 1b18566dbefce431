"""Compiled functions and steps: the bits of the eager ones, and of the same model in C."""

import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

import taper as tp
import taper.nn as nn
import taper.nn.functional as F
from taper._library import lib


def classifier():
    tp.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.BatchNorm1d(8), nn.Linear(8, 3))


X, Y = np.random.default_rng(1).standard_normal((16, 4)).astype("f4"), np.arange(16) % 3
OPTIMISERS = {
    "SGD": dict(lr=0.1), "momentum": dict(lr=0.1, momentum=0.9, nesterov=True),
    "Adam": dict(lr=0.01), "AdamW": dict(lr=0.01, weight_decay=0.1), "Lion": dict(lr=0.01),
}


def steps(optimiser, compiled, n=4, clip=None):
    model = classifier()
    kind = "SGD" if optimiser == "momentum" else optimiser
    opt = getattr(tp.optim, kind)(model.parameters(), **OPTIMISERS[optimiser])

    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        opt.step()
        return loss
    run = tp.compile(step) if compiled else step
    losses = [run(tp.tensor(X), tp.tensor(Y)).item() for _ in range(n)]
    return losses, model.state_dict()


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_step_has_the_eager_bits(optimiser):
    eager, a = steps(optimiser, False)
    compiled, b = steps(optimiser, True)
    assert eager == compiled and eager[-1] < eager[0]
    for name in a:
        assert a[name].tolist() == b[name].tolist(), name


def on_device(device):
    model = classifier()
    opt = tp.optim.Adam(model.parameters(), lr=0.01)

    @tp.compile(device=device)
    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    scores = tp.compile(model.eval(), device=device)
    model.train()
    seen = []
    for _ in range(3):
        model.train()
        seen.append(float(step(tp.tensor(X), tp.tensor(Y))))
        model.eval()
        seen += scores(tp.tensor(X)).detach().numpy().ravel().tolist()
    return seen + [v for p in model.parameters() for v in p.detach().numpy().ravel().tolist()]


@pytest.mark.skipif(os.environ.get("TAPER_ENGINE") == "interpreter", reason="a device is an engine")
def test_a_device_has_the_bits_of_the_cpu(monkeypatch):
    assert on_device("cuda-emu:5") == on_device(None)
    monkeypatch.setenv("TAPER_LIBCUDA", "/nowhere/libcuda.so.1")
    with pytest.raises(NotImplementedError, match="looked for NVIDIA's driver, /nowhere"):
        on_device("cuda")
    with pytest.raises(tp.Error, match="expected cpu, cuda or cuda-emu"):
        on_device("gpu")
    with pytest.raises(NotImplementedError, match="tensors are the CPU's"):
        tp.zeros(2, device="cuda")


def test_clipped_step():
    assert steps("Adam", False, 3, 0.1)[0] == steps("Adam", True, 3, 0.1)[0]


def test_eager_and_compiled_share_the_moments():
    model = classifier()
    opt = tp.optim.Adam(model.parameters(), lr=0.01)

    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss
    compiled = tp.compile(step)
    mixed = [f(tp.tensor(X), tp.tensor(Y)).item() for f in (step, compiled, step, compiled)]
    assert mixed == steps("Adam", False)[0]
    assert opt.state_dict()["steps"] == 4


def test_function_shapes_and_modes():
    calls = []
    drop = nn.Dropout(0.5)

    @tp.compile
    def f(x, k=2):
        calls.append(1)
        return {"y": drop(x) * k, "s": x.sum()}
    drop.eval()
    assert f(tp.ones(3))["y"].tolist() == [2, 2, 2] and f(tp.ones(3))["s"].item() == 3
    assert len(calls) == 1
    f(tp.ones(4)), f(tp.ones(3), k=3), f(tp.ones(3))
    assert len(calls) == 3
    drop.train()
    seen = {tuple(f(tp.ones(3))["y"].tolist()) for _ in range(20)}
    assert len(calls) == 4 and len(seen) > 1  # new chance at each run


def test_what_it_reads_may_change():
    w = tp.tensor([1.0, 2.0])
    f = tp.compile(lambda x: x * w)
    assert f(tp.ones(2)).tolist() == [1, 2]
    w += 1
    assert f(tp.ones(2)).tolist() == [2, 3]


def test_assignments_and_manual_updates():
    w, count = tp.tensor([4.0], requires_grad=True), tp.zeros(1)

    @tp.compile
    def step():
        loss = (w * w).sum()
        loss.backward()
        with tp.no_grad():
            w.sub_(0.25 * w.grad)
            count.add_(1)
        return loss
    assert [step().item() for _ in range(3)] == [16, 4, 1]
    assert w.tolist() == [0.5] and count.tolist() == [3]


def test_rates_follow_the_scheduler():
    w = nn.Parameter(tp.tensor([8.0]))
    opt = tp.optim.SGD([w], lr=1.0)
    rate = tp.optim.lr_scheduler.StepLR(opt, 1, 0.5)

    @tp.compile
    def step():
        opt.zero_grad()
        w.sum().backward()
        opt.step()
        return w.sum()
    seen = []
    for _ in range(3):
        step()
        rate.step()
        seen.append(w.item())
    assert seen == [7, 6.5, 6.25] and len(step.programs) == 1


def test_derivatives_inside():
    f = tp.compile(lambda x: tp.grad(lambda v: (v ** 3).sum())(x))
    assert f(tp.tensor([1.0, 2.0])).tolist() == [3, 12]
    g = tp.compile(lambda x, v: tp.jvp(lambda u: u * u, (x,), (v,))[1])
    assert g(tp.tensor([3.0]), tp.tensor([2.0])).tolist() == [12]


def test_errors_name_the_line():
    @tp.compile
    def f(x):
        return x + tp.ones(5)
    with pytest.raises(tp.Error, match=r"test_compiled\.py:\d+: add"):
        f(tp.ones(3))
    with pytest.raises(tp.Error, match="no numbers yet"):
        tp.compile(lambda x: x * float(x.sum()))(tp.ones(3))
    assert tp.compile(lambda x: x * 2)(tp.ones(2)).tolist() == [2, 2]


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x / 255)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


C = r"""
#include <stdio.h>
#include <taper.h>
int main(void)
{
    tp_graph *g = tp_graph_new(1);
    int64_t B = tp_symbol(g, "batch", 1, 200);
    tp_tensor x = tp_input(g, "x", TP_U8, tp_dims(B, 1, 28, 28)), h = tp_div(x, 255);
    tp_tensor y = tp_input(g, "y", TP_I64, tp_dims(B));
    h = tp_max_pool2d(tp_relu(tp_conv2d(h, "conv1", 6, 5, .pad = 2)), 2);
    h = tp_flatten(tp_max_pool2d(tp_relu(tp_conv2d(h, "conv2", 16, 5)), 2), 1);
    h = tp_linear(tp_relu(tp_linear(tp_relu(tp_linear(h, "fc1", 120)), "fc2", 84)), "fc3", 10);
    tp_tensor loss = tp_cross_entropy(h, y);
    tp_program *step = tp_compile_train(loss, .opt = tp_adamw(.weight_decay = 0.01), .batch = 16,
                                        .lr = tp_const(1e-3));
    FILE *f = fopen("x", "rb"), *k = fopen("y", "rb");
    if (!step || !tp_load(g, "start.safetensors") || !f || !k)
        return puts(tp_error(g) ? tp_error(g) : "files"), 1;
    fread(tp_buffer(step, x, NULL), 1, 16 * 784, f);
    fread(tp_buffer(step, y, NULL), 8, 16, k);
    for (int i = 0; i < 6; i++) {
        if (!tp_rows(step, 16) || !tp_run(step))
            return 1;
        printf("%.9g\n", tp_get(step, loss));
    }
    tp_graph_free(g);
}
"""


CPP = r"""
#include <cstdio>
#include <fstream>
#include <taper.hpp>
int main()
try {
    taper::graph g(1);
    auto B = g.symbol("batch", 1, 200);
    auto x = g.input("x", taper::U8, { B, 1, 28, 28 }), y = g.input("y", taper::I64, { B });
    auto h = max_pool2d(relu(conv2d(x / 255, "conv1", 6, 5, { .pad = 2 })), 2);
    h = flatten(max_pool2d(relu(conv2d(h, "conv2", 16, 5)), 2), 1);
    h = linear(relu(linear(relu(linear(h, "fc1", 120)), "fc2", 84)), "fc3", 10);
    auto loss = cross_entropy(h, y);
    auto step = compile_train(loss, { .opt = taper::adamw({ .weight_decay = 0.01 }),
                                      .lr = 1e-3, .batch = 16 });
    g.load("start.safetensors");
    std::ifstream("x").read(reinterpret_cast<char *>(step.buffer<unsigned char>(x).data()), 16 * 784);
    std::ifstream("y").read(reinterpret_cast<char *>(step.buffer<std::int64_t>(y).data()), 16 * 8);
    for (int i = 0; i < 6; i++) {
        step.rows(16);
        step.run();
        std::printf("%.9g\n", step.get(loss));
    }
} catch (const taper::error &wrong) {
    return std::puts(wrong.what()), 1;
}
"""


def losses_of(folder, compiler, name, text):
    """What a program prints that is linked with the library of these tests."""
    (folder / name).write_text(text)
    library = pathlib.Path(lib.path)
    header = next(p for p in (library.parent, library.parent.parent / "frontend",
                              pathlib.Path(__file__).parents[2]) if (p / "taper.h").exists())
    subprocess.run([*compiler, name, "-o", "lenet", f"-I{header}", str(library),
                    f"-Wl,-rpath,{library.parent}"], cwd=folder, check=True)
    out = subprocess.run(["./lenet"], cwd=folder, capture_output=True, text=True)
    assert out.returncode == 0, out.stdout
    return [float(line) for line in out.stdout.split()]


@pytest.mark.skipif(shutil.which("cc") is None, reason="no cc")
def test_lenet_has_the_losses_of_c_and_cpp(tmp_path):
    r = np.random.default_rng(2)
    x, y = r.integers(0, 256, (16, 1, 28, 28)).astype("u1"), r.integers(0, 10, 16)
    model = LeNet()
    tp.save(model, tmp_path / "start.safetensors")
    x.tofile(tmp_path / "x"), y.tofile(tmp_path / "y")
    in_c = losses_of(tmp_path, ["cc"], "lenet.c", C)
    if shutil.which("c++"):
        assert losses_of(tmp_path, ["c++", "-std=c++20"], "lenet.cpp", CPP) == in_c

    def train(compiled):
        model.load_state_dict(tp.load(tmp_path / "start.safetensors"))
        opt = tp.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)

        def step(x, y):
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            return loss
        run = tp.compile(step) if compiled else step
        return [run(tp.tensor(x), tp.tensor(y)).item() for _ in range(6)]
    as_float = [float(np.float32(v)) for v in in_c]
    assert train(True) == as_float and as_float[-1] < as_float[0]
    assert train(False) == as_float
