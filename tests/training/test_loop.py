"""The loop: schedule by hand, resume bit by bit, what goes wrong is said."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from unihm.training.loop import LoopConfig, fit, learning_rate
from unihm.training.presets import choose

STEPS = 6


class Net(nn.Module):
    """A regression with dropout and a buffer, so that every kind of state matters."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Dropout(0.3), nn.Linear(8, 1))
        self.register_buffer("seen", torch.zeros(()))


def make() -> Net:
    torch.manual_seed(1)
    return Net()


def loss(module, batch, rng):
    module.seen += 1
    noise = 0.1 * torch.randn(batch.shape, generator=rng)
    error = (module.layers(batch + noise) - batch.sum(-1, keepdim=True)).square().mean()
    return error, {"square": error.item()}


def batches(epoch, rng):
    for _ in range(STEPS):
        yield torch.randn(16, 3, generator=rng)


def end(module, epoch, rng):
    x = torch.linspace(-1, 1, 30).reshape(10, 3)
    return {"held_out": (module.layers(x) - x.sum(-1, keepdim=True)).square().mean().item()}


CONFIG = LoopConfig(epochs=5, learning_rate=0.02, warmup_steps=3, checkpoint_steps=4, log_steps=1, best="held_out")


def run(folder, **options):
    module = make()
    progress = fit(module, loss, batches, CONFIG, folder, steps_per_epoch=STEPS, on_epoch_end=end, **options)
    return module, progress


def lines(folder):
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


@pytest.mark.parametrize("stop", [3, 4, 6, 7, 12, 29])
def test_killed_and_resumed_equals_uninterrupted(tmp_path, stop):
    whole, progress = run(tmp_path / "whole")
    _, stopped = run(tmp_path / "cut", stop_after=stop)
    assert stopped.step == stop
    resumed, again = run(tmp_path / "cut", resume=True)
    assert again == progress
    assert all(torch.equal(whole.state_dict()[name], b) for name, b in resumed.state_dict().items())
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


def test_a_kill_between_checkpoints_repeats_the_lost_steps(tmp_path):
    whole, _ = run(tmp_path / "whole")
    calls = 0

    def dying(module, batch, rng):
        nonlocal calls
        calls += 1
        if calls == 16:
            raise KeyboardInterrupt
        return loss(module, batch, rng)

    with pytest.raises(KeyboardInterrupt):
        fit(make(), dying, batches, CONFIG, tmp_path / "cut", steps_per_epoch=STEPS, on_epoch_end=end)
    with (tmp_path / "cut" / "log.jsonl").open("a") as file:
        file.write('{"step": 16, "lo')
    resumed, _ = run(tmp_path / "cut", resume=True)
    assert all(torch.equal(whole.state_dict()[name], b) for name, b in resumed.state_dict().items())
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


def test_the_best_epoch_is_kept_and_the_global_generator_left_alone(tmp_path):
    torch.manual_seed(9)
    expected = torch.rand(3)
    module = make()
    torch.manual_seed(9)
    progress = fit(module, loss, batches, CONFIG, tmp_path, steps_per_epoch=STEPS, on_epoch_end=end)
    assert torch.equal(torch.rand(3), expected)
    with torch.no_grad():
        assert end(module, 0, torch.Generator())["held_out"] == progress.best
    assert progress.best == min(row["held_out"] for row in lines(tmp_path) if "held_out" in row)


def test_rate_by_hand():
    config = LoopConfig(learning_rate=1.0, warmup_steps=4, final_rate=0.1)
    assert [learning_rate(config, step, 104) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert learning_rate(config, 54, 104) == pytest.approx(0.1 + 0.9 * 0.5)
    assert learning_rate(config, 104, 104) == pytest.approx(0.1)
    assert learning_rate(LoopConfig(learning_rate=1.0, schedule="constant"), 99, 104) == 1.0


def test_other_settings_are_refused_on_resume(tmp_path):
    run(tmp_path, stop_after=4)
    with pytest.raises(ValueError, match=r"learning_rate was 0\.02, is 0\.5"):
        fit(
            make(),
            loss,
            batches,
            LoopConfig(**{**vars(CONFIG), "learning_rate": 0.5}),
            tmp_path,
            steps_per_epoch=STEPS,
            resume=True,
        )


def test_nan_loss_and_short_epochs_are_said(tmp_path):
    with pytest.raises(ValueError, match="loss is nan at step 0"):
        fit(make(), lambda m, b, r: (m.seen * math.nan, {}), batches, CONFIG, tmp_path, steps_per_epoch=STEPS)
    with pytest.raises(ValueError, match="fewer than 7 batches"):
        fit(make(), loss, batches, CONFIG, tmp_path, steps_per_epoch=7)


def test_unknown_preset():
    with pytest.raises(ValueError, match="Did you mean 'tiny'"):
        choose({"tiny": 1, "base": 2}, "tinny")
