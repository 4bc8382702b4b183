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
    limit: int | None = None,
    json: bool = False,
):
    """Read a data set, write it as Parquet episodes, and retarget it to hands.

    Args:
        format: Name of the reader, for example dexycb.
        root: Folder of the data set.
        out: Folder for the episode store; a finished part of an earlier run is kept.
        hands: Hands to retarget to; default: all installed.
        limit: Read at most this many episodes.
        json: Print the facts as JSON.
    """
    from unihm.datasets.episode_store import info
    from unihm.datasets.importing import import_dataset
    from unihm.hands.hand import list_hands, load_hand
    from unihm.retargeting import retarget as retarget_all

    models = {name: load_hand(name) for name in (hands or list_hands())}
    import_dataset(
        format,
        root,
        out,
        hands=tuple(models),
        retarget=lambda keypoints, hand: retarget_all(keypoints, models[hand]),
        limit=limit,
    )
    report(info(out), json)


def data_info(data: Path, *, json: bool = False):
    """What an episode store holds.

    Args:
        data: The store's folder.
        json: Print as JSON.
    """
    from unihm.datasets.episode_store import info

    report(info(data), json)
