"""Polishing: downhill on the retargeting objective, from where the motion is."""

from __future__ import annotations

import numpy as np
import pytest
from retargeting_cases import human_motion

from unihm.hands.description import describe_hand
from unihm.retargeting import RetargetingConfig, polish, retarget


@pytest.fixture(scope="module")
def solved(small_atlas):
    hand, config = describe_hand("allegro"), RetargetingConfig()
    keypoints = human_motion(12)
    return hand, config, keypoints, retarget([keypoints], hand, config)[0]


def test_a_disturbed_motion_comes_back(solved):
    hand, config, keypoints, motion = solved
    rng = np.random.default_rng(0)
    moved = motion.T_world_palm.copy()
    moved[:, :3, 3] += 0.004 * rng.normal(size=(len(motion), 3))
    start = motion.replace(qpos=motion.qpos + 0.05 * rng.normal(size=motion.qpos.shape), T_world_palm=moved)
    far = [np.abs(polish(start, keypoints, hand, config, steps=n).qpos - motion.qpos).mean() for n in (0, 1, 3, 30)]
    assert far[0] > far[1] > far[3]
    assert far[3] < 0.3 * far[0]


def test_joints_stay_within_limits(solved):
    hand, config, keypoints, motion = solved
    polished = polish(motion.replace(qpos=motion.qpos + 1.0), keypoints, hand, config, steps=2)
    assert (polished.qpos >= hand.chain.lower - 1e-12).all()
    assert (polished.qpos <= hand.chain.upper + 1e-12).all()


def test_wrong_input_is_named(solved):
    hand, config, keypoints, motion = solved
    with pytest.raises(ValueError, match="keypoints of 3 frames"):
        polish(motion, keypoints[:3], hand, config)
    with pytest.raises(ValueError, match="steps is -1"):
        polish(motion, keypoints, hand, config, steps=-1)
    with pytest.raises(ValueError, match="other joints than 'panda'"):
        polish(motion, keypoints, describe_hand("panda"), config)
