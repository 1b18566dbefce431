"""The backend tests of the onnx package through `taper run`.

    onnx_nodes.py TAPER [-k GLOB] [--every N] [--list] [-v]

Takes the node tests whose operators and types are those that taper means to have, and prints how
many pass, are refused as not supported (exit status 3), and are wrong. The exit status is 1 where
one is wrong, or fewer than 98 % pass; 77 where there is no onnx package.
"""
import argparse
import collections
import fnmatch
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

try:
    import numpy as np
    import onnx
    from onnx import numpy_helper
except ImportError as missing:
    print(f"skipped: no {missing.name} package")
    sys.exit(77)

CORE = set(
    """Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization
    Cast CastLike Ceil Celu Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum
    Div Dropout Elu Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gelu
    Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid
    HardSwish Identity InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Less
    LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul
    Neg NegativeLogLikelihoodLoss Not OneHot Or PRelu Pad Pow RMSNormalization Range Reciprocal
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare Relu Reshape Round ScatterElements ScatterND Selu Shape Shrink Sigmoid
    Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign Split Sqrt Squeeze
    Sub Sum Swish Tan Tanh ThresholdedRelu Tile Transpose Trilu Unsqueeze Where Xor LSTM GRU RNN
    Einsum TopK DepthToSpace SpaceToDepth Resize Attention Adam Adagrad Momentum""".split()
)
TYPES = {
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.INT8,
    onnx.TensorProto.INT32,
    onnx.TensorProto.INT64,
    onnx.TensorProto.UINT8,
    onnx.TensorProto.BOOL,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
}


def wanted(folder):
    graph = onnx.load(os.path.join(folder, "model.onnx")).graph
    for port in list(graph.input) + list(graph.output):
        if port.type.WhichOneof("value") != "tensor_type":
            return None
        if port.type.tensor_type.elem_type not in TYPES:
            return None
    ops = {n.op_type for n in graph.node}
    return ops if ops <= CORE else None


def load(path):
    with open(path, "rb") as f:
        tensor = onnx.TensorProto()
        tensor.ParseFromString(f.read())
    return numpy_helper.to_array(tensor)


def numbers(a):
    return a.astype(np.float64) if a.dtype.kind not in "biu" else a


def alike(got, want):
    if got.dtype.kind == "V":
        got = got.view(want.dtype)
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{got.dtype}{got.shape} for {want.dtype}{want.shape}"
    rough = want.dtype.itemsize == 2 and want.dtype.kind not in "iu"
    try:
        np.testing.assert_allclose(
            numbers(got), numbers(want), rtol=1e-2 if rough else 1e-3, atol=1e-3 if rough else 1e-7
        )
    except AssertionError as e:
        return " ".join(str(e).split())[:160]
    return None


def run(taper, folder):
    """("pass" | "unsupported" | "wrong", what)"""
    for data in sorted(os.listdir(folder)):
        data = os.path.join(folder, data)
        if not os.path.isdir(data):
            continue
        count = len([f for f in os.listdir(data) if f.startswith("input_")])
        inputs = [os.path.join(data, f"input_{i}.pb") for i in range(count)]
        with tempfile.TemporaryDirectory() as out:
            done = subprocess.run(
                [taper, "run", os.path.join(folder, "model.onnx"), "--input", *inputs]
                + ["--output-dir", out],
                capture_output=True,
                text=True,
                timeout=120,
            )
            if done.returncode:
                kind = "unsupported" if done.returncode == 3 else "wrong"
                return kind, f"{done.returncode}: {done.stderr.strip()[-300:]}"
            want = [f for f in sorted(os.listdir(data)) if f.startswith("output_")]
            for i in range(len(want)):
                wrong = alike(
                    np.load(os.path.join(out, f"output_{i}.npy")),
                    load(os.path.join(data, f"output_{i}.pb")),
                )
                if wrong:
                    return "wrong", f"output {i}: {wrong}"
    return "pass", ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("taper")
    parser.add_argument("-k", default="*")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("-v", action="store_true")
    args = parser.parse_args()
    root = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "node")
    folders = [os.path.join(root, n) for n in sorted(os.listdir(root)) if fnmatch.fnmatch(n, args.k)]
    folders = [f for f in folders if wanted(f)][:: args.every]
    counts = collections.Counter()
    with ThreadPoolExecutor(2) as pool:
        for folder, (kind, what) in zip(folders, pool.map(lambda f: run(args.taper, f), folders)):
            counts[kind] += 1
            if kind != "pass" or args.v:
                print(f"{kind}: {os.path.basename(folder)}: {what}", flush=True)
    total = sum(counts.values())
    print(
        f"{total} tests: {counts['pass']} pass, {counts['unsupported']} not supported, "
        f"{counts['wrong']} wrong"
    )
    return 1 if counts["wrong"] or (total > 1000 and counts["pass"] < 0.98 * total) else 0


if __name__ == "__main__":
    sys.exit(main())
