"""Two hands that do the same in made-up scenes."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from unihm.hands.hand import load_hand
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion

REFERENCE, OTHER = "allegro", "panda"
COUNT = 32


def scenes() -> tuple[list[Episode], dict[str, dict[str, HandMotion]]]:
    """Hands that come from one side, close, and lift a ball; the same smooth signals drive both hands."""
    rng = np.random.default_rng(0)
    hands = {name: load_hand(name) for name in (REFERENCE, OTHER)}
    mixing = {name: rng.normal(size=(2, len(hand.joint_names))) for name, hand in hands.items()}
    episodes, motions = [], {name: {} for name in hands}
    for number in range(COUNT):
        frames = int(rng.integers(25, 40))
        t = np.linspace(0, 1, frames)[:, None]
        signal = np.concatenate([4 * t - 2, np.sin(4 * t + rng.uniform(0, 6))], 1)
        side = rng.uniform(0, 2 * np.pi)
        T_world_object = np.tile(np.eye(4), (frames, 1, 1))
        T_world_object[:, 2, 3] = 0.05 + 0.2 * np.clip(2 * t[:, 0] - 1, 0, 1)
        T_world_palm = T_world_object.copy()
        reach = np.exp(-4 * t) * [0.3 * np.cos(side), 0.3 * np.sin(side), 0.2]
        T_world_palm[:, :3, 3] += reach + np.array([0, 0, 0.08])
        T_world_palm[:, :3, :3] = Rotation.from_euler("zy", [side + np.pi, 0.4]).as_matrix()
        name = f"made/{number:02d}"
        ball = rng.normal(size=(64, 3))
        ball /= np.linalg.norm(ball, axis=1, keepdims=True)
        episodes.append(
            Episode(
                id=name, recording=name, dataset="made", subject="s", object_name="ball", mirrored=False, fps=30.0,
                keypoints_world=np.zeros((frames, 21, 3)), T_world_object=T_world_object,
                object_points=0.04 * ball, object_normals=ball, T_world_camera=np.eye(4),
                instructions=("lift the ball",) * 5, contact_frame=frames // 2, lift_frame=frames // 2,
                attributes={
                    "object_position": "0", "unihm_split": "train", "trial": str(number % 5), "subject_number": "3",
                },
            )
        )  # fmt: skip
        for hand_name, hand in hands.items():
            share = 1 / (1 + np.exp(-signal @ mixing[hand_name]))
            lower, upper = hand.lower.numpy(), hand.upper.numpy()
            motions[hand_name][name] = HandMotion(
                hand=hand_name,
                fps=30.0,
                joint_names=tuple(hand.joint_names),
                qpos=lower + share * (upper - lower),
                T_world_palm=T_world_palm,
            )
    return episodes, motions
