"""Files that open without pickle and are never half written.

A record on disk is one ``.npz``: plain arrays and a ``header`` entry, a JSON string that states the
record's kind, its format version and everything that is not an array.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

HEADER = "header"


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends without an error.

    Raises:
        ValueError: The folder does not exist and cannot be made, or cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    except OSError as error:
        raise ValueError(f"Cannot write '{path}': {error.strerror or error}.") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes private files; results are ordinary ones
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write a JSON file atomically, indented, with a final newline."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def save_record(
    path: str | Path, *, kind: str, version: int, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write one record as ``.npz``.

    Args:
        path: Target file; replaced atomically.
        kind: The record's name, for example ``hand_motion``.
        version: The format version of that kind.
        header: Everything that is not an array; JSON values.
        arrays: Numeric arrays by name.
    """
    text = json.dumps({"kind": kind, "version": version, **header})
    contents: dict[str, Any] = {HEADER: np.array(text), **arrays}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **contents)


def load_record(path: str | Path, *, kind: str, version: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `save_record` wrote.

    Returns:
        The header and the arrays.

    Raises:
        ValueError: The file is missing, damaged, of another kind or of a newer version.
    """
    path = Path(path)
    arrays = load_arrays(path)
    if HEADER not in arrays:
        raise ValueError(f"'{path}' is not a unihm file: it has no header entry.")
    try:
        header = json.loads(str(arrays.pop(HEADER)))
    except json.JSONDecodeError as error:
        raise ValueError(f"'{path}' is damaged: its header is not JSON ({error}).") from error
    if header.get("kind") != kind:
        raise ValueError(f"'{path}' holds a {header.get('kind')!r}, expected a {kind!r}.")
    if header.get("version") != version:
        raise ValueError(f"'{path}' has format version {header.get('version')}, this unihm reads {version}.")
    return header, arrays


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz``, or of an ``.npy`` under the name ``array``, without unpickling.

    Raises:
        ValueError: The file is missing, damaged, or would need pickle.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"File '{path}' does not exist.")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"array": loaded}
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
        what = str(error)
        if "pickle" in what:  # NumPy says so of anything that it does not know, and advises to allow it
            what = "expected plain numbers; Python objects are never unpickled."
        raise ValueError(f"'{path}' is damaged or not a NumPy file: {what}") from error


def load_record_header(path: str | Path) -> dict[str, Any]:
    """Only the header of a record, to learn its kind; empty for a plain NumPy file.

    Raises:
        ValueError: The file is missing or damaged.
    """
    arrays = load_arrays(path)
    try:
        return json.loads(str(arrays[HEADER])) if HEADER in arrays else {}
    except json.JSONDecodeError as error:
        raise ValueError(f"'{path}' is damaged: its header is not JSON ({error}).") from error
