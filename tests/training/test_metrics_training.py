"""Training the metric encoder on made-up scenes: it learns, resumes bit by bit, and says what it saw."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from paired_scenes import OTHER, REFERENCE

from unihm.datasets.episode_store import episode_table
from unihm.evaluation.motion_text.encoder import load_metric_encoder
from unihm.evaluation.motion_text.frames import FAR, frames_of
from unihm.evaluation.motion_text.network import NetworkConfig
from unihm.evaluation.trained_on import refuse_trained_on
from unihm.training.loop import LoopConfig, fit
from unihm.training.metrics import METRICS, train_metrics
from unihm.training.metrics_data import DescribedMotions, MetricsVariation, varied
from unihm.training.metrics_objective import MetricsModule, MetricsTask, MetricsTraining, contrastive_loss
from unihm.training.spoiling import Spoiling

WIDTH = 8


def words(texts):
    """Stands for the sentence encoder: states that depend on the letters."""
    states = [torch.tensor([[ord(c) % (7 + k) / 7 for k in range(WIDTH)] for c in text]) for text in texts]
    mask = torch.arange(max(map(len, states))) < torch.tensor([len(s) for s in states])[:, None]
    return torch.nn.utils.rnn.pad_sequence(states, batch_first=True), mask


def brief(epochs: int = 4) -> MetricsTraining:
    return MetricsTraining(
        network=NetworkConfig(dimensions=20, width=16, words=WIDTH, dropout=0.1),
        loop=LoopConfig(epochs=epochs, learning_rate=3e-3, warmup_steps=2, checkpoint_steps=2, best="validation_loss"),
        batch_size=8,
        validate_epochs=2,
    )


@pytest.fixture(scope="module")
def motions(store) -> DescribedMotions:
    ids = [record.id for record in episode_table(store)]
    return DescribedMotions(store, ids[:16], (REFERENCE, OTHER), words, fresh=1)


def test_training_from_a_store_to_weights(store, tmp_path):
    result = train_metrics(store, tmp_path, preset=brief(), seed=3, reader=words)
    encoder = load_metric_encoder("release", result["weights"], texts=words)
    card = encoder.card
    assert card["split"] == "release"
    assert card["hands"] == [REFERENCE, OTHER]
    assert set(card["motions"]) == {REFERENCE, OTHER}
    recordings = {record.recording for record in episode_table(store)}
    assert set(card["training_recordings"]) | set(card["selection_recordings"]) == recordings
    assert encoder.axes.shape == (16, 20)
    assert set(result["figures"]["r_precision"]) == {REFERENCE, OTHER}
    with pytest.raises(ValueError, match="The metric encoder was trained on 1 of 1 test recordings"):
        refuse_trained_on({card["training_recordings"][0]}, {"metric encoder": card})
    refuse_trained_on({"of another split"}, {"metric encoder": card})


def test_a_resumed_run_is_the_run_that_was_not_cut(motions, tmp_path):
    config = brief()

    def run(folder, **options):
        torch.manual_seed(0)
        module = MetricsModule(config.network)
        task = MetricsTask(motions, motions, config)
        fit(module, task.loss, task.batches, config.loop, folder, steps_per_epoch=task.steps_per_epoch,
            on_epoch_end=task.validate, **options)  # fmt: skip
        return module.state_dict()

    whole = run(tmp_path / "whole")
    run(tmp_path / "cut", stop_after=3)
    resumed = run(tmp_path / "cut", resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    lines = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert sum("validation_loss" in line for line in lines) == 2


def test_motions_and_their_sentences_find_each_other(motions, tmp_path):
    """With a sentence for each, the contrast falls below that of chance, ln 16."""
    told = DescribedMotions.__new__(DescribedMotions)
    told.__dict__ |= motions.__dict__
    texts = tuple((f"{chr(97 + number)} {chr(122 - number)}" * 3,) for number in range(16))
    told.texts = texts
    told._number = {text: number for number, (text,) in enumerate(texts)}
    states, mask = words([text for (text,) in texts])
    told._states = [state[real] for state, real in zip(states, mask, strict=True)]
    loop = replace(brief(80).loop, best=None, learning_rate=4e-3)
    network = replace(brief().network, dropout=0.0, width=32)
    config = replace(brief(), loop=loop, network=network, batch_size=16, reconstruction=0.0, fault=0.0)
    module, task = MetricsModule(config.network), MetricsTask(told, None, config)
    fit(module, task.loss, task.batches, config.loop, tmp_path, steps_per_epoch=task.steps_per_epoch)
    batch = told.told(REFERENCE, 0)
    with torch.no_grad():
        points = module.network.motion(frames_of(batch.motions), batch.motions.lengths)
        assert contrastive_loss(module.network, points, batch) < 0.75 * np.log(16)


def test_the_same_sentence_is_no_counterexample(motions):
    """All recordings of the store are told alike: nothing is left to tell apart, and the loss is zero."""
    batch = motions.told(REFERENCE, 0)
    network = MetricsModule(brief().network).network.eval()
    points = network.motion(frames_of(batch.motions), batch.motions.lengths)
    assert contrastive_loss(network, points, batch).item() == pytest.approx(0, abs=1e-6)


def test_spoiling_by_strength_zero_changes_nothing_and_more_changes_more(motions):
    rows, hand = torch.arange(16), torch.tensor([0, 1] * 8)
    rng = torch.Generator().manual_seed(0)
    plain, _ = motions._of_hands(rows, hand)
    still, faults = motions.spoiled(rows, hand, Spoiling(shift=0.0, turn_deg=0.0, blend=0.0, late=0.0), rng)
    assert faults.min() >= 0
    assert faults.max() <= 1
    torch.testing.assert_close(still.T_canonical_palm, plain.T_canonical_palm)
    torch.testing.assert_close(still.clearance, plain.clearance, atol=1e-5, rtol=0)
    bad, faults = motions.spoiled(rows, hand, Spoiling(), torch.Generator().manual_seed(1))
    change = (bad.T_canonical_palm - plain.T_canonical_palm).abs().amax(dim=(1, 2, 3))
    assert change[faults > 0.7].mean() > change[faults < 0.3].mean() > 0
    assert bad.clearance.max() <= FAR + 1e-6
    R = bad.T_canonical_palm[..., :3, :3]
    torch.testing.assert_close(R @ R.mT, torch.eye(3).expand_as(R), atol=1e-5, rtol=0)


def test_a_varied_motion_is_still_itself(motions):
    plain = motions.of_hand[REFERENCE]
    none = MetricsVariation(crop=0.0, speed=1.0, yaw_deg=0.0, shift=0.0, size=0.0, lost_finger=0.0)
    same = varied(plain, none, torch.Generator().manual_seed(0))
    torch.testing.assert_close(frames_of(same), frames_of(plain), atol=1e-4, rtol=1e-4)
    other = varied(plain, MetricsVariation(lost_finger=1.0), torch.Generator().manual_seed(0))
    assert not other.present[:, 1:].any()
    assert other.keypoints_palm[:, :, 1:].abs().max() == 0
    assert (other.lengths >= 0.75 * plain.lengths).all()


def test_what_cannot_be_trained_is_refused(store, tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'tiny'"):
        train_metrics(store, tmp_path, preset="tinny")
    with pytest.raises(ValueError, match="Split 's1x' not found"):
        train_metrics(store, tmp_path, preset=METRICS["tiny"], split="s1x")
