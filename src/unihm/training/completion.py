"""``unihm train completion``: SnowflakeNet learns from one view the whole of household objects (and users' meshes)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from trimesh import Trimesh

from unihm.geometry.point_cloud import chamfer, voxel_indices
from unihm.perception.completing import Completion
from unihm.perception.completion import SPACING
from unihm.perception.completion import complete as symmetry
from unihm.perception.completion_frame import chosen, completion_frame
from unihm.perception.learned_completion import SnowflakeCompletion
from unihm.perception.snowflake import SnowflakeConfig, SnowflakeNet, level_losses
from unihm.scenes.families import HELD_OUT, TRAINING
from unihm.training.completion_data import View, household_views, read_meshes
from unihm.training.loop import LoopConfig, fit
from unihm.training.presets import choose
from unihm.training.unified import one_thread

LICENCE = "Apache-2.0 (trained on shapes that unihm draws itself)"
_TRAIN, _VALIDATION, _TEST = range(3)  # of the seeds of each part
_MEASURED = 4000  # points of the truth that figures are against
_USUAL = 0.2  # m; scale of a thing whose error counts once

Batch = tuple[Float[Tensor, "B n 3"], Float[Tensor, "B m 3"], Float[Tensor, " B"]]


@dataclass(frozen=True, kw_only=True)
class CompletionTraining:
    """How completion is trained."""

    network: SnowflakeConfig = field(
        default_factory=lambda: SnowflakeConfig(
            width=48, feature=256, seed_points=128, coarse_points=256, up_factors=(1, 4), groups=(128, 48), neighbours=8
        )
    )
    """Sizes of the network."""
    loop: LoopConfig
    """Epochs are views of fresh things."""
    points: int = 512
    """Seen points that the network reads."""
    truth: int = 1024
    """Points of the whole surface that it is compared with."""
    batch_size: int = 8
    """Views in a batch."""
    families: int | None = None
    """Only the first so many families; None is all."""
    views: int = 4
    """Of each thing, of which an epoch has one of each family."""
    repeats: int = 2
    """How often a view is used, with other points, mirrored and stretched otherwise."""
    stretch: float = 0.15
    """Largest logarithm of the factor by which things are stretched along each axis of their frame."""
    width: int = 320
    """Of the images, pixels."""
    measured: int = 3
    """Views of each family that the figures are about; as many in all of the held-out families."""


COMPLETION: Mapping[str, CompletionTraining] = {
    "tiny": CompletionTraining(
        network=SnowflakeConfig(
            width=16, feature=32, seed_points=32, coarse_points=64, up_factors=(1, 2), groups=(48, 16), neighbours=6
        ),
        loop=LoopConfig(epochs=3, learning_rate=3e-3, warmup_steps=5, log_steps=1),
        points=96,
        truth=256,
        families=8,
        measured=1,
    ),
    "base": CompletionTraining(
        loop=LoopConfig(epochs=40, learning_rate=1.5e-3, final_rate=0.01, warmup_steps=100, checkpoint_steps=184),
    ),
}
"""Presets of ``unihm train completion``."""


@one_thread()
def train_completion(
    out: str | Path,
    *,
    data: str | Path | None = None,
    preset: str | CompletionTraining = "base",
    seed: int = 0,
    resume: bool = False,
    stop_after: int | None = None,
) -> dict[str, Any]:
    """Train on household objects of the training families; figures are of other views and of the held-out families.

    Args:
        out: Folder for log, checkpoint and ``completion.safetensors`` with its card.
        data: Folder with a user's meshes (m, upright), each of which is then seen as often as a family.
        preset: Name in `COMPLETION`, or settings.
        seed: Seed of everything random.
        resume: Go on from the checkpoint in `out`.
        stop_after: Stop after so many steps in all and leave a checkpoint.

    Returns:
        Where the weights are, their fingerprint, and the figures, see `measured`.

    Raises:
        ValueError: The preset does not exist, the folder holds no meshes or unfit ones, or a checkpoint does not fit.
    """
    name = preset if isinstance(preset, str) else "custom"
    config = choose(COMPLETION, preset) if isinstance(preset, str) else preset
    config = replace(config, loop=replace(config.loop, seed=seed))
    out = Path(out)
    meshes = read_meshes(data) if data is not None else {}
    task = CompletionTask(config, seed, meshes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SnowflakeNet(config.network)
    progress = fit(
        network, task.loss, task.batches, config.loop, out, steps_per_epoch=task.steps_per_epoch, resume=resume,
        title="completion", stop_after=stop_after,
    )  # fmt: skip
    network = network.half().float()  # as it will be stored
    figures = {
        part: measured(SnowflakeCompletion(network, config.points), views)
        for part, views in (("validation", task.validation()), ("held_out_families", task.test()))
    }
    command = f"unihm train completion --preset {name} --seed {seed}" + (" --data DATA" if meshes else "")
    card = {
        "licence": LICENCE,
        "preset": name,
        "training": asdict(config),
        "seed": seed,
        "command": command,
        "steps": progress.step,
        "families": list(task.families),
        "meshes": sorted(meshes),
        "figures": figures,
    }
    path = out / "completion.safetensors"
    fingerprint = SnowflakeCompletion(network, config.points).save(path, card)
    return {"weights": str(path), "fingerprint": fingerprint, "figures": figures}


class CompletionTask:
    """Batches, loss and validation."""

    def __init__(self, config: CompletionTraining, seed: int, meshes: Mapping[str, Trimesh] | None = None):
        self.config, self._seed, self._meshes = config, seed, meshes or {}
        self.families = TRAINING[: config.families]
        self.views = (len(self.families) + len(self._meshes)) * config.views
        self.steps_per_epoch = self.views * config.repeats // config.batch_size

    def batches(self, epoch: int, rng: torch.Generator) -> Iterator[Batch]:
        """Of one epoch; they depend on its number alone."""
        config = self.config
        draw = np.random.default_rng([self._seed, _TRAIN, epoch, 1])
        views = list(
            household_views(
                (self._seed, _TRAIN, epoch), self.families, self.views, points=2 * config.truth, width=config.width,
                meshes=self._meshes, views=config.views,
            )
        )  # fmt: skip
        order = np.concatenate([draw.permutation(len(views)) for _ in range(config.repeats)])
        for part in order[: self.steps_per_epoch * config.batch_size].reshape(-1, config.batch_size):
            yield batch_of([views[i] for i in part], config, draw, augment=True)

    def validation(self) -> Iterator[View]:
        """Other things of the training families, as a camera sees them."""
        return self._figures(_VALIDATION, self.families)

    def test(self) -> Iterator[View]:
        """Things of the families that training never sees."""
        return self._figures(_TEST, sorted(HELD_OUT)[: self.config.families], held_out=True)

    def _figures(self, part: int, families: Sequence[str], held_out: bool = False) -> Iterator[View]:
        count = self.config.measured * len(self.families)  # as many of the few held-out families
        return household_views((self._seed, part), families, count, points=_MEASURED, held_out=held_out)

    def loss(self, network: SnowflakeNet, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Sum of the level losses in metres; the figure is the Chamfer distance of the finest cloud, mm.

        Differs from the paper: nothing draws the finest cloud to the seen points, which are noisy and are kept anyway.
        """
        partial, truth, scale = batch
        levels = level_losses(network(partial), truth)
        weighted = (levels * (scale / _USUAL)[:, None]).mean(dim=0)
        return weighted.sum(), {"chamfer_mm": float(1000 * (levels[:, -1].detach() * scale).mean())}


