"""by_tinygrad.py WORKLOAD: by tinygrad, the whole step in one TinyJit on the processor. One JSON object to $PEER_RESULT and stdout."""
import os
import sys

from drive import THREADS, Peer, refuse
from models import clipped, loss_of, moments, oriented, updated
from workloads import BATCHES

os.environ.setdefault("DEV", "CPU")
os.environ.setdefault("NUM_CPU_THREADS", str(THREADS))
os.environ.setdefault("CACHELEVEL", "0")  # a start is a cold one
peer = Peer("tinygrad")
if peer.workload == "gpt2-124m":
    refuse("gpt2-124m: minutes a step")
sys.setrecursionlimit(50000)

import importlib.metadata

from tinygrad import Tensor, TinyJit

peer.mark("import")


class Words:
    def __init__(self):
        self.running = {}

    def relu(self, x):
        return x.relu()

    def sqrt(self, x):
        return x.sqrt()

    def smaller(self, x, most):
        return x.minimum(most)

    def turn(self, x, a, b):
        return x.transpose(a, b)

    def linear(self, x, weight, bias):
        return x.linear(weight.transpose(), bias)

    def conv(self, x, weight, bias, stride, pad):
        return x.conv2d(weight, bias, stride=stride, padding=pad)

    def pool(self, x):
        return x.max_pool2d()

    def rows(self, x):
        return x.flatten(1)

    def mean_of_places(self, x):
        return x.mean((2, 3))

    def batch_norm(self, x, name, weight, bias):
        mean, variance = self.running[name]
        by_channel = lambda v: v.reshape(1, -1, 1, 1)
        here = x.mean((0, 2, 3))
        centred = x - by_channel(here)
        spread = (centred * centred).mean((0, 2, 3))
        count = x.numel() / x.shape[1]
        mean.assign(0.9 * mean + 0.1 * here.detach())
        variance.assign(0.9 * variance + 0.1 * count / (count - 1) * spread.detach())
        return centred * by_channel((spread + 1e-5).rsqrt() * weight) + by_channel(bias)

    def layer_norm(self, x, weight, bias):
        y = x.layernorm(eps=1e-5) * weight
        return y if bias is None else y + bias

    def gelu(self, x, tanh):
        return x.gelu() if tanh else x * 0.5 * (1 + (x * 2**-0.5).erf())

    def attention(self, q, k, v):
        return q.scaled_dot_product_attention(k, v, is_causal=True)

    def look_up(self, table, index):
        return table[index]

    def lstm(self, x, weight_in, weight_state, bias_in, bias_state):
        gates = self.linear(x, weight_in, bias_in + bias_state).contiguous()
        h = c = Tensor.zeros(x.shape[1], weight_state.shape[1])
        states = []
        for time in range(x.shape[0]):
            i, f, g, o = self.linear(h, weight_state, gates[time]).chunk(4, dim=1)
            c = (f.sigmoid() * c + i.sigmoid() * g.tanh()).contiguous()
            h = (o.sigmoid() * c.tanh()).contiguous()
            states.append(h)
        return Tensor.stack(*states)

    def cross_entropy(self, z, y):
        return z.reshape(-1, z.shape[-1]).sparse_categorical_crossentropy(y.reshape(-1))


def tensor(array):
    return Tensor(array.astype("int32") if array.dtype == "int64" else array).realize()


def main():
    f = Words()
    numbers, batches = peer.numbers()
    p = {k: tensor(v) for k, v in numbers.items()}
    m = {k: [tensor(0 * v) for _ in range(moments(peer.workload))] for k, v in numbers.items()}
    f.running = {k[:-7]: (tensor(0 * v), tensor(0 * v + 1)) for k, v in numbers.items() if "bn" in k and k.endswith(".weight")}
    del numbers
    count = Tensor.zeros(1).contiguous().realize()
    batches = [tuple(tensor(v) for v in oriented(peer.workload, b)) for b in batches]

    @TinyJit
    def train(x, y):
        loss = loss_of(peer.workload, f, p, x, y)
        g = clipped(f, peer.workload, dict(zip(p, loss.gradient(*p.values()))))
        count.assign(count + 1)
        changed = [count] + [v for pair in f.running.values() for v in pair]
        for k in p:
            value, ms = updated(f, peer.workload, p[k], g[k], m[k], count, p[k].ndim > 1)
            changed += [a.assign(b) for a, b in zip(m[k], ms)] + [p[k].assign(value)]
        return loss.realize(*changed)

    peer.drive(lambda i: train(*batches[i % BATCHES]), lambda loss: [loss.item()], tinygrad=importlib.metadata.version("tinygrad"))


main()
