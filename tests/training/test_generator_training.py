"""Generator training on synthetic motions: what two motions teach is learned, and a run can be taken up again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from tokenizers import Tokenizer as Pieces
from tokenizers import models, pre_tokenizers
from transformers import Qwen3Config, Qwen3ForCausalLM

from unified_builders import OTHER, REFERENCE, small_tokenizer
from unihm.datasets.episode_store import episode_table, write_episodes
from unihm.datasets.motion_store import motion_header, read_motions, write_motions
from unihm.datasets.splits import split
from unihm.generation.base import GenerationRequest
from unihm.generation.decoding import Sampling, write_codes
from unihm.generation.generator import load_generator, new_network
from unihm.generation.language import load_language_generator
from unihm.generation.mask_schedule import MaskSchedule
from unihm.generation.qwen3 import GeneratorConfig
from unihm.hands.hand import load_hand
from unihm.schema.episode import COMPOSED, Episode
from unihm.schema.motion import HandMotion
from unihm.schema.weights import read_tensors
from unihm.tokenizer.hand_chart import join
from unihm.tokenizer.tokenizer import Tokenizer
from unihm.training import generator as training
from unihm.training.codec_fitting import Poses, fit_stage, set_start
from unihm.training.committee import CommitteeTraining
from unihm.training.generator import motion_errors, train_generator
from unihm.training.generator_data import ConditionedMotions, Variation
from unihm.training.generator_presets import GENERATOR, GeneratorTraining, ablated
from unihm.training.generator_task import GeneratorTask, conditions_of, plan_of, poses_of_batch
from unihm.training.loop import LoopConfig, fit
from unihm.training.presets import CodecFitting
from unihm.training.prior_fitting import PriorFitting
from unihm.training.reading import ReadingTraining
from unihm.training.teacher import teacher_codes

SMALL = GeneratorConfig(
    hidden=32, layers=1, heads=2, kv_heads=1, head_size=16, feedforward=64, dropout=0.0, input_dropout=0.0
)
HANDS = (REFERENCE, OTHER)
FRAMES, LIFT, CHUNKS = 24, 8, 6


def make(count: int, seed: int = 0):
    """Hands that come from different sides, close, and carry a ball that rises; the side decides where it goes."""
    rng = np.random.default_rng(seed)
    camera = np.eye(4)
    camera[:3, :3] = Rotation.from_euler("x", -100, degrees=True).as_matrix()  # looks along y, a little down
    limits = {hand: (load_hand(hand).lower.numpy(), load_hand(hand).upper.numpy()) for hand in HANDS}
    mixing = {hand: np.random.default_rng(1).uniform(0, 1, len(limits[hand][0])) for hand in HANDS}
    episodes, motions = [], {hand: {} for hand in HANDS}
    t = np.linspace(0, 1, FRAMES)
    rise = np.clip(np.arange(FRAMES) - LIFT, 0, None) / (FRAMES - LIFT)
    for number in range(count):
        side, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.05)
        out = np.array([np.cos(side), np.sin(side), 0.3])
        T_world_object = np.tile(np.eye(4), (FRAMES, 1, 1))
        T_world_object[:, :3, 3] = np.outer(rise, [0.1 * out[0], 0.1 * out[1], 0.25])
        T_world_object[:, :3, 3] += [0.5, 0.1, size]
        T_world_palm = T_world_object.copy()
        reach = np.exp(-3 * t * FRAMES / LIFT)[:, None] * 0.25
        T_world_palm[:, :3, 3] += (reach + size + 0.07) * out
        T_world_palm[:, :3, :3] = Rotation.from_euler("zy", [side + np.pi, 0.3]).as_matrix()
        ball = rng.normal(size=(64, 3))
        ball /= np.linalg.norm(ball, axis=1, keepdims=True)
        name = f"made/{number:02d}"
        facts = {
            "object_position": "0", "unihm_split": "train", "trial": str(number % 5),
            "subject_number": str(3 + number % 2),
        }  # fmt: skip
        episodes.append(
            Episode(
                id=name, recording=name, dataset="made", subject=f"s{number % 2}", object_name="025_mug",
                mirrored=False, fps=30.0, keypoints_world=np.tile(T_world_palm[:, None, :3, 3], (1, 21, 1)),
                T_world_object=T_world_object, object_points=size * ball, object_normals=ball, T_world_camera=camera,
                instructions=("lift the ball", "raise the ball"), contact_frame=LIFT - 1, lift_frame=LIFT,
                attributes=facts,
            )
        )  # fmt: skip
        for hand in HANDS:
            lower, upper = limits[hand]
            share = 0.2 + 0.5 * (1 - np.exp(-3 * t[:, None] * FRAMES / LIFT)) * mixing[hand] * size / 0.05
            motions[hand][name] = HandMotion(
                hand=hand, fps=30.0, joint_names=tuple(load_hand(hand).joint_names),
                qpos=lower + share * (upper - lower), T_world_palm=T_world_palm,
            )  # fmt: skip
    return episodes, motions


def packed(tokenizer: Tokenizer, count: int, hands: tuple[str, ...] = HANDS) -> ConditionedMotions:
    episodes, motions = make(count)
    return ConditionedMotions(
        episodes,
        {hand: motions[hand] for hand in hands},
        {hand: tokenizer.features(hand) for hand in hands},
        reference_hand=HANDS[0],
        frames_per_chunk=4,
        max_frames=80,
    )


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Charts that were not trained, around codes that were fitted to such motions."""
    made = small_tokenizer()
    motions, rng = packed(made, 40), torch.Generator().manual_seed(0)
    with torch.no_grad():
        shown = [
            poses_of_batch(motions.batch(torch.arange(40), h, Variation(), rng, with_path=True), made) for h in HANDS
        ]
        chunks = max(poses.t.shape[1] for poses in shown)
        parts = [Poses(poses=poses, mask=torch.ones(40, poses.t.shape[1], dtype=torch.bool)) for poses in shown]
    assert chunks >= CHUNKS
    codec = made.unified.codec
    set_start(codec, parts)
    fit_stage(codec, 0, parts, None, CodecFitting(passes=2, opening_passes=2, rounds=2, points=400), seed=0)
    return made


