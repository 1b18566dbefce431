#!/usr/bin/env python3
"""table.py: the table that the README quotes, measured on this machine in one run.

  bench/table.py                 taper against PyTorch eager, alternately; products; starts; memory. Needs ./dev bench's programs
  bench/table.py --setup         first installs torch and numpy into the virtual environment (5 GB; the only thing that downloads)
  bench/table.py --rounds 7 --seconds 1 --only steps,gemm,start --build build --keep FOLDER

Peers are looked for in $TAPER_PEERS_VENV, else build/peers-venv; what is not there is left out. A column may be added by
$TAPER_PEER_NAME=COMMAND: it is called with a workload's name, writes taper-peer's JSON object to $PEER_RESULT and finds
the common numbers in $PEER_NUMBERS.

A virtual machine's cores are worth two now and one a second later, which no calibration beside a run of seconds catches.
So rounds alternate between the peers, and two figures are given: the best block of 5 ms, which is what a peer does when it has
the whole machine, and the median of the rounds' medians.
"""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def say(text):
    print(text, file=sys.stderr, flush=True)


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--setup", action="store_true", help="install PyTorch first")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--seconds", type=float, default=1.0, help="of steady state a run")
    p.add_argument("--only", default="steps,gemm,start", help="parts, by commas")
    p.add_argument("--workloads", default="mlp,lenet", help="of the steps, by commas")
    p.add_argument("--build", default=os.path.join(ROOT, "build"), help="where ./dev bench built")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--keep", help="folder for the JSON object of each run")
    return p.parse_args()


# --- peers -----------------------------------------------------------------------------------------


def environment_folder(build):
    return os.environ.get("TAPER_PEERS_VENV") or os.path.join(build, "peers-venv")


def setup(folder):
    if not os.path.exists(os.path.join(folder, "bin", "python")):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([os.path.join(folder, "bin", "pip"), "install", "-q", "torch", "numpy"], check=True)


def python_with(folder, *modules):
    """The environment's Python, or None where one of the modules is not there."""
    python = os.path.join(folder, "bin", "python")
    look = f"import importlib.util as u; exit(not all(u.find_spec(m) for m in {modules!r}))"
    return python if os.path.exists(python) and subprocess.run([python, "-c", look]).returncode == 0 else None


def has_numpy(python):
    return subprocess.run([python, "-c", "import numpy"], stderr=subprocess.DEVNULL).returncode == 0


def script(python, name, *mode):
    """A peer of ours in Python, as a column."""
    return lambda w: [python, os.path.join(HERE, "peers", f"by_{name}.py"), w, *mode]


def added():
    """The columns that the environment adds."""
    return {
        key[len("TAPER_PEER_"):].lower(): lambda w, c=command: c.split() + [w]
        for key, command in os.environ.items() if key.startswith("TAPER_PEER_") and command
    }


def columns(bench, python):
    """Name -> how to call it with a workload's name."""
    taper = os.path.join(bench, "taper-peer")
    table = {"taper": lambda w: [taper, w]}
    if python:
        table["torch eager"] = script(python, "torch", "eager")
    table.update(added())
    table["taper copied"] = lambda w: [taper, w, "--copied"]
    table["taper eager"] = lambda w: [taper, w, "--eager"]
    if python:
        table["taper python"] = script(python, "python", "compile")
        table["taper python eager"] = script(python, "python", "eager")
    return table


OF_LENET = ("taper eager", "taper python", "taper python eager")  # columns of this workload alone

# --- running ---------------------------------------------------------------------------------------


