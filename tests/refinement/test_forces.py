"""Forces, their torques and what a grasp does under loads, against hand-worked cases and MuJoCo's Jacobians."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from unihm.hands.description import describe_hand
from unihm.refinement.body import PALM, make_body, make_pose, place
from unihm.refinement.forces import balanced_forces, contact_jacobian, squeezing_target
from unihm.refinement.stability import stability


def test_two_opposed_fingers_push_alike():
    places = np.array([[0.03, 0, 0], [-0.03, 0, 0]])
    found = balanced_forces(places, np.sign(places), np.array([8.0, 8.0]), friction=0.5, size=0.03)
    np.testing.assert_allclose(found.force, [[-8, 0, 0], [8, 0, 0]], atol=0.05)
    assert found.imbalance < 1e-3


def test_forces_carry_a_weight_within_their_cones():
    places = np.array([[0.03, 0, 0], [-0.03, 0.01, 0], [-0.03, -0.01, 0]])
    normals = np.array([[1.0, 0, 0], [-1, 0, 0], [-1, 0, 0]])
    load = np.array([0, 0, -4.0, 0, 0, 0])
    found = balanced_forces(places, normals, np.full(3, 8.0), friction=0.5, size=0.03, load=load)
    np.testing.assert_allclose(found.force.sum(axis=0), [0, 0, 4], atol=0.1)
    normal = -(found.force * normals).sum(axis=1)
    tangent = np.linalg.norm(found.force + normal[:, None] * normals, axis=1)
    assert (tangent <= 0.5 * normal + 1e-9).all()


def test_fingers_on_one_side_cannot_hold():
    places = np.array([[0.03, 0.02, 0], [0.03, -0.02, 0]])
    normals = np.array([[1.0, 0, 0], [1, 0, 0]])
    assert balanced_forces(places, normals, np.array([8.0, 8.0]), friction=0.5, size=0.03).imbalance > 0.5


@pytest.mark.parametrize("name", ["shadow", "inspire", "panda"])
def test_jacobian_is_the_derivative_of_the_contact(name):
    """With mimic joints, whose movement adds up in the joint that they follow."""
    hand = describe_hand(name)
    body = make_body(hand, 1e-3)
    pose = make_pose(body)
    rng = np.random.default_rng(0)
    q = rng.uniform(hand.chain.lower, hand.chain.upper)
    c, R, t = np.zeros(PALM + len(q)), np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.normal(size=3)
    tips = np.arange(body.tips)

    def pads(q):
        place(body, pose, R, t, q, c, hand.chain.lower, hand.chain.upper)
        return pose.p[tips].copy()

    places = pads(q)
    J = contact_jacobian(body, pose, tips, places)
    step = 1e-7
    for j in range(len(q)):
        change = np.zeros_like(q)
        change[j] = step if q[j] < hand.chain.upper[j] - 2 * step else -step
        np.testing.assert_allclose(J[:, :, j], (pads(q + change) - places) / change[j], atol=1e-5)


def test_targets_exert_the_forces_in_mujoco():
    """A finger of two hinges against a post: the joint torques of its servo, at rest, push as they were asked to."""
    model = mujoco.MjModel.from_xml_string(
        """<mujoco><option gravity="0 0 0"/><worldbody>
        <body><joint name="a" axis="0 0 1"/><geom type="capsule" fromto="0 0 0 .05 0 0" size=".004" mass=".02"/>
        <body pos=".05 0 0"><joint name="b" axis="0 0 1"/>
        <geom type="capsule" fromto="0 0 0 .04 0 0" size=".004" mass=".02"/><site name="tip" pos=".04 0 0"/>
        </body></body>
        </worldbody></mujoco>"""
    )
    data = mujoco.MjData(model)
    data.qpos[:] = 0.4, 0.7
    mujoco.mj_forward(model, data)
    J = np.zeros((3, 2))
    mujoco.mj_jacSite(model, data, J, None, model.site("tip").id)
    force = np.array([3.0, -2.0, 0.0])
    target = data.qpos + J.T @ force / 5.0
    # what holds the tip in place balances the servos: J^T reaction = kp (q - target)
    np.testing.assert_allclose(np.linalg.lstsq(J.T, 5.0 * (target - data.qpos), rcond=None)[0], force, atol=1e-9)


def test_targets_keep_limits_and_efforts():
    hand = describe_hand("allegro")
    q = hand.rest_qpos
    J = np.ones((2, 3, len(q)))
    target = squeezing_target(hand, q, J, np.full((2, 3), 100.0), (5.0, 3000.0))
    assert (target <= hand.chain.upper).all()
    efforts = {joint.name: joint.effort for joint in hand.urdf.joints}
    assert (np.abs(5.0 * (target - q)) <= [efforts[name] + 1e-9 for name in hand.joint_names]).all()


def _two_springs(force: float, stiffness: float = 500.0):
    """Two contacts 6 cm apart, each on its own three slides."""
    J = np.zeros((2, 3, 6))
    J[0, :, :3] = J[1, :, 3:] = np.eye(3)
    places = np.array([[0.03, 0, 0], [-0.03, 0, 0]])
    loads = np.array([[0, 0, -2.0, 0, 0, 0]])
    return stability(
        J, places, np.sign(places), -force * np.sign(places), np.full(6, 1 / stiffness - 5e-5), loads, friction=0.8,
        size=0.03,
    )  # fmt: skip


def test_springs_yield_as_worked_by_hand():
    """Two springs of 500 N/m carry 2 N: 2 mm; each bears 1 N of the 0.8 x 5 N that friction allows."""
    held = _two_springs(5.0)
    assert held.sag == pytest.approx(2e-3, rel=0.02)
    assert held.slip == pytest.approx(0.25, rel=0.02)
    assert held.pull == pytest.approx(5.0, rel=0.02)


def test_a_hard_squeeze_turns_over():
    """Turning about a crosswise axis: 2 k r^2 - 2 F r, 0 at F = k r = 15 N."""
    assert _two_springs(14.0).stiffness > 0
    assert _two_springs(16.0).stiffness < 0


def test_weak_motors_push_within_their_efforts_and_in_balance():
    """Three fingers against one: where the middle one's motor is weak, its neighbours push for it."""
    places = np.array([[0.02, -0.03, 0], [0.02, 0, 0], [0.02, 0.03, 0], [-0.02, 0, 0]])
    normals = np.array([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [-1, 0, 0]])
    wanted = np.full(4, 8.0)
    # each contact's push turns one joint at an arm of 0.1 m; motors give 2, 0.3, 2 and 2 Nm
    strain = np.zeros((4, 3, 4))
    strain[range(4), 0, range(4)] = 0.1 / np.array([2.0, 0.3, 2.0, 2.0])
    free = balanced_forces(places, normals, wanted, friction=0.5, size=0.03)
    eased = balanced_forces(places, normals, wanted, friction=0.5, size=0.03, strain=strain)
    share = np.abs(np.einsum("kiq,ki->q", strain, eased.force))
    assert np.abs(np.einsum("kiq,ki->q", strain, free.force)).max() > 1.3
    assert share.max() <= 1 + 1e-9
    assert eased.imbalance < 0.05
    normal = -(eased.force * normals).sum(axis=1)
    assert min(normal[0], normal[2]) > 1.2 * normal[1]
    # scaling all to what the weak one can give would press less
    assert normal[3] > -(free.force * normals).sum(axis=1)[3] / np.abs(np.einsum("kiq,ki->q", strain, free.force)).max()


def test_strong_motors_change_nothing():
    places, normals = np.array([[0.03, 0, 0], [-0.03, 0, 0]]), np.array([[1.0, 0, 0], [-1, 0, 0]])
    wanted, strain = np.array([8.0, 8.0]), np.full((2, 3, 5), 1e-3)
    free = balanced_forces(places, normals, wanted, friction=0.5, size=0.03)
    eased = balanced_forces(places, normals, wanted, friction=0.5, size=0.03, strain=strain)
    np.testing.assert_array_equal(eased.force, free.force)
