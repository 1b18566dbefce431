#!/usr/bin/env bash
# Trainers for a GPU: what `taper build --device cuda-emu` writes runs under the emulated driver to the
# bits of `taper train`; the text for nvcc compiles without a warning; what cannot be is said in a line.
#   bash tests/trainer_gpu.sh [BUILD]
# TAPER_LONG=1: also lenet and gpt, each order of threads, with the checks of memory.
# shellcheck source=tests/trainer.bash
. "$(dirname "${BASH_SOURCE[0]}")/trainer.bash"
emulated=$(cd "$(dirname "$taper")" && pwd)/libtaper-cuda-emu.so
export TAPER_LIBCUDA=$emulated

# --- the same bits as taper train -------------------------------------------------------------------
# same GPUS MODEL ARGUMENTS..: on each of the emulated GPUs
same() {
    local gpus=$1 model=$2 gpu
    shift 2
    local data=()
    [ "${1:-}" != --data ] || data=(--data "$2")
    "$taper" build "$model" "$@" --device cuda-emu --emit-c "$work/$model.c" >"$work/out" ||
        fault "build $model"
    compile "${CC:-cc}" "$work/$model.c" "$work/$model" -O1
    "$taper" train "$model" "$@" --json --log-every 7 --save "$work/want.safetensors" |
        numbers >"$work/want"
    [ -s "$work/want" ] || fault "$model does not train"
    for gpu in $gpus; do
        "$work/$model" "${data[@]}" --gpu "$gpu" --json --log-every 7 --save "$work/got.safetensors" \
            2>"$work/err" | numbers >"$work/got"
        cmp -s "$work/want" "$work/got" ||
            fault "$model on $gpu: $(diff "$work/want" "$work/got" | head -n 4) $(cat "$work/err")"
        cmp -s "$work/want.safetensors" "$work/got.safetensors" ||
            fault "$model on $gpu: its weights differ"
    done
}
awk 'BEGIN { for (i = 0; i < 60; i++) { name = ""; for (k = 0; k < 3 + i % 5; k++)
    name = name substr("aeioubdfgklm", 1 + (i * 7 + k * k * 5 + i * k) % 12, 1); print name } }' >"$work/names.txt"
awk 'BEGIN { for (i = 0; i < 700; i++) printf "%s", substr("abc de", 1 + (i * i + i / 7) % 6, 1) }' >"$work/text.txt"
mkdir "$work/words"
awk 'BEGIN { for (i = 0; i < 90; i++) printf "a %s film%s\t%d\n", i % 3 ? "good" : "bad", i % 7 ? " and long" : "",
    (i % 3 > 0) }' >"$work/words/train.tsv"
head -n 20 "$work/words/train.tsv" >"$work/words/dev.tsv"
same '0 5' moons --epochs 3 --points 90
same 6 planar --set xor --epochs 3 --points 50 --batch 16
same 3 names --data "$work/names.txt" --epochs 1 --hidden 8 --batch 64
same 2 gru --data "$work/text.txt" --epochs 1 --hidden 6 --context 9 --batch 16
if [ -n "${TAPER_LONG:-}" ]; then
    same '0 1 2 3' mlp --epochs 1
    same 7 lstm --data "$work/text.txt" --epochs 1 --hidden 6 --context 9 --batch 16
    same 1 gpt --data "$work/text.txt" --epochs 1 --layers 2 --hidden 16 --heads 2 --context 16 --batch 8
    same 4 sentiment --data "$work/words" --epochs 1 --hidden 8 --batch 32
fi

# A run that is interrupted goes on to the same bits; a program that taper has linked itself.
"$taper" build planar --set xor --epochs 4 --points 50 --batch 16 --device cuda-emu -o "$work/linked" >/dev/null ||
    fault "build -o"
"$work/linked" --save "$work/want.safetensors" >/dev/null
"$work/linked" --epochs 2 --checkpoint "$work/half" >/dev/null
"$work/linked" --resume "$work/half" --save "$work/got.safetensors" >/dev/null
cmp -s "$work/want.safetensors" "$work/got.safetensors" || fault "--resume: other weights"
"$work/linked" --load "$work/want.safetensors" --epochs 1 --save "$work/got.safetensors" >/dev/null
cmp -s "$work/want.safetensors" "$work/got.safetensors" && fault "--load: nothing has been learnt"

