"""taper: tensors, gradients and compiled training steps, with PyTorch's names.

    import taper as tp
    x = tp.randn(4, 3, requires_grad=True)
    (x * 2).sum().backward()
    print(x.grad)
"""

from . import _dtype
from ._core import Error
from ._library import lib as _lib
from ._tensor import Size, Tensor, as_tensor
from . import ops as _ops, reduce as _reduce, moves as _moves
from . import creation as _creation, indexing as _indexing

__version__ = "0.1.0"

for _part in (_ops, _reduce, _moves, _creation, _indexing):
    _part.attach(Tensor)
    for _name, _what in list(vars(_part).items()):
        _public = not _name.startswith("_") and callable(_what)
        if _public and getattr(_what, "__module__", "").startswith("taper") and _name not in (
                "attach", "real", "formula", "in_place", "wrap", "unary", "binary", "cast", "pair",
                "handle", "here", "dims_of", "dims_or_list", "Sized", "reduced", "axis_of", "fail",
                "generator", "getitem", "setitem", "Tensor", "Error", "on_cpu", "packed_axes", "shape_of",
                "in_place_is_good"):
            globals().setdefault(_name, _what)
for _type in _dtype.ALL:
    globals()[_type.name if _type.name != "bool" else "bool_"] = _type
bool = _dtype.bool_  # noqa: A001
float, int, long, double, half = (_dtype.float32, _dtype.int32, _dtype.int64,  # noqa: A001
                                  _dtype.float64, _dtype.float16)
dtype = _dtype.dtype
pi, e, inf, nan = 3.141592653589793, 2.718281828459045, 1e999, 1e999 - 1e999

from .autograd import (enable_grad, grad, hessian, inference_mode, is_grad_enabled,  # noqa: E402
                       jacobian, jvp, no_grad, set_grad_enabled, value_and_grad, vjp)
from . import autograd, nn, onnx, optim, utils  # noqa: E402
from .compile import compile  # noqa: E402
from .custom import custom  # noqa: E402
from .files import load, save  # noqa: E402
from .nn import functional  # noqa: E402
from . import plot  # noqa: E402
from .progress import progress  # noqa: E402
from .scalar import Value  # noqa: E402


def is_tensor(x: object) -> object:
    return isinstance(x, Tensor)


def numel(x: Tensor) -> object:
    return x.numel()
