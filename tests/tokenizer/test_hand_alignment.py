"""Eqs. B13 and B14 on numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from unihm.tokenizer.hand_alignment import distillation_loss, total_loss


def test_distillation_by_hand():
    z_new = torch.tensor([[[1.0, 2.0], [9.0, 9.0]], [[0.0, 0.0], [3.0, 0.0]]], requires_grad=True)
    z_reference = torch.zeros(2, 2, 2, requires_grad=True)
    mask = torch.tensor([[True, False], [True, True]])
    loss = distillation_loss(z_new, z_reference, mask)
    assert loss.item() == pytest.approx((2.5 + 0.0 + 4.5) / 3)
    loss.backward()
    assert z_reference.grad is None
    assert z_new.grad is not None
    assert not z_new.grad[0, 1].any()
    torch.testing.assert_close(z_new.grad[0, 0], torch.tensor([1.0, 2.0]) / 3)


def test_total_by_hand():
    one, two, three = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3.0)
    assert total_loss(one, two, three, 0.1).item() == pytest.approx(3.3)
