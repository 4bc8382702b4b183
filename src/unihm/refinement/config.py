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
class RefinementConfig:
    """Strength of every term, and switches. Where no source is named, values were chosen on analytic objects and on
    recordings of `release/train`.
    """

    sigma_contact: float = 1e-3
    """Gap of a touching fingertip, m: the precision of the completed clouds."""
    inside_scale: float = 5e-3
    """1 / k of Eq. 12, m: depth from which piercing costs much more than a gap. (The paper's k = 1 without a unit
    is, in metres, no asymmetry at all at the size of a hand.)"""
    sigma_pad: float = 4e-3
    """Distance of a touching fingertip's contact point from the surface, m: what touches shall be the pad."""
    sigma_clearance: float = 1e-3
    """What pierces, m."""
    clearance: float = 1e-3
    """Distance kept by everything but touching fingertips, m (FACTS 8: other links at least 1 mm out)."""
    table_clearance: float = 3e-3
    """Distance kept from the table, m (FACTS 8)."""
    reach: float = 0.03
    """Fingertips this near to the object touch it while the hand holds it, m."""
    keep_out: bool = True
    """Keep the hand's body out of the object."""
    keep_off_table: bool = True
    """Keep it off the table."""
    keep_apart: bool = True
    """Keep fingers out of each other."""
    generated: StateSigma = field(default_factory=lambda: StateSigma(palm=0.004, turn=0.04, joint=0.04))
    """Eq. 14: distance of a frame from the generated pose."""
    untangled: StateSigma = field(default_factory=lambda: StateSigma(palm=0.01, turn=0.1, joint=0.3))
    """Joint mode: distance from the generated joints of fingers that are first brought out of each other; the palm
    stays."""
    velocity: StateSigma = field(default_factory=lambda: StateSigma(palm=0.004, turn=0.04, joint=0.04))
    """Eq. 15, per frame."""
    acceleration: StateSigma = field(default_factory=lambda: StateSigma(palm=0.006, turn=0.06, joint=0.06))
    """Eq. 15, per frame squared."""
    temporal: str = "correction"
    """Causal mode: what Eq. 15 acts on, ``correction``, or ``motion`` as in the paper."""
    iterations: int = 12
    """Most Levenberg-Marquardt steps a frame."""
    tolerance: float = 1e-2
    """Relative decrease of the energy that ends them. A tenth of it brings fingertips 0.01 mm nearer on average."""
    largest_shift: float = 0.1
    """Bound of each coordinate of the palm's correction, m."""
    largest_turn: float = 0.8
    """Bound of each coordinate of the palm's turn, rad."""
    smooth: bool = True
    """Smooth clouds that are noisy."""
    grid_reach: float = 0.05
    """How far from the object its distance is known, m."""

    grasp: StateSigma = field(default_factory=lambda: StateSigma(palm=0.03, turn=0.3, joint=0.3))
    """Joint mode: distance of the grasp from the generated pose at the lift."""
    seeds: int = 16
    """Joint mode: grasps tried around the generated one, beside as many at opposed places."""
    seed: int = 0
    """Of what is drawn at random."""
    joint_margin: float = 0.03
    """Joint mode: share of its range by which each joint keeps from its limits in the grasp, so that it can squeeze."""
    squeeze: float = 12.0
    """Joint mode: normal force wanted of each fingertip on an object of 250 g, N; of lighter ones in proportion to the
    assumed mass, of heavier ones to its root. 0 commands what is drawn."""
    largest_force: float = 25.0
    """Joint mode: most that a fingertip is told to push with, N."""
    friction: float = 0.5
    """Joint mode: coefficient that forces rely on; less than the usual 0.8, so that grasps survive lower ones."""
    density: float = 500.0
    """Joint mode: kg/m^3 assumed of objects, of which nothing but the shape is known."""
    stiffness: tuple[float, float] = (5.0, 3000.0)
    """Joint mode: of the position controllers, Nm/rad of turning and N/m of sliding joints; the simulator's are these
    (FACTS 8)."""
    opening: float = 0.025
    """Joint mode: how far fingertips open along the surface normals before they close, m (FACTS 8)."""
    closing_time: float = 0.5
    """Joint mode: in which the fingers close, s."""
    squeeze_time: float = 0.3
    """Joint mode: in which the squeeze grows before the lift, s."""
    timing: bool = True
    """Joint mode: stretch and pause frames where grasp and limits need it. Without it, a motion keeps its frames."""
    palm_speed: float = 0.2
    """Joint mode: of the palm on its way to the grasp, m/s."""
    reach_speed: float = 0.4
    """Joint mode: most speed of the palm, its turning included, m/s."""
    reach_acceleration: float = 1.5
    """Joint mode: most acceleration of the palm, m/s^2."""
    finger_speed: float = 3.0
    """Joint mode: most speed of turning joints, rad/s, where a hand's own limit is not lower: quick fingers are not
    where their controllers are told to be, and throw things."""
    carry_speed: float = 0.4
    """Joint mode: most speed of the carried object, m/s."""
    carry_acceleration: float = 2.0
    """Joint mode: most acceleration of the carried object, m/s^2: a fifth of gravity, which squeezing must bear too."""
    handle_speed: float = 0.15
    """Joint mode: most speed of a handle, m/s: drawers and doors resist the more, the faster they move."""
    handle_acceleration: float = 0.6
    """Joint mode: most acceleration of a handle, m/s^2: its drawer is heavier than what a hand lifts."""
    jerk: float = 30.0
    """Joint mode: most jerk of palm and carried object, m/s^3; infinity: none."""

    def __post_init__(self):
        if self.temporal not in ("correction", "motion"):
            raise ValueError(f"temporal is '{self.temporal}', expected 'correction' or 'motion'.")
        for name in ("squeeze", "friction", "density", "opening"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 0.")


@dataclass(frozen=True, kw_only=True)
class RefinementReport:
    """What the refinement did; plain JSON values. Phases are ``approach``, ``closing`` and ``hold``."""

    mode: str
    """``causal`` or ``joint``."""
    frames: int
    """Frames of the refined motion."""
    frame_of: tuple[float, ...]
    """Frame of the given motion that each one stands for."""
    grasp_fingers: tuple[str, ...]
    """Joint mode: fingers that touch; empty where fewer than two could."""
    grasps_tried: int
    """Joint mode: candidates that were judged."""
    merit: float | None
    """Joint mode: log-odds of the hold in simulation, as the choice among grasps and ways sees them."""
    imbalance: float | None
    """Joint mode: what is left of sum and moment of the fingertips' forces, as a share of all normal forces."""
    cloud_noise_mm: float
    """Estimated noise of the object's cloud along its normals; above 0.6 mm it is smoothed before use."""
    contact_mm_before: dict[str, float]
    """Mean distance of the fingertips that touch from the surface, mm, by phase."""
    contact_mm_after: dict[str, float]
    """The same after refinement."""
    penetration_mm_before: dict[str, float]
    """Mean over frames of the deepest point of the hand in the object's cloud, mm, by phase."""
    penetration_mm_after: dict[str, float]
    """The same after refinement."""
    ms_per_frame: float
    """Wall time, by frames of the given motion."""
