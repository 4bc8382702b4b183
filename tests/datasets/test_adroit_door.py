import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unihm.datasets.adroit_door import (
    ARM,
    FILE,
    FINGER_COLUMNS,
    JOINTS,
    AdroitDoorReader,
    lever_pose,
    palm_keypoints,
    palm_rotation,
    track,
)
from unihm.datasets.base import DATASETS
from unihm.hands.description import describe_hand
from unihm.kinematics.keypoints import INDEX_MCP, MIDDLE_MCP, THUMB_TIP, TIPS, WRIST
from unihm.sources.checks import check_keypoints

FOREARM, UPPER_ARM, SITE = np.array([0.0, -0.7, 0.2]), 0.396, np.array([0.007, -0.05, 0.07])


@pytest.fixture(scope="module")
def recorded(shared_data):
    path = shared_data / "adroit_door" / FILE
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with np.load(path) as file:
        arrays = dict(file)
    return np.split(arrays["observations"], np.cumsum(arrays["lengths"])[:-1]), arrays["door_body_pos"]


@pytest.fixture(scope="module")
def episodes(shared_data, recorded):
    return list(DATASETS["adroit_door"]().episodes(shared_data / "adroit_door"))


def before(observations):
    """Angles when positions were recorded: a fifth of a step earlier; without the first frame."""
    return observations[1:, :29] - 0.2 * np.diff(observations[:, :29], axis=0)


def test_the_angles_say_where_the_handle_is(recorded):
    """The recorded site is 5 cm along the lever from its middle."""
    errors = []
    for observations, body in zip(*recorded, strict=True):
        latch, door = before(observations).T[27:29]
        rotation, middle = lever_pose(door, latch, body)
        errors.append(np.linalg.norm(middle + rotation.apply([0.05, 0, 0]) - observations[1:, 32:35], axis=1))
    errors = np.concatenate(errors)
    assert errors.max() < 1e-3
    assert errors.mean() < 5e-5


def test_the_angles_of_arm_and_wrist_say_where_the_palm_is(recorded):
    """But for the slide along the forearm, which was not recorded: across it, and within its limits."""
    for observations, _ in zip(*recorded, strict=True):
        arm = before(observations)[:, : len(ARM)]
        start = Rotation.from_euler("XYZ", [-1.57, 0.0, 3.14])
        forearm = start * Rotation.from_euler("XYZ", arm[:, :3])
        wrist = forearm * Rotation.from_rotvec(arm[:, 3:4] * [0, 1, 0])
        found = FOREARM + forearm.apply([0, 0, UPPER_ARM]) + wrist.apply([0, 0, 0.034]) + palm_rotation(arm).apply(SITE)
        away = observations[1:, 29:32] - found
        along = start.apply([0, 0, 1])
        slide = away @ along
        assert np.linalg.norm(away - slide[:, None] * along, axis=1).max() < 1.2e-3
        assert (slide > -0.31).all()
        assert (slide < 0.51).all()


def test_palm_and_handle_are_as_far_apart_as_recorded(recorded):
    """At 30 Hz, where a frame is one that was recorded: every tenth of a second."""
    reader = AdroitDoorReader()
    assert reader.options == {"points": 1024, "seed": 0}
    for observations, body in zip(*recorded, strict=True):
        keypoints, T_world_lever = track(observations, body)
        at = np.arange(0, len(observations) - 1, 10)[: len(keypoints[::3])]
        palm = palm_keypoints(observations[at, len(ARM) : 27])
        # the recorded point of the palm, found again from three keypoints that the palm carries
        corners = [WRIST, INDEX_MCP, MIDDLE_MCP]
        turn = [
            Rotation.align_vectors(k[corners] - k[0], p[corners] - p[0])[0]
            for k, p in zip(keypoints[::3], palm, strict=True)
        ]
        site = np.array([k[0] + r.apply(SITE - p[0]) for k, r, p in zip(keypoints[::3], turn, palm, strict=True)])
        handle = T_world_lever[::3, :3, 3] + T_world_lever[::3, :3, :3] @ [0.05, 0, 0]
        # a step of 10 ms is up to 3 cm in which the recorded vector is 2 ms older than the angles
        expected = np.linalg.norm(observations[at, 35:38], axis=1)
        assert np.abs(np.linalg.norm(site - handle, axis=1) - expected).max() < 0.011
        assert np.abs(np.linalg.norm(site - handle, axis=1) - expected).mean() < 2e-3


