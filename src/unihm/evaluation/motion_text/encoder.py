"""The metric encoder as it is used: tracks and texts in, features out; and its weights on disk.

Each split has weights of its own, trained on its train part alone, since one split's test recordings are another's
training recordings. Those of `SHIPPED` come with the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unihm.evaluation.motion_metrics import Track
from unihm.evaluation.motion_text.frames import Motions, frames_of, pack
from unihm.evaluation.motion_text.network import MotionTextNetwork, NetworkConfig
from unihm.evaluation.references import Given
from unihm.generation.generator import Reader
from unihm.generation.text_encoder import load_text_encoder
from unihm.schema.weights import assign, read_weights, write_weights

KIND = "metrics"
AXES = 16
"""Principal axes of the features of real training motions, on which FID and KID are taken."""
SHIPPED = ("release", "s1")
"""Splits whose weights come with the package."""
_ROWS = 256  # motions or texts that go through a network at once
_AXES, _MEAN = "axes", "axes_mean"


def weights_name(split: str) -> str:
    """File name of a split's weights."""
    return f"metrics-{split}.safetensors"


class MetricEncoder:
    """Features of motions of any hand and of texts, in one space (Appendix F: z = f(x))."""

    def __init__(
        self,
        network: MotionTextNetwork,
        axes: Float[Tensor, "a d"],
        mean: Float[Tensor, " d"],
        *,
        texts: Reader | None = None,
        card: Mapping[str, Any] | None = None,
    ):
        """Join the parts; `load_metric_encoder` is the usual way.

        Args:
            network: The trained networks.
            axes: `principal_axes` of real training motions.
            mean: Their mean.
            texts: The frozen sentence encoder; None loads the installed one with the first text.
            card: What is known about the weights.
        """
        self.network = network.eval()
        self.axes = axes
        self.mean = mean
        self.card = dict(card or {})
        self._texts = texts

    @property
    def dimensions(self) -> int:
        """Of a feature."""
        return self.network.config.dimensions

    def motion_features(
        self,
        tracks: Sequence[Track],
        given: Sequence[Given],
        slots: Sequence[int] | Sequence[Sequence[int]],
    ) -> Float[np.ndarray, "n d"]:
        """Features of motions, of length one.

        Args:
            tracks: What the hand does.
            given: The object, its path and the first palm pose of each.
            slots: `HandModel.keypoint_indices` as a list; or one list for each track.

        Raises:
            ValueError: As for `frames.pack`.
        """
        return self.features_of(pack(tracks, given, slots)).numpy().astype(np.float64)

    @torch.no_grad()
    def features_of(self, motions: Motions) -> Float[Tensor, "n d"]:
        """The same for motions that are packed already."""
        parts = [motions[i : i + _ROWS] for i in range(0, len(motions), _ROWS)]
        return torch.cat([self.network.motion(frames_of(part), part.lengths) for part in parts])

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Features of texts, of length one; the same sentence has the same feature to the last bit.

        Raises:
            ValueError: There are none, or one has no words.
        """
        if not texts:
            raise ValueError("There are no texts.")
        if self._texts is None:
            self._texts = load_text_encoder()
        known = sorted(set(texts))
        parts = [self.network.text(*self._texts(known[i : i + _ROWS])) for i in range(0, len(known), _ROWS)]
        row = {text: number for number, text in enumerate(known)}
        return torch.cat(parts).numpy().astype(np.float64)[[row[text] for text in texts]]

    def coordinates(self, features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n a"]:
        """Features along the published axes; real training motions have mean 0, and variance 1 on the average axis."""
        return (features - self.mean.double().numpy()) @ self.axes.double().numpy().T

    def save(self, path: str | Path, card: Mapping[str, Any]) -> str:
        """Write weights and card; returns the fingerprint.

        Args:
            path: The ``.safetensors`` file.
            card: Training facts; sizes are added here.
        """
        tensors = self.network.state_dict() | {_AXES: self.axes, _MEAN: self.mean}
        return write_weights(path, tensors, {"config": asdict(self.network.config), **card}, kind=KIND)


def principal_axes(features: Float[Tensor, "n d"], count: int = AXES) -> tuple[Tensor, Tensor]:
    """Axes of the largest variance, (count, d), in a unit in which their mean variance is 1; and the mean, (d,).

    Not each axis in a unit of its own: the last ones, which hardly vary among real motions, would outweigh all others.

    Raises:
        ValueError: There are not more features than axes.
    """
    if len(features) <= count:
        raise ValueError(f"{len(features)} motions are too few for {count} axes.")
    mean = features.double().mean(dim=0)
    _, values, axes = torch.linalg.svd(features.double() - mean, full_matrices=False)
    deviation = (values[:count] ** 2).mean().sqrt() / (len(features) - 1) ** 0.5
    return (axes[:count] / deviation.clamp(min=1e-6)).float(), mean.float()


def load_metric_encoder(
    split: str = "release", path: str | Path | None = None, *, texts: Reader | None = None
) -> MetricEncoder:
    """A trained metric encoder.

    Args:
        split: Whose shipped weights; with `path`, which split they must have been trained for.
        path: The ``.safetensors`` file, its card beside it; None takes the weights that come with the package.
        texts: The frozen sentence encoder, where one is loaded already.

    Raises:
        ValueError: No weights of the split come with the package, or the files are missing, damaged, of another kind,
            or of another split.
    """
    if path is None:
        if split not in SHIPPED:
            raise ValueError(
                f"No metric encoder for split '{split}' comes with unihm (there are: {', '.join(SHIPPED)}). "
                f"Train one: unihm train metrics --data DATA --split {split} --out DIR."
            )
        with as_file(files("unihm.assets").joinpath("weights")) as folder:
            return load_metric_encoder(split, folder / weights_name(split), texts=texts)
    tensors, card = read_weights(path, kind=KIND)
    if card.get("split") != split:
        raise ValueError(f"'{path}' was trained for split '{card.get('split')}', expected '{split}'.")
    try:
        axes, mean = tensors.pop(_AXES).float(), tensors.pop(_MEAN).float()
        network = MotionTextNetwork(NetworkConfig(**card["config"]))
    except KeyError as error:
        raise ValueError(f"'{path}' is damaged: it lacks {error}.") from error
    except TypeError as error:
        raise ValueError(f"'{path}' is damaged: {error}.") from error
    assign(network, tensors, path)
    return MetricEncoder(network, axes, mean, texts=texts, card=card)
