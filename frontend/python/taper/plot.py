"""Three pictures by matplotlib, which is asked for when one is drawn."""

from __future__ import annotations

from typing import Any, Dict, Sequence, Union

import numpy as np

from ._tensor import Tensor
from .autograd import no_grad


def _axes(axes: Any) -> Any:
    if axes is not None:
        return axes
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("taper.plot draws by matplotlib; pip install matplotlib") from None
    return plt.subplots()[1]


def losses(values: Union[Sequence[float], Dict[str, Sequence[float]]], axes: Any = None) -> Any:
    """A curve, or one for each name."""
    axes = _axes(axes)
    curves = values if isinstance(values, dict) else {"loss": values}
    for name, curve in curves.items():
        axes.plot([float(v) for v in curve], label=name)
    axes.set_xlabel("step")
    axes.legend()
    return axes


def decision_regions(model: Any, x: Any, y: Any, steps: int = 100, axes: Any = None) -> Any:
    """What a model of two inputs says over the plane, and the points that it learnt from."""
    axes = _axes(axes)
    points, labels = np.asarray(x), np.asarray(y)
    lo, hi = points.min(0) - 0.5, points.max(0) + 0.5
    h, v = np.meshgrid(np.linspace(lo[0], hi[0], steps), np.linspace(lo[1], hi[1], steps))
    with no_grad():
        out = model(Tensor(np.stack([h.ravel(), v.ravel()], 1).astype(np.float32)))
    said = np.asarray(out.detach())
    said = said.argmax(1) if said.ndim == 2 and said.shape[1] > 1 else said.ravel() > 0
    axes.contourf(h, v, said.reshape(h.shape), alpha=0.3)
    axes.scatter(points[:, 0], points[:, 1], c=labels.ravel(), edgecolors="k", s=15)
    return axes


def filters(weight: Any, columns: int = 8, axes: Any = None) -> Any:
    """The filters of a first layer [out in h w] side by side."""
    axes = _axes(axes)
    w = np.asarray(weight.detach() if isinstance(weight, Tensor) else weight).mean(1)
    n, height, width = w.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    sheet = np.full((rows * (height + 1), columns * (width + 1)), np.nan)
    for i in range(n):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        sheet[top:top + height, left:left + width] = w[i]
    axes.imshow(sheet, cmap="gray")
    axes.set_axis_off()
    return axes
