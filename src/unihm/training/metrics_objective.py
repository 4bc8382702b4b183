"""What the metric encoder is trained for: three losses of one batch, and the same on the validation part.

A motion and a sentence of it shall be near each other and far from the others of the batch (symmetric InfoNCE, as in
TMR). Where the hand is over time is read back from the motion's feature, and so is how much a motion was spoiled: what
is given tells most of a sentence, so that the first loss alone leaves the encoder blind to the hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from unihm.evaluation.motion_text.frames import SLOTS, Motions, frames_of, join
from unihm.evaluation.motion_text.network import MotionTextNetwork, NetworkConfig
from unihm.geometry.lie import rotation_6d
from unihm.training.loop import Figures, LoopConfig
from unihm.training.metrics_data import DescribedBatch, DescribedMotions, MetricsVariation
from unihm.training.spoiling import Spoiling

SENTENCES = (0, 3, 6, 9)
"""Of each validation recording: the store's own, then those made beside them."""
_TIMES = 8  # evenly spaced moments at which the hand is read back
_LARGEST_SCALE = 50.0  # of the cosines: a sharper softmax only learns recordings by heart


@dataclass(frozen=True, kw_only=True)
class MetricsTraining:
    """Everything that decides how a metric encoder is trained."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Sizes."""
    loop: LoopConfig
    """Length and rates; an epoch is one pass over the recordings, each on one hand."""
    batch_size: int = 128
    """Motions that are told apart; fewer where there are fewer recordings."""
    reconstruction: float = 2.0
    """Weight of the squared error of the hand that is read back, in units of 10 cm."""
    fault: float = 10.0
    """Weight of the squared error of how much a motion was spoiled, which is read off too."""
    spoiling: Spoiling = field(default_factory=Spoiling)
    """How motions are spoiled."""
    fresh: int = 4
    """Seeds with which instructions are made beside those of the store."""
    variation: MetricsVariation = field(default_factory=MetricsVariation)
    """How motions are varied."""
    validate_epochs: int = 20
    """Every so many epochs the loss on the validation part is taken; it decides which weights are kept."""


class MetricsModule(nn.Module):
    """What is trained: the networks that are kept, and two readers that are not."""

    def __init__(self, config: NetworkConfig):
        """Untrained."""
        super().__init__()
        self.network = MotionTextNetwork(config)
        self.hand = _HandReader(config.dimensions)
        self.fault = _FaultReader(config.dimensions)


class MetricsTask:
    """The objective: batches, their loss, and the loss on the validation part."""

    def __init__(self, motions: DescribedMotions, validation: DescribedMotions | None, config: MetricsTraining):
        """Join data and settings.

        Args:
            motions: What is learned from.
            validation: What chooses the weights.
            config: Settings.
        """
        self.motions = motions
        self.validation = validation
        self.config = config
        self._size = min(config.batch_size, len(motions))
        self.steps_per_epoch = len(motions) // self._size

    def batches(self, epoch: int, rng: torch.Generator) -> Iterator[DescribedBatch]:
        """Recordings once, in random order; what does not fill a batch waits for the next epoch."""
        for rows in torch.randperm(len(self.motions), generator=rng).split(self._size):
            yield self.motions.batch(rows, self.config.variation, self.config.spoiling, rng)

    def loss(self, module: MetricsModule, batch: DescribedBatch, rng: torch.Generator) -> tuple[Tensor, Figures]:
        """Contrastive loss, and the error of the hand that is read back."""
        network, config = module.network, self.config
        everything = join([batch.motions, batch.spoiled])
        points = _points(module, everything)
        contrast = contrastive_loss(network, points[: len(batch.motions)], batch)
        hand = module.hand.error(points, everything)
        faults = torch.cat([torch.zeros(len(batch.motions)), batch.faults])
        fault = module.fault.error(points, faults)
        loss = contrast + config.reconstruction * hand + config.fault * fault
        return loss, {"contrast": contrast.item(), "hand": hand.item(), "fault": fault.item()}

    def validate(self, module: MetricsModule, epoch: int, rng: torch.Generator) -> Figures | None:
        """Contrast and fault on the validation part, all hands and some sentences, every few epochs and after the last.

        The same faults each time; ``validation_loss`` weighs them as in training.
        """
        due = epoch % self.config.validate_epochs == 0 or epoch == self.config.loop.epochs
        if self.validation is None or not due:
            return None
        contrasts, faults = [], []
        same = torch.Generator().manual_seed(0)
        rows = torch.arange(len(self.validation))
        for number, hand in enumerate(self.validation.of_hand):
            bad, fault = self.validation.spoiled(rows, torch.full_like(rows, number), self.config.spoiling, same)
            points = _points(module, self.validation.of_hand[hand])
            for which in SENTENCES:
                contrasts.append(contrastive_loss(module.network, points, self.validation.told(hand, which)).item())
            both = torch.cat([points, _points(module, bad)])
            faults.append(module.fault.error(both, torch.cat([torch.zeros(len(rows)), fault])).item())
        contrast, fault = float(np.mean(contrasts)), float(np.mean(faults))
        loss = contrast + self.config.fault * fault
        return {"validation_loss": loss, "validation_contrast": contrast, "validation_fault": fault}


