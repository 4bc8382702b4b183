"""Data sets to episode stores."""

from __future__ import annotations

from pathlib import Path

from unihm.commands.console import report


def data_import(
    format: str,
    root: Path,
    out: Path,
    *,
    hands: tuple[str, ...] = (),
    models: Path | None = None,
    workers: int = 1,
    limit: int | None = None,
    json: bool = False,
):
    """Read a data set, write it as Parquet episodes, and retarget it to hands.

    Args:
        format: Name of the reader, for example dexycb.
        root: Folder of the data set.
        out: Folder for the episode store; a finished part of an earlier run is kept.
        hands: Hands to retarget to; default: all installed.
        models: Folder with the objects' models; default: where the reader expects it, beside ROOT.
        workers: Processes that retarget side by side.
        limit: Read at most this many episodes.
        json: Print the facts as JSON.
    """
    from unihm.datasets.base import DATASETS
    from unihm.datasets.episode_store import info
    from unihm.datasets.importing import import_dataset
    from unihm.hands.description import describe_hand, list_hands

    # recordings of left hands are mirrored: every episode shows a right one
    names = hands or tuple(name for name in list_hands() if describe_hand(name).side == "right")
    for name in names:
        describe_hand(name)  # an unknown hand is refused before hours of work
    reader = None if models is None else DATASETS[format](models=models)
    import_dataset(format, root, out, names, retarget=_retarget, workers=workers, limit=limit, reader=reader)
    report(info(out), json)


def data_info(data: Path, *, json: bool = False):
    """What an episode store holds.

    Args:
        data: The store's folder.
        json: Print as JSON.
    """
    from unihm.datasets.episode_store import info

    report(info(data), json)


def _retarget(keypoints: list, hand: str) -> list:
    """Keypoints to motions of a named hand; a plain function, so that worker processes can be handed it."""
    from unihm.hands.description import describe_hand
    from unihm.retargeting import retarget

    return retarget(keypoints, describe_hand(hand))
