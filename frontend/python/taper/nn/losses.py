"""Losses as functions; names, reductions and defaults are PyTorch's."""

from __future__ import annotations

from typing import Any, Optional

from .. import _dtype as dt
from .._core import NONE, CTensor, Error, here, option
from .._library import lib
from .._tensor import Tensor, as_tensor, cast, wrap

T = lib.types
REDUCTIONS = {"mean": "TP_MEAN", "sum": "TP_SUM", "none": "TP_EACH", "batchmean": "TP_BATCHMEAN"}


def _how(reduction: str) -> int:
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction {reduction!r}; expected {', '.join(REDUCTIONS)}")
    return lib.constants[REDUCTIONS[reduction]]


def _of(x: Optional[Tensor]) -> Any:
    return NONE if x is None else x._handle()


def _loss(name: str, x: Tensor, target: Any, reduction: str, third: Optional[Tensor] = None,
          **options: Any) -> Tensor:
    target = as_tensor(target)
    if target.dtype is not x.dtype:
        target = cast(target, x.dtype)
    held = [t for t in (target, third, options.get("weight"), options.get("pos_weight"))
            if t is not None]
    for key in ("weight", "pos_weight"):
        options[key] = _of(options.get(key))
    args = T.tp_loss_args(target=target._handle(), third=_of(third), reduction=_how(reduction),
                          **options)
    special = {"cosine_embedding": lib.tp_cosine_embedding_at,
               "triplet_margin": lib.tp_triplet_margin_at}
    if name == "cosine_embedding":
        raise AssertionError(name)
    function = special.get(name)
    if function:
        c = function(x._handle(), args, here())
    else:
        c = lib.tp_loss_at(name.encode(), x._handle(), args, here())
    return wrap(c, x, None, True, held)


