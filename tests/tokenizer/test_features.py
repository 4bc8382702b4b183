"""Features: there and back, independence of the world, and the frame of motions without an object."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from unihm.tokenizer.features import HandFeatures, canonical_path


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), batch=st.sampled_from([(), (4,), (2, 3)]))
def test_unpack_inverts_pack(seed, batch):
    hand = HandFeatures(hand="h", joint_names=("a", "b"), lower=(-0.3, 0.0), upper=(1.2, 0.04))
    rng = np.random.default_rng(seed)
    T = np.tile(np.eye(4), (*batch, 1, 1))
    T[..., :3, :3] = Rotation.from_rotvec(rng.normal(size=(int(np.prod(batch)), 3))).as_matrix().reshape(*batch, 3, 3)
    T[..., :3, 3] = rng.normal(size=(*batch, 3))
    qpos = rng.uniform(hand.lower, hand.upper, (*batch, 2))
    x = hand.pack(torch.from_numpy(qpos), torch.from_numpy(T))
    assert x.shape == (*batch, hand.size)
    assert (x[..., 9:].abs() <= 1 + 1e-12).all()
    back_qpos, back_T = hand.unpack(x)
    np.testing.assert_allclose(back_qpos.numpy(), qpos, atol=1e-12)
    np.testing.assert_allclose(back_T.numpy(), T, atol=1e-12)


def test_limits_map_to_one(hand_features):
    hand = hand_features["left_claw"]
    for value, sign in ((hand.lower, -1.0), (hand.upper, 1.0)):
        x = hand.pack(torch.tensor(value, dtype=torch.float64), torch.eye(4, dtype=torch.float64))
        torch.testing.assert_close(x[9:], torch.full((3,), sign, dtype=torch.float64))


def test_canonical_palm_does_not_depend_on_where_the_scene_stands(make_motion):
    motion = make_motion()
    moved_by = np.eye(4)
    moved_by[:3, :3] = Rotation.from_rotvec([0, 0, 2.1]).as_matrix()
    moved_by[:3, 3] = [1.0, -2.0, 0.3]
    moved = motion.replace(T_world_palm=moved_by @ motion.T_world_palm, T_world_object=moved_by @ motion.T_world_object)
    for m in (motion, moved):
        palm = np.linalg.inv(canonical_path(m)) @ m.T_world_palm
        if m is motion:
            expected = palm
    np.testing.assert_allclose(palm, expected, atol=1e-4)
    assert abs(expected[0, 1, 3]) < 1e-9  # x points to the palm at first
    assert expected[0, 0, 3] > 0


def test_without_an_object_the_frame_stays_at_the_first_palm(make_motion):
    motion = make_motion(with_object=False)
    path = canonical_path(motion)
    assert (path == path[0]).all()
    np.testing.assert_allclose(path[0, :3, 3], motion.T_world_palm[0, :3, 3])
    np.testing.assert_allclose(path[0, :3, 2], [0, 0, 1])
    np.testing.assert_allclose(path[0, :3, :3] @ path[0, :3, :3].T, np.eye(3), atol=1e-12)
    assert path[0, :3, 0] @ motion.T_world_palm[0, :3, 0] < 0
    straight_down = motion.replace(T_world_palm=np.tile(np.eye(4)[[2, 1, 0, 3]] * [1, 1, -1, 1], (30, 1, 1)))
    assert np.isfinite(canonical_path(straight_down)).all()


def test_an_object_path_without_cloud_is_refused(make_motion):
    with pytest.raises(ValueError, match="no object cloud"):
        canonical_path(make_motion().replace(object_points=None))


def test_joints_are_found_by_name(hand_features, make_motion):
    motion = make_motion()
    turned = motion.replace(joint_names=("c", "a", "b"), qpos=motion.qpos[:, [2, 0, 1]])
    np.testing.assert_array_equal(hand_features["left_claw"].ordered_qpos(turned), motion.qpos)
    with pytest.raises(ValueError, match="has joints x, b, c"):
        hand_features["left_claw"].ordered_qpos(motion.replace(joint_names=("x", "b", "c")))


def test_limits_must_be_a_range():
    with pytest.raises(ValueError, match="without a finite range"):
        HandFeatures(hand="h", joint_names=("a",), lower=(0.0,), upper=(float("inf"),))
    with pytest.raises(ValueError, match="other numbers of limits"):
        HandFeatures(hand="h", joint_names=("a",), lower=(0.0, 1.0), upper=(1.0,))