class Runs:
    def __init__(self, options):
        self.o = options
        self.bench = os.path.join(options.build, "bench")
        self.numbers = os.path.join(options.build, "peers-numbers")
        self.environment = dict(
            os.environ, THREADS=str(options.threads), OMP_NUM_THREADS=str(options.threads), MKL_NUM_THREADS=str(options.threads),
            PEER_NUMBERS=self.numbers, PEER_BUDGET=str(options.seconds), PYTHONDONTWRITEBYTECODE="1",
        )
        self.peaks, self.triads = [], []

    def program(self, name, *rest):
        """The JSON object that a bench prints; None with a line on stderr when it could not."""
        got = subprocess.run([os.path.join(self.bench, name), *rest], env=self.environment, capture_output=True, text=True)
        for line in got.stderr.splitlines():
            say(line)
        try:
            return json.loads(got.stdout)
        except ValueError:
            say(f"table.py: {name} ended with {got.returncode}")
            return None

    def peak(self):
        """What the machine gives just now, in GFLOP/s."""
        d = self.program("gemm", "--peak", "--json")
        if not d:
            return 0
        self.peaks.append(d["fma_gflops"])
        self.triads.append(d["triad_gbs"])
        return d["fma_gflops"]

    def write_numbers(self, python, workloads):
        writer = os.path.join(HERE, "peers", "write_numbers.py")
        subprocess.run([python, writer, self.numbers, *workloads], check=True, env=self.environment)

    def peer(self, name, command, round_, **more):
        """One run of a peer, with more in its environment: its JSON object, or None."""
        result = os.path.join(self.o.build, "peers-result.json")
        if os.path.exists(result):
            os.remove(result)
        environment = dict(self.environment, PEER_RESULT=result, PEER_SPAWN=repr(time.time()), **more)
        try:
            got = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
            with open(result) as f:
                d = json.load(f)
        except subprocess.TimeoutExpired:
            say(f"{name}: took more than 900 s")
            return None
        except (OSError, ValueError):
            lines = (got.stderr.strip() or "no result").splitlines()
            say(f"{name}: {lines[-1]}")
            return None
        if self.o.keep:
            os.makedirs(self.o.keep, exist_ok=True)
            shutil.copy(result, os.path.join(self.o.keep, f"{d['workload']}.{name.replace(' ', '-')}.{round_}.json"))
        say(f"round {round_ + 1}: {d['workload']}, {name}: {d['median_ms']:.4f} ms (others kept {d['others_cores']:.2f} cores busy)")
        return d


def steps(runs, table, workloads):
    """(workload, peer) -> the JSON objects of its rounds."""
    found, failed = {}, set()
    for round_ in range(runs.o.rounds):
        order = list(table) if round_ % 2 == 0 else list(table)[::-1]
        for workload in workloads:
            for name in order:
                if (name in OF_LENET and workload != "lenet") or (workload, name) in failed:
                    continue
                runs.peak()
                d = runs.peer(name, table[name](workload), round_)
                if d:
                    found.setdefault((workload, name), []).append(d)
                else:
                    failed.add((workload, name))  # it will not do better the next time
    return found


# --- the table ---------------------------------------------------------------------------------------


def middle(rows, key="median_ms"):
    return statistics.median(r[key] for r in rows)


def best(rows):
    return min(r["min_ms"] for r in rows)


def milliseconds(v):
    return f"{v:.3f}" if v < 10 else f"{v:.1f}"


def machine(runs, found):
    model = "unknown processor"
    try:
        with open("/proc/cpuinfo") as f:
            model = next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    text = f"{platform.machine()}, {model}, {runs.o.threads} threads"
    if runs.peaks:
        text += (f"; FMA peak {statistics.median(runs.peaks):.0f} GFLOP/s (f32; {min(runs.peaks):.0f} to {max(runs.peaks):.0f} in the run)"
                 f", memory {statistics.median(runs.triads):.0f} GB/s")
    engines = {r["note"].get("engine") for (_, name), rows in found.items() for r in rows if name == "taper"}
    if engines == {"interpreter"}:
        text += "; NO COMPILER: taper's steps are the interpreter's"
    return text


OTHER_WAYS = {
    "taper copied": "fused, each batch copied in", "taper eager": "operation by operation",
    "taper python": "fused, from Python", "taper python eager": "operation by operation, from Python",
}


def put_steps(found):
    print("\n| ms a training step, best 5 ms (median of rounds) | taper | other | times as fast | others' cores |")
    print("|---|---|---|---|---|")
    for (workload, name), rows in found.items():
        ours = found.get((workload, "taper"))
        if name.startswith("taper") or not ours:
            continue
        put_pair(f"{workload}, fused, against {name}", ours, rows)
    for (workload, name), rows in found.items():
        torch = found.get((workload, "torch eager"))
        if torch and name in OTHER_WAYS:
            put_pair(f"{workload}, {OTHER_WAYS[name]}, against torch eager", rows, torch)
    for (workload, name), rows in found.items():
        if name == "taper" and not any(w == workload and not n.startswith("taper") for w, n in found):
            print(f"| {workload}, fused | {figure(rows)} | – | – | {max(r['others_cores'] for r in rows):.2f} |")


