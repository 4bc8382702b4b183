from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from generation_builders import speak

from unified_builders import OTHER, REFERENCE
from unihm.generation.decoding import Sampling
from unihm.generation.generator import (
    SHIPPED,
    Qwen3Generator,
    load_generator,
    new_network,
    read_generator,
    sampling_of,
)
from unihm.generation.qwen3 import GeneratorConfig
from unihm.generation.text_encoder import load_text_encoder
from unihm.generation.touching import Touch
from unihm.hands.hand import load_hand
from unihm.kinematics.keypoints import TIPS, WRIST
from unihm.schema.motion import MotionTokens

SMALL = GeneratorConfig(
    hidden=32, layers=1, heads=2, kv_heads=1, head_size=16, feedforward=48, memory=5, memory_without_path=4, members=1
)
SAMPLING = Sampling(way="autoregressive", touch=Touch(weight=0.5, fingers=(1.0, 1.0, 0.5, 0.5, 0.25), iterations=2))


@pytest.fixture(scope="module")
def reader():
    return load_text_encoder()


@pytest.fixture(scope="module")
def generator(tokenizer, reader) -> Qwen3Generator:
    torch.manual_seed(0)
    network = new_network(SMALL, tokenizer)
    speak(network)
    return Qwen3Generator(network, tokenizer, reader, sampling=SAMPLING)


@pytest.mark.parametrize("lift", [None, 0, 3, 99])
@pytest.mark.parametrize(("frames", "chunks"), [(1, 1), (4, 1), (5, 2), (10, 3)])
def test_codes_cover_the_path(generator, make_request, frames, chunks, lift):
    codes = generator.generate(make_request(frames=frames, lift_frame=lift))
    assert codes.shape == (chunks, 2)
    assert codes.min() >= 0
    assert codes.max() < 16


def test_same_seed_same_codes_and_temperature_zero_needs_none(generator, make_request):
    def draw(**options):
        return generator.generate(make_request(frames=40, **options))

    np.testing.assert_array_equal(draw(temperature=1.0, seed=3), draw(temperature=1.0, seed=3))
    assert (draw(temperature=1.0, seed=3) != draw(temperature=1.0, seed=4)).any()
    np.testing.assert_array_equal(draw(temperature=0.0, seed=3), draw(temperature=0.0, seed=4))
    np.testing.assert_array_equal(draw(seed=3), draw(temperature=0.0))  # the generator's own way


def test_many_at_once_are_each_alone(generator, make_request):
    """Other lengths, hands, words and lifts in one batch."""
    requests = [
        make_request(frames=22),
        make_request(frames=9, instruction="Lift the large blue box from the left, with three fingers, slowly"),
        make_request(frames=17, hand=OTHER, lift_frame=None),
        make_request(frames=12, view_canonical=np.array([0.6, 0.8]), instruction="take it from the left"),
        make_request(frames=1),
    ]
    together = generator.generate_all(requests)
    for request, codes in zip(requests, together, strict=True):
        np.testing.assert_array_equal(codes, generator.generate(request))
    with pytest.raises(ValueError, match="no requests"):
        generator.generate_all([])


