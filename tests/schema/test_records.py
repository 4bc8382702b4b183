"""Motions, tokens and plans survive the disk, and refuse what does not fit together."""

from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from scipy.spatial.transform import Rotation

from unihm.schema.motion import HandMotion, MotionTokens
from unihm.schema.plan import Plan


def poses(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    T = np.tile(np.eye(4), (count, 1, 1))
    T[:, :3, :3] = Rotation.random(count, random_state=seed).as_matrix()
    T[:, :3, 3] = rng.normal(size=(count, 3))
    return T


def motion(T: int = 5) -> HandMotion:
    rng = np.random.default_rng(0)
    return HandMotion(
        hand="some_hand",
        fps=30.0,
        joint_names=("a", "b", "c"),
        qpos=rng.normal(size=(T, 3)),
        T_world_palm=poses(T, 1),
        T_world_object=poses(T, 2),
        object_points=rng.normal(size=(20, 3)),
        object_normals=rng.normal(size=(20, 3)),
        contact_phase=np.linspace(0, 1, T),
        instruction="lift it",
        source="a test",
    )


def test_a_motion_comes_back(tmp_path):
    before = motion()
    before.save(tmp_path / "m.npz")
    after = HandMotion.load(tmp_path / "m.npz")
    assert (after.hand, after.fps, after.joint_names) == (before.hand, before.fps, before.joint_names)
    assert (after.instruction, after.source) == (before.instruction, before.source)
    assert after.qpos_target is None
    for name in ("qpos", "T_world_palm", "T_world_object", "object_points", "object_normals", "contact_phase"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), atol=1e-12)


def test_one_frame_is_a_motion(tmp_path):
    motion(1).save(tmp_path / "m.npz")
    assert len(HandMotion.load(tmp_path / "m.npz")) == 1


def test_a_motion_that_does_not_fit_together_is_refused(tmp_path):
    with pytest.raises((ValueError, TypeCheckError), match="joint"):
        motion().replace(joint_names=("a", "b"))
    # With the shape checks of the tests on, jaxtyping speaks first; without them it is our own ValueError.
    with pytest.raises((ValueError, TypeCheckError), match="T_world_object"):
        motion().replace(T_world_object=poses(4, 0))
    bad = motion()
    bad.qpos[2, 1] = np.nan
    bad.save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match="qpos holds NaN"):
        HandMotion.load(tmp_path / "m.npz")


def test_tokens_come_back(tmp_path):
    before = MotionTokens(
        codes=np.arange(8).reshape(2, 4),
        tokenizer="abc",
        frames_per_chunk=4,
        num_frames=7,
        fps=30.0,
        hand="some_hand",
        T_world_canonical=poses(7, 3),
    )
    before.save(tmp_path / "t.npz")
    after = MotionTokens.load(tmp_path / "t.npz")
    np.testing.assert_array_equal(after.codes, before.codes)
    np.testing.assert_allclose(after.T_world_canonical, before.T_world_canonical, atol=1e-12)
    assert (after.tokenizer, after.num_frames, after.hand) == ("abc", 7, "some_hand")
    with pytest.raises(ValueError, match="expected a 'hand_motion'"):
        HandMotion.load(tmp_path / "t.npz")


def test_a_plan_comes_back(tmp_path):
    before = Plan(
        instruction="push it",
        task="push",
        fps=30.0,
        T_world_object=poses(6, 4),
        object_points=np.ones((9, 3)),
        object_normals=np.ones((9, 3)),
        rest_frames=2,
        T_world_camera=poses(1, 5)[0],
    )
    before.save(tmp_path / "p.npz")
    after = Plan.load(tmp_path / "p.npz")
    assert (after.task, after.rest_frames, len(after)) == ("push", 2, 6)
    np.testing.assert_allclose(after.T_world_camera, before.T_world_camera, atol=1e-12)
