"""workloads: what every peer trains, as facts: first parameters, batches, the optimiser, and the multiply-adds of a step.

PyTorch's layouts: a linear weight is [out in], a convolution's [out in height width]. The numbers follow from two seeds, so
that every peer starts from the same ones and their losses can be compared. NumPy is needed.
"""
import collections
import math

import numpy as np

BATCHES = 4  # that are cycled through
SGD, ADAM, ADAMW = "sgd", "adam", "adamw"

# used: how often a step multiplies by an element of it: positions, times 3 (forward, and the gradients of both factors), or 2
# where the input needs no gradient
Parameter = collections.namedtuple("Parameter", "name shape kind scale used")
Workload = collections.namedtuple("Workload", "parameters batch rule rate options other_products facts")


def uniform(name, shape, fan, used=0):
    return Parameter(name, shape, "uniform", 1 / math.sqrt(fan), used)


def normal(name, shape, deviation, used=0):
    return Parameter(name, shape, "normal", deviation, used)


def scale(name, width):
    return [Parameter(name + ".weight", (width,), "ones", 1, 0), Parameter(name + ".bias", (width,), "zeros", 0, 0)]


def linear(name, out, fan, used):
    return [uniform(name + ".weight", (out, fan), fan, used), uniform(name + ".bias", (out,), fan)]


def conv(name, out, channels, side, used, bias=True):
    fan = channels * side * side
    both = [uniform(name + ".weight", (out, channels, side, side), fan, used), uniform(name + ".bias", (out,), fan)]
    return both if bias else both[:1]


def chain(rows, *widths):
    return [p for i in range(len(widths) - 1) for p in linear(f"fc{i + 1}", widths[i + 1], widths[i], rows * (3 if i else 2))]


# --- models ---------------------------------------------------------------------------------------------


def lenet():
    rows = 64
    return (
        conv("conv1", 6, 1, 5, 2 * rows * 28 * 28) + conv("conv2", 16, 6, 5, 3 * rows * 10 * 10)
        + linear("fc1", 120, 400, 3 * rows) + linear("fc2", 84, 120, 3 * rows) + linear("fc3", 10, 84, 3 * rows)
    )


def blocks():
    """Of resnet20: name, channels in and out, stride, side of what comes out."""
    channels = 16
    for stage, width in enumerate((16, 32, 64)):
        for i in range(3):
            yield f"s{stage}b{i}", channels, width, 2 if stage and not i else 1, 32 >> stage
            channels = width


def resnet20():
    rows = 64
    all_ = conv("conv", 16, 3, 3, 2 * rows * 32 * 32, bias=False) + scale("bn", 16)
    for name, inside, out, stride, side in blocks():
        used = 3 * rows * side * side
        all_ += conv(name + ".conv1", out, inside, 3, used, bias=False) + scale(name + ".bn1", out)
        all_ += conv(name + ".conv2", out, out, 3, used, bias=False) + scale(name + ".bn2", out)
        if stride > 1:
            all_ += conv(name + ".down", out, inside, 1, used, bias=False) + scale(name + ".bnd", out)
    return all_ + linear("fc", 10, 64, 3 * rows)


def lstm(rows, tokens, width, hidden):
    return [
        normal("emb.weight", (tokens, width), 1),
        uniform("lstm.weight_ih_l0", (4 * hidden, width), hidden, 3 * rows),
        uniform("lstm.weight_hh_l0", (4 * hidden, hidden), hidden, 3 * rows),
        uniform("lstm.bias_ih_l0", (4 * hidden,), hidden), uniform("lstm.bias_hh_l0", (4 * hidden,), hidden),
    ] + linear("head", tokens, hidden, 3 * rows)


def gpt(rows, layers, width, tokens, places, bias):
    used, last = 3 * rows, 0.02 / math.sqrt(2 * layers)

    def dense(name, out, fan, deviation=0.02):
        zeros = [Parameter(name + ".bias", (out,), "zeros", 0, 0)]
        return [normal(name + ".weight", (out, fan), deviation, used)] + (zeros if bias else [])

    def norm(name):
        return scale(name, width) if bias else scale(name, width)[:1]

    all_ = [normal("wte.weight", (tokens, width), 0.02, used), normal("wpe.weight", (places, width), 0.02)]
    for i in range(layers):
        h = f"h{i}."
        all_ += norm(h + "ln1") + dense(h + "qkv", 3 * width, width) + dense(h + "proj", width, width, last)
        all_ += norm(h + "ln2") + dense(h + "fc", 4 * width, width) + dense(h + "fcproj", width, 4 * width, last)
    return all_ + norm("lnf")


