"""Comparing with NumPy, and derivatives with differences."""

import numpy as np

import taper as tp


def close(got, want, rtol=1e-5, atol=1e-6):
    got = got.detach().numpy() if isinstance(got, tp.Tensor) else np.asarray(got)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)


def derived(function, *arrays, rtol=1e-5, atol=1e-7):
    """Gradients of sum(w * f(x..)) in double against central differences."""
    leaves = [tp.tensor(a, dtype=tp.float64, requires_grad=True) for a in arrays]
    y = function(*leaves)
    weight = np.cos(np.arange(y.numel(), dtype=np.float64)).reshape(tuple(y.shape))
    (y * tp.tensor(weight)).sum().backward()
    for i, a in enumerate(arrays):
        got = leaves[i].grad.numpy()
        want = np.zeros_like(a, dtype=np.float64)
        for j in np.ndindex(*a.shape):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [np.array(b, np.float64) for b in arrays]
                moved[i][j] += step
                with tp.no_grad():
                    out = function(*[tp.tensor(b) for b in moved])
                ends.append((out.numpy() * weight).sum())
            want[j] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(got, want, rtol=max(rtol, 1e-5), atol=max(atol, 1e-6))
