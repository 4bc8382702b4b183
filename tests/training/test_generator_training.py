"""Generator training on synthetic motions: what two motions teach is learned, and a run can be taken up again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Pieces
from tokenizers import models, pre_tokenizers
from transformers import Qwen3Config, Qwen3ForCausalLM

from unihm.datasets.episode_store import episode_table, write_episodes
from unihm.datasets.motion_store import motion_header, read_motions, write_motions
from unihm.generation.base import GenerationRequest
from unihm.generation.decoding import write_codes
from unihm.generation.generator import load_generator, new_network
from unihm.generation.language import load_language_generator
from unihm.generation.qwen3 import GeneratorConfig
from unihm.hands.description import describe_hand
from unihm.hands.hand import list_hands, load_hand
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion
from unihm.tokenizer.tokenizer import Tokenizer, load_tokenizer
from unihm.tokenizer.vqvae import SharedVQVAE, TokenizerConfig
from unihm.training.generator import (
    GENERATOR,
    GeneratorTask,
    GeneratorTraining,
    conditions_of,
    motion_errors,
    train_generator,
)
from unihm.training.generator_data import ConditionedMotions, Variation
from unihm.training.loop import LoopConfig, fit
from unihm.training.tokenizer import hand_features

SMALL = GeneratorConfig(hidden=32, layers=1, heads=2, kv_heads=1, head_size=16, feedforward=64, dropout=0.0)
# The two right hands with the fewest joints.
HANDS = tuple(
    sorted(
        (name for name in list_hands() if describe_hand(name).side == "right"),
        key=lambda name: len(describe_hand(name).joint_names),
    )[:2]
)


def make(count: int, frames: int = 12):
    """Hands that reach for a ball from different sides and follow it as it rises."""
    rng = np.random.default_rng(0)
    episodes, motions = [], {hand: {} for hand in HANDS}
    for number in range(count):
        t = np.linspace(0, 1, frames)
        T_world_object = np.tile(np.eye(4), (frames, 1, 1))
        T_world_object[:, 2, 3] = 0.05 + 0.2 * np.clip(2 * t - 1, 0, 1)
        T_world_palm = T_world_object.copy()
        T_world_palm[:, :3, 3] += np.outer(1 - t, rng.uniform(-0.3, 0.3, 3)) + rng.uniform(-0.05, 0.05, 3)
        ball = rng.normal(size=(64, 3))
        ball /= np.linalg.norm(ball, axis=1, keepdims=True)
        name = f"made/{number:02d}"
        facts = {"object_position": "0", "unihm_split": "train", "trial": "0", "subject_number": "3"}
        episodes.append(
            Episode(
                id=name, recording=name, dataset="made", subject="s", object_name="ball", mirrored=False, fps=30.0,
                keypoints_world=np.zeros((frames, 21, 3)), T_world_object=T_world_object,
                object_points=0.04 * ball, object_normals=ball, T_world_camera=np.eye(4),
                instructions=("lift the ball", "raise the ball"), contact_frame=6, lift_frame=6, attributes=facts,
            )
        )  # fmt: skip
        for hand in HANDS:
            model = load_hand(hand)
            lower, upper = model.lower.numpy(), model.upper.numpy()
            share = 0.2 + 0.6 * t[:, None] * rng.uniform(0, 1, len(lower))
            motions[hand][name] = HandMotion(
                hand=hand, fps=30.0, joint_names=tuple(model.joint_names),
                qpos=lower + share * (upper - lower), T_world_palm=T_world_palm,
            )  # fmt: skip
    return episodes, motions


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    """Random networks; the codebook is made of latents, so that different motions have different codes."""
    config = TokenizerConfig(reference_hand=HANDS[0], latent=8, width=32, levels=3, codes=24)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SharedVQVAE(config, [hand_features(load_hand(hand)) for hand in HANDS])
    motions = packed(Tokenizer(model), 12)
    rng = torch.Generator().manual_seed(0)
    latents = []
    for hand in HANDS:
        batch = motions.batch(torch.arange(12), hand, None, rng)
        latents.append(model.encode(hand, batch.features, torch.ones(12, 3, dtype=torch.bool)).flatten(0, 1))
    model.quantiser.initialise(torch.cat(latents).detach(), rng)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.safetensors"
    Tokenizer(model).save(path, {})
    return load_tokenizer(path)


def packed(tokenizer: Tokenizer, count: int, hands: tuple[str, ...] = HANDS) -> ConditionedMotions:
    episodes, motions = make(count)
    return ConditionedMotions(
        episodes,
        {hand: motions[hand] for hand in hands},
        {hand: tokenizer.model.hands[hand] for hand in hands},
        reference_hand=HANDS[0],
        frames_per_chunk=4,
        max_frames=80,
    )


def words(texts):
    """Stands for the sentence encoder: one state a text, the same for the same text."""
    states = torch.stack([torch.full((1, 384), float(len(text))) for text in texts])
    return states, torch.ones(len(texts), 1, dtype=torch.bool)


def settings(**changes) -> GeneratorTraining:
    loop = LoopConfig(epochs=100, learning_rate=6e-3, warmup_steps=5, weight_decay=0.0, checkpoint_steps=10_000)
    still = Variation(crop=0.0, speed=1.0, yaw_deg=0.0, shift=0.0, partial=0.0, point_noise=0.0)
    fields = {
        "generator": SMALL, "loop": loop, "batch_size": 2, "softness": 0.0, "level_decay": 1.0, "motion_weight": 0.0,
        "prior_strength": None, "drop_words": 0.0, "drop_cloud": 0.0, "variation": still, "always_masked": 1.0,
    }  # fmt: skip
    return GeneratorTraining(**(fields | changes))


def test_two_motions_are_learned_by_heart(tokenizer, tmp_path):
    motions = packed(tokenizer, 2, HANDS[:1])
    config = settings()
    torch.manual_seed(0)
    network = new_network(SMALL, tokenizer)
    task = GeneratorTask(tokenizer, words, motions, config)
    fit(network, task.loss, task.batches, config.loop, tmp_path, steps_per_epoch=1)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.2 * losses[0]
    # Every code of both motions comes back, so what is generated is what was tokenised.
    rng = torch.Generator().manual_seed(0)
    batch = motions.batch(torch.arange(2), HANDS[0], None, rng)
    latent = tokenizer.model.encode(HANDS[0], batch.features, torch.ones(2, 3, dtype=torch.bool))
    truth = tokenizer.model.quantiser.quantize(latent).codes
    found = write_codes(network, conditions_of(batch, ["lift the ball"] * 2, tokenizer, words), rng=rng)
    assert torch.equal(found, truth)


def test_the_fitted_prior_is_nearer_than_a_hand_that_stays(tokenizer):
    motions = packed(tokenizer, 12)
    rng = torch.Generator().manual_seed(0)
    batch = motions.batch(torch.arange(12), HANDS[1], None, rng)
    conditions = conditions_of(batch, ["lift the ball"] * 12, tokenizer, words)
    latent = tokenizer.model.encode(HANDS[1], batch.features, torch.ones(12, 3, dtype=torch.bool))
    error = {}
    for strength in (None, 1e-4):
        network = new_network(SMALL, tokenizer)
        GeneratorTask(tokenizer, words, motions, settings(prior_strength=strength)).fit_prior(network)
        error[strength] = (network.origin(conditions) - latent).norm(dim=-1).mean()
    assert error[1e-4] < 0.3 * error[None]


def test_figures_of_a_perfect_generator_are_zero(tokenizer, monkeypatch):
    """With the codes of the truth and a decoder that gives the truth back, nothing is left."""
    motions = packed(tokenizer, 3)
    batch = motions.batch(torch.arange(3), HANDS[1], None, torch.Generator())
    monkeypatch.setattr(tokenizer.model, "decode", lambda hand, z, mask: batch.features)
    figures = motion_errors(new_network(SMALL, tokenizer).eval(), motions, tokenizer, words, hands=(HANDS[1],))
    assert figures == {"mpjpe_mm": 0.0, "fpl_mm": 0.0, "fol_deg": 0.0}
    shifted = batch.features.clone()
    shifted[..., 0] += 0.1  # 1 cm
    monkeypatch.setattr(tokenizer.model, "decode", lambda hand, z, mask: shifted)
    figures = motion_errors(new_network(SMALL, tokenizer).eval(), motions, tokenizer, words, hands=(HANDS[1],))
    assert figures["mpjpe_mm"] == pytest.approx(10, abs=1e-3)
    assert figures["fpl_mm"] == pytest.approx(10, abs=1e-3)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    episodes, motions = make(8)
    write_episodes(folder, episodes)
    for hand, of_hand in motions.items():
        write_motions(folder, hand, of_hand)
    return folder


def request() -> GenerationRequest:
    episodes, _ = make(1)
    return GenerationRequest(
        instruction="lift the ball",
        object_points_canonical=episodes[0].object_points,
        T_world_canonical=episodes[0].T_world_object,
        T_canonical_palm0=np.eye(4),
        hand=HANDS[1],
        qpos0=load_hand(HANDS[1]).rest_qpos.numpy(),
    )


def brief(epochs: int) -> GeneratorTraining:
    loop = replace(GENERATOR["tiny"].loop, epochs=epochs, warmup_steps=2)
    return settings(loop=loop, prior_strength=1e-3, prior_draws=1, variation=Variation(), motion_weight=1.0)


def test_training_from_a_store_to_weights(tokenizer, store, tmp_path, caplog):
    config = brief(epochs=2)
    result = train_generator(store, tmp_path / "run", preset=config, seed=5, tokenizer=tokenizer)
    again = train_generator(store, tmp_path / "again", preset=config, seed=5, tokenizer=tokenizer)
    assert again["fingerprint"] == result["fingerprint"]
    generator = load_generator(result["weights"], tokenizer=tokenizer)
    card = generator.card
    assert card["tokenizer"] == tokenizer.fingerprint
    assert card["seed"] == 5
    assert {hand: entry["digest"] for hand, entry in card["motions"].items()} == {
        hand: motion_header(store, hand)["digest"] for hand in HANDS
    }
    assert "The tokenizer does not record the motions that it was trained on" in caplog.text
    recordings = {record.recording for record in episode_table(store)}
    assert set(card["training_recordings"]) | set(card["selection_recordings"]) == recordings
    assert generator.generate(request()).shape == (3, 3)

    changed = tmp_path / "changed"
    shutil.copytree(store, changed)
    motions = {i: motion.replace(qpos=0.9 * motion.qpos) for i, motion in read_motions(store, HANDS[0]).items()}
    write_motions(changed, HANDS[0], motions)
    with pytest.raises(ValueError, match=rf"Cannot resume .* other motions .*\({HANDS[0]}: not recorded"):
        train_generator(changed, tmp_path / "run", preset=config, seed=5, tokenizer=tokenizer, resume=True)


def test_training_around_a_pretrained_language_model(tokenizer, store, tmp_path):
    pieces = Pieces(models.WordLevel({"lift": 0, "raise": 1, "the": 2, "ball": 3, "?": 4}, unk_token="?"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    body = Qwen3Config(
        vocab_size=5, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, tie_word_embeddings=True,
    )  # fmt: skip
    Qwen3ForCausalLM(body).save_pretrained(tmp_path / "base")
    pieces.save(str(tmp_path / "base" / "tokenizer.json"))
    result = train_generator(
        store, tmp_path / "run", preset=brief(epochs=1), tokenizer=tokenizer, language=tmp_path / "base"
    )
    generator = load_language_generator(result["weights"], tokenizer=tokenizer)
    assert generator.network.config.attention == "causal"
    assert generator.generate(request()).shape == (3, 3)


def test_a_lacking_motion_and_an_unknown_preset_are_refused(tokenizer, tmp_path):
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


def test_the_papers_preset_is_the_papers():
    paper = GENERATOR["paper"]
    assert (paper.loop.epochs, paper.loop.learning_rate, paper.loop.schedule) == (100, 1e-4, "constant")
    assert (paper.masking.start, paper.masking.end, paper.always_masked) == (0.2, 0.8, 0.0)
    assert (paper.softness, paper.motion_weight, paper.prior_strength) == (0.0, 0.0, None)


def test_a_varied_motion_is_the_same_motion_in_another_frame(tokenizer):
    motions = packed(tokenizer, 3)
    rows, rng = torch.arange(3), torch.Generator().manual_seed(0)
    plain = motions.batch(rows, HANDS[0], None, rng)
    moved = motions.batch(rows, HANDS[0], Variation(crop=0.0, speed=1.0, point_noise=0.0), rng)
    features = tokenizer.model.hands[HANDS[0]]
    worlds = []
    for batch in (plain, moved):
        qpos, T_canonical_palm = features.unpack(batch.features)
        worlds.append((qpos, batch.T_world_canonical @ T_canonical_palm))
    torch.testing.assert_close(worlds[1], worlds[0], atol=1e-5, rtol=1e-4)
    assert (moved.features - plain.features).abs().max() > 1e-3
    # The cloud moves with its frame: every varied point is one of the recorded ones.
    clouds = [
        b.points @ b.T_world_canonical[:, 0, :3, :3].mT + b.T_world_canonical[:, :1, :3, 3] for b in (plain, moved)
    ]
    assert torch.cdist(clouds[1], clouds[0]).min(dim=-1).values.max() < 1e-4
