"""The player's file is whole and offline, and pictures show the hand where it is."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import threading
import time
import urllib.request

import numpy as np
import pytest
from viser.infra import StateSerializer

from unihm import viewer
from unihm.hands.hand import load_hand
from unihm.schema.motion import HandMotion
from unihm.viewer import framing, player, stills

_URDF = """<robot name="toy">
  <material name="skin"><color rgba="0.3 0.5 0.9 1"/></material>
  <link name="palm"><collision><origin xyz="-0.04 0 0"/><geometry><box size="0.08 0.08 0.02"/></geometry></collision>
    <visual><geometry><box size="0.08 0.08 0.02"/></geometry><material name="skin"/></visual></link>
  <link name="thumb"><collision><origin xyz="0.03 0 0" rpy="0 1.5708 0"/>
    <geometry><cylinder radius="0.008" length="0.06"/></geometry></collision></link>
  <link name="middle"><collision><origin xyz="0.03 0 0" rpy="0 1.5708 0"/>
    <geometry><cylinder radius="0.008" length="0.06"/></geometry></collision>
    <collision><origin xyz="0.06 0 0"/><geometry><sphere radius="0.008"/></geometry></collision></link>
  <joint name="thumb_flex" type="revolute"><parent link="palm"/><child link="thumb"/>
    <origin xyz="-0.04 -0.04 0.01"/><axis xyz="0 -1 0"/><limit lower="0" upper="1.5" effort="1" velocity="1"/></joint>
  <joint name="middle_flex" type="revolute"><parent link="palm"/><child link="middle"/>
    <axis xyz="0 -1 0"/><limit lower="0" upper="1.5" effort="1" velocity="1"/></joint>
