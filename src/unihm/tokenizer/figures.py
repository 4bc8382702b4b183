"""How well tokens keep a motion: joints, palm and keypoints, on the hand itself and from one hand to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from jaxtyping import Float

from unihm.geometry.lie import geodesic_angle, transform_points
from unihm.hands.hand import HandModel
from unihm.schema.motion import HandMotion, MotionTokens
from unihm.tokenizer.features import canonical_path
from unihm.tokenizer.tokenizer import Tokenizer


def keypoints_world(motion: HandMotion, hand: HandModel) -> Float[np.ndarray, "T k 3"]:
    """The hand's keypoints over the motion, m."""
    qpos = torch.from_numpy(np.ascontiguousarray(motion.qpos, dtype=np.float64))
    return transform_points(torch.from_numpy(motion.T_world_palm), hand.keypoints(qpos)).numpy()


def motion_errors(decoded: HandMotion, truth: HandMotion, hand: HandModel) -> dict[str, np.ndarray]:
    """Errors of every frame.

    Returns:
        ``joint_rad`` (T, turning joints), ``keypoint_mm`` (T, k), ``fingertip_mm`` (T, f), ``wrist_mm`` (T,) and
        ``wrist_deg`` (T,) of the palm frame.
    """
    kinds = {joint.name: joint.kind for joint in hand.urdf.joints}
    turning = [i for i, name in enumerate(truth.joint_names) if kinds[name] != "prismatic"]
    distance = np.linalg.norm(keypoints_world(decoded, hand) - keypoints_world(truth, hand), axis=-1) * 1e3
    R_decoded, R_truth = (torch.from_numpy(m.T_world_palm[:, :3, :3]) for m in (decoded, truth))
    offset = decoded.T_world_palm[:, :3, 3] - truth.T_world_palm[:, :3, 3]
    return {
        "joint_rad": np.abs(decoded.qpos - truth.qpos)[:, turning],
        "keypoint_mm": distance,
        "fingertip_mm": distance[:, hand.fingertip_slots.numpy()],
        "wrist_mm": np.linalg.norm(offset, axis=-1) * 1e3,
        "wrist_deg": np.rad2deg(geodesic_angle(R_decoded, R_truth).numpy()),
    }


def summary(errors: Iterable[dict[str, np.ndarray]]) -> dict[str, float | None]:
    """Means over all frames of all motions; joint figures are None for a hand without turning joints."""
    errors = list(errors)
    joint = np.concatenate([e["joint_rad"].ravel() for e in errors])
    keypoint = np.concatenate([e["keypoint_mm"].mean(-1) for e in errors])
    means = {k: float(np.concatenate([e[k].ravel() for e in errors]).mean()) for k in errors[0] if k != "joint_rad"}
    return {
        "joint_deg": float(np.rad2deg(joint.mean())) if joint.size else None,
        "mae_rad": float(joint.mean()) if joint.size else None,
        "rmse_rad": float(np.sqrt((joint**2).mean())) if joint.size else None,
        **means,
        "p95_mm": float(np.percentile(keypoint, 95)),
    }


def codes_in_use(tokens: Iterable[MotionTokens], levels: int) -> list[int]:
    """How many different codes occur at each level."""
    codes = np.concatenate([t.codes for t in tokens])
    return [len(np.unique(codes[:, level])) for level in range(levels)]


def tokenizer_figures(
    tokenizer: Tokenizer,
    motions: Mapping[str, Mapping[str, HandMotion]],
    hands: Mapping[str, HandModel],
    reference_hand: str,
) -> list[dict[str, object]]:
    """One row for each hand: encode and decode on the hand itself, and across from and to the reference hand.

    Args:
        tokenizer: What is measured.
        motions: hand -> episode id -> motion with its object.
        hands: The hands' kinematics.
        reference_hand: The hand whose tokens the others decode. Frames are each encoded hand's own.

    Returns:
        Rows with the figures of `summary`, ``codes_in_use``, ``bits_per_frame``, and for other hands
        ``from_reference_mm`` and ``to_reference_mm``: mean fingertip distance to the hand's own retargeted motion.
    """
    tokens = {
        hand: {name: tokenizer.encode(motion) for name, motion in of_hand.items()} for hand, of_hand in motions.items()
    }

    def errors(source: str, target: str) -> list[dict[str, np.ndarray]]:
        return [
            motion_errors(tokenizer.decode(tokens[source][name], target), truth, hands[target])
            for name, truth in motions[target].items()
        ]

    rows = []
    for hand in motions:
        row: dict[str, object] = {"hand": hand, **summary(errors(hand, hand))}
        row["codes_in_use"] = codes_in_use(tokens[hand].values(), tokenizer.levels)
        row["bits_per_frame"] = tokenizer.bits_per_frame
        if hand != reference_hand and reference_hand in motions:
            row["from_reference_mm"] = summary(errors(reference_hand, hand))["fingertip_mm"]
            row["to_reference_mm"] = summary(errors(hand, reference_hand))["fingertip_mm"]
        rows.append(row)
    return rows


def mean_pose_errors(
    motions: Mapping[str, HandMotion], training: Mapping[str, HandMotion], hand: HandModel
) -> dict[str, float | None]:
    """The figures of a tokenizer with no codes at all: the mean of the training motions in the canonical frame."""
    poses = np.concatenate([np.linalg.inv(canonical_path(m)) @ m.T_world_palm for m in training.values()])
    mean = np.eye(4)
    mean[:3, 3] = poses[:, :3, 3].mean(0)
    U, _, Vt = np.linalg.svd(poses[:, :3, :3].mean(0))
    mean[:3, :3] = U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt
    qpos = np.concatenate([m.qpos for m in training.values()]).mean(0)
    guesses = [
        m.replace(qpos=np.tile(qpos, (len(m), 1)), T_world_palm=canonical_path(m) @ mean) for m in motions.values()
    ]
    return summary(motion_errors(g, m, hand) for g, m in zip(guesses, motions.values(), strict=True))