def words(texts):
    """Stands for the sentence encoder: one state a text, the same for the same text."""
    states = torch.stack([torch.full((1, 384), float(len(text))) for text in texts])
    return states, torch.ones(len(texts), 1, dtype=torch.bool)


STILL = Variation(
    crop=0.0, speed=1.0, yaw_deg=0.0, shift=0.0, scale=1.0, partial=0.0, point_noise=0.0, without_path=0.0
)


def settings(**changes) -> GeneratorTraining:
    loop = LoopConfig(epochs=120, learning_rate=5e-3, warmup_steps=5, weight_decay=0.0, checkpoint_steps=10_000)
    fields = {
        "generator": SMALL, "loop": loop, "batch_size": 4, "softness": 0.0, "prior": None, "drop_words": 0.0,
        "drop_cloud": 0.0, "variation": STILL, "masked": 1.0, "wordings": 0, "open_plan": 1.0,
        "reading": ReadingTraining(sentences=32, epochs=1),
        "committee": CommitteeTraining(members=1, copies=2, epochs=2, folds=2),
    }  # fmt: skip
    return GeneratorTraining(**(fields | changes))


@pytest.mark.parametrize(("with_path", "attention"), [(True, "causal"), (False, "bidirectional")])
def test_two_motions_are_learned_by_heart(tokenizer, tmp_path, with_path, attention):
    motions = packed(tokenizer, 2, HANDS[:1])
    loop = replace(settings().loop, learning_rate=2e-2, epochs=200)
    config = settings(variation=replace(STILL, without_path=0.0 if with_path else 1.0), motion_weight=0.3, loop=loop)
    torch.manual_seed(0)
    network = new_network(replace(SMALL, attention=attention), tokenizer)
    task = GeneratorTask(tokenizer, words, motions, config)
    task.calibrate(network)
    fit(network, task.loss, task.batches, config.loop, tmp_path, steps_per_epoch=1)
    losses = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1]["entropy"] < 0.75 * losses[0]["entropy"]
    assert losses[-1]["distance_mm"] < 0.15 * losses[0]["distance_mm"]
    # Far more codes of both motions come back than by chance (one in 16): what is generated is what was tokenised.
    rng = torch.Generator().manual_seed(0)
    batch = motions.batch(torch.arange(2), HANDS[0], config.variation, rng)
    truth = tokenizer.unified.codec.encode(poses_of_batch(batch, tokenizer), tokenizer.levels)
    conditions = conditions_of(batch, ["lift the ball"] * 2, tokenizer, words)
    assert conditions.path_given.all() == with_path
    found, _ = write_codes(network, tokenizer.unified.codec, conditions, Sampling(), rng)
    assert (found == truth).float().mean() > 0.4


