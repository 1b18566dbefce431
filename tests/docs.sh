#!/usr/bin/env bash
# The manual says what happens: its examples are run and print what it shows, its links lead somewhere,
# every operation has its section. Where MkDocs and Graphviz are there, the HTML is built as well.
#   bash tests/docs.sh [BUILD]; TAPER_BLESS=1 writes what the examples print into docs/
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
build=$(realpath "${1:-build}")
[ -x "$build/taper" ] || { echo "no $build/taper"; exit 1; }
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
export PYTHONDONTWRITEBYTECODE=1
status=0
python3 docs/html/check.py "$build" || status=1
if command -v mkdocs dot >/dev/null && [ -n "${TAPER_LONG:-}" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    TAPER_BUILD=$build mkdocs build -q --strict -f docs/html/mkdocs.yml -d "$work" || status=1
    [ "$(grep -c '<svg' "$work/glossary.html")" = 1 ] || { echo "the glossary has no graph"; status=1; }
    for op in $("$build/taper" ops --json | sed -n 's/^{"op": *"\([a-z0-9_]*\)".*/\1/p'); do
        [ -s "$work/ops/$op.html" ] || { echo "the operation $op has no page"; status=1; }
    done
fi
exit $status
