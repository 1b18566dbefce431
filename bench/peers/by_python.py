"""by_python.py WORKLOAD [eager | compile]: by taper's own Python package, operation by operation, or the step through
taper.compile. The package is this tree's, its library $TAPER_LIBRARY or build/libtaper.so. One JSON object to $PEER_RESULT.
"""
import os
import sys

from drive import Peer, refuse
from models import loss_of, oriented
from workloads import ADAM, BATCHES, SGD

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODE = sys.argv[2] if len(sys.argv) > 2 else "eager"
if MODE not in ("eager", "compile"):
    refuse(f"'{MODE}' is no mode", 2)
peer = Peer("taper-python-" + MODE)
sys.path.insert(0, os.path.join(ROOT, "frontend", "python"))

import taper
from taper.nn import functional as F

peer.mark("import")


class Words:
    relu, linear = staticmethod(F.relu), staticmethod(F.linear)
    pool = staticmethod(lambda x: F.max_pool2d(x, 2))
    rows = staticmethod(lambda x: x.flatten(1))
    conv = staticmethod(lambda x, w, b, stride, pad: F.conv2d(x, w, b, stride, pad))
    cross_entropy = staticmethod(lambda z, y: F.cross_entropy(z, y))


def optimiser(p, row):
    if row.rule == SGD:
        o = row.options
        return taper.optim.SGD(p, row.rate, momentum=o.get("momentum", 0), weight_decay=o.get("weight_decay", 0))
    if row.rule == ADAM:
        return taper.optim.Adam(p, row.rate)
    refuse(f"{peer.workload} is not spelled here; mlp and lenet are")


def main():
    numbers, batches = peer.numbers()
    p = {k: taper.from_numpy(v).requires_grad_() for k, v in numbers.items()}
    batches = [tuple(taper.from_numpy(v) for v in oriented(peer.workload, b)) for b in batches]
    opt = optimiser(list(p.values()), peer.row)

    def train(x, y):
        opt.zero_grad()
        loss = loss_of(peer.workload, Words, p, x, y)
        loss.backward()
        opt.step()
        return loss

    train = taper.compile(train) if MODE == "compile" else train
    peer.drive(lambda i: train(*batches[i % BATCHES]), lambda loss: [float(loss.detach())], taper=taper.__version__)


main()
