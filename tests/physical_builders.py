"""A store of scripted grasps of a box, and a refining that only pretends; importable by worker processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scripted_motions import BOX, TOUCH, box_grab
from unihm.datasets.episode_store import write_episodes
from unihm.datasets.motion_rows import Checked
from unihm.datasets.motion_store import write_motions
from unihm.physical_data import CheckedMotion, Recording
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion
from unihm.simulation.ycb import LEANING

OBJECT = "003_cracker_box"  # by name and mass; its model here is a cube
LEANS = next(iter(LEANING))


def squeezed(force: float, **changes) -> HandMotion:
    """A grasp whose pads press with a force (N): one drive of 3000 N/m moves both coupled fingers."""
    return box_grab(squeeze=TOUCH - 2 * force / 3000, **changes)


def write_store(folder: Path, motions: dict[str, HandMotion]) -> Path:
    """Episodes with these motions' object paths, and the motions as if they had been retargeted."""
    rng = np.random.default_rng(0)
    episodes = [
        Episode(
            id=name,
            recording=f"recording of {name}",
            dataset="made",
            subject="nobody",
            object_name=OBJECT,
            mirrored=False,
            fps=motion.fps,
            keypoints_world=rng.normal(size=(len(motion), 21, 3)),
            T_world_object=motion.T_world_object,
            object_points=motion.object_points,
            object_normals=motion.object_points / np.linalg.norm(motion.object_points, axis=1, keepdims=True),
            T_world_camera=np.eye(4),
            instructions=("Lift the box.",),
            contact_frame=30,
            lift_frame=39,
        )
        for name, motion in motions.items()
    ]
    write_episodes(folder, episodes)
    bare = {name: motion.replace(T_world_object=None, object_points=None) for name, motion in motions.items()}
    write_motions(folder, "panda", bare, made_with={"scripted": 1})
    return folder


def write_models(folder: Path) -> Path:
    """The cube as a model folder has it."""
    import trimesh

    (folder / OBJECT).mkdir(parents=True)
    trimesh.creation.box(extents=[BOX] * 3).export(folder / OBJECT / "mesh_simplified.obj")
    return folder


class Pretend:
    """Succeeds with what has an even number at the end of its name, and refuses what has a 7 there."""

    def __init__(self, candidates: int = 4, *, code: str = "1", stop_at: int = -1):
        self.candidates, self.code, self.stop_at = candidates, code, stop_at
        self.ids: list[str] = []
        """What it was asked for in this process."""

    def describe(self, hand: str) -> tuple[str, dict[str, Any]]:
        """Every hand is fine."""
        return hand, {"unihm": "0", "code": self.code, "search": {"candidates": self.candidates}}

    def __call__(self, task: Recording) -> CheckedMotion:
        """Slower by half: frames are doubled at the end."""
        if len(self.ids) + 1 == self.stop_at:
            raise KeyboardInterrupt
        self.ids.append(task.id)
        number = int(task.id[-1])
        if number == 7:
            return CheckedMotion(id=task.id, motion=None, checked=None, skipped="bad luck", seconds=0.5)
        good = number % 2 == 0
        longer = [*range(len(task.motion)), len(task.motion) - 1]
        names = ("qpos", "qpos_target", "T_world_palm", "T_world_object", "contact_phase")
        checked = Checked(
            recording=task.recording,
            success=good,
            reason="" if good else "slipped",
            criterion="light",
            candidate=number // 4,
            tried=4,
            friction_margin=0.5 if good else None,
            mass_margin=1.5 if good else None,
            seed=number,
        )
        motion = task.motion.replace(**{name: getattr(task.motion, name)[longer] for name in names})
        return CheckedMotion(id=task.id, motion=motion, checked=checked, seconds=0.5)
