#!/usr/bin/env bash
# The README does what it says: its first program is compiled and run by the commands beside it, its
# pictures are goldens, its commands exist, and the files it names are there.
#   bash tests/readme.sh [BUILD]
# shellcheck source=tests/script.bash
. "$(dirname "${BASH_SOURCE[0]}")/script.bash"

# block WORDS: the lines of the fenced block that holds WORDS, or that follows a line with them
block() {
    awk -v words="$1" '
        /^```/ && !inside { inside = 1; text = ""; next }
        /^```/ { inside = 0; if (found) { printf "%s", text; exit } }
        index($0, words) { found = 1 }
        inside { text = text $0 "\n" }' README.md
}

# --- the first program, by the commands that stand under it -----------------------------------------
mkdir "$work/home"
block 'mlp.c: two layers' >"$work/mlp.c"
block 'cmake --install' | sed "s|install build |install \"$build\" |" >"$work/commands"
[ "$(wc -l <"$work/commands")" = 4 ] || fault "the README's commands are not found"
(
    cd "$work" && unset LD_LIBRARY_PATH && export HOME=$work/home
    bash -e commands
) >"$work/output" 2>&1 || fault "the first program: $(tail -n 5 "$work/output")"
[ "$(grep -c '^epoch [123]  loss [0-9.]*$' "$work/output")" = 3 ] ||
    fault "the first program prints $(tail -n 3 "$work/output")"
"$taper" verify "$work/mlp.safetensors" >/dev/null || fault "mlp.safetensors is not sound"

# ... the same in C++, which gives the same losses
if command -v c++ >/dev/null; then
    block 'mlp.cpp: the first program' >"$work/mlp.cpp"
    block 'c++ -std=c++20 mlp.cpp' >"$work/commands"
    grep '^epoch' "$work/output" >"$work/in-c"
    (
        cd "$work" && unset LD_LIBRARY_PATH
        export PKG_CONFIG_PATH=$work/home/.local/lib/pkgconfig
        bash -e commands && ./mlp-cpp
    ) >"$work/in-cpp" 2>&1
    [ "$(awk '/^epoch [123]  loss [0-9.]+$/ { printf "%.4f\n", $4 }' "$work/in-cpp")" = \
        "$(awk '{ print $4 }' "$work/in-c")" ] || fault "the program in C++: $(tail -n 5 "$work/in-cpp")"
fi

# ... and with the mistake that the README makes in it, the message that it quotes
message=$(sed -n 's/^ *\(mlp\.c:14: .*\)/\1/p' README.md)
mkdir "$work/bad"
sed '14s/$/ h = tp_add(h, x);/' "$work/mlp.c" >"$work/bad/mlp.c"
(
    cd "$work/bad" && unset LD_LIBRARY_PATH
    export PKG_CONFIG_PATH=$work/home/.local/lib/pkgconfig
    # shellcheck disable=SC2046
    cc mlp.c -o mlp $(pkg-config --cflags --libs taper) && ./mlp
) >"$work/output" 2>&1
[ -n "$message" ] && [ "$(cat "$work/output")" = "$message" ] ||
    fault "the mistake gives: $(cat "$work/output")"

# --- pictures ---------------------------------------------------------------------------------------
pictures=0
while read -r golden; do
    block "golden $golden" >"$work/picture"
    sed '1,/^----$/d' "tests/golden/$golden" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' >"$work/want"
    diff "$work/want" "$work/picture" >"$work/diff" || fault "the picture of $golden: $(cat "$work/diff")"
    pictures=$((pictures + 1))
done < <(sed -n 's/^<!-- golden \(.*\) -->$/\1/p' README.md)
[ $pictures -gt 0 ] || fault "the README has no picture"
grep -qxF -- "$(block 'row exp')" ir/ops.def || fault "ir/ops.def has another row exp"

# --- commands and files -------------------------------------------------------------------------------
"$taper" help >"$work/help"
sed -n 's/^ *taper \([a-z]*\) .*/\1/p' "$work/help" | sort >"$work/there"
sed -n 's/^| `taper \([a-z]*\).*/\1/p' README.md | sort -u >"$work/told"
diff "$work/there" "$work/told" >"$work/diff" || fault "commands: $(cat "$work/diff")"
for stage in $(sed -n 's/^| `\([a-z]*\)` | .*/\1/p' README.md); do
    "$taper" show moons --stage "$stage" >"$work/text" && [ -s "$work/text" ] ||
        fault "there is no stage $stage"
done
while read -r path; do
    [ -e "$path" ] || fault "the README names $path"
done < <({
    grep -o '](\([^)#]*\))' README.md | tr -d ']()'
    grep -o '`[a-z]*/[a-z_]*\.[a-z]*`' README.md | tr -d '`'
} | grep / | grep -v :)

finish
