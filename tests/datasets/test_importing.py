import json

import numpy as np
import pytest
from retargeting_builders import WristOnly

from unihm.datasets.dexycb import DexYcbReader
from unihm.datasets.episode_store import read_episodes
from unihm.datasets.importing import import_dataset
from unihm.datasets.manifest import hands_in
from unihm.datasets.motion_store import motion_header, read_motions

READER = DexYcbReader(points=64)


@pytest.fixture
def store(synthetic_root, tmp_path):
    out = tmp_path / "store"
    import_dataset("dexycb", synthetic_root, out, ["mitten"], retargeting=WristOnly(), workers=1, reader=READER)
    return out


def test_episodes_and_motions_are_written(store):
    episodes = read_episodes(store)
    assert len(episodes) == 8
    motions = read_motions(store, "mitten")
    for episode in episodes:
        motion = motions[episode.id]
        assert motion.fps == 30.0
        assert motion.source == episode.id
        np.testing.assert_allclose(motion.T_world_palm[:, :3, 3], episode.keypoints_world[:, 0], atol=1e-6)


def test_importing_again_does_only_what_is_missing(store, synthetic_root):
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")}
    again = WristOnly()
    import_dataset("dexycb", synthetic_root, store, ["mitten"], retargeting=again, workers=1, reader=READER)
    assert again.lengths == []
    import_dataset("dexycb", synthetic_root, store, ["mitten", "glove"], retargeting=again, workers=1, reader=READER)
    assert hands_in(store) == ("glove", "mitten")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_an_interrupted_retargeting_keeps_what_was_finished(store, synthetic_root):
    def again(stop_at):
        retargeting = WristOnly(stop_at=stop_at)
        import_dataset("dexycb", synthetic_root, store, ["glove"], retargeting=retargeting, workers=1, reader=READER)

    with pytest.raises(KeyboardInterrupt):
        again(1)
    assert hands_in(store) == ("mitten",)
    assert len(read_episodes(store)) == 8
    again(-1)
    assert len(read_motions(store, "glove")) == 8


def test_processes_give_the_same(store, synthetic_root, tmp_path, monkeypatch):
    monkeypatch.setattr("unihm.datasets.store_retargeting._CHUNK", 100)
    two = tmp_path / "two"
    import_dataset("dexycb", synthetic_root, two, ["mitten"], retargeting=WristOnly(), workers=2, reader=READER)
    assert motion_header(store, "mitten")["digest"] == motion_header(two, "mitten")["digest"]


def test_the_manifest_counts_what_was_left_out(write_synthetic, tmp_path):
    calls = iter(range(8))

    def damage(arrays):
        if next(calls) in (0, 5):
            arrays["hand_valid"][:] = False
        return arrays

    import_dataset("dexycb", write_synthetic(damage), tmp_path / "store", reader=READER)
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert manifest["episodes"] == 6
    assert [len(ids) for ids in manifest["skipped"].values()] == [2]
    assert list(manifest["skipped"]) == ["no frame with a hand"]
    assert str(tmp_path) not in json.dumps(manifest)


def test_a_limit_stops_early_and_another_import_is_not_mixed_in(synthetic_root, tmp_path):
    import_dataset("dexycb", synthetic_root, tmp_path / "store", limit=3, reader=READER)
    assert len(read_episodes(tmp_path / "store")) == 3
    with pytest.raises(ValueError, match="limit was 3 and is None"):
        import_dataset("dexycb", synthetic_root, tmp_path / "store", reader=READER)
    with pytest.raises(ValueError, match="points was 64 and is 32"):
        import_dataset("dexycb", synthetic_root, tmp_path / "store", limit=3, reader=DexYcbReader(points=32))


def test_bad_input_is_refused_before_anything_is_written(synthetic_root, tmp_path):
    out = tmp_path / "store"
    with pytest.raises(ValueError, match="Data set format 'dexycv' not found"):
        import_dataset("dexycv", synthetic_root, out)
    with pytest.raises(ValueError, match="does not exist"):
        import_dataset("dexycb", tmp_path / "nowhere", out)
    with pytest.raises(ValueError, match="no retargeting was given"):
        import_dataset("dexycb", synthetic_root, out, ["mitten"])
    with pytest.raises(ValueError, match="limit is 0, expected at least 1"):
        import_dataset("dexycb", synthetic_root, out, limit=0)
    (synthetic_root / "dexycb_left.npz").unlink()
    with pytest.raises(ValueError, match=r"dexycb_left\.npz' does not exist"):
        import_dataset("dexycb", synthetic_root, out, reader=READER)
    assert not (out / "manifest.json").exists()
