"""Rests are stable: MuJoCo leaves the thing as it is."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import trimesh

from unihm.scenes.household import draw_object
from unihm.scenes.stable_rest import draw_rest

BOX = np.array(np.meshgrid([0, 0.1], [0, 0.06], [0, 0.2])).reshape(3, -1).T


def tilt_after_a_second(vertices: np.ndarray) -> float:
    """By how much the convex hull of points turns where it is left on a table, degrees."""
    mesh = trimesh.convex.convex_hull(vertices)
    spec = mujoco.MjSpec()
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[1, 1, 0.1], friction=[1.0, 0.01, 0.01], condim=6)
    body = spec.worldbody.add_body(name="thing", pos=[0, 0, -vertices[:, 2].min()])
    body.add_freejoint()
    shape = spec.add_mesh(name="hull")
    shape.uservert, shape.userface = np.asarray(mesh.vertices).ravel(), np.asarray(mesh.faces).ravel()
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="hull", density=500, friction=[1.0, 0.01, 0.01], condim=6)
    model = spec.compile()
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, round(1 / model.opt.timestep))
    return float(np.degrees(2 * np.arccos(min(abs(data.qpos[3]), 1.0))))


def test_a_box_rests_on_its_large_sides_more_often():
    heights = []
    for seed in range(150):
        R = draw_rest(BOX, np.random.default_rng(seed))
        assert R is not None
        assert np.abs(R @ R.T - np.eye(3)).max() < 1e-9
        assert np.linalg.det(R) == pytest.approx(1)
        heights.append(round(float(np.ptp(BOX @ R.T, axis=0)[2]), 3))
    share = {height: heights.count(height) / 150 for height in (0.06, 0.1, 0.2)}
    areas = {0.06: 0.02, 0.1: 0.012, 0.2: 0.006}
    for height, area in areas.items():
        assert share[height] == pytest.approx(area / sum(areas.values()), abs=0.12)


def test_sideways_is_not_upright():
    for seed in range(20):
        R = draw_rest(BOX, np.random.default_rng(seed), sideways=True)
        assert R is not None
        assert np.ptp(BOX @ R.T, axis=0)[2] < 0.11


@pytest.mark.parametrize("family", ["food can", "wine bottle", "cereal box", "milk carton", "shampoo bottle"])
def test_what_lies_stays_so(family: str):
    rng = np.random.default_rng(1)
    vertices = draw_object(rng, family, held_out=True).vertices
    R = draw_rest(vertices, rng, sideways=True)
    assert R is not None
    assert tilt_after_a_second(vertices @ R.T) < 6


def test_what_leans_too_far_does_not_stand():
    # A prism over a parallelogram that leans by more than its foot: it cannot stand on that.
    foot = np.array([[0.0, 0, 0], [0.02, 0, 0], [0.02, 0.02, 0], [0, 0.02, 0]])
    leaning = np.concatenate([foot, foot + np.array([0.1, 0, 0.05])])
    for seed in range(20):
        R = draw_rest(leaning, np.random.default_rng(seed))
        assert R is not None
        assert abs(R[2, 2]) < 0.99
