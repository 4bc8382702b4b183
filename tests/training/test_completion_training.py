"""Training of the completion: it learns, resumes bit by bit, and what it writes completes clouds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from unihm.perception.learned_completion import load_completion
from unihm.perception.snowflake import SnowflakeNet
from unihm.schema.weights import read_tensors
from unihm.training.completion import (
    COMPLETION,
    CompletionTask,
    CompletionTraining,
    batch_of,
    chamfer_mm,
    train_completion,
)
from unihm.training.completion_data import household_views
from unihm.training.loop import fit


def brief(epochs: int = 2, families: int = 2) -> CompletionTraining:
    tiny = COMPLETION["tiny"]
    loop = replace(tiny.loop, epochs=epochs, checkpoint_steps=1)
    return replace(tiny, loop=loop, families=families, batch_size=4, points=64, truth=128, measured=1)


def test_chamfer_by_hand():
    a = np.array([[0.0, 0, 0], [0.01, 0, 0]])
    b = np.array([[0.0, 0, 0.003]])
    # a to b: 3 mm and sqrt(9 + 100) mm; b to a: 3 mm
    assert chamfer_mm(a, b) == pytest.approx(((3 + 109**0.5) / 2 + 3) / 2)


def test_training_to_weights_and_back(tmp_path):
    result = train_completion(tmp_path, preset=brief(), seed=2)
    completion = load_completion(result["weights"])
    card = completion.card
    assert card["fingerprint"] == result["fingerprint"]
    assert card["figures"] == result["figures"]
    assert set(card["figures"]) == {"validation", "held_out_families"}
    assert card["families"] == list(CompletionTask(brief(), 0).families)
    (view,) = household_views((5,), card["families"], 1, points=100)
    assert view.camera.T_world_camera is not None
    points, normals = completion(view.partial, view.depth, view.camera, view.camera.T_world_camera, 200)
    assert points.shape == normals.shape == (200, 3)


def test_resumed_equals_uninterrupted(tmp_path):
    tensors = {}
    for name, stops in (("whole", (None,)), ("parts", (3, None))):
        for i, stop in enumerate(stops):
            task = CompletionTask(brief(), 1)
            torch.manual_seed(0)
            network = SnowflakeNet(task.config.network)
            fit(
                network, task.loss, task.batches, task.config.loop, tmp_path / name,
                steps_per_epoch=task.steps_per_epoch, resume=i > 0, stop_after=stop,
            )  # fmt: skip
        tensors[name], _ = read_tensors(tmp_path / name / "checkpoint.safetensors")
    assert all(torch.equal(tensors["whole"][k], tensors["parts"][k]) for k in tensors["whole"])


def test_loss_falls(tmp_path):
    config = brief(epochs=6)
    task = CompletionTask(config, 0)
    torch.manual_seed(0)
    network = SnowflakeNet(config.network)
    views = list(household_views((9,), task.families, 4, points=400, width=320))
    batch = batch_of(views, config, np.random.default_rng(0), augment=False)
    before = task.loss(network.train(), batch, torch.Generator())[0].item()
    fit(network, task.loss, task.batches, config.loop, tmp_path, steps_per_epoch=task.steps_per_epoch)
    after = task.loss(network.train(), batch, torch.Generator())[0].item()
    assert after < 0.8 * before


def test_clouds_of_a_batch_agree_with_each_other():
    """Mirrored and stretched alike: seen points stay on the surface, the table at the bottom of a box of diagonal 1."""
    config = replace(COMPLETION["tiny"], truth=2000)
    views = list(household_views((4,), ("soda can", "mug"), 6, points=2000, width=320))
    partial, truth, scale = batch_of(views, config, np.random.default_rng(0), augment=True)
    assert partial.shape == (6, config.points, 3)
    away = torch.cdist(partial, truth).amin(dim=2).median(dim=1).values * scale
    assert float(away.max()) < 0.006
    assert float((truth[..., 2].amin(dim=1) + partial[..., 2].amax(dim=1)).abs().max()) < 0.08
    assert float((partial.norm(dim=-1).amax(dim=1) * 2).max()) < 1.3


def test_unknown_preset(tmp_path):
    with pytest.raises(ValueError, match=r"tinny.*Did you mean 'tiny'"):
        train_completion(tmp_path, preset="tinny")
