"""Films and sheets, read back with the decoder."""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
from PIL import Image

from unihm.geometry.camera import Camera
from unihm.hands.description import describe_hand
from unihm.simulation.command import Command
from unihm.simulation.constants import DRAWER_TRAVEL
from unihm.simulation.fixtures import Drawer
from unihm.simulation.rendering import render_model
from unihm.simulation.rollout import simulate
from unihm.simulation.solid_object import object_of_thing
from unihm.simulation.things import Thing
from unihm.simulation.video import contact_sheet, film, film_camera, write_video
from unihm.simulation.world import build_world


def frames_of(path) -> list[np.ndarray]:
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def lifted():
    """A gripper that rises over a can, in a world that is not at the origin."""
    hand = describe_hand("panda")
    T = np.tile(np.eye(4), (2, 1, 1))
    T[:, :3, :3] = np.column_stack([[0, 0, -1.0], [0, 1, 0], [1, 0, 0]])
    T[:, :3, 3] = [[0.4, 0.3, 0.25], [0.4, 0.3, 0.35]]
    command = Command(times=np.array([0.0, 0.4]), T_world_palm=T, qpos=np.tile(hand.rest_qpos, (2, 1)))
    thing = Thing(name="can", kind="can", size=(0.05, 0.05, 0.1), color=(0.8, 0.1, 0.1), position=(0.0, 0.0))
    T_object = np.eye(4)
    T_object[:2, 3] = 0.42, 0.3
    world = build_world(hand, T[0], object=object_of_thing(thing, 0.2), T_world_object=T_object)
    return world, simulate(world, command, seconds=0.4, settle=0.0)


def test_video_is_what_was_written(tmp_path):
    pytest.importorskip("av")
    pictures = [np.full((48, 64, 3), [20 * i, 100, 200 - 15 * i], dtype=np.uint8) for i in range(10)]
    assert write_video(iter(pictures), tmp_path / "a.mp4", 25.0) == 10
    decoded = frames_of(tmp_path / "a.mp4")
    assert len(decoded) == 10
    for ours, theirs in zip(pictures, decoded, strict=True):
        assert np.abs(ours.astype(int) - theirs).mean() < 4
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    odd = [np.full((47, 63, 3), 128, dtype=np.uint8)] * 3
    write_video(odd, tmp_path / "odd.mp4", 29.97)
    assert frames_of(tmp_path / "odd.mp4")[0].shape == (48, 64, 3)


def test_film_shows_the_rollout_in_real_time(lifted, tmp_path):
    pytest.importorskip("av")
    world, rollout = lifted
    camera = film_camera(world, rollout, (160, 120))
    assert film(world, rollout, tmp_path / "film.mp4", camera=camera, fps=10.0, backend="rays") == 5
    decoded = frames_of(tmp_path / "film.mp4")
    import mujoco

    data = mujoco.MjData(world.model)
    for frame, record in zip(decoded, (0, 10, 20, 30, 40), strict=True):
        data.qpos[:] = rollout.configuration[record]
        mujoco.mj_kinematics(world.model, data)
        expected = render_model(world.model, data, camera, backend="rays").color
        assert np.abs(frame.astype(int) - expected).mean() < 6
    assert np.abs(decoded[0].astype(int) - decoded[-1]).mean() > 2  # the hand moved


def test_camera_holds_hand_and_object(lifted):
    world, rollout = lifted
    camera = film_camera(world, rollout, (160, 120))
    import mujoco

    data = mujoco.MjData(world.model)
    for record in (0, 20, 40):
        data.qpos[:] = rollout.configuration[record]
        mujoco.mj_kinematics(world.model, data)
        seen = render_model(world.model, data, camera, backend="rays").segmentation
        body = (world.geom_link >= 0) | world.geom_object
        v, u = np.nonzero((seen >= 0) & np.append(body, False)[seen])
        assert len(u) > 0.03 * seen.size
        assert u.min() > 0
        assert v.min() > 0
        assert u.max() < 159
        assert v.max() < 119
        assert world.geom_object[seen[seen >= 0]].sum() > 100


def test_camera_sees_the_handle_of_a_drawer():
    hand = describe_hand("panda")
    T = np.eye(4)
    T[:3, 3] = 0.25, 0.0, 0.2
    T[:3, :3] = np.column_stack([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])  # it points at the cabinet
    world = build_world(hand, T, fixture=Drawer())
    command = Command(times=np.array([0.0]), T_world_palm=T[None], qpos=hand.rest_qpos[None])
    rollout = simulate(world, command, seconds=0.1, settle=0.0)
    assert world.fixture.upper == DRAWER_TRAVEL
    camera = film_camera(world, rollout)
    outward = world.fixture.T_world_handle[:3, 0]
    eye = camera.T_world_camera[:3, 3]
    assert (eye - world.fixture.T_world_handle[:3, 3]) @ outward > 0.1


def test_contact_sheet(lifted, tmp_path):
    world, rollout = lifted
    contact_sheet(world, rollout, tmp_path / "six.png", camera=film_camera(world, rollout, (80, 60)), backend="rays")
    assert Image.open(tmp_path / "six.png").size == (240, 120)
    contact_sheet(world, rollout, tmp_path / "two.png", [0.0, 0.2], film_camera(world, rollout, (80, 60)), "rays")
    sheet = np.array(Image.open(tmp_path / "two.png"))
    assert sheet.shape == (60, 160, 3)
    assert (sheet[20:, :80] != sheet[20:, 80:]).any()
    with pytest.raises(ValueError, match=r"0.5 s lies outside the rollout, which lasts from 0 to 0.40 s"):
        contact_sheet(world, rollout, tmp_path / "late.png", [0.0, 0.5])
    with pytest.raises(ValueError, match="No time was given"):
        contact_sheet(world, rollout, tmp_path / "none.png", [])


def test_wrong_input(lifted, tmp_path, monkeypatch):
    world, rollout = lifted
    picture = np.zeros((48, 64, 3), dtype=np.uint8)
    pytest.importorskip("av")
    with pytest.raises(ValueError, match=r"written as .mp4, got '.*film.avi'"):
        write_video([picture], tmp_path / "film.avi", 25.0)
    with pytest.raises(ValueError, match="fps is 0"):
        write_video([picture], tmp_path / "a.mp4", 0.0)
    with pytest.raises(ValueError, match="There is no frame"):
        write_video([], tmp_path / "a.mp4", 25.0)
    with pytest.raises(ValueError, match=r"Frame 1 of the video has shape \(40, 64, 3\)"):
        write_video([picture, picture[:40]], tmp_path / "a.mp4", 25.0)
    assert list(tmp_path.iterdir()) == []
    camera = film_camera(world, rollout)
    other = dataclasses.replace(rollout, configuration=rollout.configuration[:, :-1])
    with pytest.raises(ValueError, match="14 coordinates, its world would have 15"):
        film(world, other, tmp_path / "a.mp4", camera=camera, backend="rays")
    with pytest.raises(ValueError, match="T_world_camera"):
        film(world, rollout, tmp_path / "a.mp4", camera=Camera(**{**camera.__dict__, "T_world_camera": None}))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ValueError, match=r"needs PyAV: pip install 'unihm\[simulation\]'"):
        write_video([picture], tmp_path / "a.mp4", 25.0)
