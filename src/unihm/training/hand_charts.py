"""How a hand learns its chart: from moments in which it and the reference hand do the same.

Letters: n moments, m latent fingers, q joints, f fingertips.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor, nn

from unihm.geometry.lie import inverse, se3_exp, se3_log, transform_points
from unihm.hands.hand import HandModel
from unihm.schema.motion import HandMotion
from unihm.tokenizer.features import PALM_SIZE, HandFeatures
from unihm.tokenizer.figures import keypoints_world
from unihm.tokenizer.hand_chart import HandChart
from unihm.training.loop import Figures, fit
from unihm.training.presets import ChartTraining

_NEAR = 0.01  # m; a fingertip so far from the object counts half as much more as one that touches it
_PINCH = 0.03  # m; the same for two fingertips
_SENSITIVITY_FRAMES = 500
_METRE_OF_A_RADIAN = 0.02  # what a joint's own error counts beside keypoints, which it may leave where they are
_TIPS = 2.0  # how much more a fingertip of the reference hand counts than another keypoint
_EACH = 0.2  # what the latent fingers' own errors count beside the keypoints that they move
_SPARE = 0.02  # m per unit of a spare latent finger
_VALIDATIONS = 5


@dataclass(frozen=True, kw_only=True)
class Moments:
    """One hand beside the reference hand, each moment alone: tensors of n rows."""

    fingers: Float[Tensor, "n m"]
    """Latent fingers of the reference hand."""
    joints: Float[Tensor, "n q"]
    """This hand's joints, -1 to +1."""
    offset: Float[Tensor, "n 6"]
    """Logarithm of this hand's palm in the reference hand's."""
    nearness: Float[Tensor, "n 5"]
    """1 where a finger of the recorded person touches the object, falling to 0 a few centimetres off."""

    def __len__(self) -> int:
        return len(self.fingers)

    def __getitem__(self, rows) -> Moments:
        return Moments(
            fingers=self.fingers[rows], joints=self.joints[rows], offset=self.offset[rows],
            nearness=self.nearness[rows],
        )  # fmt: skip


def moments(
    reference: Mapping[str, HandMotion],
    motions: Mapping[str, HandMotion],
    features: Mapping[str, HandFeatures],
    model: HandModel,
    latent: int,
) -> Moments:
    """All frames of paired motions.

    Args:
        reference: The reference hand's motions by episode, with their objects.
        motions: This hand's of the same episodes.
        features: How joints are scaled, of both hands.
        model: The reference hand.
        latent: m.
    """
    fingers, joints, offset, nearness = [], [], [], []
    for name, motion in motions.items():
        other = reference[name]
        still = np.tile(np.eye(4), (len(motion), 1, 1))
        fingers.append(features[other.hand].of_motion(other, still)[:, PALM_SIZE:].float())
        joints.append(features[motion.hand].of_motion(motion, still)[:, PALM_SIZE:].float())
        T_reference_palm = inverse(torch.from_numpy(other.T_world_palm)) @ torch.from_numpy(motion.T_world_palm)
        offset.append(se3_log(T_reference_palm).float())
        nearness.append(_nearness(other, model))
    packed = torch.cat(fingers)
    return Moments(
        fingers=nn.functional.pad(packed, (0, latent - packed.shape[1])),
        joints=torch.cat(joints),
        offset=torch.cat(offset),
        nearness=torch.cat(nearness),
    )


