"""Motions of hands in an episode store: ``motions/<hand>.parquet``, one row an episode.

They carry the fingerprint of the episodes that they were made for, so stale ones are recognised; how they were made
(`store_retargeting`), and a digest of their own numbers, since the store's fingerprint covers the episodes alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from unihm.contact_phases import contact_phase
from unihm.datasets.episode_store import episode_table, in_order
from unihm.datasets.manifest import VERSION, hands_in, motion_path, read_manifest
from unihm.datasets.motion_rows import frames_of, motion_digest, motion_from_row, table_from_motions
from unihm.datasets.parquet import read_table, write_table
from unihm.registry import unknown_name
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion

_KIND = "motions"


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


def write_motion_table(folder: str | Path, hand: str, table: pa.Table, header: Mapping[str, Any]) -> None:
    """Write rows of `motion_rows` with ``joint_names`` and other facts in their header, as one hand's motions.

    Raises:
        ValueError: Lengths disagree, or an episode is unknown.
    """
    lengths = {record.id: record.num_frames for record in episode_table(folder)}
    for name, frames in zip(table["id"].to_pylist(), frames_of(table), strict=True):
        if name not in lengths:
            raise unknown_name("Episode", name, lengths)
        if frames != lengths[name]:
            raise ValueError(f"The motion of '{name}' has {frames} frames, its episode {lengths[name]}.")
    facts = {
        "hand": hand,
        **header,
        "fingerprint": read_manifest(folder)["fingerprint"],
        "digest": motion_digest(table),
    }
    write_table(motion_path(folder, hand), table, kind=_KIND, version=VERSION, header=facts)


def motion_header(folder: str | Path, hand: str) -> dict[str, Any]:
    """Facts about one hand's motions.

    Returns:
        ``joint_names``; ``made_with``: how they were made, None where that was not recorded; ``digest``: of their ids
        and numbers; and what else the writer noted.

    Raises:
        ValueError: As `read_motions`.
    """
    header = {"made_with": None, **_motion_table(folder, hand, ["id"])[1]}
    if "digest" not in header:  # files of unihm 0.1
        header["digest"] = motion_digest(_motion_table(folder, hand, None)[2])
    return header


def read_motions(folder: str | Path, hand: str, ids: Sequence[str] | None = None) -> dict[str, HandMotion]:
    """One hand's motions by episode id; `attach` gives them their object.

    Raises:
        ValueError: The hand has no motions here, they were made for other episodes, or an id is unknown.
    """
    path, header, table = _motion_table(folder, hand, None)
    wanted = None if ids is None else set(ids)
    found = {
        name: motion_from_row(path, header, table, row)
        for row, name in enumerate(table["id"].to_pylist())
        if wanted is None or name in wanted
    }
    if ids is not None:
        found = dict(zip(ids, in_order(found, ids, f"Motion of '{hand}' for episode"), strict=True))
    return found


def motion_ids(folder: str | Path, hand: str) -> list[str]:
    """Ids of the episodes that a hand has motions for; raises ValueError as `read_motions` does."""
    return _motion_table(folder, hand, ["id"])[2]["id"].to_pylist()


def attach(motion: HandMotion, episode: Episode) -> HandMotion:
    """The motion with its episode's object path, cloud and contact phase."""
    if len(motion) != len(episode):
        raise ValueError(f"The motion has {len(motion)} frames, episode '{episode.id}' has {len(episode)}.")
    return motion.replace(
        T_world_object=episode.T_world_object,
        object_points=episode.object_points,
        object_normals=episode.object_normals,
        contact_phase=contact_phase(len(episode), episode.lift_frame),
        source=episode.id,
    )


def _motion_table(folder: str | Path, hand: str, columns: list[str] | None) -> tuple[Path, dict[str, Any], pa.Table]:
    known = hands_in(folder)
    if hand not in known:
        raise unknown_name(f"Motions in '{folder}' of hand", hand, known)
    path = motion_path(folder, hand)
    header, table = read_table(path, kind=_KIND, version=VERSION, columns=columns)
    if header["fingerprint"] != read_manifest(folder)["fingerprint"]:
        raise ValueError(f"'{path}' was made for other episodes than the store now holds; retarget again.")
    return path, header, table
