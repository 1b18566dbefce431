"""Reductions, movement and indexing against NumPy."""

import numpy as np
import pytest

import taper as tp
from support import close

A = np.random.default_rng(5).standard_normal((2, 3, 4))


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [None, 0, -1, (0, 2)], ids=str)
@pytest.mark.parametrize("name,want", [("sum", np.sum), ("mean", np.mean), ("amax", np.max),
                                       ("amin", np.min), ("prod", np.prod)])
def test_reduce(name, want, dim, keepdim):
    if name == "prod" and isinstance(dim, tuple):
        return
    got = getattr(tp, name)(tp.tensor(A), dim, keepdim)
    close(got, want(A, axis=dim, keepdims=keepdim) if dim is not None or not keepdim
          else want(A, axis=None, keepdims=True), 1e-9, 1e-12)


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_spread(dim, correction):
    close(tp.tensor(A).var(dim, correction=correction), A.var(dim, ddof=correction), 1e-9)
    close(tp.tensor(A).std(dim, unbiased=bool(correction)), A.std(dim, ddof=correction), 1e-9)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_extremes(dim):
    v, i = tp.tensor(A).max(dim)
    close(v, A.max(dim)), close(i, A.argmax(dim))
    close(tp.tensor(A).argmin(dim), A.argmin(dim))
    close(tp.sort(tp.tensor(A), dim).values, np.sort(A, dim))
    close(tp.argsort(tp.tensor(A), dim), np.argsort(A, dim, kind="stable"))
    close(tp.cumsum(tp.tensor(A), dim), np.cumsum(A, dim), 1e-9)


KEYS = [0, -1, slice(1, None), (slice(None), 1), (0, 1, 2), (Ellipsis, 0), (None, 0),
        (slice(None), slice(None, None, 2)), (slice(None), slice(None, None, -1)),
        (0, slice(2, 0, -1)), [1, 0], (slice(None), [2, 0]), ([0, 1], [1, 2]),
        ([0, 1], slice(None), [1, 2]), (Ellipsis, None), slice(5, 9), (slice(None), slice(-2, None))]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_getitem(key):
    close(tp.tensor(A)[key], A[key])


@pytest.mark.parametrize("key", KEYS[:13], ids=str)
def test_setitem(key):
    x, y = tp.tensor(A), A.copy()
    x[key] = 7.0
    y[key] = 7.0
    close(x, y)


def test_masks_and_iteration():
    x = tp.tensor(A)
    close(x[x > 0], A[A > 0])
    assert len(list(x)) == 2 and len(x) == 2
    with pytest.raises(IndexError):
        x[2]
    x[x < 0] = 0
    close(x, np.maximum(A, 0))
    close(x[tp.tensor([1, -1])], np.maximum(A, 0)[[1, -1]])


