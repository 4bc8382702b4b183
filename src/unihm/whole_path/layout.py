"""Rows of `whole_path.simulation` laid out as the paper's Table 3: what stands where, in text and on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from unihm.evaluation.simulation_rows import ALL, ALL_HANDS, PAIRED
from unihm.whole_path.trials import BEST, PERCEIVED
from unihm.whole_path.worlds import COLUMNS

BOTH = "seen and unseen"
"""What is said of rows over all parts."""
NOT_TRIED = "not tried"
"""What is said of a cell without trials."""
PALETTE = ("#4878a8", "#d07a2d", "#4f9a5b", "#a4568f", "#b8a02c", "#5fb3b3", "#8a6a4a", "#8b8f99")
"""Colours of ways, then again from the first; those of reasons in `charts` are others."""

Row = Mapping[str, Any]


class Cell(NamedTuple):
    """What is asked of the rows."""

    part: str
    """``seen``, ``unseen`` or `BOTH`."""
    column: str
    """Key of `COLUMNS`."""
    way: str
    """Setting or reference."""
    hand: str
    """Name of a hand, or `ALL_HANDS`."""
    friction: float
    """Sliding friction."""


@dataclass(frozen=True)
class Layout:
    """Rows found by what they are about; everything is listed in the order in which it was tried."""

    rows: Sequence[Row]
    """Of `simulation.asked_rows`."""

    @cached_property
    def cells(self) -> dict[Cell, Row]:
        """Every cell that was tried."""
        return {
            Cell(part_of(row), row["task"], row["variant"], row["hand"], row["friction"]): row
            for row in self.rows
            if row["group"] == ALL
        }

    @cached_property
    def parts(self) -> list[str]:
        """Parts, without `BOTH`."""
        return [part for part in self._values("part") if part != BOTH]

    @cached_property
    def whole(self) -> str:
        """Of which all trials are: `BOTH`, or the only part."""
        return BOTH if len(self.parts) > 1 else self.parts[0]

    @cached_property
    def ways(self) -> list[str]:
        """Settings and references."""
        return self._values("way")

    @cached_property
    def hands(self) -> list[str]:
        """Hands, and `ALL_HANDS` behind several of them."""
        return sorted(self._values("hand"), key=lambda hand: hand == ALL_HANDS)

    @cached_property
    def pooled(self) -> str:
        """Whose trials are all trials: `ALL_HANDS`, or the only hand."""
        return self.hands[-1]

    @cached_property
    def frictions(self) -> list[float]:
        """As they were asked for: the first is the usual one."""
        return self._values("friction")

    @cached_property
    def candidates(self) -> dict[int, str]:
        """Number of candidates to the way that chooses among so many; one is `PERCEIVED`."""
        counts = {candidates_of(way): way for way in self.ways}
        return {count: counts[count] for count in sorted(count for count in counts if count)}

    def row(self, part: str, column: str, way: str, hand: str, friction: float) -> Row | None:
        """The row of a cell; None where it was not tried."""
        return self.cells.get(Cell(part, column, way, hand, friction))

    def paired(self, part: str, hand: str) -> dict[str, dict[str, Row]]:
        """Paired differences, in words, by column."""
        found: dict[str, dict[str, Row]] = {}
        for row in self.rows:
            if (row["group"], part_of(row), row["hand"]) == (PAIRED, part, hand):
                found.setdefault(row["variant"], {})[row["task"]] = row
        return found

    def _values(self, field: str) -> list[Any]:
        return list(dict.fromkeys(getattr(cell, field) for cell in self.cells))


def columns() -> list[str]:
    """Those of the paper, tried or not."""
    return list(COLUMNS)


def part_of(row: Row) -> str:
    """The part that a row is about."""
    _, slash, part = row["split"].partition("/")
    return part if slash else BOTH


def candidates_of(way: str) -> int:
    """Among how many candidates a way chooses; 0 where this means nothing."""
    if way == PERCEIVED:
        return 1
    count = way.removeprefix(BEST)
    return int(count) if way.startswith(BEST) and count.isdigit() else 0


def rate(row: Row, sign: str = "") -> str:
    """Success of a row in percent."""
    return f"{100 * row['success']:{sign}.0f} %"


def interval(row: Row, which: str = "ci", sign: str = "") -> str | None:
    """An interval in percent: ``ci`` or ``cluster``; None where there is none."""
    low, high = row[f"{which}_low"], row[f"{which}_high"]
    return None if low is None else f"{100 * low:{sign}.0f}, {100 * high:{sign}.0f}"


def share_words(row: Row) -> str:
    """The share of candidates that a row of `confidence_rows` is about, in words."""
    if not row["to"]:
        return "none"
    return f"{100 * row['above']:.0f} to {100 * row['to']:.0f} %"
