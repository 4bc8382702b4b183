"""Teaching the generator's reader what instructions ask for (`generation.asked`).

The sentences come from the offline annotator: objects, values and forms drawn at random, so that what a sentence states
is known. They are training words only; held-out forms and phrases test what was learned.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from unihm.datasets.instructions import VALUES, EpisodeFacts, instructions
from unihm.datasets.object_names import OBJECT_NAMES
from unihm.generation.asked import SLOTS, InstructionReader
from unihm.generation.generator import Reader
from unihm.kinematics.keypoints import FINGERS

_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class ReadingTraining:
    """How the reader is trained."""

    sentences: int = 4096
    """Drawn."""
    epochs: int = 12
    """Passes over them."""
    learning_rate: float = 2e-3
    """Of AdamW, falling linearly to zero."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """Words, and what they ask for."""

    text: str
    stated: Mapping[str, str | tuple[str, ...]]
    """Slot to value; to names of fingers for ``grip``."""


def draw_sentences(count: int, seed: int, *, held_out: bool = False) -> list[Sentence]:
    """Random sentences with what they state.

    Args:
        count: How many.
        seed: Same seed, same sentences.
        held_out: Forms, phrases and object words that never occur in training.
    """
    rng = random.Random(seed)
    names = list(OBJECT_NAMES.values())
    found = []
    while len(found) < count:
        value = {slot: rng.choice(list(values)) for slot, values in VALUES.items()}
        fingers = tuple(f for f in FINGERS if rng.random() < 0.7)
        merged: dict = {}
        for slot in ("travel", "approach", "speed", "height"):
            merged |= VALUES[slot][value[slot]]
        facts = EpisodeFacts(
            id=str(len(found)), names=rng.choice(names), on_table=rng.random() < 0.9, **{**merged, "fingers": fingers}
        )
        stating = [slot for slot in SLOTS if rng.random() < 0.4 and (slot != "grip" or len(fingers) > 1)]
        try:
            text = instructions(facts, seed=rng.randrange(1 << 30), count=1, held_out=held_out, stating=stating)[0]
        except ValueError:  # no form states just these
            continue
        stated = {slot: fingers if slot == "grip" else value[slot] for slot in stating}
        found.append(Sentence(text=text, stated=stated))
    return found


def train_reader(reader: InstructionReader, words: Reader, config: ReadingTraining, seed: int) -> None:
    """Train on drawn sentences; the reader ends in evaluation mode, frozen."""
    sentences = draw_sentences(config.sentences, seed)
    rng = torch.Generator().manual_seed(seed)
    steps = config.epochs * -(-len(sentences) // _BATCH)
    optimiser = torch.optim.AdamW(reader.parameters(), lr=config.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=steps)
    reader.train()
    with torch.random.fork_rng(), tqdm(total=steps, desc="reader", disable=None, delay=2, leave=False) as bar:
        torch.manual_seed(seed)  # dropout
        for _ in range(config.epochs):
            for part in torch.randperm(len(sentences), generator=rng).split(_BATCH):
                chosen = [sentences[int(i)] for i in part]
                loss = _loss(reader, words, chosen)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                bar.update()
    reader.eval().requires_grad_(False)


@torch.no_grad()
def reading_accuracy(reader: InstructionReader, words: Reader, sentences: Sequence[Sentence]) -> dict[str, float]:
    """Share of sentences that are read right, slot by slot: the value where one is stated, else silence."""
    right = dict.fromkeys(SLOTS, 0)
    for i in range(0, len(sentences), _BATCH):
        chosen = sentences[i : i + _BATCH]
        for slot, logits in reader.logits(*words([s.text for s in chosen])).items():
            for row, sentence in zip(logits, chosen, strict=True):
                value = sentence.stated.get(slot)
                if slot == "grip":
                    read = tuple(f for f, v in zip(SLOTS[slot], row, strict=False) if v > 0) if row[-1] > 0 else None
                else:
                    index = int(row.argmax())
                    read = SLOTS[slot][index] if index < len(SLOTS[slot]) else None
                right[slot] += read == value
    return {slot: count / len(sentences) for slot, count in right.items()}


def _loss(reader: InstructionReader, words: Reader, sentences: Sequence[Sentence]) -> Tensor:
    total = torch.zeros(())
    for slot, logits in reader.logits(*words([s.text for s in sentences])).items():
        if slot == "grip":
            target, counts = _fingers(sentences)
            weight = torch.cat([counts[:, None].expand(-1, len(FINGERS)), torch.ones(len(sentences), 1)], dim=1)
            total = total + (
                torch.nn.functional.binary_cross_entropy_with_logits(logits, target, weight=weight, reduction="sum")
                / weight.sum()
            )
        else:
            total = total + torch.nn.functional.cross_entropy(logits, _values(sentences, slot))
    return total


def _values(sentences: Sequence[Sentence], slot: str) -> Int[Tensor, " n"]:
    """Numbers of the values; where nothing is stated, the one behind the last."""
    values = SLOTS[slot]
    return torch.tensor([values.index(str(s.stated[slot])) if slot in s.stated else len(values) for s in sentences])


def _fingers(sentences: Sequence[Sentence]) -> tuple[Float[Tensor, "n 6"], Float[Tensor, " n"]]:
    """Which fingers are named and whether any are; and where the former count.

    Phrases such as "with three fingers" leave open which ones; they teach the fingers that mostly are.
    """
    named = [s.stated.get("grip") for s in sentences]
    target = torch.tensor([[float(n is not None and f in n) for f in FINGERS] + [float(n is not None)] for n in named])
    return target, target[:, -1]
