#!/usr/bin/env bash
# What --log writes is read by the real TensorBoard, of `taper train` and of a trainer that taper
# built, with the same numbers. Skipped where there is no TensorBoard and pip cannot install one.
#     bash tests/tensorboard.sh [BUILD]
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$(realpath "${1:-build}")
taper=$build/taper
[ -x "$taper" ] || { echo "no $taper"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip() {
    echo "skipped: $1"
    exit 77
}

reads='from tensorboard.backend.event_processing import event_accumulator'
python=python3
command -v python3 >/dev/null || skip "there is no python3"
if ! python3 -c "$reads" 2>/dev/null; then
    python=$build/venv-tensorboard/bin/python3
    if ! "$python" -c "$reads" 2>/dev/null; then
        [ -z "${TAPER_NO_INSTALL:-}" ] || skip "TensorBoard is not installed"
        python3 -m venv "$build/venv-tensorboard" >/dev/null 2>&1 || skip "python3 has no venv"
        timeout 300 "$build/venv-tensorboard/bin/pip" install -q --disable-pip-version-check \
            tensorboard 'setuptools<81' >"$work/pip" 2>&1 || skip "pip cannot install tensorboard"
        "$python" -c "$reads" 2>"$work/pip" || skip "tensorboard: $(tail -n 1 "$work/pip")"
    fi
fi

"$taper" train mlp --epochs 2 --probe --json --log-every 25 --log "$work/runs/a" >"$work/lines" ||
    exit 1
"$taper" build mlp --epochs 2 --probe --emit-c "$work/t.c" >/dev/null &&
    ${CC:-cc} -std=gnu17 -O1 -march=native -fopenmp "$work/t.c" -o "$work/t" -lm &&
    "$work/t" --json --log-every 25 --log "$work/runs/b" >"$work/trainer" || exit 1
"$python" - "$work" <<'PYTHON' || exit 1
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

work = sys.argv[1]
runs = [EventAccumulator(f"{work}/runs/{run}", size_guidance={"histograms": 0, "scalars": 0})
        for run in "ab"]
for run in runs:
    run.Reload()
lines = [json.loads(line) for line in open(f"{work}/lines")]
probes = [line for line in lines if line["event"] == "probe"]
losses = {line["step"]: line["loss"] for line in lines if line["event"] == "step"}
last = [line for line in lines if line["event"] == "epoch"][-1]
assert len(probes) == 7, len(probes)
assert [line for line in map(json.loads, open(f"{work}/trainer")) if line["event"] == "probe"] == probes

def close(a, b):
    return abs(a - b) <= 1e-6 * abs(b)

for run in runs:
    tags = run.Tags()
    wanted = {"loss", "val_loss", "val_accuracy", "dead/fc1"} | {
        f"{kind}/{layer}.{leaf}" for kind in ("grad_norm", "update_ratio")
        for layer in ("fc1", "fc2") for leaf in ("weight", "bias")}
    assert set(tags["scalars"]) == wanted, tags["scalars"]
    assert len(tags["histograms"]) == 8, tags["histograms"]
    assert {e.step: close(e.value, losses[e.step]) for e in run.Scalars("loss")} == dict.fromkeys(losses, True)
    assert close(run.Scalars("val_loss")[-1].value, last["val_loss"])
    for probe in probes:
        for tag, value in probe.items():
            if tag in ("event", "step"):
                continue
            if isinstance(value, list):
                e = next(e for e in run.Histograms(tag) if e.step == probe["step"])
                h = e.histogram_value
                assert list(h.bucket) == value and h.num == sum(value), (tag, h)
                assert list(h.bucket_limit) == sorted(h.bucket_limit) and h.min < h.max
            else:
                e = next(e for e in run.Scalars(tag) if e.step == probe["step"])
                assert close(e.value, value), (tag, e, value)
print("TensorBoard reads both")
PYTHON
