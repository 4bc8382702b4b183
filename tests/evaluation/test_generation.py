"""The table on a small made-up store, where the right figures are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unihm.datasets.episode_store import read_episodes, write_episodes
from unihm.datasets.instructions import episode_facts, names_of
from unihm.datasets.motion_store import attach, read_motions, write_motions
from unihm.evaluation import generation, wording
from unihm.evaluation.cases import case_of, generate_motions, track_of
from unihm.evaluation.generation import GenerationOptions, evaluate_generation
from unihm.evaluation.generation_bench import bench_generation
from unihm.evaluation.generation_tables import layout
from unihm.evaluation.grasps import grasp_share
from unihm.evaluation.motion_metrics import Track
from unihm.evaluation.motion_text.encoder import AXES, MetricEncoder
from unihm.evaluation.motion_text.network import MotionTextNetwork, NetworkConfig
from unihm.evaluation.references import Given, without_path
from unihm.evaluation.trained_on import refuse_trained_on
from unihm.evaluation.wording import evaluate_wording
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
    "ridge regression without path",
    "decode(encode(truth))",
    "generated",
    "generated, drawn",
    "generated, drawn, best of 2",
    "generated, spread",
    "generated, spread, best of 2",
    "generated without path",
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


@pytest.fixture(scope="module")
def encoder() -> MetricEncoder:
    """Random weights: figures mean nothing, but equal motions have equal ones."""
    torch.manual_seed(0)
    config = NetworkConfig()

    def words(texts):
        return torch.ones(len(texts), 3, config.words), torch.ones(len(texts), 3, dtype=torch.bool)

    axes = torch.eye(AXES, config.dimensions)
    card = {"training_recordings": ["recording-00"], "selection_recordings": ["recording-01"]}
    return MetricEncoder(MotionTextNetwork(config), axes, torch.zeros(config.dimensions), texts=words, card=card)


@pytest.fixture
def evaluate(store, tokenizer, encoder):
    """`evaluate_generation` on the store, with options by name."""

    def run(hands, oracle, *, split="release", data=store, **options):
        options = GenerationOptions(**{"samples": 2, "quick": True, "progress": False, "workers": 1, **options})
        return evaluate_generation(data, split, hands, oracle, tokenizer, encoder, options)

    return run


class _Oracle:
    """Knows the codes of every test motion, finds the motion by its start, and records what it was asked."""

    def __init__(self, codes):
        self.card: dict | None = {"recordings": ["recording-02"]}
        self.requests = []
        self.codes = codes

    def generate(self, request):
        self.requests.append(request)
        for name, path, codes in self.codes:
            asked = request.T_world_canonical
            if name == request.hand and path.shape == asked.shape and np.allclose(path[0], asked[0], atol=1e-9):
                return codes
        raise AssertionError("asked for a motion that does not exist")

    def generate_all(self, requests):
        return [self.generate(request) for request in requests]


@pytest.fixture
def unrefined(monkeypatch):
    """Refinement has its own tests; here it lifts the palm by exactly 10 mm."""

    def lifted(motion, hand, *, config):
        assert not config.timing  # the truth has the recording's frames
        T = motion.T_world_palm.copy()
        T[:, 2, 3] += 0.01
        return motion.replace(T_world_palm=T), None

    monkeypatch.setattr(generation, "refine", lifted)


def test_rows_are_the_contract(evaluate, made_codes, unrefined):
    rows = evaluate(HANDS, _Oracle(made_codes))
    assert {(r["split"], r["hand"]) for r in rows} == {
        (f"release/{part}", hand) for part in ("seen", "unseen") for hand in HANDS
    }
    for part, hand in (("seen", "human"), ("unseen", "shadow")):
        mine = [r for r in rows if r["split"] == f"release/{part}" and r["hand"] == hand]
        names = [r["method"] for r in mine if r["method"] not in ("hand model fitted to truth", "truth")]
        assert names == METHODS
        assert {r["n"] for r in mine} == {4 if part == "seen" else 3}
        for row in mine:
            assert {"given", "samples", "skipped", "mpjpe_mm", "mpjpe_wrist_mm", "fpl_mm", "fol_deg", "jerk"} <= set(
                row
            )
            assert row["mpjpe_mm_ci"][0] <= row["mpjpe_mm"] <= row["mpjpe_mm_ci"][1]
        by_name = {r["method"]: r for r in mine}
        # The oracle writes the truth's own codes, hence reaches exactly what decoding them reaches.
        for metric in ("mpjpe_mm", "fpl_mm", "fol_deg"):
            expected = by_name["decode(encode(truth))"][metric]
            assert by_name["generated"][metric] == pytest.approx(expected, rel=1e-6)
            assert by_name["generated, drawn, best of 2"][metric] == pytest.approx(expected, rel=1e-6)
        assert by_name["generated"]["official_mpjpe"] == by_name["decode(encode(truth))"]["official_mpjpe"]
        # Four recordings have halves; with two equal samples of each nothing is multimodal.
        found = by_name["generated, drawn"]
        assert (found.get("multimodality") == 0) is (part == "seen")
        assert (found.get("kid") is None) is (part == "unseen")
        # 10 mm of lift moves every point alike: nothing relative to the wrist.
        refined = by_name["generated + refined"]
        assert refined["mpjpe_wrist_mm"] == pytest.approx(by_name["generated"]["mpjpe_wrist_mm"], rel=1e-9)
        assert 0 < abs(refined["mpjpe_mm"] - by_name["generated"]["mpjpe_mm"]) <= 10 + 1e-9
    # The motions are straight lines of one family: the regression must nearly find them.
    ridge = next(r for r in rows if r["method"] == "ridge regression" and r["hand"] == "shadow")
    constant = next(r for r in rows if r["method"] == "constant initial pose" and r["hand"] == "shadow")
    assert ridge["mpjpe_mm"] < 0.2 * constant["mpjpe_mm"]
    text = layout(rows)
    assert "given truth: hand model fitted to truth, truth, decode(encode(truth))" in text
    assert "best of 2" in text


def test_the_generator_is_given_the_start_and_the_path_and_no_more(evaluate, made_codes, unrefined):
    oracle = _Oracle(made_codes)
    evaluate(["shadow"], oracle, seed=5)
    assert len(oracle.requests) == 6 * 7  # one, two drawn, two spread, one without the path
    of_first = oracle.requests[:24:4]  # four recordings in the first part
    first, drawn, other, _, _, blind = of_first
    assert [r.seed for r in of_first] == [5, 5, 6, 5, 6, 5]
    assert [r.temperature for r in of_first] == [0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    assert [r.one_of for r in of_first] == [None, None, None, (0, 2), (1, 2), None]
    assert first.instruction == drawn.instruction != other.instruction
    assert (first.lift_frame is None, blind.lift_frame) == (False, None)
    assert np.ptp(blind.T_world_canonical, axis=0).max() == 0 < np.ptp(first.T_world_canonical, axis=0).max()
    hand = load_hand("shadow")
    expected = _motion(hand, 33, 12 + 33 % 5)
    np.testing.assert_allclose(first.qpos0, expected.qpos[0], atol=1e-6)
    T_world_palm0 = first.T_world_canonical[0] @ first.T_canonical_palm0
    np.testing.assert_allclose(T_world_palm0, expected.T_world_palm[0], atol=1e-6)
    # In the canonical frame the cloud is centred and the palm lies on its x side.
    assert np.abs(first.object_points_canonical.mean(axis=0)).max() < 0.02
    assert first.T_canonical_palm0[0, 3] > 0.1
    assert abs(first.T_canonical_palm0[1, 3]) < 1e-9


def test_a_transformer_learns_and_is_kept(store, tmp_path):
    from unihm.evaluation.regression_transformer import RegressionTransformer

    hand = load_hand("shadow")
    motions = read_motions(store, "shadow")
    cases = [case_of(e, motions[e.id], hand) for e in read_episodes(store)]
    training = [(c.given, c.truth) for c in cases[:30]]
    file = tmp_path / "kept.safetensors"
    made = RegressionTransformer(training, training[:5], file=file, epochs=25)
    error = np.mean([_distance(made.predict(c.given), c.truth) for c in cases[30:33]])
    still = np.mean([_distance(generation.ConstantPose().predict(c.given), c.truth) for c in cases[30:33]])
    assert error < 0.6 * still
    again = RegressionTransformer(training, training[:5], file=file, epochs=25)
    a, b = (m.predict(cases[30].given) for m in (made, again))
    np.testing.assert_array_equal(a.keypoints_world, b.keypoints_world)


def _distance(a: Track, b: Track) -> float:
    return float(np.linalg.norm(a.keypoints_world - b.keypoints_world, axis=-1).mean())


def test_without_its_path_an_object_stays():
    T = np.tile(np.eye(4), (6, 1, 1))
    T[:, 2, 3] = [0.1, 0.1, 0.2, 0.3, 0.4, 0.5]
    points = np.random.default_rng(0).normal(size=(20, 3))
    given = Given(
        keypoints0_world=np.zeros((21, 3)), T_world_palm0=np.eye(4), wrist0_world=np.zeros(3), T_world_object=T,
        object_points=points, lift_frame=2, fps=30.0,
    )  # fmt: skip
    blind = without_path(given)
    np.testing.assert_array_equal(blind.T_world_object, np.repeat(T[:1], 6, axis=0))
    assert blind.lift_frame == 3


def test_a_grasp_is_thumb_and_another_tip_at_the_mesh_while_it_is_up():
    import trimesh

    from unihm.geometry.mesh_distance import MeshDistance
    from unihm.kinematics.keypoints import TIPS

    box = trimesh.creation.box(extents=(0.06, 0.06, 0.06))
    mesh = MeshDistance(np.asarray(box.vertices), np.asarray(box.faces))
    T = np.tile(np.eye(4), (20, 1, 1))
    T[12:, 2, 3] = 0.1  # up in the last eight frames
    keypoints = np.full((20, 21, 3), 1.0)
    keypoints[12:16, TIPS[0]] = [0.035, 0, 0.1]  # 5 mm off one side
    keypoints[12:18, TIPS[2]] = [-0.038, 0, 0.1]  # 8 mm off the other
    keypoints[18:, TIPS[2]] = [-0.045, 0, 0.1]  # 15 mm
    track = Track(keypoints_world=keypoints, T_world_palm=T, wrist_world=keypoints[:, 0], fps=30.0)
    given = Given(
        keypoints0_world=keypoints[0], T_world_palm0=T[0], wrist0_world=keypoints[0, 0], T_world_object=T,
        object_points=np.asarray(box.vertices), lift_frame=12, fps=30.0,
    )  # fmt: skip
    assert grasp_share(track, given, range(21), mesh) == pytest.approx(0.5)


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
    (made,) = generate_motions([case], _Oracle(made_codes), tokenizer, instructions=["lift"], seed=0)
    assert len(made) == len(episode)
    assert made.contact_phase is not None
    assert made.contact_phase[0] < made.contact_phase[-1] == 1
    assert made.T_world_object is not None
    np.testing.assert_allclose(made.T_world_object, episode.T_world_object)


def test_quick_is_the_same_on_fewer(evaluate, made_codes, unrefined, monkeypatch):
    monkeypatch.setattr(generation, "_QUICK", 2)
    rows = evaluate(["shadow"], _Oracle(made_codes), samples=3)
    assert {row["n"] for row in rows} == {2}
    assert {row["samples"] for row in rows} == {1, 2}


def test_recordings_that_were_trained_on_are_refused(evaluate, made_codes):
    oracle = _Oracle(made_codes)
    oracle.card = {"recordings": ["recording-02", "recording-38"]}
    with pytest.raises(ValueError, match=r"generator was trained on 1 of 7 test recordings, among them recording-38"):
        evaluate(HANDS, oracle)
    with pytest.raises(ValueError, match="tokenizer was trained on"):
        refuse_trained_on({"a"}, {"tokenizer": {"selection_recordings": ["a"]}, "generator": {"recordings": ["b"]}})
    with pytest.raises(ValueError, match="lists no training recordings"):
        refuse_trained_on({"a"}, {"tokenizer": {"licence": "none"}})
    oracle.card = None
    with pytest.raises(ValueError, match="has no card"):
        evaluate(HANDS, oracle)


def test_wrong_names_are_refused(evaluate, store, made_codes):
    oracle = _Oracle(made_codes)
    with pytest.raises(ValueError, match=r"Split 'relase' not found\. Did you mean 'release'"):
        evaluate(HANDS, oracle, split="relase")
    with pytest.raises(ValueError, match=r"Hand 'shadw' not found\. Did you mean 'shadow'"):
        evaluate(["shadw"], oracle)
    with pytest.raises(ValueError, match="samples"):
        evaluate(HANDS, oracle, samples=0)
    with pytest.raises(ValueError, match="not a unihm data set"):
        evaluate(HANDS, oracle, data=store / "nowhere")


def test_other_words_change_nothing_for_one_that_does_not_listen(store, tokenizer, made_codes):
    oracle = _Oracle(made_codes)
    rows = evaluate_wording(store, "release", ("seen",), oracle, tokenizer, hand="shadow")
    words = {row["method"]: row for row in rows if "wording" in row["method"] or "synonym" in row["method"]}
    assert len(words) == 4
    for row in words.values():
        assert (row["n"], row["change_mm"], row["apart_mm"]) == (4, 0, 0)
    assert words["training wording"]["mpjpe_mm"] > 0
    said = [request.instruction for request in oracle.requests[:16]]
    assert len(set(said)) == 16  # four wordings of four recordings
    assert not any("box" in text for text in said[12:])
    with pytest.raises(ValueError, match="holds no recording of part 'test' of split 's1'"):
        evaluate_wording(store, "s1", ("test",), oracle, tokenizer, hand="shadow")


def test_a_side_is_followed_where_the_hand_comes_from_it(store):
    episode = read_episodes(store)[3]
    hand = load_hand("human")
    case = case_of(episode, read_motions(store, "human", [episode.id])[episode.id], hand)
    side = wording._value("approach", episode_facts(episode, names_of(episode)))
    others = {"front", "behind", "left", "right", "above"} - {side}
    done = wording._done("approach", [case] * 5, [case.motion] * 5, [side, *sorted(others)], hand)
    assert done == [True, False, False, False, False]


def test_the_bench_times_one_motion_and_many(store, tokenizer):
    class Still:
        def generate_all(self, requests):
            self.asked = [len(r.T_world_canonical) for r in requests]
            size, levels = tokenizer.frames_per_chunk, tokenizer.levels
            return [np.zeros((-(-length // size), levels), dtype=np.int64) for length in self.asked]

        def generate(self, request):
            return self.generate_all([request])[0]

    still = Still()
    rows = bench_generation(store, still, tokenizer, ["shadow"], frames=20, batch=5, quick=True)
    assert [(r["method"], r["motions"]) for r in rows] == [
        (way, count) for way in ("plan left open", "plan drawn") for count in (1, 5)
    ]
    assert still.asked == [20] * 5
    assert all(0 < r["seconds_median"] <= r["seconds_max"] for r in rows)


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
