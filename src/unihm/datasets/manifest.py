"""What belongs to an episode store: its manifest (files, how they were made, what was left out), and its motions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VERSION = 1
KIND = "unihm_dataset"
MANIFEST = "manifest.json"
MOTIONS, REFINED = "motions", "refined"
"""Kinds of motions: retargeted as recorded, and refined and checked in simulation; the folders that they lie in."""


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a store.

    Raises:
        ValueError: The folder is not a complete store, or its manifest is damaged.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise ValueError(
            f"'{folder}' is not a unihm data set: '{MANIFEST}' is missing. Make one with 'unihm data import'."
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        kind, version = manifest["kind"], manifest["version"]
        if kind == KIND and version == VERSION:
            _ = manifest["fingerprint"], [(s["file"], s["episodes"]) for s in manifest["shards"]]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"'{path}' is damaged: {error!r}.") from error
    if kind != KIND:
        raise ValueError(f"'{path}' describes a {kind!r}, expected a '{KIND}'.")
    if version != VERSION:
        raise ValueError(f"'{path}' has format version {version}, this unihm reads {VERSION}.")
    return manifest


def hands_in(folder: str | Path, kind: str = MOTIONS) -> tuple[str, ...]:
    """Names of the hands that the store has motions of."""
    return tuple(sorted(path.stem for path in (Path(folder) / kind).glob("[!.]*.parquet")))


def motion_path(folder: str | Path, hand: str, kind: str = MOTIONS) -> Path:
    """Where one hand's motions lie."""
    return Path(folder) / kind / f"{hand}.parquet"


@contextmanager
def alone(folder: str | Path) -> Iterator[None]:
    """Refuse a second run that makes motions of the same store; the lock ends with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows: two runs at once are the user's to avoid
        yield
        return
    path = motion_path(folder, "any").with_name(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"Another run is retargeting or refining '{folder}'; wait for its end.") from None
        yield
