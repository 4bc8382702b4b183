"""Forward kinematics against MuJoCo on the same file: random trees, our hand files, the official ones."""

from __future__ import annotations

import re
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.hands.hand import HANDS_FOLDER, list_hands
from unihm.kinematics.kinematic_tree import KinematicTree
from unihm.kinematics.urdf import parse_urdf

# balanceinertia: some official files state inertias that no body can have; poses do not depend on them.
_COMPILER = (
    '<mujoco><compiler fusestatic="false" balanceinertia="true" boundmass="1e-3" boundinertia="1e-6" '
    'discardvisual="true"/></mujoco>'
)


def mujoco_link_poses(text: str, tree: KinematicTree, q: np.ndarray) -> dict[str, np.ndarray]:
    """T_root_link (n, 4, 4) of each link that MuJoCo keeps, for q (n, nq); mimic is set explicitly."""
    text = re.sub(r"<(visual|collision)>(?:(?!</\1>).)*?<mesh.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r"<mujoco>.*?</mujoco>", "", text, flags=re.DOTALL)
    text = re.sub(r"(<robot[^>]*>)", rf"\1{_COMPILER}", text, count=1)
    text = re.sub(r"<\?xml[^>]*\?>", "", text)
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    q_full = q @ tree.M.numpy().T + tree.o.numpy()
    address = [model.joint(name).qposadr[0] for name in tree.full_joint_names]
    bodies = {model.body(i).name: i for i in range(1, model.nbody)}
    poses = {name: np.tile(np.eye(4), (len(q), 1, 1)) for name in tree.link_names if name in bodies}
    for n, row in enumerate(q_full):
        data.qpos[address] = row
        mujoco.mj_kinematics(model, data)
        for name, T in poses.items():
            T[n, :3, :3] = data.xmat[bodies[name]].reshape(3, 3)
            T[n, :3, 3] = data.xpos[bodies[name]]
    return poses


def random_q(tree: KinematicTree, count: int, seed: int = 0) -> torch.Tensor:
    lower, upper = tree.lower.clamp(min=-3), tree.upper.clamp(max=3)
    unit = torch.rand(count, len(lower), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return lower + unit * (upper - lower)


def assert_same(path: Path, count: int, tolerance: float) -> None:
    tree = KinematicTree.from_urdf(parse_urdf(path))
    q = random_q(tree, count)
    T = tree.forward_kinematics(q).numpy()
    reference = mujoco_link_poses(path.read_text(encoding="utf-8"), tree, q.numpy())
    # MuJoCo makes the root its world body; everything else must be there.
    assert set(tree.link_names) - set(reference) <= {tree.link_names[0]}
    for name, expected in reference.items():
        np.testing.assert_allclose(T[:, tree.link_names.index(name)], expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", list_hands())
def test_hand_files(name):
    for path in (HANDS_FOLDER / name).glob("*.urdf"):
        assert_same(path, 1000, 1e-9)


@pytest.mark.parametrize("hand", ["shadow", "allegro", "panda", "svh", "leap", "ability", "inspire", "xhand"])
def test_official_files(shared_data, hand):
    for path in sorted((shared_data / "hands_official" / hand).glob("*right*.urdf")) or sorted(
        (shared_data / "hands_official" / hand).glob("*.urdf")
    ):
        assert_same(path, 200, 1e-9)


@st.composite
def random_trees(draw) -> str:
    """A URDF of 2 to 12 links with random shape, axes, origins and (possibly chained) mimic joints."""
    number = st.floats(-1, 1).map(lambda x: round(x, 3))
    vector = st.tuples(number, number, number)
    axis = vector.filter(lambda a: np.linalg.norm(a) > 0.1)
    count = draw(st.integers(2, 12))
    text, movable = [], []
    inertial = '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>'
    for i in range(count):
        text.append(f'<link name="l{i}">{inertial}</link>')
    for i in range(1, count):
        kind = draw(st.sampled_from(["revolute", "continuous", "prismatic", "fixed"]))
        parent = draw(st.integers(0, i - 1))
        xyz, rpy, a = (" ".join(map(str, draw(s))) for s in (vector, vector, axis))
        mimic = ""
        if kind != "fixed":
            if movable and draw(st.booleans()):
                source = draw(st.sampled_from(movable))
                mimic = f'<mimic joint="{source}" multiplier="{draw(number)}" offset="{draw(number)}"/>'
            movable.append(f"j{i}")
        text.append(
            f'<joint name="j{i}" type="{kind}"><parent link="l{parent}"/><child link="l{i}"/>'
            f'<origin xyz="{xyz}" rpy="{rpy}"/><axis xyz="{a}"/>'
            f'<limit lower="-2" upper="2" effort="1" velocity="1"/>{mimic}</joint>'
        )
    return f'<robot name="random">{"".join(text)}</robot>'


@settings(max_examples=40, deadline=None)
@given(random_trees())
def test_random_trees(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("tree") / "tree.urdf"
    path.write_text(text)
    assert_same(path, 4, 1e-9)
