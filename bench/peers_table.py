#!/usr/bin/env python3
"""peers_table.py: a training step of eight workloads by taper and by other systems, alternately, in one table.

  bench/peers_table.py [WORKLOAD...] [--rounds 5] [--seconds 1] [--peers torch,compile,autotune,jax,scan,tinygrad]

It installs nothing. Peers are looked for in the virtual environment $TAPER_PEERS_VENV, else build/peers-venv, which
    python3 -m venv build/peers-venv && build/peers-venv/bin/pip install numpy torch jax tinygrad
makes (5 GB; torch.compile also wants a C++ compiler, tinygrad clang). What is not there is left out. NumPy is needed. More
columns may be added by $TAPER_PEER_NAME=COMMAND, as in table.py.

All start from the same numbers and take the same batches, in f32; the losses of the first ten steps are compared. In each round
every column runs once, in the order of the round before turned round, and the machine's own peak is measured before and after.
Ratios are of one round: the table gives their median, and the ratio of the best blocks of 5 ms in brackets. The table, and all
numbers behind it, are written to bench/results/DATE.md and .json.
"""
import argparse
import contextlib
import datetime
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile

from table import (HERE, ROOT, Runs, added, best, environment_folder, has_numpy, machine, middle, milliseconds, put_losses, python_with, say,
                   script)

PEERS = {  # column, module, script and mode
    "torch": ("torch eager", "torch", "eager"), "compile": ("torch compile", "torch", "compile"),
    "autotune": ("torch autotune", "torch", "autotune"), "jax": ("jax", "jax", "jit"), "scan": ("jax scan", "jax", "scan"),
    "tinygrad": ("tinygrad", "tinygrad", ""),
}
WORKLOADS = ["micrograd-mlp", "mlp", "mlp-wide", "lenet", "resnet20", "lstm", "gpt", "gpt2-124m"]
ONE = "taper, 1 thread"


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=" ".join(WORKLOADS))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=1.0, help="of steady state a run")
    p.add_argument("--peers", default=",".join(PEERS), help="by commas")
    p.add_argument("--build", default=os.path.join(ROOT, "build"), help="where ./dev bench built")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--keep", help="folder for the JSON object of each run")
    p.add_argument("--results", default=os.path.join(HERE, "results"), help="folder for the table")
    p.add_argument("--again", metavar="FILE", help="print the table of such a .json instead of measuring")
    o = p.parse_args()
    o.workloads = o.workloads or WORKLOADS
    wrong = [w for w in o.workloads if w not in WORKLOADS] + [n for n in o.peers.split(",") if n and n not in PEERS]
    if wrong or o.rounds < 1:
        p.error(f"'{wrong[0]}' is neither a workload nor a peer" if wrong else "expected a round or more")
    return o


# --- measuring ---------------------------------------------------------------------------------------


def columns(runs, folder):
    taper = os.path.join(runs.bench, "taper-peer")
    table = {"taper": lambda w: [taper, w], ONE: lambda w: [taper, w]}
    for name in filter(None, runs.o.peers.split(",")):
        title, module, mode = PEERS[name]
        python = python_with(folder, module, "numpy")
        if python:
            table[title] = script(python, module, *filter(None, [mode]))
        else:
            say(f"{title}: left out, no {module} in {folder}")
    table.update(added())
    return table


