"""The table on a small made-up store, where the right figures are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unihm.datasets.episode_store import read_episodes, write_episodes
from unihm.datasets.motion_store import attach, read_motions, write_motions
from unihm.evaluation import generation
from unihm.evaluation.cases import case_of, generate_motion, track_of
from unihm.evaluation.generation import LATER, evaluate_generation
from unihm.evaluation.trained_on import refuse_trained_on
from unihm.hands.hand import load_hand
from unihm.kinematics.keypoints import WRIST, palm_frame
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion
from unihm.tokenizer.features import HandFeatures
from unihm.tokenizer.tokenizer import Tokenizer
from unihm.tokenizer.vqvae import SharedVQVAE, TokenizerConfig

HANDS = ("human", "shadow")
METHODS = [
    "constant initial pose",
    "nearest neighbour",
    "ridge regression",
    "decode(encode(truth))",
    "generated",
    "generated + refined",
]


def _motion(hand, seed: int, frames: int) -> HandMotion:
    """A palm that flies a straight line while the fingers close from the rest pose."""
    rng = np.random.default_rng(seed)
    T_world_palm = np.tile(np.eye(4), (frames, 1, 1))
    T_world_palm[:, :3, :3] = np.array([[-1, 0, 0], [0, 1, 0], [0, 0, -1]])
    way = np.linspace(0, 1, frames)[:, None]
    T_world_palm[:, :3, 3] = (1 - way) * [0.4, rng.uniform(-0.1, 0.1), 0.2] + way * [0.1, 0, 0.15]
    rest, upper = hand.rest_qpos.numpy(), hand.upper.numpy()
    return HandMotion(
        hand=hand.name,
        fps=30.0,
        joint_names=hand.joint_names,
        qpos=rest + way * rng.uniform(0, 0.5) * (upper - rest),
        T_world_palm=T_world_palm,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """40 episodes: training, validation, four seen and three unseen test recordings."""
    folder = tmp_path_factory.mktemp("data")
    hands = {name: load_hand(name) for name in HANDS}
    episodes, motions = [], {name: {} for name in HANDS}
    for i in range(40):
        frames = 12 + i % 5
        human = _motion(hands["human"], i, frames)
        lift = np.clip(np.arange(frames) - 7, 0, None)
        T_world_object = np.tile(np.eye(4), (frames, 1, 1))
        T_world_object[:, 2, 3] = 0.05 + 0.02 * lift
        points = np.random.default_rng(i).uniform(-0.05, 0.05, size=(64, 3))
        episode = Episode(
            id=f"made/{i:02d}",
            recording=f"recording-{i:02d}",
            dataset="made",
            subject="nobody",
            object_name="box",
            mirrored=False,
            fps=30.0,
            keypoints_world=track_of(human, hands["human"]).keypoints_world,
            T_world_object=T_world_object,
            object_points=points,
            object_normals=points / np.linalg.norm(points, axis=1, keepdims=True),
            T_world_camera=np.eye(4),
            instructions=tuple(f"lift the box, way {k}" for k in range(5)),
            contact_frame=6,
            lift_frame=8,
            attributes={
                "object_position": str(7 if i >= 37 else i % 5),
                "unihm_split": "valid" if i >= 33 else "train",
                "trial": str(i % 5),
                "subject_number": "3",
            },
        )
        episodes.append(episode)
        for name, hand in hands.items():
            motions[name][episode.id] = _motion(hand, i, frames)
    write_episodes(folder, episodes)
    for name in HANDS:
        write_motions(folder, name, motions[name])
    return folder


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Random weights: codes mean nothing, but encode and decode are consistent."""
    torch.manual_seed(0)
    config = TokenizerConfig(latent=8, width=16, encoder_blocks=1, decoder_blocks=1, levels=2, codes=16)
    features = []
    for name in HANDS:
        hand = load_hand(name)
        features.append(
            HandFeatures(
                hand=name,
                joint_names=hand.joint_names,
                lower=tuple(hand.lower.tolist()),
                upper=tuple(hand.upper.tolist()),
            )
        )
    card = {"training_recordings": ["recording-00"], "selection_recordings": ["recording-01"]}
    return Tokenizer(SharedVQVAE(config, features), fingerprint="made", card=card)


@pytest.fixture(scope="module")
def made_codes(store, tokenizer):
    """Hand, canonical path and the tokenizer's codes of every test motion."""
    episodes = {e.id: e for e in read_episodes(store, [f"made/{i}" for i in range(33, 40)])}
    codes = []
    for name in HANDS:
        for i, motion in read_motions(store, name, list(episodes)).items():
            tokens = tokenizer.encode(attach(motion, episodes[i]))
            codes.append((name, tokens.T_world_canonical, tokens.codes))
    return codes


