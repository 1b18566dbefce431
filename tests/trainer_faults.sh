#!/usr/bin/env bash
# Trainers in trouble: killed at any moment they go on to the same bits; a full disk, a folder that
# is read-only, damaged data, weights and checkpoints are one line and lose nothing.
#   bash tests/trainer_faults.sh [BUILD]       TAPER_LONG=1: 200 kills, and with sanitizers
# shellcheck source=tests/trainer.bash
. "$(dirname "${BASH_SOURCE[0]}")/trainer.bash"
compiler=$(command -v clang-19 gcc | head -n 1)
mlp=$work/mlp
"$taper" build mlp --epochs 2 --emit-c "$mlp.c" >"$work/out" || fault "build mlp"
compile "$compiler" "$mlp.c" "$mlp" -O2 -march=native

# --- killed, and going on -----------------------------------------------------------------------------
kills=$([ -n "${TAPER_LONG:-}" ] && echo 200 || echo 10)
"$mlp" --epochs 2 --save "$work/whole.safetensors" >/dev/null
rm -f "$work/killed.safetensors"
for ((kill = 0; kill < kills; kill++)); do
    [ -e "$work/point" ] || set --
    [ ! -e "$work/point" ] || set -- --resume "$work/point"
    "$mlp" --epochs 2 --checkpoint "$work/point" --checkpoint-every 3 --save "$work/killed.safetensors" "$@" \
        >"$work/out" 2>"$work/err" &
    sleep "0.$(printf %03d $((RANDOM % 250 + 10)))"
    kill -9 $! 2>/dev/null
    { wait $!; } 2>/dev/null
    [ ! -s "$work/err" ] || fault "killed $kill times: $(cat "$work/err")"
    if [ -e "$work/killed.safetensors" ]; then # it was done before; once more from the beginning
        cmp -s "$work/whole.safetensors" "$work/killed.safetensors" || fault "killed and resumed: other weights"
        rm -f "$work/killed.safetensors" "$work/point" "$work/point.1"
    fi
done
set --
[ ! -e "$work/point" ] || set -- --resume "$work/point"
"$mlp" --epochs 2 --save "$work/killed.safetensors" "$@" >"$work/out" 2>"$work/err" || fault "resuming: $(cat "$work/err")"
cmp -s "$work/whole.safetensors" "$work/killed.safetensors" || fault "killed and resumed: other weights"

# taper train goes on from a trainer's checkpoint, and a trainer from taper's
"$mlp" --epochs 1 --checkpoint "$work/first" >/dev/null
"$taper" train mlp --epochs 2 --resume "$work/first" --save "$work/got.safetensors" >/dev/null 2>"$work/err"
cmp -s "$work/whole.safetensors" "$work/got.safetensors" || fault "taper train does not go on from a trainer: $(cat "$work/err")"

# --- what the model's author demands ------------------------------------------------------------------
"$taper" show moons --stage trace >"$work/moons.tp"
loss=$(sed -n 's/.*return loss=\(%[0-9]*\).*/\1/p' "$work/moons.tp")
sed -e "s|^  region 1 |  %900 = const 0.9 : f32\n  %901 = le %900, $loss : bool\n  %902 = cast %901 : i64\n&|" \
    -e 's|  return .*|&, "check/the loss is small"=%902|' "$work/moons.tp" >"$work/demand.tp"
"$taper" train "$work/demand.tp" --data moons >"$work/out" 2>"$work/err"
[ $? = 1 ] && grep -qx 'taper: check: the loss is small: 1 false' "$work/err" ||
    fault "taper train with a check that does not hold: $(cat "$work/err")"
"$taper" build "$work/demand.tp" --data moons --emit-c "$work/demand.c" >"$work/out" || fault "build demand.tp"
compile "$compiler" "$work/demand.c" "$work/demand" -O1
"$work/demand" >"$work/out" 2>"$work/err"
[ $? = 1 ] && grep -qx 'demand: check: the loss is small: 1 false, in step 1' "$work/err" ||
    fault "a trainer with a check that does not hold: $(cat "$work/err")"

# --- what is wrong is one line ------------------------------------------------------------------------
# refuses STATUS WORDS PROGRAM ARGUMENTS..
refuses() {
    local status=$1 words=$2 got
    shift 2
    timeout 60 "$@" >"$work/out" 2>"$work/err"
    got=$?
    [ $got = "$status" ] || fault "$*: exit status $got, not $status: $(head -c 300 "$work/err")"
    [ "$(wc -l <"$work/err")" = 1 ] && grep -qF -- "$words" "$work/err" ||
        fault "$*: it says $(head -c 300 "$work/err"), not $words"
}
mkdir "$work/pictures"
put() { printf "$1" >"$work/pictures/$2"; } # octal bytes
put '\0\0\10\3\0\0\0\2\0\0\0\34\0\0\0\34' train-images-idx3-ubyte
head -c 1568 /dev/zero >>"$work/pictures/train-images-idx3-ubyte"
put '\0\0\10\1\0\0\0\2\1\11' train-labels-idx1-ubyte
cp "$work/pictures/train-images-idx3-ubyte" "$work/pictures/t10k-images-idx3-ubyte"
cp "$work/pictures/train-labels-idx1-ubyte" "$work/pictures/t10k-labels-idx1-ubyte"
"$taper" build mlp --data "$work/pictures" --epochs 1 --emit-c "$work/idx.c" >"$work/out" || fault "build --data"
"$taper" train mlp --data "$work/pictures" --epochs 1 --json | numbers >"$work/want"

