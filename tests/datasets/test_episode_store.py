import json
import os

import numpy as np
import pytest
from dataset_builders import make_episode, make_motion

from unihm.contact_phases import contact_phase
from unihm.datasets.episode_store import episode_table, read_episodes, write_episodes
from unihm.datasets.manifest import hands_in
from unihm.datasets.motion_store import attach, motion_ids, read_motions, write_motions
from unihm.datasets.summary import info

FLOAT32 = dict(rtol=1e-6, atol=1e-6)


@pytest.fixture
def episodes():
    return [make_episode(number, num_frames=12 + number) for number in range(7)]


@pytest.fixture
def store(tmp_path, episodes):
    write_episodes(tmp_path / "store", episodes, shard_size=3)
    return tmp_path / "store"


def shards(store):
    return sorted((store / "episodes").iterdir())


def test_episodes_come_back_as_they_were(store, episodes):
    assert len(shards(store)) == 3
    for before, after in zip(episodes, read_episodes(store), strict=True):
        for name, value in vars(before).items():
            if isinstance(value, np.ndarray):
                np.testing.assert_allclose(getattr(after, name), value, **FLOAT32, err_msg=name)
            else:
                assert getattr(after, name) == value, name


def test_ids_choose_and_order(store, episodes):
    wanted = [episodes[5].id, episodes[0].id]
    assert [episode.id for episode in read_episodes(store, wanted)] == wanted
    assert read_episodes(store, []) == []
    with pytest.raises(ValueError, match="'made/999' is not in the data set"):
        read_episodes(store, ["made/999"])


def test_the_table_knows_everything_but_the_arrays(store, episodes):
    for record, episode in zip(episode_table(store), episodes, strict=True):
        assert record.num_frames == len(episode)
        for name in (
            "id",
            "recording",
            "subject",
            "object_name",
            "mirrored",
            "lift_frame",
            "instructions",
            "attributes",
        ):
            assert getattr(record, name) == getattr(episode, name)


def test_writing_again_replaces_episodes_and_drops_their_motions(store, episodes):
    write_motions(store, "mitten", {e.id: make_motion(e) for e in episodes})
    fingerprint = json.loads((store / "manifest.json").read_text())["fingerprint"]
    write_episodes(store, episodes, shard_size=3)
    assert json.loads((store / "manifest.json").read_text())["fingerprint"] == fingerprint
    assert hands_in(store) == ("mitten",)  # nothing changed, so the motions still belong to the episodes
    write_episodes(store, episodes[:2])
    assert [e.id for e in read_episodes(store)] == [e.id for e in episodes[:2]]
    assert len(shards(store)) == 1
    assert hands_in(store) == ()


def test_a_failing_source_leaves_the_old_store_intact(store, episodes):
    def broken():
        yield from episodes[:4]
        raise RuntimeError("the disk went away")

    with pytest.raises(RuntimeError, match="went away"):
        write_episodes(store, broken(), shard_size=2)
    assert len(read_episodes(store)) == 7
    assert sorted(p.name for p in store.iterdir()) == ["episodes", "manifest.json"]


def test_what_cannot_be_written_is_refused(tmp_path, episodes):
    with pytest.raises(ValueError, match="no episodes to write"):
        write_episodes(tmp_path / "store", [])
    with pytest.raises(ValueError, match="'made/000' occurs twice"):
        write_episodes(tmp_path / "store", [episodes[0], episodes[0]])
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="Cannot write"):
        write_episodes(tmp_path / "file", episodes)
    assert not (tmp_path / "store" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # 21 frames of 20 points are as many numbers as 20 frames of 21: they would be read as another motion
        (lambda e: {"keypoints_world": e.keypoints_world[:, :20]}, r"keypoints_world .*\(21, 20, 3\)"),
        (lambda e: {"object_points": e.object_points[:, :2]}, r"object_points .*, expected \(T, 3\)"),
        (lambda e: {"T_world_object": e.T_world_object[:5]}, "21 frames of the hand, 5 of the object"),
    ],
)  # fmt: skip
def test_arrays_of_another_shape_are_refused(tmp_path, change, message):
    episode = make_episode(num_frames=21)
    for name, value in change(episode).items():
        object.__setattr__(episode, name, value)  # past the check of shapes that tests have and users have not
    with pytest.raises(ValueError, match=rf"Episode 'made/000'.*{message}"):
        write_episodes(tmp_path, [episode])


