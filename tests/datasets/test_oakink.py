import json
import os
import pickle

import numpy as np
import pytest
from dataset_builders import BOX
from oakink_builders import HANDOVER, HEIGHT, LIFT, OakInkFiles, Scene, handover_scene, lift_scene

from unihm.cli import main
from unihm.datasets.base import DATASETS
from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.motion_store import read_motions
from unihm.datasets.oakink import OakInkReader
from unihm.datasets.oakink_names import CATEGORY_NAMES, category_names
from unihm.datasets.object_names import is_plural
from unihm.datasets.splits import split
from unihm.kinematics.keypoints import MIDDLE_MCP

READER = OakInkReader(points=128)


@pytest.fixture(params=[True, False], ids=["board down", "board up"])
def both(tmp_path, request) -> OakInkFiles:
    """Two recordings, of which one has two hands, by a board of either sense."""
    files = OakInkFiles(tmp_path / "oakink", board_down=request.param)
    files.add(LIFT, lift_scene())
    files.add(HANDOVER, handover_scene())
    files.write()
    return files


@pytest.fixture
def one(tmp_path) -> OakInkFiles:
    """One recording of one hand."""
    files = OakInkFiles(tmp_path / "oakink")
    files.add(LIFT, lift_scene())
    files.write()
    return files


def read(files: OakInkFiles, reader: OakInkReader = READER):
    skipped = []
    return list(reader.episodes(files.root, skipped.append)), skipped


def test_the_world_is_found_again(both):
    assert DATASETS["oakink"] is OakInkReader
    (lift, handover), skipped = read(both)
    assert [(s.id, s.reason) for s in skipped] == [
        (f"oakink/{HANDOVER}/1", "hand is not at the object when it leaves its rest")
    ]
    scene = lift_scene()
    np.testing.assert_allclose(lift.keypoints_world, scene.hands[0], atol=1e-5)
    np.testing.assert_allclose(lift.T_world_object, scene.T_world_object, atol=1e-5)
    # By hand: the box's centre is 0.6 m ahead, half its height up, and ends 10 cm further, 2 cm right, 25 cm higher.
    np.testing.assert_allclose(lift.T_world_object[0, :3, 3], [0.6, 0, 0.08], atol=1e-5)
    np.testing.assert_allclose(lift.T_world_object[-1, :3, 3], [0.7, -0.02, 0.33], atol=1e-5)
    np.testing.assert_allclose(lift.T_world_camera[:3, 3], [0, 0, HEIGHT], atol=1e-5)
    np.testing.assert_allclose(lift.T_world_camera[:3, 0], [0, -1, 0], atol=1e-6)  # the image's right is -y
    assert np.abs(lift.object_points).max(axis=0) == pytest.approx(BOX)  # about its middle, wherever the file has it
    assert np.abs(handover.object_points).max(axis=0) == pytest.approx(BOX, rel=1e-6)
    assert (lift.id, lift.recording) == (f"oakink/{LIFT}/0", f"oakink/{LIFT}")
    assert (lift.subject, lift.object_name, lift.mirrored) == ("0002", "A01001", False)
    assert 20 <= lift.lift_frame <= 22
    assert 0 < lift.contact_frame <= lift.lift_frame
    assert dict(lift.attributes) == {
        "intent": "liftup",
        "category": "mug",
        "camera": "north_east",
        "recorded_fps": "30.0",
        "table_over_board_mm": "-5.0",
    }
    assert len(set(lift.instructions)) >= 5
    assert all("mug" in sentence or "cup" in sentence for sentence in lift.instructions)


def test_half_the_frame_rate_is_filled_up_and_the_giver_is_followed_until_it_lets_go(both):
    (_, handover), _ = read(both)
    scene = handover_scene()
    assert handover.fps == 30
    assert handover.attributes["recorded_fps"] == "15.0"
    assert handover.subject == "0001"
    # Its tips are at the box until 36 steps of two images; after the next step they are 10 cm away, half way 5 cm.
    assert 73 <= len(handover) <= 75
    np.testing.assert_allclose(handover.keypoints_world[0:73:2], scene.hands[0][:37], atol=1e-5)
    between = (scene.hands[0][20:36] + scene.hands[0][21:37]) / 2
    np.testing.assert_allclose(handover.keypoints_world[41:73:2], between, atol=1e-5)
    middle = (scene.position[20:36] + scene.position[21:37]) / 2
    np.testing.assert_allclose(handover.T_world_object[41:73:2, :3, 3], middle, atol=1e-5)
    assert "pair of" in " ".join(handover.instructions)


def test_another_camera_sees_the_same(one):
    (first,), _ = read(one)
    (other,), _ = read(one, OakInkReader(points=128, camera=2))
    assert other.attributes["camera"] == "north_west"
    np.testing.assert_allclose(other.keypoints_world[..., 2], first.keypoints_world[..., 2], atol=1e-5)
    # Seen from the far side of the box, at 0.6 m as well.
    np.testing.assert_allclose(other.keypoints_world[..., 0], 1.2 - first.keypoints_world[..., 0], atol=1e-5)
    one.samples = [sample for sample in one.samples if sample[3] in (1, 3)]
    one.write()
    assert read(one)[0][0].attributes["camera"] == "south_east"


