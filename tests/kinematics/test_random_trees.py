"""Random kinematic trees, written as URDF text and read by us and by MuJoCo: poses, Jacobians and limits agree.

MuJoCo ignores mimic joints in `mj_kinematics`, so every joint of its model is set from ``q_full = M q + o``, and its
Jacobian with respect to q_full is multiplied by M. M and o themselves are held against the relations as drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.kinematics.kinematic_tree import KinematicTree
from unihm.kinematics.urdf import MOVABLE, Urdf, frozen_joints, lock_joints, parse_urdf

INERTIAL = '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>'
number = st.floats(-1, 1).map(lambda x: round(x, 3))
vector = st.tuples(number, number, number)
property_test = settings(derandomize=True, database=None, deadline=None, max_examples=30)


@dataclass(frozen=True, kw_only=True)
class DrawnJoint:
    """Joint ``j<child>`` between links ``l<parent>`` and ``l<child>``."""

    child: int
    parent: int
    kind: str
    xyz: tuple[float, ...]
    rpy: tuple[float, ...]
    axis: tuple[float, ...] | None
    limits: tuple[float, float] | None
    mimic: tuple[int, float, float] | None
    """Source joint, multiplier, offset; the source may itself mimic a joint."""

    def text(self) -> str:
        parts = [f'<parent link="l{self.parent}"/><child link="l{self.child}"/>']
        parts.append(f'<origin xyz="{words(self.xyz)}" rpy="{words(self.rpy)}"/>')
        if self.axis:
            parts.append(f'<axis xyz="{words(self.axis)}"/>')
        if self.limits:
            parts.append(f'<limit lower="{self.limits[0]}" upper="{self.limits[1]}" effort="1" velocity="1"/>')
        if self.mimic:
            source, multiplier, offset = self.mimic
            parts.append(f'<mimic joint="j{source}" multiplier="{multiplier}" offset="{offset}"/>')
        return f'<joint name="j{self.child}" type="{self.kind}">{"".join(parts)}</joint>'


def words(values: tuple[float, ...]) -> str:
    return " ".join(map(str, values))


@dataclass(frozen=True, kw_only=True)
class DrawnTree:
    """A robot as drawn, and its text; hypothesis prints it when a property fails."""

    joints: tuple[DrawnJoint, ...]
    order: tuple[int, ...]
    """Order of the elements in the file: neither the root nor parents need to come first."""

    def text(self) -> str:
        elements = [f'<link name="l{i}">{INERTIAL}</link>' for i in range(len(self.joints) + 1)]
        elements += [joint.text() for joint in self.joints]
        return f'<robot name="random">{"".join(elements[i] for i in self.order)}</robot>'


@st.composite
def trees(draw, *, mimic: bool = True) -> DrawnTree:
    """Trees of up to 12 joints; shrinks to few, fixed, unrotated joints."""
    joints: list[DrawnJoint] = []
    for child in range(1, draw(st.integers(1, 12)) + 1):
        kind = draw(st.sampled_from(["fixed", *MOVABLE]))
        source = None
        movable = [joint.child for joint in joints if joint.kind != "fixed"]
        if mimic and kind != "fixed" and movable and draw(st.booleans()):
            source = draw(st.sampled_from(movable)), draw(number), draw(number)
        width = draw(st.floats(0.1, 4).map(lambda x: round(x, 3)))
        lower = draw(st.floats(-2, 1).map(lambda x: round(x, 3)))
        limited = kind in ("revolute", "prismatic") and not (source and draw(st.booleans()))
        joints.append(
            DrawnJoint(
                child=child,
                parent=draw(st.integers(0, child - 1)),
                kind=kind,
                xyz=draw(vector),
                rpy=tuple(3 * angle for angle in draw(vector)),
                axis=draw(st.none() | vector.filter(lambda a: np.linalg.norm(a) > 0.01)),
                limits=(lower, lower + width) if limited else None,
                mimic=source,
            )
        )
    order = draw(st.permutations(range(2 * len(joints) + 1)))
    return DrawnTree(joints=tuple(joints), order=tuple(order))


@pytest.fixture(scope="module")
def read(tmp_path_factory) -> Callable[[str], Urdf]:
    path = tmp_path_factory.mktemp("tree") / "tree.urdf"

    def read(text: str) -> Urdf:
        path.write_text(text)
        return parse_urdf(path)

    return read


def mujoco_model(text: str) -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_string(text)
    spec.compiler.fusestatic = False
    return spec.compile()


def random_q(tree: KinematicTree, count: int, seed: int) -> torch.Tensor:
    """Inside the limits; full turns and more for joints without any."""
    lower, upper = tree.lower.clamp(min=-7), tree.upper.clamp(max=7)
    unit = torch.rand(count, len(lower), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return lower + unit * (upper - lower)


def reference(urdf: Urdf, model: mujoco.MjModel, tree: KinematicTree, q: np.ndarray, points: np.ndarray):
    """Poses of all links, a point on each, and its Jacobian with respect to q, by MuJoCo."""
    data = mujoco.MjData(model)
    joints = [model.joint(name) for name in tree.full_joint_names]
    M = tree.M.numpy()
    for joint, position in zip(joints, M @ q + tree.o.numpy(), strict=True):
        data.qpos[joint.qposadr[0]] = position
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)  # mj_jac needs it
    T, p, J = np.tile(np.eye(4), (len(urdf.links), 1, 1)), [], []
    for i, link in enumerate(urdf.links):
        body = model.body(link.name).id
        T[i, :3, :3], T[i, :3, 3] = data.xmat[body].reshape(3, 3), data.xpos[body]
        p.append(T[i, :3, :3] @ points[i] + T[i, :3, 3])
        jacobian = np.zeros((3, model.nv))
        mujoco.mj_jac(model, data, jacobian, None, p[-1], body)
        J.append(jacobian[:, [joint.dofadr[0] for joint in joints]] @ M)
    return T, np.array(p), np.array(J)


@settings(property_test, max_examples=60)
@given(drawn=trees(), seed=st.integers(0, 1000))
def test_poses_and_jacobians_are_mujocos(read, drawn, seed):
    urdf = read(drawn.text())
    tree, model = KinematicTree.from_urdf(urdf), mujoco_model(drawn.text())
    assert model.nv == len(tree.full_joint_names)
    assert model.nbody == 1 + len(tree.link_names)  # and the world
    points = np.random.default_rng(seed).normal(size=(len(urdf.links), 3))
    q = random_q(tree, 3, seed)
    T = tree.forward_kinematics(q)
    p, J = tree.point_jacobian(T, torch.arange(len(urdf.links)), torch.from_numpy(points))
    for n in range(len(q)):
        T_mujoco, p_mujoco, J_mujoco = reference(urdf, model, tree, q[n].numpy(), points)
        np.testing.assert_allclose(T[n], T_mujoco, atol=1e-9, rtol=0)
        np.testing.assert_allclose(p[n], p_mujoco, atol=1e-9, rtol=0)
        np.testing.assert_allclose(J[n], J_mujoco, atol=1e-8, rtol=0)


@property_test
@given(drawn=trees())
def test_limits_are_mujocos(read, drawn):
    tree, model = KinematicTree.from_urdf(read(drawn.text())), mujoco_model(drawn.text())
    for name, lower, upper in zip(tree.joint_names, tree.lower.tolist(), tree.upper.tolist(), strict=True):
        joint = model.joint(name)
        # MuJoCo keeps the range of a URDF without enforcing it; [0, 0] stands for none.
        expected = tuple(joint.range) if any(joint.range) else (-math.inf, math.inf)
        assert (lower, upper) == pytest.approx(expected, abs=1e-12)


@property_test
@given(drawn=trees(), seed=st.integers(0, 1000))
def test_mimic_joints_obey_what_is_written(read, drawn, seed):
    """Each relation of the file holds between the two joints that it names, however long the chain."""
    tree = KinematicTree.from_urdf(read(drawn.text()))
    assert set(tree.joint_names) == {f"j{j.child}" for j in drawn.joints if j.kind != "fixed" and not j.mimic}
    q = random_q(tree, 1, seed)[0]
    position = dict(zip(tree.full_joint_names, (tree.M @ q + tree.o).tolist(), strict=True))
    assert [position[name] for name in tree.joint_names] == pytest.approx(q.tolist())
    for joint in drawn.joints:
        if joint.mimic:
            source, multiplier, offset = joint.mimic
            assert position[f"j{joint.child}"] == pytest.approx(multiplier * position[f"j{source}"] + offset)


@property_test
@given(drawn=trees(), seed=st.integers(0, 1000), data=st.data())
def test_a_locked_joint_is_the_tree_with_that_value_inserted(read, drawn, seed, data):
    urdf = read(drawn.text())
    tree = KinematicTree.from_urdf(urdf)
    names = data.draw(st.sets(st.sampled_from(tree.joint_names))) if tree.joint_names else set()
    q = random_q(tree, 2, seed)
    values = {name: float(q[0, tree.joint_names.index(name)]) for name in names}
    for name, value in values.items():
        q[:, tree.joint_names.index(name)] = value
    locked = KinematicTree.from_urdf(lock_joints(urdf, values))
    assert locked.joint_names == tuple(name for name in tree.joint_names if name not in names)
    rest = q[:, [tree.joint_names.index(name) for name in locked.joint_names]]
    torch.testing.assert_close(locked.forward_kinematics(rest), tree.forward_kinematics(q), atol=1e-12, rtol=0)


@property_test
@given(drawn=trees(), data=st.data())
def test_a_joint_without_room_is_a_locked_joint(read, drawn, data):
    limited = [j for j in drawn.joints if j.limits and not j.mimic]
    independent = [j for j in drawn.joints if j.kind != "fixed" and not j.mimic]
    if not limited or len(independent) < 2:
        return
    joint = data.draw(st.sampled_from(limited))
    assert joint.limits
    value = joint.limits[1]
    text = drawn.text().replace(joint.text(), joint.text().replace(f'lower="{joint.limits[0]}"', f'lower="{value}"'))
    frozen, locked = read(text), lock_joints(read(drawn.text()), {f"j{joint.child}": value})
    assert frozen_joints(frozen) == {f"j{joint.child}": value}
    for a, b in zip(frozen.joints, locked.joints, strict=True):
        assert (a.name, a.kind, a.mimic) == (b.name, b.kind, b.mimic)
        np.testing.assert_array_equal(a.T_parent_child, b.T_parent_child)


@property_test
@given(drawn=trees(mimic=False), turns=st.integers(-3, 3))
def test_a_full_turn_of_a_joint_is_the_same_pose(read, drawn, turns):
    tree = KinematicTree.from_urdf(read(drawn.text()))
    q = random_q(tree, 1, 0)
    turns_of = {f"j{j.child}": turns * (j.kind != "prismatic") for j in drawn.joints}
    turned = q + 2 * math.pi * torch.tensor([turns_of[name] for name in tree.joint_names], dtype=torch.float64)
    torch.testing.assert_close(tree.forward_kinematics(turned), tree.forward_kinematics(q), atol=1e-12, rtol=0)
