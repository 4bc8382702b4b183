import json

import numpy as np
import pytest
from dataset_builders import BOX, HEIGHT, PITCH, SUBJECTS, Recordings
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from unihm.datasets.base import DATASETS
from unihm.datasets.dexycb import OBJECT_POSITIONS, DexYcbReader, camera_over_table
from unihm.datasets.object_names import OBJECT_NAMES
from unihm.kinematics.keypoints import INDEX_MCP, MIDDLE_MCP, PINKY_MCP, TIPS, WRIST

READER = DexYcbReader(points=128)


def object_world(episode, frame):
    T = episode.T_world_object[frame]
    return episode.object_points @ T[:3, :3].T + T[:3, 3]


def box_corners(episode):
    """The eight corners of the box in the world in every frame, in an order that their positions decide."""
    corners = BOX * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    T = episode.T_world_object
    world = np.einsum("tij,nj->tni", T[:, :3, :3], corners) + T[:, None, :3, 3]
    order = np.lexsort(np.round(world, 4).transpose(2, 0, 1), axis=-1)
    return np.take_along_axis(world, order[..., None], axis=1)


def palmar_bend(keypoints):
    """Positive where fingers bend to the palm of a right hand, by the right-hand rule; negative for a left hand."""
    wrist = keypoints[:, WRIST]
    palmar = np.cross(keypoints[:, MIDDLE_MCP] - wrist, keypoints[:, PINKY_MCP] - keypoints[:, INDEX_MCP])
    tips = keypoints[:, TIPS[1:]].mean(axis=1) - keypoints[:, MIDDLE_MCP]
    return np.einsum("td,td->t", palmar / np.linalg.norm(palmar, axis=1, keepdims=True), tips)


def test_the_registry_knows_it():
    assert DATASETS["dexycb"] is DexYcbReader
    with pytest.raises(ValueError, match="Did you mean 'dexycb'"):
        DATASETS["dexycv"]


