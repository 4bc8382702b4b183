"""Everything physical that the simulator assumes, in one place and fixed before any motion was tuned on it.

Sources: FACTS 5 states the tasks and what counts as success, FACTS 8 the settings with which replayed human grasps were
tried. Nothing here depends on a hand, an object or a motion.
"""

from __future__ import annotations

from dataclasses import dataclass

TIMESTEP = 0.002  # s (FACTS 5)
SETTLE = 0.5  # s that objects come to rest before a motion begins (FACTS 8)
GRAVITY = 9.81  # m/s^2

FRICTION = 0.8  # sliding, of every pair; judged at 0.5 and 1.0 as well (FACTS 5)
TORSION = 0.01  # m, torsional friction (FACTS 8)
ROLLING = 1e-4  # m, rolling friction; MuJoCo's own default
CONTACT_DIMENSIONS = 4  # normal, two tangents, torsion (FACTS 8)
CONTACT_SOLREF = (0.008, 1.0)  # s, damping ratio (FACTS 8)
FRICTION_IMPEDANCE = 10.0  # impratio with the elliptic cone (FACTS 8): grasped things creep less

WRIST_KP = (3000.0, 100.0)  # N/m, Nm/rad
WRIST_KV = (120.0, 3.0)  # Ns/m, Nms/rad
WRIST_CAP = (50.0, 5.0)  # N, Nm: what an arm would give
WRIST_ARMATURE = (0.2, 0.01)  # kg, kg m^2
FINGER_KP = 5.0  # Nm/rad of a turning joint
FINGER_KV = 0.2  # Nms/rad
SLIDER_KP = 3000.0  # N/m of a sliding joint (the gripper's)
SLIDER_KV = 60.0  # Ns/m
FINGER_ARMATURE = 0.002  # kg m^2 or kg
FINGER_DAMPING = 0.02  # Nms/rad or Ns/m
COUPLING_IMPEDANCE = (0.9999, 0.9999, 0.001, 0.5, 2.0)  # the hardest that MuJoCo takes
COUPLING_SOLREF = (0.004, 1.0)  # s, damping ratio of mimic joints: two time steps, as stiff as they can be solved
GIMBAL_MARGIN = 5.0  # degrees that a motion keeps from the wrist's singularity
LIMIT_TOLERANCE = 1e-4  # rad or m: what rounding may put a motion beyond a joint's limit; it is clipped
HAND_DENSITY = 1000.0  # kg/m^3 of solids of links without a stated mass: plastic with hollows and motors
LEAST_MASS = 1e-3  # kg of a moving body that has neither mass nor solids
FASTEST = 300.0  # m/s or rad/s: beyond it, a rollout has become unstable (a fall of half a minute, 2900 turns a minute)
LAST_STATES = 100  # steps before an instability that are written down

POSITION_NOISE = 0.02  # m, largest shift of the object along each axis of the table (FACTS 5)
YAW_NOISE = 10.0  # degrees (FACTS 5)
DEPTH_NOISE = 0.002  # m, standard deviation of one depth sample of a table-top camera at 0.85 m
ASSUMED_DENSITY = 500.0  # kg/m^3 of a perceived object, of which nothing but its shape is known

PIERCED = 0.01  # m: a motion that begins deeper than this in the object has failed (FACTS 5)


@dataclass(frozen=True, kw_only=True)
class GrabCriterion:
    """When a grab has succeeded."""

    lift: float
    """Height gained, m."""
    within: float
    """Time until then, s."""
    hold: float
    """Time that it is held, s."""
    drift: float = 0.02
    """Largest movement in the hand, m."""
    drift_angle: float = 15.0
    """Largest turn in the hand, degrees."""
    opposed: bool = True
    """Whether two opposing links must touch."""
    shake: float = 0.0
    """Acceleration of the six pushes afterwards, m/s^2."""
    shake_time: float = 0.5
    """Length of each, s."""
    human_height: bool = False
    """Whether the recorded height, less 5 cm, is enough where it is lower."""


GRAB = {
    "full": GrabCriterion(lift=0.1, within=6.0, hold=3.0, shake=0.5),
    "hard": GrabCriterion(lift=0.1, within=6.0, hold=3.0, shake=5.0),
    "light": GrabCriterion(lift=0.1, within=6.0, hold=1.0, opposed=False, human_height=True),
}
"""FACTS 5, its hard variant, and the lighter criterion of FACTS 8."""
HUMAN_MARGIN = 0.05  # m, of `human_height`

PLACE_DISTANCE, PLACE_DISTANCE_STRICT, PLACE_ANGLE = 0.03, 0.015, 15.0  # m, m, degrees
PLACE_REST, PLACE_CLEAR, PLACE_DROP = 0.5, 0.02, 0.05  # s at rest, m hand away, m of fall
SLIDE_ALONG, SLIDE_ACROSS, SLIDE_YAW = 0.08, 0.03, 20.0  # m, m, degrees
DRAWER_TRAVEL, DRAWER_OPEN, DRAWER_SHUT = 0.15, 0.8, 0.1  # m, shares of it
HINGE_OPEN, HINGE_SHUT = 60.0, 5.0  # degrees
HELD = 0.5  # s that a drawer or door must stay
LIFTED = 0.03  # m up: from here on drift is counted; FACTS 8 takes its grasp frame there
CONTACT_GAP = 0.1  # s: shorter interruptions of a contact are the contact solver's, not the grasp's
KNOCKED, KNOCKED_ANGLE = 0.02, 15.0  # m, degrees: what was not lifted and moved or turned by more was knocked
REST, REST_ANGLE = 0.002, 2.0  # m, degrees: what stays within is at rest; a seventh of the strict distance
REST_SPEED, REST_TURN = 2e-3, 0.04  # m/s, rad/s: slower than this for a while, an object has come to rest
REST_QUIET, REST_LONGEST = 0.25, 10.0  # s: that while, and how long it is waited for; cans rock for seconds
TOPPLED = 45.0  # degrees from upright: beyond it no box or can comes back by itself
FRAME_RATE = 30.0  # Hz, the frame of "slip per frame" (FACTS 5): motions are recorded at 30 Hz
"""What FACTS 5 leaves open, chosen before any motion was judged by it."""

RUNNER_FRICTION = 3.0  # N to start a drawer: 1.5 kg on nylon runners, 0.2 x 1.5 kg x 9.81 m/s^2
RUNNER_DAMPING = 8.0  # Ns/m: pulled at a hand's 0.25 m/s a drawer takes 5 N in all
DOOR_FRICTION, DOOR_DAMPING = 0.15, 0.1  # Nm, Nms/rad: 0.6 N at a handle 25 cm from the hinge
LID_FRICTION, LID_DAMPING = 0.03, 0.02  # Nm, Nms/rad: a plain hinge; the lid falls shut where nobody holds it
DRAWER_MASS, DOOR_MASS, LID_MASS = 1.5, 1.0, 0.3  # kg of what moves: boards of 8 to 15 mm at 600 kg/m^3
