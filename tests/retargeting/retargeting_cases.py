"""Motions of a human hand, and Eq. B1 written down once more without any of retargeting's code."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from unihm.hands.body_spheres import solid_spheres
from unihm.hands.description import HandDescription, describe_hand, list_hands
from unihm.hands.hand import HandModel, load_hand
from unihm.kinematics.keypoints import FINGERS, NAMES, palm_frame
from unihm.retargeting import RetargetingConfig

model_of = cache(load_hand)
description_of = cache(describe_hand)
FLIP = np.diag([1.0, -1.0, 1.0])  # makes a right hand a left one


def human_motion(frames: int, seed: int = 0, side: str = "right", amount: float = 0.4) -> np.ndarray:
    """Smooth keypoints (T, 21, 3) of the human hand model: it turns, moves and closes."""
    human = model_of("human")
    rng = np.random.default_rng(seed)
    s = np.linspace(0, 1, frames)[:, None]
    rest, lower, upper = human.rest_qpos.numpy(), human.lower.numpy(), human.upper.numpy()
    goal = rest + amount * rng.uniform(-1, 1, len(rest)) * (upper - lower)
    q = np.clip((1 - s) * rest + s * goal, lower, upper)
    R = Rotation.from_rotvec(s * rng.normal(0, 0.7, 3)).as_matrix()
    p = human.keypoints(torch.from_numpy(q)).numpy()
    keypoints = np.einsum("nij,nkj->nki", R, p) + s[:, None] * rng.normal(0, 0.2, 3)
    return keypoints if side == "right" else keypoints @ FLIP


def open_and_close(frames: int, closed: float = 0.9) -> np.ndarray:
    """Keypoints of a human hand whose fingers go from straight to closed, the palm at rest."""
    human = model_of("human")
    lower, upper = human.lower.numpy(), human.upper.numpy()
    bends = np.array([low > -0.5 and high > 1.0 for low, high in zip(lower, upper, strict=True)])
    s = np.linspace(0, closed, frames)[:, None]
    q = np.where(bends, s * upper, human.rest_qpos.numpy()).clip(lower, upper)
    return human.keypoints(torch.from_numpy(q)).numpy()


def keypoints_world(model: HandModel, qpos: np.ndarray, T_world_palm: np.ndarray) -> np.ndarray:
    """The hand's own keypoints (T, k, 3), by the torch reference."""
    p = model.keypoints(torch.from_numpy(np.ascontiguousarray(qpos))).numpy()
    return np.einsum("...ij,...kj->...ki", T_world_palm[..., :3, :3], p) + T_world_palm[..., None, :3, 3]


def tips_world(model: HandModel, qpos: np.ndarray, T_world_palm: np.ndarray) -> np.ndarray:
    """The fingertip keypoints (T, f, 3)."""
    return keypoints_world(model, qpos, T_world_palm)[..., model.fingertip_slots.numpy(), :]


def human_tips(model: HandModel, keypoints: np.ndarray) -> np.ndarray:
    """What the fingertips shall meet."""
    return keypoints[..., model.keypoint_indices[model.fingertip_slots].numpy(), :]


def representative_hands() -> dict[str, str]:
    """Names of right hands by what is particular about them, found by property."""
    hands = [description_of(name) for name in list_hands() if description_of(name).side == "right"]

    def first(has) -> str:
        return next(hand.name for hand in hands if has(hand))

    def mimics(hand: HandDescription) -> bool:
        return any(joint.mimic is not None for joint in hand.urdf.joints)

    return {
        "largest": max(hands, key=lambda hand: len(hand.joint_names)).name,
        "mimic": first(lambda hand: mimics(hand) and not hand.chain.prismatic.any()),
        "gripper": first(lambda hand: hand.chain.prismatic.any()),
        "four fingers": first(lambda hand: len(hand.fingers) == 4 and not mimics(hand)),
    }


