"""What the planner's network is trained for: one loss for each of its outputs, each the mean over what is known.

A loss over nothing known is 0, so that any batch can be summed. Labels count from 0; -1 is unknown.

Letters: B instructions, P proposals (padded), N crops, V nouns, K classes, s cells.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

UNKNOWN = -1
"""Label of what is not known."""
_TEMPERATURE = 0.07  # CLIP's start; MiniLM's vectors of different nouns have cosines of 0.2 to 0.6


def choice_loss(
    logits: Float[Tensor, "B P"], fits: Bool[Tensor, "B P"], real: Bool[Tensor, "B P"]
) -> Float[Tensor, ""]:
    """Targets or references: each proposal for itself, and against each other where exactly one fits.

    ``mean_i [ BCE(l_i, f_i) ] + mean_b [ -log softmax(l_b)_f ]``, the second over instructions with one that fits.

    Args:
        logits: Of `grounding.Grounded`.
        fits: Whether the words mean it: one, none (it is not in view) or several (one would have to ask).
        real: False for padding.
    """
    plain = logits.masked_fill(~real, 0.0)
    each = F.binary_cross_entropy_with_logits(plain, fits.to(logits), reduction="none")
    one = (fits & real).sum(dim=1) == 1
    against = -(plain.masked_fill(~real, -torch.inf)[one].log_softmax(dim=1))[fits[one] & real[one]]
    return _mean(each, real) + against.sum() / max(len(against), 1)


def class_loss(logits: Float[Tensor, "B K"], label: Int[Tensor, " B"]) -> Float[Tensor, ""]:
    """Task, relation, amount or kind: cross-entropy over those with a label."""
    each = F.cross_entropy(logits, label, ignore_index=UNKNOWN, reduction="none")
    return _mean(each, label != UNKNOWN)


def wholeness_loss(logits: Float[Tensor, " N"], label: Int[Tensor, " N"]) -> Float[Tensor, ""]:
    """Whether a proposal is one whole thing (1), or a piece of one or several (0)."""
    each = F.binary_cross_entropy_with_logits(logits, label.clamp(min=0).to(logits), reduction="none")
    return _mean(each, label != UNKNOWN)


def parts_loss(logits: Float[Tensor, "N K s s"], label: Int[Tensor, "N s s"]) -> Float[Tensor, ""]:
    """Cross-entropy of every cell, and 1 - dice of every class that occurs in a crop.

    ``dice = (2 sum p f + 1) / (sum p + sum f + 1)``: small parts, as handles are, count as much as large ones.

    Args:
        logits: Of `network.PARTS`.
        label: Of every cell.
    """
    known = label != UNKNOWN
    each = F.cross_entropy(logits, label, ignore_index=UNKNOWN, reduction="none")
    chance = logits.softmax(dim=1) * known[:, None]
    truth = F.one_hot(label.clamp(min=0), logits.shape[1]).movedim(-1, 1).to(logits) * known[:, None]
    size = truth.sum(dim=(2, 3))
    dice = (2 * (chance * truth).sum(dim=(2, 3)) + 1) / (chance.sum(dim=(2, 3)) + size + 1)
    return _mean(each, known) + _mean(1 - dice, size > 0)


def pick_loss(logits: Float[Tensor, "B s s"], cells: Bool[Tensor, "B s s"]) -> Float[Tensor, ""]:
    """How little of the softmax over all cells lies on those that are right; CLIPort's cross-entropy where it is one.

    Args:
        logits: Of `PlannerNetwork.pick`.
        cells: Where the thing can be taken; an instruction without any counts for nothing.
    """
    flat, right = logits.flatten(1), cells.flatten(1)
    some = right.any(dim=1)
    missing = _log_share(flat[some], right[some])
    return -missing.sum() / max(len(missing), 1)


def name_loss(
    names: Float[Tensor, "N w"],
    nouns: Float[Tensor, "V w"],
    fits: Bool[Tensor, "N V"],
    temperature: float = _TEMPERATURE,
) -> Float[Tensor, ""]:
    """InfoNCE with several positives, both ways: a crop among the nouns, and a noun among the crops.

    Args:
        names: Unit vectors of `grounding.Described`.
        nouns: The sentence encoder's vectors of nouns, of any length.
        fits: Whether a noun is a name of the crop's thing.
        temperature: Of the softmax.
    """
    cosine = names @ F.normalize(nouns, dim=-1).mT / temperature
    total = cosine.new_zeros(())
    for logits, right in ((cosine, fits), (cosine.mT, fits.mT)):
        some = right.any(dim=1)
        missing = _log_share(logits[some], right[some])
        total = total - missing.sum() / max(len(missing), 1)
    return total / 2


def _log_share(logits: Tensor, right: Tensor) -> Tensor:
    """Log of the part of a row's softmax that lies on what is right."""
    return logits.masked_fill(~right, -torch.inf).logsumexp(dim=1) - logits.logsumexp(dim=1)


def _mean(values: Tensor, known: Tensor) -> Tensor:
    return torch.where(known, values, 0.0).sum() / known.sum().clamp(min=1)
