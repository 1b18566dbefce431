"""Adapters: test-suites and course code written for other small frameworks run on taper.

    import taper.compat.minitorch as minitorch

or, for code that imports the framework by its own name, before it does (in a conftest.py, say):

    import taper.compat
    taper.compat.install("minitorch")
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any, Dict

# The frameworks' own modules: what of the adapter answers for each; "": all of it.
PARTS: Dict[str, Dict[str, str]] = {
    "micrograd": {"engine": "", "nn": ""},
    "minitorch": {"operators": "operators", "tensor_data": "tensor_data", "testing": "testing",
                  "module": "", "scalar": "", "tensor": "", "tensor_functions": "",
                  "tensor_ops": "", "fast_ops": "", "cuda_ops": "", "fast_conv": "", "nn": "",
                  "optim": ""},
    "needle": {"autograd": "", "ops": "ops", "nn": "nn", "optim": "optim", "init": "init"},
}


def install(name: str) -> ModuleType:
    """`import micrograd.engine`, `from minitorch.operators import add`, `import needle.nn`, .. mean
    the adapter from now on."""
    if name not in PARTS:
        raise ValueError(f"no adapter {name!r}; there are {', '.join(PARTS)}")
    adapter = importlib.import_module(f"taper.compat.{name}")
    modules: Dict[str, Any] = sys.modules  # type: ignore[assignment]
    modules[name] = adapter
    for part, inside in PARTS[name].items():
        modules[f"{name}.{part}"] = getattr(adapter, inside) if inside else adapter
        if not hasattr(adapter, part):
            setattr(adapter, part, modules[f"{name}.{part}"])
    return adapter
