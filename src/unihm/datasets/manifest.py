"""What belongs to an episode store: its manifest (files, how they were made, what was left out), and its motions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VERSION = 1
KIND = "unihm_dataset"
MANIFEST = "manifest.json"
_MOTIONS = "motions"


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


def hands_in(folder: str | Path) -> tuple[str, ...]:
    """Names of the hands that the store has motions of."""
    return tuple(sorted(path.stem for path in (Path(folder) / _MOTIONS).glob("[!.]*.parquet")))


def motion_path(folder: str | Path, hand: str) -> Path:
    """Where one hand's motions lie."""
    return Path(folder) / _MOTIONS / f"{hand}.parquet"
