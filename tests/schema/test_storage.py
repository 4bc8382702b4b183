"""Files are atomic, open without pickle, and say by name what is wrong with them."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unihm.schema.storage import (
    atomic_path,
    load_arrays,
    load_record,
    load_record_header,
    save_record,
    write_json,
)


@given(
    array=hnp.arrays(st.sampled_from([np.float64, np.float32, np.int64]), hnp.array_shapes(max_dims=3, max_side=4)),
    name=st.text(alphabet="abc_", min_size=1, max_size=6),
)
def test_a_record_comes_back_as_it_was(tmp_path_factory, array, name):
    path = tmp_path_factory.mktemp("record") / "x.npz"
    save_record(path, kind="thing", version=3, header={"note": "ünï"}, arrays={name: array})
    header, arrays = load_record(path, kind="thing", version=3)
    assert header["note"] == "ünï"
    assert arrays[name].dtype == array.dtype
    np.testing.assert_array_equal(arrays[name], array)
    assert load_record_header(path)["kind"] == "thing"


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"old": 1})

    def interrupted():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        interrupted()
    assert json.loads(path.read_text()) == {"old": 1}
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"Cannot write '.*file/x\.json'"):
        write_json(tmp_path / "file" / "x.json", 1)


def test_wrong_kind_version_and_plain_arrays_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    save_record(path, kind="thing", version=1, header={}, arrays={"a": np.zeros(2)})
    with pytest.raises(ValueError, match="holds a 'thing', expected a 'other'"):
        load_record(path, kind="other", version=1)
    with pytest.raises(ValueError, match="format version 1, this unihm reads 2"):
        load_record(path, kind="thing", version=2)
    np.savez(tmp_path / "plain.npz", a=np.zeros(2))
    with pytest.raises(ValueError, match="no header"):
        load_record(tmp_path / "plain.npz", kind="thing", version=1)


@pytest.mark.parametrize("keep", [0, 1, 10, 100, 200])
def test_a_cut_file_is_refused_by_name(tmp_path, keep):
    path = tmp_path / "cut.npz"
    save_record(path, kind="thing", version=1, header={}, arrays={"a": np.arange(100.0)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"cut\.npz' is damaged"):
        load_arrays(path)


def test_a_flipped_byte_in_the_data_is_found(tmp_path):
    path = tmp_path / "flipped.npz"
    save_record(path, kind="thing", version=1, header={}, arrays={"a": np.arange(1000.0)})
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(bytes(raw))
    with pytest.raises(ValueError, match="damaged"):
        load_record(path, kind="thing", version=1)


def test_pickled_arrays_are_never_opened(tmp_path):
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="damaged or not a NumPy file"):
        load_arrays(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.npz' does not exist"):
        load_arrays(tmp_path / "nothing.npz")
