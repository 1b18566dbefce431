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

# A model with an array that is no weight, trained: the file that holds the model goes on as the ONNX
# file with the weights does, its trainer too, and is written as ONNX again.
(
    cd "$kept" || exit 1
    taper=$build/taper
    python3 - <<'END' || exit 1
import os, numpy as np, onnx
from onnx import helper as h, numpy_helper as n
draw = np.random.default_rng(1)
given = lambda name, *dims: n.from_array(draw.normal(size=dims).astype("f"), name)
nodes = [h.make_node("Constant", [], ["scale"], value=given("", 4)),
         h.make_node("Mul", ["x", "scale"], ["a"]), h.make_node("Gemm", ["a", "w", "b"], ["c"]),
         h.make_node("Tanh", ["c"], ["d"]), h.make_node("Gemm", ["d", "v"], ["y"])]
port = lambda name, last: h.make_tensor_value_info(name, 1, ["batch", last])
graph = h.make_graph(nodes, "g", [port("x", 4)], [port("y", 3)], [given("w", 4, 8), given("b", 8), given("v", 8, 3)])
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 20)], ir_version=10)
onnx.save(model, "m.onnx")
os.mkdir("e")
onnx.save(model, "e/m.onnx", save_as_external_data=True, location="m.data", size_threshold=0, convert_attribute=True)
x = draw.normal(size=(60, 4)).astype("f")
np.savez("d.npz", x=x, y=(np.arange(60) % 3).astype("i4"), x_test=x, y_test=(np.arange(60) % 3).astype("i4"))
np.save("x.npy", x)
END
    [ -s e/m.data ] || exit 1
    for folder in . e; do
        "$taper" run $folder/m.onnx --input x.npy --output-dir $folder/out || exit 1
    done
    cmp out/output_0.npy e/out/output_0.npy || exit 1
    losses() { "$@" --json --log-every 1 | grep -o '"loss":[^,]*'; }
    "$taper" train m.onnx --data d.npz --epochs 2 --lr 0.1 --save w.safetensors --save-model m.safetensors >/dev/null || exit 1
    losses "$taper" train m.onnx --data d.npz --epochs 2 --lr 0.1 --load w.safetensors >want
    losses "$taper" train m.safetensors >got && cmp got want || exit 1
    "$taper" build m.safetensors -o trainer >/dev/null && losses ./trainer --data d.npz >got && cmp got want || exit 1
    "$taper" export m.safetensors -o n.onnx && "$taper" run n.onnx --input x.npy --output-dir n &&
        "$taper" run m.onnx --weights w.safetensors --input x.npy --output-dir o && cmp n/output_0.npy o/output_0.npy || exit 1
    "$taper" show m.onnx --data d.npz --stage trace >m.tp
    "$taper" train m.tp 2>&1 | grep -q 'is an array, whose numbers a text has not' || exit 1
) || { echo "a trained ONNX model and its file differ"; exit 1; }
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
