import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.datasets.parquet import array_column, array_type, cell, list_type, read_table, write_table


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=1, max_size=6),
    inner=st.lists(st.integers(1, 3), max_size=2),
    seed=st.integers(0, 2**32 - 1),
)
def test_ragged_arrays_come_back_in_every_shape(lengths, inner, seed):
    rng = np.random.default_rng(seed)
    arrays = [None if n is None else rng.normal(size=(n, *inner)).astype(np.float32) for n in lengths]
    column = pa.chunked_array([array_column(arrays, list_type(*inner))])
    for row, array in enumerate(arrays):
        if array is None:
            assert cell(column, row) is None
        else:
            np.testing.assert_array_equal(cell(column, row), array)


def test_columns_are_plain_nested_lists(tmp_path):
    keypoints = [np.arange(2 * 21 * 3.0).reshape(2, 21, 3), np.zeros((0, 21, 3))]
    camera = [np.arange(7.0), np.ones(7)]
    table = pa.table(
        {"keypoints": array_column(keypoints, list_type(21, 3)), "camera": array_column(camera, array_type(7))}
    )
    write_table(tmp_path / "t.parquet", table, kind="episodes", version=1, header={"a": 1})
    # Read with pyarrow alone, as any other program would.
    rows = pq.read_table(tmp_path / "t.parquet").to_pylist()
    assert rows[0]["keypoints"] == keypoints[0].tolist()
    assert rows[1] == {"keypoints": [], "camera": [1.0] * 7}
    header, again = read_table(tmp_path / "t.parquet", kind="episodes", version=1)
    assert header["a"] == 1
    np.testing.assert_array_equal(cell(again["camera"], 0), camera[0])


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "t.parquet"
    values = array_column([np.random.default_rng(0).normal(size=(500, 3))], list_type(3))
    write_table(path, pa.table({"values": values}), kind="episodes", version=1, header={})
    return path


def test_missing_foreign_and_mismatched_files_are_told_apart(written, tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_table(tmp_path / "none.parquet", kind="episodes", version=1)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(ValueError, match=r"foreign\.parquet' is not a unihm file"):
        read_table(tmp_path / "foreign.parquet", kind="episodes", version=1)
    with pytest.raises(ValueError, match="holds a 'episodes', expected a 'motions'"):
        read_table(written, kind="motions", version=1)
    with pytest.raises(ValueError, match="format version 1, this unihm reads 2"):
        read_table(written, kind="episodes", version=2)


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "flipped"])
def test_damaged_files_give_one_line_that_names_them(written, damage):
    content = bytearray(written.read_bytes())
    if damage == "flipped":
        content[len(content) // 3] ^= 0xFF  # in the data page; its checksum tells
    written.write_bytes({"cut": content[:-40], "text": b"not parquet", "empty": b"", "flipped": content}[damage])
    with pytest.raises(ValueError, match=r"t\.parquet' is damaged") as error:
        read_table(written, kind="episodes", version=1)
    assert "\n" not in str(error.value)
