"""Arrays in Parquet: real list columns that DuckDB, Spark, Ray Data and `datasets` read as they are.

A table's kind, format version and header lie in the file's metadata under the key ``unihm``, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unihm.schema.storage import atomic_path

METADATA_KEY = b"unihm"
_DAMAGE = (pa.ArrowException, OSError, ValueError, EOFError)


def list_type(*inner: int) -> pa.DataType:
    """Variable-length list of float32 arrays of shape `inner`: ``list_type(21, 3)`` holds (T, 21, 3)."""
    kind: pa.DataType = pa.float32()
    for size in reversed(inner):
        kind = pa.list_(kind, size)
    return pa.list_(kind)


def array_type(*shape: int) -> pa.DataType:
    """float32 array of fixed shape: ``array_type(7)`` holds (7,)."""
    kind: pa.DataType = pa.float32()
    for size in reversed(shape):
        kind = pa.list_(kind, size)
    return kind


def array_column(arrays: Sequence[np.ndarray | None], kind: pa.DataType) -> pa.Array:
    """A column with one array a row.

    Args:
        arrays: Arrays whose axes match `kind`; None becomes null, in variable-length columns only.
        kind: What `list_type` or `array_type` returned.
    """
    flat = [np.asarray(a, dtype=np.float32).reshape(-1) for a in arrays if a is not None]
    values: pa.Array = pa.array(np.concatenate([np.zeros(0, dtype=np.float32), *flat]))
    for size in reversed(_fixed_sizes(kind)):
        values = pa.FixedSizeListArray.from_arrays(values, size)
    if not pa.types.is_list(kind):
        return values
    offsets = np.cumsum([0, *(0 if a is None else len(a) for a in arrays)], dtype=np.int32)
    missing = pa.array([a is None for a in arrays], type=pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=missing)


def check_shape(array: np.ndarray, kind: pa.DataType, what: str) -> None:
    """Refuse an array that does not belong into a column: its numbers would be cut into other arrays."""
    inner = tuple(_fixed_sizes(kind))
    if (array.shape[1:] if pa.types.is_list(kind) and array.ndim else array.shape) != inner:
        expected = f"(T, {', '.join(map(str, inner))})" if pa.types.is_list(kind) else f"{inner}"
        raise ValueError(f"{what} has shape {array.shape}, expected {expected}.")


def cell(column: pa.ChunkedArray, row: int) -> np.ndarray | None:
    """The array in one row of a column made by `array_column`, as float64; None for null."""
    scalar = column[row]
    if not scalar.is_valid:
        return None
    values, kind = scalar.values, column.type
    while pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    flat = values.to_numpy(zero_copy_only=False).astype(np.float64)
    return flat.reshape((-1, *_fixed_sizes(kind)) if pa.types.is_list(kind) else _fixed_sizes(kind))


def _fixed_sizes(kind: pa.DataType) -> list[int]:
    """Sizes of the nested fixed-size lists of a column type, outermost first."""
    if pa.types.is_list(kind):
        kind = kind.value_type
    sizes = []
    while pa.types.is_fixed_size_list(kind):
        sizes.append(kind.list_size)
        kind = kind.value_type
    return sizes


def write_table(path: str | Path, table: pa.Table, *, kind: str, version: int, header: Mapping[str, Any]) -> None:
    """Write a table as Parquet (zstd, page checksums), atomically, with its kind and version."""
    text = json.dumps({"kind": kind, "version": version, **header})
    table = table.replace_schema_metadata({METADATA_KEY: text.encode()})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_table(
    path: str | Path, *, kind: str, version: int, columns: Sequence[str] | None = None
) -> tuple[dict[str, Any], pa.Table]:
    """Read what `write_table` wrote.

    Returns:
        The header and the table.

    Raises:
        ValueError: The file is missing, damaged, not ours, of another kind or version.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"File '{path}' does not exist.")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            metadata = file.schema_arrow.metadata or {}
            header = json.loads(metadata[METADATA_KEY]) if METADATA_KEY in metadata else None
            if header is not None and header.get("kind") == kind and header.get("version") == version:
                table = file.read(columns=None if columns is None else list(columns), use_threads=False)
    except _DAMAGE as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"'{path}' is damaged or not a Parquet file: {reason}") from error
    if header is None:
        raise ValueError(f"'{path}' is not a unihm file: its Parquet metadata has no unihm entry.")
    if header.get("kind") != kind:
        raise ValueError(f"'{path}' holds a {header.get('kind')!r}, expected a {kind!r}.")
    if header.get("version") != version:
        raise ValueError(f"'{path}' has format version {header.get('version')}, this unihm reads {version}.")
    return header, table
