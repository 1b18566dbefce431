#!/usr/bin/env bash
# The arena of every built-in model, in training and in evaluation, is at most a tenth larger than
# what is alive at the fullest moment, which no plan can go below.
#   bash tests/arena.sh [BUILD]
. "$(dirname "${BASH_SOURCE[0]}")/script.bash"

mapfile -t models < <("$taper" train | awk '/^  [a-z]/ { print $1 }')
[ ${#models[@]} -ge 13 ] || fault "taper train lists ${#models[@]} models; expected 13"
for model in "${models[@]}"; do
    for target in x86-64-v4 x86-64-v3; do
        "$taper" show "$model" --stage plan --target $target >"$work/plan" ||
            fault "$model has no plan"
        sed -n 's/^# arena \([0-9]*\) bytes (no packing needs less than \([0-9]*\)).*/\1 \2/p' \
            "$work/plan" >"$work/arenas"
        [ "$(wc -l <"$work/arenas")" = 2 ] || fault "$model: $(wc -l <"$work/arenas") arenas; expected 2"
        awk -v of="$model for $target" '$2 <= 0 || $1 < $2 || $1 > 1.1 * $2 {
            printf "%s: an arena of %d bytes, where %d are alive together; expected at most a tenth more\n", of, $1, $2
        }
        $1 / $2 > most { most = $1 / $2 }
        END { printf "%s %.4f\n", of, most > "/dev/stderr" }' "$work/arenas" 2>>"$work/most" >"$work/wrong"
        [ ! -s "$work/wrong" ] || fault "$(cat "$work/wrong")"
    done
done
sort -k 4 -n "$work/most" | tail -n 1
finish
