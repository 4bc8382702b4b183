"""Forward kinematics against MuJoCo on the same file: our hands, the official ones (random: test_random_trees.py)."""

from __future__ import annotations

import re
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

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
