"""by_jax.py WORKLOAD [jit | scan]: by JAX, the whole step in one jit with its state donated; scan: 100 steps in one jit, for steps
that are shorter than what a call costs. One JSON object to $PEER_RESULT and stdout.
"""
import sys

from drive import Peer, refuse
from models import clipped, loss_of, moments, oriented, updated
from workloads import BATCHES

MODE = sys.argv[2] if len(sys.argv) > 2 else "jit"
STEPS = 100 if MODE == "scan" else 1
if MODE not in ("jit", "scan"):
    refuse(f"'{MODE}' is no mode", 2)
peer = Peer("jax" if MODE == "jit" else "jax-scan")
if MODE == "scan" and peer.workload not in ("micrograd-mlp", "mlp"):
    refuse(f"{peer.workload}: no step is that short")

import jax
import numpy as np
from jax import lax, nn
from jax import numpy as jnp

jax.devices()
peer.mark("import")
IMAGES = ("NHWC", "HWIO", "NHWC")  # what XLA's convolutions like here


def normed(x, axes):
    mean = x.mean(axes, keepdims=True)
    centred = x - mean
    variance = (centred * centred).mean(axes, keepdims=True)
    return centred * lax.rsqrt(variance + 1e-5), mean, variance


class Words:
    def __init__(self, running):
        self.running, self.next = running, {}

    relu, sqrt, smaller, turn = staticmethod(nn.relu), staticmethod(jnp.sqrt), staticmethod(jnp.minimum), staticmethod(jnp.swapaxes)

    def linear(self, x, weight, bias):
        y = x @ weight.T
        return y if bias is None else y + bias

    def conv(self, x, weight, bias, stride, pad):
        y = lax.conv_general_dilated(x, weight, (stride, stride), ((pad, pad), (pad, pad)), dimension_numbers=IMAGES)
        return y if bias is None else y + bias

    def pool(self, x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def rows(self, x):
        return jnp.moveaxis(x, 3, 1).reshape(len(x), -1)

    def mean_of_places(self, x):
        return x.mean((1, 2))

    def batch_norm(self, x, name, weight, bias):
        y, mean, variance = normed(x, (0, 1, 2))
        count, (old_mean, old_variance) = x.size / x.shape[-1], self.running[name]
        self.next[name] = (0.9 * old_mean + 0.1 * mean.ravel(), 0.9 * old_variance + 0.1 * count / (count - 1) * variance.ravel())
        return y * weight + bias

    def layer_norm(self, x, weight, bias):
        y = normed(x, -1)[0] * weight
        return y if bias is None else y + bias

    def gelu(self, x, tanh):
        return nn.gelu(x, approximate=tanh)

    def attention(self, q, k, v):
        scores = jnp.einsum("bhtd,bhsd->bhts", q, k) / np.float32(np.sqrt(q.shape[-1]))
        seen = np.tri(q.shape[2], dtype=bool)
        return nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1) @ v

    def look_up(self, table, index):
        return table[index]

    def lstm(self, x, weight_in, weight_state, bias_in, bias_state):
        gates = x @ weight_in.T + (bias_in + bias_state)
        zeros = jnp.zeros((x.shape[1], weight_state.shape[1]), x.dtype)

        def cell(state, gate):
            h, c = state
            i, f, g, o = jnp.split(gate + h @ weight_state.T, 4, axis=1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
            h = nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        return lax.scan(cell, (zeros, zeros), gates)[1]

    def cross_entropy(self, z, y):
        z, y = z.reshape(-1, z.shape[-1]), y.reshape(-1, 1)
        return -jnp.take_along_axis(nn.log_softmax(z, axis=1), y, axis=1).mean()


def one(state, batch):
    p, m, running, count = state

    def forward(p):
        f = Words(running)
        return loss_of(peer.workload, f, p, *batch), f.next

    (loss, running), g = jax.value_and_grad(forward, has_aux=True)(p)
    g, count = clipped(Words(running), peer.workload, g), count + 1
    both = {k: updated(Words(running), peer.workload, p[k], g[k], m[k], count, p[k].ndim > 1) for k in p}
    return ({k: v[0] for k, v in both.items()}, {k: v[1] for k, v in both.items()}, running, count), loss


def as_images(v, axes):
    return jnp.asarray(np.ascontiguousarray(v.transpose(axes) if v.ndim == 4 else v.astype(np.int32) if v.dtype == np.int64 else v))


def main():
    numbers, batches = peer.numbers()
    p = {k: as_images(v, (2, 3, 1, 0)) for k, v in numbers.items()}
    del numbers
    m = {k: [jnp.zeros_like(v) for _ in range(moments(peer.workload))] for k, v in p.items()}
    running = {k[:-7]: (jnp.zeros_like(v), jnp.ones_like(v)) for k, v in p.items() if "bn" in k and k.endswith(".weight")}
    state = [(p, m, running, jnp.zeros((), jnp.float32))]
    del p, m
    batches = [tuple(as_images(v, (0, 2, 3, 1)) for v in oriented(peer.workload, b)) for b in batches]
    if MODE == "jit":
        compiled = jax.jit(one, donate_argnums=0)
        of = lambda i: batches[i % BATCHES]
    else:
        compiled = jax.jit(lambda state, all_: lax.scan(one, state, all_), donate_argnums=0)
        whole = tuple(jnp.stack([batches[i % BATCHES][j] for i in range(STEPS)]) for j in range(2))
        of = lambda i: whole

    def step(i):
        state[0], loss = compiled(state[0], of(i))
        return loss

    peer.drive(step, lambda loss: np.atleast_1d(np.asarray(loss)).tolist(), per=STEPS, jax=jax.__version__)


main()
