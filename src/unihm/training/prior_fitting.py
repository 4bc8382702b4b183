"""Fitting the kernel regression of `generation.motion_prior`: which inputs count, and the solution.

The weights of the blocks are those with the smallest mean error on what is left out, in closed form: of a recording, of
all recordings of an object, and of all of a subject (groups of rows G):

    r_G = (K^-1)_GG^-1 (K^-1 y)_G

is what a regression without the rows G misses on them. A recording may enter in several varied copies, and episodes may
be composed of its grasp; they are left out together. The network that learns what the prior cannot say must see the
prior as it will be on new motions: `LeftOut` gives its guess without the recording itself.

Letters: M remembered motions, X inputs, B batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from unihm.generation.motion_prior import GroupKernel, MotionPrior, kernel

_START_LENGTH, _START_LINEAR, _START_SCALE, _START_NOISE = -2.5, -2.0, 0.5, -1.0  # logarithms; the fit moves them
_RATE = 0.1


@dataclass(frozen=True, kw_only=True)
class PriorFitting:
    """How the prior is fitted."""

    steps: int = 150
    """Steps of Adam on the weights of the blocks; 0 keeps the starting values."""
    copies: int = 2
    """Varied copies of each recording that are remembered, the first as recorded."""
    rank: int = 48
    """Directions in which a group's outputs differ that are kept."""
    chosen_on: int = 700
    """Most recordings that the weights of the blocks are chosen on, evenly over all: a step takes the cube of it."""


class LeftOut:
    """The prior's guess for varied copies of its own recordings, as if it had not seen them."""

    def __init__(self, prior: MotionPrior, inverse: Mapping[str, Float[Tensor, "M M"]], recording: Int[Tensor, " M"]):
        """Remember the inverse kernels.

        Args:
            prior: A fitted one.
            inverse: ``(K + noise)^-1`` of each group.
            recording: Number of the recording of each remembered motion.
        """
        self._prior = prior
        rows = [torch.nonzero(recording == i).flatten() for i in range(int(recording.max()) + 1)]
        self._rows = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        # a without G: a - K^-1[:, G] (K^-1[G, G])^-1 a_G; what is subtracted is kept, small, instead of the whole.
        self._shift = {}
        for group in prior.groups:
            solved = prior.kernels[group.name]
            assert isinstance(solved, GroupKernel)
            K = inverse[group.name]
            weight = solved.weight.double()
            change = [torch.linalg.solve(K[own][:, own], weight[own]) for own in rows]
            # Of shorter ones the rest counts for nothing.
            padded = torch.nn.utils.rnn.pad_sequence(change, batch_first=True)
            self._shift[group.name] = (K.float(), padded.float())

    def __call__(self, x: Float[Tensor, "B X"], recording: Int[Tensor, " B"], latent: int) -> Float[Tensor, "B K v"]:
        """What the prior tells for inputs `x` without these recordings."""
        outputs = {}
        for name, k in self._prior.kernel_rows(x).items():
            solved = self._prior.kernels[name]
            assert isinstance(solved, GroupKernel)
            K, change = self._shift[name]
            rows = self._rows[recording]
            # k (a - K^-1[:, G] c) = k a - (k K^-1)[G] c
            back = (k @ K).gather(1, rows)
            value = k @ solved.weight - (back[:, None] @ change[recording])[:, 0]
            outputs[name] = value @ solved.direction + solved.offset
        return self._prior.assemble(outputs, latent)


@dataclass(frozen=True, kw_only=True)
class PriorExamples:
    """What a prior is fitted to."""

    blocks: Mapping[str, Float[Tensor, "M _"]]
    """Inputs, see `generation.prior_features`."""
    told: Float[Tensor, "M K v"]
    """Motions, see `motion_prior.told`."""
    recording: Int[Tensor, " M"]
    """Number of the recording that each row was made of, from 0, none skipped."""
    first: Int[Tensor, " E"]
    """The row of each episode that the weights of the blocks are chosen on."""
    left_out_together: Sequence[Int[Tensor, " E"]]
    """Groups of episodes (objects, subjects) that are left out together, beside each recording alone."""


