"""Every option of retargeting (Eq. B1), and the presets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from unihm.kinematics.keypoints import NAMES
from unihm.registry import unknown_name

LINK_SCALINGS = ("bones", "hand", "none")
GRIPPERS = ("keypoints", "aperture")


@dataclass(frozen=True, kw_only=True)
class RetargetingConfig:
    """Terms of Eq. B1 as standard deviations, each in its own unit; an infinite one leaves its term out."""

    fingertip_sigma: float = 0.004
    """Fingertips, m. The accuracy of hand annotations in DexYCB."""
    keypoint_sigma: float = 0.02
    """Other finger keypoints, m. About a finger's width: they shape the finger but do not pull the tip away."""
    wrist_sigma: float = 0.05
    """The wrist, m: robot palms are shaped otherwise."""
    keypoint_weights: Mapping[str, float] = field(default_factory=dict)
    """Factors on the weight of single keypoints by name, such as ``{"pinky_tip": 0.25}``; 0 leaves one out."""
    vector_sigma: float = math.inf
    """Vectors from the palm's origin to the fingertips, m, for hands that cannot be where the human's is."""
    pinch_sigma: float = 0.004
    """Vector from a fingertip to the thumb tip, m."""
    pinch_distance: float = 0.04
    """Human distance at which the pinch term has faded to 1/e, m; about an object held between two fingers."""
    huber: float = math.inf
    """Distance beyond which position and vector errors count linearly, m; infinite: squares."""
    huber_per_axis: bool = False
    """Huber's loss of each coordinate, as dex_retargeting has it, instead of the distance."""
    link_scaling: str = "bones"
    """How human sizes become the robot's. ``bones``: fingertips stay where they are, since objects do not scale, and
    from each tip backwards the human bone directions are laid out with the robot's lengths. ``hand``: keypoints are
    scaled about the palm's origin by the robot's size, a finger of unusual length by its own (appendix E). ``none``."""
    palm_orientation_sigma: float = 0.35
    """Palm orientation, rad: how far robot palms lean for the same grasp (20 degrees)."""
    rest_sigma: float = 0.3
    """Distance from the rest posture as a share of each joint's range: it chooses one posture where keypoints leave
    freedom."""
    joint_step_sigma: float = 0.1
    """Distance of a joint from its neighbours' mean as a share of its range; halves the mean joint acceleration."""
    palm_step_sigma: float = 0.01
    """Distance of the palm from its neighbours' mean, m."""
    palm_turn_sigma: float = 0.05
    """Turn of the palm from its neighbours' mean, rad."""
    velocity_limit: float = math.inf
    """Largest joint speed as a share of what the URDF states; infinite: speeds are free."""
    self_collision_sigma: float = math.inf
    """Depth to which spheres of different fingers may enter each other, m."""
    gripper: str = "keypoints"
    """Hands with one joint and two fingers. ``keypoints``: like every hand. ``aperture``: the distance of thumb and
    index tip, scaled and clamped, is the opening (appendix B.1)."""
    aperture_scale: float = 1.0
    """Opening of the gripper over distance of the human fingertips."""
    fixed_palm: bool = False
    """Hold the palm at the human palm frame; only the fingers move."""
    tries: int = 4
    """Answers of similar poses, independent of the past, that are tried for every frame of a recording beside its
    neighbours'."""
    stream_tries: int | None = None
    """The same while streaming; None: 3 for hands of at most 8 joints, for which a try costs little, 2 up to 12 joints,
    else 1."""
    try_every: int | None = None
    """While streaming, one frame of so many tries them; which, the frame itself decides. None: 2 for hands of more than
    20 joints, else 1."""
    tolerance: float = 1e-4
    """A step that lowers the cost by less than this share ends the search; the method converges quadratically, so that
    what remains is far less."""
    max_iterations: int = 60
    """Most steps of one search."""
    fps: float = 30.0
    """Frame rate of the keypoints."""

    def __post_init__(self):
        for name in self.keypoint_weights:
            if name not in NAMES:
                raise unknown_name("keypoint_weights: keypoint", name, NAMES)
        for key, value, known in (
            ("link_scaling", self.link_scaling, LINK_SCALINGS),
            ("gripper", self.gripper, GRIPPERS),
        ):
            if value not in known:
                raise unknown_name(key, value, known)
        for name, value in self.keypoint_weights.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"keypoint_weights: {name} is {value}, expected a finite number of at least 0.")
        for name, value in vars(self).items():
            if name.endswith("_sigma") and not value > 0:
                raise ValueError(f"{name} is {value}, expected a positive number; inf leaves the term out.")
        streaming = (n for n in (self.stream_tries, self.try_every) if n is not None)
        counts = (self.max_iterations, self.tries, *streaming)
        if not 0 < self.tolerance < 1 or min(counts) < 1:
            raise ValueError(
                "tolerance lies in (0, 1); max_iterations, tries, stream_tries and try_every are at least 1."
            )
        if not (0 < self.fps < math.inf and 0 < self.aperture_scale < math.inf):
            raise ValueError(f"fps and aperture_scale must be positive, found {self.fps} and {self.aperture_scale}.")
        if not (self.velocity_limit > 0 and self.huber > 0 and self.pinch_distance > 0):
            raise ValueError("velocity_limit, huber and pinch_distance must be positive.")


POSITION = RetargetingConfig(
    keypoint_sigma=0.004,
    wrist_sigma=math.inf,
    pinch_sigma=math.inf,
    huber=0.02,
    huber_per_axis=True,
    link_scaling="none",
    palm_orientation_sigma=3.0,
    rest_sigma=2.0,
    joint_step_sigma=math.inf,
    palm_step_sigma=math.inf,
    palm_turn_sigma=math.inf,
)
"""The objective of dex_retargeting's position mode, with a rest posture and a palm direction so weak that they decide
only what that leaves open."""

VECTOR = RetargetingConfig(
    fingertip_sigma=math.inf,
    keypoint_sigma=math.inf,
    wrist_sigma=math.inf,
    vector_sigma=0.004,
    link_scaling="hand",
    fixed_palm=True,
)
"""For a hand on an arm that goes its own way: finger vectors from the palm, scaled to the robot's size."""

PRESETS = {"default": RetargetingConfig(), "position": POSITION, "vector": VECTOR}