def test_any_hand_and_another_place_on_the_table(generator, tokenizer, make_request):
    for hand in tokenizer.hands:
        request = make_request(hand=hand, frames=11)
        tokens = MotionTokens(
            codes=generator.generate(request), tokenizer=tokenizer.fingerprint, frames_per_chunk=4, num_frames=11,
            fps=30.0, hand=hand, T_world_canonical=request.T_world_canonical,
        )  # fmt: skip
        for shown in tokenizer.hands:  # one stream for all hands
            assert tokenizer.decode(tokens, shown).qpos.shape == (11, len(load_hand(shown).joint_names))
    request = make_request()
    move = np.eye(4)
    move[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
    move[:2, 3] = [1.0, 2.0]
    moved = replace(request, T_world_canonical=move @ request.T_world_canonical)
    np.testing.assert_array_equal(generator.generate(moved), generator.generate(request))


def test_conditions_are_the_requests(generator, tokenizer, make_request):
    first = make_request(frames=10, view_canonical=np.array([0.0, -3.0]))
    second = make_request(frames=6, lift_frame=None, object_points_canonical=np.array([[0.01, 0.02, 0.03]]))
    c = generator.conditions([first, second])
    assert c.lengths.tolist() == [10, 6]
    assert c.lift.tolist() == [3, 6]
    assert c.path_given.tolist() == [True, False]
    assert c.view.tolist() == [[0.0, -1.0], [0.0, 0.0]]
    assert c.T_world_canonical.shape == (2, 12, 4, 4)
    np.testing.assert_allclose(c.T_world_canonical[0, :10], first.T_world_canonical, atol=1e-6)
    np.testing.assert_allclose(c.T_world_canonical[0, 10:], first.T_world_canonical[[9, 9]], atol=1e-6)
    found = {tuple(p) for p in c.points[0].double().numpy().round(5).tolist()}
    assert found == {tuple(p) for p in first.object_points_canonical.round(5).tolist()}  # all 80, some repeated
    np.testing.assert_allclose(c.points[1], np.tile([0.01, 0.02, 0.03], (len(c.points[1]), 1)), atol=1e-7)
    # The start is the hand's own pose, read by its chart and shown again.
    qpos, T = tokenizer.features(REFERENCE).unpack(tokenizer.unified.chart(REFERENCE).decode(c.start))
    np.testing.assert_allclose(qpos[0], first.qpos0, atol=1e-5)
    np.testing.assert_allclose(T[0], first.T_canonical_palm0, atol=1e-5)


def test_large_clouds_are_thinned_and_small_ones_repeated(generator, make_request):
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.05, 0.05, (5000, 3))
    c = generator.conditions([make_request(object_points_canonical=points)])
    assert c.points.shape[1] < 5000
    assert len(np.unique(c.points[0].numpy(), axis=0)) == c.points.shape[1]
    np.testing.assert_array_equal(c.points[0, [0, -1]], points[[0, -1]].astype(np.float32))


def test_fingertips_are_those_of_forward_kinematics(generator, tokenizer):
    hand, features = load_hand(REFERENCE), tokenizer.features(REFERENCE)
    rng = torch.Generator().manual_seed(0)
    qpos = hand.lower + (hand.upper - hand.lower) * torch.rand(3, len(hand.lower), generator=rng).double()
    T = torch.eye(4).repeat(3, 1, 1).double()
    T[:, :3, 3] = torch.randn(3, 3, generator=rng).double()
    T[:, :3, :3] = torch.linalg.qr(torch.randn(3, 3, 3, generator=rng).double())[0]
    T[:, :3, 2] *= torch.linalg.det(T[:, :3, :3])[:, None]
    pose = tokenizer.unified.chart(REFERENCE).encode(features.pack(qpos, T))
    expected = hand.keypoints(qpos)[:, list(TIPS)] @ T[:, :3, :3].mT + T[:, None, :3, 3]
    torch.testing.assert_close(generator.person.tips(pose), expected, atol=1e-6, rtol=0)
    wrist = hand.keypoints(hand.rest_qpos)[WRIST].float()
    torch.testing.assert_close(generator.person.wrist_palm, wrist)


def test_a_request_decides_how_codes_are_drawn(make_request):
    own = Sampling(way="unmasking", temperature=0.7, rounds=3)
    assert sampling_of(own, make_request()) == own
    asked = make_request(temperature=0.0, top_k=5, top_p=0.9)
    assert sampling_of(own, asked) == replace(own, temperature=0.0, top_k=5, top_p=0.9)
    assert sampling_of(own, make_request(top_k=5)).temperature == 0.7
    assert sampling_of(own, make_request(one_of=(2, 4))) == replace(own, one_of=(2, 4))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instruction": "  "}, "instruction is empty"),
        ({"hand": "humn"}, "Did you mean 'human'"),
        ({"hand": "allegro"}, "Hand of the tokenizer 'allegro' not found"),
        ({"qpos0": np.zeros(2)}, "qpos0 has 2 values, 'human' has 21 joints"),
    ],
)
def test_bad_requests_are_refused(generator, make_request, changes, message):
    with pytest.raises(ValueError, match=message):
        generator.generate(make_request(**changes))