# --- batches --------------------------------------------------------------------------------------------


def even(*shape):
    return lambda g: (g.random(shape, dtype=np.float32), g.integers(0, 10, shape[0]))


def images(*shape):
    return lambda g: (g.standard_normal(shape, dtype=np.float32), g.integers(0, 10, shape[0]))


def tokens(rows, time, count):
    def batch(g):
        s = g.integers(0, count, (rows, time + 1))
        return s[:, :-1], s[:, 1:]

    return batch


def moons(g):
    t, k = g.random(100) * np.pi, g.integers(0, 2, 100)
    x = np.stack([np.where(k, 1 - np.cos(t), np.cos(t)), np.where(k, 0.5 - np.sin(t), np.sin(t))], 1)
    x = x + g.standard_normal(x.shape) * 0.1
    return x.astype(np.float32), (k * 2 - 1).astype(np.float32)


# --- the rows -------------------------------------------------------------------------------------------


def row(parameters, batch, rule, rate, other_products=0, facts=None, **options):
    return Workload(parameters, batch, rule, rate, options, other_products, facts or {})


def attention(rows, time, width, layers):  # scores and their product with the values, of all pairs
    return 3 * rows * 2 * time * width * layers


SMALL = dict(layers=4, heads=4, width=128, tanh=False)
LARGE = dict(layers=12, heads=12, width=768, tanh=True)
WORKLOADS = {
    "micrograd-mlp": row(chain(100, 2, 16, 16, 1), moons, SGD, 0.1, facts=dict(widths=4, squares=1e-4)),
    "mlp": row(chain(64, 784, 128, 10), even(64, 784), SGD, 0.1, facts=dict(widths=3)),
    "mlp-wide": row(chain(256, 784, 1024, 1024, 10), even(256, 784), ADAM, 1e-3, facts=dict(widths=4)),
    "lenet": row(lenet(), images(64, 1, 28, 28), SGD, 0.01, momentum=0.9),
    "resnet20": row(resnet20(), images(64, 3, 32, 32), SGD, 0.05, momentum=0.9, weight_decay=1e-4),
    "lstm": row(lstm(32 * 64, 65, 128, 256), tokens(32, 64, 65), ADAM, 2e-3, facts=dict(hidden=256), clip=1.0),
    "gpt": row(gpt(12 * 64, 4, 128, 65, 64, False), tokens(12, 64, 65), ADAMW, 1e-3, attention(12 * 64, 64, 128, 4), SMALL,
               betas=(0.9, 0.99), weight_decay=0.1),
    "gpt2-124m": row(gpt(4 * 64, 12, 768, 50257, 1024, True), tokens(4, 64, 50257), ADAMW, 1e-4, attention(4 * 64, 64, 768, 12),
                     LARGE, betas=(0.9, 0.999), weight_decay=0.0),
}


def multiply_adds(name):
    """Of the products and convolutions of a step."""
    w = WORKLOADS[name]
    return sum(math.prod(p.shape) * p.used for p in w.parameters) + w.other_products


def draw(g, p):
    if p.kind == "uniform":
        return ((g.random(p.shape, dtype=np.float32) * 2 - 1) * np.float64(p.scale)).astype(np.float32)  # rounded once
    if p.kind == "normal":
        return g.standard_normal(p.shape, dtype=np.float32) * np.float32(p.scale)
    return np.full(p.shape, p.scale, np.float32)


def numbers(name):
    """(name, array) of each parameter and batch."""
    g = np.random.default_rng(1)
    for p in WORKLOADS[name].parameters:
        yield p.name, draw(g, p)
    g = np.random.default_rng(2)
    for i in range(BATCHES):
        x, y = WORKLOADS[name].batch(g)
        yield f"x{i}", np.ascontiguousarray(x)
        yield f"y{i}", np.ascontiguousarray(y)