def plain_cost(
    model: HandModel, config: RetargetingConfig, keypoints: np.ndarray, q: np.ndarray, T: np.ndarray
) -> float:
    """Eq. B1 of one frame of a right hand, term by term as `RetargetingConfig` describes it, without smoothness."""
    indices = model.keypoint_indices.tolist()
    robot = dict(zip(indices, keypoints_world(model, q, T), strict=True))
    tips = [indices[slot] for slot in model.fingertip_slots.tolist()]
    T_human = palm_frame(keypoints)
    origin = T_human[:3, 3]
    scale = _scales(model) if config.link_scaling == "hand" else dict.fromkeys(FINGERS, 1.0)

    target = {}
    for i in indices:
        target[i] = keypoints[i] if i == 0 else origin + scale[FINGERS[(i - 1) // 4]] * (keypoints[i] - origin)
    if config.link_scaling == "bones":
        rest = dict(zip(indices, model.keypoints(model.rest_qpos).numpy(), strict=True))
        for tip in tips:
            for end, base in pairwise([i for i in range(tip, tip - 4, -1) if i in indices]):
                bone = keypoints[base] - keypoints[end]
                length = np.linalg.norm(rest[base] - rest[end])
                target[base] = target[end] + length * bone / np.linalg.norm(bone)
        if 0 in indices and 9 in indices:
            bone = keypoints[0] - keypoints[9]
            target[0] = target[9] + np.linalg.norm(rest[0] - rest[9]) * bone / np.linalg.norm(bone)

    def rho(e: np.ndarray) -> float:
        sizes = np.abs(e) if config.huber_per_axis else np.array([np.linalg.norm(e)])
        d = config.huber
        return sum(s**2 / 2 if s <= d else d * (s - d / 2) for s in sizes)

    total = 0.0
    for i in indices:
        sigma = config.fingertip_sigma if i in tips else config.wrist_sigma if i == 0 else config.keypoint_sigma
        total += config.keypoint_weights.get(NAMES[i], 1.0) * rho(robot[i] - target[i]) / sigma**2
    for tip in tips:
        s = scale[FINGERS[(tip - 1) // 4]]
        vector = robot[tip] - T[:3, 3] - s * (keypoints[tip] - origin)
        total += config.keypoint_weights.get(NAMES[tip], 1.0) * rho(vector) / config.vector_sigma**2
        if 4 in tips and tip != 4:
            human = keypoints[tip] - keypoints[4]
            near = np.exp(-2 * (human @ human) / config.pinch_distance**2)  # of the square: 1/e^2 at the distance
            total += near * rho(robot[tip] - robot[4] - s * human) / config.pinch_sigma**2
    span = (model.upper - model.lower).numpy()
    total += float((((q - model.rest_qpos.numpy()) / (config.rest_sigma * span)) ** 2).sum()) / 2
    if not config.fixed_palm:
        total += float(((T[:3, :3] - T_human[:3, :3]) ** 2).sum()) / (4 * config.palm_orientation_sigma**2)
    if np.isfinite(config.self_collision_sigma):
        total += float((overlaps(model, q) ** 2).sum()) / (2 * config.self_collision_sigma**2)
    return total


def overlaps(model: HandModel, q: np.ndarray) -> np.ndarray:
    """How deep spheres of different fingers are in each other, m; pairs that touch at rest are left out."""
    links, centres, radii = (np.array(value) for value in solid_spheres(model.geometry))
    finger = np.array([_first_joint(model, model.link_names[i]) for i in links])

    def gaps(q: torch.Tensor) -> np.ndarray:
        T = model.forward_kinematics(q).numpy()[links]
        p = np.einsum("nij,nj->ni", T[:, :3, :3], centres) + T[:, :3, 3]
        return np.linalg.norm(p[:, None] - p[None], axis=-1) - radii[:, None] - radii[None]

    moving = finger != ""
    pairs = (finger[:, None] != finger[None]) & moving[:, None] & moving[None] & (gaps(model.rest_qpos) > 1e-3)
    pairs &= np.tri(len(links), k=-1, dtype=bool)
    return np.maximum(-gaps(torch.from_numpy(np.ascontiguousarray(q)))[pairs], 0)


def _first_joint(model: HandModel, link: str) -> str:
    """The joint nearest to the palm that moves a link; none for the palm."""
    joint_of = {joint.child: joint for joint in model.urdf.joints}
    name = ""
    while link in joint_of:
        joint = joint_of[link]
        name = joint.name if joint.kind != "fixed" else name
        link = joint.parent
    return name


def _scales(model: HandModel) -> dict[str, float]:
    """Robot over human finger length; a finger that departs from the median by more than 15 % keeps its own."""
    human = model_of("human")
    both = set(model.keypoint_indices.tolist()) & set(human.keypoint_indices.tolist())
    ratio = {}
    for number, finger in enumerate(FINGERS):
        chain = [i for i in range(4 * number + 1, 4 * number + 5) if i in both]
        length = []
        for one in (model, human):
            p = dict(zip(one.keypoint_indices.tolist(), one.keypoints(one.rest_qpos).numpy(), strict=True))
            length.append(sum(np.linalg.norm(p[a] - p[b]) for a, b in pairwise(chain)))
        if len(chain) > 1:
            ratio[finger] = length[0] / length[1]
    common = float(np.median(list(ratio.values()))) if ratio else 1.0
    return {f: ratio[f] if f in ratio and abs(ratio[f] / common - 1) > 0.15 else common for f in FINGERS}
