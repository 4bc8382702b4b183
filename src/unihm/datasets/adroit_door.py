"""Adroit's door: people with a VR glove open a door by its lever handle, with a Shadow hand in simulation.

Rajeswaran et al., "Learning complex dexterous manipulation with deep reinforcement learning and demonstrations", RSS
2018; the 25 demonstrations of ``door-v0`` in github.com/aravindr93/hand_dapg (Apache 2.0), as one ``.npz``. It holds
joint angles and the positions of palm and handle; what the reader adds are these facts of the simulated model:

- Its world has z up, and the top of a table at 0. Control is at 100 Hz, five steps of 2 ms (Gymnasium-Robotics states
  the rate for the same environment).
- The forearm stands at (0, -0.7, 0.2) m, its own z axis along +y, slides along it (not recorded) and turns about its
  own x, y and z in this order; 0.396 m on the wrist turns about y, 0.034 m on the palm about x. The recorded position
  of the palm is the point (0.007, -0.05, 0.07) m of the palm.
- The door turns about z, 0.6 m beside its frame's origin. The latch sits at (-0.46, 0, -0.025) m from there, turns
  about y, and carries the lever: a rod of 0.2 m and 2 cm radius along x, at (0.1, -0.15, 0) m.

The palm's orientation thus follows from the five angles of arm and wrist, its position from the record. Both were held
against each other: with the slide free, the angles place the palm within 1.1 mm of where it is said to be in all 6704
frames, and the door's and the latch's angle the handle within 1.0 mm (means 0.05 and 0.03 mm), once positions are
taken as 2 ms older than angles, which they are because the simulator updates them before a step.

The hand is this package's Shadow hand under the joints' own names and signs; Adroit's joints lie within 2 mm of its.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from unihm.contact_phases import contact_frame, lift_frame
from unihm.datasets.base import Skipped
from unihm.geometry.interpolation import rows_at
from unihm.hands.description import HandDescription, describe_hand
from unihm.schema.episode import PANEL, Episode

FILE = "door_v0_demos.npz"
FPS = 30.0
RECORDED_FPS = 100.0
HAND = "shadow"
_SHAPES = {"observations": (39,), "lengths": (), "door_body_pos": (3,)}
_OLDER = 0.2  # of a recorded frame by which positions are older than angles: one of five steps
_R_WORLD_FOREARM = Rotation.from_euler("XYZ", [-1.57, 0.0, 3.14])  # the model's own digits
_SITE = np.array([0.007, -0.05, 0.07])  # m, the recorded point of the palm
_HINGE, _LATCH, _LEVER = np.array([0.6, 0.0, 0.0]), np.array([-0.46, 0.0, -0.025]), np.array([0.1, -0.15, 0.0])
_LENGTH, _RADIUS = 0.2, 0.02  # m, of the lever between the centres of its round ends
_PANEL = np.array([0.0, -1.0, 0.0, -0.1])  # the door's face, 5 cm before its middle plane, in the lever's frame
_TENTH = 10
# The camera named "fixed" of the model, 0.7 m over the forearm's origin and looking 45 degrees down along +y.
_EYE, _DOWN = np.array([0.0, -0.7, 0.7]), np.radians(45)

ARM = ("ARRx", "ARRy", "ARRz", "WRJ1", "WRJ0")
"""The first columns of the observations."""
JOINTS: Mapping[str, tuple[str, float]] = {
    **{f"{f}J{k}": (f"{f}J{k + 1}", 1.0) for f in ("FF", "MF", "RF", "LF") for k in (3, 2, 1, 0)},
    "LFJ4": ("LFJ5", 1.0),
    **{f"THJ{k}": (f"THJ{k + 1}", 1.0) for k in (4, 3, 2)},
    **{f"THJ{k}": (f"THJ{k + 1}", -1.0) for k in (1, 0)},
    "FFJ3": ("FFJ4", -1.0),
    "MFJ3": ("MFJ4", -1.0),
}
"""Adroit's joint -> the same one of our Shadow hand, and its sign there."""
FINGER_COLUMNS = (
    *(f"{f}J{k}" for f in ("FF", "MF", "RF") for k in (3, 2, 1, 0)),
    *(f"LFJ{k}" for k in (4, 3, 2, 1, 0)),
    *(f"THJ{k}" for k in (4, 3, 2, 1, 0)),
)
"""The columns after `ARM`."""
_LATCH_COLUMN, _DOOR_COLUMN, _PALM_COLUMNS = 27, 28, slice(29, 32)

