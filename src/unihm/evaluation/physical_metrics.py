"""What a motion does to the true object: piercing, contact, slip, and the hand to itself (FACTS 5).

All is measured on the hand's collision solids against the object's mesh, on `qpos` as it is drawn:

- **penetration**: depth of the deepest point of the hand's surface in the object, its mean over all frames and its
  maximum; and the volume that hand and object share, mean over all frames. No point is deeper in a wall than half its
  thickness: a finger through the bowl, which is a millimetre thick, shows in the volume;
- **contact ratio**: share of the frames in which two opposing pads touch, among those in which the given path has the
  object's origin more than 3 cm above where it began. A pad touches where its surface comes within 2 mm of the mesh;
  two pads oppose where the object's outward normals at their contacts differ by more than 90 degrees;
- **slip**: a pad that touches in two consecutive frames moves its contact point along the object's surface by so much,
  mean over such pads and frames. It is the pad's own point that is followed, so that rolling is not slipping;
- **self-penetration**: depth of the deepest point of one of the hand's bodies in another, neighbours left out, mean;
- **limit violations**: frames with a joint more than 1e-6 (rad or m) beyond its limits, per cent;
- **jerk**: of the keypoints, m/s^3 (`motion_metrics.jerk`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from unihm.evaluation.motion_metrics import jerk
from unihm.evaluation.moving_solids import MovingSolids, overlap, solids_of_keypoints, solids_of_motion
from unihm.geometry import solids
from unihm.geometry.mesh_distance import MeshDistance
from unihm.hands.description import HandDescription
from unihm.retargeting.problem import points_at
from unihm.schema.motion import HandMotion

METRICS = (
    "penetration_mean_mm",
    "penetration_max_mm",
    "penetration_volume_cm3",
    "contact_ratio",
    "slip_mm_per_frame",
    "self_penetration_mm",
    "limit_violations",
    "jerk",
)
"""Keys of `physical_metrics`, all numbers; NaN where a motion has nothing to measure."""

CONTACT = 2e-3  # m (the target)
LIFTED = 0.03  # m (the target)
_REST = 10  # frames whose median height is that of the object at rest, as in `contact_phases`
_LIMIT = 1e-6  # rad or m
_SPACING = 2.5e-3  # m between points of a surface; the deepest is then searched between them
_SLIDES = (16e-3, 8e-3, 4e-3, 2e-3, 2e-3, 1e-3, 1e-3)  # m, the steps of that search
_SELF_SPACING = 3e-3  # m
_CELL = 1e-3  # m, edge of the cells by which shared volume is counted


def physical_metrics(
    motion: HandMotion,
    hand: HandDescription,
    mesh: MeshDistance,
    *,
    T_world_object: Float[np.ndarray, "T 4 4"] | None = None,
    given_path: Float[np.ndarray, "T 4 4"] | None = None,
) -> dict[str, float]:
    """All of `METRICS` for one motion.

    Args:
        motion: Of `hand`; its `qpos` is measured, not its `qpos_target`.
        hand: The hand.
        mesh: The object's true surface, in its own frame.
        T_world_object: Where the object really is; the motion's path if not given.
        given_path: The path that was asked for, which says when the object is up; `T_world_object` if not given.

    Raises:
        ValueError: The motion is another hand's, has no object path or holds NaN, or the hand has no solids.
    """
    path = motion.T_world_object if T_world_object is None else T_world_object
    if path is None:
        raise ValueError("The motion has no object path, and none was given.")
    bodies = solids_of_motion(motion, hand, path)
    apart = ~bodies.neighbours[np.ix_(bodies.body_of_solid, bodies.body_of_solid)]
    within = overlap(bodies.T_object_solid, bodies.solids, apart, _SELF_SPACING)
    beyond = np.maximum(hand.chain.lower - motion.qpos, motion.qpos - hand.chain.upper).max(axis=1) > _LIMIT
    links = [hand.chain.point(item.link, np.array(item.xyz)) for item in hand.keypoints]
    keypoints = points_at(hand.chain, np.asarray(motion.qpos, dtype=np.float64), links)
    keypoints = keypoints @ motion.T_world_palm[:, :3, :3].swapaxes(1, 2) + motion.T_world_palm[:, None, :3, 3]
    return {
        **_against_object(bodies, mesh, path if given_path is None else given_path),
        "self_penetration_mm": 1e3 * float(within.mean()),
        "limit_violations": 100 * float(beyond.mean()),
        "jerk": jerk(keypoints, motion.fps),
    }


def human_metrics(
    keypoints_world: Float[np.ndarray, "T 21 3"],
    T_world_object: Float[np.ndarray, "T 4 4"],
    mesh: MeshDistance,
    human: HandDescription,
    fps: float,
) -> dict[str, float]:
    """The same for the recorded person, whose hand is that of `moving_solids.solids_of_keypoints`.

    Self-penetration and limits, which a person has none of, are NaN.

    Raises:
        ValueError: A keypoint is missing.
    """
    bodies = solids_of_keypoints(keypoints_world, T_world_object, human)
    return {
        **_against_object(bodies, mesh, T_world_object),
        "self_penetration_mm": float("nan"),
        "limit_violations": float("nan"),
        "jerk": jerk(keypoints_world, fps),
    }


def motion_change(
    before: HandMotion, after: HandMotion, contact_phase: Float[np.ndarray, " T"] | None = None
) -> Mapping[str, float]:
    """How far the palm is moved in the frames before contact: mean and largest, mm and degrees.

    Args:
        before: A motion.
        after: The same motion, changed; as long.
        contact_phase: Above 0 from the first frame that does not count; by default that of `before`, else of `after`.

    Raises:
        ValueError: Lengths differ, or no phase is known.
    """
    phase = contact_phase if contact_phase is not None else before.contact_phase
    phase = after.contact_phase if phase is None else phase
    if phase is None:
        raise ValueError("Neither motion says when contact begins.")
    if not len(before) == len(after) == len(phase):
        raise ValueError(f"The motions have {len(before)} and {len(after)} frames, the contact phase {len(phase)}.")
    free = phase <= 0
    T = np.linalg.inv(before.T_world_palm[free]) @ after.T_world_palm[free]
    shift = 1e3 * np.linalg.norm(T[:, :3, 3], axis=1)
    turn = np.degrees(Rotation.from_matrix(T[:, :3, :3]).magnitude()) if len(T) else shift
    names = ("motion_change_mm", "motion_change_max_mm", "motion_change_deg", "motion_change_max_deg")
    values = [f(v) if len(v) else np.nan for v in (shift, turn) for f in (np.mean, np.max)]
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def lifted(T_world_object: Float[np.ndarray, "T 4 4"]) -> Bool[np.ndarray, " T"]:
    """Frames in which a path has the object's origin more than 3 cm above where it began."""
    height = T_world_object[:, 2, 3]
    return height - np.median(height[:_REST]) > LIFTED