HIGHER = np.array([0, 0, 0.2])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: Scene(s.position, s.hands, [f + 4 * (f > 30) for f in s.frames]), "more than 2 frames in a row"),
        (lambda s: Scene(s.position[10:25], [h[10:25] for h in s.hands], s.frames[10:25]), "fewer than 16 frames"),
        (lambda s: Scene(s.position[:1] + 0 * s.position, s.hands, s.frames), "object never leaves its rest"),
        (lambda s: Scene(s.position + HIGHER, [h + HIGHER for h in s.hands], s.frames), "does not start on the table"),
    ],
    ids=["gap", "short", "rest", "in the air"],
)
def test_unusable_recordings_are_left_out_with_a_reason(tmp_path, change, reason):
    files = OakInkFiles(tmp_path / "oakink")
    files.add(LIFT, change(lift_scene()))
    files.write()
    episodes, (skipped,) = read(files)
    assert episodes == []
    assert reason in skipped.reason


def test_objects_without_a_category_are_left_out(one):
    (one.root / "shape" / "metaV2" / "object_id.json").write_text(json.dumps({"A01001": {"name": "thing"}}))
    assert read(one)[1][0].reason == "object has no category in object_id.json"


class Evil:
    """A pickle of this would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


FIRST, LATER = (LIFT, 0, 16, 0), (LIFT, 0, 20, 0)


def turn(info):
    return info | {"cam_extr": info["cam_extr"].inverse()}


def nearer(info):
    info["cam_extr"][:3, 3] *= 0.05
    return info


@pytest.mark.parametrize(
    ("kind", "name", "change", "words"),
    [
        ("hand_j", LATER, lambda a: a * np.nan, "holds NaN"),
        ("hand_j", LATER, lambda a: a[:20], r"holds \(20, 3\), expected numbers of shape \(21, 3\)"),
        ("hand_j", LATER, lambda a: "text", "holds str, expected numbers"),
        ("obj_transf", LATER, lambda a: 2 * a, "holds no pose"),
        ("general_info", FIRST, lambda a: {}, "lacks 'cam_extr'"),
        ("general_info", FIRST, turn, "do not turn the object as obj_transf does"),
        ("general_info", FIRST, nearer, "mm over the table, expected 100 or more"),
    ],
)
def test_wrong_annotations_give_one_clear_line(one, kind, name, change, words):
    path = one.change(kind, name, change)
    if change is nearer:
        one.change(kind, (LIFT, 0, 55, 0), change)
    with pytest.raises(ValueError, match=words) as error:
        read(one)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_damaged_and_malicious_files_give_one_clear_line(one, tmp_path):
    def fails(path, words):
        with pytest.raises(ValueError, match=words) as error:
            read(one)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)

    path = one.path("hand_j", *LATER)
    path.write_bytes(pickle.dumps(Evil(tmp_path / "made")))
    fails(path, "is refused: it asks for 'posix.system'")
    assert not (tmp_path / "made").exists()
    path.write_bytes(path.read_bytes()[:20])
    fails(path, "is damaged or not a pickle")
    path.unlink()
    fails(path, "does not exist")
    (one.root / "image" / "obj" / "A01001.obj").unlink()
    fails(one.root / "image" / "obj" / "A01001.obj", "Object mesh .* does not exist")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("{}", "expected a list of samples"),
        ('[["A01001_0003_0002/x", 0, 1]]', "is not .sequence, subject, frame, camera"),
        ('[["A01001_0009_0002/x", 0, 1, 0]]', "is not named like"),
        ('[["../../0003_0002/x", 0, 1, 0]]', "is not named like"),
        ('[["A01001_0003_0002/x", 1, 1, 0]]', r"has 1 subject\(s\), but one numbered 1"),
        ('[["A01001_0003_0002/x", 0, 1, 4]]', "was seen by camera 4"),
    ],
)
def test_wrong_lists_of_samples_give_one_clear_line(one, text, words):
    path = one.anno / "seq_all.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=words) as error:
        read(one)
    assert str(path) in str(error.value)


def test_missing_folders_are_named(one):
    for path in (one.anno / "seq_all.json", one.root / "shape" / "metaV2" / "object_id.json"):
        path.unlink()
        with pytest.raises(ValueError, match="does not exist") as error:
            read(one)
        assert str(path) in str(error.value)


def test_words_are_for_one_thing_and_held_out_words_are_new():
    for names in CATEGORY_NAMES.values():
        known = {names.name, *names.synonyms}
        assert names.held_out
        assert not known & set(names.held_out)
        assert not any(is_plural(name) for name in (*known, *names.held_out))
    assert category_names("salad_spinner").name == "salad spinner"


def test_imported_and_retargeted(one, tmp_path):
    store = tmp_path / "store"
    assert main(["data", "import", "oakink", str(one.root), str(store), "--hands", "panda", "--workers", "1"]) == 0
    (episode,) = read_episodes(store)
    motion = read_motions(store, "panda")[episode.id]
    assert len(motion) == len(episode) == 40
    away = np.linalg.norm(motion.T_world_palm[:, :3, 3] - episode.keypoints_world[:, MIDDLE_MCP], axis=1)
    assert away.max() < 0.1
    records = episode_table(store)
    assert sum(len(split("oakink", part, records)) for part in ("train", "validation", "seen", "unseen")) == 1
    with pytest.raises(ValueError, match=r"no attribute 'object_position': the splits are those of DexYCB"):
        split("release", "train", records)


def test_no_episode_at_all_is_one_line(one, tmp_path, capsys):
    (one.root / "shape" / "metaV2" / "object_id.json").write_text("{}")
    assert main(["data", "import", "oakink", str(one.root), str(tmp_path / "store"), "--hands", "panda"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
