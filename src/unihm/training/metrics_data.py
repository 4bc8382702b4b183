"""Batches for the metric encoder: recorded motions of all hands, varied anew each time, beside their sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from unihm.datasets.episode_store import read_episodes
from unihm.datasets.instructions import episode_facts, instructions, is_lift
from unihm.datasets.motion_store import read_motions
from unihm.datasets.object_names import OBJECT_NAMES
from unihm.evaluation.cases import case_of
from unihm.evaluation.motion_text.frames import Motions, join, pack
from unihm.generation.conditions import values_at
from unihm.generation.generator import Reader
from unihm.geometry.lie import inverse
from unihm.hands.hand import load_hand
from unihm.schema.episode import Episode
from unihm.training.generator_data import about_z, poses_at
from unihm.training.spoiling import Spoiling, spoiled

_AT_ONCE = 64  # sentences that are read together; more would be padded to the longest of many
_FINGERS = tuple(slice(1 + 4 * finger, 5 + 4 * finger) for finger in range(5))


@dataclass(frozen=True, kw_only=True)
class MetricsVariation:
    """How recorded motions are varied in training: mildly, since words speak of speed, height and side."""

    crop: float = 0.3
    """Share of motions that start later than recorded."""
    crop_share: float = 0.15
    """At most this share of a motion is cut off at its start."""
    speed: float = 1.05
    """Motions run up to so much faster or slower."""
    yaw_deg: float = 4.0
    """Standard deviation of a turn of the canonical frame, and of another of the world, about the vertical."""
    shift: float = 0.005
    """m; standard deviation of a displacement of the canonical frame."""
    size: float = 0.03
    """Standard deviation of a factor of the object's size, and of one of each number of it."""
    lost_finger: float = 0.08
    """Share of motions that lose a finger, for each of the five: other hands have fewer."""


@dataclass(frozen=True, kw_only=True)
class DescribedBatch:
    """Motions and a sentence of each."""

    motions: Motions
    """Of hands drawn at random."""
    spoiled: Motions
    """Some of them, spoiled."""
    faults: Float[Tensor, " C"]
    """How much, 0 to 1."""
    words: Float[Tensor, "B L w"]
    """Token states of the sentences."""
    words_mask: Bool[Tensor, "B L"]
    """Which of them are real."""
    sentences: Int[Tensor, " B"]
    """Equal numbers are equal sentences."""


class DescribedMotions:
    """Motions of every hand of a store and what may be said of them."""

    def __init__(self, data: str | Path, ids: Sequence[str], hands: Sequence[str], reader: Reader, *, fresh: int):
        """Read the motions, make the sentences and have them read.

        Args:
            data: Episode store.
            ids: Its episodes.
            hands: Hands with motions of all of them.
            reader: The frozen sentence encoder.
            fresh: Seeds with which further instructions are made, beside those of the store.

        Raises:
            ValueError: There are no episodes, or a motion is missing.
        """
        if not ids:
            raise ValueError("There are no episodes to train on.")
        episodes = read_episodes(data, ids)
        packed = {name: _packed(data, name, episodes) for name in hands}
        self.of_hand = {name: motions for name, (motions, _) in packed.items()}
        self._object_of_hand = {name: objects for name, (_, objects) in packed.items()}
        self._clouds = [KDTree(episode.object_points) for episode in episodes]
        self.texts = tuple(_sentences(episode, fresh) for episode in episodes)
        self._states: list[Tensor] = []
        known = sorted({text for texts in self.texts for text in texts}, key=lambda text: (len(text), text))
        self._number = {text: number for number, text in enumerate(known)}
        for start in range(0, len(known), _AT_ONCE):
            states, mask = reader(known[start : start + _AT_ONCE])
            # Half precision: tens of thousands of states stay in memory.
            self._states += [state[real].half() for state, real in zip(states, mask, strict=True)]

    def __len__(self) -> int:
        return len(self.texts)

    def batch(
        self,
        rows: Int[Tensor, " B"],
        variation: MetricsVariation,
        spoiling: Spoiling,
        rng: torch.Generator,
        *,
        share: float = 0.5,
    ) -> DescribedBatch:
        """Some episodes, each on a hand and with a sentence drawn at random.

        Args:
            rows: Numbers of the episodes.
            variation: How they are varied.
            spoiling: How some of them are spoiled.
            rng: Draws everything.
            share: Of the episodes that are also spoiled.
        """
        names = tuple(self.of_hand)
        hand = torch.randint(len(names), (len(rows),), generator=rng)
        chosen = torch.rand(len(rows), generator=rng).argsort()[: max(1, round(share * len(rows)))]
        motions, order = self._of_hands(rows, hand)
        bad, faults = self.spoiled(rows[chosen], hand[chosen], spoiling, rng)
        return self._described(
            varied(motions, variation, rng),
            [self._draw(int(row), rng) for row in order],
            varied(bad, variation, rng),
            faults,
        )

    def spoiled(
        self, rows: Int[Tensor, " B"], hand: Int[Tensor, " B"], spoiling: Spoiling, rng: torch.Generator
    ) -> tuple[Motions, Float[Tensor, " B"]]:
        """Episodes on given hands (numbers in `of_hand`), spoiled, and by how much."""
        motions, order = self._of_hands(rows, hand)
        hand = hand.sort().values
        others, _ = self._of_hands(torch.randint(len(self), (len(rows),), generator=rng), hand)
        names = tuple(self.of_hand)
        objects = np.stack([self._object_of_hand[names[int(h)]][int(row)] for row, h in zip(order, hand, strict=True)])
        return spoiled(motions, others, objects, [self._clouds[int(row)] for row in order], spoiling, rng)

    def told(self, hand: str, which: int) -> DescribedBatch:
        """All motions of a hand as recorded, each with its sentence number `which`; none spoiled."""
        motions, texts = self.of_hand[hand], [texts[which % len(texts)] for texts in self.texts]
        return self._described(motions, texts, motions[:0], torch.zeros(0))

    def _of_hands(self, rows: Int[Tensor, " B"], hand: Int[Tensor, " B"]) -> tuple[Motions, Int[Tensor, " B"]]:
        """Motions in the order of their hands, and of which episodes they are."""
        parts = [self.of_hand[name][rows[hand == number]] for number, name in enumerate(self.of_hand)]
        order = torch.cat([rows[hand == number] for number in range(len(parts))])
        return join([part for part in parts if len(part)]), order

    def _draw(self, row: int, rng: torch.Generator) -> str:
        texts = self.texts[row]
        return texts[int(torch.randint(len(texts), (), generator=rng))]

    def _described(
        self, motions: Motions, texts: list[str], bad: Motions, faults: Float[Tensor, " C"]
    ) -> DescribedBatch:
        numbers = [self._number[text] for text in texts]
        states = [self._states[number].float() for number in numbers]
        words = torch.nn.utils.rnn.pad_sequence(states, batch_first=True)
        mask = torch.arange(words.shape[1]) < torch.tensor([len(state) for state in states])[:, None]
        return DescribedBatch(
            motions=motions, spoiled=bad, faults=faults, words=words, words_mask=mask, sentences=torch.tensor(numbers)
        )


