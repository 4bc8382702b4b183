"""Where objects come to rest against statics, and motions that are moved there against rigid-body geometry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from simulation_builders import EDGE, box, placed

from scripted_motions import box_grab
from unihm.simulation import constants as c
from unihm.simulation.resting import moved_to, resting_pose


def tilted(degrees: float, height: float = EDGE) -> np.ndarray:
    T = placed(z=height)
    T[:3, :3] = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    return T


@pytest.mark.parametrize("degrees", [-40.0, 2.0, 17.0, 44.0, 80.0])
def test_a_cube_falls_onto_the_face_that_is_nearest(degrees: float):
    T = resting_pose(box(), tilted(degrees))
    table = box().lowest(tilted(degrees))
    up = T[2, :3]  # the vertical in the cube's frame: along the axis that was nearest to it
    expected = [0, 0, 1] if abs(degrees) < 45 else [-1, 0, 0]
    np.testing.assert_allclose(up, expected, atol=2e-3)
    assert T[2, 3] - table == pytest.approx(EDGE / 2, abs=2e-4)


def test_what_rests_stays():
    T = placed(z=EDGE / 2)
    found = resting_pose(box(), T)
    np.testing.assert_allclose(found, T, atol=2e-4)
    np.testing.assert_allclose(resting_pose(box(), found), found, atol=2e-5)


def test_the_table_can_be_lower_than_the_object():
    assert resting_pose(box(), placed(z=0.2), table_height=0.03)[2, 3] == pytest.approx(0.03 + EDGE / 2, abs=2e-4)


def test_waiting_ends(monkeypatch):
    monkeypatch.setattr(c, "REST_LONGEST", 0.1)
    falling = resting_pose(box(), placed(z=5.0), table_height=0.0)
    assert falling[2, 3] == pytest.approx(5.0 - c.GRAVITY * 0.1**2 / 2, abs=2e-3)


@given(st.integers(0, 1000))
def test_a_moved_motion_has_its_hand_where_it_was_beside_the_object(seed: int):
    rng, motion = np.random.default_rng(seed), box_grab()
    T = placed(*rng.normal(size=3))
    T[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    moved = moved_to(motion, T)
    assert motion.T_world_object is not None
    assert moved.T_world_object is not None
    np.testing.assert_allclose(moved.T_world_object[0], T, atol=1e-12)
    for name in ("before", "after"):
        one = {"before": motion, "after": moved}[name]
        assert one.T_world_object is not None
        beside = np.linalg.inv(one.T_world_object) @ one.T_world_palm
        if name == "before":
            expected = beside
        else:
            np.testing.assert_allclose(beside, expected, atol=1e-9)
    # the box is lifted without a turn, so the moved one goes just as far in the same direction
    np.testing.assert_allclose(
        moved.T_world_object[:, :3, 3] - T[:3, 3],
        motion.T_world_object[:, :3, 3] - motion.T_world_object[0, :3, 3],
        atol=1e-12,
    )


def test_a_motion_without_an_object_is_refused():
    with pytest.raises(ValueError, match="no object path"):
        moved_to(box_grab().replace(T_world_object=None), np.eye(4))
