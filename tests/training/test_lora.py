from __future__ import annotations

import pytest
import torch
from transformers import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from unihm.training.lora import adapted, merged

pytest.importorskip("peft", reason="the lora extra is not installed")


def _body() -> Qwen3Model:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=8, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16,
    )  # fmt: skip
    return Qwen3Model(config).eval()


def test_adapters_alone_learn_and_are_added_to_the_weights():
    body, x = _body(), torch.randn(1, 5, 32)
    names = set(body.state_dict())
    before = body(inputs_embeds=x).last_hidden_state
    tuner = adapted(body, 2)
    torch.testing.assert_close(body(inputs_embeds=x).last_hidden_state, before)  # adapters begin at nothing
    learn = {name for name, p in body.named_parameters() if p.requires_grad}
    assert learn
    assert all("lora_" in name for name in learn)
    with torch.no_grad():
        for name, p in body.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.1)
    changed = body(inputs_embeds=x).last_hidden_state
    assert not torch.allclose(changed, before, atol=1e-3)
    whole = merged(tuner)
    assert set(whole.state_dict()) == names
    torch.testing.assert_close(whole(inputs_embeds=x).last_hidden_state, changed, atol=1e-5, rtol=1e-4)


def test_a_rank_is_at_least_one():
    with pytest.raises(ValueError, match=r"--lora is 0, expected a rank of at least 1"):
        adapted(_body(), 0)
