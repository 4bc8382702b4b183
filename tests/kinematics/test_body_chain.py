"""The moving bodies in NumPy against the torch tree and against MuJoCo: every link of every hand, and odd trees."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from unihm.hands.description import HandDescription, list_hands
from unihm.hands.hand import HANDS_FOLDER, load_hand
from unihm.kinematics.body_chain import BodyChain
from unihm.kinematics.kinematic_tree import KinematicTree
from unihm.kinematics.urdf import parse_urdf

ODD = """<robot name="odd">
  <link name="base"/><link name="plate"/><link name="a"/><link name="b"/>
  <link name="c"/><link name="d"/><link name="e"/>
  <link name="f"/><link name="mark"/>
  <joint name="mount" type="fixed"><parent link="base"/><child link="plate"/>
    <origin xyz="0.02 -0.1 0.3" rpy="0.5 1.0 -0.4"/></joint>
  <joint name="spin" type="continuous"><parent link="plate"/><child link="e"/><axis xyz="0 0 2"/></joint>
  <joint name="turn" type="revolute"><parent link="plate"/><child link="a"/>
    <origin xyz="0.1 0 0.2" rpy="0.3 -0.2 0.5"/><axis xyz="1 2 -1"/><limit lower="-1" upper="1" velocity="3"/></joint>
  <joint name="follow" type="prismatic"><parent link="a"/><child link="b"/>
    <origin xyz="0 0.3 0" rpy="0 1 0"/><axis xyz="0 1 1"/><limit lower="0" upper="0.1"/>
    <mimic joint="slide" multiplier="-0.5" offset="0.02"/></joint>
  <joint name="slide" type="prismatic"><parent link="b"/><child link="c"/>
    <origin xyz="0 0 0.2" rpy="0 0 1"/><axis xyz="1 0 1"/><limit lower="-0.05" upper="0.1" velocity="0.2"/></joint>
  <joint name="after" type="revolute"><parent link="c"/><child link="d"/>
    <origin xyz="0 0.05 0"/><axis xyz="0 1 0"/><limit lower="-2" upper="2"/>
    <mimic joint="turn" multiplier="1.5" offset="-0.2"/></joint>
  <joint name="weld" type="fixed"><parent link="d"/><child link="mark"/><origin xyz="0 0.05 0" rpy="1 0 0"/></joint>
  <joint name="last" type="revolute"><parent link="mark"/><child link="f"/>
    <origin xyz="0 0.05 0"/><axis xyz="0 0 -1"/><limit lower="-2" upper="2"/></joint>