_CLAUSES = (
    "open the door",
    "open up the door",
    "pull the door open",
    "press the handle down and open the door",
    "turn the handle and pull the door open",
    "push the lever down and pull the door toward you",
    "get the door open by its handle",
    "open the door by the lever",
)
_FRAMES = ("{do}.", "Please {do}.", "Could you {do}?", "I want you to {do}.", "Now {do}.", "Can you {do} for me?")
_SENTENCES = 6


@dataclass(frozen=True)
class AdroitDoorReader:
    """Hands that press a lever down and pull a door open."""

    points: int = 1024
    """Points of the lever's cloud."""
    seed: int = 0
    """Seeds the cloud and the choice of instructions."""

    @property
    def options(self) -> Mapping[str, str | int | float | bool]:
        """What decides the content of the episodes."""
        return {"points": self.points, "seed": self.seed}

    def episodes(self, root: str | Path, on_skip: Callable[[Skipped], None] | None = None) -> Iterator[Episode]:
        """All demonstrations in the order of the file.

        Args:
            root: Folder with `FILE`.
            on_skip: Called for each one whose handle never moves.
        """
        arrays = _read(Path(root) / FILE)
        points, normals = _cloud(self.points, self.seed)
        ends = np.cumsum(arrays["lengths"])
        for number, (end, length) in enumerate(zip(ends, arrays["lengths"], strict=True)):
            name = f"adroit_door/{number:02d}"
            keypoints, T_world_object = track(
                arrays["observations"][end - length : end], arrays["door_body_pos"][number]
            )
            lift = lift_frame(T_world_object)
            if lift == len(T_world_object):
                if on_skip is not None:
                    on_skip(Skipped(name, "the handle never moves"))
                continue
            yield Episode(
                id=name,
                recording=name,
                dataset="adroit_door",
                subject="dapg",
                object_name="door lever",
                mirrored=False,
                fps=FPS,
                keypoints_world=keypoints,
                T_world_object=T_world_object,
                object_points=points,
                object_normals=normals,
                T_world_camera=_camera(),
                instructions=_instructions(number, self.seed),
                contact_frame=contact_frame(keypoints, T_world_object, points),
                lift_frame=lift,
                attributes={
                    "task": "open",
                    "kind": "door",
                    "part": "validation" if _hash(name) % _TENTH == 0 else "train",
                    PANEL: " ".join(f"{value:g}" for value in _PANEL),
                    "recorded_fps": f"{RECORDED_FPS:g}",
                },
            )


def track(
    observations: Float[np.ndarray, "n 39"], door_body: Float[np.ndarray, " 3"]
) -> tuple[Float[np.ndarray, "T 21 3"], Float[np.ndarray, "T 4 4"]]:
    """Keypoints of the hand and poses of the lever at 30 Hz, in the world of this package: the table at 0, the camera
    over the origin, x ahead of it.

    Args:
        observations: Of one demonstration.
        door_body: Where its door's frame stands, m, in Adroit's world.
    """
    at = np.arange(0, len(observations) - 1, RECORDED_FPS / FPS)
    angles = rows_at(observations[:, :29], at)
    site = rows_at(observations[:, _PALM_COLUMNS], at + _OLDER)
    R, site_world = _turned(), site @ _turned().as_matrix().T + _shift()
    palm = R * palm_rotation(angles[:, : len(ARM)])
    keypoints = palm_keypoints(angles[:, len(ARM) : _LATCH_COLUMN]) - _SITE
    keypoints_world = np.einsum("tij,tkj->tki", palm.as_matrix(), keypoints) + site_world[:, None]
    T = np.tile(np.eye(4), (len(at), 1, 1))
    rotation, place = lever_pose(angles[:, _DOOR_COLUMN], angles[:, _LATCH_COLUMN], door_body)
    T[:, :3, :3] = (R * rotation).as_matrix()
    T[:, :3, 3] = R.apply(place) + _shift()
    return keypoints_world, T


def palm_rotation(arm: Float[np.ndarray, "T 5"]) -> Rotation:
    """Orientations of the palm link in Adroit's world, of the angles of `ARM`, rad."""
    forearm = _R_WORLD_FOREARM * Rotation.from_euler("XYZ", arm[:, :3])
    return forearm * Rotation.from_euler("YX", arm[:, 3:])