def test_a_folder_without_or_with_a_damaged_manifest_is_named(store, tmp_path):
    with pytest.raises(ValueError, match="is not a unihm data set"):
        read_episodes(tmp_path)
    for text, message in (
        ("{", "is damaged"),
        ("[]", "is damaged"),
        (json.dumps({"kind": "unihm_dataset", "version": 1}), "is damaged"),
        (json.dumps({"kind": "other", "version": 1}), "describes a 'other'"),
        (json.dumps({"kind": "unihm_dataset", "version": 99}), "format version 99"),
    ):
        (store / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            episode_table(store)


def test_a_damaged_missing_or_foreign_shard_is_named(store):
    first = shards(store)[0]
    content = first.read_bytes()
    first.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{first.name}' is damaged"):
        read_episodes(store)
    os.replace(shards(store)[2], first)  # one episode where the manifest says three
    with pytest.raises(ValueError, match="holds 1 episodes, the manifest says 3"):
        read_episodes(store)
    first.unlink()
    with pytest.raises(ValueError, match=f"{first.name}' does not exist"):
        read_episodes(store)


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    keypoints = np.full((20, 21, 3), np.nan)
    write_episodes(tmp_path, [make_episode(keypoints_world=keypoints)])
    with pytest.raises(ValueError, match="keypoints_world of 'made/000' is missing or holds NaN"):
        read_episodes(tmp_path)


def test_motions_come_back_and_take_on_their_object(store, episodes):
    motions = {e.id: make_motion(e) for e in episodes}
    squeezed = motions[episodes[0].id]
    motions[episodes[0].id] = squeezed.replace(qpos_target=squeezed.qpos + 0.1)
    write_motions(store, "mitten", motions)
    again = read_motions(store, "mitten")
    assert list(again) == list(motions) == motion_ids(store, "mitten")
    for name, motion in again.items():
        assert motion.joint_names == motions[name].joint_names
        assert motion.source == name
        np.testing.assert_allclose(motion.qpos, motions[name].qpos, **FLOAT32)
        np.testing.assert_allclose(motion.T_world_palm, motions[name].T_world_palm, **FLOAT32)
    np.testing.assert_allclose(again[episodes[0].id].qpos_target, squeezed.qpos + 0.1, **FLOAT32)
    assert again[episodes[1].id].qpos_target is None

    wanted = [episodes[3].id, episodes[1].id]
    assert list(read_motions(store, "mitten", wanted)) == wanted
    whole = attach(again[episodes[3].id], episodes[3])
    np.testing.assert_array_equal(whole.T_world_object, episodes[3].T_world_object)
    np.testing.assert_array_equal(whole.object_points, episodes[3].object_points)
    np.testing.assert_array_equal(whole.contact_phase, contact_phase(len(episodes[3]), episodes[3].lift_frame))
    with pytest.raises(ValueError, match="frames"):
        attach(again[episodes[3].id], episodes[4])


def test_motions_that_do_not_fit_are_refused(store, episodes):
    good = {e.id: make_motion(e) for e in episodes}
    with pytest.raises(ValueError, match="there are no motions"):
        write_motions(store, "mitten", {})
    with pytest.raises(ValueError, match=r"Episode 'made/0000' not found\. Did you mean 'made/000'"):
        write_motions(store, "mitten", {"made/0000": good[episodes[0].id]})
    with pytest.raises(ValueError, match="has 12 frames, its episode 13"):
        write_motions(store, "mitten", {episodes[1].id: good[episodes[0].id]})
    with pytest.raises(ValueError, match="of hand 'glove' or has other joints"):
        write_motions(store, "mitten", {**good, episodes[0].id: make_motion(episodes[0], hand="glove")})
    write_motions(store, "mitten", good)
    with pytest.raises(ValueError, match=r"of hand 'mittens' not found\. Did you mean 'mitten'"):
        read_motions(store, "mittens")
    with pytest.raises(ValueError, match="'made/999' is not in the data set"):
        read_motions(store, "mitten", ["made/999"])


def test_motions_of_other_episodes_are_recognised(store, tmp_path, episodes):
    write_motions(store, "mitten", {e.id: make_motion(e) for e in episodes})
    write_episodes(tmp_path / "other", episodes[:2])
    (tmp_path / "other" / "motions").mkdir()
    os.replace(store / "motions" / "mitten.parquet", tmp_path / "other" / "motions" / "mitten.parquet")
    with pytest.raises(ValueError, match="made for other episodes"):
        read_motions(tmp_path / "other", "mitten")


def test_info_counts(store, episodes):
    write_motions(store, "mitten", {e.id: make_motion(e) for e in episodes[:4]})
    facts = json.loads(json.dumps(info(store)))  # plain values only
    assert facts["episodes"] == 7
    assert facts["mirrored"] == 3
    assert facts["frames"] == sum(range(12, 19))
    assert facts["hours"] == pytest.approx(facts["frames"] / 30 / 3600, abs=1e-4)
    assert facts["hands"] == {"mitten": 4}
    assert facts["subjects"] == {"subject-0": 3, "subject-1": 2, "subject-2": 2}
    assert facts["lift_s"] == {"min": 0.3, "median": 0.3, "max": 0.3}
    assert facts["instructions"] == {"total": 35, "distinct": 35}
