#!/usr/bin/env bash
# The C that `taper show --stage c` prints is a file on its own: no #include, and every compiler
# that is here takes it without a word, whatever the machine it compiles for.
#   bash tests/emitted.sh [BUILD]
# shellcheck source=tests/script.bash
. "$(dirname "${BASH_SOURCE[0]}")/script.bash"
compiled=0 missing=
here='gcc clang-14 clang-19'
[ "$(uname -m)" = x86_64 ] || here=
declare -A compilers=([generic]=$here [x86-64-v3]=$here [x86-64-v4]=$here [native]=$here
    [armv8]=aarch64-linux-gnu-gcc [cortex-m]=arm-none-eabi-gcc)
targets=('native -march=native' 'x86-64-v4 -march=x86-64-v4' 'x86-64-v3 -march=x86-64-v3'
    'armv8 -march=armv8-a' 'cortex-m -mcpu=cortex-m7 -mfloat-abi=hard -ffreestanding' 'generic -g0')

# take TEXT COMPILER FLAGS...: compiles without a word, or the compiler is not here
take() {
    local text=$1
    shift
    if ! command -v "$1" >/dev/null; then
        [[ $missing == *" $1"* ]] || missing="$missing $1"
        return
    fi
    "$@" -c -std=gnu17 -Wall -Wextra "$text" -o "$work/o.o" >"$work/said" 2>&1 ||
        fault "$* $(basename "$text"): it fails"
    [ -s "$work/said" ] && fault "$* $(basename "$text"): $(head -n 4 "$work/said")"
    compiled=$((compiled + 1))
}

for model in mlp lenet moons; do
    for program in step eval; do
        for target in "${targets[@]}"; do
            text=$work/${model}_${program}_${target%% *}.c
            "$taper" show $model --stage c --program $program --target "${target%% *}" >"$text" ||
                fault "show $model $program $target"
            grep -n '^ *# *include' "$text" && fault "$model $program: it includes a file"
            grep -q "void $program(" "$text" || fault "$model $program: there is no function $program"
            [ $model = moons ] || for compiler in ${compilers[${target%% *}]}; do
                # shellcheck disable=SC2086
                [ $program = eval ] || take "$text" $compiler ${target#* }
            done
        done
        for compiler in gcc clang-14 clang-19; do
            [ $model = lenet ] || take "$text" $compiler -O2 -fopenmp
        done
    done
done
[ $compiled -gt 0 ] || fault "no compiler was found"
[ -z "$missing" ] || echo "not here:$missing"

finish
