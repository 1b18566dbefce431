"""torch_eager.py WORKLOAD: the workload by PyTorch, operation by operation; one JSON object to $PEER_RESULT and stdout.

The numbers, the clock and the keys are those of taper-peer: see taper.c for the environment. The fused form of the
optimiser is taken, PyTorch's fastest here.
"""
import json
import os
import resource
import sys
import time

START = time.time()
SPAWN = float(os.environ.get("PEER_SPAWN", START))

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

IMPORTED = time.time()
BATCHES, FIRST = 4, 10
now = time.perf_counter


class MLP(nn.Module):
    def __init__(self, *widths):
        super().__init__()
        self.count = len(widths) - 1
        for i in range(self.count):
            setattr(self, f"fc{i + 1}", nn.Linear(widths[i], widths[i + 1]))

    def forward(self, x):
        for i in range(1, self.count):
            x = F.relu(getattr(self, f"fc{i}")(x))
        return getattr(self, f"fc{self.count}")(x)


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


def sgd(rate, momentum=0):
    return lambda p: torch.optim.SGD(p, rate, momentum=momentum, fused=True)


def adam(rate):
    return lambda p: torch.optim.Adam(p, rate, fused=True)


def entropy(model, x, y):
    return F.cross_entropy(model(x), y)


def hinge(model, x, y):  # micrograd's, with the squares of all parameters
    return F.relu(1 - y * model(x).squeeze(1)).mean() + 1e-4 * sum((p * p).sum() for p in model.parameters())


WORKLOADS = {
    "mlp": (lambda: MLP(784, 128, 10), entropy, sgd(0.1)),
    "mlp-wide": (lambda: MLP(784, 1024, 1024, 10), entropy, adam(1e-3)),
    "lenet": (LeNet, entropy, sgd(0.01, momentum=0.9)),
    "micrograd-mlp": (lambda: MLP(2, 16, 16, 1), hinge, sgd(0.1)),
}


def priority(nice):
    try:
        with open("/proc/self/autogroup", "w") as f:
            f.write(str(nice))
        for task in os.listdir("/proc/self/task"):
            os.setpriority(os.PRIO_PROCESS, int(task), nice)
    except OSError:
        pass


def cpu():  # core-seconds since the start: of the whole machine, of this process
    f = [int(v) for v in open("/proc/stat").readline().split()[1:9]]
    own = os.times()
    return (sum(f) - f[3] - f[4]) / os.sysconf("SC_CLK_TCK"), own.user + own.system


def quantile(values, q):
    return sorted(values)[int((len(values) - 1) * q + 0.5)]


def drive(step, budget):
    d, first, losses, blocks, synced = {}, [], [], [], []
    done = 0
    for done in range(FIRST):
        t = now()
        losses.append(step(done).item())
        first.append(now() - t)
        if done == 0:
            d["first_at_s"] = time.time() - SPAWN
    priority(-20)
    t = now()
    while now() - t < 1:  # warm up
        done += 1
        step(done)
    probe = 10 if first[-1] < 0.1 else 2
    t = now()
    for _ in range(probe):
        done += 1
        step(done)
    each = max(1, int(5e-3 / ((now() - t) / probe) + 0.5))  # blocks of at least 5 ms
    begin, before = now(), cpu()
    start = begin
    while start - begin < budget or (len(blocks) < 30 and start - begin < 3 * budget + 15):
        for _ in range(each):
            done += 1
            step(done)
        t = now()
        blocks.append((t - start) / each)
        start = t
    wall, after = start - begin, cpu()
    own = after[1] - before[1]
    begin = now()
    while now() - begin < budget / 4:
        t = now()
        done += 1
        step(done).item()
        synced.append(now() - t)
    priority(0)
    median = quantile(blocks, 0.5)
    d.update(
        min_ms=1e3 * min(blocks), median_ms=1e3 * median, p90_ms=1e3 * quantile(blocks, 0.9), steps_per_block=each,
        blocks=len(blocks), synced_median_ms=1e3 * quantile(synced, 0.5), first_step_s=first[0], first_steps_s=first[:5],
        losses=losses, loss_last=sum(step(done + 1 + i).item() for i in range(BATCHES)) / BATCHES, steps_total=done + 5,
        cores_used=own / wall, others_cores=max(0.0, (after[0] - before[0] - own) / wall),
        warm_up_s=sum(max(0.0, v - median) for v in first),
    )
    return d


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: torch_eager.py WORKLOAD")
    if sys.argv[1] not in WORKLOADS:
        print(f"torch_eager.py: {sys.argv[1]}: unsupported", file=sys.stderr)
        sys.exit(3)
    workload = sys.argv[1]
    threads = int(os.environ.get("THREADS") or os.environ.get("OMP_NUM_THREADS") or os.cpu_count())
    torch.set_num_threads(threads)
    model, loss_of, optimiser = WORKLOADS[workload]
    folder = os.path.join(os.environ["PEER_NUMBERS"], workload)
    load = lambda name: torch.from_numpy(np.load(os.path.join(folder, name + ".npy")))
    t = now()
    batches = [(load(f"x{i}"), load(f"y{i}")) for i in range(BATCHES)]
    data_s, t = now() - t, now()
    model = model()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(load(name))
    opt = optimiser(list(model.parameters()))
    setup_s = now() - t

    def step(i):
        x, y = batches[i % BATCHES]
        loss = loss_of(model, x, y)
        loss.backward()
        opt.step()
        opt.zero_grad(set_to_none=True)
        return loss.detach()

    d = dict(peer="torch-eager", workload=workload, python_s=START - SPAWN, import_s=IMPORTED - START, data_s=data_s, setup_s=setup_s)
    d.update(drive(step, float(os.environ.get("PEER_BUDGET", "5"))))
    d.update(
        cold_s=d["python_s"] + d["import_s"] + data_s + setup_s + d.pop("warm_up_s"),
        rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        child_rss_mb=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        when=time.strftime("%H:%M:%S"), note=dict(torch=torch.__version__, threads=threads),
    )
    text = json.dumps(d)
    if os.environ.get("PEER_RESULT"):
        with open(os.environ["PEER_RESULT"], "w") as f:
            f.write(text)
    print(text)


main()