def palm_keypoints(fingers: Float[np.ndarray, "T 22"]) -> Float[np.ndarray, "T 21 3"]:
    """The 21 keypoints in the palm link, m, of the angles of `FINGER_COLUMNS`, rad."""
    hand, T_palm_link = _hand()
    chain = hand.chain
    q = np.zeros((len(fingers), len(chain.joint_names)))
    for column, name in enumerate(FINGER_COLUMNS):
        ours, sign = JOINTS[name]
        q[:, chain.joint_names.index(ours)] = sign * fingers[:, column]
    T = chain.forward_kinematics(q)
    points = np.empty((len(q), len(hand.keypoints), 3))
    for k, keypoint in enumerate(hand.keypoints):
        body, place = chain.point(keypoint.link, np.array(keypoint.xyz))
        points[:, k] = place if body < 0 else T[:, body, :3, :3] @ place + T[:, body, :3, 3]
    return (points - T_palm_link[:3, 3]) @ T_palm_link[:3, :3]


def lever_pose(
    door: Float[np.ndarray, " T"], latch: Float[np.ndarray, " T"], door_body: Float[np.ndarray, " 3"]
) -> tuple[Rotation, Float[np.ndarray, "T 3"]]:
    """Orientations and middles (m) of the lever in Adroit's world; its x is along it, away from the latch.

    Args:
        door: Angle of the door, rad.
        latch: Angle of the latch, rad.
        door_body: Where the door's frame stands, m.
    """
    turned = Rotation.from_rotvec(door[:, None] * np.array([0.0, 0.0, 1.0]))
    rotation = turned * Rotation.from_rotvec(latch[:, None] * np.array([0.0, 1.0, 0.0]))
    return rotation, door_body + _HINGE + turned.apply(_LATCH) + rotation.apply(_LEVER)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in _SHAPES}
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"'{path}' cannot be read as demonstrations of Adroit's door: {error}.") from error
    for name, shape in _SHAPES.items():
        if arrays[name].shape[1:] != shape or not np.isfinite(arrays[name]).all():
            raise ValueError(f"'{path}': {name} has shape {arrays[name].shape}, expected (n, {shape}) finite numbers.")
    if arrays["lengths"].sum() != len(arrays["observations"]) or len(arrays["lengths"]) != len(arrays["door_body_pos"]):
        raise ValueError(f"'{path}': the lengths of the demonstrations do not add up to the observations.")
    return arrays


@cache
def _hand() -> tuple[HandDescription, Float[np.ndarray, "4 4"]]:
    """The hand, and the pose of its palm link in its palm frame."""
    hand = describe_hand(HAND)
    return hand, hand.chain.T_body_link["palm"]


def _turned() -> Rotation:
    """Adroit's +y becomes our x, the way in which the camera looks."""
    return Rotation.from_euler("z", -90, degrees=True)


def _shift() -> Float[np.ndarray, " 3"]:
    """The camera comes over the origin, m."""
    return -_turned().apply([_EYE[0], _EYE[1], 0.0])


def _camera() -> Float[np.ndarray, "4 4"]:
    c, s = np.cos(_DOWN), np.sin(_DOWN)
    T = np.eye(4)
    T[:3, :3] = np.column_stack([[0.0, -1.0, 0.0], [-s, 0.0, -c], [c, 0.0, -s]])
    T[2, 3] = _EYE[2]
    return T


def _cloud(count: int, seed: int) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Even points on the lever, a rod with round ends, and their normals."""
    rng = np.random.default_rng(seed)
    along = rng.uniform(-_RADIUS, _LENGTH + _RADIUS, count)  # area goes with the height, on spheres as on cylinders
    cap = along - along.clip(0, _LENGTH)
    turn = rng.uniform(0, 2 * np.pi, count)
    ring = np.sqrt(_RADIUS**2 - cap**2)
    normals = np.stack([cap, ring * np.cos(turn), ring * np.sin(turn)], axis=1) / _RADIUS
    axis = np.stack([along.clip(0, _LENGTH) - _LENGTH / 2, np.zeros(count), np.zeros(count)], axis=1)
    return axis + _RADIUS * normals, normals


def _instructions(number: int, seed: int) -> tuple[str, ...]:
    rng = np.random.default_rng([seed, number])
    clauses = rng.choice(_CLAUSES, _SENTENCES, replace=False)
    texts = [str(rng.choice(_FRAMES)).format(do=clause) for clause in clauses]
    return tuple(text[0].upper() + text[1:] for text in texts)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
