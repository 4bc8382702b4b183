"""Linear codes: cells and bits against theory and brute force, and rows on motions that two numbers make."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.evaluation.linear_codes import baseline_rows, fit_linear_code
from unihm.hands.hand import HandModel, load_hand
from unihm.schema.motion import HandMotion


def distortion(code, x) -> float:
    return float(((code.decode(code.cut(code.components(x))) - x) ** 2).sum(axis=1).mean())


def test_a_gaussian_costs_what_lloyd_and_max_found():
    """One bit keeps 0.3634 of the variance, two 0.1175, three 0.03454 (Max, IRE Trans. IT-6, 1960)."""
    x = np.random.default_rng(0).normal(size=(200_000, 1))
    for bits, kept in ((1, 0.3634), (2, 0.1175), (3, 0.03454)):
        assert distortion(fit_linear_code(x, bits), x) / x.var() == pytest.approx(kept, rel=0.02)


def test_fine_cells_are_even_and_reach_beyond():
    x = np.random.default_rng(0).uniform(-1, 1, size=(5000, 1))
    code = fit_linear_code(x, 8)
    assert distortion(code, x) == pytest.approx((2.2 / 255) ** 2 / 12, rel=0.05)
    assert distortion(code, np.array([[1.05]])) < 1e-4


def test_bits_go_where_they_help_most():
    """Variances of 64, 4 and 1/64: of four bits three belong to the first, one to the second, by 1 / 4^bits."""
    x = np.random.default_rng(1).normal(size=(20_000, 3)) * [8.0, 2.0, 0.125]
    code = fit_linear_code(x, 4)
    assert [len(values) for values in code.cells] == [8, 2]
    assert code.bits == 4
    np.testing.assert_allclose(np.abs(code.basis.T), [[1, 0, 0], [0, 1, 0]], atol=0.02)


def test_no_bits_are_the_mean():
    x = np.random.default_rng(2).normal(size=(100, 4))
    code = fit_linear_code(x, 0)
    np.testing.assert_allclose(code.decode(code.cut(code.components(x))), np.tile(x.mean(axis=0), (100, 1)))
    assert code.bits == 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), bits=st.integers(1, 24), size=st.integers(1, 6))
def test_more_bits_never_cost_and_cells_are_the_nearest(seed, bits, size):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, size)) @ rng.normal(size=(size, size))
    less, more = fit_linear_code(x, bits), fit_linear_code(x, bits + 6 * size)
    assert distortion(more, x) <= distortion(less, x) * (1 + 1e-9)
    y = less.components(x)
    for k, values in enumerate(less.cells):
        assert (np.diff(values) >= 0).all()
        nearest = values[np.abs(y[:, k, None] - values).argmin(axis=1)]
        np.testing.assert_allclose(np.abs(less.cut(y)[:, k] - y[:, k]), np.abs(nearest - y[:, k]), atol=1e-12)


@pytest.mark.parametrize(("count", "bits"), [(0, 3), (10, -1)])
def test_nothing_to_learn_is_refused(count, bits):
    with pytest.raises(ValueError, match="at least 0 bits"):
        fit_linear_code(np.zeros((count, 2)), bits)


def _motions(hand: HandModel, count: int, seed: int) -> dict[str, HandMotion]:
    """Motions that two numbers decide: how far the hand closes, and how high it comes."""
    rng = np.random.default_rng(seed)
    lower, upper = hand.lower.numpy(), hand.upper.numpy()
    found = {}
    for k in range(count):
        t = np.linspace(0, 1, 20)[:, None]
        close, high = rng.uniform(0.1, 0.6) * t, rng.uniform(0.0, 0.2) * t
        T = np.tile(np.eye(4), (20, 1, 1))
        T[:, 0, 3], T[:, 2, 3] = -0.1, high[:, 0]
        found[f"m{k}"] = HandMotion(
            hand=hand.name, fps=30.0, joint_names=hand.joint_names, T_world_palm=T,
            qpos=lower + (0.2 + close) * (upper - lower), T_world_object=np.tile(np.eye(4), (20, 1, 1)),
            object_points=rng.normal(size=(50, 3)) * 0.02, object_normals=np.tile([0.0, 0, 1], (50, 1)),
        )  # fmt: skip
    return found


def test_rows_of_two_hands():
    hands = {name: load_hand(name) for name in ("allegro", "human")}
    training = {name: _motions(hand, 40, 0) for name, hand in hands.items()}
    tested = {name: _motions(hand, 6, 1) for name, hand in hands.items()}
    rows = list(baseline_rows(hands, training, tested, "allegro", rates=(2.0, 8.0), codes=32))
    of = {
        (row["quantiser"] + ("" if row["source"] == "own" else f", from {row['source']}"), row["hand"],
         round(row["bits_per_frame"])): row
        for row in rows
    }  # fmt: skip
    assert len(of) == len(rows) == 2 * (2 + 2 + 1) + 2
    for name in hands:
        for kind in ("pca", "pca shared"):
            assert of[kind, name, 8]["keypoint_mm"] < 0.3 * of[kind, name, 2]["keypoint_mm"]
            assert of[kind, name, 8]["joint_deg"] < 0.5
        assert of["k-means 32", name, 5]["keypoint_mm"] > of["pca", name, 8]["keypoint_mm"]
    # the human's word is understood by the other hand, about as well as its own
    assert of["pca shared, from human", "allegro", 8]["joint_deg"] < 1.0
    assert ("pca shared, from human", "human", 8) not in of
