import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import _utils as torch_utils

from unihm.schema.pickles import load_pickle


class Call:
    """A pickle of this calls something when it is opened."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def written(path, value, protocol=4):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_tensors_and_plain_values_come_back(tmp_path, protocol):
    tensor = torch.arange(24.0).reshape(4, 6)
    values = {
        "array": np.eye(3, dtype=np.float32),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "number": np.float64(0.1),
        "tensor": tensor,
        "view": tensor[1:, ::2].T,
        "half": tensor.half(),
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
    }
    plain = {"text": "ü", "bytes": b"\xff", "list": [1, (2.5, None, True)], "ordered": OrderedDict(a=1)}
    found = load_pickle(written(tmp_path / "v.pkl", values | plain, protocol))
    for name, value in values.items():
        expected = np.asarray(value)
        assert isinstance(found[name], np.ndarray | np.float64)
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)
    assert {name: found[name] for name in plain} == plain


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Call(os.system, "touch made"), "posix.system"),
        (Call(eval, "open('made', 'w')"), "builtins.eval"),
        (Call(getattr, "text", "upper"), "builtins.getattr"),
        (Call(np.load, "made.npy"), "numpy.load"),
        ({"deep": [Call(torch.load, "made.pt")]}, "torch.serialization.load"),
        (Call(set, ()), "builtins.set"),
        (OSError("anything"), "builtins.OSError"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_everything_else_is_refused_by_name(tmp_path, monkeypatch, value, name, protocol):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "evil.pkl", value, protocol)
    if protocol == 2:  # names of Python 2
        name = name.replace("builtins", "exceptions" if name.endswith("Error") else "__builtin__")
    with pytest.raises(ValueError, match=f"evil.pkl' is refused: it asks for '{name}'; only arrays"):
        load_pickle(path)
    assert [p.name for p in tmp_path.iterdir()] == ["evil.pkl"]


def test_a_tensor_cannot_hide_a_pickle(tmp_path):
    class Hidden:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (pickle.dumps(Call(os.system, f"touch {tmp_path}/made")),)

    with pytest.raises(ValueError, match="is damaged or not a pickle"):
        load_pickle(written(tmp_path / "evil.pkl", Hidden()))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("size", "stride", "words"),
    [((3, 3), (3, 1), "beyond its storage"), ((5,), (0,), "beyond"), ((2,), (-1,), "shape")],
)
def test_a_tensor_shows_nothing_but_its_numbers(tmp_path, size, stride, words):
    storage = torch.arange(4.0).storage()
    value = Call(torch_utils._rebuild_tensor_v2, storage, 0, size, stride, False, OrderedDict())
    with pytest.raises(ValueError, match=words):
        load_pickle(written(tmp_path / "wide.pkl", value))


def test_arrays_are_not_made_from_addresses(tmp_path):
    value = Call(np.ndarray, (1,), "O", b"12345678")
    with pytest.raises(ValueError, match="is damaged or not a pickle"):
        load_pickle(written(tmp_path / "address.pkl", value))


def test_damaged_and_missing_files_give_one_line(tmp_path):
    path = written(tmp_path / "v.pkl", np.eye(3))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="is damaged or not a pickle"):
        load_pickle(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="is damaged or not a pickle"):
        load_pickle(path)
    with pytest.raises(ValueError, match="does not exist"):
        load_pickle(tmp_path / "none.pkl")
    with pytest.raises(ValueError, match="Cannot read"):
        load_pickle(tmp_path)
