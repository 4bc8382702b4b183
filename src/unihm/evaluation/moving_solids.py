"""A hand over a motion as rigid bodies of solids, seen from the object: what physical metrics measure.

A body is all links that no joint moves against each other. A finger's **pad** is the body that carries its contact
point, which is its last link. The recorded person has no links: their bones are capsules between keypoints, as thick
as the links of the ``human`` hand folder, so that each fingertip's skin ends at its keypoint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from unihm.geometry import solids
from unihm.hands.description import HandDescription
from unihm.kinematics.keypoints import FINGERS, palm_frame
from unihm.schema.motion import HandMotion
from unihm.simulation.self_collision import excluded_pairs


@dataclass(frozen=True, kw_only=True)
class Solid:
    """A primitive on a body."""

    body: int
    """Index of the body."""
    T_body_solid: Float[np.ndarray, "4 4"]
    """Where its centre is, m."""
    kind: str
    """``sphere``, ``cylinder`` or ``box``, as in `geometry.solids`."""
    size: tuple[float, ...]
    """m."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MovingSolids:
    """Bodies over T frames, in the frame of the object."""

    T_object_body: Float[np.ndarray, "T nb 4 4"]
    """Poses of the bodies, m."""
    solids: tuple[Solid, ...]
    """What they are made of."""
    pads: tuple[int, ...]
    """Bodies of the fingertips, finger by finger."""
    neighbours: Bool[np.ndarray, "nb nb"]
    """Pairs of bodies whose overlap means nothing: a body and itself, parent and child, and the pairs that do not
    collide in simulation either (`simulation.self_collision`)."""

    def __len__(self) -> int:
        return len(self.T_object_body)

    @property
    def body_of_solid(self) -> Int[np.ndarray, " s"]:
        """Body of each solid."""
        return np.array([solid.body for solid in self.solids], dtype=np.int64)

    @property
    def T_object_solid(self) -> Float[np.ndarray, "T s 4 4"]:
        """Poses of the solids, m."""
        return self.T_object_body[:, self.body_of_solid] @ np.stack([solid.T_body_solid for solid in self.solids])


def solids_of_motion(
    motion: HandMotion, hand: HandDescription, T_world_object: Float[np.ndarray, "T 4 4"]
) -> MovingSolids:
    """A hand's collision solids over a motion.

    Raises:
        ValueError: The motion is another hand's or holds NaN, or the hand has no solids.
    """
    if motion.hand != hand.name or motion.joint_names != hand.joint_names:
        raise ValueError(f"The motion is one of hand '{motion.hand}', expected '{hand.name}' and its joints.")
    if not hand.geometry:
        raise ValueError(f"Hand '{hand.name}' has no collision solids: nothing of it can touch anything.")
    for name, value in (("qpos", motion.qpos), ("T_world_palm", motion.T_world_palm), ("object path", T_world_object)):
        if not np.isfinite(value).all():
            raise ValueError(f"The motion's {name} holds NaN or infinite values.")
    if len(T_world_object) != len(motion):
        raise ValueError(f"The object's path has {len(T_world_object)} frames, the motion {len(motion)}.")
    parts = _parts(hand)
    T_object_palm = np.linalg.inv(T_world_object) @ motion.T_world_palm
    return MovingSolids(
        T_object_body=T_object_palm[:, None] @ _bodies(hand, motion.qpos),
        solids=parts,
        pads=tuple(hand.chain.body_of_link[tip.link] + 1 for tip in hand.fingertips),
        neighbours=_neighbours(hand),
    )


def solids_of_keypoints(
    keypoints_world: Float[np.ndarray, "T 21 3"], T_world_object: Float[np.ndarray, "T 4 4"], human: HandDescription
) -> MovingSolids:
    """A recorded person's hand: capsules about the bones of the fingers, and the solids of the model's palm.

    Args:
        keypoints_world: The 21 keypoints, m.
        T_world_object: The object's path, m.
        human: The hand folder that says how thick links are, and what the palm is made of.

    Raises:
        ValueError: A keypoint is missing.
    """
    if not np.isfinite(keypoints_world).all():
        raise ValueError("The recorded keypoints hold NaN or infinite values.")
    T_world_palm = palm_frame(keypoints_world.astype(np.float64), side=human.side)
    R, t = T_world_palm[:, :3, :3], T_world_palm[:, None, :3, 3]
    points = (keypoints_world - t) @ R  # in the palm's frame, in which a finger turns about little but its flexion axis
    poses, parts = [np.tile(np.eye(4), (len(R), 1, 1))], [part for part in _parts(human) if part.body == 0]
    link_of = {int(k): item.link for k, item in zip(human.keypoint_indices, human.keypoints, strict=True)}
    pads = []
    for finger in range(len(FINGERS)):
        for bone in range(3):
            start = 1 + 4 * finger + bone
            radius = _radius(human, link_of[start])
            a, b = points[:, start], points[:, start + 1]
            length = np.linalg.norm(b - a, axis=1)
            if bone == 2:  # the tip keypoint lies on the skin
                b = a + (b - a) * np.maximum(1 - radius / length, 0.1)[:, None]
            poses.append(_along(a, b))
            body = len(poses) - 1
            size = (radius, float(np.median(np.linalg.norm(b - a, axis=1))))
            parts.append(Solid(body=body, T_body_solid=np.eye(4), kind="cylinder", size=size))
            for end in (-0.5, 0.5):
                T = np.eye(4)
                T[2, 3] = end * size[1]
                parts.append(Solid(body=body, T_body_solid=T, kind="sphere", size=(radius,)))
        pads.append(len(poses) - 1)
    return MovingSolids(
        T_object_body=(np.linalg.inv(T_world_object) @ T_world_palm)[:, None] @ np.stack(poses, axis=1),
        solids=tuple(parts),
        pads=tuple(pads),
        neighbours=np.ones((len(poses), len(poses)), dtype=bool),  # a person's own flesh is not measured
    )


