"""Parts of the hand that are kept apart: boxes against MuJoCo's distances, the energy against finite differences."""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unihm.hands.description import describe_hand
from unihm.refinement.apart import apart
from unihm.refinement.body import KEPT, PALM, make_body, make_pose, place
from unihm.refinement.frame import Terms
from unihm.refinement.separation import separation
from unihm.simulation.hand_body import add_hand
from unihm.simulation.world import empty_world

ONLY_APART = Terms(
    contact=0.0, inside=200.0, pad=0.0, clearance=0.0, table=0.0, above=0.0, apart=1e4, slip=0.0, reach=0.03
)


def boxes(seed: int, spread: float):
    """Two boxes as rows of `box` and half edges."""
    rng = np.random.default_rng(seed)
    half = rng.uniform(0.005, 0.03, size=(2, 3))
    R = Rotation.random(2, random_state=rng).as_matrix()
    centre = np.stack([np.zeros(3), spread * rng.normal(size=3)])
    return np.concatenate([R.reshape(2, 9), centre], axis=1), half


def gap_of(box, half):
    """Separation, its axis and the places that decide."""
    found, p = np.zeros(6), np.zeros((2, 3))
    return separation(box, half, 0, 1, np.inf, found, p, 0, 1), found[:3].copy(), p.copy()


def distance_in_mujoco(box, half) -> float:
    spec = mujoco.MjSpec()
    for row, size in zip(box, half, strict=True):
        quat = Rotation.from_matrix(row[:9].reshape(3, 3)).as_quat()[[3, 0, 1, 2]]
        body = spec.worldbody.add_body(pos=row[9:].tolist(), quat=quat.tolist())
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=size.tolist())
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return mujoco.mj_geomDistance(model, data, 0, 1, 1.0, None)


@pytest.mark.parametrize("seed", range(40))
def test_boxes_overlap_by_what_mujoco_says(seed):
    box, half = boxes(seed, 0.02)
    gap, axis, _ = gap_of(box, half)
    theirs = distance_in_mujoco(box, half)
    assert np.linalg.norm(axis) == pytest.approx(1.0)
    if gap < -2e-4:
        assert theirs == pytest.approx(gap, abs=2e-4)  # an axis across edges must be better by a tenth of a millimetre
    else:
        assert gap <= theirs + 1e-6
        assert (theirs > 0) == (gap > 0) or abs(theirs) < 2e-4


@pytest.mark.parametrize("seed", range(20))
def test_the_shift_along_the_axis_frees(seed):
    box, half = boxes(seed, 0.01)
    gap, axis, _ = gap_of(box, half)
    assert gap < 0
    box[0, 9:] += (1e-4 - gap + 1e-4) * axis
    assert gap_of(box, half)[0] > 0
    assert distance_in_mujoco(box, half) > 0


@pytest.mark.parametrize("seed", range(20))
def test_the_places_that_decide_move_the_gap(seed):
    """Any small motion of the first box changes the gap by how its place moves along the axis."""
    box, half = boxes(seed, 0.015)
    gap, axis, p = gap_of(box, half)
    rng = np.random.default_rng(seed)
    v, w = rng.normal(size=3), rng.normal(size=3)
    step = 1e-6
    R = Rotation.from_rotvec(step * w).as_matrix()
    moved = box.copy()
    moved[0, :9] = (R @ box[0, :9].reshape(3, 3)).ravel()
    moved[0, 9:] = box[0, 9:] + step * v
    expected = axis @ (v + np.cross(w, p[0] - box[0, 9:]))
    found = (gap_of(moved, half)[0] - gap) / step
    assert found == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("name", ["leap", "allegro", "shadow", "inspire"])
def test_gradient_of_clenched_fingers(name):
    hand = describe_hand(name)
    body = make_body(hand, 1e-3)
    pose, n = make_pose(body), PALM + len(hand.joint_names)
    rng = np.random.default_rng(3)
    lower, upper = hand.chain.lower, hand.chain.upper
    H, g, zero = np.zeros((n, n)), np.zeros(n), np.zeros(n)

    def value(q, c, derive=False):
        place(body, pose, np.eye(3), np.zeros(3), q, c, lower, upper)
        return apart(body, pose, ONLY_APART, derive, H, g)

    drawn = (lower + rng.uniform(0.1, 0.9, size=len(lower)) * (upper - lower) for _ in range(200))
    q = next(q for q in drawn if value(q, zero) > 0.1)
    value(q, zero, derive=True)
    found = np.zeros(n)
    for i in range(n):
        step = np.zeros(n)
        step[i] = 1e-7
        found[i] = (value(q, step) - value(q, -step)) / 2e-7
    np.testing.assert_allclose(g, found, atol=2e-3 * np.abs(found).max())


@pytest.mark.parametrize("name", ["leap", "allegro", "xhand", "shadow"])
def test_what_does_not_touch_in_mujoco_is_apart_here_and_the_reverse(name):
    """Over random postures, contacts deeper than a few millimetres are seen, and no others are made up."""
    hand = describe_hand(name)
    body = make_body(hand, 1e-3)
    pose, n = make_pose(body), PALM + len(hand.joint_names)
    spec = empty_world()
    added = add_hand(spec, hand, np.eye(4))
    model = spec.compile()
    data = mujoco.MjData(model)
    address = [model.joint(joint).qposadr[0] for joint in added.joints]
    chain, rng = hand.chain, np.random.default_rng(0)
    H, g = np.zeros((n, n)), np.zeros(n)
    missed = invented = 0
    for _ in range(60):
        q = hand.rest_qpos + rng.uniform(0, 0.7) * (rng.uniform(chain.lower, chain.upper) - hand.rest_qpos)
        data.qpos[address] = chain.multiplier * q[chain.column] + chain.offset
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_collision(model, data)
        depth = -min((float(data.contact.dist[k]) for k in range(data.ncon)), default=0.0)
        place(body, pose, np.eye(3), np.zeros(3), q, np.zeros(n), chain.lower, chain.upper)
        energy = apart(body, pose, ONLY_APART, False, H, g)
        missed += depth > 2e-3 and energy == 0
        invented += depth <= 0 and energy > 0.5e4 * (KEPT + 4e-3) ** 2
    assert missed <= 2
    assert invented <= 12  # links that pass through each other in simulation, since they overlap in most postures
