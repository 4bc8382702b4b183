"""What an instruction asks for, slot by slot: from where the hand comes, which fingers hold, where the object goes.

A few learned queries look at the token states of the words; each slot gets a probability for every value, and one for
saying nothing of it. It is trained on sentences whose content is known (`training.reading`), because distances between
sentence vectors alone do not tell opposites apart.

Letters: B batch, L words, w dimensions of a token state, s numbers in which an instruction is told (`SIZE`).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

SLOTS: dict[str, tuple[str, ...]] = {
    "approach": ("front", "behind", "left", "right", "above"),
    "travel": ("closer", "away", "left", "right", "up"),
    "height": ("low", "middle", "high", "top"),
    "speed": ("slow", "middle", "fast"),
    "grip": ("thumb", "index", "middle", "ring", "pinky"),
}
"""Slots and their values. Of `grip` several hold at once; of the others one."""
SIZE = sum(map(len, SLOTS.values()))
"""Numbers in which an instruction is told."""
_WIDTH = 64


def place(slot: str) -> slice:
    """Where a slot's numbers stand."""
    names = list(SLOTS)
    first = sum(len(SLOTS[name]) for name in names[: names.index(slot)])
    return slice(first, first + len(SLOTS[slot]))


class InstructionReader(nn.Module):
    """Token states to what is asked for."""

    def __init__(self, width: int):
        """An untrained reader.

        Args:
            width: Dimensions of a token state.
        """
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.key = nn.Linear(width, len(SLOTS))
        self.value = nn.Linear(width, _WIDTH * len(SLOTS))
        self.dropout = nn.Dropout(0.2)
        # One more output than values: that nothing is said of the slot.
        self.heads = nn.ModuleList(
            nn.Sequential(nn.GELU(), nn.Linear(_WIDTH, _WIDTH), nn.GELU(), nn.Linear(_WIDTH, len(values) + 1))
            for values in SLOTS.values()
        )

    def logits(self, words: Float[Tensor, "B L w"], mask: Bool[Tensor, "B L"]) -> dict[str, Float[Tensor, "B _"]]:
        """For each slot the logits of its values and, last, of silence; of `grip` the last is that any are named."""
        hidden = self.dropout(self.norm(words))
        seen = mask.clone()
        seen[:, 0] |= ~mask.any(dim=1)  # attention over nothing is NaN
        weight = self.key(hidden).masked_fill(~seen[..., None], -torch.inf).softmax(dim=1)
        value = self.value(hidden).unflatten(-1, (len(SLOTS), _WIDTH))
        pooled = torch.einsum("bls,blsw->bsw", weight, value)
        return {name: head(pooled[:, i]) for i, (name, head) in enumerate(zip(SLOTS, self.heads, strict=True))}

    def forward(self, words: Float[Tensor, "B L w"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B s"]:
        """Probabilities of all slots' values; all zero where there are no words or nothing is said."""
        parts = []
        for name, logits in self.logits(words, mask).items():
            if name == "grip":
                parts.append(logits[:, -1:].sigmoid() * (2 * logits[:, :-1].sigmoid() - 1))
            else:
                parts.append(logits.softmax(dim=-1)[:, :-1])
        return torch.cat(parts, dim=-1) * mask.any(dim=1)[:, None]


def direction(asked: Float[Tensor, "B s"], slot: str, view: Float[Tensor, "B 2"]) -> Float[Tensor, "B 3"]:
    """Where a slot's words point in the canonical frame: the sum of the values' directions by their probabilities.

    Args:
        asked: From `InstructionReader`.
        slot: ``approach``, the side of the object on which the hand comes; ``travel``, where the object goes.
        view: Direction in which the speaker looks; zero where it is unknown, then only up and down can be told.
    """
    away = torch.nn.functional.pad(view, (0, 1))
    left = torch.stack([-view[:, 1], view[:, 0], torch.zeros_like(view[:, 0])], dim=-1)
    up = torch.zeros_like(away)
    up[:, 2] = 1.0
    to = {"front": -away, "closer": -away, "behind": away, "away": away, "left": left, "right": -left}
    chance = asked[:, place(slot)]
    return sum(chance[:, i : i + 1] * to.get(value, up) for i, value in enumerate(SLOTS[slot]))  # type: ignore[return-value]
