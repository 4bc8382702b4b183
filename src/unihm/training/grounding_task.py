"""What the planner's network is trained for: the losses of a batch; and figures on scenes that it does not see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unihm.cliport.grounding import Grounded, sentence_vector
from unihm.cliport.network import Encoded, PlannerNetwork
from unihm.cliport.objectives import choice_loss, class_loss, name_loss, parts_loss, pick_loss, wholeness_loss
from unihm.cliport.view_network import half_where_fast
from unihm.generation.text_encoder import TextEncoder
from unihm.training.grounding_data import AskedBatch, GroundingBatch, GroundingExamples, batch_of, said_about

_NOUNS = 3  # drawn for each thing of a batch
_CELLS_OF = 32  # crops of a batch whose cells are judged, and instructions; they are dear and soon learned
# Crops are padded to a multiple of this: oneDNN prepares anew for every size, which takes as long as a batch itself.
_MULTIPLE = 16


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """How much each output counts."""

    target: float = 1.0
    reference: float = 0.7
    task: float = 0.5
    relation: float = 0.5
    amount: float = 0.3
    whole: float = 0.2
    kind: float = 0.2
    parts: float = 0.5
    pick: float = 0.1
    name: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How crops are varied; the scenes vary in everything else."""

    gain: float = 0.15
    """Of each colour channel, a factor 1 +- this."""
    colour: float = 0.02
    """Standard deviation on each cell."""
    no_depth: float = 0.05
    """Share of images whose crops lose all depth channels in a random half of their cells."""