def _against_object(bodies: MovingSolids, mesh: MeshDistance, given_path: np.ndarray) -> dict[str, float]:
    gap, place, normal = _deepest(bodies, mesh)
    depth = np.maximum(-gap.min(axis=1), 0)
    of_body = bodies.body_of_solid
    pads = [np.flatnonzero(of_body == body) for body in bodies.pads]
    pads = [members for members in pads if len(members)]
    frames = np.arange(len(bodies))
    touching = np.zeros((len(bodies), len(pads)), dtype=bool)
    at, away = np.zeros((2, len(bodies), len(pads), 3))
    slips = []
    for k, members in enumerate(pads):
        nearest = members[gap[:, members].argmin(axis=1)]
        touching[:, k] = gap[frames, nearest] <= CONTACT
        at[:, k], away[:, k] = place[frames, nearest], normal[frames, nearest]
        T = bodies.T_object_body[:, of_body[members[0]]]
        both = np.flatnonzero(touching[:-1, k] & touching[1:, k])
        step = T[both + 1] @ np.linalg.inv(T[both])
        moved = (step[:, :3, :3] @ at[both, k, :, None])[..., 0] + step[:, :3, 3] - at[both, k]
        moved -= (moved * away[both, k]).sum(axis=1, keepdims=True) * away[both, k]
        slips.append(np.linalg.norm(moved, axis=1))
    opposed = np.einsum("tai,tbi->tab", away, away) < 0
    held = (opposed & touching[:, :, None] & touching[:, None, :]).any(axis=(1, 2))
    up = lifted(given_path)
    slip = np.concatenate([np.zeros(0), *slips])
    return {
        "penetration_mean_mm": 1e3 * float(depth.mean()),
        "penetration_max_mm": 1e3 * float(depth.max()),
        "penetration_volume_cm3": 1e6 * float(_shared_volume(bodies, mesh, gap < 0).mean()),
        "contact_ratio": float(held[up].mean()) if up.any() else float("nan"),
        "slip_mm_per_frame": 1e3 * float(slip.mean()) if len(slip) else float("nan"),
    }


