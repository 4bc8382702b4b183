"""A recording of a cube that a hand lifts, stores of such, and a composing that only pretends; for worker processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from unihm.composing.base import PASSED
from unihm.composing.free import Push
from unihm.composing.trying import HandTry, Order, Tried, episode_as_stored
from unihm.datasets.episode_store import write_episodes
from unihm.datasets.motion_rows import Checked
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion

OBJECT, EDGE = "003_cracker_box", 0.06  # its model here is a cube, m
JOINTS = ("a", "b")


def write_models(folder: Path) -> Path:
    """The cube as a model folder has it."""
    import trimesh

    (folder / OBJECT).mkdir(parents=True)
    trimesh.creation.box(extents=[EDGE] * 3).export(folder / OBJECT / "mesh_simplified.obj")
    return folder


def lifted(number: int = 0, **changes) -> Episode:
    """A hand comes from the camera's side in 20 frames, closes while the cube rises, and holds it 25 cm up.

    Annotated poses tremble by half a mm and half a degree, as real ones do; the camera looks along x and down.
    """
    rng = np.random.default_rng(number)
    frames = np.arange(60)
    up = 0.25 * np.clip((frames - 20) / 25, 0, 1) ** 1.5
    T = np.tile(np.eye(4), (60, 1, 1))
    T[:, :3, :3] = Rotation.from_rotvec(0.005 * rng.normal(size=(60, 3)) + [0, 0, 0.3 * number]).as_matrix()
    T[:, :3, 3] = np.stack([0.5 + 0 * up, 0.1 + 0 * up, EDGE / 2 + up], axis=1) + 5e-4 * rng.normal(size=(60, 3))
    spread = rng.uniform(-0.02, 0.02, size=(21, 3))
    spread[0] = [-0.1, 0.0, 0.04]  # the wrist
    come = np.clip(1 - frames / 18, 0, 1)[:, None] * np.array([-0.3, 0.05, 0.1])
    close = np.clip((26 - frames) / 12, 0, 1)[:, None, None] * np.array([0.0, 0.01, 0.02])
    hand = T[:, None, :3, 3] * [1, 1, 0] + np.array([0, 0, EDGE / 2]) + up[:, None, None] * [0, 0, 1]
    hand = hand + come[:, None] + spread + close
    grid = np.stack(np.meshgrid(*[np.linspace(-EDGE / 2, EDGE / 2, 7)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    points = grid[np.abs(grid).max(axis=1) > EDGE / 2 - 1e-9]
    camera = np.eye(4)
    camera[:3, :3] = np.array([[0.0, -0.6, 0.8], [-1.0, 0.0, 0.0], [0.0, -0.8, -0.6]])
    values: dict[str, Any] = {
        "id": f"dexycb/subject/{number:03d}",
        "recording": f"dexycb/subject/{number:03d}",
        "dataset": "dexycb",
        "subject": "subject",
        "object_name": OBJECT,
        "mirrored": False,
        "fps": 30.0,
        "keypoints_world": hand,
        "T_world_object": T,
        "object_points": points,
        "object_normals": points / np.linalg.norm(points, axis=1, keepdims=True),
        "T_world_camera": camera,
        "instructions": tuple(f"Lift the box, {k}." for k in range(5)),
        "contact_frame": 18,
        "lift_frame": 21,
        "attributes": {
            "unihm_split": "valid" if number % 4 == 3 else "train",
            "object_position": "1",
            "subject_number": "1",
            "trial": str(number % 5),
        },
    }
    return Episode(**{**values, **changes})


def write_store(folder: Path, count: int = 8) -> Path:
    """Some of them; every fourth is a test recording, and the last one holds a test object."""
    episodes = [lifted(number) for number in range(count)]
    episodes[-1] = replace(episodes[-1], attributes={**episodes[-1].attributes, "object_position": "7"})
    write_episodes(folder, episodes)
    return folder


class Pretend:
    """Composes pushes without a simulation; a hand does those whose recording has an even number."""

    def __init__(self, seed: int = 0, *, code: str = "1", stop_at: int = -1, worth: int = 2):
        self.seed, self.code, self.stop_at, self.worth = seed, code, stop_at, worth
        self.ids: list[str] = []
        """What it was asked for in this process."""

    def describe(self) -> dict[str, Any]:
        """Two hands."""
        return {"unihm": "0", "code": self.code, "seed": self.seed, "hands": {"left_out": "0", "mitten": "0"}}

    def __call__(self, order: Order) -> Tried:
        """Number 4 cannot be composed; the hand `left_out` is refused everywhere."""
        if len(self.ids) + 1 == self.stop_at:
            raise KeyboardInterrupt
        self.ids.append(order.id)
        assert order.source is not None
        number = int(order.source.id[-3:])
        if number == 4:
            return Tried(id=order.id, refused="no grasp")
        good = number % self.worth == 0
        episode = replace(
            order.source,
            id=order.id,
            attributes={**order.source.attributes, "task": Push.task, PASSED: "mitten" if good else ""},
        )
        motion = HandMotion(
            hand="mitten",
            fps=30.0,
            joint_names=JOINTS,
            qpos=np.full((70, 2), float(number)),
            T_world_palm=np.tile(np.eye(4), (70, 1, 1)),
            T_world_object=np.tile(np.eye(4), (70, 1, 1)),
            contact_phase=np.ones(70),
        )
        checked = Checked(
            recording=episode.recording,
            success=good,
            reason="" if good else "slipped",
            criterion="full",
            candidate=0,
            tried=1,
            friction_margin=0.8 if good else None,
            mass_margin=1.0 if good else None,
            seed=number,
        )
        hands = {
            "left_out": HandTry(reason="refused: too large"),
            "mitten": HandTry(reason=checked.reason, motion=motion, checked=checked),
        }
        return Tried(id=order.id, episode=episode_as_stored(episode), hands=hands)