def test_camera_over_table_is_the_foot_frame():
    up = np.array([0.0, -np.cos(PITCH), -np.sin(PITCH)])
    T = camera_over_table(up, -HEIGHT)
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1)
    np.testing.assert_allclose(T[:3, 3], [0, 0, HEIGHT])
    np.testing.assert_allclose(T[:3, :3] @ up, [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(T[:3, 2], [np.cos(PITCH), 0, -np.sin(PITCH)], atol=1e-12)  # looks along +x, down
    np.testing.assert_allclose(T[:3, 0], [0, -1, 0], atol=1e-12)  # the image's right is -y


def test_synthetic_recording_stands_on_the_table_and_rises(synthetic_root):
    episodes = list(READER.episodes(synthetic_root))
    assert len(episodes) == 8
    episode = episodes[0]
    assert len(episode) == 37  # three frames without a hand are cut off
    assert object_world(episode, 0)[:, 2].min() == pytest.approx(0, abs=2e-3)  # 128 points miss the very edge
    # The box's centre, as `lift_in_camera` put it: 0.6 m ahead of the camera's foot, 8 cm up.
    np.testing.assert_allclose(episode.T_world_object[0, :3, 3], [0.6, 0, BOX[2]], atol=1e-5)
    np.testing.assert_allclose(episode.T_world_object[-1, :3, 3], [0.7, -0.02, BOX[2] + 0.25], atol=1e-5)
    heading = Rotation.from_matrix(episode.T_world_object[0, :3, :3]).as_rotvec()
    assert abs(heading[2]) == pytest.approx(np.pi / 2 - 0.4, abs=1e-5)  # x to the right is -y: a quarter turn between
    np.testing.assert_allclose(heading[:2], 0, atol=1e-5)
    assert 15 <= episode.lift_frame <= 21
    assert episode.contact_frame <= episode.lift_frame
    assert len(set(episode.instructions)) >= 5


def test_a_left_hand_seen_in_a_mirror_is_the_right_hand(synthetic_root):
    episodes = {e.recording: e for e in READER.episodes(synthetic_root)}
    for subject in SUBJECTS:
        right, left = episodes[f"dexycb/{subject}/2020_00"], episodes[f"dexycb/{subject}/2020_01"]
        assert (right.mirrored, left.mirrored) == (False, True)
        np.testing.assert_allclose(left.keypoints_world, right.keypoints_world, atol=1e-5)
        # The box is its own mirror image, so its corners are the same; which is which depends on the object's frame.
        np.testing.assert_allclose(box_corners(left), box_corners(right), atol=1e-5)
        np.testing.assert_allclose(left.T_world_camera, right.T_world_camera, atol=1e-9)
        assert left.lift_frame == right.lift_frame


def test_attributes_hold_what_the_splits_need(synthetic_root):
    episodes = list(READER.episodes(synthetic_root))
    first = episodes[0].attributes
    assert first["subject_number"] == "1"
    assert first["object_position"] == "1"
    assert first["unihm_split"] == "train"
    assert abs(float(first["start_height_mm"])) < 2
    trials = {e.recording.split("/")[-1]: e.attributes["trial"] for e in episodes if e.subject == SUBJECTS[1]}
    assert trials == {"2020_00": "0", "2020_01": "1", "2020_10": "2", "2020_11": "3"}


def test_unusable_recordings_are_left_out_with_a_reason(write_synthetic):
    calls = iter(range(8))

    def damage(arrays):
        number = next(calls)
        valid = arrays["hand_valid"]
        if number == 0:
            valid[:] = False
        elif number == 1:
            valid[10:12] = False
        elif number == 2:
            valid[12:] = False
        elif number == 3:
            for name in ("obj_trans", "obj_quat_xyzw"):
                arrays[name][:] = arrays[name][0]
        return arrays

    skipped = []
    episodes = list(READER.episodes(write_synthetic(damage), skipped.append))
    assert len(episodes) == 4
    assert sorted(s.reason for s in skipped) == [
        "fewer than 16 frames with a hand",
        "hand lost in the middle",
        "no frame with a hand",
        "object never leaves its rest",
    ]
    assert all(s.id.startswith("dexycb/20200709-subject-01/") for s in skipped)


def rewrite(root, **changes):
    path = root / "dexycb_right.npz"
    with np.load(path) as file:
        arrays = dict(file)
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
        if arrays[name] is None:
            del arrays[name]
    np.savez(path, **arrays)


def test_wrong_files_give_one_clear_line(synthetic_root):
    def fails(message):
        with pytest.raises(ValueError, match=message) as error:
            list(READER.episodes(synthetic_root))
        assert "\n" not in str(error.value)

    rewrite(synthetic_root, obj_trans=lambda a: a[:, :2])
    fails(r"dexycb_right\.npz': obj_trans has shape \(160, 2\), expected \(160, 3\)")
    rewrite(synthetic_root, obj_trans=lambda a: None)
    fails("lacks the array 'obj_trans'")
    (synthetic_root / "dexycb_right.npz").write_bytes(b"PK\x03\x04 cut off")
    fails(r"dexycb_right\.npz' is damaged")
    (synthetic_root / "dexycb_right.npz").unlink()
    fails("does not exist")


def test_nan_in_valid_frames_is_refused(write_synthetic):
    def damage(arrays):
        arrays["joints"][20, 4] = np.nan
        return arrays

    with pytest.raises(ValueError, match="holds NaN in frames marked as valid"):
        list(READER.episodes(write_synthetic(damage)))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("dexycb_right_index.json", lambda v: {}, "expected a list"),
        ("dexycb_right_index.json", lambda v: [{k: e[k] for k in e if k != "start"} for e in v], "lacks start"),
        ("dexycb_right_index.json", lambda v: [e | {"start": 150} for e in v], "lies outside"),
        ("dexycb_right_index.json", lambda v: [e | {"object": "003_craker_box"} for e in v], "mean '003_cracker_box'"),
        ("dexycb_right_index.json", lambda v: [e | {"subject": "me"} for e in v], "is not named like"),
        ("derived_table_plane.json", lambda v: {}, "states no table plane"),
        ("derived_table_plane.json", lambda v: {k: {"up": [0, 0, 1]} for k in v}, "is not usable"),
    ],
)
def test_wrong_json_gives_one_clear_line(synthetic_root, file, change, message):
    path = synthetic_root / file
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ValueError, match=message):
        list(READER.episodes(synthetic_root))
    path.write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        list(READER.episodes(synthetic_root))


