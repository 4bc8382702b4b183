"""Data sets to episode stores, and their episodes to motions of hands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unihm.commands.console import report


def data_import(
    format: str,
    root: Path,
    out: Path,
    *,
    hands: tuple[str, ...] = (),
    preset: str = "default",
    models: Path | None = None,
    workers: int | None = None,
    engine: str = "process",
    limit: int | None = None,
    json: bool = False,
):
    """Read a data set, write it as Parquet episodes, and retarget it to hands.

    Args:
        format: Name of the reader, for example dexycb.
        root: Folder of the data set.
        out: Folder for the episode store; what an earlier run finished is kept.
        hands: Hands to retarget to, by name or folder; default: all installed right hands.
        preset: Named settings of retargeting: default, position, or vector.
        models: Folder with the objects' models; default: where the reader expects it, beside ROOT.
        workers: How many retarget side by side; default: all cores, or the whole Ray cluster.
        engine: process (this machine) or ray (pip install 'unihm[ray]').
        limit: Read at most this many episodes.
        json: Print the facts as JSON.
    """
    from unihm.datasets.base import DATASETS
    from unihm.datasets.importing import import_dataset
    from unihm.datasets.summary import info
    from unihm.datasets.workers import check_workers

    check_workers(workers, engine)
    names, retargeting = _retargeting(hands, preset)
    reader = None if models is None else DATASETS[format](models=models)
    import_dataset(
        format,
        root,
        out,
        names,
        retargeting=retargeting,
        workers=workers,
        engine=engine,
        limit=limit,
        reader=reader,
    )
    report(info(out), json)


def data_retarget(
    data: Path,
    *,
    hands: tuple[str, ...] = (),
    preset: str = "default",
    workers: int | None = None,
    engine: str = "process",
    force: bool = False,
    json: bool = False,
):
    """Retarget every episode of a store to hands, on all cores or a Ray cluster; goes on where it was interrupted.

    Args:
        data: The store's folder, from `unihm data import`.
        hands: Hands to retarget to, by name or folder; default: all installed right hands.
        preset: Named settings of retargeting: default, position, or vector.
        workers: How many work side by side; default: all cores, or the whole Ray cluster.
        engine: process (this machine) or ray (pip install 'unihm[ray]').
        force: Make complete motions anew. Without it, motions that were made with other settings are refused.
        json: Print the figures as JSON.
    """
    import time
    from dataclasses import asdict

    from unihm.datasets.store_retargeting import retarget_store
    from unihm.datasets.workers import check_workers

    check_workers(workers, engine)
    names, retargeting = _retargeting(hands, preset)
    start = time.perf_counter()
    done = retarget_store(data, names, retargeting, workers=workers, engine=engine, force=force)
    seconds = time.perf_counter() - start
    lines = [
        f"{row.hand}: {row.episodes} episodes, {row.frames} frames, "
        + ("complete before" if row.kept else f"{row.unconverged} frames did not converge")
        for row in done
    ]
    facts = {"data": str(data), "preset": preset, "seconds": round(seconds, 2), "hands": [asdict(row) for row in done]}
    report(facts, json, "\n".join([*lines, f"{seconds:.1f} s"]))


def data_info(data: Path, *, json: bool = False):
    """What an episode store holds.

    Args:
        data: The store's folder.
        json: Print as JSON.
    """
    from unihm.datasets.summary import info

    report(info(data), json)


def _retargeting(hands: tuple[str, ...], preset: str) -> tuple[list[str], Any]:
    """The hands' names and how they are retargeted to; an unknown hand or preset is refused before hours of work."""
    from unihm.datasets.hand_retargeting import HandRetargeting
    from unihm.hands.description import describe_hand, list_hands
    from unihm.registry import unknown_name
    from unihm.retargeting.config import PRESETS

    if preset not in PRESETS:
        raise unknown_name("--preset", preset, PRESETS)
    names = [name for words in hands for name in words.split(",") if name]
    # recordings of left hands are mirrored: every episode shows a right one
    names = names or [name for name in list_hands() if describe_hand(name).side == "right"]
    retargeting = HandRetargeting(PRESETS[preset])
    for name in names:
        retargeting.describe(name)
    return names, retargeting
