#!/usr/bin/env bash
# Trainers: what `taper build` writes compiles without a warning, needs no taper, and has the losses
# and weights of `taper train` to the last bit, whatever compiles it.
#   bash tests/trainer.sh [BUILD]
# TAPER_LONG=1: also gpt and resnet20, each target with each compiler, and aarch64 in qemu.
# shellcheck source=tests/trainer.bash
. "$(dirname "${BASH_SOURCE[0]}")/trainer.bash"
compared=0

# --- the same bits as taper train -------------------------------------------------------------------
# same COMPILERS MODEL ARGUMENTS..: what each of them makes of it
same() {
    local compilers=$1 model=$2 compiler
    shift 2
    local data=()
    [ "${1:-}" != --data ] || data=(--data "$2")
    "$taper" build "$model" "$@" --emit-c "$work/$model.c" >"$work/out" || fault "build $model"
    "$taper" train "$model" "$@" --json --log-every 7 --save "$work/want.safetensors" |
        numbers >"$work/want"
    [ -s "$work/want" ] || fault "$model does not train"
    for compiler in $compilers; do
        command -v "$compiler" >/dev/null || continue
        compile "$compiler" "$work/$model.c" "$work/$model" -O2 -march=native -fopenmp
        env -i "$work/$model" "${data[@]}" --json --log-every 7 --save "$work/got.safetensors" \
            2>"$work/err" | numbers >"$work/got"
        cmp -s "$work/want" "$work/got" ||
            fault "$model by $compiler: $(diff "$work/want" "$work/got" | head -n 4) $(cat "$work/err")"
        cmp -s "$work/want.safetensors" "$work/got.safetensors" ||
            fault "$model by $compiler: its weights differ"
        compared=$((compared + 1))
    done
}
both='gcc clang-19'
awk 'BEGIN { print "a,b,kind"; for (i = 0; i < 300; i++) { a = i * 0.618 % 1; b = i * 0.7549 % 1
    printf "%.4f,%.4f,%s\n", a, b, (a > b ? "more" : "less") } }' >"$work/table.csv"
awk 'BEGIN { for (i = 0; i < 200; i++) { name = ""; for (k = 0; k < 3 + i % 5; k++)
    name = name substr("aeioubdfgklm", 1 + (i * 7 + k * k * 5 + i * k) % 12, 1); print name } }' >"$work/names.txt"
same clang-19 mlp --data "$work/table.csv" --epochs 5
same "$both" mlp --epochs 2
same clang-19 mlp --epochs 1 --probe
same clang-19 planar --set spiral --epochs 30
same gcc moons --epochs 30 --opt adamw --schedule constant
same gcc names --data "$work/names.txt" --epochs 2
[ $compared -gt 0 ] || { fault "no compiler was found"; finish; }
[ "$(wc -c <"$work/mlp")" -le 200000 ] || fault "the mlp's trainer has $(wc -c <"$work/mlp") bytes"

# One thread, two, and without OpenMP; an executable that taper has linked itself.
"$work/mlp" --json --threads 1 | numbers >"$work/want"
"$work/mlp" --json --threads 2 | numbers | cmp -s - "$work/want" || fault "two threads are not one"
compile "${compiler:-cc}" "$work/mlp.c" "$work/single" -O1
"$work/single" --json | numbers | cmp -s - "$work/want" || fault "without OpenMP: other numbers"
"$taper" build planar --set xor --epochs 30 -o "$work/linked" >"$work/out" 2>"$work/err" ||
    fault "build -o: $(cat "$work/err")"
"$taper" train planar --set xor --epochs 30 --json | numbers >"$work/want"
(cd / && env -i "$work/linked" --json) | numbers | cmp -s - "$work/want" ||
    fault "the linked planar differs"

# --- every target, every compiler, with and without OpenMP --------------------------------------------
for target in generic x86-64-v3 x86-64-v4 native armv8; do
    "$taper" build moons --target $target --emit-c "$work/target.c" >/dev/null || fault "--target $target"
    for try in 'gcc -fopenmp' 'clang-19 -O1' 'clang-14 -fopenmp' ${TAPER_LONG:+'gcc -O1' 'clang-19 -fopenmp' 'clang-14 -O1'}; do
        [ -n "${TAPER_LONG:-}" ] || [[ "$target $try" != x86*clang-14* ]] || continue
        command -v "${try%% *}" >/dev/null || continue
        # shellcheck disable=SC2086
        $try -c -std=gnu17 -Wall -Wextra -Werror "$work/target.c" -o "$work/o.o" 2>"$work/said" ||
            fault "$try for $target: $(head -n 4 "$work/said")"
    done
done

# --- a program's own model, whose rows come from files ------------------------------------------------
cat >"$work/own.c" <<'END'
#include <stdio.h>
#include <taper.h>

static void save(const char *path, const float *numbers, int rows, int width) /* .npy */
{
    FILE *f = fopen(path, "wb");
    char text[118];
    int size = snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }",
                        rows, width);
    fwrite("\x93NUMPY\1\0\x76\0", 1, 10, f);
    fprintf(f, "%-117.*s\n", size, text);
    fwrite(numbers, sizeof(float), (size_t)rows * (size_t)width, f);
    fclose(f);
}

