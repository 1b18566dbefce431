#!/usr/bin/env bash
# Each part of runtime/parts compiles with just the parts that the table of parts.h puts before it,
# without a warning, used or not, with and without zlib; and only error.h includes anything.
#   bash tests/parts.sh [BUILD]
# shellcheck source=tests/script.bash
. "$(dirname "${BASH_SOURCE[0]}")/script.bash"
cd runtime/parts || exit 1
compiled=0

declare -A below
rows=$(sed -n 's/^ \* | \([a-z]*\) *| \([a-z ]*\)|.*/\1 \2/p' parts.h | tail -n +2)
while read -r part on; do
    below[$part]=$on
done <<<"$rows"

for file in *.h; do
    part=${file%.h}
    [ "$part" != parts ] || continue
    [ -n "${below[$part]+there}" ] || { fault "$file: parts.h does not list it"; continue; }
    [ "$part" = error ] || ! grep -n '^ *# *include' "$file" || fault "$file: it includes a file"
    files=()
    for one in ${below[$part]} "$part"; do
        files+=("$one.h")
    done
    { cat "${files[@]}"; echo 'int main(void) { return 0; }'; } >"$work/$part.c"
    for compiler in gcc clang-14 clang-19; do
        command -v $compiler >/dev/null || continue
        for zlib in -DUSE_ZLIB ''; do
            # shellcheck disable=SC2086
            $compiler -c -O1 -std=gnu17 -Wall -Wextra -Wpedantic -Werror $zlib "$work/$part.c" \
                -o "$work/o.o" 2>"$work/said" ||
                fault "$compiler $zlib $part: $(head -n 4 "$work/said")"
            compiled=$((compiled + 1))
        done
    done
done
for part in "${!below[@]}"; do
    [ -e "$part.h" ] || fault "parts.h lists $part, which is not there"
done
[ $compiled -gt 0 ] || fault "no compiler was found"

finish
