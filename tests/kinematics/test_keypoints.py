"""The palm frame against its convention, on a made-up hand and on real ones."""

from __future__ import annotations

import json

import numpy as np
import pytest

from unihm.kinematics.keypoints import BONES, INDEX, MIDDLE_MCP, NAMES, TIPS, WRIST, palm_frame


def test_names():
    assert len(NAMES) == 21
    assert [NAMES[tip] for tip in TIPS] == ["thumb_tip", "index_tip", "middle_tip", "ring_tip", "pinky_tip"]
    assert INDEX["middle_mcp"] == MIDDLE_MCP
    assert len(BONES) == 20


def test_axes_of_a_right_hand():
    # Palm down on a table, fingers along +y: the little finger of a right hand is at +x, the palm faces -z.
    keypoints = np.zeros((21, 3))
    keypoints[INDEX["index_mcp"]], keypoints[INDEX["middle_mcp"]] = [-0.025, 0.09, 0], [0, 0.1, 0]
    keypoints[INDEX["pinky_mcp"]] = [0.04, 0.08, 0]
    T = palm_frame(keypoints)
    np.testing.assert_allclose(T[:3, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(T[:3, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(T[:3, 2], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(T[:3, 3], [0, 0.1, 0], atol=1e-12)


def test_axes_of_a_left_hand():
    # Palm down on a table, fingers along +y: the thumb of a left hand is at +x, the palm faces -z.
    keypoints = np.zeros((21, 3))
    keypoints[INDEX["index_mcp"]], keypoints[INDEX["middle_mcp"]] = [0.025, 0.09, 0], [0, 0.1, 0]
    keypoints[INDEX["pinky_mcp"]] = [-0.04, 0.08, 0]
    T = palm_frame(keypoints, "left")
    np.testing.assert_allclose(T[:3, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(T[:3, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(T[:3, 2], [0, 0, -1], atol=1e-12)


def test_a_mirrored_hand_has_the_mirrored_palm():
    # A reflection S turns the palm's rotation R into S R diag(1, -1, 1): x and z are reflected, y is their product.
    keypoints = np.random.default_rng(0).normal(size=(5, 21, 3))
    S = np.diag([-1.0, 1.0, 1.0])
    right, left = palm_frame(keypoints), palm_frame(keypoints @ S, "left")
    np.testing.assert_allclose(left[:, :3, :3], S @ right[:, :3, :3] @ np.diag([1.0, -1.0, 1.0]), atol=1e-12)
    np.testing.assert_allclose(left[:, :3, 3], right[:, :3, 3] @ S, atol=1e-12)


@pytest.mark.parametrize("hand", ["panda", "ability_left"])
def test_the_compiled_palm_is_the_same(hand):
    from unihm.hands.description import describe_hand
    from unihm.retargeting.atlas import make_memory
    from unihm.retargeting.config import RetargetingConfig
    from unihm.retargeting.problem import compile_problem, make_goal
    from unihm.retargeting.targets import prepare

    description = describe_hand(hand)
    problem, layout = compile_problem(description, RetargetingConfig())
    goal = make_goal(problem, description, RetargetingConfig())
    memory = make_memory(len(description.joint_names))
    for keypoints in np.random.default_rng(1).normal(size=(20, 21, 3)):
        prepare(layout, keypoints, goal, memory)
        T = palm_frame(keypoints, description.side)
        np.testing.assert_allclose(goal.R, T[:3, :3], atol=1e-12)
        np.testing.assert_allclose(goal.t, T[:3, 3], atol=1e-12)


def test_no_direction_and_no_side_are_refused():
    with pytest.raises(ValueError, match="no direction"):
        palm_frame(np.zeros((2, 21, 3)))
    with pytest.raises(ValueError, match="side is 'both', expected 'right' or 'left'"):
        palm_frame(np.ones((21, 3)), "both")


@pytest.mark.parametrize("source", ["video", "dexycb"])
def test_real_fingers_curl_out_of_the_palm(shared_data, source):
    if source == "video":
        keypoints = np.load(shared_data / "hands_official" / "human_joint_right.npy")
    else:
        entry = json.loads((shared_data / "dexycb" / "dexycb_right_index.json").read_text())[3]
        with np.load(shared_data / "dexycb" / "dexycb_right.npz") as data:
            first, last = entry["start"] + entry["first_hand_frame"], entry["start"] + entry["last_hand_frame"]
            keypoints = data["joints"][first : last + 1].astype(float)
    T = palm_frame(keypoints)
    R = T[:, :3, :3]
    np.testing.assert_allclose(R.transpose(0, 2, 1) @ R, np.tile(np.eye(3), (len(R), 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(R), 1, atol=1e-12)
    palm = np.einsum("nji,nkj->nki", R, keypoints - T[:, None, :3, 3])
    assert (palm[:, WRIST, 0] < 0).all()
    assert (palm[:, INDEX["pinky_mcp"], 1] > 0).all()
    assert palm[:, TIPS, 2].mean() > 0.02