def test_the_objective_is_the_sum_that_it_says(tokenizer):
    """Of a network that points at its guess, with nothing dropped: parts worked out from the tokenizer alone."""
    motions = packed(tokenizer, 6)
    config = settings(motion_weight=0.3)
    torch.manual_seed(0)
    network = new_network(SMALL, tokenizer).eval()
    task = GeneratorTask(tokenizer, words, motions, config)
    batch = motions.batch(torch.arange(6), HANDS[1], STILL, torch.Generator())
    with torch.no_grad():
        loss, figures = task.loss(network, batch, torch.Generator().manual_seed(0))
        truth = poses_of_batch(batch, tokenizer)
        conditions = conditions_of(batch, ["lift the ball"] * 6, tokenizer, words)
        origin = network.origin(conditions, network.guess_of(conditions))
        off = network.head.missed(origin, truth).square().mean(-1).flatten(1)[:, :FRAMES]  # of whatever is real
    distance = (30 * off + 0.25).sqrt()
    weight = torch.ones(FRAMES)
    weight[-1] = config.last_weight
    expected = (distance * weight).sum() / weight.sum() / 6
    assert figures["distance_mm"] == pytest.approx(float(expected), rel=1e-4)
    assert figures["plan_entropy"] == 0
    assert figures["masked"] == 1
    assert float(loss) == pytest.approx(figures["entropy"] + 0.3 * figures["distance_mm"], rel=1e-5)
    planned = settings(open_plan=0.0, plan_weight=2.0)
    with torch.no_grad():
        loss, figures = GeneratorTask(tokenizer, words, motions, planned).loss(network, batch, torch.Generator())
    assert figures["plan_entropy"] == pytest.approx(np.log(16), rel=1e-5)  # nothing is known of the plan yet
    expected = figures["entropy"] + 2 * figures["plan_entropy"] + 0.1 * figures["distance_mm"]
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_shown_and_hidden_chunks_follow_the_schedule(tokenizer):
    motions = packed(tokenizer, 8)
    network = new_network(SMALL, tokenizer).eval()

    def masked(config: GeneratorTraining, epoch: int) -> float:
        task = GeneratorTask(tokenizer, words, motions, config)
        rng = torch.Generator().manual_seed(epoch)
        shares = [task.loss(network, batch, rng)[1]["masked"] for batch in task.batches(epoch, rng)]
        return float(np.mean(shares))

    with torch.no_grad():
        curriculum = settings(masking=MaskSchedule(), loop=LoopConfig(epochs=100, learning_rate=1e-4))
        assert masked(curriculum, 10) == 0
        assert masked(curriculum, 90) == 1
        assert masked(curriculum, 50) == pytest.approx(0.5, abs=0.1)
        for share in (0.0, 1.0):
            assert masked(settings(masked=share), 0) == share
        whole = [masked(settings(masked=0.5, batch_size=8), seed) for seed in range(12)]
    assert 0.3 < np.mean(whole) < 0.7
    assert all(share * 8 == pytest.approx(round(share * 8)) for share in whole)  # motions are shown wholly or not


@pytest.mark.parametrize("with_path", [True, False])
def test_the_fitted_prior_is_nearer_than_a_hand_that_stays(tokenizer, with_path):
    motions = packed(tokenizer, 24)
    fitting = PriorFitting(steps=30, copies=2)
    config = settings(prior=fitting, variation=Variation(without_path=0.0))
    sizes = replace(SMALL, memory=48, memory_without_path=48, members=1)
    torch.manual_seed(0)
    network = new_network(sizes, tokenizer).eval()
    task = GeneratorTask(tokenizer, words, motions, config)
    task.fit_priors(network)
    rng = torch.Generator().manual_seed(0)
    batch = motions.batch(torch.arange(24), HANDS[0], None, rng, with_path=with_path)
    conditions = conditions_of(batch, ["lift the ball"] * 24, tokenizer, words)
    truth = poses_of_batch(batch, tokenizer)

    def error(origin) -> float:
        return float(network.head.missed(truth, origin).norm(dim=-1).mean())

    stays = truth.map(lambda part: part[:, :1, :1].expand_as(part))
    knowing = network.guess_of(conditions)
    left_out = task._guess(network, conditions, torch.arange(24))
    errors = [error(network.origin(conditions, guess)) for guess in (knowing, left_out)]
    assert errors[0] < errors[1] < 0.6 * error(stays)
    # A plan that tells the truth brings the guess nearer; one that is written in another row's name does not.
    plan = plan_of(network, conditions, left_out, truth)
    planned = error(network.origin(conditions, network.planned(conditions, left_out, plan)))
    mixed = error(network.origin(conditions, network.planned(conditions, left_out, plan.roll(1, 0))))
    assert planned < 0.7 * errors[1] < mixed


