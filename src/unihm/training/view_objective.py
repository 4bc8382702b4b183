"""What the view network is trained for, and how its masks are measured."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Integer
from torch import Tensor

from unihm.cliport.view_network import VIEW_CLASSES, ViewMaps
from unihm.training.view_augmentation import ViewBatch

_USUAL = 600.0  # cells; a thing of this size counts once
_WEIGHTS = (0.5, 4.0)  # of the cells of large and of small things
_HANDLE = 2.0  # factor of handles, which are small parts of large things
_BESIDE = 5  # cells; edge of the square around a thing that counts as much as the thing
_LEAST = 50  # pixels; what shows less is not asked for


def view_loss(maps: ViewMaps, batch: ViewBatch) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """Cross-entropy of the classes, 1 - dice of every thing, and the error of the offsets.

    A cell weighs as much as ``sqrt(600 / area)`` of its thing, so thin things and their outlines count.
    ``dice = (2 sum p f + 1) / (sum p + sum f + 1)`` over the cells of a thing and those beside it.
    """
    count, many = int(batch.things.max()) + 1, len(batch.things)
    number = (batch.things + count * torch.arange(many, device=batch.things.device)[:, None, None]).flatten()
    known = batch.things.flatten() > 0
    covered = 1 - batch.classes[:, 0]
    area = _summed(covered, number, known, count * many)
    weight = (_USUAL / area.clamp(min=1)).sqrt().clamp(*_WEIGHTS)[number].view_as(batch.things)
    weight = weight * (1 + (_HANDLE - 1) * batch.classes[:, VIEW_CLASSES.index("handle")])
    weight = weight * batch.votes
    beside = F.max_pool2d(weight[:, None], _BESIDE, 1, _BESIDE // 2)[:, 0].clamp(min=1)
    weight = torch.where(batch.votes > 0, weight, beside)
    chances = maps.classes.log_softmax(dim=1)
    each = -(batch.classes * chances).sum(dim=1)
    entropy = (weight * each).sum() / weight.sum()
    # Of the class that the thing's cell has; beside the thing, of all but the surroundings.
    own = (batch.classes[:, 1:] * chances[:, 1:].exp()).sum(dim=1) / covered.clamp(min=1e-6)
    right = torch.where(covered > 0, own, 1 - chances[:, 0].exp())
    both, said = (_summed(x, number, known, count * many) for x in (right * covered, right))
    dice = (2 * both + 1) / (said + area + 1)
    there = area > 0
    missed = ((1 - dice) * there).sum() / there.sum().clamp(min=1)
    vote = weight * batch.votes
    wrong = (maps.offsets - batch.offsets).abs().sum(dim=1)
    offset = (vote * wrong).sum() / vote.sum().clamp(min=1)
    figures = {"classes": entropy.item(), "dice": missed.item(), "offsets": offset.item()}
    return entropy + missed + offset, figures


def best_overlaps(
    labels: Int[np.ndarray, "H W"], truth: Integer[np.ndarray, "H W"], least: int = _LEAST
) -> Float[np.ndarray, " n"]:
    """Of every thing of at least so many pixels the IoU of the instance that fits it best.

    Args:
        labels: Number of the instance of every pixel, -1 elsewhere.
        truth: Number of the thing + 1, 0 elsewhere.
        least: Pixels.
    """
    things, found = int(truth.max()) + 1, int(labels.max()) + 2
    pairs = truth.ravel().astype(np.int64) * found + labels.ravel() + 1
    common = np.bincount(pairs, minlength=things * found).reshape(things, found)
    area, covered = common.sum(axis=1)[1:, None], common.sum(axis=0)[None, 1:]
    overlap = common[1:, 1:] / np.maximum(area + covered - common[1:, 1:], 1)
    return overlap.max(axis=1, initial=0)[area[:, 0] >= least]


def _summed(values: Tensor, number: Tensor, known: Tensor, count: int) -> Tensor:
    """Sums over the cells of each thing; the cells far from all of them count nowhere."""
    return values.new_zeros(count).index_add(0, number[known], values.flatten()[known])
