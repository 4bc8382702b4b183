"""Our hand files against the official descriptions: same links, same joints, same poses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unihm.hands.hand import HANDS_FOLDER
from unihm.kinematics.kinematic_tree import KinematicTree
from unihm.kinematics.urdf import parse_urdf

OFFICIAL = {
    "shadow": "shadow/shadow_hand_right.urdf",
    "allegro": "allegro/allegro_hand_right.urdf",
    "panda": "panda/panda_gripper_glb.urdf",
}


@pytest.fixture(params=OFFICIAL)
def pair(request, shared_data):
    """Our description and the official one."""
    ours = parse_urdf(HANDS_FOLDER / request.param / f"{request.param}_right.urdf")
    return ours, parse_urdf(shared_data / "hands_official" / OFFICIAL[request.param])


def test_all_links_stand_where_the_official_ones_do(pair):
    ours, official = (KinematicTree.from_urdf(urdf) for urdf in pair)
    assert set(ours.link_names) == set(official.link_names)
    assert set(ours.joint_names) == set(official.joint_names)
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(1000, len(ours.joint_names), dtype=torch.float64, generator=generator)
    q = ours.lower + unit * (ours.upper - ours.lower)
    T = ours.forward_kinematics(q)
    T_official = official.forward_kinematics(q[:, [ours.joint_names.index(name) for name in official.joint_names]])
    order = [official.link_names.index(name) for name in ours.link_names]
    distance = (T - T_official[:, order])[..., :3, 3].norm(dim=-1)
    assert distance.max() < 1e-6


def test_limits_and_drives_are_the_official_ones(pair):
    ours, official = ({joint.name: joint for joint in urdf.joints} for urdf in pair)
    for name, joint in official.items():
        for field in ("kind", "lower", "upper", "effort", "velocity", "mimic"):
            value, expected = getattr(ours[name], field), getattr(joint, field)
            if isinstance(expected, float):
                np.testing.assert_allclose(value, expected, rtol=1e-9, err_msg=f"{name} {field}")
            else:
                assert value == expected, f"{name} {field}"
