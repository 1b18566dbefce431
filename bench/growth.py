#!/usr/bin/env python3
"""growth.py: one figure of how a training step's time grows with width, depth, batch and sequence.

  bench/growth.py [CURVE...] [--rounds 3] [--cpu] [--build build] [--results bench/results]
  bench/growth.py --again FILE        draws what a run has kept

Runs build/bench/growth, keeps what it prints in growth.txt and draws growth.svg beside it. A curve is the time of a step by the
time that its multiply-adds would take at the FMA peak of the same run: 1 is the floor, and level or falling is as it should be.
A cliff, where one more costs half as much again, is a red ring. Exit status 1 where there is one.
"""
import argparse
import datetime
import math
import os
import platform
import subprocess
import sys
from html import escape

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
AXES = {"width": "units or channels of a layer", "depth": "layers", "batch": "rows of a batch", "sequence": "tokens of a row"}
ABOUT = {
    "width dense": "W-W-W-10, batch 64", "width conv": "two convolutions to C channels, 16x16, batch 16", "depth dense": "layers of 128, batch 64",
    "batch dense": "784-128-10", "batch conv": "two convolutions, two layers, 28x28", "sequence attention": "2 layers of 4 heads over 128, batch 4",
    "sequence lstm": "128 units, batch 32",
}
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 460, 300, 54, 40, 44  # of a panel
COLOURS = ["#1f6fb4", "#d9631e"]


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("curves", nargs="*", metavar="CURVE", help="the beginning of a name: " + ", ".join(ABOUT))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--cpu", action="store_true", help="for a busy machine: one thread, and the processor's time that it got")
    p.add_argument("--build", default=os.path.join(ROOT, "build"), help="where ./dev bench built")
    p.add_argument("--results", default=os.path.join(HERE, "results"), help="folder for the numbers and the figure")
    p.add_argument("--again", metavar="FILE", help="draw what lies in it")
    return p.parse_args()


def measure(o):
    program = os.path.join(o.build, "bench", "growth")
    cache = os.path.join(o.build, "growth-cache")  # some five hundred programs, none of a user's
    try:
        how = ["--rounds", str(o.rounds), *(["--cpu"] if o.cpu else [])]
        got = subprocess.run([program, *how, *o.curves], env=dict(os.environ, XDG_CACHE_HOME=cache), stdout=subprocess.PIPE, text=True)
    except OSError as e:
        sys.exit(f"growth.py: {program}: {e.strerror}; ./dev bench builds it")
    if got.returncode:
        sys.exit(got.returncode)
    return f"about: {platform.machine()}, {datetime.date.today()}\n" + got.stdout


def parse(text):
    """Curves by name: [(size, seconds, multiply-adds)]; cliffs by name: [(size, next, times)]; peaks a second; threads; about."""
    curves, cliffs, peaks, threads, about = {}, {}, [], 0, ""
    for line in text.splitlines():
        name, rest = line.split(": ", 1)
        f = rest.split()
        if name == "about":
            about = rest
        elif name == "peak":
            threads, peak = int(f[0]), float(f[1])
            peaks.append(peak)
        elif f[0] == "cliff":
            cliffs.setdefault(name, []).append((int(f[1]), int(f[2]), float(f[3])))
        else:
            curves.setdefault(name, []).append((int(f[0]), float(f[1]), float(f[2])))
    return curves, cliffs, max(peaks), threads, about


# --- drawing -----------------------------------------------------------------------------------------


def spots(low, high):
    """1, 2 and 5 times powers of ten between two numbers."""
    all_ = [d * 10.0**e for e in range(-3, 7) for d in (1, 2, 5)]
    return [v for v in all_ if low * 0.999 <= v <= high * 1.001]


def scale(low, high, start, stop):
    return lambda v: start + (math.log(v) - math.log(low)) / (math.log(high) - math.log(low)) * (stop - start)


def text_at(x, y, words, anchor="middle", fill="#555", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}"{more}>{escape(words)}</text>'


def grid(x, y, xs, ys):
    out = []
    for v in xs:
        out.append(f'<path stroke="#e4e4e4" d="M{x(v):.1f} {TOP}V{HEIGHT - BOTTOM}"/>' + text_at(x(v), HEIGHT - BOTTOM + 15, f"{v:g}"))
    for v in ys:
        out.append(f'<path stroke="{"#999" if v == 1 else "#e4e4e4"}" d="M{LEFT} {y(v):.1f}H{WIDTH - 12}"/>' + text_at(LEFT - 6, y(v) + 4, f"{v:g}", "end"))
    return out


