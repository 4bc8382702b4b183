"""The palm and the chains that leave it.

A chain is the path of movable joints from the palm to a joint with no movable joint behind it; the palm is the last
link that all these paths share. Joints before it (an arm, a wrist) are locked; links without a movable joint
(sensors, frames, covers) belong to the body that carries them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float

from unihm.kinematics.kinematic_tree import KinematicTree
from unihm.kinematics.mimic import mimic_overshoot
from unihm.kinematics.urdf import MOVABLE, Joint, Urdf, lock_joints

_ENDLESS = np.pi  # rad: how far a joint without limits is taken to turn to either side


@dataclass(frozen=True, kw_only=True)
class Chain:
    """One finger's joints and the body at its end."""

    joints: tuple[Joint, ...]
    """Movable joints from the palm outwards."""
    end_links: tuple[str, ...]
    """The last joint's child and everything fixed to it."""

    @property
    def end(self) -> str:
        """The link that the last joint moves."""
        return self.joints[-1].child


@dataclass(frozen=True, kw_only=True, eq=False)
class Skeleton:
    """A robot seen as a palm with chains, its arm locked."""

    urdf: Urdf
    """The robot with the joints before the palm fixed."""
    tree: KinematicTree
    """Its kinematics."""
    palm: str
    """The last link that all chains share."""
    chains: tuple[Chain, ...]
    """Fingers, in the order of the file."""
    locked: dict[str, float]
    """Joints that were fixed, rad or m."""
    doubts: list[str] = field(default_factory=list)
    """What was not clear, one line each."""

    def poses(self, q: Float[np.ndarray, "*batch nq"]) -> Float[np.ndarray, "*batch nl 4 4"]:
        """T_palm_link of every link, in the axes of the link `palm`."""
        T = np.asarray(self.tree.forward_kinematics(torch.as_tensor(q, dtype=torch.float64)))
        return np.linalg.inv(T[..., self.link(self.palm), :, :])[..., None, :, :] @ T

    def link(self, name: str) -> int:
        """Position of a link."""
        return self.tree.link_names.index(name)

    def limits(self) -> tuple[Float[np.ndarray, " nq"], Float[np.ndarray, " nq"]]:
        """Limits of the independent joints, rad or m; half a turn to either side where there are none."""
        lower, upper = np.asarray(self.tree.lower), np.asarray(self.tree.upper)
        return np.where(np.isfinite(lower), lower, -_ENDLESS), np.where(np.isfinite(upper), upper, _ENDLESS)

    def zero(self) -> Float[np.ndarray, " nq"]:
        """Joints at 0, or at the limit nearest to it."""
        return np.clip(0.0, *self.limits())

    def source(self, joint: Joint) -> tuple[int, float, float]:
        """``q_joint = factor * q[index] + offset``."""
        if joint.mimic is None:
            return self.tree.joint_names.index(joint.name), 1.0, 0.0
        return self.tree.joint_names.index(joint.mimic.source), joint.mimic.multiplier, joint.mimic.offset

    def travel(self, joint: Joint) -> tuple[float, float]:
        """How far a joint goes when its independent source goes from limit to limit, rad or m."""
        index, factor, offset = self.source(joint)
        lower, upper = self.limits()
        ends = sorted((factor * lower[index] + offset, factor * upper[index] + offset))
        return float(ends[0]), float(ends[1])


def find_skeleton(urdf: Urdf, palm: str | None = None) -> Skeleton:
    """Find the palm and the chains.

    Args:
        urdf: The robot.
        palm: Look only behind this link; needed where a file holds several hands.

    Raises:
        ValueError: There are fewer than two chains, several hands, or no such palm.
    """
    doubts: list[str] = []
    paths = _paths(urdf, palm)
    if len(paths) < 2:
        found = f"{len(paths)} chain{'s' * (len(paths) != 1)} of movable joints"
        raise ValueError(f"'{urdf.name}' is no hand: it has {found}, expected at least two fingers.")
    palm = _last_common(paths)
    _refuse_two_hands(paths, palm)
    above = {joint.name for joint in _before(paths[0], palm)}
    chains = []
    for path in paths:
        joints = tuple(joint for joint in path if joint.kind in MOVABLE and joint.name not in above)
        chains.append(Chain(joints=joints, end_links=_rigid_with(urdf, joints[-1].child)))
    locked = {}
    for joint in urdf.joints:
        if joint.name in above and joint.kind in MOVABLE and joint.mimic is None:
            locked[joint.name] = float(np.clip(0.0, joint.lower, joint.upper))
    _refuse_shared_arm(chains, locked)
    chains, bars = _without_bars(chains)
    doubts += [f"chain '{bar.end}' has no joint of its own and ends early: taken as a linkage bar" for bar in bars]
    used = {name for chain in chains for joint in chain.joints for name in _drivers(joint)}
    for joint in urdf.joints:
        if joint.kind in MOVABLE and joint.mimic is None and joint.name not in used | set(locked):
            locked[joint.name] = float(np.clip(0.0, joint.lower, joint.upper))
            if joint.name not in above:
                doubts.append(f"joint '{joint.name}' moves no finger: locked at {locked[joint.name]:g}")
    held = [name for name in locked if name in above]
    if held:
        doubts.append(f"joints before the palm '{palm}' are locked at 0 or their nearest limit: {', '.join(held)}")
    fixed = lock_joints(urdf, locked)
    skeleton = Skeleton(
        urdf=fixed,
        tree=KinematicTree.from_urdf(fixed),
        palm=palm,
        chains=tuple(chains),
        locked=locked,
        doubts=doubts,
    )
    followers = {joint.name: joint for joint in fixed.joints}
    for name in mimic_overshoot(fixed):
        joint = followers[name]
        low, high = skeleton.travel(joint)
        stated = f"[{joint.lower:.3g}, {joint.upper:.3g}]"
        text = f"mimic joint '{name}' is driven to [{low:.3g}, {high:.3g}], beyond its {stated}"
        reversed_fits = joint.lower - 1e-3 <= -high and -low <= joint.upper + 1e-3
        doubts.append(text + ("; the sign of its multiplier may be wrong" if reversed_fits else ""))
    return skeleton


