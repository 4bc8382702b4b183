"""What workers are sent is the retargeting that a single call runs, with a record of how it was done."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from unihm.datasets.hand_retargeting import HandRetargeting
from unihm.datasets.recordings import Recordings
from unihm.geometry.pose import pose_to_vector
from unihm.hands.description import describe_hand
from unihm.retargeting import PRESETS, RetargetingConfig, retarget
from unihm.retargeting.atlas import human_postures


def test_the_record_says_what_decides_the_motions():
    name, made_with = HandRetargeting().describe("panda")
    assert name == "panda"
    assert json.loads(json.dumps(made_with, allow_nan=False)) == made_with
    assert made_with["preset"] == "default"
    assert made_with["config"]["fingertip_sigma"] == RetargetingConfig().fingertip_sigma
    assert made_with["config"]["huber"] == "inf"
    assert "fps" not in made_with["config"]  # each recording has its own
    assert HandRetargeting(RetargetingConfig(fps=60.0)).describe("panda")[1] == made_with
    assert HandRetargeting(PRESETS["position"]).describe("panda")[1]["preset"] == "position"
    other = HandRetargeting(RetargetingConfig(rest_sigma=0.31)).describe("panda")[1]
    assert {name for name in other if other[name] != made_with[name]} == {"preset", "config"}
    ability = HandRetargeting().describe("ability")[1]
    assert {name for name in ability if ability[name] != made_with[name]} == {"hand"}


def test_a_hand_is_known_by_what_retargeting_sees_of_it(tmp_path):
    for file in describe_hand("ability").folder.iterdir():
        if file.suffix in (".yaml", ".urdf"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    apart = HandRetargeting(RetargetingConfig(self_collision_sigma=0.001))
    records = [here.describe("ability") for here in (HandRetargeting(), apart)]
    assert [here.describe(str(tmp_path)) for here in (HandRetargeting(), apart)] == records
    urdf = next(tmp_path.glob("*.urdf"))
    text = urdf.read_text()
    for change, seen in (
        (("<collision", "<!-- the body --><collision"), (False, False)),
        (('<cylinder radius="0.0187"', '<cylinder radius="0.0287"'), (False, True)),
        (('upper="2.0943951"', 'upper="2.0943"'), (True, True)),
    ):
        assert change[0] in text
        urdf.write_text(text.replace(*change))
        found = [here.describe(str(tmp_path)) for here in (HandRetargeting(), apart)]
        assert tuple(new[1]["hand"] != old[1]["hand"] for new, old in zip(found, records, strict=True)) == seen


def test_unfit_hands_and_keypoints_are_refused():
    with pytest.raises(ValueError, match="Did you mean 'panda'"):
        HandRetargeting().describe("pandas")
    with pytest.raises(ValueError, match="Episodes show right hands, 'ability_left' is a left one"):
        HandRetargeting().describe("ability_left")
    with pytest.raises(ValueError, match=r"^Episode 'a': .*divide by 1000"):
        HandRetargeting().check(human_postures("right", 3) * 1000, "Episode 'a': ")


def test_it_is_the_retargeting_of_a_single_call():
    keypoints = human_postures("right", 11).astype(np.float32)
    parts = keypoints[:5], keypoints[5:]
    here = HandRetargeting()
    task = Recordings(hand="panda", lengths=(5, 6), fps=(30.0, 60.0), keypoints_world=keypoints)
    first, again = here(task), pickle.loads(pickle.dumps(here))(task)
    motions = [
        retarget([part.astype(np.float64)], describe_hand("panda"), replace(here.config, fps=fps))[0]
        for part, fps in zip(parts, task.fps, strict=True)
    ]
    assert first.joint_names == motions[0].joint_names
    for solved in (first, again):
        np.testing.assert_array_equal(solved.qpos, np.concatenate([m.qpos for m in motions]).astype(np.float32))
        palm = np.concatenate([pose_to_vector(m.T_world_palm) for m in motions])
        np.testing.assert_array_equal(solved.T_world_palm, palm.astype(np.float32))
    assert 0 <= first.unconverged <= 11
    assert first.seconds > 0


def test_a_frame_rate_of_its_own_limits_speeds():
    keypoints = human_postures("right", 8).astype(np.float32)
    here = HandRetargeting(RetargetingConfig(velocity_limit=0.5))
    steps = []
    for fps in (30.0, 300.0):
        solved = here(Recordings(hand="panda", lengths=(8,), fps=(fps,), keypoints_world=keypoints))
        steps.append(np.abs(np.diff(solved.qpos[:, 0])).max())
        assert steps[-1] <= 0.5 * describe_hand("panda").chain.velocity[0] / fps + 1e-7
    assert steps[1] < steps[0]


def test_frames_without_an_answer_are_not_written_down():
    keypoints = np.full((4, 21, 3), math.nan, dtype=np.float32)
    with pytest.raises(ValueError, match="4 frames have no answer"):
        HandRetargeting()(Recordings(hand="panda", lengths=(4,), fps=(30.0,), keypoints_world=keypoints))


def test_workers_do_without_torch():
    code = (
        "import sys, unihm.datasets.hand_retargeting, unihm.retargeting.solver;"
        "sys.exit(', '.join({'torch', 'transformers', 'mujoco', 'matplotlib'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
