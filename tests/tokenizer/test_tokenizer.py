"""The public tokenizer: shapes, limits, fingerprints, refusals, the shipped weights."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unihm.hands.hand import list_hands, load_hand
from unihm.schema.motion import MotionTokens
from unihm.schema.weights import fingerprint
from unihm.tokenizer.features import hand_features as features_of
from unihm.tokenizer.tokenizer import Tokenizer, load_tokenizer
from unihm.tokenizer.vqvae import SharedVQVAE, TokenizerConfig


@pytest.fixture
def tokenizer(model) -> Tokenizer:
    return Tokenizer(model, fingerprint="abc")


@pytest.mark.parametrize("frames", [1, 3, 4, 5, 25, 80])
def test_shapes_for_any_length(tokenizer, make_motion, frames):
    motion = make_motion(frames=frames)
    tokens = tokenizer.encode(motion)
    assert tokens.codes.shape == (-(-frames // 4), 3)
    assert (tokens.num_frames, tokens.hand, tokens.tokenizer, tokens.source) == (frames, "left_claw", "abc", "test")
    for hand, nq in (("left_claw", 3), ("tongs", 1)):
        decoded = tokenizer.decode(tokens, hand)
        assert decoded.qpos.shape == (frames, nq)
        assert decoded.instruction == "lift it"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 999), frames=st.integers(1, 30))
def test_any_codes_decode_within_limits_to_proper_poses(tokenizer, hand_features, seed, frames):
    rng = np.random.default_rng(seed)
    tokens = MotionTokens(
        codes=rng.integers(0, 16, (-(-frames // 4), 3)),
        tokenizer="abc",
        frames_per_chunk=4,
        num_frames=frames,
        fps=30.0,
        hand="tongs",
        T_world_canonical=np.tile(np.eye(4), (frames, 1, 1)),
    )
    for hand, features in hand_features.items():
        motion = tokenizer.decode(tokens, hand)
        assert (motion.qpos >= features.lower).all()
        assert (motion.qpos <= features.upper).all()
        R = motion.T_world_palm[:, :3, :3]
        np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (frames, 1, 1)), atol=1e-9)
        np.testing.assert_allclose(np.linalg.det(R), 1.0, atol=1e-9)


def test_translation_keeps_the_object_and_equals_encode_then_decode(tokenizer, make_motion):
    motion = make_motion()
    translated = tokenizer.translate(motion, "tongs")
    decoded = tokenizer.decode(tokenizer.encode(motion), "tongs")
    np.testing.assert_array_equal(translated.qpos, decoded.qpos)
    assert translated.hand == "tongs"
    assert translated.T_world_object is motion.T_world_object
    assert translated.object_points is motion.object_points


def test_codes_are_the_nearest_to_the_latents(tokenizer, make_motion):
    motion = make_motion(frames=8)
    tokens = tokenizer.encode(motion)
    z_q = tokenizer.model.quantiser.embed(torch.from_numpy(tokens.codes))
    codebook = tokenizer.model.quantiser.codebook.detach()
    expected = sum(codebook[level, tokens.codes[:, level]] for level in range(tokenizer.levels))
    torch.testing.assert_close(z_q.detach(), expected)


def test_saved_and_loaded_tokenizers_agree(tokenizer, make_motion, tmp_path):
    mark = tokenizer.save(tmp_path / "t.safetensors", {"licence": "test"})
    loaded = load_tokenizer(tmp_path / "t.safetensors")
    again = load_tokenizer(tmp_path / "t.safetensors")
    assert loaded.fingerprint == mark
    assert loaded.card["licence"] == "test"
    assert loaded.config == tokenizer.config
    tokens = loaded.encode(make_motion())
    assert tokens.tokenizer == mark
    np.testing.assert_array_equal(tokens.codes, again.encode(make_motion()).codes)
    np.testing.assert_array_equal(loaded.decode(tokens, "tongs").qpos, again.decode(tokens, "tongs").qpos)
    tokens.save(tmp_path / "tokens.npz")
    assert again.decode(MotionTokens.load(tmp_path / "tokens.npz"), "left_claw").hand == "left_claw"


def test_tokens_of_other_weights_are_refused(tokenizer, make_motion, tmp_path):
    tokens = tokenizer.encode(make_motion())
    tokenizer.save(tmp_path / "t.safetensors", {})
    with pytest.raises(ValueError, match="written by tokenizer 'abc'"):
        load_tokenizer(tmp_path / "t.safetensors").decode(tokens, "tongs")


def test_bad_tokens_are_refused(tokenizer, make_motion):
    tokens = tokenizer.encode(make_motion())
    for changes, message in (
        ({"codes": tokens.codes + 16}, r"Codes lie in \d+..\d+, the codebook has 0..15"),
        ({"codes": tokens.codes[:-1]}, r"30 frames need \(8, 3\)"),
        ({"codes": tokens.codes[:, :2]}, r"30 frames need \(8, 3\)"),
        ({"frames_per_chunk": 2}, "stands for 2 frames, here for 4"),
        ({"T_world_canonical": tokens.T_world_canonical[:-1]}, "29 poses for 30 frames"),
    ):
        with pytest.raises(ValueError, match=message):
            tokenizer.decode(replace(tokens, **changes), "tongs")


def test_bad_motions_are_refused(tokenizer, make_motion):
    motion = make_motion()
    nan = motion.qpos.copy()
    nan[3, 1] = np.nan
    for changes, message in (
        ({"hand": "tong"}, "Did you mean 'tongs'"),
        ({"fps": 60.0}, "60 frames/s, the tokenizer reads 30"),
        ({"qpos": nan}, "NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            tokenizer.encode(motion.replace(**changes))
    with pytest.raises(ValueError, match="Available: left_claw, tongs"):
        tokenizer.decode(tokenizer.encode(motion), "violin")


def test_damaged_or_foreign_weights_are_refused(tokenizer, tmp_path):
    path = tmp_path / "t.safetensors"
    tokenizer.save(path, {})
    data = bytearray(path.read_bytes())
    data[-5] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"t\.safetensors' is damaged"):
        load_tokenizer(path)
    tokenizer.save(path, {})
    card = json.loads(path.with_suffix(".json").read_text())
    card["config"]["width"] = 24
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="does not fit the model: misshapen"):
        load_tokenizer(path)
    with pytest.raises(ValueError, match="does not exist"):
        load_tokenizer(tmp_path / "none.safetensors")


@pytest.fixture(scope="module")
def shipped() -> Tokenizer:
    return load_tokenizer()


def of_the_paper() -> Tokenizer:
    """Random networks of the other kind, around hands that exist."""
    config = TokenizerConfig(
        reference_hand="human", latent=8, width=16, encoder_blocks=1, decoder_blocks=1, levels=3, codes=16
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SharedVQVAE(config, [features_of(load_hand(name)) for name in ("human", "allegro", "panda")])
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return Tokenizer(model)


def test_only_one_stream_for_all_hands_is_what_a_generator_writes(tokenizer, shipped):
    assert shipped.unified is shipped.model
    with pytest.raises(ValueError, match="no stream that all hands share"):
        _ = tokenizer.unified


def test_shipped_weights_fit_the_hands_and_the_budget(shipped):
    for name in shipped.hands:
        hand, features = load_hand(name), shipped.model.hands[name]
        assert features.joint_names == tuple(hand.joint_names)
        np.testing.assert_allclose(features.lower, hand.lower.numpy())
        np.testing.assert_allclose(features.upper, hand.upper.numpy())
    assert shipped.card["licence"].startswith("CC BY-NC 4.0")
    assert shipped.card["split"] == "release"
    assert len(shipped.card["training_recordings"]) > 500
    assert not set(shipped.card["training_recordings"]) & set(shipped.card["selection_recordings"])
    assert sum(value.numel() for value in shipped.model.state_dict().values()) * 2 < 8_000_000  # bytes


def test_the_shipped_stream_is_for_every_hand():
    tokenizer = load_tokenizer()
    right = {name for name in list_hands() if load_hand(name).side == "right"}
    assert set(tokenizer.hands) == right
    assert [tokenizer.bits(levels) for levels in tokenizer.rates] == [12.5, 40, 80, 160]


@pytest.mark.parametrize("load", [load_tokenizer, of_the_paper])
def test_no_codes_reach_a_limit_violation(load):
    tokenizer = load()
    rng = np.random.default_rng(0)
    frames = 40
    tokens = MotionTokens(
        codes=rng.integers(0, tokenizer.codes_per_level, (10, tokenizer.levels)),
        tokenizer=tokenizer.fingerprint,
        frames_per_chunk=tokenizer.frames_per_chunk,
        num_frames=frames,
        fps=30.0,
        hand=tokenizer.hands[0],
        T_world_canonical=np.tile(np.eye(4), (frames, 1, 1)),
    )
    for name in tokenizer.hands:
        hand, motion = load_hand(name), tokenizer.decode(tokens, name)
        assert (motion.qpos >= hand.lower.numpy()).all()
        assert (motion.qpos <= hand.upper.numpy()).all()


def test_fingerprint_is_that_of_the_stored_numbers(tokenizer, tmp_path):
    mark = tokenizer.save(tmp_path / "t.safetensors", {})
    loaded = load_tokenizer(tmp_path / "t.safetensors")
    stored = {name: value.half() for name, value in loaded.model.state_dict().items() if name != "quantiser.usage"}
    assert fingerprint(stored) == mark