</robot>"""


def link_poses(chain: BodyChain, q: np.ndarray) -> dict[str, np.ndarray]:
    """T_base_link (n, 4, 4) of every link."""
    T = np.concatenate([chain.forward_kinematics(q), np.tile(np.eye(4), (len(q), 1, 1, 1))], axis=1)  # -1: the base
    return {link: T[:, body] @ chain.T_body_link[link] for link, body in chain.body_of_link.items()}


def random_q(chain: BodyChain, count: int) -> np.ndarray:
    lower, upper = chain.lower.clip(min=-3), chain.upper.clip(max=3)
    return np.random.default_rng(0).uniform(lower, upper, (count, len(lower)))


@pytest.fixture
def odd(tmp_path):
    (tmp_path / "odd.urdf").write_text(ODD)
    return parse_urdf(tmp_path / "odd.urdf")


@pytest.mark.parametrize("name", list_hands())
def test_every_link_of_a_hand_is_where_the_torch_tree_has_it(name):
    hand = load_hand(name)
    chain = hand.description.chain
    q = random_q(chain, 20)
    expected = hand.forward_kinematics(torch.from_numpy(q)).numpy()
    poses = link_poses(chain, q)
    assert set(poses) == set(hand.link_names)
    for link, T in poses.items():
        np.testing.assert_allclose(T, expected[:, hand.link_names.index(link)], atol=1e-12, rtol=0)
    assert chain.joint_names == hand.tree.joint_names
    np.testing.assert_array_equal(chain.lower, hand.tree.lower.numpy())
    np.testing.assert_array_equal(chain.upper, hand.tree.upper.numpy())


def test_slides_mimics_and_welds_are_where_the_torch_tree_has_them(odd):
    T_base_root = np.eye(4)
    T_base_root[:3, :3], T_base_root[:3, 3] = Rotation.from_rotvec([1, -2, 0.5]).as_matrix(), [0.3, 0.1, -0.2]
    chain = BodyChain.from_urdf(odd, T_base_root)
    tree = KinematicTree.from_urdf(odd, T_base_root=T_base_root)
    q = random_q(chain, 50)
    expected = tree.forward_kinematics(torch.from_numpy(q)).numpy()
    for link, T in link_poses(chain, q).items():
        np.testing.assert_allclose(T, expected[:, tree.link_names.index(link)], atol=1e-12, rtol=0)


def test_a_body_stands_after_its_parent_and_names_its_joint(odd):
    chain = BodyChain.from_urdf(odd)
    assert (chain.parent < np.arange(len(chain.parent))).all()
    # Joints in the file's order; speeds that it does not state are free.
    assert chain.joint_names == ("spin", "turn", "slide", "last")
    np.testing.assert_array_equal(chain.velocity, [np.inf, 3, 0.2, np.inf])
    np.testing.assert_array_equal(chain.lower, [-np.inf, -1, -0.05, -2])
    # The chain of the last link: turn, follow (slides with `slide`), slide, after (turns with `turn`), last.
    bodies = chain.ancestors(chain.body_of_link["f"])
    assert [chain.joint_names[chain.column[body]] for body in bodies] == ["turn", "slide", "slide", "turn", "last"]
    assert chain.prismatic[bodies].tolist() == [0, 1, 1, 0, 0]
    assert chain.multiplier[bodies].tolist() == [1, -0.5, 1, 1.5, 1]
    assert chain.offset[bodies].tolist() == [0, 0.02, 0, -0.2, 0]
    assert chain.ancestors(-1) == []
    # A link behind a fixed joint is part of the body that carries it, and of the base where nothing moves it.
    assert chain.body_of_link["mark"] == chain.body_of_link["d"]
    assert chain.body_of_link["plate"] == -1
    np.testing.assert_allclose(np.linalg.norm(chain.axis, axis=1), 1, atol=1e-15)


def test_batches_are_rows(odd):
    chain = BodyChain.from_urdf(odd)
    q = random_q(chain, 6)
    T = chain.forward_kinematics(q.reshape(2, 3, -1))
    np.testing.assert_array_equal(T.reshape(6, -1, 4, 4), chain.forward_kinematics(q))
    np.testing.assert_array_equal(chain.forward_kinematics(q[4]), T[1, 1])


def test_a_point_of_a_link_stays_on_it(odd):
    chain = BodyChain.from_urdf(odd)
    q = random_q(chain, 3)
    T, poses = chain.forward_kinematics(q), link_poses(chain, q)
    xyz = np.array([0.01, -0.02, 0.03])
    for link in ("mark", "f"):
        body, place = chain.point(link, xyz)
        np.testing.assert_allclose(
            T[:, body] @ np.append(place, 1), poses[link] @ np.append(xyz, 1), atol=1e-15, rtol=0
        )


def test_a_hand_without_moving_joints_has_no_body(tmp_path):
    (tmp_path / "stiff.urdf").write_text(
        '<robot name="s"><link name="a"/><link name="b"/><joint name="j" type="fixed"><parent link="a"/>'
        '<child link="b"/><origin xyz="1 2 3"/></joint></robot>'
    )
    chain = BodyChain.from_urdf(parse_urdf(tmp_path / "stiff.urdf"))
    assert chain.forward_kinematics(np.zeros((5, 0))).shape == (5, 0, 4, 4)
    assert chain.point("b", np.zeros(3))[1].tolist() == [1, 2, 3]


def joint_kinds(hand: HandDescription) -> tuple[bool, bool]:
    mimics = any(joint.mimic is not None for joint in hand.urdf.joints)
    return mimics, bool(hand.chain.prismatic.any())


def test_mujoco_has_the_links_in_the_same_places():
    """A hand with mimic joints, one that slides, and the largest; MuJoCo reads the file, nothing of ours."""
    from unihm.hands.description import describe_hand

    hands = [describe_hand(name) for name in list_hands()]
    chosen = [max(hands, key=lambda hand: len(hand.joint_names))]
    chosen += [next(hand for hand in hands if joint_kinds(hand) == kinds) for kinds in ((True, False), (True, True))]
    for hand in chosen:
        spec = mujoco.MjSpec.from_file(str(next((HANDS_FOLDER / hand.name).glob("*.urdf"))))
        spec.compiler.fusestatic = False
        model = spec.compile()
        data = mujoco.MjData(model)
        chain = hand.chain
        q = random_q(chain, 20)
        poses = link_poses(chain, q)
        address = {model.joint(i).name: model.joint(i).qposadr[0] for i in range(model.njnt)}
        for n, row in enumerate(q):
            value = dict(zip(chain.joint_names, row, strict=True))
            for joint in hand.urdf.joints:
                if joint.name in address and joint.kind != "fixed":
                    mimic = joint.mimic
                    data.qpos[address[joint.name]] = (
                        value[joint.name] if mimic is None else mimic.multiplier * value[mimic.source] + mimic.offset
                    )
            mujoco.mj_kinematics(model, data)
            for i in range(1, model.nbody):
                T = np.eye(4)
                T[:3, :3], T[:3, 3] = data.xmat[i].reshape(3, 3), data.xpos[i]
                np.testing.assert_allclose(hand.T_root_palm @ poses[model.body(i).name][n], T, atol=1e-9, rtol=0)