@pytest.mark.parametrize("changed", [5, 6])
def test_guesses_in_training_do_not_know_their_recording(tokenizer, changed):
    """Fitted again with the end of a recording, or of what is composed of it, beyond recognition, its guess stays."""
    episodes, motions = make(12)
    episodes[6] = replace(episodes[5], id="made/06")
    motions[HANDS[0]]["made/06"] = motions[HANDS[0]]["made/05"].replace()
    guesses = []
    for change in (False, True):
        there = dict(motions[HANDS[0]])
        if change:
            moved = there[f"made/{changed:02}"].T_world_palm.copy()
            moved[1:, :3, 3] += [0.0, 0.0, 0.3]
            there[f"made/{changed:02}"] = there[f"made/{changed:02}"].replace(T_world_palm=moved)
        recordings = ConditionedMotions(
            episodes, {HANDS[0]: there}, {HANDS[0]: tokenizer.features(HANDS[0])}, reference_hand=HANDS[0],
            frames_per_chunk=4, max_frames=80,
        )  # fmt: skip
        config = settings(prior=PriorFitting(steps=0, copies=1))
        torch.manual_seed(0)
        network = new_network(replace(SMALL, memory=12, memory_without_path=12, members=1), tokenizer).eval()
        task = GeneratorTask(tokenizer, words, recordings, config)
        task.fit_priors(network)
        batch = recordings.batch(torch.tensor([5]), HANDS[0], None, torch.Generator(), with_path=True)
        conditions = conditions_of(batch, ["lift the ball"], tokenizer, words)
        for committee in network.committees:
            committee.share.zero_()  # trained anew, on other motions: that is another matter
        guesses.append([task._guess(network, conditions, torch.tensor([5])).told, network.guess_of(conditions).told])
    (left_out, known), (left_out_changed, known_changed) = guesses
    # Only the mean over all recordings, a twelfth of it, knows of the change.
    assert (known_changed - known).abs().max() > 0.1
    assert (left_out_changed - left_out).abs().max() < 0.04


def test_what_is_composed_never_lacks_its_path(tokenizer):
    """Words without a path are those of lifts: the prior for them is fitted to recordings alone."""
    episodes, motions = make(12)
    for number in range(7, 12):
        episodes[number] = replace(episodes[number], attributes={COMPOSED: "push"})
    there = ConditionedMotions(
        episodes, {HANDS[0]: motions[HANDS[0]]}, {HANDS[0]: tokenizer.features(HANDS[0])}, reference_hand=HANDS[0],
        frames_per_chunk=4, max_frames=80,
    )  # fmt: skip
    assert there.recorded.tolist() == list(range(7))
    batch = there.batch(torch.arange(12), HANDS[0], Variation(without_path=1.0), torch.Generator())
    assert batch.path_given.tolist() == [False] * 7 + [True] * 5
    torch.manual_seed(0)
    network = new_network(replace(SMALL, memory=12, memory_without_path=7, members=1), tokenizer).eval()
    task = GeneratorTask(tokenizer, words, there, settings(prior=PriorFitting(steps=0, copies=1)))
    task.fit_priors(network)
    assert network.prior.memory.abs().sum(dim=1).bool().sum() == 12
    assert network.prior_without_path.memory.abs().sum(dim=1).bool().sum() == 7
    loss, _ = task.loss(network, batch, torch.Generator())
    assert torch.isfinite(loss)