def _points(module: MetricsModule, motions: Motions) -> Float[Tensor, "B d"]:
    return module.network.motion(frames_of(motions), motions.lengths)


def contrastive_loss(network: MotionTextNetwork, points: Float[Tensor, "B d"], batch: DescribedBatch) -> Tensor:
    """Symmetric InfoNCE: ``1/2 (-log softmax_j(s z_i . t_j)_i - log softmax_j(s z_j . t_i)_i)``, mean over i.

    Another motion with the very same sentence is no counterexample and is left out.
    """
    texts = network.text(batch.words, batch.words_mask)
    scores = network.log_scale.exp().clamp(max=_LARGEST_SCALE) * points @ texts.T
    own = torch.eye(len(scores), dtype=torch.bool)
    same = (batch.sentences[:, None] == batch.sentences) & ~own
    scores = scores.masked_fill(same, -torch.inf)
    rows = torch.arange(len(scores))
    return (nn.functional.cross_entropy(scores, rows) + nn.functional.cross_entropy(scores.T, rows)) / 2


class _HandReader(nn.Module):
    """Reads the hand at a few moments back from a motion's feature; it is not kept after training."""

    def __init__(self, dimensions: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(dimensions, 256), nn.GELU(), nn.Linear(256, _TIMES * (9 + 3 * SLOTS)))

    def error(self, points: Float[Tensor, "B d"], motions: Motions) -> Tensor:
        """Mean squared error; the palm counts twice, fingers, which move less, in units of 5 cm."""
        last = (motions.lengths - 1)[:, None]
        frames = (torch.linspace(0, 1, _TIMES) * last).round().long()
        row = torch.arange(len(motions))[:, None]
        palm, keypoints = motions.T_canonical_palm[row, frames], motions.keypoints_palm[row, frames]
        truth = torch.cat([10 * palm[..., :3, 3], rotation_6d(palm[..., :3, :3]), 20 * keypoints.flatten(-2)], dim=-1)
        seen = motions.present[:, None, :, None].expand(*keypoints.shape).flatten(-2)
        weight = torch.cat([torch.full_like(truth[..., :9], 2.0), seen.float()], dim=-1)
        return (weight * (self.mlp(points).unflatten(-1, (_TIMES, -1)) - truth) ** 2).sum() / weight.sum()


class _FaultReader(nn.Module):
    """Reads how much a motion was spoiled off one fixed axis of the space, where good motions lie at one place."""

    def __init__(self, dimensions: int):
        super().__init__()
        self.axis = nn.Linear(dimensions, 1)

    def error(self, points: Float[Tensor, "B d"], faults: Float[Tensor, " B"]) -> Tensor:
        """Mean squared error; good and bad motions count alike."""
        squared = (self.axis(points)[:, 0] - faults) ** 2
        good = faults == 0
        return (squared[good].mean() + squared[~good].mean()) / 2