def measure(runs, table, workload, caches):
    """Column -> the JSON objects of its rounds."""
    found = {name: [] for name in table}
    for round_ in range(runs.o.rounds):
        calib = runs.peak()
        for name in list(table) if round_ % 2 == 0 else list(table)[::-1]:
            if None in found[name]:  # it will not do better the next time
                continue
            more = {"THREADS": "1", "OMP_NUM_THREADS": "1"} if name == ONE else {}
            more["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(caches, workload, name.replace(" ", "-"))  # empty in the first round
            d = runs.peer(name, table[name](workload), round_, **more)
            before, calib = calib, runs.peak()
            if d:
                d["calib"] = [before, calib]
            found[name].append(d)
    return {name: rows for name, rows in found.items() if None not in rows}


def multiply_adds(python, workloads):  # of a step; said by a file that needs NumPy
    text = f"import json, workloads as w; print(json.dumps({{n: w.multiply_adds(n) for n in {workloads!r}}}))"
    got = subprocess.run([python, "-c", text], cwd=os.path.join(HERE, "peers"), capture_output=True, text=True, check=True)
    return json.loads(got.stdout)


def start(runs, workload):
    d = runs.program("compile", "--json", "--rounds", str(min(runs.o.rounds, 5)), workload)
    return {s["workload"]: s for s in d["starts"]} if d else {}


# --- the table -----------------------------------------------------------------------------------------


def ratios(over, under):
    """The median of the rounds' ratios, and the ratio of the best."""
    return statistics.median(a["median_ms"] / b["median_ms"] for a, b in zip(over, under)), best(over) / best(under)


def fastest(found, workload):
    """The column, and how many times taper's speed it has not."""
    ours = found[workload, "taper"]
    others = [(ratios(rows, ours), name) for (w, name), rows in found.items() if w == workload and name not in ("taper", ONE)]
    return min(others, default=None)


def share(rows, operations, peaks):
    """Of the multiply-adds that the machine could have done: by the calibration beside each run; best blocks, best peak."""
    each = [operations / r["median_ms"] / 1e6 / (sum(r["calib"]) / len(r["calib"])) for r in rows if all(r["calib"])]
    return (statistics.median(each), operations / best(rows) / 1e6 / max(peaks)) if each else None


def floor(rows, operations, peaks):
    """ms that the step's multiply-adds take at the FMA peak: at the middle one beside its runs, and at the best of all."""
    each = [sum(r["calib"]) / len(r["calib"]) for r in rows if all(r["calib"])]
    return (operations / statistics.median(each) / 1e6, operations / max(peaks) / 1e6) if each else None


def two(pair, form="{:.2f}"):
    return f"{form.format(pair[0])} ({form.format(pair[1])})" if pair else "–"


def put_steps(found, workloads, names, operations, peaks):
    shown = [n for n in names if n != ONE]
    print("\n| ms a training step, median of rounds (best 5 ms) | " + " | ".join(shown) + " | fastest other : taper | floor at the FMA peak | share of the FMA peak | 1 to 2 threads |")
    print("|---" * (len(shown) + 5) + "|")
    for w in workloads:
        other = fastest(found, w)
        cells = [w]
        for name in shown:
            rows = found.get((w, name))
            cell = f"{milliseconds(middle(rows))} ({milliseconds(best(rows))})" if rows else "–"
            cells.append(f"**{cell}**" if other and name == (other[1] if other[0][0] < 1 else "taper") else cell)
        cells.append(f"{two(other[0])} {other[1]}" if other else "–")
        cells.append(two(floor(found[w, "taper"], operations[w], peaks), "{:.3g}"))
        cells.append(two(share(found[w, "taper"], operations[w], peaks), "{:.0%}"))
        cells.append(two(ratios(found[w, ONE], found[w, "taper"])) if (w, ONE) in found else "–")
        print("| " + " | ".join(cells) + " |")


def seconds(value):
    return f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def first_step(rows):
    """Of the first start and of the later ones, without what reads the common numbers."""
    times = [r["first_at_s"] - r["data_s"] for r in rows]
    return times[0], statistics.median(times[1:] or times)


def put_starts(found, starts, workloads, names):
    others = [n for n in names if n not in ("taper", ONE)]
    print("\n| seconds from process start to the first step done: first start, later ones | taper | " + " | ".join(others) + " |")
    print("|---" * (len(others) + 2) + "|")
    for w in workloads:
        s = starts.get(w)
        cells = [w, f"{seconds(s['cold_first_s'])}, {seconds(s['warm_first_s'])}" if s else "–"]
        for name in others:
            rows = found.get((w, name))
            cells.append(", ".join(seconds(v) for v in first_step(rows)) if rows else "–")
        print("| " + " | ".join(cells) + " |")


def put_memory(found, starts, workloads, names):
    others = [n for n in names if n not in ("taper", ONE)]
    print("\n| MB resident at most, later start | taper | " + " | ".join(others) + " |")
    print("|---" * (len(others) + 2) + "|")
    for w in workloads:
        rows = [found.get((w, name)) for name in others]
        cells = [w, f"{starts[w]['warm_rss_mb']:.0f}" if w in starts else "–"]
        cells += [f"{r[-1]['rss_mb']:.0f}" if r else "–" for r in rows]
        print("| " + " | ".join(cells) + " |")


def versions(found):
    notes = [r["note"] for rows in found.values() for r in rows]
    return ", ".join(f"{name} {v}" for name in ("torch", "jax", "tinygrad") for v in sorted({n[name] for n in notes if name in n}))


def put_disturbed(found):
    worst = max(((max(r["others_cores"] for r in rows), key) for key, rows in found.items()), default=None)
    if worst:
        print(f"\nOther processes kept at most {worst[0]:.2f} cores busy meanwhile ({' by '.join(worst[1])}).")


def table_of(result):
    """The whole text, from what is kept in the .json."""
    found = {(w, name): rows for w, by_name in result["runs"].items() for name, rows in by_name.items()}
    names = list(dict.fromkeys(name for _, name in found))
    workloads = [w for w in result["runs"] if (w, "taper") in found]
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print(f"{result['machine']}; {versions(found) or 'no peers'}; {result['rounds']} rounds of {result['seconds']:g} s, {result['date']}.")
        put_steps(found, workloads, names, result["operations"], result["peaks"])
        put_starts(found, result["starts"], workloads, names)
        put_memory(found, result["starts"], workloads, names)
        print()
        put_losses({key: rows for key, rows in found.items() if key[1] != ONE})
        put_disturbed(found)
    return text.getvalue()


def keep(folder, result, text):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, result["date"].replace(":", "").replace(" ", "-"))
    with open(path + ".json", "w") as f:
        json.dump(result, f, indent=1)
    with open(path + ".md", "w") as f:
        f.write(text)
    return path


