from __future__ import annotations

import torch

from unihm.generation.committee import Committee
from unihm.generation.motion_prior import KNOTS, PALM


def test_it_moves_the_guess_by_its_share_towards_the_mean_of_its_members():
    torch.manual_seed(0)
    committee = Committee(5, 2, members=2).eval()
    committee.spread.copy_(torch.tensor([1.0, 2.0, 0.5, 1.0, 4.0]))
    for number, member in enumerate(committee.members):
        member.offset.fill_(float(number))
        member.directions.normal_()
        torch.nn.init.normal_(member.out.weight)
    x, told = torch.randn(3, 5), torch.randn(3, KNOTS, PALM + 2)
    second = (committee.members[0](x / committee.spread) + committee.members[1](x / committee.spread)) / 2
    for share, expected in ((0.0, told), (1.0, second), (0.25, 0.75 * told + 0.25 * second)):
        committee.share.fill_(share)
        torch.testing.assert_close(committee(x, told), expected, atol=1e-5, rtol=1e-4)


def test_untrained_members_say_the_mean_and_nobody_changes_nothing():
    x, told = torch.randn(3, 5), torch.randn(3, KNOTS, PALM + 2)
    committee = Committee(5, 2, members=1).eval()
    torch.testing.assert_close(committee(x, told), told)  # without any share
    member = committee.members[0]
    member.offset.copy_(torch.arange(KNOTS * (PALM + 2)).float())
    assert torch.equal(member(x).flatten(1), member.offset.expand(3, -1))
    empty = Committee(5, 2, members=0)
    empty.share.fill_(1.0)
    assert torch.equal(empty(x, told), told)
