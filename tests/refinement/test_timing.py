"""How time is stretched, against constant speed and constant acceleration."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.refinement.timing import stretched_times

FPS = 30.0
FREE = (np.inf, np.inf, np.inf)


def path(x: np.ndarray) -> np.ndarray:
    T = np.tile(np.eye(4), (len(x), 1, 1))
    T[:, 0, 3] = x
    return T


def times(x_object: np.ndarray, x_palm: np.ndarray, qpos=None, carry=FREE, palm=FREE, joint_speed=np.inf) -> np.ndarray:
    q = np.zeros((len(x_palm), 1)) if qpos is None else qpos
    return stretched_times(
        path(x_object), path(x_palm), q, FPS, carry=carry, palm=palm, joint_speed=np.array([joint_speed])
    )


@pytest.mark.parametrize("who", ["carry", "palm"])
def test_twice_too_fast_takes_twice_the_time(who: str):
    x, still = np.arange(90) / FPS * 0.8, np.zeros(90)
    given = (x, still) if who == "carry" else (still, x)
    found = times(*given, **{who: (0.4, np.inf, np.inf)})
    np.testing.assert_allclose(np.diff(found)[15:-15], 2 / FPS, rtol=1e-6)
    np.testing.assert_allclose(np.diff(times(*given)), 1 / FPS)


def test_acceleration_falls_with_the_square_of_time():
    t = np.arange(60) / FPS
    x = 0.5 * 8.0 * t**2
    found = times(np.zeros(60), x, palm=(np.inf, 2.0, np.inf))
    np.testing.assert_allclose(np.diff(found)[15:-15], 2 / FPS, rtol=5e-3)
    a = (np.diff(np.diff(x) / np.diff(found)) * FPS / 2)[20:-20]
    np.testing.assert_allclose(a, 2.0, rtol=2e-2)


def test_jerk_falls_with_the_cube_of_time():
    t = np.arange(60) / FPS
    x = 80.0 * t**3 / 6
    found = times(x, np.zeros(60), carry=(np.inf, np.inf, 10.0))
    np.testing.assert_allclose(np.diff(found)[20:-25], 2 / FPS, rtol=5e-3)


def test_joints_keep_their_speed():
    q = np.cumsum(np.ones((40, 1)), axis=0) * 0.1  # 3 rad/s
    found = times(np.zeros(40), np.zeros(40), q, joint_speed=2.0)
    speed = np.diff(q[:, 0]) / np.diff(found)
    assert speed.max() <= 2.0
    assert speed == pytest.approx(0.9 * 2.0)


def test_a_single_frame_takes_no_time():
    assert times(np.zeros(1), np.zeros(1)).tolist() == [0.0]
