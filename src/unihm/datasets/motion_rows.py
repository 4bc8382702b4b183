"""One hand's motions as rows of a Parquet table.

Columns: ``id``, ``fps``, and lists of float32: ``qpos`` T x nq, ``qpos_target`` T x nq or null, ``T_world_palm`` T x 7
(xyz + quaternion wxyz). The hand's name, its joint names and how the motions were made stand in the table's header.

Motions that were refined and checked in simulation have a time of their own, and therefore also ``T_world_object``
T x 7 and ``contact_phase`` T; and what came of them: the columns of `Checked`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from unihm.datasets.episode_rows import finite_cell
from unihm.datasets.parquet import array_column, cell, list_type
from unihm.geometry.pose import pose_to_vector, vector_to_pose
from unihm.schema.motion import HandMotion

_NUMBERS = ("qpos", "qpos_target", "T_world_palm", "T_world_object", "contact_phase")
_OUTCOME = {
    "recording": pa.string(),
    "success": pa.bool_(),
    "reason": pa.string(),
    "criterion": pa.string(),
    "candidate": pa.int32(),
    "tried": pa.int32(),
    "friction_margin": pa.float64(),
    "mass_margin": pa.float64(),
    "seed": pa.int64(),
}
CHECKED_COLUMNS = ["id", *_OUTCOME]
"""Columns of a table that make `Checked`."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a simulation with the true object said of a refined motion, and where the motion comes from."""

    recording: str
    """The recording that the motion was made from; splits go by it."""
    success: bool
    """Whether the criterion is met."""
    reason: str
    """Why not, see `simulation.tasks.REASONS`; empty on success."""
    criterion: str
    """Name of the criterion."""
    candidate: int
    """Which of the variations it is; 0 is the refined motion itself."""
    tried: int
    """How many were simulated until one succeeded."""
    friction_margin: float | None
    """The lowest friction tried with which it succeeds, too; None for a failure."""
    mass_margin: float | None
    """The largest factor tried on the object's mass with which it succeeds, too; None for a failure."""
    seed: int
    """Of the variations."""


def motion_table(
    ids: Sequence[str],
    fps: Sequence[float],
    qpos: Sequence[np.ndarray],
    T_world_palm: Sequence[np.ndarray],
    qpos_target: Sequence[np.ndarray | None] | None = None,
    *,
    joint_count: int | None = None,
) -> pa.Table:
    """Motions as rows.

    Args:
        ids: Episode ids.
        fps: Frames per second.
        qpos: Joint positions, each (T, nq).
        T_world_palm: Palm poses as vectors, each (T, 7).
        qpos_target: Commanded joint positions where there are any.
        joint_count: nq; needed where there are no motions.
    """
    joints = list_type(qpos[0].shape[1] if joint_count is None else joint_count)
    return pa.table(
        {
            "id": pa.array(ids, type=pa.string()),
            "fps": pa.array(fps, type=pa.float64()),
            "qpos": array_column(qpos, joints),
            "qpos_target": array_column(qpos_target or [None] * len(ids), joints),
            "T_world_palm": array_column(T_world_palm, list_type(7)),
        }
    )


def table_from_motions(motions: Mapping[str, HandMotion], joint_count: int | None = None) -> pa.Table:
    """One row an episode id; `joint_count` is needed where there is none."""
    items = list(motions.values())
    return motion_table(
        list(motions),
        [m.fps for m in items],
        [m.qpos for m in items],
        [pose_to_vector(m.T_world_palm) for m in items],
        [m.qpos_target for m in items],
        joint_count=joint_count,
    )


def checked_table(motions: Mapping[str, HandMotion], checked: Mapping[str, Checked], joint_count: int) -> pa.Table:
    """One row an episode id, with the object's path, the contact phase and the outcome.

    Args:
        motions: With an object path and a contact phase.
        checked: What came of each.
        joint_count: nq, also where there are no motions.
    """
    table, items = table_from_motions(motions, joint_count), motions.values()
    assert all(m.T_world_object is not None and m.contact_phase is not None for m in items)
    paths = [pose_to_vector(m.T_world_object) for m in items if m.T_world_object is not None]
    table = table.append_column("T_world_object", array_column(paths, list_type(7)))
    table = table.append_column("contact_phase", array_column([m.contact_phase for m in items], list_type()))
    for name, kind in _OUTCOME.items():
        table = table.append_column(name, pa.array([getattr(checked[i], name) for i in motions], type=kind))
    return table


def checked_from_table(table: pa.Table) -> dict[str, Checked]:
    """Episode id to what came of its motion: the light columns of `checked_table`."""
    rows = table.select(list(_OUTCOME)).to_pylist()
    return {name: Checked(**row) for name, row in zip(table["id"].to_pylist(), rows, strict=True)}


def as_stored(motion: HandMotion) -> HandMotion:
    """The motion with the numbers that it will have when it is read again, for what must hold of just these."""
    table = table_from_motions({"": motion})
    header = {"hand": motion.hand, "joint_names": motion.joint_names}
    stored = motion_from_row(Path(), header, table, 0)
    path, phase = motion.T_world_object, motion.contact_phase
    return motion.replace(
        qpos=stored.qpos,
        qpos_target=stored.qpos_target,
        T_world_palm=stored.T_world_palm,
        T_world_object=None if path is None else vector_to_pose(_rounded(pose_to_vector(path))),
        contact_phase=None if phase is None else _rounded(phase),
    )


def motion_from_row(path: Path, header: Mapping[str, Any], table: pa.Table, row: int) -> HandMotion:
    """The inverse of `table_from_motions` and `checked_table`; `path` is named where the row is damaged."""
    own = "T_world_object" in table.column_names
    return HandMotion(
        hand=header["hand"],
        fps=table["fps"][row].as_py(),
        joint_names=tuple(header["joint_names"]),
        qpos=finite_cell(path, table, "qpos", row),
        qpos_target=cell(table["qpos_target"], row),
        T_world_palm=vector_to_pose(finite_cell(path, table, "T_world_palm", row)),
        T_world_object=vector_to_pose(finite_cell(path, table, "T_world_object", row)) if own else None,
        contact_phase=finite_cell(path, table, "contact_phase", row) if own else None,
        source=table["id"][row].as_py(),
    )


def frames_of(table: pa.Table) -> list[int]:
    """Number of frames of each row."""
    return np.diff(table["qpos"].combine_chunks().offsets).tolist()


def motion_digest(table: pa.Table) -> str:
    """Of ids, lengths and numbers, whatever the compression, the pages and the version of the file format."""
    digest = hashlib.sha256("\n".join(table["id"].to_pylist()).encode())
    for name in _NUMBERS:
        if name not in table.column_names:
            continue
        lists = table[name].combine_chunks()
        digest.update(np.diff(lists.offsets).astype("<i4").tobytes())
        digest.update(np.asarray(lists.is_null()).tobytes())
        values = lists.flatten()
        if pa.types.is_fixed_size_list(values.type):
            values = values.flatten()
        digest.update(np.asarray(values, dtype="<f4").tobytes())
    return digest.hexdigest()[:12]


def _rounded(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(np.float64)
