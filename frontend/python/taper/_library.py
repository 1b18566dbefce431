"""libtaper, found and loaded: `lib.tp_add(..)` with the types of taper.h.

It is looked for in $TAPER_LIBRARY, beside this package (where a wheel has it), in the build folder
of a source tree, and where the system keeps libraries. The header must lie with it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator, Tuple

from . import _header

HERE = Path(__file__).resolve().parent


def _places() -> Iterator[Tuple[Path, Path]]:
    """Pairs of a library and its header."""
    given = os.environ.get("TAPER_LIBRARY")
    source = HERE.parent.parent  # frontend/, in a source tree
    if given:
        library = Path(given)
        for header in (library.parent / "taper.h", source / "taper.h",
                       library.parent.parent / "include" / "taper.h"):
            yield library, header
    yield HERE / "lib" / "libtaper.so", HERE / "lib" / "taper.h"
    yield source.parent / "build" / "libtaper.so", source / "taper.h"
    for prefix in (Path.home() / ".local", Path("/usr/local"), Path("/usr")):
        for libraries in ("lib", "lib64", f"lib/{os.uname().machine}-linux-gnu"):
            yield prefix / libraries / "libtaper.so", prefix / "include" / "taper.h"


def find() -> Tuple[Path, Path]:
    for library, header in _places():
        if library.exists() and header.exists():
            return library, header
    raise ImportError(
        "taper: libtaper.so with its taper.h is not found; build it (./dev build), install the "
        "package by pip, or name it in $TAPER_LIBRARY")


def _load() -> Any:
    library, header_file = find()
    header = _header.read(header_file.read_text())
    # Short calls keep the interpreter's lock: one graph is not for two threads at once.
    quick, long = ctypes.PyDLL(str(library)), ctypes.CDLL(str(library))
    functions = {}
    for name, (result, parameters) in header.functions.items():
        where = long if name.startswith(("tp_run", "tp_compile", "tp_next")) else quick
        try:
            function = getattr(where, name)
        except AttributeError:
            continue  # a header that is newer than the library
        function.restype, function.argtypes = result, parameters
        functions[name] = function
    return SimpleNamespace(path=library, types=SimpleNamespace(**header.types),
                           constants=header.constants, **functions)


lib = _load()