def _paths(urdf: Urdf, palm: str | None) -> list[list[Joint]]:
    """For every movable joint with none behind it, the joints from the root to it."""
    joint_of = {joint.child: joint for joint in urdf.joints}
    names = [link.name for link in urdf.links]
    if palm is not None and palm not in names:
        raise ValueError(f"palm link '{palm}' not found. Available: {', '.join(names)}.")
    paths = []
    for joint in urdf.joints:
        if joint.kind in MOVABLE:
            path, link = [joint], joint.parent
            while link in joint_of:
                path.append(joint_of[link])
                link = joint_of[link].parent
            paths.append(path[::-1])
    inner = {joint.name for path in paths for joint in path[:-1]}
    paths = [path for path in paths if path[-1].name not in inner]
    if palm is not None:
        paths = [path for path in paths if palm in [path[0].parent, *(joint.child for joint in path[:-1])]]
    return paths


def _last_common(paths: list[list[Joint]]) -> str:
    """The last link that all paths share."""
    link = paths[0][0].parent
    for step in zip(*paths, strict=False):
        if len({joint.name for joint in step}) > 1:
            break
        link = step[0].child
    return link


def _before(path: list[Joint], palm: str) -> list[Joint]:
    names = [joint.parent for joint in path]
    return path[: names.index(palm)]


def _refuse_two_hands(paths: list[list[Joint]], palm: str) -> None:
    """Two arms with a hand each meet in a torso: both branches branch again, behind joints of their own."""
    branches: dict[str, list[list[Joint]]] = {}
    for path in paths:
        branches.setdefault(path[len(_before(path, palm))].name, []).append(path)
    hands = []
    for group in branches.values():
        if len(group) < 2:
            continue
        wrist = _last_common(group)
        between = [joint for joint in _before(group[0], wrist) if joint not in _before(group[0], palm)]
        own = [joint for joint in between if joint.kind in MOVABLE and joint.mimic is None]
        if len(own) >= 3 or (len(group) >= 3 and own and len(branches) > 1 and len(paths) > 6):
            hands.append(wrist)
    if len(hands) > 1:
        raise ValueError(
            f"there are {len(hands)} hands in this file, at links {', '.join(hands)}; name one of them with --palm."
        )


def _refuse_shared_arm(chains: list[Chain], locked: dict[str, float]) -> None:
    for chain in chains:
        for joint in chain.joints:
            if joint.mimic is not None and joint.mimic.source in locked:
                raise ValueError(
                    f"joint '{joint.name}' of a finger mimics '{joint.mimic.source}', which lies before the palm."
                )


def _without_bars(chains: list[Chain]) -> tuple[list[Chain], list[Chain]]:
    """Separate chains that are only bars of a four-bar linkage.

    A bar has one joint, which mimics the joint of a chain with more of them.
    """

    def drivers(chain: Chain) -> set[str]:
        return {name for joint in chain.joints for name in _drivers(joint)}

    bars = [
        chain
        for chain in chains
        if len(chain.joints) == 1
        and chain.joints[0].mimic is not None
        and any(len(other.joints) > 1 and drivers(chain) <= drivers(other) for other in chains)
    ]
    return [chain for chain in chains if chain not in bars], bars


def _drivers(joint: Joint) -> tuple[str, ...]:
    return (joint.name,) if joint.mimic is None else (joint.mimic.source,)


def _rigid_with(urdf: Urdf, link: str) -> tuple[str, ...]:
    """A link and what is fixed behind it."""
    found = [link]
    for name in found:
        found += [joint.child for joint in urdf.joints if joint.parent == name and joint.kind == "fixed"]
    return tuple(found)
