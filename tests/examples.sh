#!/usr/bin/env bash
# The example programs learn, on what the library makes itself: the loss that each prints last is
# below the first. (mlp and lenet are the README's; eager has no loss.)
#   bash tests/examples.sh [BUILD]
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
examples=$(realpath "${1:-build}")/examples
[ -x "$examples/gpt" ] || { echo "no $examples/gpt"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit # where some write their weights
faults=0

learns() {
    local said status
    said=$("$examples/$1" "${@:2}" 2>&1)
    status=$?
    if [ $status != 0 ] || ! awk '
        match($0, /loss [0-9.]+/) {
            last = substr($0, RSTART + 5, RLENGTH - 5) + 0
            if (!count++)
                first = last
        }
        END { exit !(count > 1 && last < first) }' <<<"$said"; then
        printf '%s: status %d, said:\n%s\n' "$*" "$status" "$said"
        faults=$((faults + 1))
    fi
}

learns lstm 41
learns gru 41
learns gpt 41
learns gpt2 1 3
learns names 301
learns sentiment 2
learns autoencoder 101
learns resnet20 2
exit $((faults > 0))
