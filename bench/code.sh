#!/usr/bin/env bash
# How much code a step becomes, and how long a start takes with an empty cache and with a full one.
#   bash bench/code.sh [--check | --keep | --growth] [BUILD]
#
# Prints a line a model: kernels, functions that compute them, bytes of C, bytes of machine code,
# and seconds from the start of the process to the end of the first step. Equal layers are one
# function and a loop, so a GPT of 48 layers is little more than one of 4; a sequence is a loop, so
# an LSTM over 512 characters is one over 8. --growth prints just that: seconds of compiling with
# an empty cache (training and evaluation; the least of five in turns) and bytes of machine code.
# --check compiles nothing: it fails where a text has half as much again as bench/code.txt says;
# --keep writes that file.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
mode=print
case ${1:-} in --check | --keep | --growth)
    mode=${1#--}
    shift
    ;;
esac
taper=$(realpath "${1:-build}")/taper
[ -x "$taper" ] || { echo "no $taper"; exit 1; }
kept=bench/code.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
faults=0

# the same text on every machine: for one target
models=('mlp' 'lenet' 'resnet20' 'gpt' 'gpt --layers 48' 'gpt2')

# Seconds to the first step's line, twice: with an empty cache, then with what that left.
start() {
    local from to
    for _ in cold warm; do
        from=$(date +%s.%N)
        XDG_CACHE_HOME=$work/cache stdbuf -oL "$taper" train $1 --json --log-every 1 2>/dev/null |
            grep -q -m 1 '"event":"step"'
        to=$(date +%s.%N)
        awk "BEGIN { printf \" %7.2f\", $to - $from }"
    done
    find "$work/cache" -name '*.so' -printf '%s\n' | sort -n | tail -n 1 | xargs printf ' %9s'
    rm -rf "$work/cache"
}

line='%-18s %7s %9s %9s'

measure() {
    local few=0
    for model in "${models[@]}"; do
        "$taper" show $model --stage c --program step --target x86-64-v4 >"$work/step.c" ||
            { echo "$model: no text"; exit 1; }
        kernels=$(sed -n 's/.* \([0-9]*\) kernels; arena.*/\1/p' "$work/step.c")
        functions=$(grep -c '^static void' "$work/step.c")
        bytes=$(wc -c <"$work/step.c")
        case $mode in
        print)
            printf "$line" "$model" "$kernels" "$functions" "$bytes"
            start "$model"
            echo
            ;;
        keep) printf "$line\n" "$model" "$kernels" "$functions" "$bytes" ;;
        check)
            was=$(grep "^$model  " $kept) || { echo "$model: not in $kept"; exit 1; }
            read -r old_kernels old_functions old_bytes <<<"${was#"$model"}"
            for pair in "$kernels $old_kernels kernels" "$functions $old_functions functions" \
                "$bytes $old_bytes bytes"; do
                read -r now then what <<<"$pair"
                if [ $((2 * now)) -gt $((3 * then)) ]; then
                    echo "$model: $now $what; $kept has $then"
                    faults=$((faults + 1))
                fi
            done
            case $model in
            gpt) few=$bytes ;;
            'gpt --layers 48') [ $((100 * bytes)) -le $((130 * few)) ] ||
                { echo "$model: $bytes bytes, $few with 4"; faults=$((faults + 1)); } ;;
            esac
            ;;
        esac
    done
    return $((faults > 0))
}

# Seconds that the compiling of a model takes, and bytes of instructions: two numbers.
compiled() {
    local seconds bytes
    seconds=$(XDG_CACHE_HOME=$work/cache "$taper" train $1 --epochs 0 --json |
        sed -n 's/.*"compile_seconds":\([0-9.e-]*\).*/\1/p')
    bytes=$(find "$work/cache" -name '*.so' -exec size -A {} + |
        awk '$1 == ".text" { bytes += $2 } END { print bytes }')
    rm -rf "$work/cache"
    echo "$seconds $bytes"
}

growth() {
    local models=('lstm --context 8' 'lstm --context 512' 'gpt' 'gpt --layers 48') round model
    for round in 1 2 3 4 5; do
        for model in "${models[@]}"; do
            echo "$model|$(compiled "$model")"
        done
    done | awk -F '[| ]' '
        {
            bytes = $NF
            seconds = $(NF - 1)
            model = $0
            sub(/[|].*/, "", model)
            if (!(model in least))
                name[count++] = model
            if (!(model in least) || seconds < least[model])
                least[model] = seconds
            size[model] = bytes
        }
        END {
            printf "%-18s %9s %6s %13s %6s\n", "model", "compile s", "ratio", "machine code", "ratio"
            for (i = 0; i < count; i++) {
                few = name[i - i % 2] # of a pair, the short one
                printf "%-18s %9.3f %6.2f %13d %6.3f\n", name[i], least[name[i]],
                    least[name[i]] / least[few], size[name[i]], size[name[i]] / size[few]
            }
        }'
}

case $mode in
growth) growth ;;
keep) measure | tee $kept ;;
check) measure ;;
print)
    printf "$line  cold s  warm s .so bytes\n" model kernels functions 'C bytes'
    measure
    echo
    growth
    ;;
esac