def figure(rows):
    return f"{milliseconds(best(rows))} ({milliseconds(middle(rows))})"


def put_pair(title, ours, theirs):
    print(f"| {title} | {figure(ours)} | {figure(theirs)} | {best(theirs) / best(ours):.2f} "
          f"({middle(theirs) / middle(ours):.2f}) | {max(r['others_cores'] for r in ours + theirs):.2f} |")


def put_losses(found):
    for workload in dict.fromkeys(w for w, _ in found):
        torch = found.get((workload, "torch eager"))
        for (w, name), rows in found.items():
            if torch and w == workload and name != "torch eager":
                apart = max(abs(a - b) for a, b in zip(rows[0]["losses"], torch[0]["losses"]))
                print(f"{workload}: the first ten losses of {name} and torch eager are at most {apart:.0e} apart.")


def put_gemm(d):
    rows = d["rows"]
    print(f"\n| product (M x K x N) | GFLOP/s | share of the FMA peak ({d['peak']:.0f}) | demanded |")
    print("|---|---|---|---|")
    for r in rows:
        mark = "" if r["right"] else " WRONG"
        mark += " below" if r["share"] < r["demanded"] else ""
        demanded = f"{100 * r['demanded']:.0f} %" if r["demanded"] else "–"
        print(f"| {r['shape']} | {r['gflops']:.0f} | {100 * r['share']:.0f} %{mark} | {demanded} |")
    print(f"\n{d['below']} of {len(rows)} below what is demanded, {d['wrong']} wrong; medians of {d['rounds']} rounds.")


def put_start(d, found):
    print("\n| starting | taper | torch eager |")
    print("|---|---|---|")
    for s in d["starts"]:
        torch = found.get((s["workload"], "torch eager"))
        cold = f"{middle(torch, 'first_at_s'):.1f} s" if torch else "–"
        memory = f"{middle(torch, 'rss_mb'):.0f} MB" if torch else "–"
        print(f"| {s['workload']}: compile, empty cache | {1e3 * s['cold_compile_s']:.0f} ms | – |")
        print(f"| {s['workload']}: from process start to the first step done, empty cache | {1e3 * s['cold_first_s']:.0f} ms | {cold} |")
        llvm = "LLVM LOADED" if s["warm_llvm"] else "LLVM not loaded"
        print(f"| {s['workload']}: the same, second start ({llvm}) | {1e3 * s['warm_first_s']:.1f} ms | {cold} |")
        print(f"| {s['workload']}: peak resident memory, second start | {s['warm_rss_mb']:.0f} MB | {memory} |")
    print(f"| libtaper.so, code and data | {d['library_bytes'] / 1e3:.0f} KB | – |")


def main():
    o = arguments()
    parts, workloads = o.only.split(","), o.workloads.split(",")
    folder = environment_folder(o.build)
    if o.setup:
        setup(folder)
    runs = Runs(o)
    if not os.path.exists(os.path.join(runs.bench, "taper-peer")):
        sys.exit(f"table.py: {runs.bench}/taper-peer is not there; ./dev bench builds it")
    python = python_with(folder, "torch", "numpy")
    if not python:
        say(f"table.py: no PyTorch in {folder}; --setup installs it. Its column is left out")
    found = {}
    writer = python or sys.executable
    if "steps" in parts and not has_numpy(writer):
        say("table.py: NumPy is needed for the common numbers; --setup installs it. Steps are left out")
    elif "steps" in parts:
        runs.write_numbers(writer, workloads)
        found = steps(runs, columns(runs.bench, python), workloads)
    gemm = runs.program("gemm", "--json", "--rounds", str(o.rounds)) if "gemm" in parts else None
    start = runs.program("compile", "--json", "--rounds", str(o.rounds), *workloads) if "start" in parts else None
    runs.peak()
    print(f"{machine(runs, found)}; {o.rounds} rounds, {time.strftime('%Y-%m-%d')}.")
    if found:
        put_steps(found)
        print()
        put_losses(found)
    if gemm:
        put_gemm(gemm)
    if start:
        put_start(start, found)
    return 0 if not any(part is None for part, name in ((gemm, "gemm"), (start, "start")) if name in parts) else 1


if __name__ == "__main__":
    sys.exit(main())
