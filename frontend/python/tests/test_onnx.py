"""Models written as ONNX: read back by the command, and by onnxruntime where it is there."""

import os
import pathlib
import subprocess

import numpy as np
import pytest

import taper as tp
import taper.nn as nn
import taper.nn.functional as F

TAPER = pathlib.Path(os.environ["TAPER_LIBRARY"]).parent / "taper" if "TAPER_LIBRARY" in os.environ else None


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(64, 5)

    def forward(self, x):
        return self.fc(self.drop(F.max_pool2d(F.relu(self.bn(self.conv(x))), 2).flatten(1)))


def written(tmp_path, model, args, **names):
    path = tmp_path / "m.onnx"
    try:
        tp.onnx.export(model, args, path, **names)
    except NotImplementedError as e:
        if "ONNX" in str(e):
            pytest.skip("this build writes no ONNX")
        raise
    return path


def read_back(tmp_path, path, *inputs):
    if TAPER is None or not TAPER.exists():
        pytest.skip("no taper command")
    files = []
    for i, x in enumerate(inputs):
        files.append(str(tmp_path / f"{i}.npy"))
        np.save(files[-1], x)
    subprocess.run([TAPER, "run", path, "--input", *files, "--output-dir", tmp_path], check=True)
    return np.load(tmp_path / "output_0.npy")


def test_module_in_evaluation(tmp_path):
    model, x = Net(), np.random.default_rng(1).standard_normal((3, 1, 8, 8)).astype("f4")
    model(tp.tensor(x))  # running statistics of their own
    path = written(tmp_path, model, tp.tensor(x), input_names=["image"], output_names=["scores"])
    assert model.training and model.bn.training
    text = path.read_bytes()
    assert b"fc.weight" in text and b"bn.running_mean" in text and b"image" in text and b"scores" in text
    model.eval()
    want = model(tp.tensor(x)).detach().numpy()
    np.testing.assert_allclose(read_back(tmp_path, path, x), want, rtol=1e-5, atol=1e-5)
    try:
        import onnxruntime
    except ImportError:
        return
    got = onnxruntime.InferenceSession(str(path)).run(["scores"], {"image": x})[0]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_function_of_two(tmp_path):
    w = tp.randn(4, 3)
    a, b = (np.random.default_rng(i).standard_normal((2, 4)).astype("f4") for i in range(2))
    path = written(tmp_path, lambda a, b: (a * b) @ w, (tp.tensor(a), tp.tensor(b)))
    np.testing.assert_allclose(read_back(tmp_path, path, a, b), (a * b) @ w.numpy(), rtol=1e-5, atol=1e-6)
    assert tp.tensor([1.0]).item() == 1 and (w * 2).shape == (4, 3)  # eager goes on


def test_refusals(tmp_path):
    x = tp.zeros(2, 3)
    with pytest.raises(NotImplementedError, match="dynamic_axes"):
        tp.onnx.export(nn.Linear(3, 2), x, tmp_path / "m.onnx", dynamic_axes={"x": {0: "batch"}})
    with pytest.raises(ValueError, match="output_names"):
        tp.onnx.export(nn.Linear(3, 2), x, tmp_path / "m.onnx", output_names=["a", "b"])
    with pytest.raises(NotImplementedError, match="erfinv|ONNX"):
        tp.onnx.export(lambda x: x.erfinv(), x, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
