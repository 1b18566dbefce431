# trainer.bash: what tests/trainer*.sh share. Sourced with the build's folder.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
taper=$(realpath "${1:-build}")/taper
[ -x "$taper" ] || { echo "no $taper"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
faults=0

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

finish() {
    [ $faults = 0 ] || echo "$faults faults"
    exit $((faults > 0))
}
