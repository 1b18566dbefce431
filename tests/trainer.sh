#!/usr/bin/env bash
# Trainers: what `taper build` writes compiles without a warning, needs no taper, and has the losses
# and weights of `taper train` to the last bit; a run that is killed goes on to the same bits; what
# is wrong is one line.   bash tests/trainer.sh [BUILD]   TAPER_LONG=1: 200 kills, sanitizers, aarch64
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
taper=$(realpath "${1:-build}")/taper
[ -x "$taper" ] || { echo "no $taper"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
faults=0 compared=0

fault() {
    printf '%s\n' "$*"
    faults=$((faults + 1))
}

# what a run says of numbers: losses and accuracies, not times
numbers() { grep -v '"start"' | sed -E 's/"(seconds|step_ms)":[^,}]*//g'; }

# compile COMPILER TEXT PROGRAM FLAGS..: without a warning
compile() {
    local compiler=$1 text=$2 program=$3
    shift 3
    $compiler -std=gnu17 -Wall -Wextra -Werror "$@" "$text" -o "$program" -lm 2>"$work/said" ||
        fault "$compiler $* $text: $(head -n 4 "$work/said")"
}

# --- the same bits as taper train -------------------------------------------------------------------
# same MODEL ARGUMENTS..: by every compiler that is here
same() {
    local model=$1 data=
    shift
    [ "${1:-}" != --data ] || data="--data $2"
    "$taper" build "$model" "$@" --emit-c "$work/$model.c" >"$work/out" || fault "build $model"
    "$taper" train "$model" "$@" --json --log-every 7 --save "$work/want.safetensors" |
        numbers >"$work/want"
    [ -s "$work/want" ] || fault "$model does not train"
    for compiler in gcc clang-19; do
        command -v $compiler >/dev/null || continue
        compile $compiler "$work/$model.c" "$work/$model-$compiler" -O3 -march=native -fopenmp
        # shellcheck disable=SC2086
        "$work/$model-$compiler" $data --json --log-every 7 --save "$work/got.safetensors" 2>"$work/err" |
            numbers >"$work/got"
        cmp -s "$work/want" "$work/got" ||
            fault "$model by $compiler: $(diff "$work/want" "$work/got" | head -n 4) $(cat "$work/err")"
        cmp -s "$work/want.safetensors" "$work/got.safetensors" ||
            fault "$model by $compiler: its weights differ"
        compared=$((compared + 1))
    done
}
same mlp --epochs 2
same planar --set spiral --epochs 30
same mlp --epochs 1 --probe
awk 'BEGIN { print "a,b,kind"; for (i = 0; i < 300; i++) { a = i * 0.618 % 1; b = i * 0.7549 % 1
    printf "%.4f,%.4f,%s\n", a, b, (a > b ? "more" : "less") } }' >"$work/table.csv"
same mlp --data "$work/table.csv" --epochs 5
same moons --epochs 30 --opt adamw --schedule constant

[ $compared -gt 0 ] || fault "no compiler was found"
[ $faults = 0 ] || echo "$faults faults"
[ $faults = 0 ]
