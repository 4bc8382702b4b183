"""The last part of ``unihm train planner``: many more words about scenes that the network has already looked at.

What things look like is learned from images, which are dear; what "the left one" means is learned from sentences, which
are cheap. So the crops are encoded once, by the network as it is, and the attention among words and proposals goes on
to learn from three times as many instructions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm import tqdm

from unihm.cliport.network import Encoded, PlannerNetwork
from unihm.cliport.view_network import half_where_fast
from unihm.generation.text_encoder import TextEncoder
from unihm.training.grounding_data import AskedBatch, GroundingExamples, asked_batch, batch_of, said_about
from unihm.training.grounding_task import LossWeights, asked_losses
from unihm.training.loop import LoopConfig

_READ = 256  # sentences that are read together
_AT_ONCE = 24  # images whose crops are encoded together
_NOISE = 0.1  # standard deviation on embeddings, whose own is 1: those of training are surer than of new things


@dataclass(frozen=True, kw_only=True)
class Listening:
    """How the attention goes on to learn."""

    loop: LoopConfig
    """Length and rates."""
    batch_images: int = 24
    """Images in a batch."""
    batch_said: int = 256
    """Instructions in a batch, at most."""


@dataclass(kw_only=True)
class ListeningTask:
    """Batches and loss."""

    examples: GroundingExamples
    reader: TextEncoder
    images: list[int]
    """Numbers of the images that are learned from."""
    config: Listening
    known: Encoded
    """All crops, as `encode_once` gives them."""
    weights: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        """Which instructions are about which image."""
        self.said_of = said_about(self.images, [*self.examples.said, *self.examples.more])
        self.usable = [i for i, said in self.said_of.items() if said]
        # All sentences once, those of a length together: a tenth of the time that batches would take to read them.
        texts = sorted({one.text for said in self.said_of.values() for one in said}, key=lambda text: (len(text), text))
        with half_where_fast(torch.device("cpu")):
            for start in tqdm(range(0, len(texts), _READ), desc="read", leave=False, disable=None):
                self.reader(texts[start : start + _READ])

    @property
    def steps_per_epoch(self) -> int:
        """So many batches that each instruction has its turn about once."""
        count = sum(len(said) for said in self.said_of.values())
        return max(1, count // self.config.batch_said)

    def batches(self, epoch: int, rng: torch.Generator) -> Iterator[AskedBatch]:
        """Of one epoch: random images, and some of what is said about them."""
        for _ in range(self.steps_per_epoch):
            order = torch.randperm(len(self.usable), generator=rng)[: self.config.batch_images].tolist()
            images = [self.usable[i] for i in order]
            said = [one for image in images for one in self.said_of[image]]
            kept = torch.randperm(len(said), generator=rng)[: self.config.batch_said].tolist()
            yield asked_batch(self.examples, images, [said[i] for i in kept])

    def loss(
        self, network: PlannerNetwork, batch: AskedBatch, rng: torch.Generator
    ) -> tuple[Tensor, Mapping[str, float]]:
        """The weighted sum of what instructions are judged by."""
        encoded = self.known.take(batch.proposals)
        noise = _NOISE * torch.randn(encoded.embedding.shape, generator=rng)
        encoded = Encoded(**{**vars(encoded), "embedding": encoded.embedding + noise})
        words, mask = self.reader([one.text for one in batch.said])
        losses = asked_losses(network.ground(encoded, batch.rows, words, mask), batch)
        total = torch.stack([getattr(self.weights, name) * value for name, value in losses.items()]).sum()
        return total, {name: float(value.detach()) for name, value in losses.items()}


@torch.no_grad()
def encode_once(network: PlannerNetwork, examples: GroundingExamples) -> Encoded:
    """Embeddings and measures of all crops, by the network in evaluation mode; maps are left out."""
    network.eval()
    embeddings, measures = [], []
    for start in tqdm(range(0, len(examples), _AT_ONCE), desc="look", leave=False, disable=None):
        batch = batch_of(examples, range(start, min(start + _AT_ONCE, len(examples))), [])
        encoded = network.encode(batch.images, batch.measures)
        embeddings.append(encoded.embedding)
        measures.append(encoded.measures)
    nothing = torch.zeros(sum(map(len, embeddings)), 0, 0, 0)
    return Encoded(
        crops=nothing, measures=torch.cat(measures), embedding=torch.cat(embeddings), semantic=[], spatial=[]
    )
