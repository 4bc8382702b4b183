"""Motions of hands in an episode store: ``motions/<hand>.parquet``, one row an episode.

They carry the fingerprint of the episodes that they were made for, so stale ones are recognised; how they were made
(`store_retargeting`), and a digest of their own numbers, since the store's fingerprint covers the episodes alone.

``refined/<hand>.parquet`` holds the second kind, in the same format: motions that were refined and simulated
(`unihm.physical_data`), of some episodes or all, failures included. They have a time of their own and say what came of
them (`motion_rows.Checked`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from unihm.contact_phases import contact_phase
from unihm.datasets.episode_store import episode_table, in_order
from unihm.datasets.manifest import MOTIONS, REFINED, VERSION, hands_in, motion_path, read_manifest
from unihm.datasets.motion_rows import (
    CHECKED_COLUMNS,
    Checked,
    checked_from_table,
    frames_of,
    motion_digest,
    motion_from_row,
    table_from_motions,
)
from unihm.datasets.parquet import read_table, write_table
from unihm.registry import unknown_name
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion


def write_motions(
    folder: str | Path, hand: str, motions: Mapping[str, HandMotion], *, made_with: Mapping[str, Any] | None = None
) -> None:
    """Write one hand's motions for episodes of the store, replacing earlier ones.

    What belongs to the episode (object path, cloud, instruction) is not written again; see `attach`.

    Args:
        folder: The store.
        hand: The hand's name.
        motions: Episode id to motion.
        made_with: How they were made, as JSON values.

    Raises:
        ValueError: Joint names or lengths disagree, an episode is unknown, or nothing was given.
    """
    if not motions:
        raise ValueError(f"Nothing to write for hand '{hand}': there are no motions.")
    joint_names = next(iter(motions.values())).joint_names
    for name, motion in motions.items():
        if motion.hand != hand or motion.joint_names != joint_names:
            raise ValueError(f"The motion of '{name}' is of hand '{motion.hand}' or has other joints.")
    header = {"joint_names": list(joint_names), "made_with": made_with}
    write_motion_table(folder, hand, table_from_motions(motions), header)


def write_motion_table(
    folder: str | Path, hand: str, table: pa.Table, header: Mapping[str, Any], *, kind: str = MOTIONS
) -> None:
    """Write rows of `motion_rows` with ``joint_names`` and other facts in their header, as one hand's motions.

    Args:
        folder: The store.
        hand: The hand's name.
        table: The rows; of `motion_rows.checked_table` for refined motions.
        header: The facts, as JSON values.
        kind: ``motions`` or ``refined``.

    Raises:
        ValueError: Lengths disagree (those of refined motions may), or an episode is unknown.
    """
    lengths = {record.id: record.num_frames for record in episode_table(folder)}
    for name, frames in zip(table["id"].to_pylist(), frames_of(table), strict=True):
        if name not in lengths:
            raise unknown_name("Episode", name, lengths)
        if kind == MOTIONS and frames != lengths[name]:
            raise ValueError(f"The motion of '{name}' has {frames} frames, its episode {lengths[name]}.")
    facts = {
        "hand": hand,
        **header,
        "fingerprint": read_manifest(folder)["fingerprint"],
        "digest": motion_digest(table),
    }
    write_table(motion_path(folder, hand, kind), table, kind=kind, version=VERSION, header=facts)


def motion_header(folder: str | Path, hand: str, *, kind: str = MOTIONS) -> dict[str, Any]:
    """Facts about one hand's motions.

    Returns:
        ``joint_names``; ``made_with``: how they were made, None where that was not recorded; ``digest``: of their ids
        and numbers; and what else the writer noted.

    Raises:
        ValueError: As `read_motions`.
    """
    header = {"made_with": None, **_motion_table(folder, hand, ["id"], kind)[1]}
    if "digest" not in header:  # files of unihm 0.1
        header["digest"] = motion_digest(_motion_table(folder, hand, None, kind)[2])
    return header


def read_motions(
    folder: str | Path, hand: str, ids: Sequence[str] | None = None, *, kind: str = MOTIONS
) -> dict[str, HandMotion]:
    """One hand's motions by episode id; `attach` gives them their object.

    Args:
        folder: The store.
        hand: The hand's name.
        ids: Which ones, in which order; None: all that are there.
        kind: ``motions`` as recorded, or ``refined``: what succeeded and what did not, see `read_checks`.

    Raises:
        ValueError: The hand has no motions here, they were made for other episodes, or an id is unknown.
    """
    path, header, table = _motion_table(folder, hand, None, kind)
    wanted = None if ids is None else set(ids)
    found = {
        name: motion_from_row(path, header, table, row)
        for row, name in enumerate(table["id"].to_pylist())
        if wanted is None or name in wanted
    }
    if ids is not None:
        found = dict(zip(ids, in_order(found, ids, f"Motion of '{hand}' for episode"), strict=True))
    return found


def read_checks(folder: str | Path, hand: str) -> dict[str, Checked]:
    """Episode id to what came of its refined motion; raises ValueError as `read_motions` does."""
    return checked_from_table(_motion_table(folder, hand, CHECKED_COLUMNS, REFINED)[2])


def motion_ids(folder: str | Path, hand: str, *, kind: str = MOTIONS) -> list[str]:
    """Ids of the episodes that a hand has motions for; raises ValueError as `read_motions` does."""
    return _motion_table(folder, hand, ["id"], kind)[2]["id"].to_pylist()


def motion_rows(folder: str | Path, hand: str, *, kind: str = MOTIONS) -> pa.Table:
    """One hand's motions as the rows that they are stored as; raises ValueError as `read_motions` does."""
    return _motion_table(folder, hand, None, kind)[2]


def attach(motion: HandMotion, episode: Episode) -> HandMotion:
    """The motion with its episode's object, its path, the plane that a handle stands on, and the contact phase.

    A refined motion has a path and a phase in its own time: it gets the object alone.
    """
    motion = motion.replace(
        object_points=episode.object_points,
        object_normals=episode.object_normals,
        panel_object=episode.panel_object,
        source=episode.id,
    )
    if motion.T_world_object is not None and motion.contact_phase is not None:
        return motion
    if len(motion) != len(episode):
        raise ValueError(f"The motion has {len(motion)} frames, episode '{episode.id}' has {len(episode)}.")
    return motion.replace(
        T_world_object=episode.T_world_object,
        contact_phase=contact_phase(len(episode), episode.lift_frame, release_frame=episode.release_frame),
    )


def _motion_table(
    folder: str | Path, hand: str, columns: Sequence[str] | None, kind: str
) -> tuple[Path, dict[str, Any], pa.Table]:
    known = hands_in(folder, kind)
    if hand not in known:
        what = "Motions" if kind == MOTIONS else "Refined motions"
        raise unknown_name(f"{what} in '{folder}' of hand", hand, known)
    path = motion_path(folder, hand, kind)
    header, table = read_table(path, kind=kind, version=VERSION, columns=columns)
    if header["fingerprint"] != read_manifest(folder)["fingerprint"]:
        again = "retarget" if kind == MOTIONS else "refine"
        raise ValueError(f"'{path}' was made for other episodes than the store now holds; {again} again.")
    return path, header, table
