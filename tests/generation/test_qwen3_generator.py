from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from unihm.generation.generator import (
    SHIPPED,
    Qwen3Generator,
    load_generator,
    new_network,
    read_generator,
)
from unihm.generation.qwen3 import GeneratorConfig
from unihm.generation.text_encoder import load_text_encoder

SMALL = GeneratorConfig(hidden=32, layers=1, heads=2, kv_heads=1, head_size=16, feedforward=48)


@pytest.fixture(scope="module")
def reader():
    return load_text_encoder()


@pytest.fixture(scope="module")
def generator(tokenizer, reader) -> Qwen3Generator:
    torch.manual_seed(0)
    network = new_network(SMALL, tokenizer)
    torch.nn.init.normal_(network.head.mu.weight, std=0.3)
    return Qwen3Generator(network, tokenizer, reader)


@pytest.mark.parametrize(("frames", "chunks"), [(1, 1), (4, 1), (5, 2), (10, 3)])
def test_codes_cover_the_path(generator, make_request, frames, chunks):
    codes = generator.generate(make_request(frames=frames))
    assert codes.shape == (chunks, 3)
    assert codes.min() >= 0
    assert codes.max() < 32


def test_same_seed_same_codes_and_temperature_zero_needs_none(generator, make_request):
    def draw(**options):
        return generator.generate(make_request(frames=40, **options))

    np.testing.assert_array_equal(draw(temperature=1.0, seed=3), draw(temperature=1.0, seed=3))
    assert (draw(temperature=1.0, seed=3) != draw(temperature=1.0, seed=4)).any()
    np.testing.assert_array_equal(draw(temperature=0.0, seed=3), draw(temperature=0.0, seed=4))
    np.testing.assert_array_equal(draw(temperature=1.0, top_k=1), draw(temperature=0.0))


def test_every_hand_and_another_place_on_the_table(generator, make_request):
    assert generator.generate(make_request(hand="grip", qpos0=np.zeros(1))).shape == (3, 3)
    request = make_request()
    move = np.eye(4)
    move[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
    move[:2, 3] = [1.0, 2.0]
    moved = replace(request, T_world_canonical=move @ request.T_world_canonical)
    np.testing.assert_array_equal(generator.generate(moved), generator.generate(request))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"instruction": "  "}, "instruction is empty"),
        ({"hand": "clw"}, "Did you mean 'claw'"),
        ({"qpos0": np.zeros(2)}, "qpos0 has 2 values, 'claw' has 3 joints"),
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
    again = tmp_path / "again.safetensors"
    loaded.save(again, {"licence": "none"})  # stored in half precision: equal from the first rounding on
    assert json.loads(again.with_suffix(".json").read_text())["fingerprint"] == loaded.card["fingerprint"]
    request = make_request(temperature=1.0)
    np.testing.assert_array_equal(
        load_generator(again, tokenizer=make_tokenizer()).generate(request), loaded.generate(request)
    )


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
    with with_card(config={"depth": 3}) as error:
        read_generator(path, tokenizer)
    assert "card" in str(error.value)
    with with_card(kind="tokenizer"):
        read_generator(path, tokenizer)
    path.with_suffix(".json").write_text(json.dumps(card))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="damaged"):
        read_generator(path, tokenizer)


def test_shipped_weights_write_a_motion_in_half_a_second(make_request):
    from importlib.resources import files

    from unihm.tokenizer.tokenizer import FOR_GENERATOR, load_tokenizer

    weights = files("unihm") / "assets" / "weights" / SHIPPED
    if not weights.is_file():
        pytest.skip("the shipped generator is not here")
    tokenizer = load_tokenizer(shipped=FOR_GENERATOR)
    generator = load_generator(tokenizer=tokenizer)
    hand = tokenizer.hands[0]
    request = make_request(frames=76, hand=hand, qpos0=np.zeros(len(tokenizer.model.hands[hand].joint_names)))
    generator.generate(request)
    began = time.process_time()
    assert generator.generate(request).shape == (19, tokenizer.levels)
    assert time.process_time() - began < 0.5
