#!/usr/bin/env bash
# The text of models has not grown by half against the numbers of bench/code.txt, and a deeper GPT
# is hardly more text than a shallow one.
#   bash tests/code.sh [BUILD]
exec bash "$(dirname "${BASH_SOURCE[0]}")/../bench/code.sh" --check "${1:-build}"
