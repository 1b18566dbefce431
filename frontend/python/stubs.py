"""Writes the package's .pyi files: what a type checker cannot see, since it is made at import.

    python3 stubs.py [--check]

Operations become functions and methods of Tensor when the package is loaded, from the rows of tables;
modules without parameters and optimisers are classes made in a loop. Here the loaded package is
looked at, and a module that makes any name so gets a stub of all its names. What is said of types
stands in the functions' own annotations. --check: says which file is not what would be written.
"""

import ast
import ctypes
import importlib
import inspect
import pathlib
import re
import sys
import typing

HERE = pathlib.Path(__file__).resolve().parent
MODULES = """_tensor ops reduce moves creation indexing nn.functional nn.losses nn.simple nn.layers
             optim.optimizer scalar""".split()
OPERATORS = re.compile(r"__[ri]?(add|sub|mul|truediv|pow|matmul|floordiv|mod|and|or|xor|lshift|rshift|eq|"
                       r"ne|lt|le|gt|ge|neg|pos|abs|invert)__$")
RESULTS = {"dim": "int", "type": "Any", "__getitem__": "Tensor"}  # of what has no annotation
HEAD = '''# Written by stubs.py, which looks at the loaded package; --check compares.
import builtins
from collections import OrderedDict
from typing import (Any, Callable, Dict, Generator, Iterable, Iterator, List, NamedTuple, Optional,
                    Sequence, Set, Tuple, Type, Union)
import numpy as np
'''


def source_of(name):
    path = HERE / "taper" / (name.replace(".", "/") + ".py")
    return path, path.read_text()


def written(text):
    """The names that a module's text defines where a checker sees it: {name: is it a plain one}."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = True
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for t in targets:
                for n in t.elts if isinstance(t, ast.Tuple) else [t]:
                    if isinstance(n, ast.Name):
                        found[n.id] = False
    return found


def words(annotation):
    if annotation is inspect.Parameter.empty:
        return "Any"
    if isinstance(annotation, str):
        return annotation.replace("ctypes.", "").strip("'\"")
    if isinstance(annotation, type):
        return annotation.__name__ if annotation is not type(None) else "None"
    return re.sub(r"ForwardRef\('(\w+)'\)", r"\1", str(annotation)).replace("typing.", "")


def plain(text):
    """Inside Tensor, and beside functions of such names, the builtins are not the nearest."""
    text = text.replace('"', "")
    return re.sub(r"(?<![\w.])(int|float|bool|str|bytes|type|list|tuple|dict|object)(?![\w.])",
                  r"builtins.\1", text)


def call_of(function, name, owner=None):
    """`def name(..) -> ..: ...`; owner: of a method, its class."""
    method = owner is not None
    static = isinstance(function, staticmethod)
    if isinstance(function, (staticmethod, classmethod)):
        function = function.__func__
    signature = inspect.signature(function)
    parts, star, bare = [], False, False
    parameters = list(signature.parameters.values())
    for i, p in enumerate(parameters):
        if p.name.startswith("_") and p.default is not p.empty:
            continue  # bound in a loop
        if method and i == 0 and not static:
            parts.append("self" if p.name != "cls" else "cls")
            continue
        if p.kind is p.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        star |= p.kind is p.VAR_POSITIONAL
        mark = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        default = "" if p.default is p.empty else " = ..."
        parts.append(f"{mark}{p.name}: {plain(words(p.annotation))}{default}")
    result = words(signature.return_annotation)
    if signature.return_annotation is inspect.Signature.empty:
        result = RESULTS.get(name, "None" if name == "__init__" else owner or "Tensor")
    if OPERATORS.match(name) and result != "bool":
        result = owner
    head = "@staticmethod\n" if static else ""
    odd = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
    return f"{head}def {name}({', '.join(parts)}) -> {plain(result)}: ...{odd}\n"


def members(cls):
    """A class's own attributes, in the order of their names after those of its text."""
    slots = [s for s in cls.__dict__.get("__slots__", ()) if not s.startswith("__")]
    known = dict(typing.cast(dict, getattr(cls, "__annotations__", {})))
    out = []
    for s in slots:
        kind = "Optional[Tensor]" if s == "grad" else "Any"
        out.append(f"{s}: {kind}\n")
    if "__new__" in cls.__dict__ and issubclass(cls, tuple):
        return None
    for name, value in cls.__dict__.items():
        if name in slots or name in known or name in ("__module__", "__qualname__", "__doc__", "__dict__", "__slots__",
                                     "__weakref__", "__annotations__", "__match_args__"):
            continue
        if isinstance(value, property):
            got = words(inspect.signature(value.fget).return_annotation)
            got = plain("Tensor" if got == "Any" and value.fget.__name__ == "<lambda>" else got)
            out.append(f"@property\ndef {name}(self) -> {got}: ...\n")
            if value.fset:
                out.append(f"@{name}.setter\ndef {name}(self, value: Any) -> None: ...\n")
        elif inspect.isfunction(value) or isinstance(value, (staticmethod, classmethod)):
            out.append(call_of(value, name, cls.__name__))
        elif not name.startswith("__"):
            out.append(f"{name}: {plain(kind_of(value))}\n")
    for name, kind in known.items():
        if name not in slots:
            out.append(f"{name}: {plain(words(kind))}\n")
    return out