def test_missing_object_models_are_named(synthetic_root, tmp_path):
    with pytest.raises(ValueError, match=r"Object mesh .* does not exist"):
        list(DexYcbReader(models=tmp_path / "elsewhere").episodes(synthetic_root))


@pytest.fixture(scope="module")
def real_episodes(shared_data, tmp_path_factory):
    """Twelve real recordings, six of either hand, copied out so that nothing else has to be read."""
    source = shared_data / "dexycb"
    recordings = Recordings(tmp_path_factory.mktemp("real") / "dexycb")
    for side in ("right", "left"):
        index = json.loads((source / f"dexycb_{side}_index.json").read_text())
        with np.load(source / f"dexycb_{side}.npz") as file:
            arrays = {name: file[name] for name in ("joints", "obj_quat_xyzw", "obj_trans", "hand_valid")}
        for entry in index[3::83][:6]:
            frames = slice(entry["start"], entry["start"] + entry["num_frames"])
            cut = {name: value[frames] for name, value in arrays.items()}
            recordings.add(side, entry["subject"], entry["sequence"], entry["object"], entry["unihm_split"], **cut)
    root = recordings.write()
    (root / "derived_table_plane.json").write_bytes((source / "derived_table_plane.json").read_bytes())
    reader = DexYcbReader(models=shared_data / "ycb_models", points=512)
    return list(reader.episodes(root))


def test_real_episodes_rest_on_the_table_and_are_held(real_episodes):
    assert [e.mirrored for e in real_episodes].count(True) == 6
    for episode in real_episodes:
        assert abs(object_world(episode, 0)[:, 2].min()) < 0.012, episode.id
        assert episode.T_world_camera[2, 3] > 0.6
        held = (episode.lift_frame + len(episode)) // 2
        distance, _ = KDTree(object_world(episode, held)).query(episode.keypoints_world[held, list(TIPS)])
        # The thumb and one finger at least; 512 points are 1 cm apart on the largest object.
        assert np.sort(distance)[1] < 0.025, episode.id
        assert episode.T_world_object[-1, 2, 3] > episode.T_world_object[0, 2, 3] + 0.05
        np.testing.assert_allclose(np.linalg.norm(episode.object_normals, axis=1), 1, atol=1e-9)


def test_real_left_hands_become_right_hands_around_the_same_surface(real_episodes, shared_data):
    for episode in real_episodes:
        assert palmar_bend(episode.keypoints_world)[episode.lift_frame :].mean() > 0.01
        assert np.linalg.det(episode.T_world_object[:, :3, :3]) == pytest.approx(np.ones(len(episode)))
    # World points of the reflected object are the reflected world points of the recorded one.
    episode = next(e for e in real_episodes if e.mirrored)
    S = np.diag([1.0, -1, 1])
    recorded = np.loadtxt(shared_data / "ycb_models" / episode.object_name / "points.xyz")
    surface, _ = KDTree(recorded).query(episode.object_points @ S)
    assert np.median(surface) < 0.006


def test_names_cover_the_twenty_objects_of_the_index(shared_data):
    index = json.loads((shared_data / "dexycb" / "dexycb_right_index.json").read_text())
    assert sorted({entry["object"] for entry in index}) == sorted(OBJECT_NAMES) == list(OBJECT_POSITIONS)