@dataclass(kw_only=True)
class GroundingTask:
    """Batches and losses."""

    examples: GroundingExamples
    reader: TextEncoder
    images: Sequence[int]
    """Numbers of the images that are learned from."""
    batch_images: int
    """In each batch."""
    batch_said: int
    """Instructions in each batch, at most."""
    weights: LossWeights = field(default_factory=LossWeights)
    noise: Noise = field(default_factory=Noise)

    def __post_init__(self) -> None:
        """Which instructions are about which image."""
        self.said_of = said_about(self.images, self.examples.said)
        self.usable = [i for i in self.said_of if len(self.examples.rows_of[i])]

    @property
    def steps_per_epoch(self) -> int:
        """Batches that are full."""
        return max(1, len(self.usable) // self.batch_images)

    def batches(self, epoch: int, rng: torch.Generator) -> Iterator[GroundingBatch]:
        """Of one epoch."""
        order = torch.randperm(len(self.usable), generator=rng).tolist()
        for k in range(self.steps_per_epoch):
            images = [self.usable[i] for i in order[k * self.batch_images : (k + 1) * self.batch_images]]
            said = [one for image in images for one in self.said_of[image]]
            if len(said) > self.batch_said:
                kept = torch.randperm(len(said), generator=rng)[: self.batch_said].tolist()
                said = [said[i] for i in kept]
            yield batch_of(self.examples, images, said)

    def loss(
        self, network: PlannerNetwork, batch: GroundingBatch, rng: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """The weighted sum of all losses."""
        images, measures = self._varied(batch.images, rng), batch.measures
        count = len(images)
        filled = torch.arange(-(-count // _MULTIPLE) * _MULTIPLE) % count
        with half_where_fast(images.device):
            encoded = network.encode(images[filled], measures[filled])
            judged = torch.randperm(count, generator=rng)[:_CELLS_OF]
            parts = network.parts(encoded.take(judged)).float()
        single: dict[str, Any] = {name: _single(value, count) for name, value in vars(encoded).items()}
        encoded = Encoded(**single)
        described = network.describe(encoded)
        losses = {
            "whole": wholeness_loss(described.whole, batch.whole),
            "kind": class_loss(described.kind, batch.kind),
            "parts": parts_loss(parts, batch.parts[judged]),
        }
        nouns, fits = self._nouns(batch, rng)
        if len(nouns):
            losses["name"] = name_loss(described.name, nouns, fits)
        if batch.said:
            words, mask = self.reader([one.text for one in batch.said])
            grounded = network.ground(encoded, batch.rows, words, mask)
            losses |= asked_losses(grounded, batch)
            one = (batch.target.sum(dim=1) == 1).nonzero().flatten()
            if len(one):
                one = one[torch.randperm(len(one), generator=rng)[:_CELLS_OF]]
                rows = batch.rows[one][batch.target[one]]
                with half_where_fast(images.device):
                    pick = network.pick(encoded, rows, words[one], mask[one]).float()
                losses["pick"] = pick_loss(pick, batch.picks[rows])
        total = torch.stack([getattr(self.weights, name) * value for name, value in losses.items()]).sum()
        return total, {name: float(value.detach()) for name, value in losses.items()}

    def _varied(self, images: Tensor, rng: torch.Generator) -> Tensor:
        images = images.clone()
        count = len(images)
        gain = 1 + self.noise.gain * (2 * torch.rand(count, 3, 1, 1, generator=rng) - 1)
        spread = self.noise.colour * torch.randn(images[:, :3].shape, generator=rng)
        images[:, :3] = (images[:, :3] * gain + spread).clamp(0, 1)
        blind = torch.rand(count, generator=rng) < self.noise.no_depth
        if blind.any():
            hidden = torch.rand(int(blind.sum()), 1, *images.shape[2:], generator=rng) < 0.5
            images[blind, 4:] = images[blind, 4:].masked_fill(hidden, 0.0)
        return images

    def _nouns(self, batch: GroundingBatch, rng: torch.Generator) -> tuple[Tensor, Bool[Tensor, "N V"]]:
        """Vectors of some nouns of the batch's things, and which crop each fits."""
        drawn: dict[str, None] = {}
        for nouns in batch.nouns:
            some = torch.randperm(len(nouns), generator=rng)[:_NOUNS]
            drawn |= dict.fromkeys(nouns[int(i)] for i in some)
        if not drawn:
            return torch.zeros(0), torch.zeros(len(batch.nouns), 0, dtype=torch.bool)
        known = list(drawn)
        fits = torch.tensor([[noun in nouns for noun in known] for nouns in map(set, batch.nouns)])
        return sentence_vector(*self.reader(known)), fits


def _single(value: Any, count: int) -> Any:
    """The first so many in single precision, whatever autocast made of them."""
    return [v[:count].float() for v in value] if isinstance(value, list) else value[:count].float()


def asked_losses(grounded: Grounded, batch: AskedBatch) -> dict[str, Tensor]:
    """Of what an instruction is judged by, whatever its crops are."""
    real = batch.rows >= 0
    labels = {name: torch.tensor([getattr(one, name) for one in batch.said]) for name in ("task", "relation", "amount")}
    return {
        "target": choice_loss(grounded.target, batch.target, real),
        "reference": choice_loss(grounded.reference, batch.reference, real),
        **{name: class_loss(getattr(grounded, name), label) for name, label in labels.items()},
    }


@torch.no_grad()
def figures(
    network: PlannerNetwork, examples: GroundingExamples, reader: TextEncoder, images: Sequence[int]
) -> dict[str, float]:
    """How often the network is right on images, given whole proposals: target (one fits), task, relation, reference;
    ``asks`` where none or several fit.
    """
    chosen = set(images)
    numbers = [k for k, one in enumerate(examples.said) if one.image in chosen]
    right: dict[str, list[float]] = {}
    for start in range(0, len(numbers), 128):
        part = numbers[start : start + 128]
        here = sorted({examples.said[k].image for k in part})
        batch = batch_of(examples, here, [examples.said[k] for k in part], whole_only=True)
        encoded = network.encode(batch.images, batch.measures)
        words, mask = reader([one.text for one in batch.said])
        grounded = network.ground(encoded, batch.rows, words, mask)
        best, certain = grounded.target.argmax(dim=1), (grounded.target > 0).sum(dim=1)
        pointed = grounded.reference.argmax(dim=1)
        for b, one in enumerate(batch.said):
            if len(one.targets) == 1:
                right.setdefault("target", []).append(float(batch.target[b, best[b]]))
                right.setdefault(f"target {one.refers_by}", []).append(float(batch.target[b, best[b]]))
            else:
                right.setdefault("asks", []).append(float((certain[b] != 1) if one.targets else (certain[b] == 0)))
            if one.reference >= 0:
                right.setdefault("reference", []).append(float(batch.reference[b, pointed[b]]))
            for name in ("task", "relation", "amount"):
                value: Float[Tensor, " k"] = getattr(grounded, name)[b]
                right.setdefault(name, []).append(float(value.argmax() == getattr(one, name)))
    found = {name: sum(values) / len(values) for name, values in sorted(right.items())}
    return {**found, "wrong": 1 - sum(found.get(n, 0.0) for n in ("target", "task")) / 2}