class _Oracle:
    """Knows the codes of every test motion, finds the motion by its path, and records what it was asked."""

    def __init__(self, codes):
        self.card: dict | None = {"recordings": ["recording-02"]}
        self.requests = []
        self.codes = codes

    def generate(self, request):
        self.requests.append(request)
        for name, path, codes in self.codes:
            asked = request.T_world_canonical
            if name == request.hand and path.shape == asked.shape and np.allclose(path, asked, atol=1e-9):
                return codes
        raise AssertionError("asked for a motion that does not exist")


@pytest.fixture
def unrefined(monkeypatch):
    """Refinement has its own tests; here it lifts the palm by exactly 10 mm."""

    def lifted(motion, hand, *, config):
        assert not config.timing  # the truth has the recording's frames
        T = motion.T_world_palm.copy()
        T[:, 2, 3] += 0.01
        return motion.replace(T_world_palm=T), None

    monkeypatch.setattr(generation, "refine", lifted)


def test_rows_are_the_contract(store, tokenizer, made_codes, unrefined):
    oracle = _Oracle(made_codes)
    rows = evaluate_generation(store, "release", HANDS, oracle, tokenizer, samples=2, progress=False, workers=1)
    assert {(r["split"], r["hand"]) for r in rows} == {
        (f"release/{part}", hand) for part in ("seen", "unseen") for hand in HANDS
    }
    for part, hand in (("seen", "human"), ("unseen", "shadow")):
        mine = [r for r in rows if r["split"] == f"release/{part}" and r["hand"] == hand]
        names = [r["method"] for r in mine if r["method"] != "hand model fitted to truth"]
        assert names == METHODS
        assert {r["n"] for r in mine} == {4 if part == "seen" else 3}
        for row in mine:
            assert {"given", "samples", "skipped", "mpjpe_mm", "mpjpe_wrist_mm", "fpl_mm", "fol_deg", "jerk"} <= set(
                row
            )
            assert row["mpjpe_mm_ci"][0] <= row["mpjpe_mm"] <= row["mpjpe_mm_ci"][1]
            assert [row[name] for name in LATER] == [None] * 4
        by_name = {r["method"]: r for r in mine}
        # The oracle writes the truth's own codes, hence reaches exactly what decoding them reaches.
        for metric in ("mpjpe_mm", "fpl_mm", "fol_deg"):
            expected = by_name["decode(encode(truth))"][metric]
            assert by_name["generated"][metric] == pytest.approx(expected, rel=1e-6)
        # 10 mm of lift moves every point alike: nothing relative to the wrist.
        refined = by_name["generated + refined"]
        assert refined["mpjpe_wrist_mm"] == pytest.approx(by_name["generated"]["mpjpe_wrist_mm"], rel=1e-9)
        assert 0 < abs(refined["mpjpe_mm"] - by_name["generated"]["mpjpe_mm"]) <= 10 + 1e-9
    # The motions are straight lines of one family: the regression must nearly find them.
    ridge = next(r for r in rows if r["method"] == "ridge regression" and r["hand"] == "shadow")
    constant = next(r for r in rows if r["method"] == "constant initial pose" and r["hand"] == "shadow")
    assert ridge["mpjpe_mm"] < 0.2 * constant["mpjpe_mm"]


def test_the_generator_is_given_the_start_and_the_path_and_no_more(store, tokenizer, made_codes, unrefined):
    oracle = _Oracle(made_codes)
    evaluate_generation(store, "release", ["shadow"], oracle, tokenizer, seed=5, samples=2, progress=False, workers=1)
    assert len(oracle.requests) == 2 * 7
    first, second = oracle.requests[:2]
    assert (first.seed, second.seed) == (5, 6)
    assert first.instruction != second.instruction
    hand = load_hand("shadow")
    expected = _motion(hand, 33, 12 + 33 % 5)
    np.testing.assert_allclose(first.qpos0, expected.qpos[0], atol=1e-6)
    T_world_palm0 = first.T_world_canonical[0] @ first.T_canonical_palm0
    np.testing.assert_allclose(T_world_palm0, expected.T_world_palm[0], atol=1e-6)
    # In the canonical frame the cloud is centred and the palm lies on its x side.
    assert np.abs(first.object_points_canonical.mean(axis=0)).max() < 0.02
    assert first.T_canonical_palm0[0, 3] > 0.1
    assert abs(first.T_canonical_palm0[1, 3]) < 1e-9