def test_round_trip_through_a_file(generator, make_request, make_tokenizer, tmp_path):
    path = tmp_path / "generator.safetensors"
    generator.save(path, {"licence": "none"})
    loaded = load_generator(path, tokenizer=make_tokenizer())
    assert loaded.card["tokenizer"] == "random"
    assert loaded.card["licence"] == "none"
    assert loaded.sampling == SAMPLING
    assert loaded.network.config == SMALL
    assert not loaded.network.training
    again = tmp_path / "again.safetensors"
    loaded.save(again, {"licence": "none"})  # stored in half precision: equal from the first rounding on
    assert json.loads(again.with_suffix(".json").read_text())["fingerprint"] == loaded.card["fingerprint"]
    twice = load_generator(again, tokenizer=make_tokenizer())
    for options in ({}, {"temperature": 1.0}, {"lift_frame": None}):
        request = make_request(**options)
        np.testing.assert_array_equal(twice.generate(request), loaded.generate(request))


def test_the_codes_of_another_tokenizer_are_refused(generator, make_tokenizer, tmp_path):
    path = tmp_path / "generator.safetensors"
    generator.save(path, {})
    with pytest.raises(ValueError, match="writes the codes of tokenizer 'random', this is 'other'"):
        load_generator(path, tokenizer=make_tokenizer("other"))


def test_files_that_do_not_fit_are_refused(generator, tokenizer, tmp_path):
    path = tmp_path / "generator.safetensors"
    with pytest.raises(ValueError, match="does not exist"):
        read_generator(path, tokenizer)
    generator.save(path, {})
    card = json.loads(path.with_suffix(".json").read_text())

    def with_card(**changes):
        path.with_suffix(".json").write_text(json.dumps(card | changes))
        return pytest.raises(ValueError, match=r"generator\.")

    with with_card(config=card["config"] | {"layers": 2}) as error:
        read_generator(path, tokenizer)
    assert "missing body.layers.1" in str(error.value)
    with with_card(config=card["config"] | {"hidden": 64}) as error:
        read_generator(path, tokenizer)
    assert "misshapen" in str(error.value)
    with with_card(config=card["config"] | {"memory": 9}) as error:
        read_generator(path, tokenizer)
    assert "misshapen" in str(error.value)
    with with_card(config={"depth": 3}) as error:
        read_generator(path, tokenizer)
    assert "card" in str(error.value)
    with with_card(kind="tokenizer"):
        read_generator(path, tokenizer)
    del card["sampling"]
    with with_card() as error:
        read_generator(path, tokenizer)
    assert "lacks sampling" in str(error.value)
    path.with_suffix(".json").write_text(json.dumps(card))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="damaged"):
        read_generator(path, tokenizer)


def test_a_tokenizer_without_one_stream_is_refused(reader):
    from unihm.tokenizer.features import hand_features
    from unihm.tokenizer.tokenizer import Tokenizer
    from unihm.tokenizer.vqvae import SharedVQVAE, TokenizerConfig

    config = TokenizerConfig(reference_hand=OTHER, latent=8, width=16, levels=2, codes=8)
    tokenizer = Tokenizer(SharedVQVAE(config, [hand_features(load_hand(OTHER))]))
    with pytest.raises(ValueError, match="no stream that all hands share"):
        new_network(SMALL, tokenizer)


def test_shipped_weights_write_a_motion_in_half_a_second(make_request):
    from importlib.resources import files

    from unihm.tokenizer.tokenizer import load_tokenizer

    weights = files("unihm") / "assets" / "weights" / SHIPPED
    if not weights.is_file():
        pytest.skip("the shipped generator is not here")
    tokenizer = load_tokenizer()
    generator = load_generator(tokenizer=tokenizer)
    hand = tokenizer.config.reference_hand
    request = make_request(frames=76, hand=hand)
    generator.generate(request)
    began = time.process_time()
    assert generator.generate(request).shape == (19, tokenizer.levels)
    assert time.process_time() - began < 0.5
