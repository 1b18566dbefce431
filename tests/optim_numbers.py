#!/usr/bin/env python3
"""Writes optim_numbers.def from the rows of optim.def.  Needs PyTorch; run by hand:
    python tests/optim_numbers.py > tests/optim_numbers.def"""
import math, os, re
import torch
import torch.optim.lr_scheduler as L
from torch.optim import *

torch.set_default_dtype(torch.float64)
here = os.path.dirname(os.path.abspath(__file__))


class Paper(torch.optim.Optimizer):
    """What PyTorch does not have, from the papers."""

    def __init__(self, params, **numbers):
        super().__init__(params, numbers)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state["t"] = state.get("t", 0) + 1
                self.update(p, p.grad, state, group)


class Lion(Paper):
    def update(self, p, g, s, o):
        m = s.get("m", torch.zeros_like(p))
        p.mul_(1 - o["lr"] * o["weight_decay"])
        p.sub_(o["lr"] * torch.sign(0.9 * m + 0.1 * g))
        s["m"] = 0.99 * m + 0.01 * g


class Lamb(Paper):
    def update(self, p, g, s, o):
        s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
        s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g
        r = (s["m"] / (1 - 0.9 ** s["t"])) / ((s["v"] / (1 - 0.999 ** s["t"])).sqrt() + 1e-6)
        r = r + o["weight_decay"] * p
        p.sub_(o["lr"] * p.norm() / r.norm() * r)


class Lars(Paper):
    def update(self, p, g, s, o):
        d = o["weight_decay"]
        local = 0.001 * p.norm() / (g.norm() + d * p.norm() + 1e-8)
        s["v"] = 0.9 * s.get("v", 0) + o["lr"] * local * (g + d * p)
        p.sub_(s["v"])


class Muon(Paper):
    def update(self, p, g, s, o):
        p.mul_(1 - o["lr"] * 0.1)
        if p.dim() < 2:
            s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
            s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g
            t = s["t"]
            p.sub_(o["lr"] * s["m"] / (1 - 0.9**t) / ((s["v"] / (1 - 0.999**t)).sqrt() + 1e-7))
            return
        s["m"] = torch.lerp(s.get("m", torch.zeros_like(g)), g, 0.05)
        x = torch.lerp(g, s["m"], 0.95)
        x = x / x.norm().clamp_min(1e-7)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        p.sub_(o["lr"] * max(1, p.shape[0] / p.shape[1]) ** 0.5 * x)


class Schedules:
    """S.StepLR(..) waits for its optimiser."""

    def __getattr__(self, name):
        return lambda **numbers: lambda optimiser: getattr(L, name)(optimiser, **numbers)


S = Schedules()


def fill(shape, rate, phase):
    n = math.prod(shape)
    return torch.tensor([math.sin(rate * i + phase) for i in range(n)]).reshape(shape)


def run(optimiser, schedule=None, most=7, clip=None, every=1):
    schedule = schedule and schedule(optimiser)
    for i in range(7):
        loss = ((torch.tanh(x @ ps[0].T + ps[1]) - y) ** 2).mean() / every
        loss.backward()
        if (i + 1) % every == 0:
            if clip:
                clip()
            optimiser.step()
            optimiser.zero_grad()
            for p in ps:
                p.grad = None
            if schedule and i < most:
                schedule.step()


x, y = fill((5, 4), 1.3, 0.5), fill((5, 3), 0.7, 0.1)
print("/* Written by optim_numbers.py with PyTorch %s; not to be edited. */" % torch.__version__.split("+")[0])
for name, theirs in re.findall(r'^OPTIM\((\w+), "((?:[^"\\]|\\.)*)"', open(os.path.join(here, "optim.def")).read(), re.M):
    ps = [fill((3, 4), 0.9, 0.2).requires_grad_(), fill((3,), 0.9, 1.3).requires_grad_()]
    eval("run(%s)" % theirs)
    sums = [(p.detach().reshape(-1) * torch.cos(1.1 * torch.arange(p.numel()) + 0.2)).sum().item() for p in ps]
    print("NUMBERS(%s, %s)" % (name, ", ".join("%.17g" % s for s in sums)))
