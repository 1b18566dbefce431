"""Types of elements, under PyTorch's names, and the rule that promotes them."""

from __future__ import annotations

from typing import Any, Dict, Union

import numpy as np

from ._library import lib

DEFAULT_FLOAT = "float32"


class dtype:
    """`taper.float32` and so on; equal to NumPy's type of that name too."""

    __slots__ = ("name", "code", "numpy", "kind", "itemsize", "is_floating_point")

    def __init__(self, name: str, constant: str, numpy_name: str) -> None:
        self.name = name
        self.code: int = lib.constants[constant]
        self.numpy = np.dtype(numpy_name)
        self.kind = {"b": "b", "u": "i", "i": "i"}.get(self.numpy.kind, "f")
        if name == "bfloat16":
            self.kind = "f"
        self.itemsize = self.numpy.itemsize
        self.is_floating_point = self.kind == "f"

    def __repr__(self) -> str:
        return f"taper.{self.name}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, dtype):
            return self.code == other.code
        try:
            return self.name != "bfloat16" and np.dtype(other) == self.numpy  # type: ignore
        except TypeError:
            return False

    def __hash__(self) -> int:
        return self.code


bool_ = dtype("bool", "TP_BOOL", "bool")
uint8 = dtype("uint8", "TP_U8", "uint8")
int8 = dtype("int8", "TP_I8", "int8")
uint16 = dtype("uint16", "TP_U16", "uint16")
int16 = dtype("int16", "TP_I16", "int16")
uint32 = dtype("uint32", "TP_U32", "uint32")
int32 = dtype("int32", "TP_I32", "int32")
uint64 = dtype("uint64", "TP_U64", "uint64")
int64 = dtype("int64", "TP_I64", "int64")
float16 = dtype("float16", "TP_F16", "float16")
bfloat16 = dtype("bfloat16", "TP_BF16", "uint16")  # NumPy has none: its bits
float32 = dtype("float32", "TP_F32", "float32")
float64 = dtype("float64", "TP_F64", "float64")
half, float_, double, long, int_, short = float16, float32, float64, int64, int32, int16

ALL = (bool_, uint8, int8, uint16, int16, uint32, int32, uint64, int64, float16, bfloat16,
       float32, float64)
BY_CODE: Dict[int, dtype] = {t.code: t for t in ALL}
BY_NAME: Dict[str, dtype] = {t.name: t for t in ALL}
BY_NUMPY: Dict[Any, dtype] = {t.numpy: t for t in ALL if t.name != "bfloat16"}

DTypeLike = Union[dtype, str, type, None]


def as_dtype(like: Any) -> dtype:
    """A type from ours, NumPy's, a name, or Python's bool, int and float."""
    if isinstance(like, dtype):
        return like
    if like is float:
        return float32
    if like is int:
        return int64
    if like is bool:
        return bool_
    if isinstance(like, str) and like in BY_NAME:
        return BY_NAME[like]
    try:
        return BY_NUMPY[np.dtype(like)]
    except (KeyError, TypeError):
        raise TypeError(f"{like!r} is no type of taper") from None


_FLOATS = (float16, float32, float64)


def promote(a: dtype, b: dtype) -> dtype:
    """PyTorch's: a floating type before integers, integers before bool, else the wider one."""
    if a is b:
        return a
    if a.kind != b.kind:
        order = "bif"
        return a if order.index(a.kind) > order.index(b.kind) else b
    if a.kind == "f":
        if bfloat16 in (a, b) and float16 in (a, b):
            return float32
        return a if a.code > b.code else b
    return BY_NUMPY[np.promote_types(a.numpy, b.numpy)] if {a.name, b.name} != {
        "uint64", "int64"} else int64
