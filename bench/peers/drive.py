"""drive: a peer's process from the common numbers to its JSON object; the clock and the keys are those of taper-peer.

  peer = Peer("torch-eager")      of the workload in sys.argv[1]; before the framework is imported
  peer.mark("import")             the seconds since the last mark
  peer.drive(step, wait)          step(i) trains on batch i and need not wait; wait(what it gave) gives its losses, a list

See taper.c for the environment. $THREADS is obeyed by keeping the process on so many cores.
"""
import json
import os
import resource
import sys
import time

START = time.time()
SPAWN = float(os.environ.get("PEER_SPAWN", START))
THREADS = int(os.environ.get("THREADS") or os.environ.get("OMP_NUM_THREADS") or os.cpu_count())
FIRST = 10
now = time.perf_counter
cores = sorted(os.sched_getaffinity(0))
if THREADS < len(cores):
    os.sched_setaffinity(0, cores[:THREADS])

import numpy as np
from workloads import BATCHES, WORKLOADS


def refuse(text, status=3):
    print(f"{os.path.basename(sys.argv[0])}: {text}", file=sys.stderr)
    sys.exit(status)


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


def peak(who):
    return resource.getrusage(who).ru_maxrss / 1024


class Peer:
    def __init__(self, name):
        if len(sys.argv) < 2 or sys.argv[1] not in WORKLOADS:
            refuse("expected one of " + ", ".join(WORKLOADS))
        if not os.environ.get("PEER_NUMBERS"):
            refuse("PEER_NUMBERS is not set; expected the folder that write_numbers.py wrote", 2)
        self.workload = sys.argv[1]
        self.row = WORKLOADS[self.workload]
        self.folder = os.path.join(os.environ["PEER_NUMBERS"], self.workload)
        self.d = dict(peer=name, workload=self.workload, python_s=START - SPAWN)
        self.at = START

    def mark(self, name):
        self.d[name + "_s"] = time.time() - self.at
        self.at = time.time()

    def load(self, name):
        return np.load(os.path.join(self.folder, name + ".npy"))

    def numbers(self):
        """The first parameters by name, in order, and the batches."""
        parameters = {p.name: self.load(p.name) for p in self.row.parameters}
        batches = [(self.load(f"x{i}"), self.load(f"y{i}")) for i in range(BATCHES)]
        self.mark("data")
        return parameters, batches

    def drive(self, step, wait, per=1, **note):
        """per: a call of step is so many steps."""
        self.mark("setup")
        budget = float(os.environ.get("PEER_BUDGET", "5"))
        losses, first, blocks, synced, done = [], [], [], [], 0
        while done < (FIRST if per == 1 else 2):
            t = now()
            losses += wait(step(done))
            first.append(now() - t)
            done += 1
            if done == 1:
                self.d["first_at_s"] = time.time() - SPAWN
        priority(-20)
        t = now()
        while now() - t < 1:  # warm up
            wait(step(done))
            done += 1
        probe = 10 if first[-1] < 0.1 else 2
        t = now()
        for _ in range(probe):
            h = step(done)
            done += 1
        wait(h)
        each = max(1, int(5e-3 / ((now() - t) / probe) + 0.5))  # blocks of at least 5 ms
        begin, before = now(), cpu()
        start = begin
        while start - begin < budget or (len(blocks) < 30 and start - begin < 3 * budget):
            for _ in range(each):
                h = step(done)
                done += 1
            wait(h)
            t = now()
            blocks.append((t - start) / each)
            start = t
        wall, after = start - begin, cpu()
        own = after[1] - before[1]
        begin = now()
        while now() - begin < budget / 4:
            t = now()
            wait(step(done))
            done += 1
            synced.append(now() - t)
        priority(0)
        last = [v for i in range(BATCHES) for v in wait(step(done + i))]
        median = quantile(blocks, 0.5)
        self.d.update(
            min_ms=1e3 * min(blocks) / per, median_ms=1e3 * median / per, p90_ms=1e3 * quantile(blocks, 0.9) / per,
            steps_per_block=each * per, blocks=len(blocks), synced_median_ms=1e3 * quantile(synced, 0.5) / per,
            first_step_s=first[0], first_steps_s=first[:5], losses=losses[:FIRST], loss_last=sum(last) / len(last),
            steps_total=per * (done + BATCHES), cores_used=own / wall, others_cores=max(0.0, (after[0] - before[0] - own) / wall),
            rss_mb=peak(resource.RUSAGE_SELF), child_rss_mb=peak(resource.RUSAGE_CHILDREN), when=time.strftime("%H:%M:%S"),
            note=dict(note, threads=THREADS),
        )
        self.d["cold_s"] = sum(self.d[k] for k in ("python_s", "import_s", "data_s", "setup_s")) + sum(max(0.0, v - median) for v in first)
        text = json.dumps(self.d)
        if os.environ.get("PEER_RESULT"):
            with open(os.environ["PEER_RESULT"], "w") as f:
                f.write(text)
        print(text)
