"""A hand and a config become the arrays that the compiled search works on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from unihm.hands.body_spheres import solid_spheres
from unihm.hands.description import HandDescription, describe_hand
from unihm.kinematics.body_chain import BodyChain
from unihm.kinematics.compiled_chain import chain_arrays, moving_bodies, unsigned
from unihm.kinematics.keypoints import FINGERS, MIDDLE_MCP, NAMES, THUMB_TIP, TIPS, WRIST
from unihm.retargeting.config import RetargetingConfig
from unihm.retargeting.objective import Goal, Problem
from unihm.retargeting.targets import PINCH, POSITION, VECTOR, Layout

_UNUSUAL = 0.15  # a finger whose length departs from the others' by more than this share is scaled by itself
_OPEN_POSE_GAP = 1e-3  # m: spheres that are nearer than this at rest belong together and are not kept apart


def compile_problem(hand: HandDescription, config: RetargetingConfig) -> tuple[Problem, Layout]:
    """The arrays of a hand under a config.

    Raises:
        ValueError: The config asks for what this hand does not have.
    """
    points = [hand.chain.point(item.link, np.array(item.xyz)) for item in hand.keypoints]
    indices = [int(index) for index in hand.keypoint_indices]
    rest = keypoints_at_rest(hand)
    origin = len(points)
    points.append((-1, np.zeros(3)))  # the palm's origin
    tips = [int(slot) for slot in hand.fingertip_slots]

    scales: dict[str, float] = {finger: 1.0 for finger in FINGERS}
    if config.link_scaling == "hand":
        scales = _finger_scales(hand)
    rows: list[tuple[int, int, int, int, int, float, float]] = []  # kind, a, b, human a, human b, scale, weight
    for slot, index in enumerate(indices):
        sigma = config.fingertip_sigma if slot in tips else config.keypoint_sigma
        if index == WRIST:
            sigma = config.wrist_sigma
        weight = config.keypoint_weights.get(NAMES[index], 1.0) / sigma**2
        if weight > 0:
            rows.append((POSITION, slot, -1, index, -1, 1.0 if index == WRIST else scales[_finger(index)], weight))
    row_of = {row[3]: i for i, row in enumerate(rows)}
    for slot in tips:
        weight = config.keypoint_weights.get(NAMES[indices[slot]], 1.0) / config.vector_sigma**2
        if weight > 0:
            rows.append((VECTOR, slot, origin, indices[slot], MIDDLE_MCP, scales[_finger(indices[slot])], weight))
    thumb = next((slot for slot in tips if indices[slot] == THUMB_TIP), None)
    for slot in tips:
        if thumb is not None and slot != thumb and math.isfinite(config.pinch_sigma):
            scale = scales[_finger(indices[slot])] if config.link_scaling == "hand" else 1.0
            rows.append((PINCH, slot, thumb, indices[slot], THUMB_TIP, scale, 1 / config.pinch_sigma**2))
    if not rows:
        raise ValueError(f"Hand '{hand.name}': the config leaves no term that a keypoint enters.")
    if not config.fixed_palm and all(row[0] != POSITION for row in rows):
        raise ValueError("No term says where the palm is: give a keypoint term, or fixed_palm.")
    bones = _bones(indices, rest, row_of) if config.link_scaling == "bones" else []

    spheres, radii = _finger_spheres(hand) if math.isfinite(config.self_collision_sigma) else ([], [])
    first_sphere = len(points)
    points += spheres
    pairs = _sphere_pairs(hand.chain, spheres, radii, points_at(hand.chain, hand.rest_qpos, spheres))
    couplings = [(row[1], row[2]) for row in rows] + [(first_sphere + a, first_sphere + b) for a, b, _ in pairs]

    problem = _problem(hand.chain, points, couplings, len(rows), config)._replace(
        sphere_a=unsigned([first_sphere + a for a, _, _ in pairs]),
        sphere_b=unsigned([first_sphere + b for _, b, _ in pairs]),
        sphere_reach=np.array([reach for _, _, reach in pairs], dtype=np.float64),
        sphere_weight=1 / config.self_collision_sigma**2 if pairs else 0.0,
    )
    layout = Layout(
        kind=_ints([row[0] for row in rows]),
        human_a=_ints([row[3] for row in rows]),
        human_b=_ints([row[4] for row in rows]),
        scale=np.array([row[5] for row in rows]),
        weight=np.array([row[6] for row in rows]),
        bone_row=_ints([bone[0] for bone in bones]),
        bone_from=_ints([bone[1] for bone in bones]),
        bone_human=_ints([bone[2] for bone in bones]).reshape(-1, 2),
        bone_length=np.array([bone[3] for bone in bones], dtype=np.float64),
        pinch_distance=config.pinch_distance,
        aperture=_aperture(hand, config),
        side=1.0 if hand.side == "right" else -1.0,
    )
    return problem, layout


def rest_pull(hand: HandDescription, config: RetargetingConfig) -> Float[np.ndarray, " nq"]:
    """Weight of the rest posture, 1/rad^2."""
    return 1 / (config.rest_sigma * joint_span(hand)) ** 2


def joint_span(hand: HandDescription) -> Float[np.ndarray, " nq"]:
    """Range of each joint, rad or m; a full turn for joints without limits."""
    span = hand.chain.upper - hand.chain.lower
    return np.where(np.isfinite(span) & (span > 0), span, 2 * np.pi)


def make_goal(problem: Problem, hand: HandDescription, config: RetargetingConfig) -> Goal:
    """A goal to be filled frame by frame; rest posture, palm orientation and limits stand in it already."""
    rows = len(problem.row_a)
    return Goal(
        target=np.zeros((rows, 3)),
        weight=np.zeros(rows),
        c=hand.rest_qpos.copy(),
        v=rest_pull(hand, config),
        R=np.eye(3),
        t=np.zeros(3),
        u=np.array([1 / config.palm_orientation_sigma**2, 0.0]),
        lower=hand.chain.lower.copy(),
        upper=hand.chain.upper.copy(),
    )


def points_at(
    chain: BodyChain, q: Float[np.ndarray, "*batch nq"], points: Sequence[tuple[int, np.ndarray]]
) -> Float[np.ndarray, "*batch k 3"]:
    """Points of bodies in the base frame, m."""
    T = chain.forward_kinematics(q)
    placed = np.zeros((*q.shape[:-1], len(points), 3))
    for k, (body, xyz) in enumerate(points):
        placed[..., k, :] = xyz if body < 0 else T[..., body, :3, :3] @ xyz + T[..., body, :3, 3]
    return placed


def _problem(
    chain: BodyChain,
    points: list[tuple[int, np.ndarray]],
    couplings: list[tuple[int, int]],
    rows: int,
    config: RetargetingConfig,
) -> Problem:
    """Bodies, points and the structure of the linear system; couplings are the rows, then the pairs of spheres."""
    nq = len(chain.joint_names)
    chains = moving_bodies(chain, points)
    movers = []
    for a, b in couplings:
        bodies = chains[a] + (chains[b] if b >= 0 else [])
        movers.append(sorted({int(chain.column[body - 1]) for body in bodies}))
    first = np.arange(nq)
    for unknowns in movers:
        for i in unknowns:
            first[i] = min(first[i], unknowns[0])

    return Problem(
        **chain_arrays(chain, points),
        row_a=unsigned([a for a, _ in couplings[:rows]]),
        row_b=_ints([b for _, b in couplings[:rows]]),
        single=sum(b < 0 for _, b in couplings[:rows]),
        unknown_start=unsigned(np.cumsum([0, *map(len, movers)])),
        unknowns=unsigned([i for item in movers for i in item]),
        first=unsigned(first),
        sphere_a=unsigned([]),
        sphere_b=unsigned([]),
        sphere_reach=np.zeros(0),
        sphere_weight=0.0,
        delta=config.huber,
        per_axis=int(config.huber_per_axis),
        free_palm=int(not config.fixed_palm),
    )


def _bones(
    indices: list[int], rest: np.ndarray, row_of: dict[int, int]
) -> list[tuple[int, int, tuple[int, int], float]]:
    """For each keypoint behind a fingertip: its row, the row it hangs on, the human bone and the robot's length, m."""
    slot = {index: i for i, index in enumerate(indices)}
    pairs = []
    for tip in TIPS:
        chain = [index for index in range(tip, tip - 4, -1) if index in row_of]
        pairs += list(pairwise(chain))
    if WRIST in row_of and MIDDLE_MCP in row_of:
        pairs.append((MIDDLE_MCP, WRIST))
    return [
        (row_of[base], row_of[end], (end, base), float(np.linalg.norm(rest[slot[base]] - rest[slot[end]])))
        for end, base in pairs
    ]


