#!/usr/bin/env bash
# The long tier: each reader under libFuzzer for some seconds (tests/corpus.c is the short one).
#   TAPER_LONG=1 bash tests/fuzz.sh
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
[ -n "${TAPER_LONG:-}" ] || { echo "skipped: the long tier only"; exit 77; }
ls /usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.fuzzer-* >/dev/null 2>&1 ||
    { echo "skipped: no libclang-rt-19-dev"; exit 77; }
./dev fuzz "" "${TAPER_FUZZ_SECONDS:-8}"
