"""Frame by frame: restarts, missing frames, what it takes and refuses, and no allocation."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from numba.core.runtime import _nrt_python, rtsys
from retargeting_cases import human_motion, human_tips, model_of, representative_hands, tips_world

from unihm.retargeting import PRESETS, Retargeter, RetargetingConfig, retarget
from unihm.retargeting.newton import NOT_FINITE

HANDS = representative_hands()


@pytest.fixture(scope="module")
def stream(small_atlas) -> Retargeter:
    return Retargeter(HANDS["largest"])


def follow(retargeter: Retargeter, keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, nq) and palms (T, 4, 4) from a fresh start."""
    retargeter.reset()
    answers = [(retargeter.step(frame).copy(), retargeter.T_world_palm.copy()) for frame in keypoints]
    return tuple(np.array(values) for values in zip(*answers, strict=True))


def test_answers_are_those_of_a_hand(stream):
    model = model_of(stream.hand.name)
    keypoints = human_motion(30, 3)
    q, T = follow(stream, keypoints)
    assert stream.joint_names == model.joint_names
    assert ((q >= model.lower.numpy()) & (q <= model.upper.numpy())).all()
    np.testing.assert_allclose(T[:, :3, :3] @ T[:, :3, :3].swapaxes(1, 2), np.tile(np.eye(3), (30, 1, 1)), atol=1e-9)
    assert np.linalg.norm(tips_world(model, q, T) - human_tips(model, keypoints), axis=-1).mean() < 4e-3
    assert (stream.missing, stream.unconverged) == (0, 0)


def test_without_smoothness_a_step_is_a_frame_of_the_recording(small_atlas):
    """Both find the same minima; with smoothness a stream can only look back."""
    name, config = HANDS["largest"], PRESETS["position"]
    keypoints = human_motion(20, 4)
    q, T = follow(Retargeter(name, config), keypoints)
    motion = retarget([keypoints], model_of(name), config)[0]
    np.testing.assert_allclose(q, motion.qpos, atol=5e-3)
    np.testing.assert_allclose(T, motion.T_world_palm, atol=2e-3)


def test_the_same_stream_gives_the_same_bytes(stream, small_atlas):
    keypoints = human_motion(20, 1)
    first, first_T = follow(stream, keypoints)
    follow(stream, human_motion(7, 2))  # something else in between
    again, again_T = follow(stream, keypoints)
    other, other_T = follow(Retargeter(HANDS["largest"]), keypoints)
    for q, T in ((again, again_T), (other, other_T)):
        assert q.tobytes() == first.tobytes()
        assert T.tobytes() == first_T.tobytes()


def test_after_a_reset_the_hand_is_at_rest(stream):
    stream.step(human_motion(2)[-1])
    stream.step(np.full((21, 3), np.nan))
    stream.reset()
    assert (stream.missing, stream.unconverged) == (0, 0)
    rest = stream.step(np.full((21, 3), np.nan))
    np.testing.assert_array_equal(rest, stream.hand.rest_qpos)
    np.testing.assert_array_equal(stream.T_world_palm, np.eye(4))
    assert stream.missing == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_frames_that_are_not_finite_are_held_and_counted(stream, bad):
    keypoints = human_motion(12, 1)
    complete = follow(stream, np.delete(keypoints, [5, 6], axis=0))
    keypoints[5:7, 3, 1] = bad
    q, T = follow(stream, keypoints)
    assert stream.missing == 2
    for values, expected in ((q, complete[0]), (T, complete[1])):
        assert (values[5:7] == values[4]).all()
        np.testing.assert_array_equal(np.delete(values, [5, 6], axis=0), expected)  # as if they had not been


def test_a_palm_without_direction_is_held_and_counted(stream):
    """All points in one: finite numbers that are no hand."""
    stream.reset()
    q = stream.step(human_motion(2)[-1]).copy()
    np.testing.assert_array_equal(stream.step(np.ones((21, 3))), q)
    assert stream.missing == 1
    assert np.isfinite(stream.step(human_motion(2)[-1])).all()


