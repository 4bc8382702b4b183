"""How each finger bends: which of its joints are flexion joints, about which axis, and to which side.

A finger's last turning joint is a flexion joint, and so are those whose axes are parallel to it. They bend towards
their larger range. The straight posture, in which directions are measured, is zero where zero stretches the
finger, and else the posture that stretches it most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from jaxtyping import Float

from unihm.hands.proposing.skeleton import Chain, Skeleton
from unihm.hands.proposing.tips import Tip
from unihm.kinematics.urdf import Joint

_PARALLEL = np.cos(np.radians(35))
_STRETCHED = 0.97  # zero is straight if it reaches this share of the farthest reach
_BESIDE = 0.03  # m: farther from the finger's line, the end does not lie in the plane of the bend
_INWARD = 0.05  # m: where fingers meet lies about this far before them
_CLEAR = 0.2  # of the range: a smaller difference between both sides does not tell which one is flexion


@dataclass(frozen=True, kw_only=True, eq=False)
class Finger:
    """One finger in the straight posture; vectors are in the axes of the palm link."""

    chain: Chain
    """Its joints."""
    tip: Tip
    """Its end."""
    flexion: tuple[Joint, ...]
    """Joints that bend it, from the palm outwards; empty for a sliding jaw."""
    axis: Float[np.ndarray, " 3"]
    """Unit axis about which it bends; zero for a jaw."""
    sign: float
    """1 where the last joint closes the finger in its positive direction, else -1."""
    joints_palm: Float[np.ndarray, "n 3"]
    """Its knuckles: the origins of its joints, moved along flexion axes to the finger's middle, m."""
    base: Float[np.ndarray, " 3"]
    """Its first bending knuckle, or the origin of its jaw, m."""
    end: Float[np.ndarray, " 3"]
    """Its tip, m."""
    along: Float[np.ndarray, " 3"]
    """Unit direction of its first bone."""
    closing: Float[np.ndarray, " 3"]
    """Unit direction in which closing moves its tip."""
    clear: bool
    """Whether the limits tell to which side it bends."""

    @property
    def is_jaw(self) -> bool:
        """True where it slides instead of bending."""
        return not self.flexion

    @property
    def label(self) -> str:
        """How messages name it."""
        return self.chain.end


def straight_posture(skeleton: Skeleton, tips: list[Tip]) -> Float[np.ndarray, " nq"]:
    """Independent joints with every finger as long as it gets, near zero where that is long enough."""
    q = skeleton.zero()
    lower, upper = skeleton.limits()
    for chain, tip in zip(skeleton.chains, tips, strict=True):
        flexion, _ = _flexion(skeleton, chain, q)
        columns = sorted({skeleton.source(joint)[0] for joint in flexion})[:3]
        if not columns:
            continue
        grid = [np.unique([q[i], *np.linspace(lower[i], upper[i], 9)]) for i in columns]
        tried = np.repeat(q[None], np.prod([len(values) for values in grid]), axis=0)
        tried[:, columns] = list(product(*grid))
        T = skeleton.poses(np.concatenate([q[None], tried]))
        base = T[:, skeleton.link(flexion[0].child), :3, 3]
        reach = np.linalg.norm(_point(skeleton, T, chain.end, tip.end) - base, axis=-1)
        if reach[0] < _STRETCHED * reach.max():
            # Among the postures that are as good, the one nearest to zero.
            good = np.flatnonzero(reach[1:] >= 0.995 * reach.max())
            q = tried[good[np.abs(tried[good]).sum(axis=1).argmin()]]
    return q


def describe(skeleton: Skeleton, tips: list[Tip], q: Float[np.ndarray, " nq"], doubts: list[str]) -> list[Finger]:
    """All fingers in a straight posture.

    Args:
        skeleton: The robot.
        tips: Ends of its chains.
        q: The straight posture, rad or m.
        doubts: Lines are added where limits do not tell to which side a finger bends.

    Returns:
        Fingers in the order of the chains. Two fingers close towards each other, whatever their limits say.
    """
    T = skeleton.poses(q)
    fingers = []
    for chain, tip in zip(skeleton.chains, tips, strict=True):
        flexion, axis = _flexion(skeleton, chain, q)
        vote, total = 0.0, 1e-9
        for joint in flexion:
            low, high = skeleton.travel(joint)
            index, factor, offset = skeleton.source(joint)
            here = factor * q[index] + offset
            same = np.sign(_axis(skeleton, T, joint) @ axis)
            vote += same * ((high - here) - (here - low))
            total += high - low
        clear = bool(abs(vote) > _CLEAR * total)
        end = _point(skeleton, T[None], chain.end, tip.end)[0]
        origins = np.stack([_middle(skeleton, T, joint, end if joint in flexion else None) for joint in chain.joints])
        names = [joint.name for joint in chain.joints]
        base = origins[names.index(flexion[0].name)] if flexion else origins[-1]
        knuckles = [origins[names.index(joint.name)] for joint in flexion[1:]]
        next_point = next((p for p in [*knuckles, end] if np.linalg.norm(p - base) > 0.005), base)
        along = next_point - base
        if not flexion:
            along = T[skeleton.link(chain.end), :3, :3] @ tip.direction
        sign = 1.0 if vote >= 0 else -1.0
        axis = sign * axis
        closing = np.cross(axis, end - base)
        if not flexion:
            closing = _axis(skeleton, T, chain.joints[-1])
        fingers.append(
            Finger(
                chain=chain,
                tip=tip,
                flexion=flexion,
                axis=axis,
                sign=sign,
                joints_palm=origins,
                base=base,
                end=end,
                along=along / max(float(np.linalg.norm(along)), 1e-9),
                closing=closing / max(float(np.linalg.norm(closing)), 1e-9),
                clear=clear or not flexion,
            )
        )
    return _decided(fingers, doubts) if len(fingers) > 2 else _facing(skeleton, fingers)