def train_chart(
    chart: HandChart,
    train: Moments,
    validation: Moments | None,
    hand: HandModel,
    reference: HandModel,
    config: ChartTraining,
    folder: Path,
    *,
    resume: bool = False,
    stop_after: int | None = None,
) -> None:
    """Fit a chart; the loop is `loop.fit`.

    The loss is in centimetres: keypoints that the decoder shows for the reference hand's fingers (Eq. 6), those at the
    object counted more; the vectors between fingertips that pinch; joints; and how far the reference hand that the
    encoder sees is from the true one (Eqs. 3, B13).

    Args:
        chart: Changed in place.
        train: What is learned from.
        validation: On which figures are logged.
        hand: Kinematics of the hand.
        reference: And of the reference hand.
        config: How to train.
        folder: For log and checkpoints.
        resume: Go on from the folder's checkpoint.
        stop_after: Stop after so many steps in all.
    """
    loss = ChartLoss(chart, hand, reference, config)
    chart.start_from(train.fingers, train.joints, train.offset)
    size = min(config.batch_size, max(1, len(train) // 2))
    steps = len(train) // size
    # Few frames are passed more often, so that a new hand with little data is trained to its end as well.
    loop = replace(config.loop, epochs=max(config.loop.epochs, -(-config.least_steps // steps)))

    def batches(_: int, rng: torch.Generator) -> Iterator[Moments]:
        order = torch.randperm(len(train), generator=rng)
        for rows in order.split(size)[:steps]:
            yield train[rows]

    def epoch_end(_: nn.Module, epoch: int, rng: torch.Generator) -> Figures | None:
        if validation is None or epoch % max(1, loop.epochs // _VALIDATIONS):
            return None
        return {f"validation_{name}": value for name, value in loss.figures(validation).items()}

    fit(
        chart, lambda _, batch, rng: loss(batch), batches, loop, folder,
        steps_per_epoch=steps, resume=resume, on_epoch_end=epoch_end, title=hand.name, stop_after=stop_after,
    )  # fmt: skip


class ChartLoss:
    """What a chart is judged by."""

    def __init__(self, chart: HandChart, hand: HandModel, reference: HandModel, config: ChartTraining):
        """Look up the hand's fingers and the latent fingers' weights."""
        self.chart, self.hand, self.reference, self.config = chart, hand, reference, config
        tips = hand.keypoint_indices[hand.fingertip_slots]
        self.fingers = tips // 4 - 1  # 0 thumb to 4 little finger, of the recorded person
        self.pairs = [(a, b) for a in range(len(tips)) for b in range(a) if 0 in (self.fingers[a], self.fingers[b])]
        self.half_range = ((hand.upper - hand.lower) / 2).float()
        moved = _sensitivity(reference)
        self.weight = torch.full((chart.latent,), _SPARE)
        self.weight[: len(moved)] = moved

    def __call__(self, batch: Moments) -> tuple[Tensor, Figures]:
        """The loss, cm."""
        joints, T = self.chart.joints_of(batch.fingers), self.chart.T_reference_palm(batch.fingers)
        shown, true = self._keypoints(joints, T), self._keypoints(batch.joints, se3_exp(batch.offset))
        error = shown - true
        distance = _norm(error)
        weight = torch.ones_like(distance)
        weight[:, self.hand.fingertip_slots] += self.config.contact_weight * batch.nearness[:, self.fingers]
        keypoint = (weight * distance).sum() / weight.sum()
        pinch = self._pinch(error, true)
        joint = ((joints - batch.joints).abs() * self.half_range).mean() * _METRE_OF_A_RADIAN
        distillation = self._distance(batch).mean()
        total = keypoint + self.config.pinch_weight * pinch + joint + self.config.distillation_weight * distillation
        figures = {
            "keypoint_mm": 1e3 * distance.mean().item(),
            "pinch_mm": 1e3 * pinch.item(),
            "distillation_mm": 1e3 * distillation.item(),
        }
        return 100 * total, figures

    @torch.no_grad()
    def figures(self, held_out: Moments) -> Figures:
        """Errors of what the chart shows and sees, mm."""
        joints, T = self.chart.joints_of(held_out.fingers), self.chart.T_reference_palm(held_out.fingers)
        error = self._keypoints(joints.clamp(-1, 1), T) - self._keypoints(held_out.joints, se3_exp(held_out.offset))
        return {
            "keypoint_mm": 1e3 * error.norm(dim=-1).mean().item(),
            "fingertip_mm": 1e3 * error[:, self.hand.fingertip_slots].norm(dim=-1).mean().item(),
            "distillation_mm": 1e3 * self._distance(held_out).mean().item(),
        }

    def _distance(self, batch: Moments) -> Float[Tensor, " n"]:
        """How far the reference hand that the encoder sees is from the true one, m: its keypoints, and a little of each
        latent finger, so that those that move no keypoint are determined as well.
        """
        seen = self.chart.fingers_of(batch.joints)
        T = inverse(se3_exp(batch.offset) @ inverse(self.chart.T_reference_palm(seen)))  # T_seen_true of the palm
        error = transform_points(T, self._reference(batch.fingers)) - self._reference(seen)
        distance = _norm(error)
        tips = self.reference.fingertip_slots
        mean = (distance.sum(-1) + _TIPS * distance[:, tips].sum(-1)) / (distance.shape[1] + _TIPS * len(tips))
        return mean + _EACH * _norm((seen - batch.fingers) * self.weight)

    def _reference(self, fingers: Float[Tensor, "n m"]) -> Float[Tensor, "n k 3"]:
        """Keypoints of the reference hand in its palm, m."""
        hand = self.reference
        joints = fingers[:, : len(hand.joint_names)].double()
        return hand.keypoints(hand.lower + (joints + 1) * (hand.upper - hand.lower) / 2).float()

    def _keypoints(self, joints: Float[Tensor, "n q"], T: Float[Tensor, "n 4 4"]) -> Float[Tensor, "n k 3"]:
        """In the reference hand's palm, m."""
        qpos = self.hand.lower + (joints.double() + 1) * (self.hand.upper - self.hand.lower) / 2
        return transform_points(T.double(), self.hand.keypoints(qpos)).float()

    def _pinch(self, error: Float[Tensor, "n k 3"], true: Float[Tensor, "n k 3"]) -> Float[Tensor, ""]:
        """Mean error of the vector from the thumb's tip to another, weighted by how close they are."""
        if not self.pairs:
            return error.new_zeros(())
        slots = self.hand.fingertip_slots
        first, second = (slots[[pair[i] for pair in self.pairs]] for i in (0, 1))
        close = torch.exp(-((true[:, first] - true[:, second]).norm(dim=-1) / _PINCH).square())
        return (close * _norm(error[:, first] - error[:, second])).mean()


def _norm(error: Tensor) -> Tensor:
    return (error.square().sum(-1) + 1e-10).sqrt()  # smooth at zero, where the root has no gradient


def _sensitivity(hand: HandModel) -> Float[Tensor, " q"]:
    """By how much a joint, between -1 and +1, moves the keypoints, m per unit, root mean square."""
    rng = torch.Generator().manual_seed(0)
    share = torch.rand(_SENSITIVITY_FRAMES, len(hand.joint_names), generator=rng, dtype=torch.float64)
    _, J = hand.keypoints_and_jacobian(hand.lower + share * (hand.upper - hand.lower))
    moved = J.square().sum(-2).mean((0, 1)).sqrt() * (hand.upper - hand.lower) / 2
    return moved.float()


def _nearness(motion: HandMotion, hand: HandModel) -> Float[Tensor, "T 5"]:
    """How near the fingertips are to the object: ``exp(-(d / 1 cm)^2)``; 0 without one."""
    found = np.zeros((len(motion), 5), dtype=np.float32)
    if motion.T_world_object is None or motion.object_points is None:
        return torch.from_numpy(found)
    slots = hand.fingertip_slots.numpy()
    tips = keypoints_world(motion, hand)[:, slots]
    R, t = motion.T_world_object[:, :3, :3], motion.T_world_object[:, :3, 3]
    tips_object = np.einsum("tji,tkj->tki", R, tips - t[:, None])
    distance, _ = KDTree(motion.object_points).query(tips_object)
    found[:, hand.keypoint_indices.numpy()[slots] // 4 - 1] = np.exp(-((distance / _NEAR) ** 2))
    return torch.from_numpy(found)
