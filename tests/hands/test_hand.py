"""Every hand folder: its conventions, its points, its errors."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from unihm.hands.hand import HANDS_FOLDER, HandModel, list_hands, load_hand
from unihm.kinematics.keypoints import INDEX, NAMES


@pytest.fixture(params=list_hands())
def hand(request) -> HandModel:
    return load_hand(request.param)


def random_q(hand: HandModel, count: int) -> torch.Tensor:
    unit = torch.rand(count, len(hand.joint_names), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return hand.lower + unit * (hand.upper - hand.lower)


def test_points_and_jacobians(hand):
    q = random_q(hand, 3)
    p, J = hand.keypoints_and_jacobian(q)
    torch.testing.assert_close(p, hand.keypoints(q), atol=1e-14, rtol=0)
    for row in range(3):
        expected = torch.autograd.functional.jacobian(hand.keypoints, q[row])
        torch.testing.assert_close(J[row], expected, atol=1e-12, rtol=0)
    tips, J_tips = hand.fingertips_and_jacobian(q)
    assert tips.shape == (3, len(hand.fingers), 3)
    assert J_tips.shape == (3, len(hand.fingers), 3, len(hand.joint_names))


def test_slots_and_names_agree(hand):
    assert hand.name in list_hands()
    names = [NAMES[i] for i in hand.keypoint_indices.tolist()]
    assert [names[i] for i in hand.fingertip_slots.tolist()] == [f"{finger}_tip" for finger in hand.fingers]
    assert hand.keypoint_indices.tolist() == sorted(hand.keypoint_indices.tolist())
    assert ((hand.rest_qpos >= hand.lower) & (hand.rest_qpos <= hand.upper)).all()


def test_forward_kinematics_is_in_the_palm_frame(hand):
    q = random_q(hand, 2)
    expected = torch.linalg.inv(torch.from_numpy(hand.T_root_palm)) @ hand.tree.forward_kinematics(q)
    torch.testing.assert_close(hand.forward_kinematics(q), expected, atol=1e-12, rtol=0)


def test_palm_convention(hand):
    """At rest the tips stand before the palm; y points to the little finger of a right hand, to the thumb of a left."""
    side = 1 if hand.side == "right" else -1
    p = dict(zip((NAMES[i] for i in hand.keypoint_indices.tolist()), hand.keypoints(hand.rest_qpos), strict=True))
    assert p["index_tip"][0] > 0
    assert all(p[f"{finger}_tip"][2] > 0.02 for finger in hand.fingers)
    assert side * p["thumb_tip"][1] < 0
    if "middle_mcp" in p:
        assert p["middle_mcp"].norm() < 1e-9
        assert side * p["index_mcp"][1] < 0 < side * p["ring_mcp"][1]
        assert p["wrist"][0] < -0.05


def test_bending_a_finger_moves_its_tip_out_of_the_palm(hand):
    """Curling all joints that can only or mainly bend one way brings fingertips towards +z and back."""
    if "middle" not in hand.fingers:
        pytest.skip("no middle finger")
    bends = hand.upper - 2 * hand.lower.abs() > 0.5
    straight = hand.rest_qpos.clone()
    straight[bends] = 0.0
    half = torch.where(bends, 0.4 * hand.upper, straight).clamp(hand.lower, hand.upper)
    slot = hand.fingertip_slots[hand.fingers.index("middle")]
    straight = straight.clamp(hand.lower, hand.upper)
    move = hand.keypoints(half)[slot] - hand.keypoints(straight)[slot]
    assert move[2] > 0.02
    assert move[0] < 0


def surface_distance(hand: HandModel, link: int, point: np.ndarray) -> float:
    """Signed distance of a point from the union of a link's solids, m (negative inside)."""
    distances = []
    for solid in hand.geometry:
        if solid.link != link:
            continue
        x = solid.T_link_shape[:3, :3].T @ (point - solid.T_link_shape[:3, 3])
        if solid.kind == "sphere":
            distances.append(np.linalg.norm(x) - solid.size[0])
            continue
        if solid.kind == "cylinder":
            q = np.array([np.linalg.norm(x[:2]) - solid.size[0], abs(x[2]) - solid.size[1] / 2])
        else:
            q = np.abs(x) - np.array(solid.size) / 2
        distances.append(np.linalg.norm(np.maximum(q, 0)) + min(q.max(), 0))
    return min(distances)


