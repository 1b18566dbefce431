"""taper.h as ctypes: structs, enums and the signatures of all functions.

The header beside the library is read when the package is loaded, so there is no second table that
could disagree with it. What is read is the plain C of its declarations; macros are not looked at.
"""

from __future__ import annotations

import ctypes
import re
from typing import Any, Dict, List, NamedTuple, Tuple

BASIC: Dict[str, Any] = {
    "void": None,
    "bool": ctypes.c_bool,
    "char": ctypes.c_char,
    "int": ctypes.c_int,
    "double": ctypes.c_double,
    "size_t": ctypes.c_size_t,
    "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
}


class Tensor(ctypes.Structure):
    """tp_tensor: a graph and a node of it; or, without a graph, a number."""

    class _Value(ctypes.Union):
        _fields_ = [("id", ctypes.c_uint32), ("number", ctypes.c_double)]

    _anonymous_ = ("value",)
    _fields_ = [("g", ctypes.c_void_p), ("value", _Value)]


class Header(NamedTuple):
    types: Dict[str, Any]
    constants: Dict[str, int]
    functions: Dict[str, Tuple[Any, List[Any]]]


def plain(text: str) -> str:
    """Without comments, preprocessor lines and inline functions."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r"\\\n", " ", text)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.M)
    text = re.sub(r"static inline [^{]*\{.*?\n\}", "", text, flags=re.S)
    text = re.sub(r"TP_FORMAT\([^)]*\)", "", text)
    return text


class _Reader:
    def __init__(self, text: str) -> None:
        self.numbers = {
            name: int(value)
            for name, value in re.findall(r"^#define (TP_\w+)\s+(\d+)$", text, flags=re.M)
        }
        self.text = plain(text)
        self.types: Dict[str, Any] = dict(BASIC, tp_tensor=Tensor)
        self.constants: Dict[str, int] = dict(self.numbers)

    def type_of(self, words: str, stars: int) -> Any:
        name = " ".join(w for w in words.split() if w not in ("const", "struct", "enum"))
        if stars and name == "char":
            return ctypes.c_char_p if stars == 1 else ctypes.POINTER(ctypes.c_char_p)
        kind = self.types.get(name, None)
        if stars:
            opaque = kind is None or kind is ctypes.c_void_p
            return ctypes.c_void_p if opaque else ctypes.POINTER(kind)
        if name not in self.types:
            raise ValueError(f"taper.h: no type {name!r}")
        return kind

    def field(self, text: str, before: str = "") -> Tuple[str, Any]:
        """`const tp_opt *opt` or, after a comma, `kernel` of the type that stood before."""
        found = re.match(r"^(.*?)([\s*]*)(\w+)?\s*((?:\[[^\]]*\])*)$", f"{before} {text}".strip())
        assert found, text
        words, stars, name, extents = found.groups()
        if not words.strip():  # a parameter without a name
            words, name = name or "", ""
        kind = self.type_of(words, stars.count("*"))
        for extent in reversed(re.findall(r"\[([^\]]*)\]", extents)):
            extent = extent.strip()
            if not extent:  # a parameter: an array is a pointer
                return name or "", ctypes.POINTER(kind) if kind else ctypes.c_void_p
            size = int(extent) if extent.isdigit() else self.numbers[extent]
            kind = kind * size
        return name or "", kind

    def struct(self, name: str, body: str) -> None:
        fields = []
        for line in body.split(";"):
            if not line.strip():
                continue
            first, *others = line.split(",")
            fields.append(self.field(first.strip()))
            before = re.match(r"^((?:const\s+)?(?:struct\s+)?\w+)", first.strip())
            assert before, line
            fields += [self.field(other.strip(), before.group(1)) for other in others]
        self.types[name] = type(name, (ctypes.Structure,), {"_fields_": fields})

    def enum(self, name: str, body: str) -> None:
        self.types[name] = ctypes.c_int
        for value, constant in enumerate(body.split(",")):
            self.constants[constant.strip()] = value

    def read(self) -> Header:
        for opaque in re.findall(r"typedef struct (\w+) \1;", self.text):
            self.types[opaque] = ctypes.c_void_p
        for callback in re.findall(r"typedef void (\w+)\(", self.text):
            self.types[callback] = ctypes.c_void_p
        pattern = r"typedef (struct|enum) \w+ \{((?:[^{}]|\{[^{}]*\})*)\} (\w+);"
        for kind, body, name in re.findall(pattern, self.text):
            if name == "tp_tensor":
                continue
            (self.struct if kind == "struct" else self.enum)(name, body)
        functions = {}
        for text in re.findall(r"TP_API\s+([^;]*);", self.text):
            found = re.match(r"^(.*?)([\s*]+)(\w+)\((.*)\)\s*$", " ".join(text.split()))
            assert found, text
            words, stars, name, parameters = found.groups()
            listed = self.parameters(parameters)
            functions[name] = (self.type_of(words, stars.count("*")), listed)
        return Header(self.types, self.constants, functions)

    def parameters(self, text: str) -> List[Any]:
        if "(" in text:  # callbacks are handed on as pointers
            text = re.sub(r"\w+ \(\*\w+\)\([^)]*\)", "void *", text)
        if "..." in text:
            text = text.replace(", ...", "")
        return [] if text in ("", "void") else [self.field(p.strip())[1] for p in text.split(",")]


def read(text: str) -> Header:
    """All types, constants and functions of the header's text."""
    return _Reader(text).read()
