"""ONNX files that PyTorch writes: run, derived and trained further by taper, with PyTorch's numbers.

    onnx_torch.py TAPER [NAME..]      run_resnet run_lstm run_gpt train gradients

The exit status is 1 where one differs; 77 where there is no torch, onnx, onnxscript or onnxruntime.
"""
import json
import os
import subprocess
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
try:
    import numpy as np
    import onnxruntime
    import onnxscript  # torch.onnx needs it
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as missing:
    print(f"skipped: no {missing.name} package")
    sys.exit(77)

torch.set_num_threads(1)


# ---- models --------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(a, b, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(b)
        self.conv2 = nn.Conv2d(b, b, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(b)
        self.down = nn.Conv2d(a, b, 1, stride) if stride > 1 or a != b else nn.Identity()

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.down(x))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.Sequential(Block(8, 8, 1), Block(8, 16, 2), Block(16, 32, 2))
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.stem(x)), 2)
        return self.fc(F.adaptive_avg_pool2d(self.blocks(x), 1).flatten(1))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 12)
        self.lstm = nn.LSTM(12, 16, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(32, 30)

    def forward(self, x):
        return self.head(self.lstm(self.embed(x))[0])


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(32), nn.LayerNorm(32)
        self.qkv, self.out = nn.Linear(32, 96), nn.Linear(32, 32)
        self.up, self.down = nn.Linear(32, 128), nn.Linear(128, 32)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.ln1(x)).reshape(b, t, 3, 4, c // 4).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(h.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.ln2(x))))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.fc1 = nn.Linear(64, 24)
        self.fc2 = nn.Linear(24, 5)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn(self.conv(x))), 2).flatten(1)
        return self.fc2(torch.tanh(self.fc1(x)))


def stirred(model):
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    return model.eval()


def export(model, x, path):
    """As it stands: nothing is folded, so that the weights keep their names."""
    torch.onnx.export(
        model, (x,), path, input_names=["x"], output_names=["y"], dynamo=True, optimize=False,
        verbose=False, external_data=False, dynamic_shapes=({0: torch.export.Dim("batch")},),
    )


def call(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:3])}: {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def differ(what, got, want, by=1e-5):
    if got.shape != want.shape or not np.allclose(got, want, rtol=by, atol=by):
        most = np.abs(got - want).max() if got.shape == want.shape else f"{got.shape} {want.shape}"
        return [f"{what}: by {most}"]
    return []


# ---- checks --------------------------------------------------------------------------------------


def run(taper, folder, model, x):
    path, given = os.path.join(folder, "m.onnx"), os.path.join(folder, "x.npy")
    with torch.no_grad():
        export(stirred(model), x, path)
        want = model(x).numpy()
    np.save(given, x.numpy())
    call(taper, "run", path, "--input", given, "--output-dir", folder)
    got = np.load(os.path.join(folder, "output_0.npy"))
    theirs = onnxruntime.InferenceSession(path).run(None, {"x": x.numpy()})[0]
    return differ("onnxruntime", got, theirs) + differ("PyTorch", got, want)


def run_resnet(taper, folder):
    return run(taper, folder, ResNet(), torch.randn(3, 3, 32, 32))


def run_lstm(taper, folder):
    return run(taper, folder, Lstm(), torch.randint(0, 30, (3, 11)))


def run_gpt(taper, folder):
    return run(taper, folder, Gpt(), torch.randn(2, 9, 32))


def train(taper, folder):
    """20 steps of SGD with momentum on all rows, by `taper train` and by the trainer it builds."""
    path, data = os.path.join(folder, "m.onnx"), os.path.join(folder, "d.npz")
    x, y = torch.rand(40, 1, 8, 8), torch.randint(0, 5, (40,))
    model = stirred(Small())
    export(model, x, path)
    np.savez(data, x=x.numpy(), y=y.int().numpy(), x_test=x[:8].numpy(), y_test=y[:8].int().numpy())
    model.train()
    steps = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    want = []
    for _ in range(20):
        loss = F.cross_entropy(model(x), y)
        steps.zero_grad()
        loss.backward()
        steps.step()
        want.append(loss.item())
    words = [path, "--data", data, "--batch", "0", "--opt", "sgd", "--lr", "0.05", "--momentum", "0.9",
             "--schedule", "constant", "--epochs", "20"]
    trainer = os.path.join(folder, "trainer")
    call(taper, "build", *words, "-o", trainer)
    wrong = []
    for what, said in (
        ("taper train", call(taper, "train", *words, "--json", "--log-every", "1")),
        ("its trainer", call(trainer, "--data", data, "--json", "--log-every", "1")),
    ):
        lines = [json.loads(line) for line in said.splitlines()]
        got = [line["loss"] for line in lines if line["event"] == "step"]
        wrong += differ(what, np.array(got), np.array(want), 1e-4)
    return wrong


class Chance(nn.Module):
    """A few operations in a row, drawn by a seed."""

    def __init__(self, seed):
        super().__init__()
        draw = np.random.default_rng(seed)
        self.steps = draw.integers(0, 12, 6).tolist()
        self.w = nn.Parameter(torch.randn(6, 6) * 0.4)

    def forward(self, x):
        for i, step in enumerate(self.steps):
            x = [
                lambda x: x @ self.w,
                torch.tanh,
                torch.sigmoid,
                lambda x: torch.softmax(x, -1),
                lambda x: F.layer_norm(x, (6,)),
                lambda x: x * x.mean(0, keepdim=True),
                lambda x: torch.cat([x[:, 3:], x[:, :3] * 2], 1),
                lambda x: torch.where(x > 0.1, x, x * 0.3),
                lambda x: x.transpose(0, 1).reshape(x.shape) + x,
                lambda x: torch.exp(-x * x),
                lambda x: F.gelu(x) - x.amax(1, keepdim=True),
                lambda x: torch.log(x.abs() + 1) + x.sum(),
            ][step](x)
        return x


def gradients(taper, folder):
    wrong = []
    for seed in range(int(os.environ.get("TAPER_SEEDS", "25"))):
        path, names = os.path.join(folder, "g.onnx"), ("x.npy", "up.npy")
        model, x = Chance(seed), torch.randn(4, 6, requires_grad=True)
        up = torch.randn(4, 6)
        model(x).backward(up)
        torch.onnx.export(model, (x.detach(),), path, dynamo=True, optimize=False, verbose=False,
                          external_data=False)
        files = [os.path.join(folder, name) for name in names]
        np.save(files[0], x.detach().numpy())
        np.save(files[1], up.numpy())
        call(taper, "grad", path, "--input", files[0], "--upstream", files[1], "--output-dir", folder)
        got = np.load(os.path.join(folder, "grad_0.npy"))
        wrong += differ(f"graph {seed} {model.steps}", got, x.grad.numpy(), 2e-5)
    return wrong


def main():
    checks = [run_resnet, run_lstm, run_gpt, train, gradients]
    failed = 0
    for check in checks:
        if len(sys.argv) > 2 and check.__name__ not in sys.argv[2:]:
            continue
        torch.manual_seed(1)
        with tempfile.TemporaryDirectory() as folder:
            try:
                wrong = check(sys.argv[1], folder)
            except (RuntimeError, OSError) as e:
                wrong = [f"{type(e).__name__}: {str(e)[:400]}"]
        failed += bool(wrong)
        print(f"{check.__name__}: {'; '.join(wrong) if wrong else 'as PyTorch'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
