"""Mimic joints, Jacobians and batching of the kinematic tree (poses: test_against_mujoco.py)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.kinematics.kinematic_tree import KinematicTree
from unihm.kinematics.urdf import parse_urdf

TREE = """<robot name="r">
  <link name="base"/><link name="a"/><link name="b"/><link name="c"/><link name="d"/><link name="e"/>
  <joint name="turn" type="revolute"><parent link="base"/><child link="a"/>
    <origin xyz="0.1 0 0.2" rpy="0.3 -0.2 0.5"/><axis xyz="1 2 -1"/><limit lower="-1" upper="1"/></joint>
  <joint name="slide" type="prismatic"><parent link="a"/><child link="b"/>
    <origin xyz="0 0.3 0" rpy="0 1 0"/><axis xyz="0 1 1"/><limit lower="0" upper="0.1"/></joint>
  <joint name="follow" type="revolute"><parent link="b"/><child link="c"/>
    <origin xyz="0 0 0.2"/><axis xyz="0 1 0"/><limit lower="-1" upper="1"/>
    <mimic joint="turn" multiplier="1.5" offset="-0.2"/></joint>
  <joint name="weld" type="fixed"><parent link="c"/><child link="d"/><origin xyz="0 0.05 0" rpy="1 0 0"/></joint>
  <joint name="spin" type="continuous"><parent link="a"/><child link="e"/><axis xyz="0 0 1"/></joint>
</robot>"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> KinematicTree:
    path = tmp_path_factory.mktemp("tree") / "tree.urdf"
    path.write_text(TREE)
    return KinematicTree.from_urdf(parse_urdf(path))


def test_names_limits_and_mimic(tree):
    assert tree.joint_names == ("turn", "slide", "spin")
    assert tree.full_joint_names == ("turn", "slide", "follow", "spin")
    q = torch.tensor([0.4, 0.05, 1.0], dtype=torch.float64)
    np.testing.assert_allclose((tree.M @ q + tree.o).numpy(), [0.4, 0.05, 0.4, 1.0])
    assert tree.upper.tolist() == [1.0, 0.1, np.inf]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.integers(0, 1000))
def test_jacobian_is_the_derivative(tree, q, seed):
    q = torch.tensor(q, dtype=torch.float64)
    link = torch.arange(6)
    points = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    def positions(q):
        T = tree.forward_kinematics(q)
        return (T[:, :3, :3] @ points[:, :, None])[..., 0] + T[:, :3, 3]

    p, J = tree.point_jacobian(tree.forward_kinematics(q), link, points)
    torch.testing.assert_close(p, positions(q), atol=1e-14, rtol=0)
    torch.testing.assert_close(J, torch.autograd.functional.jacobian(positions, q), atol=1e-12, rtol=0)
    h = 1e-6
    for i in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[i] = h
        difference = (positions(q + step) - positions(q - step)) / (2 * h)
        torch.testing.assert_close(J[..., i], difference, atol=1e-8, rtol=0)


@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3)])
def test_batches_equal_single_calls(tree, batch):
    q = torch.rand(*batch, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    link, points = torch.tensor([2, 4]), torch.ones(2, 3, dtype=torch.float64)
    T = tree.forward_kinematics(q)
    p, J = tree.point_jacobian(T, link, points)
    assert T.shape == (*batch, 6, 4, 4)
    assert (p.shape, J.shape) == ((*batch, 2, 3), (*batch, 2, 3, 3))
    for index in np.ndindex(*batch):
        T_one = tree.forward_kinematics(q[index])
        p_one, J_one = tree.point_jacobian(T_one, link, points)
        torch.testing.assert_close(T[index], T_one, atol=1e-15, rtol=0)
        torch.testing.assert_close(p[index], p_one, atol=1e-14, rtol=0)
        torch.testing.assert_close(J[index], J_one, atol=1e-14, rtol=0)


def test_base_frame_moves_everything(tmp_path, tree):
    path = tmp_path / "tree.urdf"
    path.write_text(TREE)
    T_base_root = np.eye(4)
    T_base_root[:3, 3] = [1, 2, 3]
    T_base_root[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    moved = KinematicTree.from_urdf(parse_urdf(path), T_base_root)
    q = torch.tensor([0.3, 0.05, -0.2], dtype=torch.float64)
    expected = torch.from_numpy(T_base_root) @ tree.forward_kinematics(q)
    torch.testing.assert_close(moved.forward_kinematics(q), expected, atol=1e-14, rtol=0)


def test_a_chain_longer_than_the_interpreters_stack(tmp_path):
    count = 1100  # Python allows 1000 calls within calls
    joint = (
        '<joint name="j{i}" type="revolute"><parent link="l{i}"/><child link="l{k}"/><origin xyz="0.001 0 0"/>'
        '<axis xyz="0 0 1"/><limit lower="-1" upper="1"/></joint>'
    )
    links = "".join(f'<link name="l{i}"/>' for i in range(count + 1))
    joints = "".join(joint.format(i=i, k=i + 1) for i in range(count))
    (tmp_path / "chain.urdf").write_text(f'<robot name="chain">{links}{joints}</robot>')
    long = KinematicTree.from_urdf(parse_urdf(tmp_path / "chain.urdf"))
    T = long.forward_kinematics(torch.zeros(count, dtype=torch.float64))
    np.testing.assert_allclose(T[-1, :3, 3], [0.001 * count, 0, 0], atol=1e-9)
