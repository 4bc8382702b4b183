"""Episodes as rows of a Parquet table.

Columns: the scalar fields of `schema.Episode` under their own names, ``num_frames``, ``instructions`` (list of
strings), ``attributes`` (map), and the arrays as lists of float32: ``keypoints_world`` T x 21 x 3,
``T_world_object`` T x 7, ``object_points`` and ``object_normals`` n x 3, ``T_world_camera`` 7. Poses are
xyz + quaternion wxyz.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unihm.datasets.parquet import array_column, array_type, cell, check_shape, list_type
from unihm.geometry.pose import pose_to_vector, vector_to_pose
from unihm.schema.episode import Episode

_SCALARS = {
    "id": pa.string(),
    "recording": pa.string(),
    "dataset": pa.string(),
    "subject": pa.string(),
    "object_name": pa.string(),
    "mirrored": pa.bool_(),
    "fps": pa.float64(),
    "contact_frame": pa.int32(),
    "lift_frame": pa.int32(),
}
_ARRAYS = {
    "keypoints_world": list_type(21, 3),
    "T_world_object": list_type(7),
    "object_points": list_type(3),
    "object_normals": list_type(3),
    "T_world_camera": array_type(7),
}
RECORD_COLUMNS = [*_SCALARS, "num_frames", "instructions", "attributes"]
"""Columns of a table that make an `EpisodeRecord`."""
_POSES = ("T_world_object", "T_world_camera")


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """What splits and summaries need to know of an episode, without its arrays."""

    id: str
    """As in `Episode`, and likewise below."""
    recording: str
    """The recording that it was cut or mirrored from."""
    dataset: str
    """Name of the reader."""
    subject: str
    """Who moved."""
    object_name: str
    """What was moved."""
    mirrored: bool
    """True for a reflected left hand."""
    fps: float
    """Frames per second."""
    contact_frame: int
    """First frame of touch."""
    lift_frame: int
    """First frame in which the object has left its rest."""
    num_frames: int
    """Length T."""
    instructions: tuple[str, ...]
    """Things a person might have said."""
    attributes: Mapping[str, str]
    """What the published splits are defined by."""


def table_from_episodes(episodes: Sequence[Episode]) -> pa.Table:
    """One row an episode; raises ValueError where an array has another shape than `schema.Episode` says."""
    for e in episodes:
        if len(e.T_world_object) != len(e.keypoints_world):
            raise ValueError(
                f"Episode '{e.id}' has {len(e)} frames of the hand, {len(e.T_world_object)} of the object."
            )
    columns: dict[str, pa.Array] = {
        name: pa.array([getattr(e, name) for e in episodes], type=kind) for name, kind in _SCALARS.items()
    }
    columns["num_frames"] = pa.array([len(e) for e in episodes], type=pa.int32())
    columns["instructions"] = pa.array([list(e.instructions) for e in episodes], type=pa.list_(pa.string()))
    columns["attributes"] = pa.array(
        [list(e.attributes.items()) for e in episodes], type=pa.map_(pa.string(), pa.string())
    )
    for name, kind in _ARRAYS.items():
        values = [pose_to_vector(getattr(e, name)) if name in _POSES else getattr(e, name) for e in episodes]
        for episode, value in zip(episodes, values, strict=True):
            check_shape(value, kind, f"Episode '{episode.id}': {name}")
        columns[name] = array_column(values, kind)
    return pa.table(columns)


def episode_from_row(path: Path, table: pa.Table, row: int) -> Episode:
    """The inverse of `table_from_episodes`; `path` is named where the row is damaged."""
    scalars: dict[str, Any] = {name: table[name][row].as_py() for name in _SCALARS}
    arrays: dict[str, Any] = {name: finite_cell(path, table, name, row) for name in _ARRAYS}
    arrays |= {name: vector_to_pose(arrays[name]) for name in _POSES}
    return Episode(
        **scalars,
        **arrays,
        instructions=tuple(table["instructions"][row].as_py()),
        attributes=dict(table["attributes"][row].as_py()),
    )


def records_from_table(table: pa.Table) -> list[EpisodeRecord]:
    """The light columns of a table, see `RECORD_COLUMNS`."""
    rows = table.select(RECORD_COLUMNS).to_pylist()
    for row in rows:
        row["instructions"] = tuple(row["instructions"])
        row["attributes"] = dict(row["attributes"])
    return [EpisodeRecord(**row) for row in rows]


def finite_cell(path: Path, table: pa.Table, name: str, row: int) -> np.ndarray:
    """The array in one cell.

    Raises:
        ValueError: It is missing or holds NaN or infinite values.
    """
    value = cell(table[name], row)
    if value is None or not np.isfinite(value).all():
        raise ValueError(f"'{path}': {name} of '{table['id'][row]}' is missing or holds NaN or infinite values.")
    return value


def recordings_of(records: Iterable[EpisodeRecord], ids: Iterable[str]) -> set[str]:
    """The recordings that episodes come from; a mirrored or varied episode has that of its original."""
    wanted = set(ids)
    return {record.recording for record in records if record.id in wanted}