def test_figures_of_a_perfect_generator_are_zero(tokenizer, monkeypatch):
    """With a decoder that gives the truth back, nothing is left; a centimetre is a centimetre."""
    motions = packed(tokenizer, 3)
    batch = motions.batch(torch.arange(3), HANDS[0], None, torch.Generator(), with_path=True)
    truth = poses_of_batch(batch, tokenizer)
    network = new_network(SMALL, tokenizer).eval()
    monkeypatch.setattr(training, "write_codes", lambda *_: (None, truth))
    figures = motion_errors(network, motions, tokenizer, words)
    assert figures == pytest.approx({"mpjpe_mm": 0.0, "fpl_mm": 0.0, "fol_deg": 0.0}, abs=2e-2)
    shifted = type(truth)(R=truth.R, t=truth.t + torch.tensor([0.006, 0.0, 0.008]), fingers=truth.fingers)
    monkeypatch.setattr(training, "write_codes", lambda *_: (None, shifted))
    figures = motion_errors(network, motions, tokenizer, words)
    assert figures["mpjpe_mm"] == pytest.approx(10, abs=1e-2)
    assert figures["fpl_mm"] == pytest.approx(10, abs=1e-2)
    turn = torch.from_numpy(Rotation.from_euler("x", 20, degrees=True).as_matrix()).float()
    monkeypatch.setattr(
        training, "write_codes", lambda *_: (None, type(truth)(R=truth.R @ turn, t=truth.t, fingers=truth.fingers))
    )
    assert motion_errors(network, motions, tokenizer, words)["fol_deg"] == pytest.approx(20, abs=1e-2)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    episodes, motions = make(20)
    write_episodes(folder, episodes)
    for hand, of_hand in motions.items():
        write_motions(folder, hand, of_hand)
    return folder


def request(hand: str = OTHER, **changes) -> GenerationRequest:
    episodes, _ = make(1)
    return GenerationRequest(
        instruction="lift the ball",
        object_points_canonical=episodes[0].object_points,
        T_world_canonical=episodes[0].T_world_object,
        T_canonical_palm0=np.eye(4),
        hand=hand,
        qpos0=load_hand(hand).rest_qpos.numpy(),
        **({"lift_frame": LIFT} | changes),
    )


def brief(epochs: int, **changes) -> GeneratorTraining:
    loop = replace(GENERATOR["tiny"].loop, epochs=epochs, warmup_steps=2, checkpoint_steps=3)
    fields = {
        "loop": loop, "prior": PriorFitting(steps=5, copies=1), "variation": Variation(without_path=0.3), "masked": 0.5,
        "wordings": 2, "open_plan": 0.5, "hands": HANDS, "validate_epochs": 1,
        "sampling": Sampling(way="unmasking", rounds=2),
        "generator": replace(SMALL, dropout=0.1),
    }  # fmt: skip
    return settings(**(fields | changes))


