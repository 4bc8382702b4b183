"""The way to a grasp: tangled fingers come apart in order, thin things stay on one side, ways that pierce are left."""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from unihm.hands.description import describe_hand
from unihm.refinement import RefinementConfig, joint
from unihm.refinement.approach import _outward, approach
from unihm.refinement.body import PALM
from unihm.refinement.forces import squeezing_target
from unihm.refinement.grasp import find_grasps
from unihm.refinement.joint import refine_joint
from unihm.refinement.segment import Segment
from unihm.schema.motion import HandMotion
from unihm.simulation.hand_body import add_hand
from unihm.simulation.world import empty_world

FRAMES, LIFT = 60, 45


def _plate(thin: float = 0.004):
    """A standing plate of 12 cm x 12 cm across x, as a cloud."""
    rng = np.random.default_rng(0)
    side = rng.choice([-1.0, 1.0], 2000)
    points = np.stack([0.5 * thin * side, *rng.uniform(-0.06, 0.06, size=(2, 2000))], axis=1)
    return points, np.stack([side, np.zeros(2000), np.zeros(2000)], axis=1)


def _ball(radius: float = 0.035):
    normals = np.random.default_rng(0).normal(size=(1200, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return radius * normals, normals


def _segment(hand_name: str, qpos: np.ndarray, cloud, T_world_palm: np.ndarray, height: float) -> Segment:
    hand = describe_hand(hand_name)
    T_world_object = np.tile(np.eye(4), (FRAMES, 1, 1))
    s = np.clip((np.arange(FRAMES) - LIFT + 1) / 15, 0, 1)
    T_world_object[:, 2, 3] = height + 0.1 * s * s * (3 - 2 * s)
    points, normals = cloud
    motion = HandMotion(
        hand=hand_name, fps=30.0, joint_names=hand.joint_names, qpos=qpos, T_world_palm=T_world_palm,
        T_world_object=T_world_object, object_points=points, object_normals=normals,
    )  # fmt: skip
    return Segment(motion, hand, RefinementConfig())


def _far() -> np.ndarray:
    T = np.tile(np.eye(4), (FRAMES, 1, 1))
    T[:, 2, 3] = 0.5
    return T


class InMujoco:
    """A hand alone: how deep its parts are in each other, and where its fingertips are."""

    def __init__(self, name: str):
        self.hand, spec = describe_hand(name), empty_world()
        body = add_hand(spec, self.hand, np.eye(4))
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        self.address = [self.model.joint(joint).qposadr[0] for joint in body.joints]

    def depth(self, q: np.ndarray) -> float:
        chain = self.hand.chain
        self.data.qpos[self.address] = chain.multiplier * q[chain.column] + chain.offset
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_collision(self.model, self.data)
        return max((-float(self.data.contact.dist[k]) for k in range(self.data.ncon)), default=0.0)


def _crossing(hand_name: str) -> np.ndarray:
    """Joints of a hand whose fingers bend and lean into each other more and more."""
    hand = describe_hand(hand_name)
    lower, upper = hand.chain.lower, hand.chain.upper
    lean = [i for i in range(len(lower)) if lower[i] < -0.9 and upper[i] > 0.9]  # joints that spread fingers
    target = hand.rest_qpos.astype(float).copy()
    target[lean] = np.resize([-0.45, 0.45], len(lean))
    bend = [i for i in range(len(lower)) if i not in lean]
    target[bend] += 0.25 * (upper - target)[bend]
    share = np.clip(np.arange(FRAMES) / 30, 0, 1)[:, None]
    return hand.rest_qpos + share * (target - hand.rest_qpos)


def test_fingers_that_are_in_each_other_come_out_in_order():
    qpos = _crossing("leap")
    segment = _segment("leap", qpos, _ball(), _far(), 0.035)
    found, judge = segment.untangled, InMujoco("leap")
    assert max(judge.depth(q) for q in qpos) > 5e-3
    assert max(judge.depth(q) for q in found) < 1e-3
    assert (found >= segment.hand.chain.lower).all()
    assert (found <= segment.hand.chain.upper).all()
    # continuous: nobody passes through anybody between two frames
    assert np.abs(np.diff(found, axis=0)).max() < 0.3
    # and where nothing was in anything, nothing has moved
    apart = np.array([judge.depth(q) == 0.0 for q in qpos])
    assert np.abs(found - segment.qpos)[: np.argmin(apart) // 2].max() < 0.02


def test_switched_off_the_given_joints_stay():
    segment = _segment("leap", _crossing("leap"), _ball(), _far(), 0.035)
    off = Segment(segment.motion, segment.hand, RefinementConfig(keep_apart=False))
    np.testing.assert_array_equal(off.untangled, off.qpos)


def test_a_thin_plate_is_not_passed_through():
    """From a free pose on one side of a plate, given frames lead through it: the fingertips stay on their side."""
    hand = describe_hand("allegro")
    T = _far()
    segment = _segment("allegro", np.tile(hand.rest_qpos, (FRAMES, 1)), _plate(), T, 0.061)
    pads = hand.chain.forward_kinematics(hand.rest_qpos)  # the palm's own frame
    reach = max(abs(pads[:, :3, 3]).max(), 0.05)
    poses = np.tile(np.eye(4), (12, 1, 1))
    poses[:, 2, 3] = 0.1
    # fingers along x, 2 cm off the plate in the last frame; before that up to 6 cm beyond it
    poses[:, 0, 3] = np.linspace(-reach + 0.06, -reach - 0.14, 12)
    poses[:, 2, 3] = 0.0
    scene = segment.at_rest(poses, np.tile(hand.rest_qpos, (12, 1)))
    scene.low[:, :PALM], scene.high[:, :PALM] = -0.5, 0.5
    c = _outward(segment, scene)
    depth = segment.depths(_moved(segment, scene, c))
    assert np.abs(c[-1]).max() < 1e-6  # the free pose is left alone
    assert depth.max() < 6e-3  # pressed against it, not through
    side = []
    for t in range(12):
        segment.placed(scene, t, c[t])
        side.append(segment.pose.p[: segment.body.tips, 0].max())
    assert max(side) < 0.003  # no fingertip on the other side, in no frame


def _moved(segment, scene, c):
    placed = [segment.placed(scene, t, c[t]) for t in range(len(c))]
    return segment.at_rest(np.array([T for T, _ in placed]), np.array([q for _, q in placed]))


@pytest.fixture(scope="module")
def grasped() -> Segment:
    """Allegro comes down on a ball from above."""
    hand = describe_hand("allegro")
    z = np.array([-np.sin(0.6), 0, -np.cos(0.6)])
    x = np.array([np.cos(0.6), 0, -np.sin(0.6)])
    R = np.stack([x, np.cross(z, x), z], axis=1)
    segment = _segment("allegro", np.tile(hand.rest_qpos, (FRAMES, 1)), _ball(), _far(), 0.035)
    segment.placed(segment.at_rest(np.eye(4)[None], hand.rest_qpos[None]), 0, np.zeros(segment.n))
    pads = segment.pose.p[: segment.body.tips]
    between = 0.5 * (pads[0] + pads[1:].mean(axis=0))
    T = np.tile(np.eye(4), (FRAMES, 1, 1))
    T[:, :3, :3] = R
    away = 0.12 * np.clip(1 - np.arange(FRAMES) / (LIFT - 8), 0, 1)[:, None] * -z
    T[:, :3, 3] = segment.T_world_object[:, :3, 3] - R @ between + away
    return _segment("allegro", np.tile(hand.rest_qpos, (FRAMES, 1)), _ball(), T, 0.035)


def test_a_way_that_pierces_passes_the_choice_to_the_next_grasp(grasped, monkeypatch):
    best, second = find_grasps(grasped, 4)[:2]
    pierce: dict[float, float] = {}

    def told(segment, grasp):
        return replace(approach(segment, grasp), depth=pierce.get(grasp.score, 0.0))

    monkeypatch.setattr(joint, "approach", told)
    assert refine_joint(grasped)[0].grasp.score == best.score
    pierce[best.score] = 0.02
    assert refine_joint(grasped)[0].grasp.score == second.score
    both = refine_joint(grasped, 2)
    assert len(both) == 2
    assert both[0].grasp.score == second.score
    pierce[second.score] = pierce[best.score]
    rest = find_grasps(grasped, 4)[2:4]
    pierce |= {grasp.score: 0.02 for grasp in rest}
    assert refine_joint(grasped)[0].grasp.score == best.score  # all pierce alike: the best after all


def test_free_ways_do_not_pierce(grasped):
    way = approach(grasped, find_grasps(grasped)[0])
    assert way.depth < 1e-3
    assert way.depth == pytest.approx(grasped.depths(grasped.at_rest(way.T_object_palm, way.qpos)).max(), abs=1e-12)


def test_fingertips_are_shown_a_little_off_and_sent_where_they_were(grasped):
    refined = refine_joint(grasped)[0]
    grasp = refined.grasp
    gap = grasped.terms(clearance=0.0, table=0.0, apart=0.0)
    scene = grasped.at_rest(refined.T_object_palm[-1:], refined.qpos[-1:])
    scene.gate[:] = 1.0
    grasped.energy(scene, 0, np.zeros(grasped.n), gap)
    shown = grasped.pose.touch[grasp.tips, 0].copy()
    scene.q[0] = grasp.qpos
    grasped.energy(scene, 0, np.zeros(grasped.n), gap)
    off = shown - grasped.pose.touch[grasp.tips, 0]
    assert (off > 1e-4).all()
    assert (off < 5e-4).all()
    plain = squeezing_target(grasped.hand, grasp.qpos, grasp.J, grasp.force, grasped.config.stiffness)
    np.testing.assert_array_equal(refined.qpos_target[-1], plain)
    unsqueezed = Segment(grasped.motion, grasped.hand, RefinementConfig(squeeze=0.0))
    held = refine_joint(unsqueezed)[0]
    np.testing.assert_array_equal(held.qpos[-1], held.qpos_target[-1])
