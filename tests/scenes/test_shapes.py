"""Solids against formulas for their volumes, and what all must be: closed and outward."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from unihm.scenes.shapes import (
    arc,
    cylinder,
    ellipsoid,
    finer,
    fitted,
    joined,
    laid,
    moved,
    prism,
    revolved,
    rounded_box,
    rounded_rectangle,
    tube,
    walled,
)

PI = np.pi
SOLIDS = {
    "cylinder": (cylinder(0.03, 0.1), PI * 0.03**2 * 0.1),
    "cone": (revolved([(0, 0), (0.03, 0), (0, 0.1)]), PI * 0.03**2 * 0.1 / 3),
    "ball": (ellipsoid((0.07, 0.07, 0.07)), PI / 6 * 0.07**3),
    "ellipsoid": (ellipsoid((0.1, 0.05, 0.07)), PI / 6 * 0.1 * 0.05 * 0.07),
    "box": (rounded_box((0.1, 0.05, 0.2), 0.0005), 0.1 * 0.05 * 0.2),
    "lying box": (rounded_box((0.2, 0.05, 0.1), 0.0005, along=0), 0.1 * 0.05 * 0.2),
    "prism": (prism([(-1, -1), (1, -1), (0, 2)], 0.5), 1.5),
    "ring": (
        revolved([(0.04, 0), (0.05, 0), (0.05, 0.02), (0.04, 0.02)], closed=True),
        PI * (0.05**2 - 0.04**2) * 0.02,
    ),
    "torus": (tube(arc((0, 0), (0.05, 0.05), 0, 350, steps=35), 0.01, closed=True), 2 * PI**2 * 0.05 * 0.01**2),
    "capsule": (tube([(0, 0, 0), (0.1, 0, 0)], 0.02), PI * 0.02**2 * 0.1 + 4 / 3 * PI * 0.02**3),
    "open cylinder": (
        revolved(walled([(0, 0), (0.04, 0), (0.04, 0.1)], 0.002)),
        PI * (0.04**2 * 0.1 - 0.038**2 * 0.098),
    ),
}


def closed(mesh: trimesh.Trimesh) -> bool:
    return bool(mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0)


@pytest.mark.parametrize("name", SOLIDS)
def test_volumes(name: str):
    mesh, volume = SOLIDS[name]
    assert closed(mesh)
    assert mesh.volume == pytest.approx(volume, rel=0.04)


def test_a_wall_is_as_thick_as_stated():
    mesh = revolved(walled([(0, 0), (0.03, 0), (0.05, 0.1)], 0.003))
    middle = mesh.section(plane_origin=[0, 0, 0.05], plane_normal=[0, 0, 1])
    radius = np.linalg.norm(middle.vertices[:, :2], axis=1)
    # measured level, the wall leans
    assert np.ptp(radius) == pytest.approx(0.003 * np.hypot(1, 0.2), rel=0.1)


def test_a_rounded_rectangle_keeps_its_edges():
    outline = rounded_rectangle(0.1, 0.06, 0.01)
    assert np.ptp(outline, axis=0) == pytest.approx([0.1, 0.06])
    assert len(np.unique(outline.round(9), axis=0)) == len(outline)


def test_a_finer_line_is_the_same_line():
    line = np.array([(0.0, 0.0), (3.0, 0.0), (3.0, 1.0)])
    fine = finer(line, 8)
    step = np.linalg.norm(np.diff(fine, axis=0), axis=1)
    assert step.max() <= 0.5 + 1e-9
    assert step.sum() == pytest.approx(4.0)
    assert all(any(np.allclose(corner, point) for point in fine) for corner in line)


def test_turns_follow_the_right_hand():
    mesh = moved(trimesh.Trimesh([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[0, 1, 2]], process=False), turn=("z", 90))
    assert np.allclose(mesh.vertices, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    up = laid(trimesh.Trimesh([[0, 0, 1], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False))
    assert np.allclose(up.vertices[0], [1, 0, 0])


def test_joining_keeps_every_surface():
    two = joined(SOLIDS["ball"][0], moved(SOLIDS["box"][0], x=1.0))
    assert closed(two)
    assert two.volume == pytest.approx(SOLIDS["ball"][0].volume + SOLIDS["box"][0].volume)
    assert two.body_count == 2


def test_fitting_puts_it_on_the_table():
    parts = fitted({"a": SOLIDS["cone"][0], "b": moved(SOLIDS["ball"][0], x=0.2)}, (0.3, 0.2, 0.1))
    points = np.concatenate([mesh.vertices for mesh in parts.values()])
    assert points.min(axis=0) == pytest.approx([-0.15, -0.1, 0.0])
    assert points.max(axis=0) == pytest.approx([0.15, 0.1, 0.1])
