#!/usr/bin/env bash
# `taper build --library` leaves files that other programs build with: a header for C99 and C++11,
# objects that need libm and memcpy at most (nothing, when freestanding), and no variables.
# TAPER_LONG=1: one of them learns on a Cortex-M in qemu, to the host's bits.
#   bash tests/library.sh [BUILD]
# shellcheck source=tests/script.bash
. "$(dirname "${BASH_SOURCE[0]}")/script.bash"
missing=

# quiet WHAT COMMAND...: it works and says nothing; or it is not here
quiet() {
    local what=$1
    shift
    command -v "$1" >/dev/null || { missing="$missing $1"; return; }
    "$@" >"$work/said" 2>&1 || fault "$what: $* fails"
    [ ! -s "$work/said" ] || fault "$what: $(head -n 3 "$work/said")"
}

# refused STATUS LINE OPTIONS...
refused() {
    local status=$1 line=$2 was=0
    shift 2
    "$taper" build "$@" -o "$work" >"$work/out" 2>"$work/said" || was=$?
    [ $was = "$status" ] || fault "build $*: status $was"
    [ ! -s "$work/out" ] || fault "build $*: it prints"
    [ "$(wc -l <"$work/said")" = 1 ] || fault "build $*: $(wc -l <"$work/said") lines"
    grep -q -- "$line" "$work/said" || fault "build $*: $(cat "$work/said")"
}

for kind in '' --freestanding; do
    name=net${kind:+_free}
    # shellcheck disable=SC2086
    "$taper" build mlp --library $name $kind --target x86-64-v3 -o "$work" >"$work/out" ||
        fault "build $name"
    grep -q "mlp: $name.c $name.h" "$work/out" || fault "$name: $(cat "$work/out")"
    quiet "$name.h as C99" gcc -std=c99 -pedantic -Wall -Wextra -fsyntax-only -xc "$work/$name.h"
    quiet "$name.h as C++11" g++ -std=c++11 -pedantic -Wall -Wextra -fsyntax-only -xc++ "$work/$name.h"
    quiet "$name.h as C++11" clang++-19 -std=c++11 -pedantic -Wall -Wextra -fsyntax-only -xc++ \
        "$work/$name.h"
    for compiler in gcc clang-14 clang-19; do
        quiet "$name.c" $compiler -std=gnu17 -Wall -Wextra -c "$work/$name.c" -o "$work/o.o"
    done
    quiet "$name.c" gcc -std=gnu17 -Wall -Wextra -O2 ${kind:+-ffreestanding} -c "$work/$name.c" \
        -o "$work/o.o"
    [ "$(uname -m)" = x86_64 ] || continue
    for file in o.o lib$name.a lib$name.so; do
        needs=$(nm -u "$work/$file" 2>/dev/null | awk 'NF > 1 { print $2 }' | sort -u | tr '\n' ' ')
        for symbol in $needs; do
            case "$kind $symbol" in
            ' memcpy' | ' memset' | ' memmove' | ' fma' | ' fmaf' | ' rint' | *__gmon_start__* | \
                *_ITM_* | *__cxa_finalize*) ;;
            *) fault "$name: $file needs $symbol" ;;
            esac
        done
        size -A "$work/$file" | awk '($1 == ".data" || $1 == ".bss") && $2 > 0 { bad = 1 }
            END { exit bad }' || fault "$name: $file has variables"
    done
    offers=$(nm -D --defined-only "$work/lib$name.so" | awk '{ print $3 }' | tr '\n' ' ')
    [ "$offers" = "${name}_get ${name}_init ${name}_parameters ${name}_predict ${name}_set ${name}_step " ] ||
        fault "$name: lib$name.so offers $offers"
done

# a C++ program with the static library
cat >"$work/use.cc" <<'END'
#include "net.h"
#include <cstdio>
#include <vector>
alignas(NET_ALIGNMENT) static unsigned char memory[NET_ARENA_BYTES];
int main()
{
    std::vector<uint8_t> x(28 * 28 * NET_ROWS, 7);
    std::vector<int32_t> y(NET_ROWS, 3);
    net_init(memory, 1);
    float first = net_step(memory, x.data(), y.data(), NET_ROWS), last = first;
    for (int i = 0; i < 5; i++)
        last = net_step(memory, x.data(), y.data(), NET_ROWS);
    std::printf("%s %d\n", net_parameters()[0].name, last < first);
}
END
if [ "$(uname -m)" = x86_64 ] && grep -q avx2 /proc/cpuinfo; then
    quiet 'a C++ program' g++ -std=c++11 -Wall -Wextra -I"$work" "$work/use.cc" "$work/libnet.a" -lm \
        -o "$work/use"
    [ "$("$work/use")" = 'fc1.weight 1' ] || fault "a C++ program: $("$work/use")"
fi

refused 2 'expected a name for C' mlp --library 3d
refused 2 'expected a name for C' mlp --library while
refused 2 '--freestanding is for --library' mlp --freestanding
refused 2 '--emit-c is for trainers' mlp --library net --emit-c x.c
refused 2 '--target' mlp --library net --target cray

if [ "${TAPER_LONG:-}" = 1 ]; then
    if command -v arm-none-eabi-gcc >/dev/null && command -v qemu-system-arm >/dev/null; then
        bash examples/cortex-m/build.sh "$taper" "$work" >"$work/said" 2>&1 ||
            fault "cortex-m: $(tail -n 3 "$work/said")"
        grep -q 'the host has the same bits' "$work/said" || fault "cortex-m: other bits"
        sed -n '/^step 2000\|points\|^flash\|^ram/p' "$work/said"
    else
        echo "cortex-m: no arm-none-eabi-gcc or qemu-system-arm here"
    fi
fi

[ -z "$missing" ] || echo "not here:$missing"
finish
