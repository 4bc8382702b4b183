"""The compiled energy of a frame against SciPy's nearest neighbours, the NumPy residuals and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree

from unihm.hands.description import describe_hand
from unihm.refinement.body import PALM, make_body, make_pose, place
from unihm.refinement.config import FAR, PLANES
from unihm.refinement.frame import Scene, Terms, energy, make_system, minimize
from unihm.refinement.surface_grid import cloud_distance, make_grid, signed_distance

REACH = 0.05
OFF = {
    "contact": 0.0, "inside": 200.0, "pad": 0.0, "clearance": 0.0, "table": 0.0, "above": 1e-3, "apart": 0.0,
    "slip": 0.0, "reach": 0.03,
}  # fmt: skip


def ball(count: int = 2000, radius: float = 0.04, seed: int = 0):
    """Points and normals of a sphere."""
    normals = np.random.default_rng(seed).normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return radius * normals, normals


def look(grid, points, limit=REACH):
    near, out = np.zeros((PLANES, 2)), np.zeros(6)
    return np.array([(cloud_distance(grid, *x, limit, near, out), *out) for x in points])


@pytest.mark.parametrize("spread", [0.003, 0.02, 0.06])
def test_distance_is_that_of_the_nearest_points(spread):
    points, normals = ball()
    rng = np.random.default_rng(1)
    x = points[rng.integers(len(points), size=500)] + spread * rng.normal(size=(500, 3))
    found = look(make_grid(points, normals, REACH), x)
    distance, index = KDTree(points).query(x, k=PLANES)
    planes = np.einsum("ijk,ijk->ij", x[:, None] - points[index], normals[index])
    far = (distance[:, 0] > FAR) & (planes.max(1) > 0)
    expected = np.where(far, distance[:, 0], planes.max(1))
    seen = distance[:, 0] < REACH
    np.testing.assert_allclose(found[seen, 0], expected[seen], atol=1e-12)
    np.testing.assert_array_equal(found[~seen, 0], REACH)
    np.testing.assert_allclose(
        found[seen & far, 1:4], ((x - points[index[:, 0]]) / distance[:, :1])[seen & far], atol=1e-12
    )


def test_what_lies_deep_inside_is_inside_whatever_the_limit():
    points, normals = ball(radius=0.04)
    found = look(make_grid(points, normals, REACH), np.zeros((1, 3)), limit=0.002)
    assert found[0, 0] == pytest.approx(-0.04, abs=1e-3)


@pytest.mark.parametrize("spread", [0.003, 0.02, 0.06])
@pytest.mark.parametrize("worth", [0.004, 0.03])
def test_what_is_worth_knowing_is_known(spread, worth):
    points, normals = ball()
    rng = np.random.default_rng(2)
    x = points[rng.integers(len(points), size=500)] + spread * rng.normal(size=(500, 3))
    grid, near, out = make_grid(points, normals, REACH), np.zeros((PLANES, 2)), np.zeros(6)
    found = np.array([(signed_distance(grid, *y, REACH, worth, near, out), *out) for y in x])
    exact = look(grid, x)
    skipped = (found != exact).any(axis=1)
    assert (exact[skipped, 0] > worth).all()
    np.testing.assert_array_equal(found[skipped, :4], np.tile([REACH, 0, 0, 0], (skipped.sum(), 1)))
    known = np.isfinite(grid.field).sum()
    assert 0 < known <= 500  # one node a question at most, and nothing that nobody asked for
    far = (exact[:, 0] > max(worth, FAR) + 2 * grid.step) & (exact[:, 0] < REACH)
    assert skipped[far].all()


def test_outside_the_lattice_nothing_is_computed():
    points, normals = ball()
    grid, near, out = make_grid(points, normals, REACH), np.zeros((PLANES, 2)), np.ones(6)
    outside = np.array([[1.0, 0, 0], [0, 0.0, -0.2], [0.04 + REACH, 0.04 + REACH, 0]])
    for limit in (0.01, REACH, 1.0):
        assert [signed_distance(grid, *x, limit, limit, near, out) for x in outside] == [limit] * 3
        assert not out[:3].any()
    assert np.isnan(grid.field).all()


def test_clouds_that_are_none_are_refused():
    points, normals = ball(20)
    with pytest.raises(ValueError, match="n >= 1"):
        make_grid(points[:0], normals[:0], REACH)
    points[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        make_grid(points, normals, REACH)


@pytest.fixture(scope="module", params=["shadow", "inspire", "panda"])
def made(request):
    """A hand about a ball on a table, at a random correction."""
    hand = describe_hand(request.param)
    body = make_body(hand, 1e-3)
    nq = len(hand.joint_names)
    n = PALM + nq
    rng = np.random.default_rng(2)
    q = 0.5 * (hand.rest_qpos + 0.5 * (hand.chain.lower + hand.chain.upper))  # away from limits, where energies bend
    scene = Scene(
        R=np.array([[[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]]), t=np.array([[0.06, 0, -0.02]]), q=q[None],
        up=np.array([[0.0, 0, 1]]), height=np.array([0.05]), gate=np.full((1, body.tips), 0.7), lower=hand.chain.lower,
        upper=hand.chain.upper, low=np.full((1, n), -0.5), high=np.full((1, n), 0.5),
        anchor=0.02 * rng.normal(size=(1, body.tips, 3)), anchored=np.ones((1, body.tips)),
        extra=np.zeros(1),
    )  # fmt: skip
    c = np.concatenate(
        [0.05 * rng.normal(size=PALM), 0.02 * rng.normal(size=nq) * (hand.chain.upper - hand.chain.lower)]
    )
    return hand, body, make_pose(body), make_grid(*ball(), REACH), scene, c, make_system(n)


@pytest.mark.parametrize("term", ["contact", "pad", "clearance", "table", "apart", "slip"])
def test_gradient_is_the_derivative(made, term):
    _, body, pose, grid, scene, c, system = made
    terms = Terms(**{**OFF, term: 1e4, **({"contact": 1.0} if term == "pad" else {})})
    mean, precision = np.zeros_like(c), np.full(len(c), 10.0)

    def value(x, derive=False):
        return energy(body, pose, grid, terms, scene, 0, x, mean, precision, derive, system.H, system.g)

    total = value(c, derive=True)
    assert total > 5.0 * np.dot(c, c) or term == "apart"  # the term takes part; fingers may be apart
    step, found = 1e-7, np.zeros_like(c)
    for i in range(len(c)):
        plus, minus = c.copy(), c.copy()
        plus[i], minus[i] = c[i] + step, c[i] - step
        found[i] = (value(plus) - value(minus)) / (2 * step)
    np.testing.assert_allclose(system.g, found, atol=1e-4 * max(np.abs(found).max(), 1.0))


def test_points_are_where_the_chain_has_them(made):
    hand, body, pose, _, scene, c, _ = made
    place(body, pose, scene.R[0], scene.t[0], scene.q[0], c, scene.lower, scene.upper)
    np.testing.assert_allclose(pose.R @ pose.R.T, np.eye(3), atol=1e-12)
    q = np.clip(scene.q[0] + c[PALM:], hand.chain.lower, hand.chain.upper)
    T = np.concatenate([np.eye(4)[None], hand.chain.forward_kinematics(q)])[body.point_body]
    in_palm = np.einsum("kij,kj->ki", T[:, :3, :3], body.point_xyz) + T[:, :3, 3]
    np.testing.assert_allclose(pose.p, in_palm @ pose.R.T + pose.t, atol=1e-12)


def test_fingertips_come_to_the_surface(made):
    """Without other terms, every fingertip within reach ends on the ball, and no bound is passed."""
    _, body, pose, grid, scene, c, system = made
    terms = Terms(**{**OFF, "contact": 1e6})
    zero, precision = np.zeros_like(c), np.full(len(c), 1.0)
    x = zero.copy()
    cost, _, _ = minimize(body, pose, system, grid, terms, scene, 0, x, zero, precision, 100, 1e-4)
    assert (np.abs(x) <= 0.5).all()
    energy(body, pose, grid, terms, scene, 0, x, zero, precision, False, system.H, system.g)
    gap = pose.touch[:, 0]
    assert np.abs(gap[gap < terms.reach]).max(initial=0.0) < 5e-4
    away = np.linalg.norm(pose.touch[:, 4:7], axis=1) - 0.04 - gap  # the part of the pad that touches lies on the ball
    assert np.abs(away[gap < terms.reach]).max(initial=0.0) < 1e-3
    assert cost < energy(body, pose, grid, terms, scene, 0, zero, zero, precision, False, system.H, system.g)
