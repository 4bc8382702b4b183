"""`unihm hands add`: hands built by the test, whose palm and fingers are known, and official files taken as unknown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hand_builders import Builder, finger, five_fingers, posed, three_fingers, two_fingers
from unihm.cli import main
from unihm.hands.hand import HANDS_FOLDER, HandModel, load_hand
from unihm.hands.hand_file import read_hand_file
from unihm.hands.proposing.propose import Proposal, propose_hand
from unihm.hands.proposing.writing import write_folder
from unihm.kinematics.keypoints import INDEX, TIPS
from unihm.retargeting import retarget_with_report

LINKS = {"thumb": "f3_l3", "index": "f0_l3", "middle": "f4_l3", "ring": "f1_l3", "pinky": "f2_l3"}
OFFICIAL = {
    "shadow": "shadow/shadow_hand_{}.urdf",
    "allegro": "allegro/allegro_hand_{}.urdf",
    "svh": "svh/schunk_svh_hand_{}.urdf",
    "leap": "leap/leap_hand_{}.urdf",
    "ability": "ability/ability_hand_{}.urdf",
    "inspire": "inspire/inspire_hand_{}.urdf",
    "xhand": "xhand/xhand_{}.urdf",
}


def written(proposal: Proposal, folder: Path) -> HandModel:
    write_folder(proposal, folder)
    hand = load_hand(folder)
    assert (hand.rest_qpos >= hand.lower).all()
    assert (hand.rest_qpos <= hand.upper).all()
    return hand


def tilt(hand: HandModel, T_root_palm: np.ndarray) -> float:
    R = np.asarray(hand.T_root_palm)[:3, :3].T @ T_root_palm[:3, :3]
    return float(np.degrees(np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1))))


@pytest.mark.parametrize(
    ("case", "seed"),
    [
        ({}, None),
        ({}, 1),
        ({"side": "left"}, 3),
        ({"flip": True}, 2),
        ({"arm": 6}, 4),
        ({"tip": "none"}, None),
        ({"beside": 0.015}, 5),
        ({"side": "left", "flip": True, "arm": 6}, 6),
    ],
)
def test_a_hand_with_odd_names_is_understood_wherever_its_frame_stands(case, seed, tmp_path):
    proposal = propose_hand(five_fingers(tmp_path / "thing.urdf", seed=seed, **case))
    hand = written(proposal, tmp_path / "hand")
    assert proposal.file.side == case.get("side", "right")
    assert {name: point.link for name, point in proposal.file.fingertips.items()} == LINKS
    assert tilt(hand, posed(seed)) < 0.1
    # The palm's origin is the middle knuckle, which stands at the origin of the frame that it was built in.
    np.testing.assert_allclose(np.asarray(hand.T_root_palm)[:3, 3], posed(seed)[:3, 3], atol=1e-5)
    assert sorted(proposal.file.locked_joints) == [f"arm{i}" for i in range(case.get("arm", 0))]
    assert len(proposal.file.keypoints) == 21
    knuckles = np.asarray(hand.keypoints(hand.rest_qpos * 0))
    s = 1 if proposal.file.side == "right" else -1
    for name, expected in {
        "index_mcp": [0, -0.03 * s, 0],
        "index_pip": [0.045, -0.03 * s, 0],
        "pinky_dip": [0.057, 0.04 * s, 0],
        "wrist": [-0.09, 0, 0],
    }.items():
        np.testing.assert_allclose(knuckles[hand.keypoint_indices.tolist().index(INDEX[name])], expected, atol=1e-5)
    if case.get("tip") != "none":
        # Half way between the palm's side and the end of a ball of 8 mm that ends with the finger.
        tip = knuckles[hand.keypoint_indices.tolist().index(INDEX["middle_tip"])]
        np.testing.assert_allclose(tip, [0.087 + 0.008 / 2**0.5, 0, 0.008 / 2**0.5], atol=3e-4)
        assert not any("ends" in doubt for doubt in proposal.doubts)
    else:
        assert sum("nothing says where it ends" in doubt for doubt in proposal.doubts) == 5
    # Relaxed: fingers bent to the palm's side, the thumb before them.
    rest = np.asarray(hand.keypoints(hand.rest_qpos))[np.asarray(hand.fingertip_slots)]
    assert (rest[:, 2] > 0.02).all()


def test_coupled_joints_and_tip_frames(tmp_path):
    proposal = propose_hand(five_fingers(tmp_path / "thing.urdf", coupled=True, tip="frame"))
    hand = written(proposal, tmp_path / "hand")
    # One joint a finger, two knuckles: the second lies at half of the length, as the human pip does.
    assert {name for name in proposal.file.keypoints if name.startswith("ring")} == {"ring_mcp", "ring_pip", "ring_tip"}
    assert len(hand.joint_names) == 8
    tips = np.asarray(hand.keypoints(hand.rest_qpos * 0))[np.asarray(hand.fingertip_slots)]
    np.testing.assert_allclose(tips[2], [0.095, 0, 0], atol=1e-6)
    assert any("no shape of its tip" in doubt for doubt in proposal.doubts)


def test_names_that_contradict_the_shape_are_reported(tmp_path):
    names = {"thumb": "thumb", "index": "ring", "middle": "middle", "ring": "index", "pinky": "pinky"}
    proposal = propose_hand(five_fingers(tmp_path / "thing.urdf", names=names))
    assert proposal.file.fingertips["index"].link == "ring_l3"
    assert sum("is called" in doubt for doubt in proposal.doubts) == 2
    said_left = propose_hand(five_fingers(tmp_path / "left_hand.urdf"))
    assert said_left.file.side == "right"
    assert any("the file's names say left" in doubt for doubt in said_left.doubts)


def test_three_fingers(tmp_path, keypoints):
    proposal = propose_hand(three_fingers(tmp_path / "three.urdf", seed=7))
    assert proposal.file.fingertips["thumb"].link == "d2_l2"
    assert set(proposal.file.fingers) == {"thumb", "index", "middle"}
    assert any("side" in doubt for doubt in proposal.doubts)
    hand = written(proposal, tmp_path / "hand")
    _, report = retarget_with_report([keypoints], hand)
    assert report.fingertip_mm < 25


def test_a_gripper_stands_where_people_pinch(tmp_path, keypoints):
    proposal = propose_hand(two_fingers(tmp_path / "two.urdf", seed=9))
    # The finger that is driven is the thumb; the bars of the linkage are no fingers.
    assert {name: point.link for name, point in proposal.file.fingertips.items()} == {"thumb": "pad0", "index": "pad1"}
    assert sum("linkage bar" in doubt for doubt in proposal.doubts) == 2
    assert set(proposal.file.keypoints) == {"thumb_tip", "index_tip"}
    hand = written(proposal, tmp_path / "hand")
    tips = np.asarray(hand.keypoints(hand.rest_qpos))
    # Human pinch in DexYCB (README of the panda folder): from index to thumb along (-0.86, -0.34, 0.38).
    jaw = (tips[0] - tips[1]) / np.linalg.norm(tips[0] - tips[1])
    np.testing.assert_allclose(jaw, np.array([-0.86, -0.34, 0.38]) / np.linalg.norm([-0.86, -0.34, 0.38]), atol=1e-3)
    _, report = retarget_with_report([keypoints], hand)
    assert report.fingertip_mm < 10


@pytest.fixture
def keypoints() -> np.ndarray:
    """A human hand that closes: 8 frames (T, 21, 3), m."""
    hand = load_hand("human")
    q = hand.rest_qpos * torch.linspace(0.5, 1.5, 8, dtype=torch.float64)[:, None]
    return np.asarray(hand.keypoints(q.clamp(hand.lower, hand.upper)))


@pytest.mark.parametrize(
    ("name", "side"), [*((name, "right") for name in OFFICIAL), ("svh", "left"), ("leap", "left"), ("ability", "left")]
)
def test_official_hands_taken_as_unknown(name, side, shared_data, tmp_path):
    proposal = propose_hand(shared_data / "hands_official" / OFFICIAL[name].format(side), name="unknown")
    made_folder = HANDS_FOLDER / (name if side == "right" else f"{name}_left")
    if not made_folder.is_dir():
        pytest.skip(f"no hand-made folder {made_folder.name}")
    made, hand = load_hand(made_folder), written(proposal, tmp_path / "hand")
    assert proposal.file.side == side
    assert hand.fingers == made.fingers
    assert hand.joint_names == made.joint_names
    assert tilt(hand, np.asarray(made.T_root_palm)) < 15
    # The same fingers by the same names: the proposed tips are the hand-made ones, to a few millimetres.
    q = made.rest_qpos * 0
    q = q.clamp(made.lower, made.upper)
    tips = []
    for h in (made, hand):
        points = np.asarray(h.keypoints(q))[np.asarray(h.fingertip_slots)]
        T = np.asarray(h.T_root_palm)
        tips.append(points @ T[:3, :3].T + T[:3, 3])
    # Where the pad of a flat fingertip is, is a matter of taste: 3 mm for the flattest.
    assert np.linalg.norm(tips[0] - tips[1], axis=-1).max() < 5e-3


def test_proposed_hands_retarget_as_well_as_hand_made_ones(shared_data, tmp_path):
    """Each at its own fingertips; `benchmarks/hands_add.py` has the full table, also at the hand-made ones."""
    human = np.load(shared_data / "hands_official" / "human_joint_right.npy")[:20]
    for name in ("inspire", "leap"):
        proposal = propose_hand(shared_data / "hands_official" / OFFICIAL[name].format("right"), name="unknown")
        _, made = retarget_with_report([human], load_hand(name))
        _, proposed = retarget_with_report([human], written(proposal, tmp_path / name))
        assert proposed.fingertip_mm < 1.2 * made.fingertip_mm, name


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_command_writes_folder_and_drawings(tmp_path, capsys, keypoints):
    urdf = five_fingers(tmp_path / "thing.urdf", seed=1, arm=2)
    status, out, _ = run(capsys, "hands", "add", urdf, "--name", "mine", "--out", tmp_path / "mine", "--json")
    assert status == 0
    value = json.loads(out)
    assert value["fingers"] == LINKS
    assert value["locked_joints"] == {"arm0": 0.0, "arm1": 0.0}
    assert len(value["unsure"]) == 1
    file = read_hand_file(tmp_path / "mine" / "hand.yaml")
    assert (tmp_path / "mine" / file.urdf).read_bytes() == urdf.read_bytes()
    assert "thing.urdf" in (tmp_path / "mine" / "README.md").read_text()
    with Image.open(tmp_path / "mine" / "hand.png") as picture:
        colors = {tuple(color) for color in np.asarray(picture.convert("RGB")).reshape(-1, 3)[::7].tolist()}
    # The five fingers' colours are there, and more than flat areas.
    assert {(206, 49, 49), (230, 145, 20), (56, 150, 60), (38, 110, 200), (142, 68, 173)} <= colors
    page = (tmp_path / "mine" / "hand.html").read_text()
    assert "mine (right) beside the human hand" in page
    assert len(page) > 500_000  # the viewer's client travels inside
    np.save(tmp_path / "keypoints.npy", keypoints)
    status, _, _ = run(
        capsys, "retarget", tmp_path / "keypoints.npy", "--hand", tmp_path / "mine", "--out", tmp_path / "out"
    )
    assert status == 0
    status, out, _ = run(capsys, "hands", "check", tmp_path / "mine", "--json")
    assert status == 0, out


def refusal(capsys, *arguments: object) -> str:
    status, out, err = run(capsys, "hands", "add", *arguments)
    assert status == 2
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, err
    return lines[0]


def test_refusals(tmp_path, capsys):
    one = Builder()
    finger(one, "only", "base", [0, 0, 0], [1, 0, 0], [0, 0, 1], (0.04, 0.03))
    assert "1 chain of movable joints" in refusal(capsys, one.write(tmp_path / "one.urdf"), "--out", tmp_path / "a")
    still = Builder()
    still.joint("mount", "base", "plate", [0, 0, 0])
    still.link("plate")
    assert "0 chains" in refusal(capsys, still.write(tmp_path / "still.urdf"), "--out", tmp_path / "a")
    large = five_fingers(tmp_path / "large.urdf").read_text()
    large = large.replace('xyz="0.045 0.0 0.0"', 'xyz="45 0 0"')
    (tmp_path / "large.urdf").write_text(large)
    assert "millimetres" in refusal(capsys, tmp_path / "large.urdf", "--out", tmp_path / "a")
    loop = five_fingers(tmp_path / "loop.urdf").read_text()
    loop = loop.replace(
        "</robot>", '<joint name="x" type="fixed"><parent link="f0_l1"/><child link="f1_l1"/></joint></robot>'
    )
    (tmp_path / "loop.urdf").write_text(loop)
    refusal(capsys, tmp_path / "loop.urdf", "--out", tmp_path / "a")
    assert "installed hand" in refusal(capsys, five_fingers(tmp_path / "human.urdf"))
    assert "--name" in refusal(capsys, tmp_path / "human.urdf", "--name", "a b")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert "--overwrite" in refusal(capsys, tmp_path / "human.urdf", "--name", "x", "--out", tmp_path / "full")
    assert not (tmp_path / "a").exists()


def test_two_hands_in_one_file(tmp_path):
    b = Builder()
    for side, y in (("l", 0.3), ("r", -0.3)):
        parent = "base"
        for number in range(4):
            child = f"{side}_arm{number}"
            b.joint(f"{side}_a{number}", parent, child, [0.1 * number, y, 0], np.eye(3)[number % 3], (-1, 1))
            b.link(child)
            parent = child
        for number, place in enumerate((-0.03, 0.0, 0.03)):
            base = np.array([0.4, y + place, 0])
            finger(b, f"{side}_f{number}", parent, base, [1, 0, 0], [0, 0, 1], (0.04, 0.03))
        finger(b, f"{side}_t", parent, np.array([0.36, y - 0.04, 0]), [0.7, -0.7, 0], [0.3, 0.3, 0.9], (0.04, 0.03))
    path = b.write(tmp_path / "robot.urdf")
    with pytest.raises(ValueError, match="2 hands in this file, at links l_arm3, r_arm3"):
        propose_hand(path)
    proposal = propose_hand(path, palm="r_arm3")
    assert proposal.file.palm_link == "r_arm3"
    assert {point.link[0] for point in proposal.file.fingertips.values()} == {"r"}
    assert len(load_locked(proposal)) == 4 + 4 + 8  # the arm, and all of the other one with its fingers
    assert len(TIPS) > len(proposal.file.fingers) == 4


def load_locked(proposal: Proposal) -> dict[str, float]:
    return proposal.file.locked_joints