# --- what cannot be -----------------------------------------------------------------------------------
# says STATUS WORDS PROGRAM ARGUMENTS..
says() {
    local status=$1 words=$2 got=0
    shift 2
    "$@" >"$work/out" 2>"$work/err" || got=$?
    { [ $got = "$status" ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -qF -- "$words" "$work/err"; } ||
        fault "$*: status $got: $(cat "$work/err")"
}
says 1 "is not there: CUDA_ERROR_INVALID_DEVICE" "$work/linked" --gpu 99
says 2 "no option --threads" "$work/linked" --threads 2
TAPER_LIBCUDA=/nowhere/libcuda.so.1 says 1 "looked for NVIDIA's driver, /nowhere/libcuda.so.1" "$work/linked"
for call in 3 9 30 60; do
    TAPER_CUDA_EMU_FAIL=$call says 1 "it was told to fail" "$work/linked" --epochs 1
done
says 2 '--device "gpu": expected cpu, cuda or cuda-emu' "$taper" build moons --device gpu -o "$work/no"
says 2 '--target "znver5": expected a GPU' "$taper" build moons --target znver5 --emit-cuda "$work/no.cu"
says 3 "--library is for CPUs" "$taper" build moons --library net --device cuda -o "$work"
[ ! -e "$work/no" ] && [ ! -e "$work/no.cu" ] || fault "a refused build leaves a file"

# --- for nvcc -------------------------------------------------------------------------------------------
# What is no kernel is C that C++ reads as well.
awk 'BEGIN { print "a,b,kind"; for (i = 0; i < 60; i++) printf "%d,%d,%s\n", i % 7, i % 5, i % 2 ? "x" : "y" }' >"$work/t.csv"
for try in "moons" "mlp" "mlp --probe" "mlp --data $work/t.csv" "gru --data $work/text.txt --context 9 --batch 16" \
    "names --data $work/names.txt" "sentiment --data $work/words"; do
    # shellcheck disable=SC2086
    "$taper" build $try --emit-cuda "$work/t.cu" >/dev/null || fault "--emit-cuda $try"
    sed '/^\/\* ==== 3\. /,$d' "$work/t.cu" >"$work/t.cc"
    g++ -std=c++20 -fsyntax-only -Wall -Werror -Wno-unused "$work/t.cc" 2>"$work/err" ||
        fault "$try: $(head -n 4 "$work/err")"
done
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)
if [ -n "$nvcc" ]; then
    for try in "moons" ${TAPER_LONG:+"mlp" "lenet" "lstm" "gpt --layers 2" "mlp --probe"}; do
        # shellcheck disable=SC2086
        "$taper" build $try --target sm_80 --emit-cuda "$work/t.cu" >/dev/null || fault "--emit-cuda $try"
        "$nvcc" -O1 -std=c++20 -arch=sm_80 -fmad=false "$work/t.cu" -o "$work/t" >"$work/err" 2>&1 ||
            fault "nvcc $try: $(head -n 4 "$work/err")"
        [ ! -s "$work/err" ] || fault "nvcc warns of $try: $(head -n 4 "$work/err")"
        ldd "$work/t" | grep -qE 'libcuda\.|libcublas|libtaper' && fault "nvcc: $(ldd "$work/t")"
    done
    says 1 "GPU 0: is not there" "$work/t"
else
    echo "trainer_gpu: no nvcc here, its part is skipped"
fi

# --- compiled kernels brought along --------------------------------------------------------------------
if "$taper" build moons --device cuda --target sm_80 --emit-c "$work/cubin.c" >/dev/null 2>"$work/err"; then
    compile "${CC:-cc}" "$work/cubin.c" "$work/cubin" -O1
    grep -aq '__global__' "$work/cubin" && fault "a cubin has text in it"
    grep -aq '\.nv\.info' "$work/cubin" || fault "there is no cubin in it"
    says 1 "looked for NVIDIA's driver, /nowhere" env TAPER_LIBCUDA=/nowhere "$work/cubin"
else
    grep -q 'libnvrtc' "$work/err" || fault "--device cuda: $(cat "$work/err")"
    echo "trainer_gpu: no libnvrtc here, its part is skipped"
fi
finish
