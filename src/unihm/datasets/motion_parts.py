"""What is finished of one hand's motions, until all of it is: ``motions/.<hand>.parts/<number>.parquet``.

The same for refined ones, under ``refined/``.

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
from unihm.datasets.manifest import MOTIONS, VERSION, motion_path, read_manifest
from unihm.datasets.motion_store import write_motion_table
from unihm.datasets.parquet import read_table, write_table

_log = logging.getLogger(__name__)


class MotionParts:
    """The finished parts of one hand."""

    def __init__(self, folder: str | Path, hand: str, made_with: Mapping[str, Any], *, kind: str = MOTIONS):
        """Look for parts of an earlier run.

        Args:
            folder: The store.
            hand: The hand's name.
            made_with: How the parts of this run are made, as JSON values.
            kind: ``motions`` or ``refined``.
        """
        self.store, self.hand, self.kind = Path(folder), hand, kind
        self.folder = parts_folder(folder, hand, kind)
        self._facts = {"hand": hand, "made_with": made_with, "fingerprint": read_manifest(folder)["fingerprint"]}
        self._headers: dict[Path, dict[str, Any]] = {}
        self.ids: set[str] = set()
        """Episodes that are done, those that were left out with a reason included."""
        dropped = 0
        for path in sorted(self.folder.glob("[!.]*.parquet")):
            try:
                header, table = read_table(path, kind=self._part, version=VERSION, columns=["id"])
            except ValueError:  # damaged: made again
                header, table = {}, None
            if table is None or any(header.get(name) != value for name, value in self._facts.items()):
                path.unlink()
                dropped += 1
                continue
            self._headers[path] = header
            self.ids |= {*table["id"].to_pylist(), *header.get("skipped", {})}
        if dropped:
            _log.warning("%s: %d parts of an interrupted run were made otherwise and are made again", hand, dropped)

    def add(self, table: pa.Table, facts: Mapping[str, Any]) -> None:
        """Keep the motions of further episodes.

        Args:
            table: Rows of `motion_rows`.
            facts: ``joint_names`` and ``seconds`` (processor time); ``unconverged`` (frames), and ``skipped``: the
                episodes that gave no motion, each with the reason.
        """
        number = 1 + max((int(path.stem) for path in self._headers), default=-1)
        path = self.folder / f"{number:05d}.parquet"
        write_table(path, table, kind=self._part, version=VERSION, header={**self._facts, **facts})
        self._headers[path] = {**self._facts, **facts}
        self.ids |= {*table["id"].to_pylist(), *facts.get("skipped", {})}

    def merge(self, before: tuple[Mapping[str, Any], pa.Table] | None = None) -> float:
        """Write the hand's motions in the stored order of their episodes, and remove the parts.

        Args:
            before: Header and rows of motions that are there already, made in the same way, and that stay.

        Returns:
            Processor time that they took; it is not written, so that the same motions are the same file.
        """
        headers = list(self._headers.values())
        tables = [read_table(path, kind=self._part, version=VERSION)[1] for path in self._headers]
        old, rows = before or ({}, None)
        if rows is not None:
            tables.append(rows)
        table = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
        row_of = {name: row for row, name in enumerate(table["id"].to_pylist())}
        order = [row_of[record.id] for record in episode_table(self.store) if record.id in row_of]
        table = table.take(pa.array(order, type=pa.int64()))
        header: dict[str, Any] = {
            "joint_names": (headers or [old])[0]["joint_names"],
            "made_with": self._facts["made_with"],
        }
        if headers and all("unconverged" in part for part in headers):
            header["unconverged"] = sum(part["unconverged"] for part in headers)
        skipped = {**old.get("skipped", {}), **self.skipped}
        if skipped:
            header["skipped"] = dict(sorted(skipped.items()))
        write_motion_table(self.store, self.hand, table, header, kind=self.kind)
        remove_parts(self.store, self.hand, self.kind)
        return sum(part["seconds"] for part in headers)

    @property
    def skipped(self) -> dict[str, str]:
        """Episodes that gave no motion, each with the reason."""
        return {name: reason for part in self._headers.values() for name, reason in part.get("skipped", {}).items()}

    @property
    def _part(self) -> str:
        return f"{self.kind}_part"


def parts_folder(folder: str | Path, hand: str, kind: str = MOTIONS) -> Path:
    """Where a hand's parts lie; a name that `hands_in` does not take for a hand."""
    return motion_path(folder, hand, kind).with_name(f".{hand}.parts")


def remove_parts(folder: str | Path, hand: str, kind: str = MOTIONS) -> None:
    """Remove what an interrupted run left of a hand."""
    shutil.rmtree(parts_folder(folder, hand, kind), ignore_errors=True)
