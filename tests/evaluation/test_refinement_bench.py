"""The peer of the bench: another search of the same energy."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.evaluation.refinement_bench import FINGERTIPS, Differences, draw, refine_by_differences, text
from unihm.hands.description import describe_hand
from unihm.refinement import RefinementConfig
from unihm.refinement.workspace import Workspace
from unihm.schema.motion import HandMotion


@pytest.fixture(scope="module")
def beside_a_ball():
    hand = describe_hand("ability")
    normals = np.random.default_rng(0).normal(size=(1500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return hand, 0.04 * normals, normals


def test_both_searches_descend_and_ours_as_far(beside_a_ball):
    hand, points, normals = beside_a_ball
    config = RefinementConfig(keep_apart=False)
    found, start = [], np.inf
    for kind in (Workspace, Differences):
        space = kind(hand, points, normals, config)
        T = np.eye(4)
        T[:3] = [[0, 0, -1, 0.075], [0, 1, 0, 0], [1, 0, 0, -0.03]]
        scene = space.scene(T[None], hand.rest_qpos[None], np.array([[0.0, 0, 1]]), np.array([0.2]))
        scene.gate[:] = 1.0
        c, zero = np.zeros(space.n), np.zeros(space.n)
        precision = space.sigma(config.grasp) ** -2
        start = space.energy(scene, 0, c, space.terms())
        found.append(space.minimize(scene, 0, c, zero, precision, space.terms(), 300, 1e-8)[0])
    assert found[0] <= found[1] * 1.02 + 1e-3  # nearest points make kinks, at which steps of first order get stuck
    assert found[1] < 0.5 * start


def test_the_peer_refines_and_counts(beside_a_ball):
    hand, points, normals = beside_a_ball
    frames = 3
    T_world_palm = np.tile(np.eye(4), (frames, 1, 1))
    T_world_palm[:, :3] = [[0, 0, -1, 0.075], [0, 1, 0, 0], [1, 0, 0, 0.17]]
    T_world_object = np.tile(np.eye(4), (frames, 1, 1))
    T_world_object[:, 2, 3] = 0.2
    motion = HandMotion(
        hand=hand.name, fps=30.0, joint_names=hand.joint_names, qpos=np.tile(hand.rest_qpos, (frames, 1)),
        T_world_palm=T_world_palm, T_world_object=T_world_object, object_points=points, object_normals=normals,
        contact_phase=np.ones(frames),
    )  # fmt: skip
    refined, evaluations = refine_by_differences(motion, hand, FINGERTIPS)
    n = 6 + len(hand.joint_names)
    assert evaluations >= n + 1  # one gradient of forward differences at least
    assert np.abs(refined.qpos - motion.qpos).max() > 1e-3


def test_tables(tmp_path):
    rows = [
        {"hand": "panda", "variant": way, "n": 2, "ms_per_frame": ms, "penetration_mean_mm": 0.1}
        for way, ms in (("retargeted", None), ("causal", 0.2))
    ]
    assert "0.200" in text(rows)
    draw(rows, tmp_path / "table.png")
    assert (tmp_path / "table.png").read_bytes()[:4] == b"\x89PNG"
