"""Whether and how motions are tried in simulation before one is handed out: plain settings, nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unihm.registry import unknown_name
from unihm.simulation.constants import GRAB

CRITERIA = (*GRAB, "strict")
"""Of the tasks that plans lead to; which of them a task knows, it says itself."""

GRASPS = 4
"""How many grasps of one motion are worth trying; other candidates are variations of them."""


@dataclass(frozen=True, kw_only=True)
class Trying:
    """Whether and how motions are tried in simulation before one is handed out."""

    candidates: int = 1
    """Motions that are made: samples of the tokens where the temperature allows, else grasps and their variations."""
    simulate: bool = False
    """Simulate also where there is but one."""
    criterion: str = "full"
    """How strictly the task judges."""
    enough: int | None = 1
    """Stop when so many hold in all assumed worlds; None tries all in all worlds."""
    workers: int = 1
    """Threads."""
    progress: Callable[[int], object] | None = None
    """Told how many were simulated, whenever one is."""

    def __post_init__(self):
        if self.candidates < 1:
            raise ValueError(f"candidates is {self.candidates}, expected at least 1.")
        if self.workers < 1:
            raise ValueError(f"workers is {self.workers}, expected at least 1.")
        if self.enough is not None and self.enough < 1:
            raise ValueError(f"enough is {self.enough}, expected at least 1.")
        if self.criterion not in CRITERIA:
            raise unknown_name("Criterion", self.criterion, CRITERIA)

    @property
    def wanted(self) -> bool:
        """Whether anything is simulated."""
        return self.simulate or self.candidates > 1
