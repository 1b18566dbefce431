#!/usr/bin/env bash
# The emitted trainer beside `taper train`: milliseconds a step of the same epoch, in turns, the
# median of the rounds and their ratio; lines, bytes and compile time of the file.
#   bash bench/trainer.sh [--rounds N] [--threads N] [--times-only] [MODEL [ARGUMENTS OF TRAIN..]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
taper=$PWD/build/taper rounds=7 threads=0 sizes=yes
while [[ ${1:-} == --* ]]; do
    case $1 in
    --rounds) rounds=$2 && shift ;;
    --threads) threads=$2 && shift ;;
    --times-only) sizes= ;;
    *) echo "no option $1" && exit 2 ;;
    esac
    shift
done
model=${1:-lenet}
shift || true
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
data=()
[ "${1:-}" != --data ] || data=(--data "$2")

"$taper" build "$model" "$@" --epochs 1 --emit-c "$work/t.c" >/dev/null
[ -z "$sizes" ] || echo "$model: $(wc -l <"$work/t.c") lines, $(wc -c <"$work/t.c") bytes"
compilers=()
for compiler in gcc clang-19; do
    command -v $compiler >/dev/null || continue
    began=$(date +%s%N)
    $compiler -O3 -march=native -fopenmp "$work/t.c" -lm -o "$work/$compiler"
    [ -z "$sizes" ] || echo "$compiler -O3: $((($(date +%s%N) - began) / 1000000)) ms, $(wc -c <"$work/$compiler") bytes"
    compilers+=($compiler)
done

# step_ms COMMAND..
step_ms() { "$@" --json --threads "$threads" | sed -n 's/.*"event":"epoch".*"step_ms":\([0-9.e+-]*\).*/\1/p'; }
median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

step_ms "$taper" train "$model" "$@" --epochs 1 >/dev/null # compiled, and in the cache
for ((round = 0; round < rounds; round++)); do
    step_ms "$taper" train "$model" "$@" --epochs 1 >>"$work/taper.ms"
    for compiler in "${compilers[@]}"; do
        step_ms "$work/$compiler" "${data[@]}" >>"$work/$compiler.ms"
    done
done
base=$(median <"$work/taper.ms")
for name in taper "${compilers[@]}"; do
    of=$(median <"$work/$name.ms")
    awk -v name="$name" -v of="$of" -v base="$base" -v n="$rounds" -v best="$(sort -g "$work/$name.ms" | head -n 1)" 'BEGIN {
        printf "%-9s %.3f ms a step (best %.3f), median of %d; %.3f of taper train\n", name == "taper" ? "in taper" : name, of, best, n, of / base }'
done
