"""What came of one attempt."""

from __future__ import annotations

from dataclasses import dataclass

REASONS = ("missed", "knocked", "slipped", "pierced", "timed out", "unstable")
"""Why an attempt can fail.

``missed``: the hand never touched, or never had the object between two opposing links. ``knocked``: it pushed the
object away or over. ``slipped``: it had the object and lost it. ``pierced``: the attempt began with the hand more than
10 mm inside. ``timed out``: what was asked for did not happen in time, though nothing was lost. ``unstable``: the
simulation did not stay finite.
"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one attempt, and how near it came."""

    success: bool
    """Whether the criterion is met."""
    reason: str
    """One of `REASONS`; empty on success."""
    measures: dict[str, float]
    """Figures by name, the unit in the name. A figure is left out where it does not exist, for example drift of what
    was never lifted."""
    progress: float
    """0 for nothing, 1 for success, between them how much of what is asked for was reached."""
    margin: float = 0.0
    """How far inside its limits the attempt stayed, 1 for right in the middle; negative outside. Tells attempts of
    equal progress apart."""

    def __post_init__(self):
        assert self.success == (self.reason == "")
        assert self.success or self.reason in REASONS

    @property
    def rank(self) -> tuple[bool, float, float]:
        """Larger is better: success first, then progress, then margin."""
        return self.success, self.progress, self.margin

    @classmethod
    def failed(cls, reason: str, measures: dict[str, float], progress: float, margin: float = 0.0) -> Outcome:
        """A failure; its progress stays below 1."""
        return cls(success=False, reason=reason, measures=measures, progress=min(progress, 0.99), margin=margin)
