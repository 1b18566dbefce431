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

# Well-known nets, with what they give: one of them, or all.
light=(shufflenet)
[ -z "${TAPER_LONG:-}" ] || light=()
python3 "$here/onnx_light.py" "$build/taper" "${light[@]}" || exit 1

# Functions of the file: twice a * 1.5, of that twice a * 0.25; and one that calls itself.
kept=$(mktemp -d)
trap 'rm -rf "$kept"' EXIT
cp "$here/fuzz/corpus/onnx/function" "$kept/f.onnx"
cp "$here/fuzz/corpus/onnx/function_circle" "$kept/c.onnx"
python3 -c "import numpy; numpy.save('$kept/x.npy', numpy.array([1, 2, -3], 'f'))"
"$build/taper" run "$kept/f.onnx" --input "$kept/x.npy" --output-dir "$kept" &&
    python3 -c "import numpy; assert numpy.load('$kept/output_0.npy').tolist() == [1.5, 3, -4.5]" || exit 1
"$build/taper" run "$kept/c.onnx" --input "$kept/x.npy" --output-dir "$kept" 2>&1 | grep -q 'no circle' || exit 1
rm -rf "${kept:?}"/*

# What is written, by onnx's checker and by onnxruntime, where there is one.
[ -n "${TAPER_LONG:-}" ] || exit 0
python3 -c 'import onnxruntime' 2>/dev/null || pip install -q onnxruntime >/dev/null 2>&1 || {
    echo "written models are not compared: no onnxruntime package"
    exit 0
}
TAPER_EXPORT_DIR=$kept "$build/tests/onnx_out" --jobs 1 >/dev/null 2>&1
python3 "$here/onnx_export.py" "$kept" || exit 1

# What PyTorch writes, where there is one ($TAPER_PYTHON: a python3 that has it).
"${TAPER_PYTHON:-python3}" "$here/onnx_torch.py" "$build/taper" 2>/dev/null
status=$?
[ $status = 77 ] || exit $status
