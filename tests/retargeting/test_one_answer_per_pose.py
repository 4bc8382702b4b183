"""Real recordings, with the whole atlas: an answer does not depend on where its recording begins or ends."""

from __future__ import annotations

import json

import numpy as np
import pytest
from retargeting_cases import model_of, representative_hands

from unihm.retargeting import PRESETS, Retargeter, retarget, retarget_with_report

HANDS = representative_hands()


@pytest.mark.parametrize("preset", ["default", "position"])
@pytest.mark.parametrize("name", [HANDS["largest"], HANDS["mimic"]])
def test_a_recording_that_starts_later_has_the_same_answers(video, name, preset):
    model = model_of(name)
    motion, report = retarget_with_report([video], model, PRESETS[preset])
    late = retarget([video[10:]], model, PRESETS[preset])[0]
    assert report.status["CONVERGED"] == len(video)
    difference = np.degrees(np.abs(motion[0].qpos[10:] - late.qpos))
    assert difference[3:].mean() < 0.05  # beyond the reach of the smoothness window
    assert difference.mean() < 0.3
    early = retarget([video[:-10]], model, PRESETS[preset])[0]
    assert np.degrees(np.abs(motion[0].qpos[:-13] - early.qpos[:-3])).mean() < 0.05


@pytest.mark.parametrize("name", [HANDS["largest"], HANDS["mimic"], HANDS["gripper"]])
def test_real_grasps_have_one_answer_per_pose(shared_data, name):
    model = model_of(name)
    entries = json.loads((shared_data / "dexycb" / "dexycb_right_index.json").read_text())
    with np.load(shared_data / "dexycb" / "dexycb_right.npz") as data:
        joints = data["joints"]
    ranges = [(e["start"] + e["first_hand_frame"], e["start"] + e["last_hand_frame"] + 1) for e in entries[5:300:60]]
    keypoints = [joints[a:b].astype(float) for a, b in ranges]
    motions, report = retarget_with_report(keypoints, model)
    assert report.status["CONVERGED"] == report.frames
    for motion, late in zip(motions, retarget([k[10:] for k in keypoints], model), strict=True):
        assert np.degrees(np.abs(motion.qpos[13:] - late.qpos[3:])).mean() < 0.05
        assert ((motion.qpos >= model.lower.numpy()) & (motion.qpos <= model.upper.numpy())).all()
    if len(model.joint_names) > 9:
        assert report.fingertip_mm < 3


@pytest.mark.parametrize("preset", ["default", "position"])
@pytest.mark.parametrize("name", [HANDS["largest"], HANDS["mimic"]])
def test_a_stream_that_starts_later_has_the_same_answers(video, name, preset):
    retargeter = Retargeter(name, PRESETS[preset])
    q = np.array([retargeter.step(frame).copy() for frame in video])
    retargeter.reset()
    late = np.array([retargeter.step(frame).copy() for frame in video[10:]])
    difference = np.degrees(np.abs(q[10:] - late))
    assert difference[5:].mean() < 0.3
    assert (difference[5:].max(axis=1) > 1).mean() < 0.02
    assert retargeter.unconverged == 0