def mse_loss(input: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    return _loss("mse", input, target, reduction)


def l1_loss(input: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    return _loss("l1", input, target, reduction)


def smooth_l1_loss(input: Tensor, target: Any, reduction: str = "mean",
                   beta: float = 1.0) -> Tensor:
    return _loss("smooth_l1", input, target, reduction, beta=option(beta))


def huber_loss(input: Tensor, target: Any, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    return _loss("huber", input, target, reduction, delta=option(delta))


def binary_cross_entropy(input: Tensor, target: Any, weight: Optional[Tensor] = None,
                         reduction: str = "mean") -> Tensor:
    return _loss("bce", input, target, reduction, weight=weight)


def binary_cross_entropy_with_logits(input: Tensor, target: Any, weight: Optional[Tensor] = None,
                                     reduction: str = "mean",
                                     pos_weight: Optional[Tensor] = None) -> Tensor:
    return _loss("bce_with_logits", input, target, reduction, weight=weight, pos_weight=pos_weight)


def kl_div(input: Tensor, target: Any, reduction: str = "mean", log_target: bool = False) -> Tensor:
    return _loss("kl_div", input, target, reduction, log_target=log_target)


def poisson_nll_loss(input: Tensor, target: Any, log_input: bool = True, full: bool = False,
                     eps: float = 1e-8, reduction: str = "mean") -> Tensor:
    return _loss("poisson_nll", input, target, reduction, rate=not log_input, full=full,
                 eps=option(eps))


def gaussian_nll_loss(input: Tensor, target: Any, var: Tensor, full: bool = False,
                      eps: float = 1e-6, reduction: str = "mean") -> Tensor:
    return _loss("gaussian_nll", input, target, reduction, var, full=full, eps=option(eps))


def hinge_embedding_loss(input: Tensor, target: Any, margin: float = 1.0,
                         reduction: str = "mean") -> Tensor:
    return _loss("hinge_embedding", input, target, reduction, margin=option(margin))


def soft_margin_loss(input: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    return _loss("soft_margin", input, target, reduction)


def margin_ranking_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0,
                        reduction: str = "mean") -> Tensor:
    return _loss("margin_ranking", input1, input2, reduction, cast(target, input1.dtype),
                 margin=option(margin))


def cosine_embedding_loss(input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0,
                          reduction: str = "mean") -> Tensor:
    args = T.tp_loss_args(target=cast(target, input1.dtype)._handle(), reduction=_how(reduction),
                          margin=option(margin))
    return wrap(lib.tp_cosine_embedding_at(input1._handle(), input2._handle(), args, here()),
                input1, input2)


def triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0,
                        p: float = 2.0, eps: float = 1e-6, swap: bool = False,
                        reduction: str = "mean") -> Tensor:
    args = T.tp_loss_args(target=negative._handle(), reduction=_how(reduction),
                          margin=option(margin), p=p, eps=option(eps), swap=swap)
    return wrap(lib.tp_triplet_margin_at(anchor._handle(), positive._handle(), args, here()),
                anchor, positive, True, (negative,))


def multi_margin_loss(input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0,
                      weight: Optional[Tensor] = None, reduction: str = "mean") -> Tensor:
    args = T.tp_loss_args(target=target._handle(), reduction=_how(reduction), margin=option(margin),
                          p=p, weight=_of(weight))
    return wrap(lib.tp_multi_margin_at(input._handle(), args, here()), input, weight)


def _classes(what: str, x: Tensor, target: Tensor, weight: Optional[Tensor], ignore: int,
             reduction: str, smoothing: float) -> Tensor:
    if x.ndim == 1:  # one row without a batch
        if target.ndim == x.ndim:
            x, target = x.unsqueeze(0), target.unsqueeze(0)
        else:
            x, target = x.unsqueeze(0), target.reshape(1)
        y = _classes(what, x, target, weight, ignore, reduction, smoothing)
        return y.squeeze(0) if reduction == "none" else y
    args = T.tp_class_args(target=target._handle(), reduction=_how(reduction), weight=_of(weight),
                           smoothing=smoothing, axis=0 if x.ndim == 2 else 1)
    if target.dtype.kind != "f":
        if ignore != -100 or _may_be_left_out(target):
            args.ignore_index = option(ignore)
        _within_classes(target, x.shape[0 if x.ndim == 1 else 1], ignore)
    return wrap(lib.tp_class_loss_at(what.encode(), x._handle(), args, here()), x, weight, True,
                (target,))


def _may_be_left_out(target: Tensor) -> bool:
    return target._t is None and target.numel() > 0 and bool((target._array() == -100).any())


def _within_classes(target: Tensor, classes: int, ignore: int) -> None:
    """A compiled function, where there are no numbers yet, does not look."""
    if target._t is not None or target.numel() == 0:
        return
    y = target._array()
    wrong = y[((y < 0) | (y >= classes)) & (y != ignore)]
    if wrong.size:
        raise IndexError(f"target {wrong[0]} is out of bounds; expected 0 to {classes - 1}, "
                         f"or {ignore}, which is left out")


def cross_entropy(input: Tensor, target: Tensor, weight: Optional[Tensor] = None,
                  ignore_index: int = -100, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Tensor:
    """Classes are on axis 1; targets are their numbers, or probabilities."""
    return _classes("tp_cross_entropy", input, as_tensor(target), weight, ignore_index, reduction,
                    label_smoothing)


def nll_loss(input: Tensor, target: Tensor, weight: Optional[Tensor] = None,
             ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    return _classes("tp_nll", input, as_tensor(target), weight, ignore_index, reduction, 0.0)


def ctc_loss(log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor,
             blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> Tensor:
    args = T.tp_ctc_args(target=as_tensor(targets)._handle(),
                         steps=as_tensor(input_lengths)._handle(),
                         lengths=as_tensor(target_lengths)._handle(), blank=blank,
                         reduction=_how(reduction), zero_infinity=zero_infinity)
    return wrap(lib.tp_ctc_at(log_probs._handle(), args, here()), log_probs)
