"""Things on a table stay apart, on the table, and as close as they were meant to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from unihm.scenes.household import draw_object
from unihm.scenes.layout import TOUCHING, TableTop, footprint, lay_out, separation
from unihm.scenes.styles import STYLES

SQUARE = np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])


def nearest(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of two convex polygons by minimisation over weights of their corners."""

    def gap(weights: np.ndarray) -> float:
        one, other = weights[: len(a)], weights[len(a) :]
        return float(np.sum((one @ a - other @ b) ** 2))

    start = np.concatenate([np.full(len(a), 1 / len(a)), np.full(len(b), 1 / len(b))])
    sums = [
        {"type": "eq", "fun": lambda w: w[: len(a)].sum() - 1},
        {"type": "eq", "fun": lambda w: w[len(a) :].sum() - 1},
    ]
    found = minimize(gap, start, bounds=[(0, 1)] * len(start), constraints=sums, tol=1e-12)
    return float(np.sqrt(max(found.fun, 0)))


def test_separation_of_squares():
    assert separation(SQUARE, SQUARE + np.array([1.5, 0.2])) == pytest.approx(0.5)
    assert separation(SQUARE, SQUARE + np.array([0.7, 0.2])) == pytest.approx(-0.3)
    assert separation(SQUARE, SQUARE + np.array([1.3, 1.4])) == pytest.approx(0.4)  # between corners the wider strip


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(0, 4))
def test_separation_is_never_more_than_the_distance(seed: int, shift: float):
    rng = np.random.default_rng(seed)
    a, b = footprint(rng.normal(size=(8, 2))), footprint(rng.normal(size=(8, 2)) + np.array([shift, 0]))
    found, true = separation(a, b), nearest(a, b)
    assert found == pytest.approx(separation(b, a))
    assert found <= true + 1e-4
    if true > 1e-2:  # apart: the widest strip is at least the distance over the square root of two
        assert found >= true / np.sqrt(2) - 1e-4


def test_tables_hold_what_is_inside():
    turned = np.eye(4)
    turned[:2, :2] = [[0, -1], [1, 0]]
    table = TableTop(T_world_table=turned, half=(0.5, 0.3))
    small = 0.2 * (SQUARE - 0.5)
    assert table.holds(small + np.array([0, 0.35]))
    assert not table.holds(small + np.array([0.35, 0]))
    disc = TableTop(T_world_table=np.eye(4), half=(0.5, 0.5), round=True)
    assert disc.holds(small + np.array([0.35, 0]))
    assert not disc.holds(small + np.array([0.35, 0.35]))


@pytest.mark.parametrize("seed", range(6))
def test_things_are_apart_and_on_the_table(seed: int):
    rng = np.random.default_rng(seed)
    table = TableTop(T_world_table=np.eye(4), half=(0.5, 0.4))
    taken = footprint(0.2 * SQUARE - 0.3)
    placed = lay_out([draw_object(rng) for _ in range(6)], table, STYLES["standard"], rng, [taken])
    assert len(placed) >= 4
    outlines = [taken, *(footprint(one.vertices_world) for one in placed)]
    for one in placed:
        vertices = one.vertices_world
        assert vertices[:, 2].min() == pytest.approx(0, abs=1e-9)
        assert (np.abs(vertices[:, :2]) < [0.5, 0.4]).all()
    for i, a in enumerate(outlines):
        gaps = [separation(a, b) for k, b in enumerate(outlines) if k != i]
        assert min(gaps) > TOUCHING - 1e-6


def test_some_are_close_and_some_lie():
    rng = np.random.default_rng(0)
    table = TableTop(T_world_table=np.eye(4), half=(0.6, 0.6))
    close = lying = total = 0
    for _ in range(8):
        placed = lay_out([draw_object(rng, "food can") for _ in range(5)], table, STYLES["standard"], rng)
        outlines = [footprint(one.vertices_world) for one in placed]
        close += sum(
            min(separation(a, b) for k, b in enumerate(outlines) if k != i) < 0.02 for i, a in enumerate(outlines)
        )
        lying += sum(one.lying for one in placed)
        total += len(placed)
        for one in placed:  # a can that lies is as high as it is wide
            height = np.ptp(one.vertices_world[:, 2])
            assert height == pytest.approx(one.object.dimensions_m[0 if one.lying else 2], rel=0.02)
    assert 0.35 < close / total < 0.95
    assert 0.1 < lying / total < 0.5


def lying_share(family: str, style: str = "standard") -> float:
    """Of 60 things alone on a table."""
    rng = np.random.default_rng(1)
    table = TableTop(T_world_table=np.eye(4), half=(0.6, 0.6))
    placed = [lay_out([draw_object(rng, family)], table, STYLES[style], rng)[0] for _ in range(60)]
    return float(np.mean([one.lying for one in placed]))


def test_flat_boxes_and_blocks_lie_more_often_and_what_must_stand_never_does():
    assert lying_share("wood brick") > 0.4
    assert lying_share("cake mix box") > 0.4
    assert 0.1 < lying_share("water bottle") < 0.5
    assert 0 < lying_share("mug") < 0.5
    assert lying_share("light bulb") == 0
    assert lying_share("cake mix box", "plain") > lying_share("cake mix box")
