"""State in files: safetensors, which the C library, `taper` the command and PyTorch read too; a
name that ends in .npz is a file of NumPy's, which the first two read."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from typing import Any, Dict, Mapping

import numpy as np

from . import _dtype as dt
from ._core import Error
from ._tensor import Tensor, as_tensor

NAMES = {"bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16",
         "uint32": "U32", "int32": "I32", "uint64": "U64", "int64": "I64", "float16": "F16",
         "bfloat16": "BF16", "float32": "F32", "float64": "F64"}
KINDS = {v: k for k, v in NAMES.items()}
OTHERS = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".h5", ".npy", ".tp", ".onnx", ".gguf", ".keras")


def save(state: Dict[str, Any], path: Any) -> None:
    """A state dict, or a module's; written aside and then put in its place."""
    state = state.state_dict() if hasattr(state, "state_dict") else state
    if not isinstance(state, Mapping):
        raise TypeError(f"save of {type(state).__name__}; expected a module or a dict of tensors by "
                        "name")
    for name, value in state.items():
        if not isinstance(name, str) or value is None or isinstance(value, (str, bytes, Mapping)):
            raise TypeError(f"save of {name!r}: {type(value).__name__}; expected tensors by name")
    end = os.path.splitext(os.fspath(path))[1]
    if end in OTHERS:
        raise Error(f"{os.fspath(path)}: {end} is not written; expected .safetensors, which "
                    "PyTorch's safetensors reads, or .npz")
    if os.fspath(path).endswith(".npz"):
        _save_npz(state, os.fspath(path))
        return
    header: Dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts, at = [], 0
    for name, value in state.items():
        t = as_tensor(value)
        data = np.ascontiguousarray(t._array()).tobytes()
        header[name] = {"dtype": NAMES[t.dtype.name], "shape": list(t.shape),
                        "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    aside = f"{os.fspath(path)}.{os.getpid()}"
    with open(aside, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for data in parts:
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def _save_npz(state: Dict[str, Any], path: str) -> None:
    arrays: Dict[str, Any] = {}
    for name, value in state.items():
        t = as_tensor(value)
        array = np.asarray(t._array(), order="C")
        arrays[name] = array.view("V2") if t.dtype == dt.bfloat16 else array  # as ml_dtypes does
    aside = f"{path}.{os.getpid()}"
    with open(aside, "wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def _of_numpy(array: Any) -> Tensor:
    if array.dtype != np.dtype("V2"):
        return Tensor(np.asarray(array, order="C"))
    t = Tensor(np.asarray(array, order="C").view("u2"))
    t._dt = dt.bfloat16
    return t


def _load_npz(path: str) -> Dict[str, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: _of_numpy(file[name]) for name in file.files}
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as fault:
        raise Error(f"{path}: it is no npz file ({fault})") from None


def load(path: Any) -> Dict[str, Tensor]:
    """The tensors of a file by name; sizes are checked before anything is read."""
    if os.fspath(path).endswith(".npz"):
        return _load_npz(os.fspath(path))
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > size - 8:
            raise Error(f"{path}: no safetensors, or cut off: its header should have {length} "
                        f"bytes, the file has {size}")
        try:
            header = json.loads(file.read(length))
            data = file.read()
            out = {}
            for name, item in header.items():
                if name == "__metadata__":
                    continue
                kind = dt.BY_NAME[KINDS[item["dtype"]]]
                lo, hi = item["data_offsets"]
                shape = tuple(int(d) for d in item["shape"])
                count = int(np.prod(shape, dtype=object)) if shape else 1
                if not 0 <= lo <= hi <= len(data) or hi - lo != count * kind.itemsize or min(
                        shape, default=0) < 0:
                    raise Error(f"{path}: {name} does not fit the file")
                t = Tensor(np.frombuffer(data, kind.numpy, count, lo).reshape(shape))
                t._dt = kind
                out[name] = t
            return out
        except (ValueError, KeyError, TypeError, AttributeError) as fault:
            raise Error(f"{path}: it is no safetensors file ({fault})") from None
