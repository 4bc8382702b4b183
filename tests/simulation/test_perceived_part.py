"""What is known of a drawer, a door or a lid from its seen panel and bar, beside the fixture that it was seen of."""

from __future__ import annotations

import numpy as np
import pytest

from scripted_motions import handle_motion
from unihm.geometry.pose import yaw_pose
from unihm.scenes.furniture import handle_surface, joint_of
from unihm.simulation.choice import choose
from unihm.simulation.fixture import Fixture
from unihm.simulation.fixtures import Door, Drawer, Lid
from unihm.simulation.perceived_part import PerceivedPart, perceived_part
from unihm.simulation.tasks.base import run

PLACE = yaw_pose(0.7, (0.2, -0.1))
CASES = {
    "pull": (Drawer(T_world_fixture=PLACE, position0=0.02), 0.14),
    "push": (Drawer(T_world_fixture=PLACE, position0=0.12), 0.0),
    "open": (Door(T_world_fixture=PLACE, position0=0.1), 1.2),
    "close": (Lid(T_world_fixture=PLACE, position0=np.radians(110)), 0.0),
}
"""Task -> the fixture, and where its joint shall end."""


def seen(fixture: Fixture, strays: int = 0) -> PerceivedPart:
    """From points on the front of its panel and on its handle, which lies where the joint is now; and some beyond the
    hinge, and on walls beside it.
    """
    rng = np.random.default_rng(0)
    joint, T = joint_of(fixture), fixture.T_world_handle
    bar = handle_surface(fixture, 400, rng)[0] @ T[:3, :3].T + T[:3, 3]
    design = fixture.design
    shut = np.linalg.inv(fixture.T_world_fixture) @ fixture.handle_at(np.array(0.0))
    board = design.panels[0]
    corners = np.array([board.low, board.high])
    grid = rng.uniform(corners[0], corners[1], (600, 3))
    out = np.abs(np.array(design.outward)).argmax()
    grid[:, out] = corners[1, out]
    beyond, walls = grid[:strays].copy(), grid[:strays].copy()
    across = int(np.argmax(np.abs(np.cross(np.array(design.axis), np.array(design.outward)))))
    hinge = design.anchor[across]
    beyond[:, across] = hinge + np.sign(hinge - shut[across, 3]) * rng.uniform(0.0, 0.2, strays)
    walls[:, out] -= rng.uniform(0.03, 0.1, strays)
    walls[:, across] += 0.1
    grid = np.concatenate([grid, beyond, walls])
    front = (grid - shut[:3, 3]) @ shut[:3, :3] @ T[:3, :3].T + T[:3, 3]
    return perceived_part(joint, T, front, bar)


@pytest.mark.parametrize("task", CASES)
def test_it_moves_as_what_it_was_seen_of(task):
    fixture, _ = CASES[task]
    part = seen(fixture)
    assert part.kind == fixture.kind
    assert part.position0 == pytest.approx(fixture.position0)
    assert part.upper == pytest.approx(fixture.upper)
    positions = np.linspace(0, fixture.upper, 5)
    assert part.handle_at(positions) == pytest.approx(fixture.handle_at(positions), abs=2e-3)
    assert part.handle_distance == pytest.approx(fixture.handle_distance, abs=1e-3)
    assert part.handle_radius == pytest.approx(fixture.handle_radius, abs=1e-3)
    assert part.handle_length == pytest.approx(fixture.handle_length, abs=0.02)
    assert part.design.mass == pytest.approx(fixture.design.mass)


@pytest.mark.parametrize("task", ["open", "close"])
def test_a_panel_ends_at_its_hinge_and_in_its_plane(task):
    fixture, _ = CASES[task]
    clean, strays = seen(fixture).panel, seen(fixture, strays=60).panel
    np.testing.assert_allclose(strays.low, clean.low, atol=0.012)
    np.testing.assert_allclose(strays.high, clean.high, atol=0.012)


@pytest.mark.parametrize("task", CASES)
def test_a_motion_goes_there_as_on_the_true_one(task):
    fixture, end = CASES[task]
    motion, part = handle_motion(fixture, end), seen(fixture)
    true, _ = run(task, motion, fixture=fixture)
    guessed, _ = run(task, motion, fixture=part, table_height=0.0)
    assert true.success
    assert guessed.success
    unit = next(name for name in true.measures if name.startswith("end_"))
    assert guessed.measures[unit] == pytest.approx(true.measures[unit], rel=0.05, abs=2)


def test_candidates_are_tried_on_it():
    fixture, end = CASES["pull"]
    motions = [handle_motion(fixture, end, aside=0.3), handle_motion(fixture, end)]
    best, facts = choose(motions, seen(fixture), "pull")
    assert best == 1
    assert facts["success"]
    assert [one["success"] for one in facts["outcomes"]] == [False, True]
    assert "drawer" in facts["object"]


def test_what_is_out_of_view_is_refused():
    fixture, _ = CASES["pull"]
    with pytest.raises(ValueError, match="out of view"):
        perceived_part(joint_of(fixture), fixture.T_world_handle, np.zeros((0, 3)), np.zeros((0, 3)))