def _deepest(
    bodies: MovingSolids, mesh: MeshDistance
) -> tuple[Float[np.ndarray, "T s"], Float[np.ndarray, "T s 3"], Float[np.ndarray, "T s 3"]]:
    """The point of each solid's surface that is deepest in the object, or nearest to it.

    Returns:
        Its signed distance (m; infinite for solids that are farther off than a contact), the point in the object's
        frame (m), and the object's outward direction there.
    """
    poses, parts = bodies.T_object_solid, bodies.solids
    shape = poses.shape[:2]
    gap, place, normal = np.full(shape, np.inf), np.zeros((*shape, 3)), np.zeros((*shape, 3))
    radius = np.array([solids.bounding_radius(part.kind, part.size) for part in parts])
    margin = CONTACT + _SPACING
    low, high = mesh.bounds
    centre = poses[..., :3, 3]
    possible = (np.linalg.norm(centre - np.clip(centre, low, high), axis=-1) < radius + CONTACT).nonzero()
    to_centre = mesh.query(centre[possible], reach=float(radius.max()) + margin)[0]
    near = to_centre < radius[possible[1]] + CONTACT
    frame, which = possible[0][near], possible[1][near]
    for s in np.unique(which):
        part = parts[s]
        t = frame[which == s]
        R, origin = poses[t, s, :3, :3], poses[t, s, None, :3, 3]
        points = solids.surface_points(part.kind, part.size, _SPACING)
        d = mesh.query(points @ R.swapaxes(1, 2) + origin, reach=margin)[0]
        best = d.argmin(axis=1)
        x, d = points[best], d.min(axis=1)
        close = d < margin
        t, x, R, origin = t[close], x[close], R[close], origin[close, 0]
        if not len(t):
            continue
        gap[t, s], place[t, s], normal[t, s] = _slide(part.kind, part.size, x, R, origin, mesh)
    return gap, place, normal


def _slide(
    kind: str, size: tuple[float, ...], x: np.ndarray, R: np.ndarray, origin: np.ndarray, mesh: MeshDistance
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Descend on a solid's surface from points x (n, 3), in its frame, while the distance to the object falls."""
    place = (R @ x[..., None])[..., 0] + origin
    d, _, normal = mesh.query(place)
    for step in _SLIDES:
        inward = -(R.swapaxes(1, 2) @ normal[..., None])[..., 0]
        tried = solids.to_surface(kind, size, x + step * inward)
        there = (R @ tried[..., None])[..., 0] + origin
        d_there, _, normal_there = mesh.query(there)
        better = d_there < d
        x[better], place[better], d[better], normal[better] = (
            new[better] for new in (tried, there, d_there, normal_there)
        )
    return d, place, normal


def _shared_volume(
    bodies: MovingSolids, mesh: MeshDistance, pierces: Bool[np.ndarray, "T s"]
) -> Float[np.ndarray, " T"]:
    """Volume that hand and object share in each frame, m^3: what two solids of the hand share counts once."""
    volume = np.zeros(len(bodies))
    if not pierces.any():
        return volume
    first, share = mesh.occupancy(_CELL)
    axes = [first[i] + _CELL * np.arange(share.shape[i]) for i in range(3)]
    poses = bodies.T_object_solid
    hand = np.zeros(share.shape)  # what the hand fills of each cell
    for t in np.flatnonzero(pierces.any(axis=1)):
        blocks = []
        for s in np.flatnonzero(pierces[t]):
            part, T = bodies.solids[s], poses[t, s]
            half = solids.half_extent(part.kind, part.size, T[:3, :3]) + _CELL
            ends = zip(axes, T[:3, 3] - half, T[:3, 3] + half, strict=True)
            block = tuple(slice(*np.searchsorted(axis, [low, high]).tolist()) for axis, low, high in ends)
            cells = np.stack(np.meshgrid(*(axis[b] for axis, b in zip(axes, block, strict=True)), indexing="ij"), -1)
            d = solids.signed_distance(part.kind, part.size, (cells - T[:3, 3]) @ T[:3, :3])
            hand[block] = np.maximum(hand[block], np.clip(0.5 - d / _CELL, 0, 1))
            blocks.append(block)
        for block in blocks:
            volume[t] += (hand[block] * share[block]).sum()
            hand[block] = 0
    return volume * _CELL**3
