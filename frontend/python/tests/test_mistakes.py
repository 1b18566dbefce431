"""What a user gets wrong: every message begins with the user's line, and no argument is passed over."""

import re

import numpy as np
import pytest

import taper as tp
import taper.nn as nn
import taper.nn.functional as F
from taper.utils.data import DataLoader, TensorDataset

LAYER = nn.Linear(4, 2)


def leaf():
    return tp.ones(3, requires_grad=True)


@tp.compile
def branching(x):
    return x if x.sum() > 0 else -x


@pytest.mark.parametrize("wrong", [
    lambda: LAYER(tp.zeros(3, 5)), lambda: tp.zeros(3, 5) + tp.zeros(4),
    lambda: LAYER(tp.zeros(3, 4, dtype=tp.int64)), lambda: LAYER(tp.zeros(3, 4).double()),
    lambda: F.cross_entropy(tp.zeros(3, 4), tp.zeros(3)), lambda: tp.ones(6).view(4, 2),
    lambda: (tp.zeros(3) * 2).backward(), lambda: (leaf() * 2).backward(), lambda: leaf().numpy(),
    lambda: leaf().add_(1), lambda: bool(tp.ones(3)), lambda: tp.ones(3).item(),
    lambda: LAYER.load_state_dict({"weight": tp.zeros(2, 4)}), lambda: tp.arange(3).mean(),
    lambda: branching(tp.ones(3)), lambda: tp.zeros(3)[:2].copy_(tp.ones(4))])
def test_messages_name_the_line(wrong):
    line = wrong.__code__.co_firstlineno
    with pytest.raises(tp.Error) as fault:
        wrong()
    place = re.match(r"test_mistakes\.py:(\d+): ", str(fault.value))
    assert place, fault.value
    within = branching.function.__code__.co_firstlineno + 2 if "branching" in \
        wrong.__code__.co_names else line
    assert int(place.group(1)) == within


def test_messages_of_files_name_the_file(tmp_path):
    with pytest.raises(tp.Error, match="^.*x.safetensors"):
        (tmp_path / "x.safetensors").write_bytes(b"\0" * 4)
        tp.load(str(tmp_path / "x.safetensors"))


@pytest.mark.parametrize("wrong,name", [
    (lambda: nn.Linear(4, 2, biass=False), "biass"), (lambda: nn.Softmax(dims=1), "dims"),
    (lambda: nn.MaxPool2d(2, strides=2), "strides"), (lambda: tp.ones(3).sum(dims=0), "dims"),
    (lambda: tp.ones(3).amax(0, keepdimm=True), "keepdimm"), (lambda: tp.randperm(3, n2=1), "n2"),
    (lambda: tp.ones(3).sort(descend=True), "descend"),
    (lambda: DataLoader([], batchsize=3), "batchsize"),
    (lambda: tp.optim.SGD(LAYER.parameters(), learning_rate=1), "learning_rate"),
    (lambda: tp.compile(lambda x: x, precison=tp.bfloat16), "precison")])
def test_unknown_arguments_are_refused(wrong, name):
    with pytest.raises(TypeError, match=f"'{name}'"):
        wrong()


def test_numpys_words_are_good():
    x = tp.arange(6.0).reshape(2, 3)
    for name in ("sum", "mean", "prod", "amax", "amin", "argmax", "std", "var"):
        a = getattr(x, name)(axis=1, keepdims=True)
        assert a.shape == (2, 1) and (a == getattr(x, name)(dim=1, keepdim=True)).all()
    assert (x > 2).all(axis=1).tolist() == [False, True]
    assert x.max(axis=1, keepdims=True).values.shape == (2, 1)
    assert [tuple(t.shape) for t in tp.var_mean(x, axis=0, keepdims=True)] == [(1, 3)] * 2


def test_loader_of_batches_and_samplers():
    data = TensorDataset(tp.arange(6), tp.arange(6) * 2)
    batches = DataLoader(data, batch_sampler=[[0, 5], [3]], pin_memory=True)
    assert len(batches) == 2 and [x.tolist() for x, _ in batches] == [[0, 5], [3]]
    some = DataLoader(data, batch_size=2, sampler=[5, 4, 3])
    assert len(some) == 2 and [y.tolist() for _, y in some] == [[10, 8], [6]]


def test_layers_of_a_type():
    layer = nn.Linear(4, 2, dtype=tp.float64)
    assert layer.weight.dtype is tp.float64 and layer(tp.zeros(1, 4).double()).shape == (1, 2)
    with pytest.raises(NotImplementedError, match="cuda"):
        nn.Linear(4, 2, device="cuda")
    assert np.asarray(tp.randperm(4, dtype=tp.int32)).dtype == np.int32


def test_bits_are_not_handed_out_as_integers():
    with pytest.raises(BufferError, match="bfloat16"):
        np.from_dlpack(tp.ones(2, dtype=tp.bfloat16))
