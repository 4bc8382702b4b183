"""Builders for the tests of this folder: episodes, motions, and recordings in the DexYCB reader's format."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion

SUBJECTS = ("20200709-subject-01", "20200820-subject-03")
PITCH = 0.6  # rad, how far the camera of the synthetic data looks down
HEIGHT = 0.7  # m, of that camera over the table
BOX = np.array([0.03, 0.05, 0.08])  # m, half sizes of the box that is lifted


def make_episode(number: int = 0, num_frames: int = 20, **changes) -> Episode:
    """An episode of random numbers with true poses and unit normals."""
    rng = np.random.default_rng(number)
    T = np.tile(np.eye(4), (num_frames, 1, 1))
    T[:, :3, :3] = Rotation.random(num_frames, rng=rng).as_matrix()
    T[:, :3, 3] = rng.normal(size=(num_frames, 3))
    camera = np.eye(4)
    camera[:3, :3] = Rotation.random(rng=rng).as_matrix()
    normals = rng.normal(size=(16, 3))
    values = dict(
        id=f"made/{number:03d}",
        recording=f"made/{number:03d}",
        dataset="made",
        subject=f"subject-{number % 3}",
        object_name="box",
        mirrored=number % 2 == 1,
        fps=30.0,
        keypoints_world=rng.normal(size=(num_frames, 21, 3)),
        T_world_object=T,
        object_points=rng.normal(size=(16, 3)),
        object_normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        T_world_camera=camera,
        instructions=tuple(f"Sentence {k} of {number}." for k in range(5)),
        contact_frame=6,
        lift_frame=9,
        attributes={"trial": str(number)},
    )
    return Episode(**{**values, **changes})


def make_motion(episode: Episode, hand: str = "mitten", nq: int = 4) -> HandMotion:
    """A motion of an invented hand for an episode."""
    rng = np.random.default_rng(len(episode))
    return HandMotion(
        hand=hand,
        fps=episode.fps,
        joint_names=tuple(f"joint_{k}" for k in range(nq)),
        qpos=rng.normal(size=(len(episode), nq)),
        T_world_palm=episode.T_world_object,
    )


@dataclass
class Recordings:
    """Builds ``dexycb_{side}.npz`` and its index, one recording after another."""

    root: Path
    arrays: dict[str, dict[str, list[np.ndarray]]] = field(default_factory=dict)
    index: dict[str, list[dict]] = field(default_factory=lambda: {"right": [], "left": []})

    def add(self, side: str, subject: str, sequence: str, object_name: str, unihm_split=None, **arrays):
        """One recording: joints, obj_quat_xyzw, obj_trans, hand_valid."""
        store = self.arrays.setdefault(side, {name: [] for name in arrays})
        start = sum(len(a) for a in store["joints"])
        for name, value in arrays.items():
            store[name].append(value)
        self.index[side].append(
            {
                "subject": subject,
                "sequence": sequence,
                "object": object_name,
                "start": start,
                "num_frames": len(arrays["joints"]),
                "unihm_split": unihm_split,
            }
        )

    def write(self) -> Path:
        """Write the files; returns the root."""
        self.root.mkdir(parents=True, exist_ok=True)
        for side, index in self.index.items():
            arrays = {name: np.concatenate(values) for name, values in self.arrays[side].items()}
            np.savez(self.root / f"dexycb_{side}.npz", **arrays)
            (self.root / f"dexycb_{side}_index.json").write_text(json.dumps(index))
        return self.root


def lift_in_camera(seed: int, mirror: bool = False) -> dict[str, np.ndarray]:
    """A box lifted by 25 cm with a hand beside it, in the frame of a camera that looks down by `PITCH`.

    With `mirror`, the same seen in a mirror: another hand, on the other side.
    """
    rng = np.random.default_rng(seed)
    num_frames = 40
    s = np.clip((np.arange(num_frames) - 20) / 15, 0, 1)
    position = np.stack([0.02 * s, 0.6 + 0.1 * s, BOX[2] + 0.25 * s], axis=-1)  # right, ahead, up
    hand = position[:, None] + np.array([-0.04, 0.0, 0.0]) + 0.02 * rng.normal(size=(1, 21, 3))
    hand = hand + np.clip((12 - np.arange(num_frames)) / 12, 0, 1)[:, None, None] * np.array([-0.2, -0.2, 0.1])
    yaw = 0.4
    if mirror:
        position, hand, yaw = position * [-1, 1, 1], hand * [-1, 1, 1], -yaw
    # right, ahead, up -> x right, y down, z forward, then tilted down about x
    level = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    R = Rotation.from_euler("x", PITCH).as_matrix() @ level
    origin = np.array([0.0, 0.0, HEIGHT])
    valid = np.arange(num_frames) >= 3
    joints = np.where(valid[:, None, None], (hand - origin) @ R.T, np.nan)
    rotation = Rotation.from_matrix(R) * Rotation.from_euler("z", yaw)
    return {
        "joints": joints.astype(np.float32),
        "obj_quat_xyzw": np.tile(rotation.as_quat(), (num_frames, 1)).astype(np.float32),
        "obj_trans": ((position - origin) @ R.T).astype(np.float32),
        "hand_valid": valid,
    }


def write_box(path: Path, half: np.ndarray = BOX, inside_out: bool = False) -> None:
    """A closed box as ``.obj``, quadrilaterals, counter-clockwise seen from outside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    corners = half * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    sides = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
    lines = [f"v {x} {y} {z}" for x, y, z in corners]
    lines += ["f " + " ".join(f"{i}//1" for i in (reversed(side) if inside_out else side)) for side in sides]
    path.write_text("\n".join(lines) + "\n")
