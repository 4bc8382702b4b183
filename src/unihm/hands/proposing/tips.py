"""Where a finger ends, and the point of its pad.

Directions of a finger's end body, in the frame of the link that its last joint moves: ``d`` from the joint to the
end, perpendicular to the joint's axis; ``v = axis × d`` to where flexing moves it, the pad's side. The contact point
lies half way between the pad's side and the end: on a round end in the direction ``(d + v) / sqrt 2`` from its centre,
on a flat pad half way from below the centre to the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.hands.proposing.skeleton import Chain, Skeleton
from unihm.hands.proposing.solids import Solids

_SHORTEST = 0.008  # m: a frame nearer to its joint than this marks no fingertip
_END = 0.02  # m: how far from the end the thickness of a fingertip is measured
_FLAT = 0.97  # of its height: a pad that keeps this much half way from the end's centre to the end is a flat face
_MARKER = 0.008  # m: solids smaller than this mark a frame
_NAME = "tip"


@dataclass(frozen=True, kw_only=True, eq=False)
class Tip:
    """The end of one finger, in the link that its last joint moves."""

    end: Float[np.ndarray, " 3"]
    """The farthest point on the finger's line, m."""
    direction: Float[np.ndarray, " 3"]
    """Unit direction from the joint to the end, across the joint's axis."""
    hull: Float[np.ndarray, "n 3"]
    """Points of the end body's solids, m; empty where nothing is known of its shape."""


def find_tip(skeleton: Skeleton, chain: Chain, solids: Solids, doubts: list[str]) -> Tip:
    """The end of a chain from a link that marks it, from its solids, or guessed from the bone before."""
    T = _within(skeleton, chain)
    frames = {name: T[name][:3, 3] for name in chain.end_links[1:] if np.linalg.norm(T[name][:3, 3]) > _SHORTEST}
    named = {name: point for name, point in frames.items() if _NAME in name.lower()} or frames
    frame = max(named, key=lambda name: float(np.linalg.norm(named[name])), default=None)
    clouds = [solids.points(name) @ T[name][:3, :3].T + T[name][:3, 3] for name in chain.end_links]
    hull = np.concatenate([cloud for cloud in clouds if _is_body(cloud)] or [np.zeros((0, 3))])
    axis = chain.joints[-1].axis
    if frame is not None:
        direction = _across(named[frame], axis)
    elif len(hull):
        far = hull[np.linalg.norm(hull, axis=1) > 0.5 * np.linalg.norm(hull, axis=1).max()]
        direction = _across(far.mean(axis=0), axis)
    else:
        direction, length = _guess(skeleton, chain)
        doubts.append(
            f"finger '{chain.end}': nothing says where it ends; its last bone is guessed {1e3 * length:.0f} mm long"
        )
        return Tip(end=direction * length, direction=direction, hull=hull)
    if len(hull):
        reach = float((hull @ direction).max())
        last = hull[hull @ direction > reach - _END]
        end = last.mean(axis=0)
        end = end + (reach - end @ direction) * direction
        if frame is not None and not -0.02 < reach - named[frame] @ direction < 0.03:
            doubts.append(
                f"finger '{chain.end}': its solids end {1e3 * (reach - named[frame] @ direction):.0f} mm "
                f"beyond the frame '{frame}'; the solids are believed"
            )
    else:
        assert frame is not None
        end = named[frame]
        doubts.append(f"finger '{chain.end}': no shape of its tip is known; its pad is put at the frame '{frame}'")
    return Tip(end=end, direction=direction, hull=hull)


def pad_point(tip: Tip, v: Float[np.ndarray, " 3"], jaw: bool) -> Float[np.ndarray, " 3"]:
    """The contact point on the surface, m, in the link that the last joint moves.

    Args:
        tip: The finger's end.
        v: Unit direction to the pad's side.
        jaw: True for the jaw of a gripper, whose pad faces v only.
    """
    from scipy.spatial import ConvexHull, QhullError

    d = tip.direction
    if len(tip.hull) < 4:
        return tip.end
    try:
        planes = ConvexHull(tip.hull).equations
    except QhullError:  # all points in one plane
        return tip.end

    def to_surface(point: np.ndarray, direction: np.ndarray) -> float:
        speed = planes[:, :3] @ direction
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = -(planes[:, :3] @ point + planes[:, 3]) / speed
        return float(distance[speed > 1e-9].min())

    a = np.cross(d, v)
    reach = float((tip.hull @ d).max())
    near = tip.hull[tip.hull @ d > reach - _END]
    centre = near.mean(axis=0)
    centre = centre + (reach - min(_END, float(np.ptp(near @ d)) + 1e-4) / 2 - centre @ d) * d
    half = [0.0, 0.0]
    for _ in range(6):  # the ball that fits the end
        half = []
        for side in (v, a):
            plus, minus = to_surface(centre, side), to_surface(centre, -side)
            centre = centre + side * (plus - minus) / 2
            half.append((plus + minus) / 2)
        centre = centre + d * (to_surface(centre, d) - min(half))
    if jaw:
        return centre + v * to_surface(centre, v)
    low, high = 0.0, min(half)  # where the flat ends: a hull's height falls ever faster towards the end
    while high - low > 1e-6:
        step = (low + high) / 2
        flat = to_surface(centre + d * step, v) > _FLAT * to_surface(centre, v)
        low, high = (step, high) if flat else (low, step)
    if low > min(half) / 2:
        onward = centre + d * low / 2
        return onward + v * to_surface(onward, v)
    u = (d + v) / 2**0.5
    # Not into the corner of a square end: from the ball's own surface on towards the pad's side.
    centre = centre + u * min(to_surface(centre, u), min(half))
    return centre + v * to_surface(centre, v)


def _is_body(cloud: Float[np.ndarray, "n 3"]) -> bool:
    """Whether a link's solids are a part of the finger, and not a marker at its tip frame."""
    return len(cloud) > 3 and float(np.linalg.norm(np.ptp(cloud, axis=0))) > _MARKER


def _across(vector: Float[np.ndarray, " 3"], axis: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " 3"]:
    across = vector - (vector @ axis) * axis
    if np.linalg.norm(across) < 1e-6:
        across = np.cross(axis, np.eye(3)[int(np.argmin(np.abs(axis)))])
    return across / np.linalg.norm(across)


def _guess(skeleton: Skeleton, chain: Chain) -> tuple[Float[np.ndarray, " 3"], float]:
    """Straight on from the bone before, four fifths as long, as the end bones of human fingers are."""
    T = skeleton.poses(skeleton.zero())
    last = T[skeleton.link(chain.end)]
    for link in [*(joint.child for joint in reversed(chain.joints[:-1])), skeleton.palm]:
        bone = last[:3, :3].T @ (last[:3, 3] - T[skeleton.link(link), :3, 3])
        if np.linalg.norm(bone) > _SHORTEST:
            return _across(bone, chain.joints[-1].axis), 0.8 * float(np.linalg.norm(bone))
    return _across(np.array([0.0, 0.0, 1.0]), chain.joints[-1].axis), 0.02


def _within(skeleton: Skeleton, chain: Chain) -> dict[str, Float[np.ndarray, "4 4"]]:
    """Poses of the end links in the link that the last joint moves."""
    T = skeleton.poses(skeleton.zero())
    base = np.linalg.inv(T[skeleton.link(chain.end)])
    return {name: base @ T[skeleton.link(name)] for name in chain.end_links}
