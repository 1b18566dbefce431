"""models: each workload's loss, and the optimisers' rules, in words that a framework's adapter has.

An adapter f spells a word by the fastest thing its framework has for it: f.linear(x, weight, bias), f.conv(x, weight, bias,
stride, pad), f.pool (maxima of 2 x 2), f.rows (images to rows, channels first), f.mean_of_places, f.batch_norm(x, name, weight,
bias), f.layer_norm, f.gelu(x, tanh), f.attention(q, k, v) (causal), f.lstm(x, the four), f.look_up(table, index), f.relu,
f.turn(x, a, b), f.sqrt, f.smaller and f.cross_entropy (the mean).
"""
from workloads import ADAMW, SGD, WORKLOADS, blocks


def dense(f, p, name, x):
    return f.linear(x, p[name + ".weight"], p.get(name + ".bias"))


def chain(f, p, x, layers):
    for i in range(1, layers + 1):
        x = dense(f, p, f"fc{i}", x)
        if i < layers:
            x = f.relu(x)
    return x


def layers(f, p, x, y, widths):
    return f.cross_entropy(chain(f, p, x, widths - 1), y)


def hinge(f, p, x, y, widths, squares):  # micrograd's
    score = chain(f, p, x, widths - 1).reshape(-1)
    return f.relu(1 - y * score).mean() + squares * sum((v * v).sum() for v in p.values())


def lenet(f, p, x, y):
    for name, pad in (("conv1", 2), ("conv2", 0)):
        x = f.pool(f.relu(f.conv(x, p[name + ".weight"], p[name + ".bias"], 1, pad)))
    return f.cross_entropy(chain(f, p, f.rows(x), 3), y)


def normed(f, p, x, conv, norm, stride=1):
    weight = p[conv + ".weight"]
    x = f.conv(x, weight, None, stride, 0 if conv.endswith("down") else 1)
    return f.batch_norm(x, norm, p[norm + ".weight"], p[norm + ".bias"])


def resnet20(f, p, x, y):
    x = f.relu(normed(f, p, x, "conv", "bn"))
    for name, _, _, stride, _ in blocks():
        z = f.relu(normed(f, p, x, name + ".conv1", name + ".bn1", stride))
        z = normed(f, p, z, name + ".conv2", name + ".bn2")
        x = f.relu(z + (normed(f, p, x, name + ".down", name + ".bnd", stride) if stride > 1 else x))
    return f.cross_entropy(dense(f, p, "fc", f.mean_of_places(x)), y)


def lstm(f, p, x, y, hidden):  # x, y: [time batch]
    x = f.lstm(f.look_up(p["emb.weight"], x), *(p[f"lstm.{n}_l0"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))
    return f.cross_entropy(dense(f, p, "head", x), y)


def gpt(f, p, x, y, layers, heads, width, tanh):
    rows, time = x.shape
    norm = lambda name, x: f.layer_norm(x, p[name + ".weight"], p.get(name + ".bias"))
    x = f.look_up(p["wte.weight"], x) + p["wpe.weight"][:time]
    for i in range(layers):
        h = f"h{i}."
        three = dense(f, p, h + "qkv", norm(h + "ln1", x)).reshape(rows, time, 3, heads, width // heads)
        a = f.attention(*(f.turn(three[:, :, j], 1, 2) for j in range(3)))
        x = x + dense(f, p, h + "proj", f.turn(a, 1, 2).reshape(rows, time, width))
        x = x + dense(f, p, h + "fcproj", f.gelu(dense(f, p, h + "fc", norm(h + "ln2", x)), tanh))
    return f.cross_entropy(f.linear(norm("lnf", x), p["wte.weight"], None), y)


MODELS = {"micrograd-mlp": hinge, "mlp": layers, "mlp-wide": layers, "lenet": lenet, "resnet20": resnet20, "lstm": lstm, "gpt": gpt, "gpt2-124m": gpt}


def loss_of(workload, f, p, x, y):
    return MODELS[workload](f, p, x, y, **WORKLOADS[workload].facts)


def oriented(workload, batch):
    """As the model takes it: the recurrence goes over the first axis."""
    return tuple(v.T.copy() for v in batch) if workload == "lstm" else batch


# --- the rules, for frameworks that have no optimiser of their own ----------------------------------------------


def moments(workload):
    """How many numbers a parameter has beside its own."""
    w = WORKLOADS[workload]
    return (1 if "momentum" in w.options else 0) if w.rule == SGD else 2


def clipped(f, workload, g):
    most = WORKLOADS[workload].options.get("clip")
    if most is None:
        return g
    factor = f.smaller(most / (f.sqrt(sum((v * v).sum() for v in g.values())) + 1e-6), 1.0)
    return {k: v * factor for k, v in g.items()}


def updated(f, workload, p, g, m, step, matrix):
    """A parameter and its moments after step 1, 2, ..; matrix: has more than one axis."""
    _, _, rule, rate, o, _, _ = WORKLOADS[workload]
    decay = o.get("weight_decay", 0.0)
    if rule == SGD:
        if decay:
            g = g + decay * p
        if not m:
            return p - rate * g, []
        m = [o["momentum"] * m[0] + g]
        return p - rate * m[0], m
    b1, b2 = o.get("betas", (0.9, 0.999))
    m = [b1 * m[0] + (1 - b1) * g, b2 * m[1] + (1 - b2) * g * g]
    if rule == ADAMW and matrix and decay:
        p = p * (1 - rate * decay)
    first, second = m[0] / (1 - b1**step), m[1] / (1 - b2**step)
    return p - rate * first / (f.sqrt(second) + 1e-8), m
