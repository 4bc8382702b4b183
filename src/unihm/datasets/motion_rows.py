"""One hand's motions as rows of a Parquet table.

Columns: ``id``, ``fps``, and lists of float32: ``qpos`` T x nq, ``qpos_target`` T x nq or null, ``T_world_palm`` T x 7
(xyz + quaternion wxyz). The hand's name, its joint names and how the motions were made stand in the table's header.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unihm.datasets.episode_rows import finite_cell
from unihm.datasets.parquet import array_column, cell, list_type
from unihm.geometry.pose import pose_to_vector, vector_to_pose
from unihm.schema.motion import HandMotion

_NUMBERS = ("qpos", "qpos_target", "T_world_palm")


def motion_table(
    ids: Sequence[str],
    fps: Sequence[float],
    qpos: Sequence[np.ndarray],
    T_world_palm: Sequence[np.ndarray],
    qpos_target: Sequence[np.ndarray | None] | None = None,
) -> pa.Table:
    """Motions as rows.

    Args:
        ids: Episode ids, at least one.
        fps: Frames per second.
        qpos: Joint positions, each (T, nq).
        T_world_palm: Palm poses as vectors, each (T, 7).
        qpos_target: Commanded joint positions where there are any.
    """
    joints = list_type(qpos[0].shape[1])
    return pa.table(
        {
            "id": pa.array(ids, type=pa.string()),
            "fps": pa.array(fps, type=pa.float64()),
            "qpos": array_column(qpos, joints),
            "qpos_target": array_column(qpos_target or [None] * len(ids), joints),
            "T_world_palm": array_column(T_world_palm, list_type(7)),
        }
    )


def table_from_motions(motions: Mapping[str, HandMotion]) -> pa.Table:
    """One row an episode id."""
    items = list(motions.values())
    return motion_table(
        list(motions),
        [m.fps for m in items],
        [m.qpos for m in items],
        [pose_to_vector(m.T_world_palm) for m in items],
        [m.qpos_target for m in items],
    )


def motion_from_row(path: Path, header: Mapping[str, Any], table: pa.Table, row: int) -> HandMotion:
    """The inverse of `table_from_motions`; `path` is named where the row is damaged."""
    return HandMotion(
        hand=header["hand"],
        fps=table["fps"][row].as_py(),
        joint_names=tuple(header["joint_names"]),
        qpos=finite_cell(path, table, "qpos", row),
        qpos_target=cell(table["qpos_target"], row),
        T_world_palm=vector_to_pose(finite_cell(path, table, "T_world_palm", row)),
        source=table["id"][row].as_py(),
    )


def frames_of(table: pa.Table) -> list[int]:
    """Number of frames of each row."""
    return np.diff(table["qpos"].combine_chunks().offsets).tolist()


def motion_digest(table: pa.Table) -> str:
    """Of ids, lengths and numbers, whatever the compression, the pages and the version of the file format."""
    digest = hashlib.sha256("\n".join(table["id"].to_pylist()).encode())
    for name in _NUMBERS:
        lists = table[name].combine_chunks()
        digest.update(np.diff(lists.offsets).astype("<i4").tobytes())
        digest.update(np.asarray(lists.is_null()).tobytes())
        digest.update(np.asarray(lists.flatten().flatten(), dtype="<f4").tobytes())
    return digest.hexdigest()[:12]