int main(void)
{
    static float x[200 * 3], y[200 * 2];
    for (int i = 0; i < 600; i++)
        x[i] = (float)(i * 7919 % 1000) / 1000;
    for (int i = 0; i < 200; i++)
        y[2 * i] = x[3 * i] * x[3 * i + 1], y[2 * i + 1] = x[3 * i + 2] - x[3 * i];
    save("x.npy", x, 200, 3);
    save("y.npy", y, 200, 2);
    const tp_columns columns = tp_columns({ "x", TP_F32, tp_dims(3), x }, { "y", TP_F32, tp_dims(2), y });
    tp_loader *train = tp_loader_from_arrays(columns, 200, .batch = 32, .shuffle = true, .seed = 5, .rows = "0:150");
    tp_loader *test = tp_loader_from_arrays(columns, 200, .batch = 20, .rows = "150:200");
    tp_graph *g = tp_graph_new(3);
    int64_t B = tp_symbol(g, "batch", 1, 32);
    tp_tensor in = tp_input(g, "x", TP_F32, tp_dims(B, 3)), want = tp_input(g, "y", TP_F32, tp_dims(B, 2));
    tp_tensor middle = tp_array(g, TP_F32, tp_dims(3), (float[]){ .5f, .25f, .125f });
    tp_tensor h = tp_tanh(tp_linear(tp_sub(in, middle), "fc1", 16, .init = TP_NORMAL(0.3)));
    tp_tensor loss = tp_mse(tp_linear(h, "fc2", 2), want);
    tp_program *step = tp_compile_train(loss, .opt = tp_adamw(), .lr = tp_cosine(1e-2, 1e-4, 50));
    tp_program *eval = tp_compile_eval(g, loss);
    tp_emit_c("own_trainer.c", .train = step, .eval = eval, .data = train, .test = test);
    for (int epoch = 0; epoch < 10; epoch++)
        while (tp_next(train, step) && tp_run(step))
            ;
    tp_save(g, "own.safetensors");
    if (tp_error(g))
        fprintf(stderr, "%s\n", tp_error(g));
    return tp_status(g);
}
END
build=$(dirname "$taper")
(cd "$work" && cc -I"$OLDPWD/frontend" own.c -o own -L"$build" -ltaper -Wl,-rpath,"$build" && ./own) 2>"$work/err" ||
    fault "a program's own: $(head -n 4 "$work/err")"
compile "${compiler:-cc}" "$work/own_trainer.c" "$work/own_trainer" -O2 -march=native
"$work/own_trainer" --data "$work" --save "$work/got.safetensors" >"$work/out" 2>"$work/err"
cmp -s "$work/own.safetensors" "$work/got.safetensors" || fault "a program's own trainer differs: $(cat "$work/err")"

# --- the long tier ------------------------------------------------------------------------------------
shared=${TAPER_SHARED:-../shared}/data
# LeNet on MNIST by the emitted file alone: in a folder that holds it, its data and the C library
mnist() {
    local data=$shared/mnist room=$work/room file accuracy
    [ -e "$data/train-images-idx3-ubyte.gz" ] || { echo "no $data: not tried"; return; }
    mkdir -p "$room/data"
    for file in "$data"/*.gz; do gunzip -c "$file" >"$room/data/$(basename "$file" .gz)"; done
    "$taper" build lenet --data "$data" --epochs 3 --seed 1 --emit-c "$work/t.c" >/dev/null || fault "build lenet"
    compile gcc "$work/t.c" "$room/t" -O3 -march=native -fopenmp
    [ "$(wc -c <"$room/t")" -le 200000 ] || fault "the lenet's trainer has $(wc -c <"$room/t") bytes"
    ldd "$room/t" | grep -o '/[^ ]*' | while read -r file; do install -D "$file" "$room$file"; done
    unshare -r chroot "$room" /t --data /data --threads 1 --save /weights >"$work/out" 2>&1 || fault "in a bare room: $(cat "$work/out")"
    accuracy=$(sed -n 's/.*accuracy \([0-9.]*\)%.*/\1/p' "$work/out" | tail -n 1)
    awk -v got="${accuracy:-0}" 'BEGIN { exit !(got >= 98.8) }' || fault "MNIST: $accuracy %, not 98.8"
    echo "lenet on MNIST by gcc alone: $accuracy %, $(wc -c <"$room/t") bytes"
}

# ResNet-20 on CIFAR-10, whose files a trainer without zlib wants unpacked
cifar10() {
    local data=${TAPER_SHARED:-../shared}/data/cifar10 file
    [ -e "$data/data_batch_1.bin.gz" ] || { echo "no $data: not tried"; return; }
    mkdir -p "$work/cifar10"
    for file in "$data"/*.gz; do gunzip -c "$file" >"$work/cifar10/$(basename "$file" .gz)"; done
    same clang-19 resnet20 --data "$work/cifar10" --epochs 1
}

if [ -n "${TAPER_LONG:-}" ]; then
    for i in 1 2 3 4 5 6; do tr '\n' ' ' <"$work/names.txt"; done >"$work/text.txt"
    same "$both" gpt --data "$work/text.txt" --batch 8 --epochs 1
    cifar10
    same gcc lenet --epochs 1
    mnist
    "$taper" build planar --set xor --epochs 30 --target armv8 --emit-c "$work/arm.c" >/dev/null
    emulator=$(command -v qemu-aarch64-static qemu-aarch64 | head -n 1)
    if command -v aarch64-linux-gnu-gcc >/dev/null && [ -n "$emulator" ]; then
        compile aarch64-linux-gnu-gcc "$work/arm.c" "$work/arm" -O2 -static
        "$emulator" "$work/arm" --json | numbers >"$work/got"
        "$taper" train planar --set xor --epochs 30 --json | numbers | cmp -s - "$work/got" ||
            fault "aarch64: other numbers"
    else
        echo "no aarch64-linux-gnu-gcc or qemu-aarch64: that build was not tried"
    fi
fi
finish
