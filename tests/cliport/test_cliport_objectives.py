from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from unihm.cliport.objectives import choice_loss, class_loss, name_loss, parts_loss, pick_loss, wholeness_loss


def bce(logit: float, truth: bool) -> float:
    return float(np.log1p(np.exp(-logit if truth else logit)))


def test_one_target_by_hand():
    logits = torch.tensor([[2.0, -1.0, -torch.inf]])
    fits = torch.tensor([[True, False, False]])
    real = torch.tensor([[True, True, False]])
    expected = (bce(2, True) + bce(-1, False)) / 2 - log_softmax([2.0, -1.0])[0]
    assert choice_loss(logits, fits, real).item() == pytest.approx(expected, rel=1e-5)


def test_none_and_several_targets_are_judged_one_by_one():
    logits = torch.tensor([[0.5, -1.0], [0.3, 2.0]])
    fits = torch.tensor([[False, False], [True, True]])
    expected = np.mean([bce(0.5, False), bce(-1, False), bce(0.3, True), bce(2, True)])
    assert choice_loss(logits, fits, torch.ones_like(fits)).item() == pytest.approx(expected, rel=1e-5)


def test_padding_and_unknown_leave_finite_gradients():
    logits = torch.zeros(2, 3, requires_grad=True)
    real = torch.tensor([[True, True, False], [False, False, False]])
    masked = logits.masked_fill(~real, -torch.inf)
    choice_loss(masked, torch.tensor([[True, False, False], [False] * 3]), real).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert (logits.grad[~real] == 0).all()
    assert choice_loss(torch.zeros(2, 0), torch.zeros(2, 0).bool(), torch.zeros(2, 0).bool()) == 0


def test_classes_with_and_without_label():
    logits = torch.tensor([[1.0, 2.0, 3.0], [9.0, 0.0, 0.0]])
    loss = class_loss(logits, torch.tensor([0, -1])).item()
    assert loss == pytest.approx(-log_softmax([1.0, 2.0, 3.0])[0], rel=1e-5)
    assert class_loss(logits, torch.tensor([-1, -1])) == 0
    whole = wholeness_loss(torch.tensor([1.0, -2.0, 50.0]), torch.tensor([1, 0, -1])).item()
    assert whole == pytest.approx((bce(1, True) + bce(-2, False)) / 2, rel=1e-5)


def test_parts_by_hand():
    logits = torch.zeros(1, 4, 2, 2)
    logits[0, 0, 0, 0] = logits[0, 1, 0, 1] = 20.0  # two sure and right, one undecided, one unknown
    label = torch.tensor([[[0, 1], [1, -1]]])
    cross_entropy = np.log(4) / 3
    dice = [(2 * 1 + 1) / (1.25 + 1 + 1), (2 * 1.25 + 1) / (1.25 + 2 + 1)]
    assert parts_loss(logits, label).item() == pytest.approx(cross_entropy + 1 - np.mean(dice), rel=1e-4)
    assert parts_loss(logits, torch.full((1, 2, 2), -1)) == 0


def test_picking_one_cell_is_cross_entropy_and_several_share():
    logits = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0))
    log_p = log_softmax(logits.flatten(1).numpy(), axis=1)
    cells = torch.zeros(2, 9, dtype=torch.bool)
    cells[0, 4] = True
    assert pick_loss(logits, cells.reshape(2, 3, 3)).item() == pytest.approx(-log_p[0, 4], rel=1e-5)
    cells[1, :2] = True
    expected = -(log_p[0, 4] + np.log(np.exp(log_p[1, :2]).sum())) / 2
    assert pick_loss(logits, cells.reshape(2, 3, 3)).item() == pytest.approx(expected, rel=1e-5)
    assert pick_loss(logits, torch.zeros(2, 3, 3, dtype=torch.bool)) == 0


def test_names_by_hand():
    names = torch.eye(2)
    nouns = torch.tensor([[3.0, 0.0], [0.0, 1.0], [0.0, 5.0]])  # two nouns for the second crop
    fits = torch.tensor([[True, False, False], [False, True, True]])
    e = np.exp(1 / 0.5)
    crops = [np.log(e / (e + 2)), np.log(2 * e / (2 * e + 1))]
    back = [np.log(e / (e + 1))] * 3
    expected = -(np.mean(crops) + np.mean(back)) / 2
    assert name_loss(names, nouns, fits, temperature=0.5).item() == pytest.approx(expected, rel=1e-5)
    assert name_loss(names, nouns, torch.zeros_like(fits)) == 0
