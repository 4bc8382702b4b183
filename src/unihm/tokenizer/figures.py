"""How well tokens keep a motion: joints, palm and keypoints, on the hand itself and from one hand to another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float

from unihm.geometry.lie import geodesic_angle, transform_points
from unihm.hands.hand import HandModel
from unihm.schema.motion import HandMotion, MotionTokens
from unihm.tokenizer.features import canonical_path
from unihm.tokenizer.tokenizer import Tokenizer

PINCH = 0.02
"""m; a person whose thumb is so near another fingertip pinches."""


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


def codes_in_use(tokens: Iterable[MotionTokens]) -> float:
    """How many different codes occur at a level, mean over levels."""
    codes = np.concatenate([t.codes for t in tokens])
    return float(np.mean([len(np.unique(codes[:, level])) for level in range(codes.shape[1])]))


def own_rows(
    tokenizer: Tokenizer, motions: Mapping[str, Mapping[str, HandMotion]], hands: Mapping[str, HandModel]
) -> Iterator[dict[str, object]]:
    """One row for each hand and rate: decode(encode(motion)) beside the motion.

    Args:
        tokenizer: What is measured.
        motions: hand -> episode id -> motion with its object.
        hands: The hands' kinematics.

    Returns:
        Rows with hand, ``bits_per_frame``, the figures of `summary`, ``codes_in_use`` and ``frames_per_second``
        (encoding and decoding in one batch, features and records included).
    """
    for hand, of_hand in motions.items():
        for levels in tokenizer.rates:
            start = time.perf_counter()
            tokens = tokenizer.encode_all(list(of_hand.values()), levels=levels)
            decoded = tokenizer.decode_all(tokens, hand)
            seconds = time.perf_counter() - start
            errors = [motion_errors(d, m, hands[hand]) for d, m in zip(decoded, of_hand.values(), strict=True)]
            yield {
                "hand": hand,
                "bits_per_frame": tokenizer.bits(levels),
                "finger_bits_per_frame": tokenizer.finger_bits(levels),
                **summary(errors),
                "codes_in_use": codes_in_use(tokens),
                "frames_per_second": round(sum(map(len, decoded)) / seconds),
            }


def cross_rows(
    tokenizer: Tokenizer,
    motions: Mapping[str, Mapping[str, HandMotion]],
    hands: Mapping[str, HandModel],
    source: str,
    targets: Sequence[str],
    person: str | None = None,
    after: Callable[[Sequence[HandMotion], str], Sequence[HandMotion]] | None = None,
) -> Iterator[dict[str, object]]:
    """One row for each target and rate: a hand's motion, translated (Eq. 6), beside the target's own retargeted motion.

    Args:
        tokenizer: What is measured.
        motions: hand -> episode id -> motion with its object; of the same recordings.
        hands: The hands' kinematics.
        source: Whose motion is encoded.
        targets: Who decodes it.
        person: The hand that was recorded; with it, rows also say how far fingertips are from the person's.
        after: What is done to the decoded motions, in the order of the episodes, of a target before they are measured.

    Returns:
        Rows with hand, source, ``bits_per_frame``, the figures of `summary`, and those of `beside_the_person`.
    """
    for levels in tokenizer.rates:
        tokens = tokenizer.encode_all(list(motions[source].values()), levels=levels)
        for target in targets:
            decoded: Sequence[HandMotion] = tokenizer.decode_all(tokens, target)
            if after is not None:
                decoded = after(decoded, target)
            truth = list(motions[target].values())
            row: dict[str, object] = {
                "hand": target,
                "source": source,
                "bits_per_frame": tokenizer.bits(levels),
                **summary(motion_errors(d, m, hands[target]) for d, m in zip(decoded, truth, strict=True)),
            }
            if person is not None:
                row |= beside_the_person(
                    decoded, truth, list(motions[person].values()), hands[target], hands[person]
                )  # fmt: skip
            yield row


def beside_the_person(
    translated: Sequence[HandMotion],
    direct: Sequence[HandMotion],
    person: Sequence[HandMotion],
    hand: HandModel,
    human: HandModel,
) -> dict[str, float | None]:
    """Fingertips and pinches of translated motions and of direct retargeting, beside the recorded person's.

    Returns:
        ``tip_excess_mm``: how much farther the translated fingertips are from the person's than the directly
        retargeted ones, mean. On frames in which the person's thumb and another fingertip are within 2 cm,
        mean error of that distance: ``pinch_mm`` against direct retargeting, ``pinch_person_mm`` against the person,
        and ``pinch_direct_mm`` of direct retargeting against the person; None where there is no such frame.
    """
    slots = hand.fingertip_slots.numpy()
    counterparts = [human.keypoint_indices.tolist().index(i) for i in hand.keypoint_indices[slots].tolist()]
    tips = [
        np.concatenate([keypoints_world(m, model)[:, chosen] for m in of_hand])
        for of_hand, model, chosen in (
            (translated, hand, slots), (direct, hand, slots), (person, human, np.array(counterparts)),
        )
    ]  # fmt: skip
    ours, retargeted, true = tips
    far = [np.linalg.norm(tip - true, axis=-1).mean() for tip in (ours, retargeted)]
    gaps = [np.linalg.norm(tip[:, 1:] - tip[:, :1], axis=-1) for tip in tips]
    close = gaps[2] < PINCH
    found: dict[str, float | None] = {"tip_excess_mm": float(far[0] - far[1]) * 1e3}
    for name, a, b in (("pinch_mm", 0, 1), ("pinch_person_mm", 0, 2), ("pinch_direct_mm", 1, 2)):
        found[name] = float(np.abs(gaps[a] - gaps[b])[close].mean()) * 1e3 if close.any() else None
    return found


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
