"""write_numbers.py FOLDER [WORKLOAD...]: the first parameters and four batches of each workload, as FOLDER/WORKLOAD/NAME.npy.

Every peer starts from these numbers, so that their losses can be compared. A workload is a row of WORKLOADS.
"""
import os
import sys

import numpy as np

BATCHES = 4


def linear(name, out, fan):
    return [(name + ".weight", (out, fan), fan), (name + ".bias", (out,), fan)]


def conv(name, out, channels, kernel):
    fan = channels * kernel * kernel
    return [(name + ".weight", (out, channels, kernel, kernel), fan), (name + ".bias", (out,), fan)]


def pictures(g):
    return g.random((64, 784), dtype=np.float32), g.integers(0, 10, 64)


def wide_pictures(g):
    return g.random((256, 784), dtype=np.float32), g.integers(0, 10, 256)


def digits(g):
    return g.standard_normal((64, 1, 28, 28), dtype=np.float32), g.integers(0, 10, 64)


def moons(g):
    t, k = g.random(100) * np.pi, g.integers(0, 2, 100)
    x = np.stack([np.where(k, 1 - np.cos(t), np.cos(t)), np.where(k, 0.5 - np.sin(t), np.sin(t))], 1)
    x = x + g.standard_normal(x.shape) * 0.1
    return x.astype(np.float32), (k * 2 - 1).astype(np.float32)


# parameters as (name, shape, what the bound of their uniform distribution is made of), and how a batch is drawn
WORKLOADS = {
    "mlp": (linear("fc1", 128, 784) + linear("fc2", 10, 128), pictures),
    "mlp-wide": (linear("fc1", 1024, 784) + linear("fc2", 1024, 1024) + linear("fc3", 10, 1024), wide_pictures),
    "lenet": (
        conv("conv1", 6, 1, 5) + conv("conv2", 16, 6, 5)
        + linear("fc1", 120, 400) + linear("fc2", 84, 120) + linear("fc3", 10, 84),
        digits,
    ),
    "micrograd-mlp": (linear("fc1", 16, 2) + linear("fc2", 16, 16) + linear("fc3", 1, 16), moons),
}


def write(folder, workload):
    parameters, batch = WORKLOADS[workload]
    where = os.path.join(folder, workload)
    os.makedirs(where, exist_ok=True)
    g = np.random.default_rng(1)
    for name, shape, fan in parameters:
        value = (g.random(shape, dtype=np.float32) * 2 - 1) * (1.0 / np.sqrt(fan))
        np.save(os.path.join(where, name + ".npy"), value.astype(np.float32))
    g = np.random.default_rng(2)
    for i in range(BATCHES):
        x, y = batch(g)
        np.save(os.path.join(where, f"x{i}.npy"), x)
        np.save(os.path.join(where, f"y{i}.npy"), y)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: write_numbers.py FOLDER [WORKLOAD...]")
    for each in sys.argv[2:] or WORKLOADS:
        if each not in WORKLOADS:
            sys.exit(f"write_numbers.py: {each}: unsupported")
        write(sys.argv[1], each)
