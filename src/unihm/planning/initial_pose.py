"""Where a hand starts: given, or read from a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from unihm.geometry.pose import vector_to_pose
from unihm.hands.hand import HandModel
from unihm.schema.motion import HandMotion


@dataclass(frozen=True, kw_only=True)
class InitialPose:
    """Where the hand starts."""

    T_world_palm: Float[np.ndarray, "4 4"]
    """Palm pose in the world, m."""
    qpos: Float[np.ndarray, " nq"]
    """Joint positions in the hand's order, rad or m."""

    @classmethod
    def load(cls, path: str | Path, hand: HandModel) -> InitialPose:
        """Read a start pose: a motion ``.npz`` (its first frame) or a JSON file.

        The JSON reads ``{"xyz": [..3], "wxyz": [..4], "qpos": {joint: value, ...}}``; joints left out stand at
        the hand's rest pose.

        Raises:
            ValueError: The file is damaged, for another hand, or names unknown joints.
        """
        path = Path(path)
        if path.suffix == ".npz":
            motion = HandMotion.load(path)
            if motion.hand != hand.name:
                raise ValueError(f"'{path}' starts the hand '{motion.hand}', expected '{hand.name}'.")
            return cls(T_world_palm=motion.T_world_palm[0], qpos=motion.qpos[0])
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            vector = np.array([*value["xyz"], *value["wxyz"]], dtype=float)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"Initial pose '{path}' needs xyz (3), wxyz (4) and qpos: {error}.") from error
        if vector.shape != (7,) or not np.isfinite(vector).all() or not vector[3:].any():
            raise ValueError(f"Initial pose '{path}' needs finite xyz (3) and a quaternion wxyz (4).")
        qpos = hand.rest_qpos.numpy().copy()
        for name, angle in value.get("qpos", {}).items():
            if name not in hand.joint_names:
                raise ValueError(f"Initial pose '{path}': unknown joint '{name}'; {hand.name} has {hand.joint_names}.")
            qpos[hand.joint_names.index(name)] = float(angle)
        return cls(T_world_palm=vector_to_pose(vector), qpos=qpos)