def test_truth_of_the_recorded_hand_is_the_recording(store):
    episode = read_episodes(store)[3]
    hand = load_hand("human")
    bent = read_motions(store, "human", [episode.id])[episode.id]
    bent = bent.replace(qpos=0.9 * bent.qpos)
    case = case_of(episode, bent, hand)
    np.testing.assert_array_equal(case.truth.keypoints_world, episode.keypoints_world)
    np.testing.assert_allclose(case.truth.T_world_palm, palm_frame(episode.keypoints_world))
    np.testing.assert_array_equal(case.truth.wrist_world, episode.keypoints_world[:, WRIST])
    robot = load_hand("shadow")
    motion = read_motions(store, "shadow", [episode.id])[episode.id]
    truth = case_of(episode, motion, robot).truth
    keypoints = robot.keypoints(torch.as_tensor(motion.qpos)).numpy()
    T = motion.T_world_palm[4]
    np.testing.assert_allclose(truth.keypoints_world[4], keypoints[4] @ T[:3, :3].T + T[:3, 3])


def test_generated_motion_carries_the_object(store, tokenizer, made_codes):
    episode = read_episodes(store)[37]
    motion = read_motions(store, "shadow", [episode.id])[episode.id]
    case = case_of(episode, motion, load_hand("shadow"))
    made = generate_motion(case, _Oracle(made_codes), tokenizer, instruction="lift", seed=0)
    assert len(made) == len(episode)
    assert made.contact_phase is not None
    assert made.contact_phase[0] < made.contact_phase[-1] == 1
    assert made.T_world_object is not None
    np.testing.assert_allclose(made.T_world_object, episode.T_world_object)


def test_quick_is_the_same_on_fewer(store, tokenizer, made_codes, unrefined, monkeypatch):
    monkeypatch.setattr(generation, "_QUICK", 2)
    oracle = _Oracle(made_codes)
    rows = evaluate_generation(
        store, "release", ["shadow"], oracle, tokenizer, samples=3, quick=True, progress=False, workers=1
    )
    assert {row["n"] for row in rows} == {2}
    assert {row["samples"] for row in rows} == {1}


def test_recordings_that_were_trained_on_are_refused(store, tokenizer, made_codes):
    oracle = _Oracle(made_codes)
    oracle.card = {"recordings": ["recording-02", "recording-38"]}
    with pytest.raises(ValueError, match=r"generator was trained on 1 of 7 test recordings, among them recording-38"):
        evaluate_generation(store, "release", HANDS, oracle, tokenizer, progress=False, workers=1)
    with pytest.raises(ValueError, match="tokenizer was trained on"):
        refuse_trained_on({"a"}, {"tokenizer": {"selection_recordings": ["a"]}, "generator": {"recordings": ["b"]}})
    with pytest.raises(ValueError, match="lists no training recordings"):
        refuse_trained_on({"a"}, {"tokenizer": {"licence": "none"}})
    oracle.card = None
    with pytest.raises(ValueError, match="has no card"):
        evaluate_generation(store, "release", HANDS, oracle, tokenizer, progress=False, workers=1)


def test_wrong_names_are_refused(store, tokenizer, made_codes):
    oracle = _Oracle(made_codes)
    with pytest.raises(ValueError, match=r"Split 'relase' not found\. Did you mean 'release'"):
        evaluate_generation(store, "relase", HANDS, oracle, tokenizer, progress=False, workers=1)
    with pytest.raises(ValueError, match=r"Hand 'shadw' not found\. Did you mean 'shadow'"):
        evaluate_generation(store, "release", ["shadw"], oracle, tokenizer, progress=False, workers=1)
    with pytest.raises(ValueError, match="samples"):
        evaluate_generation(store, "release", HANDS, oracle, tokenizer, samples=0, progress=False, workers=1)
    with pytest.raises(ValueError, match="not a unihm data set"):
        evaluate_generation(store / "nowhere", "release", HANDS, oracle, tokenizer, progress=False, workers=1)


def test_refinement_in_processes_is_refinement_here(store, tokenizer, made_codes):
    """The real refinement, in order, whatever the number of processes."""
    ids = ["made/37", "made/38"]
    episodes, motions = read_episodes(store, ids), read_motions(store, "shadow", ids)
    whole = [case_of(e, motions[e.id], load_hand("shadow")).motion for e in episodes]
    short = [
        m.replace(
            qpos=m.qpos[7:10],
            T_world_palm=m.T_world_palm[7:10],
            T_world_object=np.asarray(m.T_world_object)[7:10],
            contact_phase=np.asarray(m.contact_phase)[7:10],
        )
        for m in whole
    ]
    with generation._refiner(1) as here, generation._refiner(2) as there:
        for a, b in zip(here(short), there(short), strict=True):
            np.testing.assert_allclose(a.qpos, b.qpos, atol=1e-9)
            np.testing.assert_allclose(a.T_world_palm, b.T_world_palm, atol=1e-9)