def _decided(fingers: list[Finger], doubts: list[str]) -> list[Finger]:
    """Fingers whose limits are as wide to both sides close towards where the others close."""
    decided = []
    for finger in fingers:
        others = [other for other in fingers if other is not finger and other.clear]
        if not finger.clear and others:
            goal = np.mean([(other.base + other.end) / 2 + _INWARD * other.closing for other in others], axis=0)
            turn = 1.0 if finger.closing @ (goal - finger.end) >= 0 else -1.0
            finger = replace(finger, sign=turn * finger.sign, axis=turn * finger.axis, closing=turn * finger.closing)
        if not finger.clear:
            doubts.append(
                f"finger '{finger.label}': its joint limits do not tell to which side it bends; "
                + ("taken towards the other fingers" if others else "taken to the larger side")
            )
        decided.append(finger)
    return decided


def _facing(skeleton: Skeleton, fingers: list[Finger]) -> list[Finger]:
    """Two fingers with their closing directions turned towards each other; limits say nothing about a gripper.

    In the middle of the range a small step of a finger's last joint brings its tip nearer to the other one or not.
    """
    lower, upper = skeleton.limits()
    T = skeleton.poses((lower + upper) / 2)
    tips = [_point(skeleton, T[None], finger.chain.end, finger.tip.end)[0] for finger in fingers]
    faced = []
    for finger, tip, other in zip(fingers, tips, tips[::-1], strict=True):
        joint = finger.chain.joints[-1]
        moves = _axis(skeleton, T, joint)
        if finger.flexion:
            moves = np.cross(moves, tip - T[skeleton.link(joint.child), :3, 3])
        sign = 1.0 if moves @ (other - tip) >= 0 else -1.0
        turn = sign * finger.sign
        faced.append(replace(finger, sign=sign, axis=turn * finger.axis, closing=turn * finger.closing))
    return faced


def _flexion(
    skeleton: Skeleton, chain: Chain, q: Float[np.ndarray, " nq"]
) -> tuple[tuple[Joint, ...], Float[np.ndarray, " 3"]]:
    """A chain's flexion joints and their axis, of a sign still to be told, in the palm link."""
    if chain.joints[-1].kind == "prismatic":
        return (), np.zeros(3)
    T = skeleton.poses(q)
    axis = _axis(skeleton, T, chain.joints[-1])
    turning = [joint for joint in chain.joints if joint.kind != "prismatic"]
    return tuple(joint for joint in turning if abs(_axis(skeleton, T, joint) @ axis) > _PARALLEL), axis


def _middle(
    skeleton: Skeleton, T: Float[np.ndarray, "nl 4 4"], joint: Joint, end: Float[np.ndarray, " 3"] | None
) -> Float[np.ndarray, " 3"]:
    """The knuckle of a joint: where its axis crosses the plane in which the finger's end moves.

    A URDF may put a joint's origin anywhere on its axis, also beside the finger.
    """
    origin = T[skeleton.link(joint.child), :3, 3]
    if end is None:
        return origin
    axis = _axis(skeleton, T, joint)
    shift = float((end - origin) @ axis)
    return origin + shift * axis if abs(shift) < _BESIDE else origin


def _axis(skeleton: Skeleton, T: Float[np.ndarray, "nl 4 4"], joint: Joint) -> Float[np.ndarray, " 3"]:
    return T[skeleton.link(joint.child), :3, :3] @ joint.axis


def _point(
    skeleton: Skeleton, T: Float[np.ndarray, "n nl 4 4"], link: str, point: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "n 3"]:
    T_link = T[:, skeleton.link(link)]
    return T_link[:, :3, :3] @ point + T_link[:, :3, 3]
