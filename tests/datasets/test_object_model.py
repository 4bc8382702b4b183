import numpy as np
import pytest
from dataset_builders import BOX, write_box

from unihm.datasets.object_model import load_mesh, load_surface


def test_points_lie_on_the_box_and_normals_point_out_of_it(tmp_path):
    write_box(tmp_path / "box.obj")
    points, normals = load_surface(tmp_path / "box.obj", 400)
    relative = points / BOX
    face = np.abs(relative).argmax(axis=1)
    rows = np.arange(400)
    np.testing.assert_allclose(np.abs(relative[rows, face]), 1.0, atol=1e-12)
    expected = np.zeros((400, 3))
    expected[rows, face] = np.sign(relative[rows, face])
    np.testing.assert_allclose(normals, expected, atol=1e-12)
    # Uniform over the surface: each pair of sides has its share of the area (farthest points, so not exactly).
    area = np.array([BOX[1] * BOX[2], BOX[0] * BOX[2], BOX[0] * BOX[1]])
    np.testing.assert_allclose(np.bincount(face, minlength=3) / 400, area / area.sum(), atol=0.1)


def test_same_seed_same_points(tmp_path):
    write_box(tmp_path / "box.obj")
    first, second = (load_surface(tmp_path / "box.obj", 64, seed=3)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_agrees_with_trimesh_on_real_objects(shared_data):
    trimesh = pytest.importorskip("trimesh")
    path = shared_data / "ycb_models" / "025_mug" / "mesh_simplified.obj"
    vertices, faces = load_mesh(path)
    other = trimesh.load(path, force="mesh", process=False)
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    assert area == pytest.approx(other.area, rel=1e-9)
    assert np.ptp(vertices, axis=0) == pytest.approx(np.ptp(other.vertices, axis=0), rel=1e-9)


def test_bad_meshes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        load_mesh(tmp_path / "none.obj")
    write_box(tmp_path / "turned.obj", inside_out=True)
    with pytest.raises(ValueError, match="inside out"):
        load_mesh(tmp_path / "turned.obj")
    (tmp_path / "empty.obj").write_text("v 0 0 0\n")
    with pytest.raises(ValueError, match="no valid triangles"):
        load_mesh(tmp_path / "empty.obj")
    (tmp_path / "words.ply").write_text("ply\n")
    with pytest.raises(ValueError, match=r"words\.ply' is not a readable \.ply"):
        load_mesh(tmp_path / "words.ply")
    (tmp_path / "words.obj").write_text("v a b c\n")
    with pytest.raises(ValueError, match=r"not a readable \.obj"):
        load_mesh(tmp_path / "words.obj")