</robot>
"""
_HAND = """name: toy
side: right
urdf: toy_right.urdf
root_to_palm: {link: palm, xyz: [0, 0, 0], wxyz: [1, 0, 0, 0]}
fingers: [thumb, middle]
fingertips: {thumb: {link: thumb, xyz: [0.06, 0, 0]}, middle: {link: middle, xyz: [0.06, 0, 0], radius: 0.008}}
keypoints: {thumb_tip: {link: thumb, xyz: [0.06, 0, 0]}, middle_tip: {link: middle, xyz: [0.06, 0, 0]}}
"""


@pytest.fixture(scope="module")
def motion(tmp_path_factory) -> HandMotion:
    """A toy hand that comes down to a ball, closes and lifts it, 30 frames."""
    folder = tmp_path_factory.mktemp("hands") / "toy"
    folder.mkdir()
    (folder / "toy_right.urdf").write_text(_URDF)
    (folder / "hand.yaml").write_text(_HAND)
    T, phase = 30, np.linspace(0, 1, 30)
    T_world_palm = np.tile(np.eye(4), (T, 1, 1))
    # Palm down: x forward, z (out of the palm) down, y = z x x.
    T_world_palm[:, :3, :3] = np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1]])
    T_world_palm[:, 2, 3] = 0.1 + 0.2 * np.abs(phase - 0.5)
    T_world_object = np.tile(np.eye(4), (T, 1, 1))
    T_world_object[:, 2, 3] = 0.03 + 0.2 * (phase - 0.5).clip(min=0)
    normals = np.random.default_rng(0).normal(size=(300, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return HandMotion(
        hand=str(folder),
        fps=30.0,
        joint_names=("thumb_flex", "middle_flex"),
        qpos=np.stack([phase, phase], axis=1),
        T_world_palm=T_world_palm,
        T_world_object=T_world_object,
        object_points=0.03 * normals,
        object_normals=normals,
        instruction="lift the <ball>",
    )


def test_html_is_whole_offline_small_and_quick(motion, tmp_path, capsys):
    before = set(threading.enumerate())
    start = time.process_time()  # the wall clock of a busy machine tells nothing
    points = np.random.default_rng(0).normal(size=(60_000, 3))
    scene = (points, np.full((60_000, 3), 90, dtype=np.uint8))
    viewer.write_html(motion, tmp_path / "a.html", scene=scene, before=motion)
    assert time.process_time() - start < 8
    page = (tmp_path / "a.html").read_text()
    assert len(page) < 5e6
    assert page.rstrip().endswith("</html>")
    # Nothing is fetched: no tag or style names an address outside the file.
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", page)
    assert "lift the &lt;ball&gt;" in page
    assert "lift the <ball>" not in page
    assert capsys.readouterr().out == ""  # stdout belongs to --json
    assert [t for t in set(threading.enumerate()) - before if not t.daemon and t.is_alive()] == []


def test_html_records_every_frame(motion, tmp_path, monkeypatch):
    sleeps = []
    original = StateSerializer.insert_sleep
    monkeypatch.setattr(
        StateSerializer,
        "insert_sleep",
        lambda self, seconds: (sleeps.append(seconds), original(self, seconds))[1],
    )
    viewer.write_html(motion, tmp_path / "a.html")
    assert sleeps[1:-1] == [1 / 30] * 29


def test_html_of_a_bare_motion_of_one_frame(motion, tmp_path):
    bare = HandMotion(
        hand=motion.hand,
        fps=30.0,
        joint_names=motion.joint_names,
        qpos=motion.qpos[:1],
        T_world_palm=motion.T_world_palm[:1],
    )
    viewer.write_html(bare, tmp_path / "a.html")
    viewer.write_frames_png(bare, tmp_path / "a.png")
    assert (tmp_path / "a.html").stat().st_size > 1e5


def test_bad_input_leaves_nothing_behind(motion, tmp_path):
    with pytest.raises(ValueError, match="Hand 'nobody' not found"):
        viewer.write_html(motion.replace(hand="nobody"), tmp_path / "a.html")
    with pytest.raises(ValueError, match="before"):
        viewer.write_html(
            motion,
            tmp_path / "a.html",
            before=HandMotion(
                hand=motion.hand,
                fps=30.0,
                joint_names=motion.joint_names,
                qpos=motion.qpos[:2],
                T_world_palm=motion.T_world_palm[:2],
            ),
        )
    with pytest.raises(ValueError, match="outside the motion"):
        viewer.write_frames_png(motion, tmp_path / "a.png", [0.0, 5.0])
    assert list(tmp_path.iterdir()) == []


def test_serve_answers_until_interrupted(motion, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    seen = []

    def interrupt(_seconds):
        seen.append(urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).status)
        raise KeyboardInterrupt

    monkeypatch.setattr(player, "time", type("Clock", (), {"sleep": staticmethod(interrupt)}))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        viewer.serve(motion, port=port)
    assert seen == [200]
    assert f"http://127.0.0.1:{port}" in printed.getvalue()
    with socket.socket() as probe:  # the port is free again
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_camera_sees_hand_and_object_in_every_frame(motion):
    view = stills._View(motion)
    hand = load_hand(motion.hand)
    poses = framing.link_poses(motion, hand)
    for frame in range(0, len(motion), 7):
        facets, _ = stills.hand_facets(hand.geometry, poses[frame])
        image, depth = view(facets)
        assert (depth > 0.05).all()
        assert np.abs(image / [framing._ASPECT, 1]).max() < 1


@pytest.mark.parametrize(
    ("kind", "size", "volume"),
    [("box", (0.1, 0.2, 0.3), 0.006), ("cylinder", (0.1, 0.4), np.pi * 0.004), ("sphere", (0.1,), 4e-3 * np.pi / 3)],
)
def test_facets_enclose_the_solid_and_face_outwards(kind, size, volume):
    """Gauss: the enclosed volume is a third of the surface integral of x · n; 20 facets round lose under 6 %."""
    quads = stills._quads(kind, size)
    total = 0.0
    for a, b, c in ((0, 1, 2), (0, 2, 3)):
        total += np.einsum("ij,ij->i", quads[:, a], np.cross(quads[:, b], quads[:, c])).sum() / 6
    assert total == pytest.approx(volume, rel=0.06)


def test_png_shows_hand_object_and_three_moments(motion, tmp_path):
    from PIL import Image

    viewer.write_frames_png(motion, tmp_path / "a.png")
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    thirds = np.split(picture[:, : picture.shape[1] // 3 * 3], 3, axis=1)
    assert np.abs(thirds[0] - thirds[2]).max() > 100  # it moved
    for third in thirds:
        red, green, blue = third.reshape(-1, 3).T
        assert ((blue > red + 40) & (blue > green + 20)).sum() > 300  # the hand is blue
        assert ((red > blue + 60) & (red > green + 20)).sum() > 300  # the object orange
