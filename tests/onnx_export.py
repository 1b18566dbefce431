"""What taper writes as ONNX, by others: onnx's checker with shape inference, and onnxruntime.

    onnx_export.py FOLDER

Each folder in it has model.onnx, input_0.npy .. in the model's order, output_0.npy .. of taper
(tests/onnx_out.c leaves them). The exit status is 1 where one is refused or other by more than
1e-5; 77 where there is no onnx or onnxruntime package.
"""
import glob
import os
import sys

try:
    import numpy as np
    import onnx
    import onnxruntime
except ImportError as missing:
    print(f"skipped: no {missing.name} package")
    sys.exit(77)

LACKS = ("NOT_IMPLEMENTED", "Could not find an implementation")  # types that its kernels have not


def wrong(folder):
    path = os.path.join(folder, "model.onnx")
    onnx.checker.check_model(onnx.load(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options)
    except Exception as e:  # its own classes are not public
        if any(word in str(e) for word in LACKS):
            return None, True
        raise
    given = {
        port.name: np.load(os.path.join(folder, f"input_{i}.npy"))
        for i, port in enumerate(session.get_inputs())
    }
    for i, got in enumerate(session.run(None, given)):
        want = np.load(os.path.join(folder, f"output_{i}.npy"))
        if got.dtype != want.dtype or got.shape != want.shape:
            return f"output {i}: {got.dtype}{got.shape} for {want.dtype}{want.shape}", False
        if got.dtype.kind == "f":  # of nothing but -inf its MaxPool gives the least finite number
            got, want = np.clip(got, -3e38, 3e38), np.clip(want, -3e38, 3e38)
        if not np.allclose(got, want, rtol=1e-5, atol=1e-5, equal_nan=True):
            return f"output {i}: by {np.nanmax(np.abs(got - want))}", False
    return None, False


def main():
    tried = failed = lacking = 0
    for folder in sorted(glob.glob(os.path.join(sys.argv[1], "*", ""))):
        tried += 1
        try:
            what, lacks = wrong(folder)
        except Exception as e:
            what, lacks = f"{type(e).__name__}: {str(e)[:300]}", False
        lacking += lacks
        if what:
            failed += 1
            print(f"{os.path.basename(folder[:-1])}: {what}")
    print(
        f"{tried} models: {tried - failed - lacking} as onnxruntime's, {lacking} that it cannot "
        f"run, {failed} wrong"
    )
    return 1 if failed or not tried or lacking * 10 > tried else 0


if __name__ == "__main__":
    sys.exit(main())