def overlap(
    poses: Float[np.ndarray, "T s 4 4"], parts: tuple[Solid, ...], apart: Bool[np.ndarray, "s s"], spacing: float
) -> Float[np.ndarray, " T"]:
    """Deepest point of one solid in another, m, in every frame; 0 where none overlap.

    Args:
        poses: Of the solids, in any common frame.
        parts: The solids.
        apart: Pairs that are looked at.
        spacing: Distance of the points that stand for a surface, m; spheres are exact.
    """
    depth = np.zeros(len(poses))
    radius = np.array([solids.bounding_radius(part.kind, part.size) for part in parts])
    centres = poses[..., :3, 3]
    inverse = np.linalg.inv(poses)
    for a, part in enumerate(parts):
        margin = part.size[0] if part.kind == "sphere" else 0.0
        points = np.zeros((1, 3)) if margin else solids.surface_points(part.kind, part.size, spacing)
        for b in np.flatnonzero(apart[a] | apart[:, a]):
            gap = np.linalg.norm(centres[:, a] - centres[:, b], axis=1) - radius[a] - radius[b]
            frames = np.flatnonzero(gap < 0)
            if not len(frames):
                continue
            T = inverse[frames, b] @ poses[frames, a]
            other = points @ T[:, :3, :3].swapaxes(1, 2) + T[:, None, :3, 3]
            d = solids.signed_distance(parts[b].kind, parts[b].size, other).min(axis=1) - margin
            # Nothing is deeper in a solid than its middle, where a ball may reach through it.
            depth[frames] = np.maximum(
                depth[frames], np.minimum(-d, solids.thickness(parts[b].kind, parts[b].size) / 2)
            )
    return depth


def _bodies(hand: HandDescription, q: Float[np.ndarray, "T nq"]) -> Float[np.ndarray, "T nb 4 4"]:
    """T_palm_body of the base, which is the palm's, and of all moving bodies."""
    T = hand.chain.forward_kinematics(np.asarray(q, dtype=np.float64))
    return np.concatenate([np.broadcast_to(np.eye(4), (len(T), 1, 4, 4)), T], axis=1)


def _parts(hand: HandDescription) -> tuple[Solid, ...]:
    names = hand.link_names
    return tuple(
        Solid(
            body=hand.chain.body_of_link[names[shape.link]] + 1,
            T_body_solid=hand.chain.T_body_link[names[shape.link]] @ shape.T_link_shape,
            kind=shape.kind,
            size=tuple(float(value) for value in shape.size),
        )
        for shape in hand.geometry
    )


def _neighbours(hand: HandDescription) -> Bool[np.ndarray, "nb nb"]:
    number = len(hand.chain.parent) + 1
    found = np.eye(number, dtype=bool)
    body = {name: index + 1 for name, index in hand.chain.body_of_link.items()}
    pairs = [(child + 1, parent + 1) for child, parent in enumerate(hand.chain.parent)]
    for a, b in [*pairs, *((body[a], body[b]) for a, b in excluded_pairs(hand))]:
        found[a, b] = found[b, a] = True
    return found


def _radius(human: HandDescription, link: str) -> float:
    """Of the thickest cylinder or sphere of a link, m."""
    return max(s.size[0] for s in human.geometry if human.link_names[s.link] == link and s.kind != "box")


def _along(a: Float[np.ndarray, "T 3"], b: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 4 4"]:
    """Frames in the middle between two points, z from one to the other, x across the axis that is farthest from z."""
    T = np.tile(np.eye(4), (len(a), 1, 1))
    z = (b - a) / np.linalg.norm(b - a, axis=1, keepdims=True)
    x = np.cross(np.eye(3)[np.argmin(np.abs(z).max(axis=0))], z)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    T[:, :3, :3] = np.stack([x, np.cross(z, x), z], axis=-1)
    T[:, :3, 3] = (a + b) / 2
    return T
