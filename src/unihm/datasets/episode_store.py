"""Episodes and their retargeted motions on disk: a folder of Parquet files, one row an episode.

    manifest.json                    what was imported, what was left out and why
    episodes/<fingerprint>-*.parquet schema.Episode, see `episode_rows` for the columns
    motions/<hand>.parquet           joint positions and palm path of one hand

The manifest is written last and names the shards: until it is there, the old episodes stay valid. Motions
carry the fingerprint of the episodes that they were made for, so stale ones are recognised; how they were made
(`store_retargeting`), and a digest of their own numbers, since the store's fingerprint covers the episodes alone.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from unihm.contact_phases import contact_phase
from unihm.datasets.episode_rows import (
    RECORD_COLUMNS,
    EpisodeRecord,
    episode_from_row,
    finite_cell,
    records_from_table,
    table_from_episodes,
)
from unihm.datasets.manifest import KIND, MANIFEST, VERSION, read_manifest
from unihm.datasets.motion_rows import frames_of, motion_digest, motion_from_row, table_from_motions
from unihm.datasets.parquet import read_table, write_table
from unihm.datasets.summary import summarise
from unihm.registry import unknown_name
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion
from unihm.schema.storage import write_json

_EPISODES = "episodes"
_MOTIONS = "motions"


def write_episodes(
    folder: str | Path,
    episodes: Iterable[Episode],
    *,
    shard_size: int = 128,
    options: Mapping[str, Any] | None = None,
    skipped: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Write a new store, replacing the episodes and motions of an old one.

    Args:
        folder: The store.
        episodes: Read once, kept in memory one shard at a time.
        shard_size: Episodes per file.
        options: How the episodes were made, for the manifest.
        skipped: Reason to ids that were left out; may be filled while `episodes` is consumed.

    Returns:
        The manifest.

    Raises:
        ValueError: No episode was given, an id occurs twice, or the folder cannot be written.
    """
    folder = Path(folder)
    try:
        (folder / _EPISODES).mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=folder, prefix=".import."))
    except OSError as error:
        raise ValueError(f"Cannot write '{folder}': {error.strerror or error}.") from error
    try:
        counts = _write_shards(staging, episodes, shard_size)
        files = sorted(staging.iterdir())
        fingerprint = hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)).hexdigest()
        names = [f"{_EPISODES}/{fingerprint[:12]}-{file.name}" for file in files]
        old = read_manifest(folder) if (folder / MANIFEST).exists() else None
        for file, name in zip(files, names, strict=True):
            file.replace(folder / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    manifest = {
        "kind": KIND,
        "version": VERSION,
        "options": dict(options or {}),
        "episodes": sum(count for count, _ in counts),
        "frames": sum(frames for _, frames in counts),
        "skipped": {reason: sorted(ids) for reason, ids in sorted((skipped or {}).items())},
        "fingerprint": fingerprint[:12],
        "shards": [{"file": n, "episodes": count} for n, (count, _) in zip(names, counts, strict=True)],
    }
    write_json(folder / MANIFEST, manifest)  # the moment at which the new episodes replace the old ones
    if old is not None and old["fingerprint"] != manifest["fingerprint"]:
        for shard in old["shards"]:
            (folder / shard["file"]).unlink(missing_ok=True)
        for hand in hands_in(folder):
            motion_path(folder, hand).unlink()
    return manifest


def episode_table(folder: str | Path) -> list[EpisodeRecord]:
    """All episodes of a store without their arrays, in stored order."""
    return [record for _, table in _shards(folder, RECORD_COLUMNS) for record in records_from_table(table)]


def read_episodes(folder: str | Path, ids: Sequence[str] | None = None) -> list[Episode]:
    """Episodes of a store.

    Args:
        folder: The store.
        ids: Which ones, in which order; all in stored order where None.

    Raises:
        ValueError: The store is damaged or an id is not in it.
    """
    wanted = None if ids is None else set(ids)
    found = {}
    for path, table in _shards(folder, None, wanted):
        for row, name in enumerate(table["id"].to_pylist()):
            if wanted is None or name in wanted:
                found[name] = episode_from_row(path, table, row)
    return list(found.values()) if ids is None else _in_order(found, ids, "Episode")


def read_keypoints(folder: str | Path) -> dict[str, tuple[float, Float[np.ndarray, "T 21 3"]]]:
    """Frames per second and human keypoints of every episode, in stored order; float32, as they are stored.

    Raises:
        ValueError: The store is damaged.
    """
    found = {}
    for path, table in _shards(folder, ["id", "fps", "keypoints_world"]):
        for row, (name, fps) in enumerate(zip(table["id"].to_pylist(), table["fps"].to_pylist(), strict=True)):
            found[name] = fps, finite_cell(path, table, "keypoints_world", row).astype(np.float32)
    return found


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
    write_table(motion_path(folder, hand), table, kind=_MOTIONS, version=VERSION, header=facts)


def motion_header(folder: str | Path, hand: str) -> dict[str, Any]:
    """Facts about one hand's motions.

    Returns:
        ``joint_names``; ``made_with``: how they were made, None where that was not recorded; ``digest``: of their ids
        and numbers, None in older files; and what else the writer noted.

    Raises:
        ValueError: As `read_motions`.
    """
    return {"made_with": None, "digest": None, **_motion_table(folder, hand, ["id"])[1]}


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
        _in_order(found, ids, f"Motion of '{hand}' for episode")
        found = {name: found[name] for name in ids}
    return found


def motion_ids(folder: str | Path, hand: str) -> list[str]:
    """Ids of the episodes that a hand has motions for; raises ValueError as `read_motions` does."""
    return _motion_table(folder, hand, ["id"])[2]["id"].to_pylist()


def hands_in(folder: str | Path) -> tuple[str, ...]:
    """Names of the hands that the store has motions of."""
    return tuple(sorted(path.stem for path in (Path(folder) / _MOTIONS).glob("[!.]*.parquet")))


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


def info(folder: str | Path) -> dict[str, Any]:
    """What a store holds, as plain values: counts, hours, hands, objects, statistics and examples."""
    manifest = read_manifest(folder)
    headers = {hand: motion_header(folder, hand) for hand in hands_in(folder)}
    return {
        **summarise(episode_table(folder)),
        "hands": {hand: len(motion_ids(folder, hand)) for hand in headers},
        "motions": {hand: {"digest": h["digest"], **_brief(h["made_with"])} for hand, h in headers.items()},
        "skipped": {reason: len(ids) for reason, ids in manifest["skipped"].items()},
        "options": manifest["options"],
        "fingerprint": manifest["fingerprint"],
    }


def _brief(made_with: Mapping[str, Any] | None) -> dict[str, Any]:
    """How motions were made without what has parts of its own, such as a whole config."""
    return {name: value for name, value in (made_with or {}).items() if not isinstance(value, Mapping)}


def _shards(
    folder: str | Path, columns: list[str] | None, wanted: set[str] | None = None
) -> Iterator[tuple[Path, pa.Table]]:
    """The store's tables; with `wanted`, only those that hold one of these ids."""
    for shard in read_manifest(folder)["shards"]:
        path = Path(folder) / shard["file"]
        if wanted is not None:
            _, ids = read_table(path, kind=_EPISODES, version=VERSION, columns=["id"])
            if wanted.isdisjoint(ids["id"].to_pylist()):
                continue
        _, table = read_table(path, kind=_EPISODES, version=VERSION, columns=columns)
        if len(table) != shard["episodes"]:
            raise ValueError(f"'{path}' holds {len(table)} episodes, the manifest says {shard['episodes']}.")
        yield path, table


def _in_order(found: Mapping[str, Any], ids: Sequence[str], kind: str) -> list[Any]:
    for name in ids:
        if name not in found:
            raise ValueError(f"{kind} '{name}' is not in the data set.")
    return [found[name] for name in ids]


def _motion_table(folder: str | Path, hand: str, columns: list[str] | None) -> tuple[Path, dict[str, Any], pa.Table]:
    known = hands_in(folder)
    if hand not in known:
        raise unknown_name(f"Motions in '{folder}' of hand", hand, known)
    path = motion_path(folder, hand)
    header, table = read_table(path, kind=_MOTIONS, version=VERSION, columns=columns)
    if header["fingerprint"] != read_manifest(folder)["fingerprint"]:
        raise ValueError(f"'{path}' was made for other episodes than the store now holds; retarget again.")
    return path, header, table


def motion_path(folder: str | Path, hand: str) -> Path:
    """Where one hand's motions lie."""
    return Path(folder) / _MOTIONS / f"{hand}.parquet"


def _write_shards(folder: Path, episodes: Iterable[Episode], size: int) -> list[tuple[int, int]]:
    """Write the shards and return the number of episodes and frames of each."""
    seen: set[str] = set()
    counts = []
    for number, shard in enumerate(_batches(episodes, size)):
        for episode in shard:
            if episode.id in seen:
                raise ValueError(f"Episode id '{episode.id}' occurs twice.")
            seen.add(episode.id)
        path = folder / f"{number:05d}.parquet"
        write_table(path, table_from_episodes(shard), kind=_EPISODES, version=VERSION, header={})
        counts.append((len(shard), sum(len(episode) for episode in shard)))
    if not counts:
        raise ValueError("There are no episodes to write.")
    return counts


def _batches(episodes: Iterable[Episode], size: int) -> Iterator[list[Episode]]:
    batch: list[Episode] = []
    for episode in episodes:
        batch.append(episode)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
