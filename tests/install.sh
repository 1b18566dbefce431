#!/usr/bin/env bash
# A user's view: install into a fresh prefix, then compile programs in C and C++ by pkg-config and
# by CMake's find_package, and run them.
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

# --- by CMake, from a project of its own -------------------------------------------------------------
languages=C && c++ --version >/dev/null 2>&1 && languages="C CXX"
mkdir "$prefix/outside"
cp examples/mlp.c "$prefix/outside/c.c"
cp examples/mlp.cpp "$prefix/outside/cpp.cpp"
cat >"$prefix/outside/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.22)
project(outside LANGUAGES $languages)
find_package(taper ${version%.*} REQUIRED)
add_executable(in-c c.c)
target_link_libraries(in-c taper::taper)
if(CMAKE_CXX_COMPILER)
    add_executable(in-cpp cpp.cpp)
    target_compile_features(in-cpp PRIVATE cxx_std_20)
    target_link_libraries(in-cpp taper::taper)
endif()
END
(
    cd "$prefix/outside"
    cmake -S . -B build -DCMAKE_PREFIX_PATH="$prefix" && cmake --build build
) >"$prefix/log" 2>&1 || {
    tail -n 20 "$prefix/log"
    echo "a project that says find_package(taper) is not built"
    exit 1
}
for program in "$prefix"/outside/build/in-*; do
    (cd "$prefix" && "$program") >"$prefix/again" 2>&1 || { cat "$prefix/again"; exit 1; }
    diff "$prefix/output" "$prefix/again" || { echo "$program prints something else"; exit 1; }
done
sed "s/find_package(taper [0-9.]*/find_package(taper 9.1/" -i "$prefix/outside/CMakeLists.txt"
if cmake -S "$prefix/outside" -B "$prefix/outside/other" -DCMAKE_PREFIX_PATH="$prefix" >"$prefix/log" 2>&1; then
    echo "find_package(taper 9.1) finds taper $version"
    exit 1
fi
