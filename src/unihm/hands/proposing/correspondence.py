"""Which points of a robot finger are the human knuckles', and a relaxed posture.

Robot joints that lie in one place are one knuckle. A finger's first bending knuckle is the human one (mcp); where
fewer follow than a human has, each becomes the human joint whose share of the finger's length it comes nearest to. A
thumb is counted from its end: its last knuckle is the ip joint, the one before the mcp joint.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float

from unihm.hands.hand_file import PointOnLink
from unihm.hands.proposing.anatomy import Anatomy
from unihm.hands.proposing.fingers import Finger
from unihm.hands.proposing.skeleton import Skeleton

_ONE_PLACE = 0.008  # m: joints nearer to each other are one knuckle
# Places of knuckles along a human finger as shares of its length; bone lengths of our human hand (assets/hands/human).
_SHARES = {"pip": 0.47, "dip": 0.75}
_REST_BEND = (
    0.5,
    0.6,
    0.4,
)  # rad at a finger's knuckles: the half-open posture of the hands that come with the package
_REST_LEAST = 0.4  # of a joint's way: short ranges bend no farther
_HUMAN_PALM = 0.097  # m from the wrist to the middle finger's base
_HUMAN_FINGER = 0.095  # m from the middle finger's base to its tip


def knuckles(skeleton: Skeleton, name: str, finger: Finger, q: Float[np.ndarray, " nq"]) -> dict[str, PointOnLink]:
    """Keypoints of one finger except its tip: human names to points of the robot.

    Args:
        skeleton: The robot.
        name: The human finger's name.
        finger: The robot's finger in its straight posture.
        q: That posture, rad or m.
    """
    if finger.is_jaw:
        return {}
    joints = finger.chain.joints if name == "thumb" else finger.flexion
    place = {joint.name: point for joint, point in zip(finger.chain.joints, finger.joints_palm, strict=True)}
    places: list[tuple[str, np.ndarray]] = []
    for joint in joints:
        point = place[joint.name]
        if places and np.linalg.norm(point - places[-1][1]) < _ONE_PLACE:
            places[-1] = (joint.child, point)  # the last of several joints carries the bone that follows
        else:
            places.append((joint.child, point))
    T = skeleton.poses(q)
    found = {}
    for joint, (link, point) in (
        _thumb_names(places) if name == "thumb" else _finger_names(places, finger.end)
    ).items():
        T_link = T[skeleton.link(link)]
        xyz = T_link[:3, :3].T @ (point - T_link[:3, 3])
        found[f"{name}_{joint}"] = PointOnLink(link=link, xyz=tuple(round(float(x), 6) + 0.0 for x in xyz))
    return found


def _finger_names(places: list[tuple[str, np.ndarray]], end: np.ndarray) -> dict[str, tuple[str, np.ndarray]]:
    shares = _SHARES
    lengths = np.cumsum([0.0, *(np.linalg.norm(np.diff([*(p for _, p in places), end], axis=0), axis=1))])
    here = lengths[:-1] / max(lengths[-1], 1e-9)
    outer = list(range(1, len(places)))
    count = min(len(outer), 2)
    best = min(
        (
            (sum(abs(here[i] - shares[joint]) for i, joint in zip(chosen, names, strict=True)), chosen, names)
            for chosen in combinations(outer, count)
            for names in combinations(shares, count)
        ),
        key=lambda option: option[0],
    )
    return {"mcp": places[0]} | {joint: places[i] for i, joint in zip(best[1], best[2], strict=True)}


def _thumb_names(places: list[tuple[str, np.ndarray]]) -> dict[str, tuple[str, np.ndarray]]:
    names = ("ip", "mcp", "cmc")[: len(places)]
    return {joint: places[-1 - i] for i, joint in enumerate(names)}


def wrist(skeleton: Skeleton, anatomy: Anatomy) -> PointOnLink | None:
    """The wrist, on the palm's x behind the middle finger's base; None for grippers, which have none."""
    if anatomy.pinches:
        return None
    T = anatomy.T_link_palm
    behind = -float((np.zeros(3) - T[:3, 3]) @ T[:3, 0])
    names = [finger for finger in anatomy.fingers if finger != "thumb"]
    length = np.median([np.linalg.norm(anatomy.fingers[n].end - anatomy.fingers[n].base) for n in names])
    human = _HUMAN_PALM / _HUMAN_FINGER * float(length)
    # The palm link's own origin, if it lies where a wrist may be, else in human proportion.
    distance = behind if 0.5 * human < behind < 2 * human else human
    point = T[:3, 3] - distance * T[:3, 0]
    return PointOnLink(link=skeleton.palm, xyz=tuple(float(x) for x in point))


def rest_posture(
    skeleton: Skeleton, anatomy: Anatomy, straight: Float[np.ndarray, " nq"], pads: dict[str, PointOnLink]
) -> Float[np.ndarray, " nq"]:
    """A half-open hand with the thumb before the fingers, rad or m.

    Args:
        skeleton: The robot.
        anatomy: Its fingers by name.
        straight: The straight posture.
        pads: Contact points by finger.
    """
    lower, upper = skeleton.limits()
    if len(anatomy.fingers) == 2:
        return _three_quarters_open(skeleton, anatomy, pads)
    q = straight.copy()
    for name, finger in anatomy.fingers.items():
        if name == "thumb" and not anatomy.pinches:
            continue
        bends = iter(_REST_BEND if len(finger.flexion) > 1 else (0.5,))
        for joint in finger.flexion:
            bend = next(bends, _REST_BEND[-1])
            if joint.mimic is not None:
                continue
            index = skeleton.tree.joint_names.index(joint.name)
            same = finger.sign * _same_sense(skeleton, finger, joint.name, straight)
            limit = upper[index] if same > 0 else lower[index]
            way = abs(limit - q[index])
            q[index] = q[index] + same * min(bend, _REST_LEAST * way)
    if "thumb" in anatomy.fingers and not anatomy.pinches:
        q = _opposed(skeleton, anatomy, q, pads)
    return np.clip(q, lower, upper)


def _three_quarters_open(
    skeleton: Skeleton, anatomy: Anatomy, pads: dict[str, PointOnLink]
) -> Float[np.ndarray, " nq"]:
    """A gripper whose pads are three quarters as far apart as they get, all joints moved together.

    Pads that have passed each other are not apart.
    """
    first, second = anatomy.fingers.values()
    apart = second.closing - first.closing
    apart = apart / max(float(np.linalg.norm(apart)), 1e-9)
    lower, upper = skeleton.limits()
    share = np.linspace(0, 1, 101)[:, None]
    best, width = lower, 0.0
    for sign in (1, -1) if len(lower) > 1 else (1,):  # a second joint may open the other way
        way = np.where(np.arange(len(lower)) % 2 == 1, sign, 1)
        q = lower + np.where(way > 0, share, 1 - share) * (upper - lower)
        T = skeleton.poses(q)
        a, b = (_place(skeleton, T, pad) for pad in pads.values())
        gap = np.maximum((a - b) @ apart, 0.0)
        if np.ptp(gap) > width:
            width = float(np.ptp(gap))
            best = q[np.abs(gap - (gap.min() + 0.75 * np.ptp(gap))).argmin()]
    return best


def _place(skeleton: Skeleton, T: Float[np.ndarray, "*n nl 4 4"], point: PointOnLink) -> Float[np.ndarray, "*n 3"]:
    T_link = T[..., skeleton.link(point.link), :, :]
    return T_link[..., :3, :3] @ np.array(point.xyz) + T_link[..., :3, 3]


def _same_sense(skeleton: Skeleton, finger: Finger, joint_name: str, q: Float[np.ndarray, " nq"]) -> float:
    """1 where a joint's axis points as the last joint's does, else -1."""
    T = skeleton.poses(q)
    joint = next(j for j in finger.flexion if j.name == joint_name)
    last = finger.chain.joints[-1]
    axes = [T[skeleton.link(j.child), :3, :3] @ j.axis for j in (joint, last)]
    return 1.0 if axes[0] @ axes[1] > 0 else -1.0


def _opposed(
    skeleton: Skeleton, anatomy: Anatomy, q: Float[np.ndarray, " nq"], pads: dict[str, PointOnLink]
) -> Float[np.ndarray, " nq"]:
    """Turn the thumb until its pad stands before those of its neighbours, as far off as a third of the way."""
    thumb = anatomy.fingers["thumb"]
    lower, upper = skeleton.limits()
    columns = sorted({skeleton.source(joint)[0] for joint in thumb.chain.joints})
    near = [name for name in ("index", "middle") if name in anatomy.fingers]

    T = skeleton.poses(q)
    front = np.mean([_place(skeleton, T, pads[name]) for name in near], axis=0)
    goal = front + 0.35 * (thumb.joints_palm.mean(axis=0) - front)
    generator = np.random.default_rng(0)
    middle, width = (lower[columns] + upper[columns]) / 2, (upper[columns] - lower[columns]) / 2
    centre, spread = middle, width
    scale = float(np.linalg.norm(thumb.end - thumb.base))
    best = q
    for _ in range(8):  # random search that narrows in on the best
        tried = np.repeat(q[None], 512, axis=0)
        values = centre + spread * generator.uniform(-1, 1, (512, len(columns)))
        tried[:, columns] = np.clip(values, lower[columns], upper[columns])
        tried[0] = best
        far = np.linalg.norm(_place(skeleton, skeleton.poses(tried), pads["thumb"]) - goal, axis=-1) / scale
        stretched = np.mean(((tried[:, columns] - middle) / np.maximum(width, 1e-9)) ** 2, axis=1)
        best = tried[(far**2 + 0.05 * stretched).argmin()]
        centre, spread = best[columns], 0.6 * spread
    return best
