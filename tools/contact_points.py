"""Contact points of a hand's pads in the links whose collision geometry they lie on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from hand_surfaces import OFFICIAL, read_urdf

from unihm.hands.description import describe_hand
from unihm.kinematics.urdf import Urdf, parse_urdf


def contact_links(name: str, data: Path) -> dict[str, tuple[str, np.ndarray]]:
    """Per finger, the link of the official file whose geometry is nearest behind the pad, and the point in it, m.

    Args:
        name: The hand.
        data: Folder of official descriptions.
    """
    hand, urdf, found = describe_hand(name), parse_urdf(data / OFFICIAL[name]), {}
    shapes = read_urdf(data / OFFICIAL[name]).links
    for finger, pad in zip(hand.fingers, hand.fingertips, strict=True):
        T_body_link = rigid_with(urdf, pad.link)
        x = T_body_link[pad.link] @ np.append(pad.xyz, 1)
        places = {link: (np.linalg.inv(T) @ x)[:3] for link, T in T_body_link.items() if link in shapes}
        link = min(places, key=lambda link: _distance(shapes[link].mesh.triangles, places[link]))
        found[finger] = (link, places[link])
    return found


def rigid_with(urdf: Urdf, link: str) -> dict[str, np.ndarray]:
    """T_body_link of every link of the body that a link belongs to."""
    joint_of = {joint.child: joint for joint in urdf.joints}
    while link in joint_of and joint_of[link].kind == "fixed":
        link = joint_of[link].parent
    found, links = {link: np.eye(4)}, [link]
    for name in links:
        for joint in urdf.joints:
            if joint.parent == name and joint.kind == "fixed":
                found[joint.child] = found[name] @ joint.T_parent_child
                links.append(joint.child)
    return found


def contact_distances(name: str, data: Path) -> dict[str, tuple[float, float]]:
    """Per finger, how far the contact point lies from the official triangles, and outside our solids, m.

    Both are taken on the link of `contact_links`.

    Args:
        name: The hand.
        data: Folder of official descriptions.
    """
    theirs = read_urdf(data / OFFICIAL[name]).links
    ours = read_urdf(next(describe_hand(name).folder.glob("*.urdf"))).links
    found = {}
    for finger, (link, x) in contact_links(name, data).items():
        solids = ours[link].solids or ()
        outside = min(float(solid.signed_distance(x[None])[0]) for solid in solids)
        found[finger] = (_distance(theirs[link].mesh.triangles, x), outside)
    return found


def _distance(triangles: np.ndarray, point: np.ndarray) -> float:
    # In mm: trimesh takes the edges of triangles of 1e-7 m^2 for corners, which is wrong by up to 0.1 mm.
    mm = 1e3 * triangles
    nearest = trimesh.triangles.closest_point(mm, np.broadcast_to(1e3 * point, (len(mm), 3)))
    return float(np.linalg.norm(nearest - 1e3 * point, axis=1).min()) / 1e3