def main():
    o = arguments()
    if o.again:
        with open(o.again) as f:
            print(table_of(json.load(f)), end="")
        return 0
    try:
        os.makedirs(o.results, exist_ok=True)
    except OSError as e:
        sys.exit(f"peers_table.py: --results {o.results}: {e.strerror}")
    runs = Runs(o)
    folder = environment_folder(o.build)
    if not os.path.exists(os.path.join(runs.bench, "taper-peer")):
        sys.exit(f"peers_table.py: {runs.bench}/taper-peer is not there; ./dev bench builds it")
    python = python_with(folder, "numpy") or (sys.executable if has_numpy(sys.executable) else None)
    if not python:
        sys.exit(f"peers_table.py: NumPy is needed for the common numbers, in {folder} or here")
    runs.write_numbers(python, o.workloads)
    table = columns(runs, folder)
    result = dict(
        date=datetime.datetime.now().strftime("%Y-%m-%d %H:%M"), rounds=o.rounds, seconds=o.seconds, threads=o.threads, runs={}, starts={},
        operations={w: 2 * n for w, n in multiply_adds(python, o.workloads).items()},
    )
    with tempfile.TemporaryDirectory() as caches:
        for workload in o.workloads:  # kept after each, as a whole run takes an hour
            result["runs"][workload] = measure(runs, table, workload, caches)
            result["starts"].update(start(runs, workload))
            taper = {(w, "taper"): by_name.get("taper", []) for w, by_name in result["runs"].items()}
            result.update(machine=machine(runs, taper), peaks=runs.peaks, triads=runs.triads)
            text = table_of(result)
            path = keep(o.results, result, text)
    print(text, end="")
    say(f"written: {path}.md and .json")
    return 0 if all("taper" in by_name for by_name in result["runs"].values()) and len(result["starts"]) == len(o.workloads) else 1


if __name__ == "__main__":
    sys.exit(main())
