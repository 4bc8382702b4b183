"""How strong every term of the refinement is, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass, field

FAR = 5e-3  # m: about the spacing of 1000 points on a hand-sized object; nearer, tangent planes are the finer
PLANES = 4  # tangent planes that decide which side of the surface a point is on


@dataclass(frozen=True, kw_only=True)
class StateSigma:
    """Standard deviations of a correction."""

    palm: float
    """Palm position, m."""
    turn: float
    """Palm orientation, rad."""
    joint: float
    """Joints, as a fraction of each joint's range, which suits turning and sliding ones."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long one frame is searched."""

    outer_iterations: int
    """Most searches for nearest points."""
    inner_iterations: int
    """Most Levenberg-Marquardt steps between two searches."""
    cost_tolerance: float
    """Relative decrease of the energy that ends the steps between two searches."""


@dataclass(frozen=True, kw_only=True)
class RefinementConfig:
    """Strength of every term. Where no source is named, the value was chosen on analytic objects (sphere, box, can),
    so that fingertips touch while fingers, not the wrist, do most of the moving.
    """

    sigma_contact: float = 1e-3
    """Gap of a touching fingertip, m: the precision of the completed clouds."""
    inside_scale: float = 5e-3
    """1 / k of Eq. 12, m: depth from which piercing costs much more than a gap. (The paper's k = 1 without a unit
    is, in metres, no asymmetry at all at the size of a hand.)"""
    sigma_clearance: float = 1e-3
    """What pierces, m."""
    clearance: float = 1e-3
    """Distance kept by everything but touching fingertips, m (FACTS 8: other links at least 1 mm out)."""
    sigma_slip: float = 3e-3
    """Sliding of the two opposed fingertips along the surface, m."""
    reach: float = 0.03
    """Fingertips that the generated motion, once the grasp is found, brings this near the object touch it, m."""
    grasp: StateSigma = field(default_factory=lambda: StateSigma(palm=0.03, turn=0.3, joint=0.3))
    """Distance of the grasp from the generated pose at the lift."""
    generated: StateSigma = field(default_factory=lambda: StateSigma(palm=0.004, turn=0.04, joint=0.04))
    """Eq. 14: distance of a frame from the generated pose with the grasp's correction faded in."""
    velocity: StateSigma = field(default_factory=lambda: StateSigma(palm=0.004, turn=0.04, joint=0.04))
    """Eq. 15, per frame."""
    acceleration: StateSigma = field(default_factory=lambda: StateSigma(palm=0.006, turn=0.06, joint=0.06))
    """Eq. 15, per frame squared."""
    temporal: str = "correction"
    """What Eq. 15 acts on: ``correction``, or ``motion`` as in the paper."""
    largest_shift: float = 0.1
    """Bound of each coordinate of the palm's correction, m."""
    largest_turn: float = 0.8
    """Bound of each coordinate of the palm's turn, rad."""
    opposing: bool = True
    """Send two fingertips to opposed places at the lift."""
    keep_out: bool = True
    """Keep the hand's body out of the object and off the table."""
    candidates: int = 16
    """Opposed places tried, shared by the pairs of fingers."""
    outer_iterations: int = 3
    """Times that nearest points are searched per frame."""
    inner_iterations: int = 4
    """Most Levenberg-Marquardt steps between two searches."""
    cost_tolerance: float = 1e-3
    """Relative decrease of the energy that ends the steps between two searches."""
    step_tolerance: float = 0.05
    """A search after which no entry of the correction moves by more than this part of its prior's sigma is the
    last; about 0.2 mm at the fingertips."""

    def __post_init__(self):
        if self.temporal not in ("correction", "motion"):
            raise ValueError(f"temporal is '{self.temporal}', expected 'correction' or 'motion'.")


@dataclass(frozen=True, kw_only=True)
class RefinementReport:
    """What the refinement did; plain JSON values. Phases are ``approach``, ``closing`` and ``hold``."""

    frames: int
    """Frames of the motion."""
    iterations: int
    """Levenberg-Marquardt steps over all frames."""
    status: dict[str, int]
    """How the last search of each frame ended; ``untouched`` frames were near nothing and needed none."""
    grasp_fingers: tuple[str, ...]
    """The fingers sent to opposed places; empty where none was found or wanted."""
    contact_mm_before: dict[str, float]
    """Mean distance of the grasping fingertips from the surface, mm, by phase."""
    contact_mm_after: dict[str, float]
    """The same after refinement."""
    penetration_mm_before: dict[str, float]
    """Mean over frames of the deepest point of the hand in the object, mm, by phase."""
    penetration_mm_after: dict[str, float]
    """The same after refinement."""
    ms_per_frame: float
    """Wall time."""
