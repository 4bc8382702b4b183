from __future__ import annotations

import pytest
import torch

from unihm.generation.committee import Committee
from unihm.generation.motion_prior import KNOTS, PALM
from unihm.training.committee import CommitteeTraining, Shown, train_committee

LATENT, COUNT = 3, 120
METRIC = 30 * torch.eye(LATENT)
TRAINING = CommitteeTraining(members=1, epochs=40, folds=3)


def train(committee, x, told, kernel_told, recording, training, seed):
    shown = Shown(x=x, told=told, recording=recording)
    return train_committee(committee, shown, shown, kernel_told, METRIC, training, seed)


def made(copies: int = 1, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Motions that are linear in the inputs."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(COUNT, 4, generator=rng) * torch.tensor([1.0, 0.5, 2.0, 0.1])
    kinds = torch.randn(4, KNOTS, PALM + LATENT, generator=rng).cumsum(1) / KNOTS**0.5
    told = 0.05 * torch.tensordot(x / torch.tensor([1.0, 0.5, 2.0, 0.1]), kinds, 1)
    return x.repeat(copies, 1), told.repeat(copies, 1, 1), torch.arange(COUNT).repeat(copies)


@pytest.fixture(scope="module")
def trained():
    x, told, recording = made()
    committee = Committee(4, LATENT, members=1)
    elsewhere = train(committee, x, told, torch.zeros_like(told), recording, TRAINING, seed=1)
    return committee, elsewhere


def test_it_learns_a_linear_map_and_gets_its_share(trained):
    """Against a kernel that knows nothing the members have the whole word."""
    committee, elsewhere = trained
    x, told, recording = made()
    nothing = torch.zeros_like(told)
    error, mean = (committee(x, nothing) - told).norm(), (told.mean(0) - told).norm()
    assert float(committee.share) > 0.9
    assert error < 0.5 * mean
    without = (elsewhere(x, nothing, recording) - told).norm()
    assert error < without < 0.7 * mean
    assert not committee.training
    assert not any(p.requires_grad for p in committee.parameters())


def test_against_a_kernel_that_is_right_it_has_no_share():
    x, told, recording = made()
    committee = Committee(4, LATENT, members=1)
    brief = CommitteeTraining(members=1, epochs=2, folds=2)
    elsewhere = train(committee, x, told, told, recording, brief, seed=1)
    assert float(committee.share) == 0
    torch.testing.assert_close(elsewhere(x, told, recording), told)


@pytest.mark.parametrize("copies", [1, 2])
def test_nobody_is_asked_who_knows_the_recording(monkeypatch, copies):
    """Each member is replaced by one that says of which recordings it was trained: none may be asked of those."""
    x, told, recording = made(copies)
    x = recording[:, None].float() + 1  # an input names its recording
    known: dict[int, set[int]] = {}

    def remember(member, scaled, told, weights, config, bar):
        known[id(member)] = {round(float(v)) for v in (scaled * spread).flatten()}
        member.eval()

    monkeypatch.setattr("unihm.training.committee._train", remember)
    spread = x.std(0)
    committee = Committee(1, LATENT, members=2)
    elsewhere = train(committee, x, told, 0 * told, recording, CommitteeTraining(members=2, folds=4), 3)
    assert len(elsewhere._members) == 4
    everyone = {int(r) + 1 for r in recording}
    assert sum(known[id(m)] == everyone for m in elsewhere._members) == 0
    assert sum(v == everyone for v in known.values()) == 2  # the committee itself knows all
    asked = []

    def listen(member):
        def forward(x):
            asked.append((known[id(member)], x))
            return torch.zeros(len(x), KNOTS, PALM + LATENT)

        return forward

    for member in elsewhere._members:
        monkeypatch.setattr(member, "forward", listen(member))
    elsewhere(x, told, recording)
    assert sum(len(rows) for _, rows in asked) == len(x)
    for own, rows in asked:
        assert not own & {round(float(v)) for v in (rows * committee.spread).flatten()}


def test_same_seed_same_committee_and_nothing_else_is_touched():
    x, told, recording = made()
    brief = CommitteeTraining(members=1, epochs=2, folds=2)
    states, seeds = [], []
    for _ in range(2):
        torch.manual_seed(len(states))
        before = torch.get_rng_state()
        committee = Committee(4, LATENT, members=1)
        after_building = torch.get_rng_state()
        train(committee, x, told, 0 * told, recording, brief, seed=1)
        assert torch.equal(torch.get_rng_state(), after_building)
        states.append(committee.state_dict())
        seeds.append(before)
    assert not torch.equal(seeds[0], seeds[1])
    for name, value in states[0].items():
        assert torch.equal(states[1][name], value), name


@pytest.mark.parametrize("lacking", ["epochs", "copies"])
def test_nothing_to_train_for_is_refused(lacking):
    x, told, recording = made()
    with pytest.raises(ValueError, match="needs epochs and copies"):
        train(Committee(4, LATENT, members=1), x, told, told, recording, CommitteeTraining(**{lacking: 0}), seed=1)
