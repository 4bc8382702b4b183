"""The metric encoder: what it sees of a motion, what it must not see, its weights, and figures over repeats."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import unihm.assets
from unihm.evaluation.distribution_figures import COLUMNS, FLOORS, distribution_figures, recorded
from unihm.evaluation.motion_metrics import Track
from unihm.evaluation.motion_text.encoder import (
    AXES,
    SHIPPED,
    MetricEncoder,
    load_metric_encoder,
    principal_axes,
    weights_name,
)
from unihm.evaluation.motion_text.frames import FAR, FEATURES, frames_of, join, pack
from unihm.evaluation.motion_text.network import MotionTextNetwork, NetworkConfig
from unihm.evaluation.references import Given
from unihm.schema.weights import write_weights

SLOTS = (0, 4, 8, 12)
SMALL = NetworkConfig(dimensions=20, width=16, words=8, dropout=0.0)


class Words:
    """Stands for the sentence encoder: states that depend on the letters."""

    width = 8

    def __call__(self, texts):
        states = [torch.tensor([[ord(c) % (7 + k) / 7 for k in range(8)] for c in text]) for text in texts]
        mask = torch.arange(max(map(len, states))) < torch.tensor([len(s) for s in states])[:, None]
        return torch.nn.utils.rnn.pad_sequence(states, batch_first=True), mask


def scene(number: int, frames: int | None = None, k: int = len(SLOTS)) -> tuple[Track, Given]:
    """A hand that reaches for a box from some side and lifts it."""
    rng = np.random.default_rng(number)
    T = frames or int(rng.integers(20, 30))
    t = np.linspace(0, 1, T)[:, None]
    T_world_object = np.tile(np.eye(4), (T, 1, 1))
    T_world_object[:, :3, 3] = [0.1, 0.2, 0.05] + np.clip(2 * t - 1, 0, 1) * [0.05, 0, 0.2]
    palm = T_world_object.copy()
    palm[:, :3, :3] = Rotation.from_euler("zy", rng.normal(size=2)).as_matrix()
    palm[:, :3, 3] += (1 - t) * rng.uniform(-0.2, 0.2, 3) + [0, 0, 0.08]
    keypoints = rng.normal(size=(k, 3)) * 0.04 * (1 + 0.2 * t[..., None])
    world = keypoints @ palm[:, :3, :3].swapaxes(1, 2) + palm[:, None, :3, 3]
    track = Track(keypoints_world=world, T_world_palm=palm, wrist_world=world[:, 0], fps=30.0)
    given = Given(
        keypoints0_world=world[0],
        T_world_palm0=palm[0],
        wrist0_world=world[0, 0],
        T_world_object=T_world_object,
        object_points=rng.uniform(-1, 1, (200, 3)) * [0.05, 0.03, 0.05],
        lift_frame=T // 2,
        fps=30.0,
    )
    return track, given


def moved(track: Track, given: Given, T: np.ndarray) -> tuple[Track, Given]:
    """The same scene elsewhere in the world."""

    def points(x):
        return x @ T[:3, :3].T + T[:3, 3]

    there = Track(
        keypoints_world=points(track.keypoints_world),
        T_world_palm=T @ track.T_world_palm,
        wrist_world=points(track.wrist_world),
        fps=track.fps,
    )
    return there, Given(
        keypoints0_world=there.keypoints_world[0],
        T_world_palm0=there.T_world_palm[0],
        wrist0_world=there.wrist_world[0],
        T_world_object=T @ given.T_world_object,
        object_points=given.object_points,
        lift_frame=given.lift_frame,
        fps=given.fps,
    )


@pytest.fixture(scope="module")
def encoder() -> MetricEncoder:
    torch.manual_seed(0)
    network = MotionTextNetwork(SMALL)
    return MetricEncoder(network, torch.eye(16, 20), torch.zeros(20), texts=Words())


def features(encoder, scenes, slots=SLOTS):
    return encoder.motion_features([t for t, _ in scenes], [g for _, g in scenes], slots)


def test_features_are_of_length_one_and_know_no_batch(encoder):
    scenes = [scene(number) for number in range(5)]
    together = features(encoder, scenes)
    assert together.shape == (5, 20)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(5))
    for row, one in enumerate(scenes):  # padding to the longest is not seen
        assert features(encoder, [one])[0] == pytest.approx(together[row], abs=1e-5)


def test_where_the_table_stands_does_not_matter_but_height_and_side_do(encoder):
    one = scene(0)
    shifted, raised, turned = np.eye(4), np.eye(4), np.eye(4)
    shifted[:2, 3] = [0.4, -0.3]
    raised[2, 3] = 0.1
    turned[:3, :3] = Rotation.from_euler("z", 1.0).as_matrix()
    here, *there = features(encoder, [one, *(moved(*one, T) for T in (shifted, raised, turned))])
    assert there[0] == pytest.approx(here, abs=1e-4)
    assert np.abs(there[1] - here).max() > 1e-3
    assert np.abs(there[2] - here).max() > 1e-3


def test_what_a_frame_says_by_hand():
    track, given = scene(1, frames=24)
    motions = pack([track], [given], SLOTS)
    frames = frames_of(motions)[0].numpy()
    assert frames.shape == (24, FEATURES)
    T = np.linalg.inv(given.T_world_canonical) @ track.T_world_palm
    assert frames[:, :3] == pytest.approx(10 * T[:, :3, 3], abs=1e-5)
    assert frames[:, 5] == pytest.approx(T[:, 2, 0], abs=1e-5)  # third number of the first axis
    palm = np.linalg.inv(track.T_world_palm)
    own = track.keypoints_world @ palm[:, :3, :3].swapaxes(1, 2) + palm[:, None, :3, 3]
    assert frames[:, 9 + 3 * 8 : 12 + 3 * 8] == pytest.approx(10 * own[:, 2], abs=1e-5)  # slot 8
    assert np.abs(frames[:, 9 + 3 * 9 : 9 + 3 * 12]).max() == 0  # slots 9 to 11 are not there
    distance = np.linalg.norm(
        (track.keypoints_world - given.T_world_object[:, None, :3, 3])[:, 1, None] - given.object_points, axis=-1
    ).min(axis=1)
    assert frames[:, 72 + 4] == pytest.approx(1 - np.minimum(distance, FAR) / FAR, abs=1e-4)
    speed = np.linalg.norm(np.diff(given.T_world_canonical[:, :3, 3], axis=0), axis=-1) * 30
    # after palm, keypoints, distances, carried, height, moved and reach: velocity and its norm
    assert frames[1:, 93 + 9 + 1 + 5 + 3] == pytest.approx(speed, abs=1e-4)
    assert frames[:, -21 - 6 - 2 :][:, 4] == pytest.approx(np.ones(24))
    longer = join([motions, pack([scene(2, frames=30)[0]], [scene(2, frames=30)[1]], SLOTS)])
    assert frames_of(longer)[0, :24].numpy() == pytest.approx(frames, abs=1e-6)
    assert frames_of(longer)[0, 24:].abs().max() == 0


def test_unfit_tracks_are_refused(encoder):
    track, given = scene(0)
    with pytest.raises(ValueError, match=r"frames of 3\s+keypoints"):
        encoder.motion_features([track], [given], SLOTS[:3])
    with pytest.raises(ValueError, match="1 tracks for 0"):
        encoder.motion_features([track], [], SLOTS)
    broken = np.full_like(track.keypoints_world, np.nan)
    with pytest.raises(ValueError, match="NaN"):
        encoder.motion_features(
            [Track(keypoints_world=broken, T_world_palm=track.T_world_palm, wrist_world=broken[:, 0], fps=30.0)],
            [given],
            SLOTS,
        )


def test_eighty_tracks_take_well_under_a_second(encoder):
    scenes = [scene(number % 10, frames=72, k=21) for number in range(80)]
    features(encoder, scenes[:2], range(21))
    start = time.perf_counter()
    assert features(encoder, scenes, tuple(range(21))).shape == (80, 20)
    assert time.perf_counter() - start < 1.5  # 0.2 s on a machine with nothing else to do


def test_the_same_sentence_has_the_same_feature(encoder):
    found = encoder.text_features(["lift it", "a longer sentence about it", "lift it"])
    assert (found[0] == found[2]).all()
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(3))
    with pytest.raises(ValueError, match="no texts"):
        encoder.text_features([])


def test_real_motions_have_variance_one_over_the_axes(encoder):
    z = torch.as_tensor(features(encoder, [scene(number) for number in range(40)])).float()
    axes, mean = principal_axes(z)
    whole = MetricEncoder(encoder.network, axes, mean)
    x = whole.coordinates(z.double().numpy())
    assert x.mean(axis=0) == pytest.approx(np.zeros(16), abs=1e-3)
    variances = x.var(axis=0, ddof=1)
    assert variances.mean() == pytest.approx(1, rel=1e-3)
    assert (np.diff(variances) <= 1e-6).all()
    assert np.cov(x.T) == pytest.approx(np.diag(variances), abs=1e-3)
    with pytest.raises(ValueError, match="too few"):
        principal_axes(z[:16])


def test_weights_come_back_and_wrong_ones_are_refused_by_name(encoder, tmp_path):
    path = tmp_path / weights_name("release")
    encoder.save(path, {"split": "release", "training_recordings": ["a"]})
    stored = load_metric_encoder("release", path, texts=Words())
    scenes = [scene(number) for number in range(3)]
    assert features(stored, scenes) == pytest.approx(features(encoder, scenes), abs=5e-3)  # half precision
    assert stored.card["training_recordings"] == ["a"]

    with pytest.raises(ValueError, match="trained for split 'release', expected 's1'"):
        load_metric_encoder("s1", path)
    with pytest.raises(ValueError, match=r"unihm train metrics --data DATA --split s3"):
        load_metric_encoder("s3")
    with pytest.raises(ValueError, match=r"nothing\.json' does not exist"):
        load_metric_encoder("release", tmp_path / "nothing.safetensors")
    other = tmp_path / "other.safetensors"
    write_weights(other, {"x": torch.zeros(1)}, {}, kind="tokenizer")
    with pytest.raises(ValueError, match=r"other\.json' describes a 'tokenizer', expected a 'metrics'"):
        load_metric_encoder("release", other)
    bare = tmp_path / "bare.safetensors"
    write_weights(bare, encoder.network.state_dict(), {"split": "release", "config": {}}, kind="metrics")
    with pytest.raises(ValueError, match=r"bare\.safetensors' is damaged: it lacks 'axes'"):
        load_metric_encoder("release", bare)
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(card | {"config": {"wide": 3}}))
    with pytest.raises(ValueError, match=r"metrics-release\.safetensors' is damaged"):
        load_metric_encoder("release", path)
    path.with_suffix(".json").write_text(json.dumps(card))
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"metrics-release\.safetensors' is damaged"):
        load_metric_encoder("release", path)


@pytest.mark.parametrize("split", SHIPPED)
def test_shipped_weights_are_small_and_say_what_they_saw(split):
    stored = load_metric_encoder(split, texts=Words())
    assert stored.dimensions <= 128
    assert stored.axes.shape == (AXES, stored.dimensions)
    assert stored.card["split"] == split
    assert "BY-NC" in stored.card["licence"]
    assert set(stored.card["training_recordings"]).isdisjoint(stored.card["selection_recordings"])
    folder = Path(unihm.assets.__file__).parent / "weights"
    assert sum(path.stat().st_size for path in folder.glob("metrics-*")) < 4e6


@pytest.fixture(scope="module")
def forty(encoder):
    scenes = [scene(number) for number in range(40)]
    of = recorded(encoder, [t for t, _ in scenes], [g for _, g in scenes], [("one", "another")] * 40, SLOTS)
    return scenes, of


def test_figures_of_the_truth_are_the_floor(encoder, forty):
    scenes, of = forty
    found = distribution_figures(encoder, of, [[track] for track, _ in scenes], repeats=4)
    assert set(found) == {name + end for name in (*COLUMNS, *FLOORS) for end in ("", "_ci")}
    assert found["fid"] == pytest.approx(found["fid_floor"])
    assert found["kid"] == pytest.approx(found["kid_floor"])
    low, high = found["fid_ci"]
    assert low < found["fid"] < high
    assert found["multimodality"] is None  # of one sample
    assert found["multimodality_ci"] is None
    # All forty are told by the same sentence: chance.
    assert found["r_precision_3"] == pytest.approx(3 / 32)
    again = distribution_figures(encoder, of, [[track] for track, _ in scenes], repeats=4)
    assert again == found


def test_worse_motions_are_farther_and_samples_differ(encoder, forty):
    scenes, of = forty
    still = [
        Track(
            keypoints_world=np.repeat(t.keypoints_world[:1], len(t), 0),
            T_world_palm=np.repeat(t.T_world_palm[:1], len(t), 0),
            wrist_world=np.repeat(t.wrist_world[:1], len(t), 0),
            fps=t.fps,
        )
        for t, _ in scenes
    ]
    truth = [[track] * 2 for track, _ in scenes]
    mixed = [[track, other] for (track, _), other in zip(scenes, still, strict=True)]
    same = distribution_figures(encoder, of, truth, repeats=4)
    worse = distribution_figures(encoder, of, [[track] for track in still], repeats=4, reads_words=False)
    assert worse["fid"] > same["fid"]
    assert same["multimodality"] == pytest.approx(0, abs=1e-6)
    assert distribution_figures(encoder, of, mixed, repeats=4)["multimodality"] > 1e-3


def test_few_recordings_have_no_fid(encoder, forty):
    scenes, _ = forty
    few = scenes[:6]
    of = recorded(encoder, [t for t, _ in few], [g for _, g in few], [("one",)] * 6, SLOTS)
    found = distribution_figures(encoder, of, [[track] for track, _ in few], repeats=3)
    assert found["fid"] is None
    assert found["r_precision_1"] is None
    assert isinstance(found["kid"], float)
    with pytest.raises(ValueError, match="equally many of each of 6"):
        distribution_figures(encoder, of, [[track] for track, _ in few[:5]])