# bad_input PROGRAM: of pictures
bad_input() {
    local program=$1 bytes
    "$program" --data "$work/pictures" --json | numbers | cmp -s - "$work/want" || fault "pictures: other numbers"
    refuses 2 '--data is needed' "$program"
    refuses 2 'has no train-images' "$program" --data "$work"
    refuses 2 '--lr is compiled in' "$program" --data "$work/pictures" --lr 1
    refuses 2 'no option --fast' "$program" --fast
    refuses 2 '--epochs "x": expected' "$program" --epochs x
    refuses 2 'lacks its value' "$program" --epochs
    refuses 2 '--json takes no value' "$program" --json=3
    refuses 2 'expected --checkpoint F as well' "$program" --data "$work/pictures" --checkpoint-every 3
    refuses 2 'a trainer writes safetensors' "$program" --data "$work/pictures" --save "$work/w.npz"
    refuses 2 'name one file' "$program" --data "$work/pictures" --save "$work/one" --checkpoint "$work/one"
    refuses 2 '--batch 1000' "$program" --data "$work/pictures" --batch 1000
    refuses 2 'schedule is compiled in' "$program" --data "$work/pictures" --epochs 9
    refuses 2 'cannot be written' "$program" --data "$work/pictures" --save /proc/weights
    refuses 2 'cannot be read' "$program" --data "$work/pictures" --load "$work/nothing"
    refuses 2 'cannot be read' "$program" --data "$work/pictures" --resume "$work/nothing"
    "$program" --data "$work/pictures" --save "$work/good" --checkpoint "$work/sound" >/dev/null
    cp -r "$work/pictures" "$work/bad"
    for file in train-images-idx3-ubyte t10k-labels-idx1-ubyte; do # each byte of the header, and short
        for bytes in 2 3 4 7 8 9; do
            { head -c $bytes "$work/pictures/$file" && printf '\377' && tail -c +$((bytes + 2)) "$work/pictures/$file"; } >"$work/bad/$file"
            refuses 2 "$work/bad" "$program" --data "$work/bad"
        done
        head -c 9 "$work/pictures/$file" >"$work/bad/$file"
        refuses 2 "$file" "$program" --data "$work/bad"
        cp "$work/pictures/$file" "$work/bad/$file"
    done
    gzip "$work/bad/train-images-idx3-ubyte"
    refuses 2 'compiled without zlib' "$program" --data "$work/bad"
    rm -r "$work/bad"
    for file in good sound; do # weights and checkpoints that are cut, changed or of another kind
        for bytes in 0 7 60 1000 400000; do
            head -c $bytes "$work/$file" >"$work/cut"
            refuses 2 cut "$program" --data "$work/pictures" --load "$work/cut"
            refuses 2 cut "$program" --data "$work/pictures" --resume "$work/cut"
        done
        { head -c 40 "$work/$file" && printf '\377' && tail -c +42 "$work/$file"; } >"$work/cut"
        refuses 2 cut "$program" --data "$work/pictures" --resume "$work/cut"
    done
    refuses 2 'there is no fc1.weight' "$program" --data "$work/pictures" --load "$work/other"
    # a disk that is full, or a limit, once the run has begun; the file that was there stays
    cp "$work/good" "$work/kept"
    (trap '' XFSZ && ulimit -f 16 && exec "$program" --data "$work/pictures" --save "$work/kept") \
        >"$work/out" 2>"$work/err"
    [ $? = 1 ] && [ "$(wc -l <"$work/err")" = 1 ] && cmp -s "$work/good" "$work/kept" ||
        fault "a full disk: $(cat "$work/err")"
    "$program" --data "$work/pictures" >/dev/full 2>"$work/err"
    [ $? = 1 ] && [ "$(wc -l <"$work/err")" = 1 ] || fault "output to a full disk: $(cat "$work/err")"
}
"$taper" train planar --set xor --epochs 1 --save "$work/other" >/dev/null || fault "train planar"
compile "$compiler" "$work/idx.c" "$work/idx" -O2 -march=native
bad_input "$work/idx"

# --- the long tier ------------------------------------------------------------------------------------
if [ -n "${TAPER_LONG:-}" ]; then
    compile gcc "$work/idx.c" "$work/checked" -O1 -g -march=native \
        -fsanitize=address,undefined -fno-sanitize-recover=all
    bad_input "$work/checked"
fi
finish
