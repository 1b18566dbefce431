#!/usr/bin/env bash
# On a machine with a GPU: does it get the CPU's bits, and how fast?
#
#     bench/gpu.sh pack              here: build/gpu/, all that the other machine needs (no compiler
#                                    but NVRTC, no packages), with the numbers that the CPU gets
#     bench/gpu.sh [DEVICE]          there, in the same tree: a table; DEVICE: cuda
#
# Inputs are drawn from seeds. Models are trained for an epoch, and what they print must be what the
# CPU has printed, bit for bit; then kernels are timed (bench/device.c), beside PyTorch where it is.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
pack=build/gpu

runs=(
    "moons --epochs 20"
    "mlp --data digits --epochs 1"
    "lenet --data digits --epochs 1"
    "names --epochs 1 --batch 256"
    "gpt --epochs 1 --hidden 32 --layers 2 --heads 2 --context 16 --batch 64"
)
small=("moons --epochs 3" "names --epochs 1 --batch 256")

# what a run ends with, but for its time
last() { tail -n 1 | sed 's/,"seconds":[^,}]*//g'; }

if [ "${1:-}" = pack ]; then
    rm -rf "$pack"
    mkdir -p "$pack/lib"
    cmake --build build --target taper-command bench-device >/dev/null || exit
    cp build/taper build/bench/device "$pack"
    for program in taper device; do
        ldd "$pack/$program" | awk '$3 ~ /^\// { print $3 }' |
            grep -vE '/(libc|libm|ld-linux[^/]*|libpthread|libdl|librt)\.so' |
            while read -r library; do cp -L "$library" "$pack/lib/"; done
    done
    for run in "${runs[@]}" "${small[@]}"; do
        # shellcheck disable=SC2086
        printf '%s\t%s\n' "$run" "$(build/taper train $run --seed 1 --json | last)"
    done >"$pack/cpu.tsv"
    build/taper build mlp --data digits --epochs 1 --seed 1 --device cuda -o "$pack/trainer" || # sm_90a
        echo "bench/gpu.sh: no trainer with compiled kernels comes along"
    du -sh "$pack"
    exit
fi

device=${1:-cuda}
[ -x "$pack/taper" ] || {
    echo "bench/gpu.sh: no $pack; on a machine that builds: bench/gpu.sh pack"
    exit 2
}
export LD_LIBRARY_PATH=$PWD/$pack/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
XDG_CACHE_HOME=$(mktemp -d)
export XDG_CACHE_HOME
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT
faults=0
date -u '+%Y-%m-%d %H:%M UTC'
if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,memory.total --format=csv,noheader
fi

echo "== an epoch: the CPU's bits?"
case $device in cuda-emu*) set -- "${small[@]}" ;; *) set -- "${runs[@]}" ;; esac
for run; do
    want=$(awk -F'\t' -v run="$run" '$1 == run { print $2; exit }' "$pack/cpu.tsv")
    for pass in cold warm; do
        start=$(date +%s.%N)
        # shellcheck disable=SC2086
        got=$("$pack/taper" train $run --seed 1 --json --device "$device" 2>"$XDG_CACHE_HOME/said" | last)
        seconds=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "%.2f", b - a }')
        if [ "$got" = "$want" ]; then
            printf '%-76s %s %6s s  the same\n' "$run" "$pass" "$seconds"
        else
            printf '%-76s %s %6s s  DIFFERS\n  cpu:  %s\n  here: %s\n  %s\n' "$run" "$pass" "$seconds" \
                "$want" "$got" "$(head -n 1 "$XDG_CACHE_HOME/said")"
            faults=$((faults + 1))
        fi
    done
done

if [ "$device" = cuda ] && [ -x "$pack/trainer" ]; then
    echo "== a trainer with compiled kernels, by the driver alone"
    want=$(awk -F'\t' '$1 == "mlp --data digits --epochs 1" { print $2; exit }' "$pack/cpu.tsv")
    got=$("$pack/trainer" --json 2>"$XDG_CACHE_HOME/said" | last)
    [ "$got" = "$want" ] && echo "the same" || {
        printf 'DIFFERS\n  cpu:  %s\n  here: %s\n  %s\n' "$want" "$got" "$(head -n 1 "$XDG_CACHE_HOME/said")"
        faults=$((faults + 1))
    }
fi

if command -v compute-sanitizer >/dev/null && [ "${device%%:*}" = cuda ]; then
    for tool in memcheck racecheck initcheck synccheck; do
        echo "== compute-sanitizer $tool"
        compute-sanitizer --tool "$tool" --error-exitcode 1 "$pack/taper" train moons --epochs 2 \
            --device "$device" 2>&1 | tail -n 2
        [ "${PIPESTATUS[0]}" = 0 ] || faults=$((faults + 1))
    done
fi

echo "== kernels"
case $device in
cuda-emu*) "$pack/device" "$device" --small || faults=$((faults + 1)) ;;
*) "$pack/device" "$device" || faults=$((faults + 1)) ;;
esac

if [ "${device%%:*}" = cuda ] && python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    echo "== PyTorch"
    python3 - <<'END'
import statistics
import time
import torch
def timed(name, f, nbytes=0, flops=0):
    for _ in range(3): f()
    rounds = []
    for _ in range(7):
        torch.cuda.synchronize(); start = time.perf_counter()
        for _ in range(20): f()
        torch.cuda.synchronize(); rounds.append((time.perf_counter() - start) / 20)
    s = statistics.median(rounds)
    print(f"{name:28} {s * 1e6:10.1f} us  {nbytes / s * 1e-9:8.1f} GB/s  {flops / s * 1e-12:8.2f} TFLOP/s")
torch.backends.cuda.matmul.allow_tf32 = False
n, d = 1 << 16, "cuda"
a, b = torch.rand(n, 1024, device=d), torch.rand(n, 1024, device=d)
c = torch.empty_like(a)
F = torch.nn.functional
timed("copy", lambda: c.copy_(a), 8 * a.numel())
chain = torch.compile(lambda a, b: F.relu(a * b) + a * 0.5)
timed("relu(a b) + a / 2, compiled", lambda: chain(a, b), 12 * a.numel())
timed("gelu", lambda: F.gelu(a), 8 * a.numel())
timed("softmax, rows of 1024", lambda: F.softmax(a, 1), 8 * a.numel())
timed("layer norm, rows of 1024", lambda: F.layer_norm(a, (1024,)), 8 * a.numel())
for m in (1024, 4096):
    x, y = torch.rand(m, m, device=d), torch.rand(m, m, device=d)
    timed(f"product {m}", lambda: x @ y, 0, 2 * m ** 3)
torch.backends.cuda.matmul.allow_tf32 = True
x, y = torch.rand(4096, 4096, device=d), torch.rand(4096, 4096, device=d)
timed("product 4096, TF32", lambda: x @ y, 0, 2 * 4096 ** 3)
for m in (4096,):
    x, y = (torch.rand(m, m, device=d, dtype=torch.bfloat16) for _ in range(2))
    timed(f"product {m}, bf16", lambda: x @ y, 0, 2 * m ** 3)
END
fi
[ "$faults" = 0 ] && echo "no faults" || echo "$faults faults"
[ "$faults" = 0 ]
