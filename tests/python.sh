#!/usr/bin/env bash
# The Python package: its tests, on the library that was just built. Most are about what a function
# says, which the interpreter answers at once; those of compiled steps run compiled.
#   bash tests/python.sh [BUILD]
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$(realpath "${1:-build}")
export TAPER_LIBRARY=$build/libtaper.so TAPER_SHARED=${TAPER_SHARED:-$(realpath ../shared 2>/dev/null || true)}
export PYTHONDONTWRITEBYTECODE=1 TAPER_CACHE=${TAPER_CACHE:-}
[ -n "$TAPER_CACHE" ] || unset TAPER_CACHE
for python in "${PYTHON:-}" /usr/bin/python3 python3; do
    [ -n "$python" ] && "$python" -c 'import numpy, pytest' 2>/dev/null && break
    python=
done
[ -n "$python" ] || { echo "skipped: no python3 with numpy and pytest"; exit 77; }
cd frontend/python
status=0
mapfile -t compiled < <(ls tests/test_compiled*.py 2>/dev/null)
ignore=()
for file in "${compiled[@]}"; do ignore+=("--ignore=$file"); done
TAPER_ENGINE=interpreter "$python" -m pytest -q -p no:cacheprovider "${ignore[@]}" tests || status=1
if [ ${#compiled[@]} -gt 0 ]; then
    "$python" -m pytest -q -p no:cacheprovider "${compiled[@]}" || status=1
fi
# --- types: what is made at import has stubs, and a checker knows a user's program ----------------------
"$python" stubs.py --check || status=1
mypy=$(command -v mypy || true)
if [ -z "${TAPER_LONG:-}" ]; then
    :
elif [ -z "$mypy" ] && ! "$python" -m mypy --version >/dev/null 2>&1; then
    echo "mypy is not here: types were not checked"
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    check() { MYPYPATH=$PWD ${mypy:-"$python" -m mypy} --ignore-missing-imports --cache-dir "$work" "$@"; }
    check -p taper || status=1
    check --disallow-untyped-defs tests/typed_user.py || status=1
    (here=$PWD; cd "$work" && PYTHONPATH=$here "$python" "$here/tests/typed_user.py" >/dev/null) || status=1
    printf 'import taper\nx: int = taper.zeros(2).exp()\ny = taper.zeros(2).no_such()\n' >"$work/wrong.py"
    wrong=$(check "$work/wrong.py")
    [ "$(grep -c 'error: ' <<<"$wrong")" = 2 ] || { echo "of a wrong program: $wrong"; status=1; }
fi
exit $status
