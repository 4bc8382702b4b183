from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.generation.mask_schedule import MaskSchedule, draw_given


@pytest.mark.parametrize(
    ("epoch", "ratio"), [(0, 0), (19, 0), (20, 0), (35, 0.25), (50, 0.5), (65, 0.75), (80, 1), (99, 1)]
)
def test_the_papers_curriculum_over_a_hundred_epochs(epoch, ratio):
    assert MaskSchedule().ratio(epoch / 100) == pytest.approx(ratio)


def test_a_schedule_that_masks_from_the_start():
    schedule = MaskSchedule(start=0.0, end=0.0)
    assert schedule.ratio(0.0) == schedule.ratio(1.0) == 1


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.4), (-0.1, 1.0), (0.0, 1.1)])
def test_an_impossible_schedule_is_refused(start, end):
    with pytest.raises(ValueError, match="0 <= start <= end <= 1"):
        MaskSchedule(start=start, end=end)


@settings(max_examples=30, deadline=None)
@given(ratio=st.floats(0, 1), lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_the_share_is_hidden_in_every_motion_and_padding_is_never_given(ratio, lengths, seed):
    exists = torch.arange(9) < torch.tensor(lengths)[:, None]
    shown = draw_given(exists, ratio, torch.Generator().manual_seed(seed))
    assert not (shown & ~exists).any()
    hidden = (exists & ~shown).sum(dim=1)
    assert (hidden - ratio * exists.sum(dim=1)).abs().max() <= 0.5 + 1e-5
