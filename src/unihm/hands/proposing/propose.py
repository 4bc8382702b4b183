"""A proposal for a URDF that nobody has described: the contents of its ``hand.yaml``, and what is unsure of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from unihm.hands.hand_file import HandFile, PointOnLink
from unihm.hands.proposing.anatomy import Anatomy, find_anatomy
from unihm.hands.proposing.correspondence import knuckles, rest_posture, wrist
from unihm.hands.proposing.fingers import Finger, describe, straight_posture
from unihm.hands.proposing.skeleton import Skeleton, find_skeleton
from unihm.hands.proposing.solids import Solids
from unihm.hands.proposing.tips import find_tip, pad_point
from unihm.kinematics.urdf import parse_urdf

_LENGTHS = (0.02, 0.6)  # m: shortest and longest hand from its base to its tips


@dataclass(frozen=True, kw_only=True, eq=False)
class Proposal:
    """A hand as told from its kinematic tree."""

    file: HandFile
    """What ``hand.yaml`` will say."""
    urdf_path: Path
    """The user's URDF."""
    doubts: tuple[str, ...]
    """What is unsure, one line each."""


def propose_hand(
    urdf_path: str | Path, *, name: str | None = None, side: str | None = None, palm: str | None = None
) -> Proposal:
    """Propose the description of a hand.

    Args:
        urdf_path: The URDF; mesh files beside it are read where they are there.
        name: The hand's name; the file's without its ending if not given.
        side: ``right`` or ``left`` where the user knows it.
        palm: The palm's link, for files that hold several hands.

    Raises:
        ValueError: The file is no URDF or no hand.
    """
    path = Path(urdf_path)
    urdf = parse_urdf(path)
    skeleton = find_skeleton(urdf, palm)
    doubts = list(skeleton.doubts)
    solids = Solids(path, urdf)
    tips = [find_tip(skeleton, chain, solids, doubts) for chain in skeleton.chains]
    straight = straight_posture(skeleton, tips)
    fingers = describe(skeleton, tips, straight, doubts)
    if len(fingers) == 2:
        # The finger that is driven is the thumb: one choice, whichever it is, makes data of one gripper comparable.
        fingers.sort(key=lambda finger: finger.chain.joints[-1].mimic is not None)
    _check_size(fingers)
    words = " ".join([path.stem, urdf.name, *(link.name for link in urdf.links)])
    anatomy = find_anatomy(fingers, side, words, doubts)
    pads = {finger_name: _pad(finger) for finger_name, finger in anatomy.fingers.items()}
    keypoints = {f"{finger_name}_tip": pad for finger_name, pad in pads.items()}
    for finger_name, finger in anatomy.fingers.items():
        if not anatomy.pinches:
            keypoints |= knuckles(skeleton, finger_name, finger, straight)
    if (base := wrist(skeleton, anatomy)) is not None:
        keypoints["wrist"] = base
    rest = rest_posture(skeleton, anatomy, straight, pads)
    turns = skeleton.tree.upper - skeleton.tree.lower
    wide = [
        n for n, turn in zip(skeleton.tree.joint_names, turns.tolist(), strict=True) if 2 * np.pi + 1e-6 < turn < np.inf
    ]
    if wide:
        doubts.append(f"limits of {', '.join(wide)} span more than one turn: a URDF states radians, not degrees")
    if solids.missing:
        doubts.append(f"mesh files not found or not readable: {', '.join(sorted(solids.missing))}")
    shown = {link.name for link in urdf.links if link.collisions or link.visuals}
    bare = [n for n, finger in anatomy.fingers.items() if not shown.intersection(finger.chain.end_links)]
    if bare:
        text = "no boxes, cylinders or spheres at the tips of"
        doubts.append(f"{text} {', '.join(bare)}: refinement and contact do not see them until the URDF has some")
    return Proposal(
        file=_hand_file(name or path.stem, skeleton, anatomy, pads, keypoints, rest),
        urdf_path=path,
        doubts=tuple(doubts),
    )


def _check_size(fingers: list[Finger]) -> None:
    points = np.concatenate([np.concatenate([finger.joints_palm, finger.end[None]]) for finger in fingers])
    size = float(np.linalg.norm(np.ptp(points, axis=0)))
    low, high = _LENGTHS
    if not low <= size <= high:
        unit = " It may be in millimetres." if size > 10 * high else ""
        raise ValueError(f"joints and tips span {size:.3g} m, expected a hand of {low} to {high} m.{unit}")


def _pad(finger: Finger) -> PointOnLink:
    """The contact point of a finger's pad."""
    joint = finger.chain.joints[-1]
    v = finger.sign * (joint.axis if finger.is_jaw else np.cross(joint.axis, finger.tip.direction))
    point = pad_point(finger.tip, v, finger.is_jaw)
    return PointOnLink(link=finger.chain.end, xyz=tuple(round(float(x), 6) for x in point))


def _hand_file(
    name: str,
    skeleton: Skeleton,
    anatomy: Anatomy,
    pads: dict[str, PointOnLink],
    keypoints: dict[str, PointOnLink],
    rest: Float[np.ndarray, " nq"],
) -> HandFile:
    return HandFile(
        name=name,
        side=anatomy.side,
        urdf=f"{name}.urdf",
        palm_link=skeleton.palm,
        T_link_palm=anatomy.T_link_palm,
        locked_joints=skeleton.locked,
        known_differences={},
        rest_qpos={joint: round(float(value), 4) for joint, value in zip(skeleton.tree.joint_names, rest, strict=True)},
        fingers=tuple(anatomy.fingers),
        fingertips=pads,
        keypoints=keypoints,
    )
