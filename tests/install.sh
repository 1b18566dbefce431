#!/usr/bin/env bash
# A user's view: install into a fresh prefix, then compile a program by pkg-config and run it.
#   bash tests/install.sh [BUILD]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build}
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

cmake --install "$build" --prefix "$prefix" >"$prefix/log" || {
    cat "$prefix/log"
    exit 1
}
pc=$(find "$prefix" -name taper.pc)
[ -n "$pc" ] || { echo "no taper.pc was installed"; exit 1; }
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
unset LD_LIBRARY_PATH
version=$(pkg-config --modversion taper)
[ -e "$(pkg-config --variable=libdir taper)/libtaper.so" ] || { echo "no libtaper.so"; exit 1; }

# Moved as a whole it still works: nothing in it names where it was built.
if [ -x "$build/taper" ]; then
    "$prefix/bin/taper" help >"$prefix/help" || { echo "the installed command fails"; exit 1; }
    [ -s "$prefix/help" ] || { echo "taper help says nothing"; exit 1; }
fi
if [ ! -f examples/mlp.c ] || [ ! -f "$(pkg-config --variable=includedir taper)/taper.h" ]; then
    echo "skipped: installed taper $version; there is no examples/mlp.c or no taper.h to try it with"
    exit 77
fi
for compiler in cc clang-19; do
    command -v $compiler >/dev/null || continue
    # shellcheck disable=SC2046
    $compiler -std=c11 -Wall -Wextra -Wpedantic -Werror examples/mlp.c -o "$prefix/mlp-$compiler" \
        $(pkg-config --cflags --libs taper) -lm
    (cd "$prefix" && "./mlp-$compiler") >"$prefix/output" 2>&1 || {
        cat "$prefix/output"
        echo "mlp, compiled by $compiler, failed"
        exit 1
    }
    [ -s "$prefix/output" ] || { echo "mlp, compiled by $compiler, printed nothing"; exit 1; }
done
