"""Episodes on disk: a folder of Parquet files, one row an episode.

    manifest.json                    what was imported, what was left out and why
    episodes/<fingerprint>-*.parquet schema.Episode, see `episode_rows` for the columns
    motions/<hand>.parquet           joint positions and palm path of one hand, see `motion_store`
    refined/<hand>.parquet           the same, refined and checked in simulation, see `unihm.physical_data`
    annotations.parquet              instructions that take the place of the imported ones, see `annotations`

The manifest is written last and names the shards: until it is there, the old episodes stay valid.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from unihm.datasets.annotations import read_annotations, remove_annotations
from unihm.datasets.episode_rows import (
    RECORD_COLUMNS,
    EpisodeRecord,
    episode_from_row,
    finite_cell,
    records_from_table,
    table_from_episodes,
)
from unihm.datasets.manifest import KIND, MANIFEST, MOTIONS, REFINED, VERSION, hands_in, motion_path, read_manifest
from unihm.datasets.parquet import read_table, write_table
from unihm.schema.episode import Episode
from unihm.schema.storage import write_json

_EPISODES = "episodes"
_Described = TypeVar("_Described", Episode, EpisodeRecord)


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
        remove_annotations(folder)
        for kind in (MOTIONS, REFINED):
            for hand in hands_in(folder, kind):
                motion_path(folder, hand, kind).unlink()
    return manifest


def episode_table(folder: str | Path) -> list[EpisodeRecord]:
    """All episodes of a store without their arrays, in stored order."""
    records = [record for _, table in _shards(folder, RECORD_COLUMNS) for record in records_from_table(table)]
    return _annotated(folder, records)


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
    return _annotated(folder, list(found.values()) if ids is None else in_order(found, ids, "Episode"))


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


def in_order(found: Mapping[str, Any], ids: Sequence[str], kind: str) -> list[Any]:
    """What was found, in the order of the ids; raises ValueError for an id that was not, named as `kind`."""
    for name in ids:
        if name not in found:
            raise ValueError(f"{kind} '{name}' is not in the data set.")
    return [found[name] for name in ids]


def _annotated(folder: str | Path, items: list[_Described]) -> list[_Described]:
    """The same with the instructions that were written after the import, where there are any."""
    annotations = read_annotations(folder)
    return [replace(i, instructions=annotations[i.id].instructions) if i.id in annotations else i for i in items]


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