def varied(motions: Motions, variation: MetricsVariation, rng: torch.Generator) -> Motions:
    """The motions a little later, faster or slower, elsewhere, around another frame, with fewer fingers."""
    count, frames = motions.T_world_canonical.shape[:2]

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=rng)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=rng)

    cut = uniform() < variation.crop
    start = (cut * variation.crop_share * uniform() * motions.lengths).floor()
    rate = variation.speed ** (2 * uniform() - 1)
    lengths = ((motions.lengths - 1 - start) / rate).floor().long().clamp(max=frames - 1) + 1
    step = torch.minimum(torch.arange(frames)[None], lengths[:, None] - 1)
    time = start[:, None] + rate[:, None] * step
    yaw = np.deg2rad(variation.yaw_deg)
    of_frame = about_z(yaw * normal(), variation.shift * normal(3))
    of_world = about_z(yaw * normal(), torch.zeros(count, 3))
    path = of_world[:, None] @ poses_at(motions.T_world_canonical, time) @ of_frame[:, None]
    palm = inverse(of_frame)[:, None] @ poses_at(motions.T_canonical_palm, time)
    present = motions.present.clone()
    lost = uniform(len(_FINGERS)) < variation.lost_finger
    for finger, of_finger in enumerate(_FINGERS):
        present[:, of_finger] &= ~lost[:, finger, None]
    return replace(
        motions,
        T_world_canonical=path,
        T_canonical_palm=palm,
        keypoints_palm=values_at(motions.keypoints_palm, time) * present[:, None, :, None],
        clearance=values_at(motions.clearance, time),
        present=present,
        size=motions.size * (1 + variation.size * normal(1)) * (1 + variation.size * normal(6)),
        lengths=lengths,
    )


def _packed(data: str | Path, name: str, episodes: Sequence[Episode]) -> tuple[Motions, Float[np.ndarray, "E 4 4"]]:
    """A hand's motions, and the poses of the objects in their canonical frames."""
    hand = load_hand(name)
    motions = read_motions(data, name, [episode.id for episode in episodes])
    cases = [case_of(episode, motions[episode.id], hand) for episode in episodes]
    given = [case.given for case in cases]
    objects = np.stack([np.linalg.inv(known.T_world_canonical[0]) @ known.T_world_object[0] for known in given])
    return pack([case.truth for case in cases], given, hand.keypoint_indices.tolist()), objects


def _sentences(episode: Episode, fresh: int) -> tuple[str, ...]:
    """The stored instructions and further ones, each once."""
    found = list(episode.instructions)
    if episode.object_name in OBJECT_NAMES and is_lift(episode):
        facts = episode_facts(episode, OBJECT_NAMES[episode.object_name])
        for seed in range(1, fresh + 1):
            try:
                found += instructions(facts, seed=seed)
            except ValueError:  # fewer sentences are true of this episode
                break
    return tuple(dict.fromkeys(found))
