"""The light models of the onnx package (well-known nets, their weights filled in by
ConstantOfShape) through `taper run`, against the outputs that lie beside them.

    onnx_light.py TAPER [NAME..]      squeezenet resnet50 ..; no name: all

The exit status is 1 where one is refused or other; 77 where there is no onnx package.
"""
import glob
import os
import subprocess
import sys
import tempfile
import time

try:
    import numpy as np
    import onnx
    from onnx import numpy_helper
except ImportError as missing:
    print(f"skipped: no {missing.name} package")
    sys.exit(77)


def value(path):
    tensor = onnx.TensorProto()
    with open(path, "rb") as f:
        tensor.ParseFromString(f.read())
    return numpy_helper.to_array(tensor)


def given(model, folder):
    """The data that onnx's own runner gives them, as files."""
    own = {t.name for t in model.graph.initializer}
    files = []
    for port in model.graph.input:
        if port.name not in own:
            shape = [d.dim_value for d in port.type.tensor_type.shape.dim]
            count = int(np.prod(shape))
            files.append(os.path.join(folder, f"x{len(files)}.npy"))
            np.save(files[-1], (np.arange(count).reshape(shape) / count).astype(np.float32))
    return files


def wrong(taper, path, folder):
    """Against what lies beside it; and its gradient by the first input is there and finite."""
    inputs = given(onnx.load(path), folder)
    done = subprocess.run(
        [taper, "run", path, "--input", *inputs, "--output-dir", folder],
        capture_output=True, text=True, timeout=900,
    )
    if done.returncode:
        return f"{done.returncode}: {done.stderr.strip()[-300:]}"
    for i, other in enumerate(sorted(glob.glob(path[:-5] + "_output_*.pb"))):
        got, want = np.load(os.path.join(folder, f"output_{i}.npy")), value(other)
        if got.dtype != want.dtype or got.shape != want.shape:
            return f"output {i}: {got.dtype}{got.shape} for {want.dtype}{want.shape}"
        if not np.allclose(got, want, rtol=1e-3, atol=1e-7):
            return f"output {i}: by {np.abs(got - want).max()} of {np.abs(want).max()}"
    return None


def main():
    folder = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light")
    failed = tried = 0
    for path in sorted(glob.glob(os.path.join(folder, "light_*.onnx"))):
        name = os.path.basename(path)[len("light_"):-len(".onnx")]
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        begun = time.time()
        with tempfile.TemporaryDirectory() as out:
            what = wrong(sys.argv[1], path, out)
        tried += 1
        failed += bool(what)
        print(f"{name}: {what or 'as expected'}, {time.time() - begun:.1f} s", flush=True)
    return 1 if failed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
