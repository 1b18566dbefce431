#!/usr/bin/env bash
# The C that `taper show --stage c` prints is a file on its own: no #include, and every compiler
# that is here takes it without a warning, whatever the machine it compiles for.
#   bash tests/emitted.sh [BUILD]
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
taper=$(realpath "${1:-build}")/taper
[ -x "$taper" ] || { echo "no $taper"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
faults=0 compiled=0

fault() {
    printf '%s\n' "$*"
    faults=$((faults + 1))
}

for model in mlp lenet moons planar; do
    for program in step eval; do
        text=$work/${model}_$program.c
        "$taper" show $model --stage c --program $program >"$text" || fault "show $model $program"
        grep -n '^ *# *include' "$text" && fault "$model $program: it includes a file"
        grep -q "void $program(" "$text" || fault "$model $program: there is no function $program"
        for compiler in gcc clang-14 clang-19; do
            command -v $compiler >/dev/null || continue
            for machine in -march=native -march=x86-64-v3 ''; do
                [ "$(uname -m)" = x86_64 ] || [ -z "$machine" ] || continue
                # shellcheck disable=SC2086
                $compiler -c -std=gnu17 -Wall -Wextra -Wno-psabi -Werror $machine "$text" \
                    -o "$work/o.o" 2>"$work/said" ||
                    fault "$compiler $machine $model $program: $(head -n 4 "$work/said")"
                compiled=$((compiled + 1))
            done
        done
    done
done
[ $compiled -gt 0 ] || fault "no compiler was found"

[ $faults = 0 ] || echo "$faults faults"
[ $faults = 0 ]
