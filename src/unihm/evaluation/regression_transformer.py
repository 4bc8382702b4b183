"""A transformer of the generator's size that regresses keypoints directly: what the codes and the prior have to beat.

It sees what the other references see, as tokens: the object's cloud (PointNet), its path (one token for each four
frames), the initial keypoints and palm. It answers with keypoints and palm of every frame in the moving canonical
object frame, and is trained on their distances alone; the epoch with the smallest error on the model-selection
recordings is kept.

Letters: B batch, T frames, N chunks, n points, S numbers of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm import tqdm

from unihm.evaluation.motion_metrics import Track
from unihm.evaluation.references import Given, canonical_states, track_of_states
from unihm.generation.point_encoder import METRE, PointNet
from unihm.generation.trajectory_encoder import TrajectoryEncoder
from unihm.schema.weights import assign, read_tensors, write_tensors

_CHUNK = 4  # frames of a token, as the generator's
_POINTS = 256
_WIDTH, _LAYERS, _HEADS = 256, 5, 8
_EPOCHS, _BATCH, _RATE = 40, 16, 5e-4
_AXES = 0.07 * METRE  # an axis that turns moves the fingers' middles by so much
_NOISE = 0.02  # of the inputs, in units of 10 cm, against learning recordings by heart


class _Network(nn.Module):
    def __init__(self, keypoints: int, size: int):
        super().__init__()
        self.cloud = PointNet(_WIDTH, 4)
        self.path = TrajectoryEncoder(_WIDTH, _CHUNK)
        self.start = nn.Sequential(nn.Linear(size, _WIDTH), nn.GELU(), nn.Linear(_WIDTH, _WIDTH))
        self.place = nn.Parameter(0.02 * torch.randn(128, _WIDTH))
        layer = nn.TransformerEncoderLayer(
            _WIDTH, _HEADS, 4 * _WIDTH, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.body = nn.TransformerEncoder(layer, _LAYERS, enable_nested_tensor=False)
        self.out = nn.Linear(_WIDTH, _CHUNK * size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        points: Float[Tensor, "B n 3"],
        T_world_canonical: Float[Tensor, "B T 4 4"],
        lengths: Int[Tensor, " B"],
        start: Float[Tensor, "B S"],
        palm: Float[Tensor, "B 3"],
    ) -> Float[Tensor, "B T S"]:
        """States, 10 cm, as a change of the initial one."""
        path = self.path(T_world_canonical, lengths)
        begin = self.start(start)[:, None]
        path = path + begin + self.place[: path.shape[1]]
        x = torch.cat([self.cloud(points, palm), begin, path], dim=1)
        frames = torch.arange(path.shape[1]) * _CHUNK
        hidden = torch.zeros(x.shape[:2], dtype=torch.bool)
        hidden[:, -path.shape[1] :] = frames >= lengths[:, None]
        states = self.body(x, src_key_padding_mask=hidden)[:, -path.shape[1] :]
        return self.out(states).unflatten(-1, (_CHUNK, -1)).flatten(1, 2) + start[:, None]


class RegressionTransformer:
    """See the module's docstring."""

    def __init__(
        self,
        training: Sequence[tuple[Given, Track]],
        selection: Sequence[tuple[Given, Track]],
        *,
        seed: int = 0,
        file: Path | None = None,
        title: str = "regression transformer",
        epochs: int = _EPOCHS,
    ):
        """Train it, or read what an earlier call has left.

        Args:
            training: What was given and what was recorded, for every training sequence.
            selection: The same of the model-selection recordings; they choose the epoch and nothing else.
            seed: Of weights and order.
            file: Where the trained weights are kept; they are read if they were trained on as many sequences.
            title: On the progress bar.
            epochs: Passes over the training sequences.
        """
        self._mean = np.mean([_start(given) for given, _ in training], axis=0)
        self._axes = torch.ones(self._mean.shape[-1])
        self._axes[-9:] = _AXES / METRE
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._network = _Network(len(training[0][0].keypoints0_world), self._mean.shape[-1])
            header = {"sequences": len(training), "seed": seed, "epochs": epochs}
            if file is not None and file.is_file():
                tensors, known = read_tensors(file)
                if all(known.get(name) == value for name, value in header.items()):
                    assign(self._network, tensors, file)
                    self._network.eval()
                    return
            best = self._train(training, selection, epochs, title)
        self._network.load_state_dict(best)
        self._network.eval()
        if file is not None:
            write_tensors(file, best, header)

    def predict(self, given: Given) -> Track:
        """See `references.Reference`."""
        with torch.no_grad():
            states = self._network(*self._inputs([given]))[0, : len(given)]
        return track_of_states(given, self._plain(states).double().numpy())

    def _train(
        self, training: Sequence[tuple[Given, Track]], selection: Sequence[tuple[Given, Track]], epochs: int, title: str
    ) -> dict[str, Tensor]:
        inputs, truth = self._inputs([g for g, _ in training]), self._truth(training)
        check, wanted = self._inputs([g for g, _ in selection]), self._truth(selection)
        steps = epochs * -(-len(training) // _BATCH)
        optimiser = torch.optim.AdamW(self._network.parameters(), lr=_RATE, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps, pct_start=0.05)
        best, least = {}, float("inf")
        with tqdm(total=steps, desc=title, disable=None, delay=2, leave=False) as bar:
            for _ in range(epochs):
                self._network.train()
                for rows in torch.randperm(len(training)).split(_BATCH):
                    points, path, lengths, start, palm = (x[rows] for x in inputs)
                    noise = _NOISE * torch.randn(len(rows), 1, 3)
                    points = points + noise / METRE
                    loss = self._distance(
                        self._network(points, path, lengths, start, palm), truth[rows], lengths
                    ).mean()
                    optimiser.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
                    optimiser.step()
                    schedule.step()
                    bar.update()
                self._network.eval()
                with torch.no_grad():
                    error = float(self._distance(self._network(*check), wanted, check[2]).mean())
                if error < least:
                    least = error
                    best = {name: value.clone() for name, value in self._network.state_dict().items()}
        return best

    def _distance(self, a: Float[Tensor, "B T S"], b: Float[Tensor, "B T S"], lengths: Int[Tensor, " B"]) -> Tensor:
        """(B,) mean distance of keypoints, wrist, palm and the ends of its axes, 10 cm."""
        frames = min(a.shape[1], b.shape[1])
        off = (a[:, :frames] - b[:, :frames]).unflatten(-1, (-1, 3)).square().sum(-1)
        real = torch.arange(frames) < lengths[:, None]
        return ((off + 1e-6).sqrt().mean(-1) * real).sum(1) / real.sum(1)

    def _inputs(self, given: Sequence[Given]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        frames = -(-max(map(len, given)) // _CHUNK) * _CHUNK
        points, paths, starts = [], [], []
        for g in given:
            T_canonical_object = np.linalg.inv(g.T_world_canonical[0]) @ g.T_world_object[0]
            index = np.linspace(0, len(g.object_points) - 1, _POINTS).round().astype(int)
            points.append(g.object_points[index] @ T_canonical_object[:3, :3].T + T_canonical_object[:3, 3])
            paths.append(g.T_world_canonical[np.arange(frames).clip(max=len(g) - 1)])
            starts.append(_start(g))
        start = torch.from_numpy(np.stack(starts)).float()
        return (
            torch.from_numpy(np.stack(points)).float(),
            torch.from_numpy(np.stack(paths)).float(),
            torch.tensor([len(g) for g in given]),
            self._scaled(start),
            start[:, -12:-9],
        )

    def _truth(self, cases: Sequence[tuple[Given, Track]]) -> Float[Tensor, "B T S"]:
        frames = -(-max(len(g) for g, _ in cases) // _CHUNK) * _CHUNK
        states = [canonical_states(g, track) for g, track in cases]
        padded = [s[np.arange(frames).clip(max=len(s) - 1)] for s in states]
        return self._scaled(torch.from_numpy(np.stack(padded)).float())

    def _scaled(self, states: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch S"]:
        return states * METRE * self._axes

    def _plain(self, states: Float[Tensor, "*batch S"]) -> Float[Tensor, "*batch S"]:
        return states / (METRE * self._axes)


def _start(given: Given) -> Float[np.ndarray, " S"]:
    """The initial state in the canonical frame."""
    first = Track(
        keypoints_world=given.keypoints0_world[None],
        T_world_palm=given.T_world_palm0[None],
        wrist_world=given.wrist0_world[None],
        fps=given.fps,
    )
    return canonical_states(given, first)[0]