def measured(completion: Completion, views: Iterable[View]) -> dict[str, float | int]:
    """Chamfer distances in mm: the mean of the two directed mean distances between clouds.

    Completed clouds have 1024 points and the truth 4000. ``seen`` is of the seen points alone, ``symmetry`` of the
    heuristic of `perception.completion`, on the same views.
    """
    rows = []
    for view in views:
        T = view.camera.T_world_camera
        assert T is not None
        clouds = [view.partial[voxel_indices(view.partial, SPACING)]]
        clouds += [way(view.partial, view.depth, view.camera, T)[0] for way in (symmetry, completion)]
        rows.append([chamfer_mm(cloud, view.points) for cloud in clouds])
    table = np.array(rows)
    named = zip(("seen", "symmetry", "completed"), table.T, strict=True)
    figures = {
        f"{name}_{what}_mm": round(float(value), 3)
        for name, column in named
        for what, value in (("mean", column.mean()), ("median", np.median(column)), ("95", np.quantile(column, 0.95)))
    }
    return {"views": len(table), **figures}


def chamfer_mm(a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "m 3"]) -> float:
    """Mean of the mean nearest distances from a to b and from b to a (clouds in m), mm."""
    return 1000 * chamfer(a, b)


def batch_of(views: Sequence[View], config: CompletionTraining, rng: np.random.Generator, *, augment: bool) -> Batch:
    """Partial and complete clouds in their unit frames, and the frames' scales in metres."""
    partials, truths, scales = [], [], []
    for view in views:
        assert view.camera.T_world_camera is not None
        frame = completion_frame(view.partial, view.camera.T_world_camera[:3, 3])
        partial = frame.into(view.partial[chosen(len(view.partial), config.points, rng)])
        truth = frame.into(view.points[chosen(len(view.points), config.truth, rng)])
        if augment:
            # What a far camera sees of a stretched thing is what it sees of the thing, stretched.
            factors = np.exp(rng.uniform(-config.stretch, config.stretch, 3)) * [1, rng.choice([-1, 1]), 1]
            factors *= frame.scale / np.linalg.norm(frame.edges * factors)  # and the box has diagonal 1 again
            partial, truth = partial * factors, truth * factors
        partials.append(partial)
        truths.append(truth)
        scales.append(frame.scale)
    return (
        torch.from_numpy(np.stack(partials)).float(),
        torch.from_numpy(np.stack(truths)).float(),
        torch.tensor(scales, dtype=torch.float32),
    )
