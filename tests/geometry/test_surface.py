"""Object files become surface points with outward normals."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from unihm.geometry.surface import load_surface


def test_a_mesh_is_sampled_on_its_surface(tmp_path):
    trimesh.creation.icosphere(subdivisions=4, radius=0.05).export(tmp_path / "ball.obj")
    points, normals = load_surface(tmp_path / "ball.obj", count=500)
    assert points.shape == normals.shape == (500, 3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 0.05, rtol=0.01)
    assert (np.einsum("ij,ij->i", points, normals) > 0.049).all()


def test_points_get_normals(tmp_path):
    ball = np.random.default_rng(0).normal(size=(800, 3))
    ball *= 0.05 / np.linalg.norm(ball, axis=1, keepdims=True)
    np.savetxt(tmp_path / "ball.xyz", ball)
    points, normals = load_surface(tmp_path / "ball.xyz")
    assert np.median(np.einsum("ij,ij->i", points / 0.05, normals)) > 0.98


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.obj", None, "does not exist"),
        ("thing.docx", "x", "unknown kind"),
        ("words.xyz", "a b c\n", "not a list of points"),
        ("few.xyz", "0 0 0\n", "at least 16 lines"),
        ("empty.obj", "# nothing\n", "faces|damaged"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_surface(tmp_path / name)
    assert name in str(caught.value)