def test_any_real_type_and_layout_is_taken(stream):
    frame = human_motion(3)[-1].astype(np.float32)
    stream.reset()
    expected = stream.step(frame.astype(float)).copy()
    for same in (
        frame, np.asfortranarray(frame), np.repeat(frame, 2, axis=0)[::2], np.ascontiguousarray(frame.T).T,
    ):  # fmt: skip
        stream.reset()
        start = time.perf_counter()
        np.testing.assert_array_equal(stream.step(same), expected)
        assert time.perf_counter() - start < 0.2  # nothing is compiled for it


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((20, 3)), np.zeros((21, 2)), np.zeros((1, 21, 3)), np.zeros(63), np.zeros(3), np.zeros(()),
        np.zeros((21, 3), dtype=complex), np.zeros((21, 3), dtype=bool), np.full((21, 3), "0"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_frame_is_refused_in_one_line(stream, wrong):
    stream.reset()
    with pytest.raises(ValueError, match=r"expected \(21, 3\)") as error:
        stream.step(wrong)
    assert "\n" not in str(error.value)
    assert (stream.missing, stream.unconverged) == (0, 0)


@pytest.mark.parametrize("config", [RetargetingConfig(), PRESETS["position"], RetargetingConfig(velocity_limit=0.5)])
def test_nothing_is_allocated(small_atlas, config):
    """Neither by Python nor by compiled code."""
    retargeter = Retargeter(HANDS["mimic"], config)
    keypoints = list(human_motion(200, 2))
    for frame in keypoints[:20]:
        retargeter.step(frame)
    gc.collect()
    _nrt_python.memsys_enable_stats()
    before = rtsys.get_allocation_stats()
    for frame in keypoints:
        retargeter.step(frame)
    after = rtsys.get_allocation_stats()
    assert after.alloc - before.alloc == after.free - before.free
    assert after.mi_alloc == before.mi_alloc
    peaks = []
    tracemalloc.start()
    try:
        for _ in range(3):  # what frames allocate comes again; what happens to run beside them does not
            retargeter.step(keypoints[0])
            tracemalloc.reset_peak()
            base = tracemalloc.get_traced_memory()[0]
            for frame in keypoints:
                retargeter.step(frame)
            peaks.append(tracemalloc.get_traced_memory()[1] - base)
    finally:
        tracemalloc.stop()
    assert min(peaks) < 4096


def test_the_answer_is_overwritten_and_not_made_anew(stream):
    keypoints = human_motion(5)
    stream.reset()
    q, T = stream.step(keypoints[0]), stream.T_world_palm
    assert stream.step(keypoints[4]) is q
    assert stream.T_world_palm is T


def test_two_streams_do_not_disturb_each_other(small_atlas):
    keypoints = human_motion(12, 1), human_motion(12, 2)
    pair = [Retargeter(HANDS["mimic"]) for _ in range(2)]
    expected = [follow(one, k)[0] for one, k in zip(pair, keypoints, strict=True)]
    for one in pair:
        one.reset()
    for f in range(12):
        for one, k, answers in zip(pair, keypoints, expected, strict=True):
            np.testing.assert_array_equal(one.step(k[f]), answers[f])


def test_searches_that_do_not_converge_are_counted(small_atlas):
    retargeter = Retargeter(HANDS["largest"], replace(RetargetingConfig(), max_iterations=1))
    follow(retargeter, human_motion(5))
    assert retargeter.unconverged == 5


def test_names_of_hands():
    with pytest.raises(ValueError, match="Did you mean"):
        Retargeter("shadw")
    assert NOT_FINITE == 3


def test_it_starts_without_torch():
    code = (
        "import sys, unihm.retargeting as r; from unihm.retargeting.stream import Retargeter; "
        "assert 'torch' not in sys.modules and 'mujoco' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
