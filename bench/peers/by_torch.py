"""by_torch.py WORKLOAD [eager | compile | autotune]: by PyTorch, operation by operation with the fused optimiser, or by
torch.compile (autotune: its mode max-autotune), which compiles the update too. One JSON object to $PEER_RESULT and stdout.
"""
import sys

from drive import THREADS, Peer, refuse
from models import loss_of, oriented
from workloads import ADAM, BATCHES, SGD

MODE = sys.argv[2] if len(sys.argv) > 2 else "eager"
if MODE not in ("eager", "compile", "autotune"):
    refuse(f"'{MODE}' is no mode", 2)
peer = Peer("torch-" + MODE)

import torch
from torch.nn import functional as F

torch.set_num_threads(THREADS)
peer.mark("import")


def library_lstm(x, *weights):  # oneDNN's; torch.compile would unroll it, which takes twice as long
    start = x.new_zeros(1, x.shape[1], weights[1].shape[1])
    return torch.lstm(x, (start, start), weights, True, 1, 0.0, True, False, False)[0]


class Words:
    running = {}  # statistics of batch_norm, by name
    relu, linear, turn = staticmethod(F.relu), staticmethod(F.linear), staticmethod(torch.transpose)
    lstm = staticmethod(library_lstm if MODE == "eager" else torch.compiler.disable(library_lstm))
    pool = staticmethod(lambda x: F.max_pool2d(x, 2))
    rows = staticmethod(lambda x: x.flatten(1))
    mean_of_places = staticmethod(lambda x: x.mean((2, 3)))
    conv = staticmethod(lambda x, w, b, stride, pad: F.conv2d(x, w, b, stride, pad))
    layer_norm = staticmethod(lambda x, w, b: F.layer_norm(x, w.shape, w, b, 1e-5))
    gelu = staticmethod(lambda x, tanh: F.gelu(x, approximate="tanh" if tanh else "none"))
    attention = staticmethod(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True))
    look_up = staticmethod(lambda table, i: F.embedding(i, table))
    cross_entropy = staticmethod(lambda z, y: F.cross_entropy(z.flatten(0, -2), y.flatten()))

    @classmethod
    def batch_norm(cls, x, name, weight, bias):
        mean, variance = cls.running[name]
        return F.batch_norm(x, mean, variance, weight, bias, True, 0.1, 1e-5)


def optimiser(p, row):
    o, how = row.options, dict(fused=True) if MODE == "eager" else dict(foreach=True)
    if row.rule == SGD:
        return torch.optim.SGD(p, row.rate, momentum=o.get("momentum", 0), weight_decay=o.get("weight_decay", 0), **how)
    if row.rule == ADAM:
        return torch.optim.Adam(p, row.rate, **how)
    groups = [dict(params=[v for v in p if v.dim() > 1], weight_decay=o["weight_decay"])]
    if any(v.dim() < 2 for v in p):
        groups.append(dict(params=[v for v in p if v.dim() < 2], weight_decay=0.0))
    return torch.optim.AdamW(groups, row.rate, betas=o["betas"], **how)


def main():
    numbers, batches = peer.numbers()
    p = {k: torch.from_numpy(v).clone().requires_grad_() for k, v in numbers.items()}
    del numbers
    Words.running = {k[:-7]: (torch.zeros(v.shape), torch.ones(v.shape)) for k, v in p.items() if "bn" in k and k.endswith(".weight")}
    batches = [tuple(torch.from_numpy(v) for v in oriented(peer.workload, b)) for b in batches]
    opt, clip, every = optimiser(list(p.values()), peer.row), peer.row.options.get("clip"), list(p.values())

    def forward(x, y):
        return loss_of(peer.workload, Words, p, x, y)

    def update():
        if clip:
            torch.nn.utils.clip_grad_norm_(every, clip)
        opt.step()

    if MODE != "eager":
        how = dict(mode="max-autotune") if MODE == "autotune" else {}
        forward, update = torch.compile(forward, **how), torch.compile(update, **how)

    def step(i):
        loss = forward(*batches[i % BATCHES])
        loss.backward()
        update()
        opt.zero_grad(set_to_none=True)
        return loss.detach()

    peer.drive(step, lambda loss: [loss.item()], torch=torch.__version__)


main()