def panel(axis, curves, cliffs, peak):
    """One axis: its curves over a grid by powers."""
    mine = {n: [(size, took / work * peak) for size, took, work in c] for n, c in curves.items() if n.startswith(axis + " ")}
    sizes, times = [s for c in mine.values() for s, _ in c], [t for c in mine.values() for _, t in c]
    low, high = min(1, *times) * 0.9, max(times) * 1.3
    last = max(sizes)
    x, y = scale(min(sizes), max(last, min(sizes) + 1), LEFT, WIDTH - 12), scale(low, max(high, 2), HEIGHT - BOTTOM, TOP)
    xs = [v for v in spots(min(sizes), last)] + ([16] if min(sizes) == 16 else [])
    out = grid(x, y, xs, spots(low, high))
    out.append(text_at(WIDTH / 2 + LEFT / 2, HEIGHT - 12, AXES[axis]))
    for i, (name, c) in enumerate(mine.items()):
        path = "".join(f"{'L' if k else 'M'}{x(s):.1f} {y(t):.1f}" for k, (s, t) in enumerate(c))
        out.append(f'<path fill="none" stroke="{COLOURS[i]}" stroke-width="1.4" stroke-linejoin="round" d="{path}"/>')
        out += [f'<circle cx="{x(s):.1f}" cy="{y(t):.1f}" r="1.3" fill="{COLOURS[i]}"/>' for s, t in c]
        at = dict(c)
        for a, b, times_ in cliffs.get(name, []):
            worse = max((a, b), key=lambda s: at[s])
            out.append(f'<circle cx="{x(worse):.1f}" cy="{y(at[worse]):.1f}" r="6" fill="none" stroke="#c00" stroke-width="2"/>')
            left = min(x(worse), WIDTH - 60)  # of the middle; the words stay within the panel
            out.append(text_at(left, y(at[worse]) - 9, f"{a}, {b}: {times_:.1f}x", fill="#c00", more=' stroke="#fff" stroke-width="3" paint-order="stroke"'))
        out.append(text_at(WIDTH - 16, TOP + 14 + 15 * i, f"{name.split()[1]}: {ABOUT.get(name, '')}", "end", COLOURS[i]))
    return out


def draw(text):
    curves, cliffs, peak, threads, about = parse(text)
    shown = [a for a in AXES if any(n.startswith(a + " ") for n in curves)]
    rows = (len(shown) + 1) // 2
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {rows * HEIGHT + 50}" font-family="sans-serif" font-size="11">',
        f'<rect width="{2 * WIDTH}" height="{rows * HEIGHT + 50}" fill="#fff"/>',
        text_at(WIDTH, 22, "A training step's time, in times of what its multiply-adds take at the machine's peak", fill="#000", more=' font-size="15"'),
        text_at(WIDTH, 40, f"{about}; {threads} threads, FMA peak {2e-9 * peak:.0f} GFLOP/s; "
                f"{sum(map(len, curves.values()))} sizes, {sum(map(len, cliffs.values()))} cliffs (a neighbour half as slow again)"),
    ]
    for i, axis in enumerate(shown):
        out += [f'<g transform="translate({i % 2 * WIDTH} {i // 2 * HEIGHT + 40})">', *panel(axis, curves, cliffs, peak), "</g>"]
    return "\n".join(out + ["</svg>", ""])


def main():
    o = arguments()
    if o.again:
        with open(o.again) as f:
            text = f.read()
    else:
        os.makedirs(o.results, exist_ok=True)
        text = measure(o)
        with open(os.path.join(o.results, "growth.txt"), "w") as f:
            f.write(text)
    picture = os.path.join(os.path.dirname(o.again) if o.again else o.results, "growth.svg")
    with open(picture, "w") as f:
        f.write(draw(text))
    curves, cliffs, peak, _, _ = parse(text)
    for name, c in curves.items():
        at = {size: took for size, took, _ in c}
        for a, b, times in cliffs.get(name, []):
            print(f"cliff: {name}: {a} takes {1e3 * at[a]:.4f} ms, {b} {1e3 * at[b]:.4f}: {times:.2f} times")
    print(f"{sum(map(len, curves.values()))} sizes, {sum(map(len, cliffs.values()))} cliffs; {picture}")
    return 1 if cliffs else 0


if __name__ == "__main__":
    sys.exit(main())