@pytest.fixture(scope="module")
def trained(tokenizer, store, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, train_generator(store, out, preset=brief(epochs=3), seed=5, tokenizer=tokenizer)


def test_training_from_a_store_to_weights(tokenizer, store, trained, caplog):
    out, result = trained
    generator = load_generator(result["weights"], tokenizer=tokenizer)
    card = generator.card
    assert card["tokenizer"] == tokenizer.fingerprint
    assert card["seed"] == 5
    assert generator.sampling == Sampling(way="unmasking", rounds=2)
    assert {hand: entry["digest"] for hand, entry in card["motions"].items()} == {
        hand: motion_header(store, hand)["digest"] for hand in HANDS
    }
    records = episode_table(store)
    for part, name in (("train", "training_recordings"), ("validation", "selection_recordings")):
        ids = set(split("release", part, records))
        assert card[name] == sorted(r.recording for r in records if r.id in ids)
        assert card[name]
    assert not set(card["training_recordings"]) & set(card["selection_recordings"])
    assert card["training_episodes"] == len(card["training_recordings"]) == generator.network.config.memory
    assert set(card["figures"]) == {"part", "mpjpe_mm", "fpl_mm", "fol_deg"}
    assert result["figures"] == {n: v for n, v in card["figures"].items() if n != "part"}
    assert all(np.isfinite(v) for v in result["figures"].values())
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    validated = [line for line in log if "mpjpe_mm" in line]
    assert [line["epoch"] for line in validated] == [1, 2, 3]
    best = min(validated, key=lambda line: line["mpjpe_mm"])
    assert card["kept_epoch"] == best["epoch"]
    for hand in HANDS:
        assert generator.generate(request(hand)).shape == (CHUNKS, 2)
    assert generator.generate(request(lift_frame=None)).shape == (CHUNKS, 2)


def test_a_cut_off_run_resumes_to_the_same_weights(tokenizer, store, tmp_path, monkeypatch):
    # One state a text: the sentence encoder's depend in their last digit on the batch in which they are read first.
    monkeypatch.setattr(training, "load_text_encoder", lambda: words)
    options = {"preset": brief(epochs=3), "seed": 5, "tokenizer": tokenizer}
    whole = train_generator(store, tmp_path / "whole", **options)
    train_generator(store, tmp_path / "cut", **options, stop_after=7)
    (tmp_path / "cut" / "generator.safetensors").unlink()
    again = train_generator(store, tmp_path / "cut", **options, resume=True)
    assert again["fingerprint"] == whole["fingerprint"]
    assert again["figures"] == whole["figures"]
    ends = [read_tensors(tmp_path / name / "checkpoint.safetensors")[0] for name in ("whole", "cut")]
    assert set(ends[0]) == set(ends[1])
    assert [name for name, value in ends[0].items() if not torch.equal(ends[1][name], value)] == []


SCRIPT = """
import sys
sys.path[:0] = {path!r}
import test_generator_training as here
from unihm.tokenizer.tokenizer import load_tokenizer
from unihm.training.generator import train_generator
tokenizer = load_tokenizer({tokenizer!r})
result = train_generator({store!r}, {out!r}, preset=here.brief(epochs=3), seed=5, tokenizer=tokenizer)
print(sorted(result))
"""


@pytest.mark.slow
def test_two_processes_follow_one(tokenizer, store, trained, tmp_path):
    """Each draws its own noise, so the weights differ; priors are the same and the figures near."""
    tokenizer.save(tmp_path / "tokenizer.safetensors", tokenizer.card)
    script = tmp_path / "run.py"
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "generation")]
    names = {name: str(tmp_path / name) for name in ("out",)} | {"tokenizer": str(tmp_path / "tokenizer.safetensors")}
    script.write_text(SCRIPT.format(path=paths, store=str(store), **names))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone", str(script)]
    done = subprocess.run(
        launch, capture_output=True, text=True, timeout=500, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "['process']" in done.stdout
    one, two = (read_tensors(folder / "generator.safetensors")[0] for folder in (trained[0], tmp_path / "out"))
    for name, value in one.items():
        if name.startswith("prior."):
            torch.testing.assert_close(two[name], value, atol=1e-3, rtol=1e-2)
    found = json.loads((tmp_path / "out" / "generator.json").read_text())["figures"]
    assert found["mpjpe_mm"] == pytest.approx(trained[1]["figures"]["mpjpe_mm"], rel=0.3)


def test_a_run_with_other_motions_is_not_resumed(tokenizer, store, trained, tmp_path, caplog):
    out, _ = trained
    shutil.copytree(out, tmp_path / "run")
    changed = tmp_path / "changed"
    shutil.copytree(store, changed)
    motions = {i: motion.replace(qpos=0.9 * motion.qpos) for i, motion in read_motions(store, HANDS[0]).items()}
    write_motions(changed, HANDS[0], motions)
    with pytest.raises(ValueError, match=rf"Cannot resume .* other motions .*\({HANDS[0]}: not recorded"):
        train_generator(changed, tmp_path / "run", preset=brief(epochs=3), seed=5, tokenizer=tokenizer, resume=True)


def test_training_around_a_pretrained_language_model(tokenizer, store, tmp_path, caplog):
    pieces = Pieces(models.WordLevel({"lift": 0, "raise": 1, "the": 2, "ball": 3, "?": 4}, unk_token="?"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    body = Qwen3Config(
        vocab_size=5, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, tie_word_embeddings=True,
    )  # fmt: skip
    Qwen3ForCausalLM(body).save_pretrained(tmp_path / "base")
    pieces.save(str(tmp_path / "base" / "tokenizer.json"))
    config = brief(epochs=1, prior=None)
    result = train_generator(store, tmp_path / "run", preset=config, tokenizer=tokenizer, language=tmp_path / "base")
    assert "The tokenizer does not record the motions that it was trained on" in caplog.text
    generator = load_language_generator(result["weights"], tokenizer=tokenizer)
    assert generator.network.config.attention == "causal"
    assert generator.network.config.text_width == 32
    assert generator.generate(request()).shape == (CHUNKS, 2)


def test_a_lacking_motion_and_an_unknown_preset_are_refused(tokenizer, store, tmp_path):
    episodes, motions = make(2)
    del motions[HANDS[1]][episodes[1].id]
    with pytest.raises(ValueError, match=f"no motion of '{HANDS[1]}' for episode 'made/01'"):
        ConditionedMotions(
            episodes,
            motions,
            tokenizer.model.hands,
            reference_hand=HANDS[0],
            frames_per_chunk=4,
            max_frames=80,
        )
    with pytest.raises(ValueError, match="Did you mean 'tiny'"):
        train_generator(tmp_path, tmp_path, preset="tinny")
    with pytest.raises(ValueError, match="holds motions of none of leap that the tokenizer knows"):
        train_generator(store, tmp_path, preset=brief(epochs=1, hands=("leap",)), tokenizer=tokenizer)


def test_presets():
    assert set(GENERATOR) == {"tiny", "base", "paper"}
    paper = GENERATOR["paper"]
    assert (paper.loop.epochs, paper.loop.learning_rate, paper.loop.schedule) == (100, 1e-4, "constant")
    assert (paper.masking.start, paper.masking.end) == (0.2, 0.8)
    assert (paper.softness, paper.motion_weight, paper.prior) == (0.0, 0.0, None)
    for preset in GENERATOR.values():
        assert preset.hands[0] == "human"
        assert preset.generator.memory == 0  # the motions of the store decide


def test_ablations_leave_out_what_they_name(tokenizer):
    config = ablated(replace(brief(1), without=("words", "cloud", "masking", "prior", "touching")))
    assert config.generator.without == ("words", "cloud")
    assert (config.masked, config.masking, config.prior, config.sampling.touch.weight) == (0.0, None, None, 0.0)
    assert config.sampling.way == "autoregressive"
    assert ablated(brief(1)) == brief(1)
    with pytest.raises(ValueError, match="Did you mean 'words'"):
        ablated(replace(brief(1), without=("word",)))
    # A network without words or cloud says the same whatever they are.
    batch = packed(tokenizer, 3).batch(torch.arange(3), HANDS[0], None, torch.Generator())
    torch.manual_seed(0)
    network = new_network(config.generator, tokenizer).eval()
    for parameter in (network.head.correction.weight, network.start[2].weight):
        torch.nn.init.normal_(parameter, std=0.3)
    here = conditions_of(batch, ["lift the ball"] * 3, tokenizer, words)
    there = replace(here, words=here.words + 3, points=2 * here.points)
    for way in ("single", "autoregressive"):
        poses = [
            write_codes(network, tokenizer.unified.codec, c, Sampling(way=way), torch.Generator())[1]
            for c in (here, there)
        ]
        assert torch.equal(poses[0].t, poses[1].t)


def test_a_larger_motion_keeps_its_grasp(tokenizer):
    """Clouds and paths grow alike, fingers stay; what is between the fingertips is at the same place of the object."""
    motions = packed(tokenizer, 3)
    rows = torch.arange(3)
    plain, larger = (
        motions.batch(rows, HANDS[0], replace(STILL, scale=s), torch.Generator().manual_seed(4), with_path=True)
        for s in (1.0, 1.3)
    )
    ratio = larger.points.flatten(1).norm(dim=1) / plain.points.flatten(1).norm(dim=1)
    assert ((ratio > 1 / 1.3) & (ratio < 1.3) & ((ratio - 1).abs() > 0.01)).all()
    path = ratio[:, None, None] * plain.T_world_canonical[..., :3, 3]
    torch.testing.assert_close(larger.T_world_canonical[..., :3, 3], path, atol=1e-5, rtol=1e-4)
    features = tokenizer.features(HANDS[0])
    (qpos, palm), (same, moved) = (features.unpack(b.features) for b in (plain, larger))
    torch.testing.assert_close(same, qpos)
    grasp = torch.tensor([0.045, 0.0, 0.035])
    held, still = (T[..., :3, :3] @ grasp + T[..., :3, 3] for T in (palm, moved))
    torch.testing.assert_close(still, ratio[:, None, None] * held, atol=1e-5, rtol=1e-4)


def test_a_varied_motion_is_the_same_motion_in_another_frame(tokenizer):
    motions = packed(tokenizer, 3)
    rows, rng = torch.arange(3), torch.Generator().manual_seed(0)
    plain = motions.batch(rows, HANDS[0], None, rng, with_path=True)
    moved = motions.batch(
        rows, HANDS[0], Variation(crop=0.0, speed=1.0, scale=1.0, point_noise=0.0), rng, with_path=True
    )
    features = tokenizer.features(HANDS[0])
    worlds, views = [], []
    for batch in (plain, moved):
        qpos, T_canonical_palm = features.unpack(batch.features)
        worlds.append((qpos, batch.T_world_canonical @ T_canonical_palm))
        views.append((batch.T_world_canonical[:, 0, :2, :2] @ batch.view[..., None])[..., 0])
    torch.testing.assert_close(worlds[1], worlds[0], atol=1e-5, rtol=1e-4)
    assert (moved.features - plain.features).abs().max() > 1e-3
    # The camera stays where it was: it looks along y.
    for view in views:
        torch.testing.assert_close(view, torch.tensor([0.0, 1.0]).expand(3, 2), atol=1e-5, rtol=0)
    # The cloud moves with its frame: every varied point is one of the recorded ones.
    clouds = [
        b.points @ b.T_world_canonical[:, 0, :3, :3].mT + b.T_world_canonical[:, :1, :3, 3] for b in (plain, moved)
    ]
    assert torch.cdist(clouds[1].double(), clouds[0].double()).min(dim=-1).values.max() < 1e-5


def test_a_motion_without_its_path_is_the_same_motion_seen_from_where_the_object_was(tokenizer):
    motions, rng = packed(tokenizer, 5), torch.Generator().manual_seed(0)
    given = motions.batch(torch.arange(5), HANDS[1], None, rng, with_path=True)
    left_out = motions.batch(torch.arange(5), HANDS[1], None, rng, with_path=False)
    features = tokenizer.features(HANDS[1])
    worlds = [b.T_world_canonical @ features.unpack(b.features)[1] for b in (given, left_out)]
    torch.testing.assert_close(worlds[1], worlds[0], atol=1e-5, rtol=1e-4)
    assert given.path_given.all()
    assert not left_out.path_given.any()
    assert (left_out.T_world_canonical == left_out.T_world_canonical[:, :1]).all()
    assert (given.T_world_canonical[:, -1, 2, 3] - given.T_world_canonical[:, 0, 2, 3]).min() > 0.2
    drawn = motions.batch(torch.arange(5).repeat(100), HANDS[1], Variation(without_path=0.3), rng)
    assert 0.2 < (~drawn.path_given).float().mean() < 0.4


def test_cut_and_hurried_motions_keep_their_lift(tokenizer):
    """The first frame of the lift is the first in which the varied path has moved."""
    motions, rng = packed(tokenizer, 20), torch.Generator().manual_seed(0)
    batch = motions.batch(
        torch.arange(20).repeat(5), HANDS[0], Variation(crop=1.0, crop_share=0.9, speed=1.3), rng, with_path=True
    )
    rise = batch.T_world_canonical[..., 2, 3] - batch.T_world_canonical[:, :1, 2, 3]
    assert batch.lengths.unique().numel() > 5
    for lift, height, length in zip(batch.lift.tolist(), rise, batch.lengths.tolist(), strict=True):
        assert 3 <= lift < length  # something of the approach is always left
        assert height[: max(lift - 1, 0)].abs().max() < 1e-4
        assert height[min(lift + 1, length - 1)] > 1e-3


def test_joined_poses_and_codes_of_a_batch_are_the_tokenizers(tokenizer):
    """What training asks for is what `Tokenizer.encode` writes for the same motion."""
    episodes, made = make(3)
    motions = packed(tokenizer, 3)
    batch = motions.batch(torch.arange(3), HANDS[1], None, torch.Generator(), with_path=True)
    poses = poses_of_batch(batch, tokenizer)
    codes = tokenizer.unified.codec.encode(poses, tokenizer.levels)
    written = teacher_codes(tokenizer.unified.codec, poses)
    torch.testing.assert_close(written.poses.t, tokenizer.unified.codec.decode(codes).t)
    for row, episode in enumerate(episodes):
        motion = made[HANDS[1]][episode.id].replace(
            T_world_object=episode.T_world_object, object_points=episode.object_points
        )
        features = tokenizer.read(motion, batch.T_world_canonical[row, :FRAMES].double().numpy())
        torch.testing.assert_close(batch.features[row, :FRAMES], features, atol=1e-4, rtol=1e-4)
    assert join(torch.cat, [poses, poses]).t.shape[0] == 6
