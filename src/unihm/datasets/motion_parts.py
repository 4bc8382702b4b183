"""What is finished of one hand's motions, until all of it is: ``motions/.<hand>.parts/<number>.parquet``.

Each part holds the motions of some episodes and is written atomically, so an interrupted run leaves whole parts. A part
states the episodes that it was made for and how; parts that were made otherwise, or are damaged, are dropped when
the folder is opened. The hand's own file appears only when all parts are there.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from unihm.datasets.episode_store import episode_table
from unihm.datasets.manifest import VERSION, motion_path, read_manifest
from unihm.datasets.motion_store import write_motion_table
from unihm.datasets.parquet import read_table, write_table

_KIND = "motions_part"

_log = logging.getLogger(__name__)


class MotionParts:
    """The finished parts of one hand."""

    def __init__(self, folder: str | Path, hand: str, made_with: Mapping[str, Any]):
        """Look for parts of an earlier run.

        Args:
            folder: The store.
            hand: The hand's name.
            made_with: How the parts of this run are made, as JSON values.
        """
        self.store, self.hand = Path(folder), hand
        self.folder = parts_folder(folder, hand)
        self._facts = {"hand": hand, "made_with": made_with, "fingerprint": read_manifest(folder)["fingerprint"]}
        self._headers: dict[Path, dict[str, Any]] = {}
        self.ids: set[str] = set()
        """Episodes that are done."""
        dropped = 0
        for path in sorted(self.folder.glob("[!.]*.parquet")):
            try:
                header, table = read_table(path, kind=_KIND, version=VERSION, columns=["id"])
            except ValueError:  # damaged: made again
                header, table = {}, None
            if table is None or any(header.get(name) != value for name, value in self._facts.items()):
                path.unlink()
                dropped += 1
                continue
            self._headers[path] = header
            self.ids |= set(table["id"].to_pylist())
        if dropped:
            _log.warning("%s: %d parts of an interrupted run were made otherwise and are made again", hand, dropped)

    def add(self, table: pa.Table, facts: Mapping[str, Any]) -> None:
        """Keep the motions of further episodes.

        Args:
            table: Rows of `motion_rows`.
            facts: ``joint_names``, ``unconverged`` (frames) and ``seconds`` (processor time).
        """
        number = 1 + max((int(path.stem) for path in self._headers), default=-1)
        path = self.folder / f"{number:05d}.parquet"
        write_table(path, table, kind=_KIND, version=VERSION, header={**self._facts, **facts})
        self._headers[path] = {**self._facts, **facts}
        self.ids |= set(table["id"].to_pylist())

    def merge(self) -> float:
        """Write the hand's motions, all episodes in stored order, and remove the parts.

        Returns:
            Processor time that they took; it is not written, so that the same motions are the same file.
        """
        tables = [read_table(path, kind=_KIND, version=VERSION)[1] for path in self._headers]
        table = pa.concat_tables(tables).replace_schema_metadata(None)
        row_of = {name: row for row, name in enumerate(table["id"].to_pylist())}
        table = table.take([row_of[record.id] for record in episode_table(self.store)])
        headers = list(self._headers.values())
        header = {
            "joint_names": headers[0]["joint_names"],
            "made_with": self._facts["made_with"],
            "unconverged": sum(header["unconverged"] for header in headers),
        }
        write_motion_table(self.store, self.hand, table, header)
        remove_parts(self.store, self.hand)
        return sum(header["seconds"] for header in headers)


def parts_folder(folder: str | Path, hand: str) -> Path:
    """Where a hand's parts lie; a name that `hands_in` does not take for a hand."""
    return motion_path(folder, hand).with_name(f".{hand}.parts")


def remove_parts(folder: str | Path, hand: str) -> None:
    """Remove what an interrupted run left of a hand."""
    shutil.rmtree(parts_folder(folder, hand), ignore_errors=True)
