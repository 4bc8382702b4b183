"""Readers of recorded manipulations: a folder of somebody's data set becomes episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from unihm.registry import Registry
from unihm.schema.episode import Episode


@dataclass(frozen=True)
class Skipped:
    """A recording that gave no episode."""

    id: str
    """The id that the episode would have had."""
    reason: str
    """Why, in words that do not depend on the recording, so that they can be counted."""


@runtime_checkable
class DatasetReader(Protocol):
    """Turns one data set, as its authors publish it, into episodes.

    Everything peculiar to the data set (frames, quaternion order, units, left hands) ends here.
    """

    @property
    def options(self) -> Mapping[str, str | int | float | bool]:
        """What decides the content of the episodes, for the manifest of the store."""
        ...

    def episodes(self, root: str | Path, on_skip: Callable[[Skipped], None] | None = None) -> Iterator[Episode]:
        """All usable recordings under `root`, one episode each, in a fixed order.

        Args:
            root: Folder of the data set.
            on_skip: Called for each recording that is left out.

        Raises:
            ValueError: A file is missing or damaged.
        """
        ...


DATASETS = Registry(
    "Data set format",
    {
        "adroit_door": "unihm.datasets.adroit_door:AdroitDoorReader",
        "dexycb": "unihm.datasets.dexycb:DexYcbReader",
        "oakink": "unihm.datasets.oakink:OakInkReader",
    },
)
"""Name on the command line (``unihm data import FORMAT``) to reader class."""
