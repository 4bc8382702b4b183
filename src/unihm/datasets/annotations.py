"""Instructions that were written for a store's episodes after its import: ``annotations.parquet``, one row an episode.

They take the place of the imported ones where episodes are read. The episodes' own files stay as they are, so that the
store's fingerprint, and with it every motion, stays valid; without the file, the imported instructions are back.

Each row keeps who wrote it: ``model`` (a vision-language model's name, or ``offline``) and ``prompt`` (version of the
prompt, or of the sentence forms with the seed). What a run has finished lies in ``.annotations.jsonl``, a line an
episode, until it is put into the table.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from unihm.datasets.manifest import VERSION, read_manifest
from unihm.datasets.parquet import read_table, write_table

ANNOTATIONS = "annotations.parquet"
JOURNAL = ".annotations.jsonl"
_KIND = "annotations"
_COLUMNS = {"id": pa.string(), "instructions": pa.list_(pa.string()), "model": pa.string(), "prompt": pa.string()}


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """What was written for one episode, and by whom."""

    instructions: tuple[str, ...]
    """Distinct sentences."""
    model: str
    """Who wrote them: a model's name, or ``offline``."""
    prompt: str
    """Version of what was asked."""


def read_annotations(folder: str | Path) -> dict[str, Annotation]:
    """The annotations of a store by episode; empty where there are none.

    Raises:
        ValueError: The file is damaged, or was written for other episodes than the store's.
    """
    path = Path(folder) / ANNOTATIONS
    if not path.exists():
        return {}
    header, table = read_table(path, kind=_KIND, version=VERSION)
    if header.get("fingerprint") != read_manifest(folder)["fingerprint"]:
        raise ValueError(f"'{path}' was written for other episodes than those of '{folder}'; remove it.")
    return {row.pop("id"): Annotation(**_row(row)) for row in table.select(list(_COLUMNS)).to_pylist()}


def pending_annotations(folder: str | Path) -> dict[str, Annotation]:
    """`read_annotations`, and what an interrupted run left in its journal."""
    fingerprint = read_manifest(folder)["fingerprint"]
    return read_annotations(folder) | _read_journal(Path(folder) / JOURNAL, fingerprint)


def write_annotations(folder: str | Path, annotations: Mapping[str, Annotation]) -> None:
    """Replace the annotations of a store, atomically."""
    rows = [{"id": name, **asdict(annotation)} for name, annotation in sorted(annotations.items())]
    table = pa.Table.from_pylist(rows, schema=pa.schema(_COLUMNS.items()))
    header = {"fingerprint": read_manifest(folder)["fingerprint"]}
    write_table(Path(folder) / ANNOTATIONS, table, kind=_KIND, version=VERSION, header=header)


def remove_annotations(folder: str | Path) -> None:
    """Back to the imported instructions."""
    for name in (ANNOTATIONS, JOURNAL):
        (Path(folder) / name).unlink(missing_ok=True)


class Journal:
    """Annotations that are kept one by one while they are made; `open_journal` opens it."""

    def __init__(self, file: TextIO, annotations: dict[str, Annotation]):
        self.annotations = annotations
        """All there are: those of the table, of an interrupted run and of this one."""
        self._file, self._lock = file, threading.Lock()

    def add(self, name: str, annotation: Annotation) -> None:
        """Keep one, in the file before this returns; from any thread."""
        with self._lock:
            self._file.write(json.dumps({"id": name, **asdict(annotation)}) + "\n")
            self._file.flush()
            self.annotations[name] = annotation


@contextmanager
def open_journal(folder: str | Path) -> Iterator[Journal]:
    """The journal of a store, with what an interrupted run left; at the end all is put into the table.

    Raises:
        ValueError: Another run annotates the store, or table or journal are damaged.
    """
    folder = Path(folder)
    path, fingerprint = folder / JOURNAL, read_manifest(folder)["fingerprint"]
    with path.open("a+", encoding="utf-8") as file:
        _lock(file, folder)
        annotations = pending_annotations(folder)
        first = json.dumps({"fingerprint": fingerprint}) + "\n"
        whole = _whole_lines(path)
        if not whole or whole[0] != first:  # new, or of episodes that are gone
            file.truncate(0)
            file.write(first)
            file.flush()
        else:
            file.truncate(len("".join(whole).encode()))
        journal = Journal(file, annotations)
        try:
            yield journal
        finally:
            if journal.annotations:
                write_annotations(folder, journal.annotations)
            path.unlink(missing_ok=True)


def _lock(file: TextIO, folder: Path) -> None:
    """Refuse a second run on the store; the lock ends with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows: two runs at once are the user's to avoid
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(f"Another run is annotating '{folder}'; wait for its end.") from None
    if not os.fstat(file.fileno()).st_nlink:
        raise ValueError(f"Another run has just annotated '{folder}'; start again.")


def _read_journal(path: Path, fingerprint: str) -> dict[str, Annotation]:
    """What a journal holds of the episodes with this fingerprint."""
    first, *lines = _whole_lines(path) or [""]
    found: dict[str, Annotation] = {}
    if first != json.dumps({"fingerprint": fingerprint}) + "\n":
        return found
    for number, line in enumerate(lines, start=2):
        try:
            row = json.loads(line)
            name = row.pop("id")
            found[name] = Annotation(**_row(row))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"Line {number} of '{path}' is damaged ({error}); remove the line.") from error
    return found


def _whole_lines(path: Path) -> list[str]:
    """The lines of a journal without a last one that was cut off when the process was killed."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]


def _row(row: dict) -> dict:
    return {**row, "instructions": tuple(row["instructions"])}
