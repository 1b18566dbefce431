#!/usr/bin/env bash
# How long a start takes, from the process to the end of its first step, with an empty cache (cold)
# and with a full one (warm); and whether what it costs has grown.
#   bash bench/start.sh [--check | --keep] [--measured FILE] [BUILD]
#
# Seconds are this machine's and are only shown, beside those that are wished for. What is compared
# is the cost of all that comes before the first step: seconds of processors, in units of one
# compilation of a fixed text by the same compiler, measured beside it (bench/compile.c), so that
# neither a slow machine nor a busy one changes it much. --check fails where a cost is more than half
# as much again as what bench/start.txt keeps; what seems to have grown is measured twice more.
# --keep writes that file. --measured FILE judges what bench/compile --costs printed into FILE.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
mode=print measured=
while [[ ${1:-} == --* ]]; do
    case $1 in
    --check | --keep) mode=${1#--} ;;
    --measured) measured=${2:?} && shift ;;
    *) echo "start.sh: no option '$1'" >&2 && exit 2 ;;
    esac
    shift
done
kept=${TAPER_START_KEPT:-bench/start.txt}
program=${1:-build}/bench/compile
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mapfile -t workloads < <(awk '!/^#/ && NF { print $1 }' "$kept")

fits() { # 124 million parameters with Adam's numbers and gradients, and room for the rest
    [ "$1" != gpt2-124m ] ||
        awk '/^MemAvailable/ { fits = $2 > 4e6 } END { exit !fits }' /proc/meminfo
}

measure() { # WORKLOAD...
    local fitting=() workload
    for workload in "$@"; do
        if fits "$workload"; then
            fitting+=("$workload")
        else
            echo "skipped: $workload does not fit into the memory that is free" >&2
        fi
    done
    [ ${#fitting[@]} = 0 ] || "$program" --costs "${fitting[@]}"
}

# Measured lines after the kept ones; those that grew are named in $work/grown.
table() {
    awk -v kept="$kept" -v grown="$work/grown" '
        BEGIN {
            print "                  seconds to the first step     cost before it"
            print "workload            cold  wished    warm       cold   kept     warm   kept"
            printf "" > grown
        }
        FNR == NR {
            if (!/^#/ && NF) { wished[$1] = $2; cold[$1] = $3; warm[$1] = $4 }
            next
        }
        !($1 in wished) { printf "%s: not in %s\n", $1, kept; bad = 1; next }
        {
            more = $4 > 1.5 * cold[$1] || $5 > 1.5 * warm[$1]
            printf "%-16s %7.3f %7s %7.3f   %8.3g %6.3g %8.3g %6.3g%s\n", $1, $2, wished[$1], $3,
                $4, cold[$1], $5, warm[$1], more ? "  GROWN by more than half" : ""
            if (more)
                print $1 > grown
            lines++
        }
        END { exit bad || !lines }' "$kept" "$1"
}

keep() { # numbers beside the comments and the wishes of the file that is
    awk 'FNR == NR { cold[$1] = $4; warm[$1] = $5; next }
        /^#/ || !($1 in cold) { print; next }
        { printf "%-16s %6s %8.3g %8.3g\n", $1, $2, cold[$1], warm[$1] }' \
        "$1" "$kept" >"$work/kept" && cp "$work/kept" "$kept"
}

if [ -z "$measured" ]; then
    [ -x "$program" ] || { echo "no $program; ./dev bench builds it" >&2; exit 1; }
    measure "${workloads[@]}" >"$work/measured" || exit 1
    measured=$work/measured
fi
[ $mode != keep ] || keep "$measured" || exit 1
table "$measured" || exit 1
[ "$mode" = check ] || exit 0
if [ "$measured" = "$work/measured" ]; then # noise does not come thrice
    for _ in 1 2; do
        [ -s "$work/grown" ] || exit 0
        mapfile -t workloads <"$work/grown"
        echo "once more: ${workloads[*]}"
        measure "${workloads[@]}" >"$measured" && table "$measured" || exit 1
    done
fi
[ ! -s "$work/grown" ] || {
    echo "a start costs more than 1.5 times what $kept keeps: $(xargs <"$work/grown")"
    exit 1
}