def test_the_lever_goes_as_door_and_latch_turn(recorded, episodes):
    for episode, observations in zip(episodes, recorded[0], strict=True):
        R = episode.T_world_object[:, :3, :3]
        at = np.arange(0, len(observations) - 1, 10)
        # the latch turns about what the door turns: the lever's y axis stays level
        door = np.arctan2(*np.moveaxis(R[:, :2, 1], 1, 0)[::-1])[::3]
        latch = np.arcsin(np.clip(-R[:, 2, 0], -1, 1))[::3]
        np.testing.assert_allclose(door, observations[at, 28], atol=1e-9)
        np.testing.assert_allclose(np.sin(latch), np.sin(observations[at, 27]), atol=1e-9)


def test_hands_open_the_door_by_the_lever(episodes):
    assert len(episodes) == 25
    assert {episode.attributes["part"] for episode in episodes} == {"train", "validation"}
    gaps = []
    for episode in episodes:
        check_keypoints(episode.keypoints_world, "right", episode.id)
        assert episode.fps == 30.0
        assert len(set(episode.instructions)) >= 5
        assert 0 < episode.contact_frame <= episode.lift_frame < len(episode)
        assert episode.keypoints_world[..., 2].min() > 0  # nothing is in the table
        assert 0.2 < np.linalg.norm(episode.keypoints_world[0, MIDDLE_MCP] - episode.T_world_object[0, :3, 3]) < 0.6
        away = np.linalg.norm(episode.T_world_object[:, :3, 3] - episode.T_world_object[0, :3, 3], axis=1)
        pulled = int((away > 0.2).argmax())
        T = episode.T_world_object[pulled]
        tips = (episode.keypoints_world[pulled, list(TIPS)] - T[:3, 3]) @ T[:3, :3]
        axis = np.stack([tips[:, 0].clip(-0.1, 0.1), *np.zeros((2, len(tips)))], axis=1)
        gaps.append(np.linalg.norm(tips - axis, axis=1) - 0.02)
        speed = np.linalg.norm(np.diff(episode.keypoints_world[:, MIDDLE_MCP], axis=0), axis=1) * episode.fps
        assert 0.1 < np.median(speed) < 1.5  # m/s; at a tenth of the rate, people would creep
    gaps = np.array(gaps)
    assert np.median(gaps[:, TIPS.index(THUMB_TIP)]) < 0.006
    assert np.median(gaps) < 0.012
    assert gaps.min() > -0.004


def test_every_joint_of_the_hand_is_named_once():
    assert len(FINGER_COLUMNS) == 22
    assert sorted(JOINTS[name][0] for name in FINGER_COLUMNS) == sorted(describe_hand("shadow").joint_names)
    assert set(JOINTS) == set(FINGER_COLUMNS)


def test_bent_fingers_and_the_thumb_come_to_the_palm():
    """Adroit's fingers bend with positive angles, the thumb's end with negative ones; the palm looks along -y."""
    bent = np.zeros((1, 22))
    for name in ("FFJ2", "FFJ1", "MFJ2", "RFJ2", "LFJ2"):
        bent[0, FINGER_COLUMNS.index(name)] = 1.0
    bent[0, FINGER_COLUMNS.index("THJ0")] = -1.0
    moved = (palm_keypoints(bent) - palm_keypoints(np.zeros((1, 22))))[0, list(TIPS)]
    assert (moved[1:, 1] < -0.03).all()
    assert moved[0, 0] < -0.01  # over the palm, to the little finger


def test_what_is_no_demonstration_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"door_v0_demos\.npz' cannot be read"):
        next(AdroitDoorReader().episodes(tmp_path))
    np.savez(tmp_path / FILE, observations=np.zeros((3, 38)), lengths=[3], door_body_pos=np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"observations has shape \(3, 38\)"):
        next(AdroitDoorReader().episodes(tmp_path))
    np.savez(tmp_path / FILE, observations=np.zeros((3, 39)), lengths=[4], door_body_pos=np.zeros((1, 3)))
    with pytest.raises(ValueError, match="do not add up"):
        next(AdroitDoorReader().episodes(tmp_path))
    np.savez(tmp_path / FILE, observations=np.zeros((30, 39)), lengths=[30], door_body_pos=np.zeros((1, 3)))
    skipped = []
    assert list(AdroitDoorReader().episodes(tmp_path, skipped.append)) == []
    assert skipped[0].reason == "the handle never moves"
