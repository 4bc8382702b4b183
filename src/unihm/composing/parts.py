"""What is finished of a composed store, until all of it is: ``.composing/<number>.*`` in its folder.

A part is a table of episodes, a table of refined motions for each hand, and the facts of all orders, written last: a
part without facts is no part. Parts that were made with other settings are dropped when the folder is opened.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from unihm.composing.trying import Tried
from unihm.datasets.episode_rows import episode_from_row, table_from_episodes
from unihm.datasets.manifest import VERSION
from unihm.datasets.motion_rows import checked_table
from unihm.datasets.parquet import read_table, write_table
from unihm.schema.episode import Episode
from unihm.schema.storage import write_json

_EPISODES, _MOTIONS = "composed_part", "composed_motions_part"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Came:
    """What came of an order, without arrays."""

    refused: str = ""
    """Why nothing was composed."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Hand to why its motion failed; empty where it did not."""

    @property
    def kept(self) -> bool:
        """Whether any hand did it."""
        return not self.refused and any(not reason for reason in self.reasons.values())


class ComposedParts:
    """The finished parts of one store."""

    def __init__(self, folder: str | Path, made_with: Mapping[str, Any]):
        """Look for parts of an earlier run.

        Args:
            folder: The store.
            made_with: How the parts of this run are made, as JSON values.
        """
        self.folder, self._made_with = Path(folder) / ".composing", dict(made_with)
        self._numbers: list[int] = []
        self.came: dict[str, Came] = {}
        """What came of the orders that are done."""
        dropped = 0
        for path in sorted(self.folder.glob("[!.]*.json")):
            try:
                facts = json.loads(path.read_text(encoding="utf-8"))
                same = facts["made_with"] == self._made_with
                came = {name: Came(**one) for name, one in facts["orders"].items()}
            except (OSError, ValueError, KeyError, TypeError):  # damaged: made again
                same, came = False, {}
            if not same:
                path.unlink()
                dropped += 1
                continue
            self._numbers.append(int(path.stem))
            self.came |= came
        if dropped:
            _log.warning("%d parts of an interrupted run were made otherwise and are made again", dropped)

    @property
    def there(self) -> bool:
        """Whether a run has not been put together yet."""
        return self.folder.exists()

    def add(self, tried: Sequence[Tried]) -> None:
        """Keep what came of further orders; episodes that no hand could do are counted and not kept."""
        number = 1 + max(self._numbers, default=-1)
        kept = [one for one in tried if one.passed]
        episodes = table_from_episodes([one.episode for one in kept if one.episode is not None])
        write_table(self._path(number, "episodes"), episodes, kind=_EPISODES, version=VERSION, header={})
        for hand in dict.fromkeys(hand for one in kept for hand in one.hands):
            motions = {one.id: m for one in kept if (m := one.hands[hand].motion) is not None}
            checked = {one.id: c for one in kept if (c := one.hands[hand].checked) is not None}
            if motions:
                names = next(iter(motions.values())).joint_names
                table = checked_table(motions, checked, len(names))
                header = {"hand": hand, "joint_names": list(names)}
                write_table(self._path(number, hand), table, kind=_MOTIONS, version=VERSION, header=header)
        came = {
            one.id: {"refused": one.refused, "reasons": {hand: h.reason for hand, h in one.hands.items()}}
            for one in tried
        }
        write_json(self.folder / f"{number:05d}.json", {"made_with": self._made_with, "orders": came})
        self._numbers.append(number)
        self.came |= {name: Came(**one) for name, one in came.items()}

    def episodes(self, ids: Sequence[str]) -> list[Episode]:
        """The kept episodes, in the order of the ids."""
        found: dict[str, Episode] = {}
        for number in self._numbers:
            path = self._path(number, "episodes")
            _, table = read_table(path, kind=_EPISODES, version=VERSION)
            found |= {name: episode_from_row(path, table, row) for row, name in enumerate(table["id"].to_pylist())}
        return [found[name] for name in ids if name in found]

    def motions(self, hand: str, ids: Sequence[str]) -> tuple[list[str], pa.Table] | None:
        """Joint names and rows of a hand's refined motions in the order of the ids; None where there is none."""
        paths = [path for number in self._numbers if (path := self._path(number, hand)).exists()]
        parts = [read_table(path, kind=_MOTIONS, version=VERSION) for path in paths]
        if not parts:
            return None
        table = pa.concat_tables([table.replace_schema_metadata(None) for _, table in parts])
        row_of = {name: row for row, name in enumerate(table["id"].to_pylist())}
        rows = [row_of[name] for name in ids if name in row_of]
        return parts[0][0]["joint_names"], table.take(pa.array(rows, type=pa.int64()))

    def remove(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int, what: str) -> Path:
        return self.folder / f"{number:05d}.{what}.parquet"