def fit_prior(
    prior: MotionPrior,
    examples: PriorExamples,
    metric: Float[Tensor, "m m"],
    config: PriorFitting,
    *,
    title: str = "prior",
) -> LeftOut:
    """Choose the weights, solve, and return the guesses without a recording.

    Args:
        prior: Filled.
        examples: Motions.
        metric: Scales latent fingers to the keypoints that they move.
        config: Settings.
        title: On the progress bar.
    """
    x = prior.standardise(examples.blocks).double()
    prior.memory.copy_(x)
    inverse = {}
    bar = tqdm(total=len(prior.groups) * config.steps, desc=title, disable=None, delay=2, leave=False)
    some = torch.linspace(0, len(examples.first) - 1, min(config.chosen_on, len(examples.first))).long()
    first = examples.first[some]
    sets = [_numbered(names[some]) for names in (examples.recording[examples.first], *examples.left_out_together)]
    for group in prior.groups:
        y = examples.told[:, group.knots, group.values].double()
        scale = metric.double() if group.name == "fingers" else torch.eye(y.shape[-1], dtype=torch.float64)
        solved = prior.kernels[group.name]
        assert isinstance(solved, GroupKernel)
        chosen = _choose(x[first], (y[first] @ scale).flatten(1), prior.of_block, sets, config.steps, bar)
        inverse[group.name] = _solve(solved, x, y.flatten(1), prior.of_block, chosen, len(x) // len(examples.first))
    bar.close()
    # As the guesses will be made: with the stored weights, in single precision.
    return LeftOut(prior, inverse, examples.recording)


def _numbered(names: Int[Tensor, " R"]) -> Int[Tensor, " R"]:
    """Equal numbers stay equal, none is skipped."""
    return torch.unique(names, return_inverse=True)[1]


def _choose(
    x: Float[Tensor, "R X"],
    y: Float[Tensor, "R o"],
    of_block: Int[Tensor, " X"],
    sets: Sequence[Int[Tensor, " R"]],
    steps: int,
    bar: tqdm,
) -> dict[str, Tensor]:
    """Logarithms of the kernel's numbers with the smallest error on what is left out."""
    blocks = int(of_block.max()) + 1
    p = {
        "length": torch.full((blocks,), _START_LENGTH, dtype=torch.float64),
        "linear": torch.full((blocks,), _START_LINEAR, dtype=torch.float64),
        "scale": torch.tensor([_START_SCALE, _START_NOISE], dtype=torch.float64),
    }
    # Outputs in their principal axes: errors are lengths, and most axes are noise.
    y = y - y.mean(dim=0)
    axes = torch.linalg.svd(y, full_matrices=False)[2][: min(48, len(y))]
    z = y @ axes.T
    z = z / z.square().sum(1).mean().sqrt()
    distance = torch.stack([torch.cdist(x[:, of_block == b], x[:, of_block == b]).square() for b in range(blocks)])
    product = torch.stack([x[:, of_block == b] @ x[:, of_block == b].T for b in range(blocks)])
    members = [[torch.nonzero(s == i).flatten() for i in range(int(s.max()) + 1)] for s in sets]
    for value in p.values():
        value.requires_grad_(True)
    optimiser = torch.optim.Adam(list(p.values()), lr=_RATE)
    for _ in range(steps):
        K = p["scale"][0].exp() * torch.exp(-torch.tensordot(p["length"].exp(), distance, 1))
        K = K + torch.tensordot(p["linear"].exp(), product, 1)
        inverse = torch.linalg.inv(K + p["scale"][1].exp() * torch.eye(len(x), dtype=x.dtype))
        a = inverse @ z
        error = x.new_zeros(())
        for groups in members:
            if len(groups) == len(x):
                missed = a / inverse.diagonal()[:, None]
            else:
                missed = torch.cat([torch.linalg.solve(inverse[g][:, g], a[g]) for g in groups])
            # Lengths, not squares: a few motions are unlike all others, and no weights will change that.
            error = error + (missed.square().sum(1) + 1e-6).sqrt().mean() / len(members)
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        bar.update()
    return {name: value.detach() for name, value in p.items()}


def _solve(
    solved: GroupKernel,
    x: Float[Tensor, "M X"],
    y: Float[Tensor, "M o"],
    of_block: Int[Tensor, " X"],
    chosen: Mapping[str, Tensor],
    copies: int,
) -> Float[Tensor, "M M"]:
    """Fill a group's regression; returns ``(K + noise)^-1``."""
    solved.length.copy_(chosen["length"].exp())
    solved.linear.copy_(chosen["linear"].exp())
    solved.scale.copy_(chosen["scale"].exp())
    K = kernel(x, x, chosen["length"].exp()[of_block], chosen["linear"].exp()[of_block], chosen["scale"][0].exp())
    # Copies of a recording share what is noise in it: they do not count as so many recordings.
    noise = copies * chosen["scale"][1].exp()
    inverse = torch.linalg.inv(K + noise * torch.eye(len(x), dtype=x.dtype))
    solved.offset.copy_(y.mean(dim=0))
    y = y - y.mean(dim=0)
    direction = torch.linalg.svd(y, full_matrices=False)[2][: len(solved.direction)]
    solved.weight[:, : len(direction)].copy_(inverse @ (y @ direction.T))
    solved.direction[: len(direction)].copy_(direction)
    return inverse
