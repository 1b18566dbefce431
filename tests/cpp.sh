#!/usr/bin/env bash
# The headers in C++: taper.h from C++11 on, taper.hpp and the examples in C++20
# and 23, by g++ and by Clang, without a warning; what taper.hpp covers of taper.h, which is
# everything; and that two examples print what those in C do.
#   bash tests/cpp.sh [BUILD]
# shellcheck source=tests/script.bash
. "$(dirname "${BASH_SOURCE[0]}")/script.bash"
tried=0
strict=(-Wall -Wextra -Wpedantic -Wconversion -Werror -fsyntax-only -Ifrontend)

printf '#include <taper.h>\nint main() { return tp_as_number(2).g != 0; }\n' >"$work/c.cpp"
for compiler in g++ clang++-19; do
    command -v $compiler >/dev/null || continue
    for standard in 11 17 23; do
        $compiler -std=c++$standard "${strict[@]}" "$work/c.cpp" >"$work/said" 2>&1 ||
            fault "taper.h, $compiler, C++$standard: $(head -n 5 "$work/said")"
    done
    $compiler -std=c++20 "${strict[@]}" examples/*.cpp >"$work/said" 2>&1 ||
        fault "examples, $compiler: $(head -n 5 "$work/said")"
    $compiler -std=c++23 "${strict[@]}" examples/mlp.cpp >"$work/said" 2>&1 ||
        fault "mlp.cpp, $compiler, C++23: $(head -n 5 "$work/said")"
    tried=$((tried + 1))
done
[ $tried -gt 0 ] || { echo "skipped: no g++ and no clang++-19"; exit 77; }

# --- each function of taper.h is called, each name of a macro is there -------------------------------
# Not in C++: what tells errors (they are thrown), and what taper.h itself is made of.
# In the long tier: taper.h may be ahead for an hour.
covered() {
    tr -s ' \n' ' ' <frontend/taper.hpp >"$work/hpp"
    grep -o '\btp_[a-z0-9_]*(' <(sed -n 's/^TP_API//p' frontend/taper.h) | tr -d '(' | sort -u |
        grep -vxE 'tp_on_error' >"$work/functions"
    [ "$(wc -l <"$work/functions")" -gt 200 ] || fault "the functions of taper.h are not found"
    while read -r name; do
        grep -qE "\b$name\b" "$work/hpp" || fault "taper.hpp does not call $name"
    done <"$work/functions"
    inner='arg|as_tensor|as_number|axes|axes_of|columns|conv_n|dims|formula|formula2|formula3|formula_[01]|groups|layer|list|load_data_as|loss|norm_[23]|numbers|optimiser|pool_n|reduce_[01]|scope|and|or|xor|not|const|while'
    grep -oE '^#define tp_[a-z0-9_]+\(' frontend/taper.h | sed 's/#define tp_//; s/($//' | sort -u |
        grep -vxE "$inner|addmm_scaled|loader_from_arrays|loader_from_fn" >"$work/macros"
    [ "$(wc -l <"$work/macros")" -gt 250 ] || fault "the macros of taper.h are not found"
    while read -r name; do
        grep -qE "\b(tensor|program|loader|schedule|void|recurrent|opt|std::vector<tensor>) &?$name\(|TAPER_[A-Z0-9]+\($name[,)]" \
            "$work/hpp" || fault "taper.hpp has no $name()"
    done <"$work/macros"
}
[ -z "${TAPER_LONG:-}" ] || covered

# --- the same numbers as C ------------------------------------------------------------------------------
for example in mlp gpt; do
    c=$build/examples/$example cpp=$build/examples/$example-cpp words=()
    [ -x "$c" ] && [ -x "$cpp" ] || { fault "no $cpp"; continue; }
    [ $example != gpt ] || words=(2)
    (cd "$work" && "$c" "${words[@]}" >"$example" 2>&1) || fault "$c fails"
    (cd "$work" && "$cpp" "${words[@]}" >"$example-cpp" 2>&1) || fault "$cpp fails"
    grep -q 'loss [0-9]' "$work/$example" || fault "$example prints no loss"
    cmp -s "$work/$example" "$work/$example-cpp" ||
        fault "$example in C++ prints $(head -n 3 "$work/$example-cpp"), in C $(head -n 3 "$work/$example")"
done
finish
