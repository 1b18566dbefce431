#!/usr/bin/env bash
# The Debian package: made by cpack, unpacked into a folder, and used from there by a program in C
# and one in C++; it says what it needs, and lintian, where it is there, finds no error. Long tier.
#   TAPER_LONG=1 bash tests/deb.sh [BUILD]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$(realpath "${1:-build}")
[ -n "${TAPER_LONG:-}" ] || { echo "skipped: of the long tier"; exit 77; }
for tool in cpack dpkg-deb dpkg-shlibdeps pkg-config; do
    command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    printf '%s\n' "$*"
    exit 1
}

(cd "$build" && cpack -G DEB -B "$work/made") >"$work/log" 2>&1 || fail "cpack: $(tail -n 5 "$work/log")"
deb=$(find "$work/made" -maxdepth 1 -name 'taper_*.deb')
[ -f "$deb" ] || fail "cpack made no taper_*.deb: $(ls "$work/made")"
field() { dpkg-deb -f "$deb" "$1"; }
for needed in libc6 zlib1g libnettle; do
    [[ "$(field Depends)" == *$needed* ]] || fail "Depends: $(field Depends); expected $needed"
done
[[ "$(field Depends)" != *llvm* ]] || fail "Depends: $(field Depends); LLVM is a wish"
[ ! -e "$build/libtaper-jit.so" ] || [[ "$(field Recommends)" == *libclang-cpp* ]] ||
    fail "Recommends: $(field Recommends); expected Clang (which needs LLVM)"

root=$work/root
dpkg-deb -x "$deb" "$root"
for file in bin/taper include/taper.h include/taper.hpp share/man/man1/taper.1 share/doc/taper/copyright \
    share/bash-completion/completions/taper; do
    [ -f "$root/usr/$file" ] || [ -f "$root/usr/$file.gz" ] || fail "no /usr/$file in the package"
done
[ -n "$(find "$root" -name taper-config.cmake)" ] || fail "no taper-config.cmake in the package"
[ ! -e "$build/libtaper-jit.so" ] || [ -n "$(find "$root" -name libtaper-jit.so)" ] || fail "no plug-in"
unset LD_LIBRARY_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$root" -name taper.pc)")
export PKG_CONFIG_PATH
read -ra flags < <(pkg-config --cflags --libs taper)
cc examples/mlp.c -o "$work/c" "${flags[@]}" -lm
"$work/c" >"$work/in-c" || fail "mlp.c, with the package, fails"
if command -v c++ >/dev/null; then
    c++ -std=c++20 examples/mlp.cpp -o "$work/cpp" "${flags[@]}"
    "$work/cpp" >"$work/in-cpp" || fail "mlp.cpp, with the package, fails"
    cmp "$work/in-c" "$work/in-cpp"
fi
"$root/usr/bin/taper" verify README.md >/dev/null 2>&1 && fail "taper verify takes README.md"
"$root/usr/bin/taper" ops exp >/dev/null || fail "the command of the package fails"
if command -v lintian >/dev/null; then
    # $ORIGIN finds the plug-in wherever the package is unpacked; there is no changelog to ship, and
    # nobody's address to write to
    lintian --fail-on error \
        --suppress-tags custom-library-search-path,no-changelog,dir-or-file-in-opt,bogus-mail-host \
        "$deb" >"$work/lintian" 2>&1 || fail "lintian: $(grep '^E' "$work/lintian")"
fi
