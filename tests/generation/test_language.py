from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from generation_builders import speak
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer as Pieces
from tokenizers import models, pre_tokenizers, trainers
from transformers import AutoModel, Qwen3Config, Qwen3ForCausalLM

from unihm.generation.base import GENERATORS
from unihm.generation.decoding import Sampling
from unihm.generation.generator import Qwen3Generator, new_network
from unihm.generation.language import config_of, load_language_generator, load_qwen3, save_words

TEXTS = ["pick up the red box", "push the mug to the left"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A Qwen3 of a few thousand random weights, written by transformers itself, as the 0.6 B one is."""
    folder = tmp_path_factory.mktemp("qwen3")
    pieces = Pieces(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    pieces.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    config = Qwen3Config(
        vocab_size=pieces.get_vocab_size(),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    )
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).save_pretrained(folder)
    pieces.save(str(folder / "tokenizer.json"))
    return folder


def test_weights_words_and_states_are_those_of_transformers(checkpoint):
    model, words = load_qwen3(checkpoint)
    reference = AutoModel.from_pretrained(checkpoint).eval()
    ids = torch.tensor([Pieces.from_file(str(checkpoint / "tokenizer.json")).encode(TEXTS[0]).ids])
    states, mask = words(TEXTS)
    assert states.shape[:2] == mask.shape
    torch.testing.assert_close(states[0][mask[0]], reference.embed_tokens(ids)[0])
    with torch.no_grad():
        found = model.eval()(inputs_embeds=states[:1, : ids.shape[1]]).last_hidden_state
        torch.testing.assert_close(found, reference(ids).last_hidden_state)


def test_a_generator_around_it_survives_the_disk(checkpoint, tokenizer, make_request, tmp_path):
    model, words = load_qwen3(checkpoint)
    config = config_of(model)
    network = new_network(config, tokenizer, body=model)
    speak(network)
    assert network.body is model
    generator = Qwen3Generator(network, tokenizer, words, sampling=Sampling(way="autoregressive"))
    path = tmp_path / "generator.safetensors"
    generator.save(path, {})
    with pytest.raises(ValueError, match=r"generator\.words\.safetensors"):
        load_language_generator(path, tokenizer=tokenizer)
    save_words(path, words)
    loaded = GENERATORS["qwen3-0.6b"](path, tokenizer=tokenizer)
    assert loaded.network.config == config
    assert loaded.sampling == generator.sampling
    request = make_request()
    generator.network.half().float()  # files hold half precision
    np.testing.assert_array_equal(loaded.generate(request), generator.generate(request))
    with pytest.raises(ValueError, match="instruction is empty"):
        loaded.generate(make_request(instruction=" "))


def test_words_of_another_width_are_refused(checkpoint, tokenizer, tmp_path):
    model, words = load_qwen3(checkpoint)
    generator = Qwen3Generator(new_network(config_of(model), tokenizer, body=model), tokenizer, words)
    path = tmp_path / "generator.safetensors"
    generator.save(path, {})
    save_words(path, words)
    save_file(
        {"embed_tokens.weight": torch.zeros(words.embeddings.num_embeddings, 16)},
        path.with_suffix(".words.safetensors"),
    )
    with pytest.raises(ValueError, match="has width 16, the generator 32"):
        load_language_generator(path, tokenizer=tokenizer)


def test_without_a_path_it_says_what_to_do(tokenizer):
    with pytest.raises(ValueError, match="no weights in the package"):
        load_language_generator(tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", r"missing layers\.0\.mlp\.up_proj\.weight"),
        ("unexpected", "unexpected layers.9.extra"),
        ("misshapen", r"misshapen norm\.weight"),
        ("type", "model_type is 'llama'"),
        ("damaged", "is damaged"),
        ("no tokenizer", r"has no tokenizer\.json"),
    ],
)
def test_only_exactly_fitting_checkpoints_load(checkpoint, tmp_path, fault, message):
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    tensors = load_file(weights)
    if fault == "missing":
        del tensors["model.layers.0.mlp.up_proj.weight"]
    elif fault == "unexpected":
        tensors["model.layers.9.extra"] = torch.zeros(1)
    elif fault == "misshapen":
        tensors["model.norm.weight"] = torch.ones(31)
    save_file(tensors, weights)
    if fault == "type":
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    elif fault == "damaged":
        weights.write_bytes(weights.read_bytes()[:100])
    elif fault == "no tokenizer":
        (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=message):
        load_qwen3(tmp_path)


def test_a_name_that_is_no_folder_and_cannot_be_reached_is_refused():
    with pytest.raises(ValueError, match="neither a local folder nor a reachable hub id"):
        load_qwen3("no-such-owner/no-such-model")