MOVES = {
    "reshape": (lambda x: x.reshape(4, -1), lambda a: a.reshape(4, -1)),
    "view": (lambda x: x.view(6, 4), lambda a: a.reshape(6, 4)),
    "flatten": (lambda x: x.flatten(1), lambda a: a.reshape(2, 12)),
    "permute": (lambda x: x.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    "transpose": (lambda x: x.transpose(0, 2), lambda a: a.swapaxes(0, 2)),
    "T": (lambda x: x[0].T, lambda a: a[0].T),
    "mT": (lambda x: x.mT, lambda a: a.swapaxes(1, 2)),
    "unsqueeze": (lambda x: x.unsqueeze(1), lambda a: a[:, None]),
    "squeeze": (lambda x: x[:, :1].squeeze(1), lambda a: a[:, 0]),
    "expand": (lambda x: x[:, :1].expand(-1, 5, -1), lambda a: np.repeat(a[:, :1], 5, 1)),
    "repeat": (lambda x: x.repeat(2, 1, 3), lambda a: np.tile(a, (2, 1, 3))),
    "tile": (lambda x: tp.tile(x, (2,)), lambda a: np.tile(a, 2)),
    "flip": (lambda x: x.flip(0, 2), lambda a: a[::-1, :, ::-1]),
    "roll": (lambda x: x.roll(2, 1), lambda a: np.roll(a, 2, 1)),
    "rot90": (lambda x: tp.rot90(x), lambda a: np.rot90(a)),
    "tril": (lambda x: x.tril(1), lambda a: np.tril(a, 1)),
    "triu": (lambda x: x.triu(), lambda a: np.triu(a)),
    "diagonal": (lambda x: x.diagonal(0, 1, 2), lambda a: np.diagonal(a, 0, 1, 2)),
    "cat": (lambda x: tp.cat([x, x], 1), lambda a: np.concatenate([a, a], 1)),
    "stack": (lambda x: tp.stack([x, x], -1), lambda a: np.stack([a, a], -1)),
    "split": (lambda x: x.split([1, 3], 2)[1], lambda a: a[:, :, 1:]),
    "chunk": (lambda x: x.chunk(2, 2)[0], lambda a: a[:, :, :2]),
    "movedim": (lambda x: x.movedim(0, 2), lambda a: np.moveaxis(a, 0, 2)),
    "interleave": (lambda x: x.repeat_interleave(2, 1), lambda a: np.repeat(a, 2, 1)),
    "index_select": (lambda x: x.index_select(1, tp.tensor([2, 0])), lambda a: a[:, [2, 0]]),
    "einsum": (lambda x: tp.einsum("ijk,ljk->il", x, x), lambda a: np.einsum("ijk,ljk->il", a, a)),
    "matmul": (lambda x: x @ x.mT, lambda a: a @ a.swapaxes(1, 2)),
    "kron": (lambda x: tp.kron(x[0], x[1]), lambda a: np.kron(a[0], a[1])),
    "pad": (lambda x: tp.functional.pad(x, (1, 2, 0, 1)),
            lambda a: np.pad(a, ((0, 0), (0, 1), (1, 2)))),
    "reflect": (lambda x: tp.functional.pad(x, (2, 1), "reflect"),
                lambda a: np.pad(a, ((0, 0), (0, 0), (2, 1)), "reflect")),
}


@pytest.mark.parametrize("name", MOVES)
def test_move(name):
    ours, want = MOVES[name]
    close(ours(tp.tensor(A)), want(A), 1e-9, 1e-12)


def test_creation():
    assert tp.zeros(2, 3).shape == (2, 3) and tp.ones((2,)).tolist() == [1, 1]
    assert tp.arange(2, 8, 2).tolist() == [2, 4, 6] and tp.eye(2).tolist() == [[1, 0], [0, 1]]
    assert tp.tensor(0.1, dtype=tp.float64).item() == 0.1
    assert tp.full((2,), 3).dtype == tp.int64 and tp.full((2,), 3.0).dtype == tp.float32
    close(tp.linspace(0, 1, 5), np.linspace(0, 1, 5))
    assert tp.zeros_like(tp.ones(2, dtype=tp.int32)).dtype == tp.int32
    tp.manual_seed(3)
    a = tp.randn(5)
    tp.manual_seed(3)
    assert a.tolist() == tp.randn(5).tolist() and tp.rand(9).max().item() < 1
    assert sorted(tp.randperm(6).tolist()) == list(range(6))
    assert tp.from_numpy(A).dtype == tp.float64 and tp.tensor(A.tolist()).dtype == tp.float32


def test_exchange():
    x = tp.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(np.from_dlpack(x), x.numpy())
    np.testing.assert_array_equal(np.asarray(x), x.numpy())
    close(tp.from_dlpack(A), A)
    assert repr(x) == "tensor([[0., 1., 2.],\n        [3., 4., 5.]])"
    assert repr(tp.tensor(1.5, dtype=tp.float64)) == "tensor(1.5, dtype=taper.float64)"
    import copy
    import pickle
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert y.tolist() == x.tolist()


def test_files(tmp_path):
    state = {"a": tp.tensor(A), "b": tp.arange(3), "c": tp.ones(2).bfloat16()}
    tp.save(state, tmp_path / "s.safetensors")
    back = tp.load(tmp_path / "s.safetensors")
    assert list(back) == ["a", "b", "c"] and back["c"].dtype == tp.bfloat16
    close(back["a"], A)
    whole = (tmp_path / "s.safetensors").read_bytes()
    for bad in (b"", whole[:20], whole[:-8], b"\xff" * 64, whole.replace(b"[2,3,4]", b"[2,3,9]")):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(tp.Error):
            tp.load(tmp_path / "bad")


def test_variance_with_its_mean_and_scatter_by_product():
    x = tp.tensor(A)
    for made, alone in zip(tp.var_mean(x, 0, keepdim=True), (A.var(0, ddof=1), A.mean(0))):
        close(made, alone[None], 1e-9)
    index = tp.tensor(np.array([[0, 2, 0, 2]]))
    source = tp.tensor(np.array([[2.0, 3.0, 5.0, 7.0]]))
    y = tp.scatter_reduce(tp.tensor(np.array([[1.0, 2.0, 3.0]])), 1, index, source, "prod")
    close(y, np.array([[10.0, 2.0, 63.0]]), 1e-9)


def test_npz(tmp_path):
    state = {"fc.weight": tp.tensor(A), "b": tp.arange(3), "s": tp.tensor(2.5)}
    tp.save(state, tmp_path / "s.npz")
    back = tp.load(tmp_path / "s.npz")
    assert list(back) == ["fc.weight", "b", "s"] and back["b"].dtype == tp.int64
    close(back["fc.weight"], A)
    assert back["s"].item() == 2.5
    whole = (tmp_path / "s.npz").read_bytes()
    for bad in (b"", whole[:20], whole[:-8], b"\xff" * 64, whole[:200] + b"\0" + whole[201:]):
        (tmp_path / "bad.npz").write_bytes(bad)
        with pytest.raises(tp.Error):
            tp.load(tmp_path / "bad.npz")
    assert back["s"].shape == () and back["fc.weight"].shape == A.shape


def test_halves_in_npz(tmp_path):
    """bfloat16 is two bytes of no kind, as ml_dtypes writes its own; NumPy reads them back."""
    state = {"b": tp.tensor([1.0, -2.5]).bfloat16(), "h": tp.tensor([0.5, 65504.0]).half(),
             "s": tp.tensor(3.0).bfloat16()}
    tp.save(state, tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as file:
        assert file["b"].dtype == np.dtype("V2") and file["h"].dtype == np.float16
        assert file["b"].view("u2").tolist() == [0x3f80, 0xc020] and file["s"].shape == ()
    back = tp.load(tmp_path / "c.npz")
    assert back["b"].dtype == tp.bfloat16 and back["b"].float().tolist() == [1, -2.5]
    assert back["h"].dtype == tp.float16 and back["h"].tolist() == [0.5, 65504]
    assert back["s"].shape == () and back["s"].item() == 3
    nan = np.array([0x7fffffff, 0xffffffff, 0x7f800001], "u4").view("f4")
    assert np.isnan(tp.tensor(nan).bfloat16().numpy()).all()
    assert np.isnan(tp.tensor(nan, dtype=tp.bfloat16).numpy()).all()


@pytest.mark.parametrize("given, words", [
    ([1], "save of list; expected a module or a dict of tensors by name"),
    ({"model": {"w": 1}}, "save of 'model': dict; expected tensors by name"),
    ({1: tp.ones(2)}, "save of 1: Tensor; expected tensors by name"),
])
def test_what_has_no_names_is_not_saved(tmp_path, given, words):
    with pytest.raises(TypeError, match=words):
        tp.save(given, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_name_of_another_format_is_not_written(tmp_path):
    with pytest.raises(tp.Error, match=r"x\.pt: \.pt is not written; expected \.safetensors"):
        tp.save({"w": tp.ones(2)}, tmp_path / "x.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", [
    lambda: tp.tensor([1.0], device="cuda"), lambda: tp.zeros(2, device="cuda:0"),
    lambda: tp.ones(2, device="mps"), lambda: tp.randn(2, device="cuda"),
    lambda: tp.rand(2, device="cuda"), lambda: tp.arange(3, device="cuda"),
    lambda: tp.full((2,), 1.0, device="cuda"), lambda: tp.ones(2).to("cuda"),
    lambda: tp.ones(2).to(device="cuda"), lambda: tp.ones(2).cuda(),
    lambda: tp.nn.Linear(2, 2).to("cuda"), lambda: tp.nn.Linear(2, 2).cuda(),
])
def test_a_device_that_is_not_there_is_refused(call):
    with pytest.raises(NotImplementedError, match="expected 'cpu' or no device"):
        call()


def test_the_cpu_is_a_device():
    assert tp.ones(2, device="cpu").to("cpu:0").cpu().device == "cpu"
    assert tp.nn.Linear(2, 2).to("cpu").to(device="cpu").cpu().weight.dtype == tp.float32
    assert tp.ones(2).to("float64", non_blocking=True).dtype == tp.float64
