"""A data set becomes an episode store with motions for every hand.

What a finished step has written is kept: importing again into the same folder goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from unihm.datasets.base import DATASETS, DatasetReader, Skipped
from unihm.datasets.episode_store import (
    episode_table,
    hands_in,
    motion_ids,
    read_episodes,
    write_episodes,
    write_motions,
)
from unihm.datasets.manifest import MANIFEST, read_manifest
from unihm.schema.motion import HandMotion

_CHUNK = 32  # episodes a call of `retarget`; a progress bar moves after each

Retarget = Callable[[list[np.ndarray], str], list[HandMotion]]
"""Human keypoints, one array (T_i, 21, 3) an episode, and the name of a hand -> one motion an episode."""


def import_dataset(
    format: str,
    root: str | Path,
    out: str | Path,
    hands: Sequence[str] = (),
    *,
    retarget: Retarget | None = None,
    workers: int = 1,
    limit: int | None = None,
    reader: DatasetReader | None = None,
) -> dict[str, Any]:
    """Read a data set, write its episodes, and retarget them to each hand.

    Args:
        format: Name in `DATASETS`.
        root: Folder of the data set.
        out: Folder of the store. Episodes and hands that are complete there are kept.
        hands: Names of the hands to retarget to.
        retarget: See `Retarget`; needed where `hands` are given, and picklable where ``workers > 1``.
        workers: Processes that retarget.
        limit: Stop after this many episodes.
        reader: A configured reader, instead of the one that `format` makes with its defaults.

    Returns:
        The manifest of the store.

    Raises:
        ValueError: The data cannot be read, or `out` holds the import of something else.
    """
    root, out = Path(root), Path(out)
    if hands and retarget is None:
        raise ValueError("Motions for hands are wanted, but no retargeting was given.")
    if workers < 1 or (limit is not None and limit < 1):
        raise ValueError(f"workers and limit must be at least 1, got {workers} and {limit}.")
    source: DatasetReader = reader if reader is not None else DATASETS[format]()
    if not root.is_dir():
        raise ValueError(f"Data set folder '{root}' does not exist.")
    options = {"format": format, "source": _source(root), "limit": limit, **source.options}
    if (out / MANIFEST).exists():
        _check_same_import(out, options)
    else:
        skipped: dict[str, list[str]] = {}

        def on_skip(what: Skipped) -> None:
            skipped.setdefault(what.reason, []).append(what.id)

        episodes = itertools.islice(source.episodes(root, on_skip), limit)
        bar = tqdm(episodes, desc=f"read {format}", unit="episode", total=limit, disable=None, delay=2)
        write_episodes(out, iter(bar), options=options, skipped=skipped)
    if retarget is not None:
        for hand in hands:
            _retarget_all(out, hand, retarget, workers)
    return read_manifest(out)


def _check_same_import(out: Path, options: dict[str, Any]) -> None:
    old = read_manifest(out)["options"]
    different = sorted(key for key in {*old, *options} if old.get(key) != options.get(key))
    if different:
        changes = ", ".join(f"{key} was {old.get(key)!r} and is {options.get(key)!r}" for key in different)
        raise ValueError(f"'{out}' holds another import ({changes}); choose another folder or remove it.")


def _source(root: Path) -> str:
    """Digest of the names and sizes of the files in the folder, to tell one data set from another."""
    files = sorted((path.name, path.stat().st_size) for path in root.iterdir() if path.is_file())
    return hashlib.sha256(repr(files).encode()).hexdigest()[:12]


def _retarget_all(out: Path, hand: str, retarget: Retarget, workers: int) -> None:
    """Retarget every episode of the store to one hand, unless that is done."""
    ids = [record.id for record in episode_table(out)]
    if hand in hands_in(out) and motion_ids(out, hand) == ids:
        return
    motions: dict[str, HandMotion] = {}
    episodes = read_episodes(out)
    chunks = [episodes[start : start + _CHUNK] for start in range(0, len(episodes), _CHUNK)]
    with tqdm(total=len(ids), desc=f"retarget {hand}", unit="episode", disable=None, delay=2) as bar:
        keypoints = [[episode.keypoints_world for episode in chunk] for chunk in chunks]
        for chunk, results in zip(chunks, _map(retarget, keypoints, hand, workers), strict=True):
            for episode, motion in zip(chunk, results, strict=True):
                motions[episode.id] = motion.replace(fps=episode.fps, source=episode.id)
            bar.update(len(chunk))
    write_motions(out, hand, motions)


def _map(retarget: Retarget, chunks: Sequence[list[np.ndarray]], hand: str, workers: int) -> Iterator[list[HandMotion]]:
    if workers == 1:
        yield from (retarget(chunk, hand) for chunk in chunks)
        return
    # Forked children would inherit the locks of torch's thread pools.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(retarget, chunks, itertools.repeat(hand))
