"""A data set becomes an episode store with motions for every hand.

What a finished step has written is kept: importing again into the same folder goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from unihm.datasets.base import DATASETS, DatasetReader, Skipped
from unihm.datasets.episode_store import write_episodes
from unihm.datasets.manifest import MANIFEST, read_manifest
from unihm.datasets.recordings import Retargeting
from unihm.datasets.store_retargeting import retarget_store


def import_dataset(
    format: str,
    root: str | Path,
    out: str | Path,
    hands: Sequence[str] = (),
    *,
    retargeting: Retargeting | None = None,
    workers: int | None = None,
    engine: str = "process",
    limit: int | None = None,
    reader: DatasetReader | None = None,
) -> dict[str, Any]:
    """Read a data set, write its episodes, and retarget them to each hand.

    Args:
        format: Name in `DATASETS`.
        root: Folder of the data set.
        out: Folder of the store. Episodes and hands that are complete there are kept.
        hands: Names of the hands to retarget to.
        retargeting: How; needed where `hands` are given.
        workers: See `open_workers`, which retarget; default: all cores.
        engine: See `open_workers`.
        limit: Stop after this many episodes.
        reader: A configured reader, instead of the one that `format` makes with its defaults.

    Returns:
        The manifest of the store.

    Raises:
        ValueError: The data cannot be read, `out` holds the import of something else, or see `retarget_store`.
    """
    root, out = Path(root), Path(out)
    if hands and retargeting is None:
        raise ValueError("Motions for hands are wanted, but no retargeting was given.")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}, expected at least 1.")
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
    if hands and retargeting is not None:
        retarget_store(out, hands, retargeting, workers=workers, engine=engine)
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
