"""Contact points of the pads against the official collision meshes, measured with trimesh."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from unihm.hands.hand import load_hand

OFFICIAL = {
    "shadow": "shadow/shadow_hand_right.urdf",
    "allegro": "allegro/allegro_hand_right.urdf",
    "svh": "svh/schunk_svh_hand_right.urdf",
    "leap": "leap/leap_hand_right.urdf",
    "ability": "ability/ability_hand_right.urdf",
    "inspire": "inspire/inspire_hand_right.urdf",
    "xhand": "xhand/xhand_right.urdf",
}
OFFICIAL |= {f"{name}_left": file.replace("_right", "_left") for name, file in OFFICIAL.items()}
OFFICIAL["panda"] = "panda/panda_gripper_glb.urdf"


def floats(element: ET.Element | None, key: str) -> list[float]:
    return [float(x) for x in ((element.get(key) if element is not None else None) or "0 0 0").split()]


def triangles(path: Path, link: str) -> np.ndarray:
    """Triangles (n, 3, 3) of a link's collision meshes, boxes and spheres in the link, m."""
    parts = []
    robot = ET.parse(path).getroot()
    for collision in robot.findall(f"link[@name='{link}']/collision"):
        shape, origin = collision.find("geometry/*"), collision.find("origin")
        assert shape is not None
        if shape.tag == "mesh":
            mesh = trimesh.load(path.parent / shape.attrib["filename"], force="mesh", process=False)
            mesh.apply_scale(floats(shape, "scale") if "scale" in shape.attrib else 1.0)
        elif shape.tag == "box":
            mesh = trimesh.creation.box(floats(shape, "size"))
        elif shape.tag == "sphere":
            mesh = trimesh.creation.icosphere(4, float(shape.attrib["radius"]))
        else:
            raise AssertionError(f"<{shape.tag}> is not measured")
        T = np.eye(4)
        T[:3, :3] = Rotation.from_euler("xyz", floats(origin, "rpy")).as_matrix()
        T[:3, 3] = floats(origin, "xyz")
        assert isinstance(mesh, trimesh.Trimesh)
        mesh.apply_transform(T)
        parts.append(mesh.triangles)
    return np.concatenate([np.zeros((0, 3, 3)), *parts])


@pytest.mark.parametrize("name", OFFICIAL)
def test_contact_points_lie_on_the_official_skin(name, shared_data):
    hand = load_hand(name)
    path = shared_data / "hands_official" / OFFICIAL[name]
    joint_of = {joint.child: joint for joint in hand.urdf.joints}
    for finger, link, point in zip(hand.fingers, hand.fingertips, hand.fingertip_points.numpy(), strict=True):
        x, faces = point, triangles(path, link)
        joint = joint_of[link]
        if joint.kind == "fixed":  # a frame, bare or marked by a ball: its body is the link before it
            R, t = joint.T_parent_child[:3, :3], joint.T_parent_child[:3, 3]
            x, faces = R @ x + t, np.concatenate([faces @ R.T + t, triangles(path, joint.parent)])
        # In mm: trimesh takes the edges of the smallest triangles for corners if they are in m.
        nearest = trimesh.triangles.closest_point(1e3 * faces, np.broadcast_to(1e3 * x, (len(faces), 3))) / 1e3
        distances = np.linalg.norm(nearest - x, axis=1)
        assert abs(distances.min() - float(hand.fingertip_radius[hand.fingers.index(finger)])) < 2e-4, finger
        if len(hand.fingers) > 2:
            # Nothing of the fingertip stands before the pad: the surface there faces away from the finger's inside.
            assert np.dot(x - faces.reshape(-1, 3).mean(0), x - nearest[distances.argmin()]) > -1e-6, finger
