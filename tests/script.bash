# script.bash: what scripts of tests/ begin with, sourced with the build's folder as their argument:
# the repository is the current folder, $build and $taper what is tested, $work a folder that goes
# away; `fault WORDS` says what is wrong and counts it, `finish` is the last line.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
build=$(realpath "${1:-build}")
taper=$build/taper
[ -x "$taper" ] || { echo "no $taper"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
faults=0

fault() {
    printf '%s\n' "$*"
    faults=$((faults + 1))
}

finish() {
    [ $faults = 0 ] || echo "$faults faults"
    exit $((faults > 0))
}
