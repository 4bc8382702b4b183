"""Tokenizer training on synthetic motions of two hands: staged, repeatable, better than no code at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from paired_scenes import OTHER, REFERENCE
from scipy.spatial.transform import Rotation

from unihm.datasets.episode_store import episode_table
from unihm.datasets.motion_store import motion_header, read_motions, write_motions
from unihm.datasets.splits import split
from unihm.evaluation.tokenizer import evaluate_tokenizer
from unihm.hands.hand import load_hand
from unihm.tokenizer.features import canonical_path
from unihm.tokenizer.figures import keypoints_world, motion_errors, summary
from unihm.tokenizer.tokenizer import load_tokenizer
from unihm.tokenizer.vqvae import SharedVQVAE, TokenizerConfig
from unihm.training.presets import TOKENIZER, Augmentation
from unihm.training.tokenizer import begin_with_motions, hand_features, load_motions, train_tokenizer
from unihm.training.tokenizer_data import PairedMotions
from unihm.training.tokenizer_losses import reconstruction_loss
from unihm.training.tokenizer_stages import TokenizerStages

tiny = TOKENIZER["residual"]
CONFIG = replace(
    tiny,
    tokenizer=TokenizerConfig(
        reference_hand=REFERENCE, latent=8, width=32, encoder_blocks=1, decoder_blocks=1, levels=3, codes=32
    ),
    reference=replace(tiny.reference, epochs=14, checkpoint_steps=5, warmup_steps=5, learning_rate=1.5e-2),
    alignment=replace(tiny.alignment, epochs=8, checkpoint_steps=5, warmup_steps=5, learning_rate=1.5e-2),
    warmup_epochs=3,
    refresh_epochs=3,
    distillation_epochs=2,
    batch_size=8,
    keypoint_pairs=1,
)


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, train_tokenizer(store, out, preset=CONFIG, seed=3)


@pytest.fixture
def stages(store):
    ids = split("release", "train", episode_table(store))
    hands = {name: load_hand(name) for name in (REFERENCE, OTHER)}
    features = {name: hand_features(hand) for name, hand in hands.items()}
    motions = load_motions(store, (REFERENCE, OTHER), ids)
    paired = PairedMotions(motions, features, reference_hand=REFERENCE, max_frames=CONFIG.max_frames)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TokenizerStages(SharedVQVAE(CONFIG.tokenizer, features.values()), paired, hands, CONFIG)


def test_round_trips_beat_the_mean_pose(trained):
    _, result = trained
    *own, cross = result["rows"]
    assert [row["hand"] for row in own] == [REFERENCE, OTHER]
    for row in own:
        assert row["keypoint_mm"] < 0.6 * row["mean_pose_keypoint_mm"]
        assert row["bits_per_frame"] == pytest.approx(3 * 5 / 4)
    assert own[0]["joint_deg"] > 0
    assert own[1]["joint_deg"] is None  # a gripper has only sliding joints
    assert (cross["hand"], cross["source"]) == (OTHER, REFERENCE)
    assert cross["fingertip_mm"] < 0.6 * own[1]["mean_pose_keypoint_mm"]


def test_the_card_lists_what_was_seen(trained, store):
    out, result = trained
    tokenizer = load_tokenizer(out / "tokenizer.safetensors")
    card = tokenizer.card
    records = episode_table(store)
    assert card["training_recordings"] == sorted(split("release", "train", records))
    assert card["selection_recordings"] == sorted(split("release", "validation", records))
    assert card["fingerprint"] == result["fingerprint"] == tokenizer.fingerprint
    assert card["seed"] == 3
    assert json.loads(json.dumps(card["figures"]["rows"])) == json.loads(json.dumps(result["rows"]))


def test_the_card_names_its_motions_and_a_run_goes_on_with_no_others(trained, store, tmp_path, caplog):
    out, _ = trained
    card = load_tokenizer(out / "tokenizer.safetensors").card
    assert card["motions"] == {hand: {"digest": motion_header(store, hand)["digest"], "made_with": None}
                               for hand in (REFERENCE, OTHER)}  # fmt: skip
    run, changed = tmp_path / "run", tmp_path / "store"
    shutil.copytree(out, run)
    shutil.copytree(store, changed)
    motions = {i: motion.replace(qpos=0.9 * motion.qpos) for i, motion in read_motions(store, OTHER).items()}
    write_motions(changed, OTHER, motions, made_with={"config": {}})
    with pytest.raises(ValueError, match=rf"other motions .*\({OTHER}: not recorded how .* without --resume"):
        train_tokenizer(changed, run, preset=CONFIG, seed=3, resume=True)
    assert begin_with_motions(store, (REFERENCE, OTHER), run, resume=True) == card["motions"]
    assert not caplog.text

    (run / "motions.json").unlink()  # a run of unihm 0.2
    begin_with_motions(changed, (REFERENCE, OTHER), run, resume=True)
    assert "nothing is recorded" in caplog.text
    checkpoints = list(run.glob("*/checkpoint.safetensors"))
    begin_with_motions(changed, (REFERENCE, OTHER), run, resume=False)
    assert all(checkpoint.is_file() for checkpoint in checkpoints)
    begin_with_motions(store, (REFERENCE, OTHER), run, resume=False)  # starts anew: a later --resume must not find them
    assert not any(checkpoint.is_file() for checkpoint in checkpoints)


def test_the_table_says_that_other_motions_were_learned(trained, store, tmp_path, caplog):
    out, _ = trained
    tokenizer = load_tokenizer(out / "tokenizer.safetensors")
    evaluate_tokenizer(store, "release", tokenizer, hands=(OTHER,), selection=True)
    assert not caplog.text
    tokenizer.card["motions"][OTHER] = {"digest": "0", "made_with": None}
    evaluate_tokenizer(store, "release", tokenizer, hands=(OTHER,), selection=True)
    assert f"The tokenizer was trained on other motions than the store's ({OTHER}: not recorded how" in caplog.text
    caplog.clear()
    del tokenizer.card["motions"]  # shipped before cards had them
    evaluate_tokenizer(store, "release", tokenizer, hands=(OTHER,), selection=True)
    assert "The tokenizer does not record the motions that it was trained on" in caplog.text


def test_stage_two_leaves_codebook_and_reference_as_they_are(stages, tmp_path):
    short = replace(CONFIG.reference, epochs=4), replace(CONFIG.alignment, epochs=3)
    stages.config = replace(CONFIG, reference=short[0], alignment=short[1])
    stages.train_reference(tmp_path / "1")
    before = {name: value.clone() for name, value in stages.model.state_dict().items()}
    stages.add_hand(OTHER, tmp_path / "2")
    changed = {n for n, value in stages.model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert all(name.startswith((f"encoders.{OTHER}.", f"decoders.{OTHER}.")) for name in changed)


def test_a_cut_off_run_resumes_to_the_same_weights(stages, store, trained, tmp_path):
    _, result = trained
    with torch.random.fork_rng():
        torch.manual_seed(3)
        stages.model = SharedVQVAE(CONFIG.tokenizer, stages.model.hands.values())
    stages.config = replace(CONFIG, reference=replace(CONFIG.reference, seed=3))
    stages.train_reference(tmp_path / f"1-{REFERENCE}", stop_after=17)
    again = train_tokenizer(store, tmp_path, preset=CONFIG, seed=3, resume=True)
    assert again["fingerprint"] == result["fingerprint"]


def test_batches_keep_hands_paired_and_say_what_counts(stages):
    motions = stages.motions
    rng = torch.Generator().manual_seed(0)
    plain = next(motions.batches((REFERENCE, OTHER), 8, 4, rng, augmentation=None, shuffle=False))
    assert plain.num_frames.tolist() == motions.lengths[:8].tolist()
    torch.testing.assert_close(plain.features[OTHER][0, :25], motions.features[OTHER][0, :25])
    assert (plain.features[OTHER][0, motions.lengths[0] :] == motions.features[OTHER][0, motions.lengths[0] - 1]).all()
    varied = next(motions.batches((REFERENCE, OTHER), 8, 4, rng, augmentation=Augmentation(), shuffle=False))
    # Both hands have the same palm path here, so it must stay the same under any variation, and be a rigid one.
    torch.testing.assert_close(varied.features[REFERENCE][..., :9], varied.features[OTHER][..., :9])
    columns = varied.features[REFERENCE][0, :, 3:9].unflatten(-1, (2, 3))
    gram = columns @ columns.transpose(-1, -2)
    torch.testing.assert_close(gram, torch.eye(2).expand_as(gram), atol=1e-3, rtol=0)
    assert not torch.equal(varied.num_frames, plain.num_frames)
    assert varied.mask.sum(1).tolist() == [-(-n // 4) for n in varied.num_frames.tolist()]


def test_the_loss_is_zero_for_the_truth_and_its_keypoints_are_world_distances(stages):
    batch = next(stages.motions.batches((REFERENCE,), 8, 4, torch.Generator(), augmentation=None))
    x = batch.features[REFERENCE]
    rest = (batch.num_frames, stages.model.hands[REFERENCE], stages.hands[REFERENCE])
    config = replace(CONFIG, keypoint_weight=1.0, velocity_weight=0.0)
    loss, mm = reconstruction_loss(x, x, *rest, config, torch.Generator())
    assert loss.item() < 2e-3
    moved = x.clone()
    moved[..., 1] += 0.3  # 30 mm sideways
    loss, mm = reconstruction_loss(moved, x, *rest, config, torch.Generator())
    assert mm == pytest.approx(30, abs=0.01)
    assert loss.item() == pytest.approx(3 + config.palm_weight * 0.09 / 9, abs=1e-3)


def test_figures_by_hand(store):
    motion = load_motions(store, (OTHER,), ["made/00"])[OTHER]["made/00"]
    hand = load_hand(OTHER)
    moved = motion.T_world_palm.copy()
    moved[:, :3, 3] += [0.003, 0.004, 0.0]
    turn = Rotation.from_rotvec([0, 0, np.deg2rad(7)]).as_matrix()
    figures = summary([motion_errors(motion.replace(T_world_palm=moved), motion, hand)])
    assert figures["keypoint_mm"] == pytest.approx(5)
    assert figures["wrist_mm"] == pytest.approx(5)
    assert figures["p95_mm"] == pytest.approx(5)
    assert figures["wrist_deg"] == pytest.approx(0, abs=1e-6)
    turned = motion.T_world_palm.copy()
    turned[:, :3, :3] = turned[:, :3, :3] @ turn
    assert summary([motion_errors(motion.replace(T_world_palm=turned), motion, hand)])["wrist_deg"] == pytest.approx(7)
    assert keypoints_world(motion, hand).shape == (len(motion), len(hand.keypoint_indices), 3)
    assert canonical_path(motion).shape == (len(motion), 4, 4)


def test_the_table_measures_held_out_motions_and_refuses_others(trained, store):
    out, result = trained
    tokenizer = load_tokenizer(out / "tokenizer.safetensors")
    rows = evaluate_tokenizer(store, "release", tokenizer, hands=(OTHER,), selection=True)
    assert [(row["hand"], row["quantiser"]) for row in rows] == [(OTHER, "residual"), (OTHER, "mean_pose")]
    assert rows[0]["keypoint_mm"] == pytest.approx(result["rows"][1]["keypoint_mm"])
    assert rows[1]["keypoint_mm"] == pytest.approx(result["rows"][1]["mean_pose_keypoint_mm"])
    with pytest.raises(ValueError, match=r"tokenizer was trained on \d+ of 6 test recordings"):
        evaluate_tokenizer(store, "s0", tokenizer)
    with pytest.raises(ValueError, match="no recording of part 'seen'"):
        evaluate_tokenizer(store, "release", tokenizer)


def test_bad_input_is_named(store, tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'tiny'"):
        train_tokenizer(store, tmp_path, preset="tinny")
    unknown = replace(CONFIG, tokenizer=replace(CONFIG.tokenizer, reference_hand="alegro"))
    with pytest.raises(ValueError, match="Did you mean 'allegro'"):
        train_tokenizer(store, tmp_path, preset=unknown)
    with pytest.raises(ValueError, match="not a unihm data set"):
        train_tokenizer(tmp_path, tmp_path)
