"""A hand's folder beside a URDF that its owner trusts: names, limits, mimic relations, and every link's frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from unihm.hands.checking import ERROR, KNOWN, OK, WARNING, Finding
from unihm.hands.description import describe_hand
from unihm.hands.hand_file import HAND_FILE, HandFile, read_hand_file
from unihm.kinematics.kinematic_tree import KinematicTree
from unihm.kinematics.urdf import Joint, Urdf, parse_urdf

TOLERANCE = 1e-6  # m and rad: far below what any hand is made to, far above rounding
_UNLIMITED = np.pi  # rad to either side for joints without limits


def compare_with_urdf(
    folder: str | Path, urdf_path: str | Path, *, poses: int = 1000, tolerance: float = TOLERANCE, seed: int = 0
) -> list[Finding]:
    """Compare a hand's URDF with another one: links, joints, limits, mimic relations, and every link's frame.

    Joints that ``hand.yaml`` lists under ``known_differences`` are reported as known, and given the folder's values
    on both sides before frames are compared, so that everything else is still held to the tolerance.

    Args:
        folder: The hand.
        urdf_path: The other description.
        poses: Random poses within the limits of both.
        tolerance: Largest difference that is none, m and rad.
        seed: Chooses the poses.

    Raises:
        ValueError: A file cannot be read, poses is not positive, or the tolerance is negative.
    """
    if poses < 1:
        raise ValueError(f"poses is {poses}, expected at least 1.")
    if not 0 <= tolerance < np.inf:
        raise ValueError(f"tolerance is {tolerance}, expected 0 or more, m and rad.")
    hand = describe_hand(folder)
    file = read_hand_file(hand.folder / HAND_FILE)
    known = file.known_differences
    ours, theirs = parse_urdf(hand.folder / file.urdf), parse_urdf(urdf_path)
    found = _compare_names(ours, theirs, known)
    found += _compare_joints(ours, theirs, known, tolerance)
    own = {joint.name: joint for joint in ours.joints}
    theirs = replace(
        theirs, joints=tuple(own[j.name] if j.name in known and j.name in own else j for j in theirs.joints)
    )
    found += _compare_frames(file, ours, theirs, poses, tolerance, seed)
    return found


def _compare_names(ours: Urdf, theirs: Urdf, known: dict[str, str]) -> list[Finding]:
    found = []
    for what, a, b in (
        ("links", [x.name for x in ours.links], [x.name for x in theirs.links]),
        ("joints", [x.name for x in ours.joints], [x.name for x in theirs.joints]),
    ):
        for who, only in (("the folder", sorted(set(a) - set(b))), ("the URDF", sorted(set(b) - set(a)))):
            if only:
                found.append(Finding(what=what, status=ERROR, text=f"only in {who}: {', '.join(only)}"))
        if set(a) == set(b):
            order = "" if a == b else ", in another order"
            found.append(Finding(what=what, status=OK, text=f"the same {len(a)} names{order}"))
    same = ours.root == theirs.root
    text = f"'{ours.root}'" if same else f"'{ours.root}' in the folder, '{theirs.root}' in the URDF"
    found.append(Finding(what="root", status=OK if same else ERROR, text=text))
    for name in known:
        if name not in {joint.name for joint in ours.joints} & {joint.name for joint in theirs.joints}:
            found.append(
                Finding(what="known", status=WARNING, text=f"known_differences: joint '{name}' is not in both files")
            )
    return found


def _compare_joints(ours: Urdf, theirs: Urdf, known: dict[str, str], tolerance: float) -> list[Finding]:
    mine = {joint.name: joint for joint in ours.joints}
    found = []
    for joint in theirs.joints:
        if joint.name not in mine:
            continue
        differences = _joint_differences(mine[joint.name], joint, tolerance)
        reason = known.get(joint.name)
        for what, text in differences:
            text = f"'{joint.name}': {text}"
            found.append(
                Finding(what=what, status=ERROR, text=text)
                if reason is None
                else Finding(what=what, status=KNOWN, text=f"{text} ({reason})")
            )
        if reason is not None and not differences:
            found.append(
                Finding(what="known", status=WARNING, text=f"known_differences: '{joint.name}' shows no difference")
            )
    for what in ("limits", "mimic"):
        if not any(finding.what == what for finding in found):
            found.append(Finding(what=what, status=OK, text="the same"))
    return found


def _joint_differences(a: Joint, b: Joint, tolerance: float) -> list[tuple[str, str]]:
    """What the folder's joint and the URDF's say differently, except for where they stand."""
    found = []
    if a.kind != b.kind:
        found.append(("joints", f"{a.kind} in the folder, {b.kind} in the URDF"))
    if (a.parent, a.child) != (b.parent, b.child):
        found.append(("joints", f"{a.parent} -> {a.child} in the folder, {b.parent} -> {b.child} in the URDF"))
    if (a.mimic is None) != (b.mimic is None):
        found.append(("mimic", f"{'independent' if a.mimic is None else 'mimic'} in the folder, not in the URDF"))
    elif a.mimic is not None and b.mimic is not None:
        values = np.abs([a.mimic.multiplier - b.mimic.multiplier, a.mimic.offset - b.mimic.offset])
        if a.mimic.source != b.mimic.source or values.max() > tolerance:
            texts = [f"{m.multiplier:.9g} {m.source} {m.offset:+.9g}" for m in (a.mimic, b.mimic)]
            found.append(("mimic", f"{texts[0]} in the folder, {texts[1]} in the URDF"))
    # A mimic joint's own limits have no effect (kinematics.urdf): those of its source rule.
    elif any(x != y and not abs(x - y) <= tolerance for x, y in ((a.lower, b.lower), (a.upper, b.upper))):
        limits = [f"[{j.lower:.9g}, {j.upper:.9g}]" for j in (a, b)]
        found.append(("limits", f"{limits[0]} in the folder, {limits[1]} in the URDF"))
    return found


def _compare_frames(file: HandFile, ours: Urdf, theirs: Urdf, poses: int, tolerance: float, seed: int) -> list[Finding]:
    trees = KinematicTree.from_urdf(ours), KinematicTree.from_urdf(theirs)
    shared = [name for name in trees[0].link_names if name in trees[1].link_names]
    if file.palm_link not in shared:
        return [Finding(what="link frames", status=ERROR, text=f"the URDF has no link '{file.palm_link}' (the palm)")]
    unit = np.random.default_rng(seed).uniform(0, 1, (poses, len(trees[1].joint_names)))
    positions: dict[str, np.ndarray] = {}
    for column, name in enumerate(trees[1].joint_names):
        low, high = _common_limits(trees, name)
        positions[name] = low + unit[:, column] * (high - low)
    frames = []
    for tree in trees:
        # A joint that only this side moves stays at 0 or its nearest limit.
        still = np.clip(0.0, np.asarray(tree.lower), np.asarray(tree.upper))
        q = np.stack(
            [positions.get(n, np.full(poses, s)) for n, s in zip(tree.joint_names, still, strict=True)], axis=1
        )
        T = np.asarray(tree.forward_kinematics(torch.from_numpy(q)))[:, [tree.link_names.index(n) for n in shared]]
        if ours.root != theirs.root:
            T = np.linalg.inv(T[:, shared.index(file.palm_link)])[:, None] @ T
        frames.append(T)
    a, b = frames
    distance = np.linalg.norm(a[..., :3, 3] - b[..., :3, 3], axis=-1).max(axis=0)
    # The angle from the distance of two rotations, 2 sqrt 2 sin(angle / 2), which is exact where arccos is not.
    chord = np.linalg.norm(a[..., :3, :3] - b[..., :3, :3], axis=(-2, -1)).max(axis=0)
    angle = 2 * np.arcsin(np.clip(chord / 8**0.5, 0, 1))
    relative = "" if ours.root == theirs.root else f", both seen from '{file.palm_link}'"
    found = [
        Finding(
            what="link frames",
            status=OK if max(distance.max(), angle.max()) <= tolerance else ERROR,
            text=f"{len(shared)} links over {poses} poses{relative}: "
            f"at most {distance.max():.2e} m, {angle.max():.2e} rad",
            distance_m=float(distance.max()),
            angle_rad=float(angle.max()),
        )
    ]
    for name, metres, radians in zip(shared, distance, angle, strict=True):
        if max(metres, radians) > tolerance:
            found.append(
                Finding(
                    what="link frames",
                    status=ERROR,
                    text=f"'{name}': {metres:.2e} m, {radians:.2e} rad",
                    distance_m=float(metres),
                    angle_rad=float(radians),
                )
            )
    return found + _compare_fingertips(file, shared, a, b, tolerance)


def _common_limits(trees: tuple[KinematicTree, KinematicTree], name: str) -> tuple[float, float]:
    """Where both sides allow a joint to be, rad or m; where they allow nothing together, the URDF's own limits."""
    limits = []
    for tree in trees[::-1]:
        if name in tree.joint_names:
            i = tree.joint_names.index(name)
            limits.append((float(tree.lower[i]), float(tree.upper[i])))
    low, high = (np.clip(max(x[0] for x in limits), -_UNLIMITED, None), min(min(x[1] for x in limits), _UNLIMITED))
    if low > high:
        low, high = limits[0]
    return float(low), float(high)


def _compare_fingertips(
    file: HandFile, shared: list[str], a: np.ndarray, b: np.ndarray, tolerance: float
) -> list[Finding]:
    worst, lost = 0.0, []
    for finger, tip in file.fingertips.items():
        if tip.link not in shared:
            lost.append(f"{finger} ({tip.link})")
            continue
        i = shared.index(tip.link)
        point = np.array([*tip.xyz, 1.0])
        worst = max(worst, float(np.linalg.norm((a[:, i] - b[:, i]) @ point, axis=-1).max()))
    found = [
        Finding(
            what="fingertips",
            status=OK if worst <= tolerance else ERROR,
            text=f"contact points apart by at most {worst:.2e} m",
            distance_m=worst,
        )
    ]
    if lost:
        found.append(Finding(what="fingertips", status=ERROR, text=f"links not in the URDF: {', '.join(lost)}"))
    return found
