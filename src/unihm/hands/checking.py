"""Is a hand's folder right in itself: does its ``hand.yaml`` mean what this package takes it to mean?

`unihm.hands.comparing` holds it beside another URDF.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from unihm.hands.hand import HandModel, load_hand
from unihm.hands.hand_file import HAND_FILE, read_hand_file
from unihm.kinematics.keypoints import NAMES
from unihm.kinematics.mimic import mimic_overshoot
from unihm.kinematics.urdf import MOVABLE, Urdf, parse_urdf

OK, KNOWN, WARNING, ERROR = "ok", "known", "warning", "error"
_SURFACE = 0.003  # m: how far a pad's contact point may be from the drawn body


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    what: str
    """What was looked at."""
    status: str
    """``ok``, ``known`` (a difference that ``hand.yaml`` declares), ``warning`` or ``error``."""
    text: str
    """What was found."""
    distance_m: float | None = None
    """The largest distance behind it, m, where there is one."""
    angle_rad: float | None = None
    """The largest angle behind it, rad, where there is one."""


def check_folder(folder: str | Path) -> list[Finding]:
    """Check a hand's folder in itself.

    Args:
        folder: A folder with a ``hand.yaml``, or the name of an installed hand.

    Raises:
        ValueError: The folder cannot be read as a hand at all; the message says why.
    """
    hand = load_hand(folder)
    file = read_hand_file(hand.folder / HAND_FILE)
    urdf = parse_urdf(hand.folder / file.urdf)
    found = [Finding(what="files", status=OK, text=f"{HAND_FILE} and {file.urdf} are read, all named links exist")]
    if not (hand.folder / "README.md").is_file():
        found.append(Finding(what="files", status=WARNING, text="no README.md says where the numbers come from"))
    found += _check_joints(hand, urdf)
    found += _check_palm(hand)
    found += _check_keypoints(hand)
    found += _check_pads(hand)
    return found


def _check_joints(hand: HandModel, urdf: Urdf) -> list[Finding]:
    found = []
    lower, upper = np.asarray(hand.lower), np.asarray(hand.upper)
    for name, low, high in zip(hand.joint_names, lower, upper, strict=True):
        if not np.isfinite([low, high]).all():
            found.append(Finding(what="limits", status=WARNING, text=f"'{name}' has no limits"))
        elif high - low > 2 * np.pi + 1e-6:
            turns = (high - low) / (2 * np.pi)
            found.append(Finding(what="limits", status=ERROR, text=f"'{name}' may turn {turns:.1f} times; degrees?"))
        elif high - low < 1e-6:
            found.append(Finding(what="limits", status=WARNING, text=f"'{name}' cannot move: lower = upper"))
    if not found:
        found.append(Finding(what="limits", status=OK, text=f"{len(lower)} independent joints with sane limits"))
    overshoot = mimic_overshoot(urdf)
    for name in overshoot:
        found.append(Finding(what="mimic", status=WARNING, text=f"'{name}' is driven beyond its own limits"))
    mimics = sum(joint.mimic is not None for joint in urdf.joints)
    if mimics and not overshoot:
        found.append(Finding(what="mimic", status=OK, text=f"{mimics} mimic joints stay within their limits"))
    mass = {link.name: link.mass for link in urdf.links}
    bare = [joint.child for joint in urdf.joints if joint.kind in MOVABLE and not _body_mass(urdf, joint.child, mass)]
    found.append(
        Finding(
            what="inertials", status=WARNING, text=f"moving without mass (no simulator takes it): {', '.join(bare)}"
        )
        if bare
        else Finding(what="inertials", status=OK, text="every moving body has a mass")
    )
    return found


def _body_mass(urdf: Urdf, link: str, mass: dict[str, float]) -> float:
    """Mass of a link and of what is fixed to it, kg."""
    fixed = [joint.child for joint in urdf.joints if joint.parent == link and joint.kind == "fixed"]
    return mass[link] + sum(_body_mass(urdf, child, mass) for child in fixed)


def _check_palm(hand: HandModel) -> list[Finding]:
    """Does the palm frame stand as the package takes it: x along the fingers, z to the side to which they bend?"""
    names = [NAMES[i] for i in np.asarray(hand.keypoint_indices)]
    zero = torch.zeros(len(hand.joint_names), dtype=torch.float64)
    straight = torch.clamp(zero, torch.as_tensor(hand.lower), torch.as_tensor(hand.upper))
    at_zero = dict(zip(names, np.asarray(hand.keypoints(straight)), strict=True))
    at_rest = dict(zip(names, np.asarray(hand.keypoints(torch.as_tensor(hand.rest_qpos))), strict=True))
    fingers = [finger for finger in hand.fingers if finger != "thumb" and f"{finger}_mcp" in names]
    if not fingers:
        return [Finding(what="palm frame", status=OK, text="a gripper: no knuckles to tell it from")]
    found = []
    along = np.mean([at_zero[f"{finger}_tip"] - at_zero[f"{finger}_mcp"] for finger in fingers], axis=0)
    angle = float(np.degrees(np.arccos(along[0] / np.linalg.norm(along))))
    found.append(
        Finding(
            what="palm frame",
            status=OK if angle < 45 else ERROR,
            text=f"fingers at zero point {angle:.0f} degrees off +x"
            + (", expected less than 45" if angle >= 45 else ""),
        )
    )
    bent = float(np.mean([(at_rest[f"{f}_tip"] - at_rest[f"{f}_mcp"])[2] for f in fingers]))
    found.append(
        Finding(
            what="palm frame",
            status=OK if bent > 0 else ERROR,
            text=f"at rest the fingertips stand {1e3 * bent:+.0f} mm along +z"
            + (", expected more than 0" * (bent <= 0)),
        )
    )
    if len(fingers) > 1:
        outward = float((at_zero[f"{fingers[-1]}_mcp"] - at_zero[f"{fingers[0]}_mcp"])[1])
        seems = "right" if outward > 0 else "left"
        found.append(
            Finding(
                what="side",
                status=OK if seems == hand.side else ERROR,
                text=f"{fingers[-1]} lies at {'+' if outward > 0 else '-'}y of {fingers[0]}: a {seems} hand"
                + ("" if seems == hand.side else f", hand.yaml says {hand.side}"),
            )
        )
    middle = "middle_mcp" if "middle_mcp" in names else f"{fingers[0]}_mcp"
    away = float(np.linalg.norm(at_zero[middle]))
    found.append(
        Finding(
            what="palm origin",
            status=OK if away < 0.02 else WARNING,
            text=f"{1e3 * away:.1f} mm from {middle}, expected at the middle finger's base",
            distance_m=away,
        )
    )
    return found


def _check_keypoints(hand: HandModel) -> list[Finding]:
    names = [NAMES[i] for i in np.asarray(hand.keypoint_indices)]
    zero = torch.zeros(len(hand.joint_names), dtype=torch.float64)
    straight = torch.clamp(zero, torch.as_tensor(hand.lower), torch.as_tensor(hand.upper))
    points = dict(zip(names, np.asarray(hand.keypoints(straight)), strict=True))
    found = []
    for finger in hand.fingers:
        chain = [name for name in NAMES if name.startswith(f"{finger}_") and name in points]
        for a, b in pairwise(chain):
            if np.linalg.norm(points[a] - points[b]) < 1e-3:
                found.append(Finding(what="keypoints", status=ERROR, text=f"{a} and {b} are in one place"))
        reach = [float(np.linalg.norm(points[name] - points[chain[0]])) for name in chain]
        if reach and reach[-1] < max(reach) - 1e-3:
            found.append(
                Finding(what="keypoints", status=ERROR, text=f"{chain[-1]} is not the farthest point of its finger")
            )
    missing = [n for finger in hand.fingers for n in NAMES if n.startswith(f"{finger}_") and n not in points]
    if not found:
        text = f"{len(points)} of 21, each finger's in order" + (f"; without {', '.join(missing)}" if missing else "")
        found.append(Finding(what="keypoints", status=OK, text=text))
    return found


def _check_pads(hand: HandModel) -> list[Finding]:
    """Do contact points lie on the body that the URDF draws?"""
    if not hand.geometry:
        return [
            Finding(
                what="contact points", status=WARNING, text="the URDF has no boxes, cylinders or spheres to compare"
            )
        ]
    q = torch.as_tensor(hand.rest_qpos)
    T = np.asarray(hand.forward_kinematics(q))
    pads = np.asarray(hand.fingertips_and_jacobian(q)[0])
    meshes = {link.name for link in hand.urdf.links if link.mesh_references}
    found, on_mesh = [], []
    for finger, link, pad, radius in zip(
        hand.fingers, hand.fingertips, pads, np.asarray(hand.fingertip_radius), strict=True
    ):
        if link in meshes:
            on_mesh.append(finger)
            continue
        gap = min(_distance(T[p.link] @ p.T_link_shape, p.kind, p.size, pad) for p in hand.geometry)
        away = abs(abs(gap) - float(radius))
        if away > _SURFACE:
            where = "above" if gap > 0 else "below"
            text = f"{finger}: {1e3 * abs(gap):.1f} mm {where} the solids' surface, radius says {1e3 * radius:.1f}"
            found.append(Finding(what="contact points", status=WARNING, text=text, distance_m=away))
    if on_mesh:
        text = f"not compared, their links have meshes: {', '.join(on_mesh)}"
        found.append(Finding(what="contact points", status=WARNING, text=text))
    return found or [Finding(what="contact points", status=OK, text="all within 3 mm of the solids' surface")]


def _distance(T: Float[np.ndarray, "4 4"], kind: str, size: tuple[float, ...], point: Float[np.ndarray, " 3"]) -> float:
    """Signed distance of a point from a primitive, m, negative inside."""
    p = T[:3, :3].T @ (point - T[:3, 3])
    if kind == "sphere":
        return float(np.linalg.norm(p) - size[0])
    if kind == "box":
        over = np.abs(p) - np.array(size) / 2
    else:
        over = np.array([np.hypot(p[0], p[1]) - size[0], abs(p[2]) - size[1] / 2])
    return float(np.linalg.norm(np.maximum(over, 0)) + min(float(over.max()), 0.0))
