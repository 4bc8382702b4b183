"""How the shared codes are found: no gradients, but regression and k-means on what the decoder misses, in closed loop.

Every stage is fitted in rounds. The first round sees the true past; each later one encodes all motions with the codes
of the round before and learns from the past that the decoder then really has.

Letters: B motions, N chunks, C frames, m latent fingers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unihm.geometry.lie import so3_exp, transform_points
from unihm.hands.hand import HandModel
from unihm.tokenizer.features import HandFeatures
from unihm.tokenizer.hand_chart import Chart, LatentPose, join
from unihm.tokenizer.predictive import ChunkCode, PredictiveCodec
from unihm.training.presets import CodecFitting

_KMEANS, _KMEANS_BEFORE = 8, 3  # rounds of k-means
_ROWS = 512  # motions that are encoded at once
_STEP = 1e-4  # of the finite differences of the metric
_AXES_LENGTH = 0.1  # m; about the length of a palm


@dataclass(frozen=True, kw_only=True)
class Poses:
    """Motions as latent poses."""

    poses: LatentPose
    """(B, N, C)."""
    mask: Bool[Tensor, "B N"]
    """Chunks that exist."""


def pulled_back_metric(
    charts: Mapping[str, Chart],
    features: Mapping[str, HandFeatures],
    hands: Mapping[str, HandModel],
    samples: Mapping[str, LatentPose],
    config: CodecFitting,
) -> Float[Tensor, "k k"]:
    """How far all hands move when the latent pose changes a little: a unit is a millimetre, root mean square.

    The mean over hands and sampled poses of ``J^T J``, where J takes a change of the latent pose (displacement and
    rotation vector in the palm's frame, fingers) to keypoints, the ends of the palm's axes, and joints.

    Args:
        charts: The hands' charts.
        features: How their joints are scaled.
        hands: Their kinematics.
        samples: hand -> (n,) latent poses of its own motions.
        config: Weights.

    Returns:
        The symmetric square root.
    """
    total = None
    for name, sample in samples.items():
        chart = copy.deepcopy(charts[name]).double()  # type: ignore[attr-defined]  # every chart is a module
        pose = sample.map(Tensor.double)
        size = 6 + pose.fingers.shape[-1]
        columns = []
        for k in range(size):
            step = torch.zeros(size, dtype=torch.float64)
            step[k] = _STEP
            ends = [_seen(chart, features[name], hands[name], _moved(pose, sign * step), config) for sign in (1, -1)]
            columns.append((ends[0] - ends[1]) / (2 * _STEP))
        J = torch.stack(columns, -1)
        gram = torch.einsum("nap,naq->pq", J, J) / len(J) / len(samples)
        total = gram if total is None else total + gram
    assert total is not None
    size, vectors = torch.linalg.eigh(total)
    return (1e3 * (vectors * size.clamp(min=config.least_metric**2).sqrt()) @ vectors.T).float()


def _moved(pose: LatentPose, step: Float[Tensor, " k"]) -> LatentPose:
    return LatentPose(R=pose.R @ so3_exp(step[3:6]), t=pose.t + pose.R @ step[:3], fingers=pose.fingers + step[6:])


def _seen(
    chart: Chart, features: HandFeatures, hand: HandModel, pose: LatentPose, config: CodecFitting
) -> Float[Tensor, "n a"]:
    """Everything that an error is measured in, m."""
    qpos, T = features.unpack(chart.decode(pose))
    points = hand.keypoints(qpos)
    ends = _AXES_LENGTH * torch.eye(3, dtype=points.dtype).expand(len(points), 3, 3)
    palm = torch.cat([torch.zeros_like(ends[:, :1]), ends], 1)
    kinds = {joint.name: joint.kind for joint in hand.urdf.joints}
    turning = [i for i, name in enumerate(features.joint_names) if kinds[name] != "prismatic"]
    joints = config.metre_of_a_radian * qpos[:, turning] / max(1, len(turning)) ** 0.5
    return torch.cat(
        [
            (transform_points(T, points) / points.shape[1] ** 0.5).flatten(1),
            config.palm_weight * (transform_points(T, palm) / 2).flatten(1),
            joints,
        ],
        -1,
    )


def set_start(codec: PredictiveCodec, motions: Iterable[Poses]) -> None:
    """The mean first pose of motions, where every stream begins."""
    first = join(torch.cat, [m.poses[:, 0, 0] for m in motions])
    U, _, Vt = torch.linalg.svd(first.R.mean(0))
    U = U @ torch.diag(torch.tensor([1.0, 1.0, float(torch.det(U @ Vt))]))
    codec.start_R.copy_(U @ Vt)
    codec.start_t.copy_(first.t.mean(0))
    codec.start_fingers.copy_(first.fingers.mean(0))


@torch.no_grad()
def fit_stage(
    codec: PredictiveCodec,
    stage: int,
    motions: Sequence[Poses],
    below: Sequence[LatentPose] | None,
    config: CodecFitting,
    *,
    seed: int,
    progress: Callable[[dict[str, int | float]], object] = lambda figures: None,
) -> list[LatentPose]:
    """Fit the codes of one stage; those below are fitted.

    Args:
        codec: Changed in place.
        stage: Its number, from 0.
        motions: What is learned from, in parts of different lengths.
        below: What the stage below decodes of them, each (B, N, C).
        config: How to fit.
        seed: Of k-means.
        progress: Called after each round with the stage, the round, and what was left of the examples, mm.

    Returns:
        What the stage decodes, for the stage above.
    """
    for number in range(config.rounds):
        rng = torch.Generator().manual_seed(1000 * seed + 100 * stage + number)
        found = _Examples()
        for part, known in zip(motions, below or [None] * len(motions), strict=True):
            _run(codec, stage, part, known, found, true_past=number == 0)
        last = number == config.rounds - 1  # before it, codes only serve to say what the past is like
        for code, pairs in zip(_codes(codec, stage), (found.opening, found.following), strict=True):
            context, values = (torch.cat([pair[i] for pair in pairs]) for i in (0, 1))
            code.fit(context, values, rng, points=config.points, rounds=_KMEANS if last else _KMEANS_BEFORE)
            context, values = context[: config.points], values[: config.points]
            left = values - code.quantize(context, values)[1]
        mm = (left.square().sum(-1) / codec.config.frames_per_chunk).mean().sqrt()
        progress({"stage": stage, "round": number, "left_mm": float(mm)})
    return decoded(codec, stage, motions, below)


@torch.no_grad()
def decoded(
    codec: PredictiveCodec, stage: int, motions: Sequence[Poses], below: Sequence[LatentPose] | None
) -> list[LatentPose]:
    """What a fitted stage decodes of motions, each (B, N, C)."""
    known = below or [None] * len(motions)
    return [
        _run(codec, stage, part, under, _Examples(), true_past=False)
        for part, under in zip(motions, known, strict=True)
    ]


@dataclass
class _Examples:
    """Contexts and values of first chunks and of others, as they come."""

    opening: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    following: list[tuple[Tensor, Tensor]] = field(default_factory=list)


def _run(
    codec: PredictiveCodec, stage: int, motions: Poses, below: LatentPose | None, found: _Examples, *, true_past: bool
) -> LatentPose:
    """Encode motions at a stage and collect examples; returns what is decoded, or the motions with the true past."""
    opening, following = _codes(codec, stage)
    rows_of: list[LatentPose] = []
    for rows in torch.arange(len(motions.mask)).split(_ROWS):
        poses, mask = motions.poses[rows], motions.mask[rows]
        past, chunks = codec.begin(len(rows), 1).chunks[0], []
        for n in range(mask.shape[1]):
            known = past if n == 0 or not true_past else poses[:, n - 1]
            context = codec.context(known, None if below is None else below[rows, n])
            base = known[:, -1]
            values = codec.relative(poses[:, n], base)
            (found.following if n else found.opening).append((context[mask[:, n]], values[mask[:, n]]))
            if not true_past:
                _, coded = (following if n else opening).quantize(context, values)
                past = codec.absolute(coded, base)
                chunks.append(past)
        if chunks:
            rows_of.append(join(lambda parts: torch.stack(parts, 1), chunks))
    return join(torch.cat, rows_of) if rows_of else motions.poses


def _codes(codec: PredictiveCodec, stage: int) -> tuple[ChunkCode, ChunkCode]:
    opening, following = codec.opening[stage], codec.following[stage]
    assert isinstance(opening, ChunkCode)
    assert isinstance(following, ChunkCode)
    return opening, following