def test_contact_points_lie_on_the_surface(hand):
    T = hand.forward_kinematics(hand.rest_qpos).numpy()
    for finger, link in enumerate(hand.fingertip_links.tolist()):
        point = T[link] @ np.append(hand.fingertip_points[finger].numpy(), 1)
        # The pad's body may belong to the link before a bare tip frame.
        signed = min(
            surface_distance(hand, body, (np.linalg.inv(T[body]) @ point)[:3])
            for body in {solid.link for solid in hand.geometry}
        )
        # The point was measured on the official skin, which fitted solids cover by up to 2 mm and never leave bare.
        assert -2e-3 < signed + float(hand.fingertip_radius[finger]) < 6e-4


def test_body_has_mass_wherever_it_moves(hand):
    moving = {joint.child for joint in hand.urdf.joints if joint.kind != "fixed"}
    assert all(link.mass > 0 for link in hand.urdf.links if link.name in moving)
    assert hand.geometry


def test_human_hand_fits_its_source():
    """Bone lengths of the skeleton are those that its README states from the recordings."""
    hand = load_hand("human")
    p = hand.keypoints(hand.rest_qpos).numpy()
    assert np.linalg.norm(p[INDEX["index_mcp"]] - p[INDEX["index_pip"]]) == pytest.approx(0.0342, abs=1e-6)
    assert np.linalg.norm(p[INDEX["wrist"]]) == pytest.approx(0.0968, abs=1e-6)


def test_unknown_names():
    with pytest.raises(ValueError, match=r"Hand 'shadw' not found. Did you mean 'shadow'\? Available:"):
        load_hand("shadw")


def test_folder_without_hand_file(tmp_path):
    with pytest.raises(ValueError, match=r"holds no hand\.yaml"):
        load_hand(tmp_path)


@pytest.fixture
def copy(tmp_path):
    """An editable copy of a hand folder."""
    folder = tmp_path / "mine"
    shutil.copytree(HANDS_FOLDER / "panda", folder)

    def edit(old: str, new: str):
        path = folder / "hand.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return folder

    return edit


def test_own_folder_is_read(copy):
    assert load_hand(copy("name: panda", "name: mine")).name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("side: right", "side: up", "side is 'up', expected 'right' or 'left'"),
        ("side: right", "sides: right", "key 'sides' not found. Did you mean 'side'?"),
        ("name: panda", "", "key name missing"),
        ("link: panda_hand,", "link: palm,", "root_to_palm: link 'palm' not found. Available: panda_hand"),
        ("link: panda_hand,", "link: panda_leftfinger,", "'panda_finger_joint1' moves the palm"),
        ("panda_finger_joint1: 0.03", "panda_finger_joint1: 0.3", "outside its limits [0.0, 0.04]"),
        ("panda_finger_joint1: 0.03", "joint1: 0.03", "rest_qpos: joint 'joint1' not found"),
        ("fingers: [thumb, index]", "fingers: [thumb, toe]", "finger 'toe' not found"),
        ("fingers: [thumb, index]", "fingers: []", "expected a list of different fingers"),
        ("thumb_tip:", "thumb_tpi:", "name 'thumb_tpi' not found. Did you mean 'thumb_tip'?"),
        ("xyz: [0.0, 0.0, 0.045], radius: 0.0", "xyz: [0.0, 0.0], radius: 0.0", "expected 3 numbers"),
        ("radius: 0.0", "radius: -1", "expected at least 0"),
        ("locked_joints: {}", "locked_joints: {x: 0}", "cannot lock 'x'"),
        ("wxyz: [0.5740974", "wxyz: [5.0", "expected a unit quaternion"),
        ("name: panda", "name: [", "not readable YAML"),
        ("urdf: panda_right.urdf", "urdf: other.urdf", "other.urdf' does not exist"),
    ],
)
def test_bad_files_are_refused_with_one_line(copy, old, new, message):
    folder = copy(old, new)
    with pytest.raises(ValueError, match="mine") as error:
        load_hand(folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
