#!/usr/bin/env bash
# bench/start.sh fails on a start that costs more than 1.5 times what is kept, names it, and on
# nothing else. What was measured is made up here; .ci/run measures.
#   bash tests/start.sh [BUILD]
. "$(dirname "${BASH_SOURCE[0]}")/script.bash"
kept=bench/start.txt

measured() { # COLD WARM: those times the kept costs, seconds as they were wished for
    awk -v cold="$1" -v warm="$2" '!/^#/ { print $1, $2, 0.02, cold * $3, warm * $4 }' $kept >"$work/measured"
}
check() {
    bash bench/start.sh --check --measured "$work/measured" "$build" >"$work/told" 2>&1
}

[ "$(grep -vc '^#' $kept)" -ge 7 ] || fault "$kept has $(grep -vc '^#' $kept) workloads; expected seven"
awk '!/^#/ && !($3 > 0 && $4 > 0 && $4 < $3) { exit 1 }' $kept || fault "$kept: expected costs above 0, the cold above the warm"
measured 1 1
check || fault "what is kept fails: $(cat "$work/told")"
grep -q '^lenet .* 0.6 ' "$work/told" || fault "the table lacks lenet's line: $(cat "$work/told")"
measured 1.49 1.49
check || fault "less than half more fails: $(cat "$work/told")"
measured 0.1 0.1
check || fault "less fails: $(cat "$work/told")"
for pair in '1.51 1' '1 1.51'; do
    measured $pair
    ! check || fault "more than half more ($pair) passes"
done
grep -q '^a start costs more than 1.5 times .*: micrograd-mlp mlp lenet lstm' "$work/told" || fault "not named: $(tail -n 1 "$work/told")"
# a number of the file lowered by hand
measured 1 1
awk '$1 == "lstm" { $3 = $3 / 2 } { print }' $kept >"$work/lowered"
! TAPER_START_KEPT=$work/lowered check || fault "lstm's cost is twice what is kept, and passes"
[ "$(tail -n 1 "$work/told")" = "a start costs more than 1.5 times what $work/lowered keeps: lstm" ] ||
    fault "another line: $(tail -n 1 "$work/told")"
# what is measured is kept, a workload that was skipped keeps its line
cp $kept "$work/own"
grep '^mlp ' "$work/measured" | awk '{ $4 = 12.5; print }' >"$work/one" && mv "$work/one" "$work/measured"
TAPER_START_KEPT=$work/own bash bench/start.sh --keep --measured "$work/measured" "$build" >/dev/null || fault "--keep fails"
grep -q '^mlp .* 12.5 ' "$work/own" || fault "not kept: $(grep '^mlp ' "$work/own")"
[ "$(grep -v '^mlp ' "$work/own")" = "$(grep -v '^mlp ' $kept)" ] || fault "--keep changes other lines"
echo 'nothing 1 1 1 1' >"$work/measured"
! check || fault "an unknown workload passes"
: >"$work/measured"
! check || fault "nothing measured passes"
finish
