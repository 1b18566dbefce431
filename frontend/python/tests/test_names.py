"""More of PyTorch's names: comparisons, flips, differences, padding, samplers."""

import numpy as np
import pytest

import taper as tp
import taper.nn as nn
from support import close, derived
from taper.utils import data

A = np.random.default_rng(3).standard_normal((3, 4))


@pytest.mark.parametrize("name,want", [("less", A < 0.1), ("less_equal", A <= 0.1),
                                       ("greater", A > 0.1), ("greater_equal", A >= 0.1),
                                       ("not_equal", A != 0.1)])
def test_comparisons_by_their_long_names(name, want):
    assert (getattr(tp.tensor(A), name)(0.1).numpy() == want).all()


@pytest.mark.parametrize("name,args,of", [
    ("fliplr", (), np.fliplr), ("flipud", (), np.flipud), ("diff", (), np.diff),
    ("diff", (2, 0), lambda a: np.diff(a, 2, 0)), ("moveaxis", (0, 1), lambda a: a.T),
    ("swapdims", (0, 1), lambda a: a.T), ("fix", (), np.fix)])
def test_moves(name, args, of):
    close(getattr(tp.tensor(A), name)(*args), of(A))
    if name != "fix":
        derived(lambda x: getattr(x, name)(*args), A)


def test_selected_by_a_mask():
    close(tp.masked_select(tp.tensor(A), tp.tensor(A > 0)), A[A > 0])
    derived(lambda x: x.masked_select(tp.tensor([True, False, True, True])), A)


def test_what_a_tensor_says_of_itself():
    x = tp.ones(2, 3, requires_grad=True)
    assert x.grad_fn is None and (x * 2).grad_fn is not None and x.is_floating_point()
    assert x.nbytes == 24 and x.element_size() == 4 and x.ndimension() == 2
    assert x.is_contiguous() and not tp.arange(3).is_floating_point()
    assert x.reshape_as(tp.zeros(3, 2)).shape == (3, 2)
    assert [len(p) for p in tp.arange(5).split_with_sizes([2, 3])] == [2, 3]


@pytest.mark.parametrize("layer,mode,more", [
    (nn.ZeroPad2d(1), "constant", {}), (nn.ReflectionPad2d(1), "reflect", {}),
    (nn.ConstantPad2d(1, 2.5), "constant", {"constant_values": 2.5}),
    (nn.ReplicationPad2d(1), "edge", {}), (nn.CircularPad2d(1), "wrap", {})])
def test_padding_layers(layer, mode, more):
    want = np.pad(A[None, None], ((0, 0), (0, 0), (1, 1), (1, 1)), mode, **more)
    close(layer(tp.tensor(A[None, None])), want)


def test_padding_of_each_end():
    assert nn.ZeroPad1d((1, 2))(tp.ones(1, 3)).tolist() == [[0, 1, 1, 1, 0, 0]]
    assert repr(nn.ZeroPad2d(1)) == "ZeroPad2d((1, 1, 1, 1))"


def test_samplers():
    rows = list(range(10))
    assert list(data.SequentialSampler(rows)) == rows
    assert sorted(data.RandomSampler(rows)) == rows
    assert len(list(data.RandomSampler(rows, True, 25))) == 25
    assert sorted(data.SubsetRandomSampler([3, 5, 7])) == [3, 5, 7]
    drawn = list(data.WeightedRandomSampler([0, 1, 3], 400))
    assert drawn.count(0) == 0 and 230 < drawn.count(2) < 360
    batches = data.BatchSampler(data.SequentialSampler(rows), 4)
    assert list(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] and len(batches) == 3
    assert len(data.BatchSampler(range(10), 4, True)) == 2
    loader = data.DataLoader(data.TensorDataset(tp.arange(10)), batch_sampler=batches)
    assert [x.tolist() for x, in loader] == list(batches)
