"""Training the second opinion of `generation.committee`, and what it would say without a recording.

Members see many varied copies of each recording, turned, scaled and moved further than the kernel remembers them: it is
from these that they know what does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from unihm.generation.committee import RANK, Committee, Member
from unihm.generation.motion_prior import KNOTS
from unihm.generation.plan_codes import keypoint_weights
from unihm.training.generator_data import Variation

_SHARES = torch.linspace(0, 1, 21)
_NOISE = 0.1  # of the inputs, in standard deviations


@dataclass(frozen=True, kw_only=True)
class CommitteeTraining:
    """How it is trained."""

    members: int = 2
    """Networks."""
    copies: int = 12
    """Varied copies of each recording."""
    variation: Variation = field(default_factory=lambda: Variation(yaw_deg=40.0, shift=0.012, scale=1.08))
    """How they are varied."""
    epochs: int = 10
    """Passes over the copies."""
    folds: int = 4
    """Parts of the recordings that are left out in turn, to choose the share and for `Elsewhere`."""
    batch_size: int = 64
    """Motions in a batch."""
    learning_rate: float = 1e-3
    """Of AdamW, with a cosine."""
    weight_decay: float = 0.05
    """Decoupled."""


class Elsewhere:
    """What members say that were trained without a recording."""

    def __init__(self, committee: Committee, members: list[Member], fold: Int[Tensor, " R"]):
        self._committee, self._members, self._fold = committee, members, fold

    @torch.no_grad()
    def __call__(
        self, x: Float[Tensor, "B X"], told: Float[Tensor, "B K v"], recording: Int[Tensor, " B"]
    ) -> Float[Tensor, "B K v"]:
        """As `Committee`, by members that do not know these recordings."""
        second = told.clone()
        for number, member in enumerate(self._members):
            here = self._fold[recording] == number
            if here.any():
                second[here] = member(x[here] / self._committee.spread)
        return told + self._committee.share * (second - told)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Motions as a committee sees them."""

    x: Float[Tensor, "M X"]
    """Inputs."""
    told: Float[Tensor, "M K v"]
    """Motions, see `motion_prior.told`."""
    recording: Int[Tensor, " M"]
    """Number of each row's recording."""


def train_committee(
    committee: Committee,
    shown: Shown,
    chosen_on: Shown,
    kernel_told: Float[Tensor, "m K v"],
    metric: Float[Tensor, "f f"],
    config: CommitteeTraining,
    seed: int,
    *,
    title: str = "committee",
) -> Elsewhere:
    """Train the members, and others without a fold of the recordings each; choose the share.

    Args:
        committee: Filled.
        shown: What members learn from.
        chosen_on: What the share is chosen on; of the same recordings.
        kernel_told: What the kernel tells of these without knowing them.
        metric: Scales latent fingers to keypoints.
        config: Settings.
        seed: Of weights, order, folds.
        title: On the progress bar.

    Raises:
        ValueError: There is nothing to train for: no epochs or no copies.
    """
    if config.epochs < 1 or config.copies < 1:
        raise ValueError(f"A committee needs epochs and copies, not {config.epochs} and {config.copies}.")
    committee.spread.copy_(shown.x.std(0).clamp(min=1e-3))
    scaled, told = shown.x / committee.spread, shown.told
    rng = torch.Generator().manual_seed(seed)
    fold = torch.randperm(int(shown.recording.max()) + 1, generator=rng) % config.folds
    weights = keypoint_weights(metric).float()
    others: list[Member] = []
    total = (config.folds + len(committee.members)) * config.epochs
    with torch.random.fork_rng(), tqdm(total=total, desc=title, disable=None, delay=2, leave=False) as bar:
        for number, target in enumerate([*range(config.folds), *committee.members]):
            torch.manual_seed(seed + number)
            member = Member(scaled.shape[1], told[0].numel())
            rows = fold[shown.recording] != target if isinstance(target, int) else slice(None)
            _train(member, scaled[rows], told[rows], weights, config, bar)
            if isinstance(target, int):
                others.append(member)
            else:
                target.load_state_dict(member.state_dict())  # type: ignore[union-attr]  # a member
    committee.eval().requires_grad_(False)
    elsewhere = Elsewhere(committee, others, fold)
    committee.share.fill_(1.0)
    second = elsewhere(chosen_on.x, kernel_told, chosen_on.recording)
    errors = [float(_distance(kernel_told + s * (second - kernel_told), chosen_on.told, weights)) for s in _SHARES]
    committee.share.copy_(_SHARES[int(torch.tensor(errors).argmin())])
    return elsewhere


@torch.enable_grad()
def _train(
    member: Member,
    x: Float[Tensor, "n X"],
    told: Float[Tensor, "n K v"],
    weights: Float[Tensor, "v v"],
    config: CommitteeTraining,
    bar: tqdm,
) -> None:
    flat = told.flatten(1)
    member.offset.copy_(flat.mean(0))
    seen = (told.double() @ weights.double()).flatten(1)
    axes = torch.linalg.svd(seen - seen.mean(0), full_matrices=False)[2][:RANK]
    spread = ((seen - seen.mean(0)) @ axes.T).std(0)
    back = torch.linalg.inv(weights.double())
    plain = ((spread[:, None] * axes).unflatten(1, (KNOTS, -1)) @ back).flatten(1)
    member.directions[: len(plain)].copy_(plain)
    optimiser = torch.optim.AdamW(member.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    steps = config.epochs * -(-len(x) // config.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.learning_rate, total_steps=steps, pct_start=0.05)
    member.train()
    for _ in range(config.epochs):
        for rows in torch.randperm(len(x)).split(config.batch_size):
            noisy = x[rows] + _NOISE * torch.randn(len(rows), x.shape[1])
            loss = _distance(member(noisy), told[rows], weights)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        bar.update()
    member.eval()


def _distance(a: Float[Tensor, "n K v"], b: Float[Tensor, "n K v"], weights: Float[Tensor, "v v"]) -> Tensor:
    """Mean distance of the motions, mm of keypoints; the last moment counts twice."""
    off = (((a - b) @ weights).square().sum(-1) + 1.0).sqrt()
    return (off.sum(1) + off[:, -1]).mean() / (KNOTS + 1)
