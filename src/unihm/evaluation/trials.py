"""Trials by name, what came of them, and what a worker must know to make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion

OWN, OFFICIAL = "own", "official"
"""Which solids the executed hand touches with: our primitives, or the manufacturer's collision meshes."""
REFUSED, CRASHED = "refused", "crashed"
"""Reasons for failure beside `tasks.REASONS`: no motion could be made or sent, or the process died of it."""


class TrialName(NamedTuple):
    """What tells a trial from all others of a run."""

    part: str
    """Part of the split."""
    episode: str
    """Id of the recording."""
    hand: str
    """The hand."""
    repeat: int
    """0, 1, ... where a recording is tried several times with other noise."""
    variant: str
    """See `variants`."""
    cloud_noise: float
    """Standard deviation of the points that refinement sees, mm."""
    solids: str
    """`OWN` or `OFFICIAL`."""
    friction: float
    """Sliding friction of every pair."""
    criterion: str
    """How it is judged."""


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """What came of a trial; plain JSON values."""

    name: TrialName
    """Which trial."""
    object: str
    """What was handled."""
    success: bool
    """Whether the criterion is met."""
    reason: str
    """One of `tasks.REASONS`, `REFUSED` or `CRASHED`; empty on success."""
    measures: dict[str, float]
    """`Outcome.measures`; for a best of N ``perceived_success`` (0 or 1) and ``chosen`` as well."""
    note: str = ""
    """What went wrong, where a reason does not say it."""


@dataclass(frozen=True, kw_only=True)
class TrialSettings:
    """What all trials of a run have in common."""

    models: Path
    """Folder of the true objects."""
    task: str
    """Key of `TASKS`."""
    noise: float
    """Share of the object's displacement, as in `tasks.prepare`."""
    follow: bool
    """Whether the motion is moved with the displaced object."""
    seed: int
    """Of everything drawn."""
    chosen_by: str
    """Criterion by which candidates are compared."""
    hand_meshes: Mapping[str, Path]
    """Hand to the URDF of its official collision meshes, for trials with `OFFICIAL` solids."""
    dump_folder: Path | None = None
    """Where the states before an instability are written."""


@dataclass(frozen=True, kw_only=True)
class TrialBatch:
    """Trials of one hand with one recording."""

    episode: Episode
    """The recording."""
    hand: str
    """The hand."""
    motions: Mapping[str, HandMotion]
    """``retargeted`` or ``generated`` to the motion, with its object."""
    names: tuple[TrialName, ...]
    """Which trials."""
    settings: TrialSettings
    """How."""


def failed(name: TrialName, object: str, reason: str, error: object) -> TrialResult:
    """A trial that came to nothing; the error becomes a line of its note."""
    note = " ".join(str(error).split())
    return TrialResult(name=name, object=object, success=False, reason=reason, measures={}, note=note)