def kind_of(value):
    kind = type(value).__name__
    return kind if kind in ("int", "float", "str", "bool", "dtype") else "Any"


def class_of(cls, name):
    bases = [b.__name__ for b in cls.__bases__ if b is not object]
    own = members(cls)
    if own is None:  # a named tuple
        fields = "".join(f"    {f}: {plain(words(cls.__annotations__.get(f, inspect._empty)))}\n"
                         for f in cls._fields)
        return f"class {name}(NamedTuple):\n{fields}"
    body = "".join("    " + line + "\n" for line in "".join(own).splitlines()) or "    ...\n"
    if "tuple" in bases:
        bases = ["Tuple[Any, ...]"]
    return f"class {name}({', '.join(bases)}):\n{body}" if bases else f"class {name}:\n{body}"


def imports_of(text):
    """Imports of this package's own names, as they stand."""
    out = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            names = ", ".join(f"{a.name} as {a.asname or a.name}" for a in node.names)
            out.append(f"from {'.' * node.level}{node.module or ''} import {names}\n")
    return "".join(out)


def stub_of(name):
    module = importlib.import_module("taper." + name)
    _, text = source_of(name)
    in_text = written(text)
    body = []
    for key, value in vars(module).items():
        if key.startswith("__"):
            continue
        home = getattr(value, "__module__", None)
        own = home == module.__name__
        if inspect.isclass(value) and own:
            body.append(class_of(value, key))
        elif inspect.isfunction(value) and own:
            body.append(call_of(value, key))
        elif key in in_text and not key.startswith("_"):
            line = re.search(rf"^{key} = (Union|Tuple|Optional)\[.*$", text, re.M)
            alias = callable(value) and not inspect.isclass(value) and own
            body.append(line.group(0) + "\n" if line else call_of(value, key) if alias
                        else f"{key}: {plain(kind_of(value))}\n")
    needs = "from .reduce import Axes, ValuesIndices\n" if name == "_tensor" else ""
    return HEAD + imports_of(text) + needs + "\n" + "".join(body)


def package():
    """taper/__init__.pyi: where each name comes from."""
    taper = importlib.import_module("taper")
    lines = [HEAD.splitlines()[0] + "\n"]
    for key, value in sorted(vars(taper).items(), key=lambda kv: kv[0]):
        if key.startswith("_") and key != "__version__":
            continue
        home = getattr(value, "__module__", None)
        if inspect.isclass(value) and issubclass(value, (ctypes.Structure, ctypes.Union)):
            continue
        if inspect.ismodule(value):
            if value.__name__.startswith("taper."):
                part, _, last = value.__name__.rpartition(".")
                lines.append(f"from {part.replace('taper', '.', 1).replace('..', '.')} import {last} as {key}\n")
        elif type(value).__name__ == "dtype":
            lines.append(f"{key}: dtype\n")
        elif home == "taper" or home is None or not str(home).startswith("taper"):
            if inspect.isfunction(value):
                lines.append(f"def {key}(x: Any) -> Any: ...\n")
            else:
                lines.append(f"{key}: {plain(kind_of(value))}\n")
        else:
            name = value.__name__ if hasattr(value, "__name__") else key
            inside = vars(importlib.import_module(home))
            name = key if key in inside else name
            lines.append(f"from .{home.partition('.')[2]} import {name} as {key}\n")
    lines.sort(key=lambda line: (not line.startswith("from"), line))
    lines.remove(HEAD.splitlines()[0] + "\n")
    return "".join([HEAD.splitlines()[0] + "\n", "import builtins\n", "from typing import Any\n"] + lines)


def main():
    sys.path.insert(0, str(HERE))
    wrong = 0
    files = {source_of(m)[0].with_suffix(".pyi"): stub_of(m) for m in MODULES}
    files[HERE / "taper" / "__init__.pyi"] = package()
    for path, text in files.items():
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"{path.relative_to(HERE)} is not what stubs.py writes; run it")
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
