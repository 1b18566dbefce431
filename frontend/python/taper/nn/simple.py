"""Modules without parameters: activations, losses, pools, containers."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from typing import Any, Iterable, Iterator

from .._tensor import Tensor
from ..creation import full
from . import functional as F
from .module import Module, Parameter


def _class(name: str, function: Any, *arguments: str, **fixed: Any) -> Any:
    """A module whose options, named in their order, go to a function."""
    known = {*arguments, *fixed, *inspect.signature(function).parameters}

    def __init__(self: Any, *args: Any, **names: Any) -> None:
        Module.__init__(self)
        if len(args) > len(arguments):
            raise TypeError(f"{name} takes {len(arguments)} arguments, not {len(args)}")
        for given in names:
            if given not in known:
                raise TypeError(f"{name} has no argument {given!r}")
        object.__setattr__(self, "options", {**fixed, **dict(zip(arguments, args)), **names})

    def forward(self: Any, *inputs: Any) -> Any:
        return function(*inputs, **self.options)

    def extra_repr(self: Any) -> str:
        return ", ".join(f"{k}={v}" for k, v in self.options.items())
    return type(name, (Module,), {"__init__": __init__, "forward": forward,
                                  "extra_repr": extra_repr, "__module__": __name__})


for _name, _f, *_args in [
        ("ReLU", F.relu, "inplace"), ("Sigmoid", F.sigmoid), ("Tanh", F.tanh), ("SiLU", F.silu),
        ("Mish", F.mish), ("ReLU6", F.relu6), ("Softsign", F.softsign), ("SELU", F.selu),
        ("Tanhshrink", F.tanhshrink), ("Hardsigmoid", F.hardsigmoid), ("Hardswish", F.hardswish),
        ("LogSigmoid", F.logsigmoid), ("Softplus", F.softplus, "beta", "threshold"),
        ("Hardtanh", F.hardtanh, "min_val", "max_val"),
        ("LeakyReLU", F.leaky_relu, "negative_slope"), ("ELU", F.elu, "alpha"),
        ("CELU", F.celu, "alpha"), ("Softshrink", F.softshrink, "lambd"),
        ("Hardshrink", F.hardshrink, "lambd"), ("Threshold", F.threshold, "threshold", "value"),
        ("GELU", F.gelu, "approximate"), ("GLU", F.glu, "dim"), ("Softmax", F.softmax, "dim"),
        ("LogSoftmax", F.log_softmax, "dim"), ("Softmin", F.softmin, "dim"),
        ("LocalResponseNorm", F.local_response_norm, "size", "alpha", "beta", "k"),
        ("PixelShuffle", F.pixel_shuffle, "upscale_factor"),
        ("PixelUnshuffle", F.pixel_unshuffle, "downscale_factor"),
        ("Upsample", F.interpolate, "size", "scale_factor", "mode", "align_corners"),
        ("Unfold", F.unfold, "kernel_size", "dilation", "padding", "stride"),
        ("Fold", F.fold, "output_size", "kernel_size", "dilation", "padding", "stride"),
        ("CosineSimilarity", F.cosine_similarity, "dim", "eps"),
        ("PairwiseDistance", F.pairwise_distance, "p", "eps")]:
    globals()[_name] = _class(_name, _f, *_args)
for _n in (1, 2, 3):
    globals()[f"MaxPool{_n}d"] = _class(f"MaxPool{_n}d", getattr(F, f"max_pool{_n}d"), "kernel_size",
                                        "stride", "padding", "dilation", "return_indices",
                                        "ceil_mode")
    globals()[f"AvgPool{_n}d"] = _class(f"AvgPool{_n}d", getattr(F, f"avg_pool{_n}d"), "kernel_size",
                                        "stride", "padding", "ceil_mode", "count_include_pad")
    for _kind in ("Avg", "Max"):
        globals()[f"Adaptive{_kind}Pool{_n}d"] = _class(
            f"Adaptive{_kind}Pool{_n}d", getattr(F, f"adaptive_{_kind.lower()}_pool{_n}d"),
            "output_size")
class _Pad(Module):
    """So much on both ends of the last axes: of each, or of all."""

    axes, mode = 1, "constant"

    def __init__(self, padding: Any, value: float = 0.0) -> None:
        super().__init__()
        self.padding = (padding,) * 2 * self.axes if isinstance(padding, int) else tuple(padding)
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.padding, self.mode, self.value if self.mode == "constant" else None)

    def extra_repr(self) -> str:
        return str(self.padding)


for _n in (1, 2, 3):
    for _name, _mode in (("Zero", "constant"), ("Constant", "constant"), ("Reflection", "reflect"),
                         ("Replication", "replicate"), ("Circular", "circular")):
        globals()[f"{_name}Pad{_n}d"] = type(f"{_name}Pad{_n}d", (_Pad,), {
            "axes": _n, "mode": _mode, "__module__": __name__})
for _name, _f in [("MSELoss", F.mse_loss), ("L1Loss", F.l1_loss), ("SmoothL1Loss", F.smooth_l1_loss),
                  ("HuberLoss", F.huber_loss), ("BCELoss", F.binary_cross_entropy),
                  ("BCEWithLogitsLoss", F.binary_cross_entropy_with_logits),
                  ("KLDivLoss", F.kl_div), ("PoissonNLLLoss", F.poisson_nll_loss),
                  ("GaussianNLLLoss", F.gaussian_nll_loss), ("NLLLoss", F.nll_loss),
                  ("HingeEmbeddingLoss", F.hinge_embedding_loss), ("CTCLoss", F.ctc_loss),
                  ("SoftMarginLoss", F.soft_margin_loss), ("CrossEntropyLoss", F.cross_entropy),
                  ("MarginRankingLoss", F.margin_ranking_loss),
                  ("CosineEmbeddingLoss", F.cosine_embedding_loss),
                  ("TripletMarginLoss", F.triplet_margin_loss),
                  ("MultiMarginLoss", F.multi_margin_loss)]:
    globals()[_name] = _class(_name, _f, "weight") if "weight" in getattr(
        _f, "__code__").co_varnames else _class(_name, _f)


class Identity(Module):
    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


class Flatten(Module):
    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(self.start_dim, self.end_dim)


class Unflatten(Module):
    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        self.dim, self.size = dim, unflattened_size

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(self.dim, self.size)


class _Dropout(Module):
    function: Any = staticmethod(F.dropout)

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


Dropout = type("Dropout", (_Dropout,), {})
Dropout2d = type("Dropout2d", (_Dropout,), {"function": staticmethod(F.dropout2d)})
DropPath = type("DropPath", (_Dropout,), {"function": staticmethod(F.drop_path)})


class PReLU(Module):
    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.weight = Parameter(full((num_parameters,), init))

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.weight)


# --- containers -----------------------------------------------------------------------------------


class Sequential(Module):
    """One after the other."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, m in modules[0].items():
                self.add_module(name, m)
        else:
            for i, m in enumerate(modules):
                self.add_module(str(i), m)

    def forward(self, x: Any) -> Any:
        for m in self._modules.values():
            x = m(x)
        return x

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, i: Any) -> Any:
        listed = list(self._modules.values())
        return Sequential(*listed[i]) if isinstance(i, slice) else listed[i]

    def append(self, module: Module) -> "Sequential":
        self.add_module(str(len(self)), module)
        return self


class ModuleList(Module):
    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        for m in modules:
            self.append(m)

    def append(self, module: Module) -> "ModuleList":
        self.add_module(str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, i: Any) -> Any:
        return list(self._modules.values())[i]


class ModuleDict(Module):
    def __init__(self, modules: Any = ()) -> None:
        super().__init__()
        for name, m in dict(modules).items():
            self.add_module(name, m)

    def __getitem__(self, name: str) -> Any:
        return self._modules[name]

    def items(self) -> Any:
        return self._modules.items()


class ParameterList(Module):
    def __init__(self, parameters: Iterable[Parameter] = ()) -> None:
        super().__init__()
        for i, p in enumerate(parameters):
            self.register_parameter(str(i), p)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters.values())

    def __getitem__(self, i: int) -> Any:
        return list(self._parameters.values())[i]
