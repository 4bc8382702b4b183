"""Weights and checkpoints: strict, atomic, without pickle."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from unihm.schema.weights import assign, fingerprint, read_weights, write_weights
from unihm.training.checkpoint import Progress, load_checkpoint, save_checkpoint


def model(width: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, width), nn.LayerNorm(width), nn.Linear(width, 2))


def write(path, module, **card):
    return write_weights(path, module.state_dict(), card, kind="test", dtype=None)


def test_weights_come_back_bit_by_bit(tmp_path):
    mark = write(tmp_path / "w.safetensors", model(), seed=3)
    tensors, card = read_weights(tmp_path / "w.safetensors", kind="test")
    assert card["seed"] == 3
    assert card["fingerprint"] == mark == fingerprint(model().state_dict())
    assert all(torch.equal(tensors[name], value) for name, value in model().state_dict().items())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.json", "w.safetensors"]


def test_fingerprint_sees_name_shape_type_and_number():
    base = {"a": torch.zeros(2, 3)}
    others = [{"b": torch.zeros(2, 3)}, {"a": torch.zeros(3, 2)}, {"a": torch.zeros(2, 3).half()}]
    changed = {"a": torch.zeros(2, 3)}
    changed["a"][1, 2] = 1e-30
    assert len({fingerprint(x) for x in [base, *others, changed]}) == 5


@pytest.mark.parametrize("where", [0, 40, -3])
def test_damaged_weights_are_named(tmp_path, where):
    path = tmp_path / "w.safetensors"
    write(path, model())
    data = bytearray(path.read_bytes())
    data[where] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"w\.safetensors' is (damaged|not)"):
        read_weights(path, kind="test")


def test_truncated_missing_foreign_and_mixed_files_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(ValueError, match=r"w\.json' does not exist"):
        read_weights(path, kind="test")
    write(path, model())
    with pytest.raises(ValueError, match="describes a 'test', expected a 'generator'"):
        read_weights(path, kind="generator")
    card = json.loads((tmp_path / "w.json").read_text())
    (tmp_path / "w.json").write_text(json.dumps({**card, "fingerprint": "0" * 16}))
    with pytest.raises(ValueError, match="belongs to other weights"):
        read_weights(path, kind="test")
    write(path, model())
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match="damaged"):
        read_weights(path, kind="test")


def test_a_pickle_is_refused_not_run(tmp_path):
    write(tmp_path / "w.safetensors", model())
    torch.save(model().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="damaged or not a safetensors file"):
        read_weights(tmp_path / "w.safetensors", kind="test")


def test_loading_is_strict():
    state = model().state_dict()
    renamed = {("new" if name == "0.bias" else name): value for name, value in state.items()}
    with pytest.raises(ValueError, match=r"missing 0\.bias; unexpected new"):
        assign(model(), renamed, "file")
    with pytest.raises(ValueError, match=r"misshapen 0\.bias \(4,\) instead of \(5,\)"):
        assign(model(5), state, "file")


def test_weights_with_nan_are_not_written(tmp_path):
    module = model()
    with torch.no_grad():
        module.state_dict()["0.bias"][0] = float("nan")
    with pytest.raises(ValueError, match=r"0\.bias"):
        write(tmp_path / "w.safetensors", module)
    assert not list(tmp_path.iterdir())


def test_checkpoint_restores_moments_and_random_states(tmp_path):
    module = model()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    module(torch.ones(5, 3)).square().mean().backward()
    optimizer.step()
    rng = torch.Generator().manual_seed(5)
    torch.rand(3, generator=rng)
    path = tmp_path / "c.safetensors"
    with torch.random.fork_rng():
        save_checkpoint(path, module, optimizer, rng, Progress(step=1, setup={"a": 1}))
        expected = torch.rand(2, generator=rng), torch.rand(2)
        other = model()
        fresh = torch.optim.AdamW(other.parameters(), lr=0.1)
        again = torch.Generator()
        progress = load_checkpoint(path, other, fresh, again, {"a": 1})
        assert torch.equal(expected[0], torch.rand(2, generator=again))
        assert torch.equal(expected[1], torch.rand(2))
    assert progress.step == 1
    ours, theirs = optimizer.state_dict()["state"], fresh.state_dict()["state"]
    assert all(torch.equal(ours[i][k], theirs[i][k]) for i in ours for k in ours[i])
    with pytest.raises(ValueError, match="a was 1, is 2"):
        load_checkpoint(path, other, fresh, again, {"a": 2})
    with pytest.raises(ValueError, match="misshapen"):
        load_checkpoint(path, model(5), fresh, again, {"a": 1})
