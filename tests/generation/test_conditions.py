from __future__ import annotations

import torch
from generation_builders import build_conditions
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.generation.conditions import frame_at, lift_phase


def test_phases_worked_by_hand():
    phase = lift_phase(torch.tensor([9, 5]), torch.tensor([4, 2]), 12)
    torch.testing.assert_close(phase[0], torch.tensor([0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2, 2, 2]))
    torch.testing.assert_close(phase[1], torch.tensor([0, 0.5, 1, 1.5, 2, 2, 2, 2, 2, 2, 2, 2]))
    frames = frame_at(torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0]), torch.tensor([9, 5]), torch.tensor([4, 2]))
    torch.testing.assert_close(frames, torch.tensor([[0, 2, 4, 6, 8], [0, 1, 2, 3, 4]]).float())


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 90), st.data())
def test_frames_and_phases_are_inverse(length, data):
    lift = data.draw(st.integers(1, length - 1))
    lengths, lifts = torch.tensor([length]), torch.tensor([lift])
    phase = lift_phase(lengths, lifts, length + 3)[0]
    assert (phase.diff() >= 0).all()
    assert phase[length - 1] == (2 if lift < length - 1 else 1)
    assert (phase[length:] == 2).all()
    back = frame_at(phase[:length], lengths, lifts)[0]
    torch.testing.assert_close(back, torch.arange(length).float(), atol=1e-3, rtol=0)


def test_an_object_that_never_leaves_its_rest_and_one_that_has_left_it():
    phase = lift_phase(torch.tensor([5, 5, 1]), torch.tensor([9, 0, 0]), 5)
    torch.testing.assert_close(phase[0], torch.arange(5) / 4)  # the approach alone
    torch.testing.assert_close(phase[1], 1 + torch.arange(5) / 4)  # the carrying alone
    assert phase[2].isfinite().all()


def test_taken_rows_are_those_rows():
    c = build_conditions(batch=3)
    taken = c.take(torch.tensor([2, 0, 2]))
    assert len(taken) == 3
    for name, value in vars(c).items():
        found = getattr(taken, name)
        pairs = (
            [(value, found)]
            if isinstance(value, torch.Tensor)
            else list(zip(*map(_parts, (value, found)), strict=True))
        )
        for all_rows, rows in pairs:
            assert torch.equal(rows, torch.stack([all_rows[2], all_rows[0], all_rows[2]])), name


def _parts(pose):
    return pose.R, pose.t, pose.fingers
