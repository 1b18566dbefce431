#!/usr/bin/env bash
# ONNX's own tests of its operators through `taper run`: of the short tier every 40th, of the long
# one ($TAPER_LONG) all. The interpreter computes them, and a few of them machine code.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-build}" && pwd)

if ! python3 -c 'import onnx, numpy' 2>/dev/null; then
    if [ -z "${TAPER_LONG:-}" ] || ! pip install -q onnx==1.22.0 >/dev/null 2>&1; then
        echo "skipped: no onnx package (pip install onnx)"
        exit 77
    fi
fi
"$build/taper" verify /dev/null/x.onnx 2>&1 | grep -q 'reads no ONNX' && {
    echo "skipped: this build reads no ONNX"
    exit 77
}
every=40
[ -z "${TAPER_LONG:-}" ] || every=1
TAPER_ENGINE=interpreter python3 "$here/onnx_nodes.py" "$build/taper" --every "$every" || exit 1
python3 "$here/onnx_nodes.py" "$build/taper" --every "$((every * 9))" || exit 1

# What is written, by onnx's checker and by onnxruntime, where there is one.
[ -n "${TAPER_LONG:-}" ] || exit 0
python3 -c 'import onnxruntime' 2>/dev/null || pip install -q onnxruntime >/dev/null 2>&1 || {
    echo "written models are not compared: no onnxruntime package"
    exit 0
}
kept=$(mktemp -d)
trap 'rm -rf "$kept"' EXIT
TAPER_EXPORT_DIR=$kept "$build/tests/onnx_out" --jobs 1 >/dev/null 2>&1
python3 "$here/onnx_export.py" "$kept" || exit 1

# What PyTorch writes, where there is one ($TAPER_PYTHON: a python3 that has it).
"${TAPER_PYTHON:-python3}" "$here/onnx_torch.py" "$build/taper" 2>/dev/null
status=$?
[ $status = 77 ] || exit $status
