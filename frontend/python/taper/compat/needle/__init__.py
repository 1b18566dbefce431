"""Needle-like courses: Tensor in the manner of needle, ops with .compute and .gradient, nn, optim, init.

    import taper.compat.needle as ndl
    x = ndl.Tensor([1, 2, 3]); (x * x).sum().backward(); x.grad.numpy()

or `taper.compat.install("needle")` for code that says `import needle`.
"""

from . import init as init, nn as nn, ops as ops, optim as optim
from .ops import *  # noqa: F401,F403
from .ops import TensorOp as TensorOp, find_topo_sort as find_topo_sort
from .tensor import (Device as Device, Tensor as Tensor, all_devices as all_devices, cpu as cpu,
                     default_device as default_device)