def _finger(index: int) -> str:
    return FINGERS[(index - 1) // 4]


def _finger_scales(hand: HandDescription) -> dict[str, float]:
    """Robot over human finger length: the median for all fingers, its own for a finger of unusual length."""
    human = describe_hand("human")
    both = sorted(set(hand.keypoint_indices.tolist()) & set(human.keypoint_indices.tolist()))
    lengths = []
    for model in (hand, human):
        rest = keypoints_at_rest(model)
        slot = {index: i for i, index in enumerate(model.keypoint_indices.tolist())}
        chains = {finger: [i for i in both if i != WRIST and _finger(i) == finger] for finger in FINGERS}
        lengths.append(
            {
                finger: sum(float(np.linalg.norm(rest[slot[a]] - rest[slot[b]])) for a, b in pairwise(chain))
                for finger, chain in chains.items()
                if len(chain) > 1
            }
        )
    ratios = {finger: lengths[0][finger] / lengths[1][finger] for finger in lengths[0]}
    common = float(np.median(list(ratios.values()))) if ratios else 1.0
    unusual = {finger for finger, ratio in ratios.items() if abs(ratio / common - 1) > _UNUSUAL}
    return {finger: ratios[finger] if finger in unusual else common for finger in FINGERS}


def keypoints_at_rest(hand: HandDescription) -> Float[np.ndarray, "k 3"]:
    """The hand's keypoints in its rest posture, palm frame, m."""
    points = [hand.chain.point(item.link, np.array(item.xyz)) for item in hand.keypoints]
    return points_at(hand.chain, hand.rest_qpos, points)


def _aperture(hand: HandDescription, config: RetargetingConfig) -> np.ndarray:
    """See `Layout.aperture`."""
    if config.gripper != "aperture":
        return np.zeros(0)
    if len(hand.joint_names) != 1 or len(hand.fingertip_slots) != 2:
        raise ValueError(
            f"gripper 'aperture' is for hands with one joint and two fingers; '{hand.name}' has "
            f"{len(hand.joint_names)} joints and {len(hand.fingertip_slots)} fingers."
        )
    points = [
        hand.chain.point(hand.keypoints[slot].link, np.array(hand.keypoints[slot].xyz)) for slot in hand.fingertip_slots
    ]
    ends = [np.array([limit]) for limit in (hand.chain.lower[0], hand.chain.upper[0])]
    gaps = [float(np.linalg.norm(np.subtract(*points_at(hand.chain, q, points)))) for q in ends]
    if abs(gaps[1] - gaps[0]) < 1e-6:
        raise ValueError(f"gripper 'aperture': the joint of '{hand.name}' does not change its opening.")
    slope = float(ends[1][0] - ends[0][0]) / (gaps[1] - gaps[0])
    low, high = float(ends[0][0]), float(ends[1][0])
    return np.array([low - slope * gaps[0], slope * config.aperture_scale, low, high])


def _finger_spheres(hand: HandDescription) -> tuple[list[tuple[int, np.ndarray]], list[float]]:
    """Spheres of the bodies that a joint moves, in their bodies, and their radii."""
    links, centres, radii = solid_spheres(hand.geometry)
    points, kept = [], []
    for link, centre, radius in zip(links, centres, radii, strict=True):
        body, xyz = hand.chain.point(hand.link_names[link], centre)
        if body >= 0:
            points.append((body, xyz))
            kept.append(float(radius))
    return points, kept


def _sphere_pairs(
    chain: BodyChain, spheres: list[tuple[int, np.ndarray]], radii: list[float], rest: np.ndarray
) -> list[tuple[int, int, float]]:
    """Pairs of spheres of different fingers that are apart at rest, and the least distance of their centres, m."""
    finger = [chain.ancestors(body)[0] for body, _ in spheres]
    pairs = []
    for a in range(len(spheres)):
        for b in range(a):
            reach = radii[a] + radii[b]
            if finger[a] != finger[b] and np.linalg.norm(rest[a] - rest[b]) > reach + _OPEN_POSE_GAP:
                pairs.append((a, b, reach))
    return pairs


def _ints(values) -> np.ndarray:
    return np.asarray(values, dtype=np.int64)
