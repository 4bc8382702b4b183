"""Motions to tokens and back, on any hand that shares the codebook (Sec. 3.2).

Encoding on one hand and decoding on another is Eq. 6: ``x_j = D_j(e_{Q(E_i(x_i))})``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unihm.registry import unknown_name
from unihm.schema.motion import HandMotion, MotionTokens
from unihm.schema.weights import assign, read_weights, write_weights
from unihm.tokenizer.features import HandFeatures, canonical_path
from unihm.tokenizer.vqvae import SharedVQVAE, TokenizerConfig

KIND = "tokenizer"
SHIPPED = "tokenizer.safetensors"


class Tokenizer:
    """A trained codebook with the encoders and decoders of its hands."""

    def __init__(self, model: SharedVQVAE, *, fingerprint: str = "untrained", card: Mapping[str, Any] | None = None):
        """Wrap a model; `load_tokenizer` is the usual way to get one.

        Args:
            model: The networks.
            fingerprint: Name of these weights, written into tokens.
            card: What is known about the weights.
        """
        self.model = model.eval()
        self.config = model.config
        self.fingerprint = fingerprint
        self.card = dict(card or {})

    @property
    def hands(self) -> tuple[str, ...]:
        """Names of the hands that can be encoded and decoded."""
        return tuple(self.model.hands)

    @property
    def frames_per_chunk(self) -> int:
        """Frames that one row of codes stands for."""
        return self.config.frames_per_chunk

    @property
    def levels(self) -> int:
        """L, codes in a row, coarse to fine."""
        return self.config.levels

    @property
    def codes_per_level(self) -> int:
        """K, codes to choose from at each level."""
        return self.config.codes

    @property
    def bits_per_frame(self) -> float:
        """Length of the code stream when every code costs ``log2 K`` bits."""
        return self.levels * float(np.log2(self.codes_per_level)) / self.frames_per_chunk

    @property
    def codebook(self) -> Float[Tensor, "L K D"]:
        """The code vectors."""
        return self.model.quantiser.codebook.detach()

    @torch.no_grad()
    def encode(self, motion: HandMotion, T_world_canonical: Float[np.ndarray, "T 4 4"] | None = None) -> MotionTokens:
        """Tokens of a motion (Eq. 1).

        Args:
            motion: A motion of a known hand at the tokenizer's frame rate.
            T_world_canonical: Path of the canonical object frame; None takes the motion's own, see
                `features.canonical_path`.

        Raises:
            ValueError: The hand or its joints are unknown, the frame rate differs, the motion is empty or holds
                non-finite numbers.
        """
        features = self._features(motion.hand)
        if abs(motion.fps - self.config.fps) > 0.01 * self.config.fps:
            raise ValueError(f"The motion has {motion.fps:g} frames/s, the tokenizer reads {self.config.fps:g}.")
        if len(motion) == 0:
            raise ValueError("The motion has no frames.")
        path = canonical_path(motion) if T_world_canonical is None else T_world_canonical
        if len(path) != len(motion):
            raise ValueError(f"The object frame has {len(path)} poses for {len(motion)} frames.")
        x_TF = features.of_motion(motion, path).float()
        if not torch.isfinite(x_TF).all():
            raise ValueError("The motion holds NaN or infinite values.")
        chunks = -(-len(motion) // self.frames_per_chunk)
        # The last chunk is filled with the last frame, as in training.
        frame = torch.arange(chunks * self.frames_per_chunk).clamp(max=len(motion) - 1)
        mask = torch.ones(1, chunks, dtype=torch.bool)
        z = self.model.encode(motion.hand, x_TF[frame][None], mask)
        codes = self.model.quantiser.quantize(z).codes[0]
        return MotionTokens(
            codes=codes.numpy(),
            tokenizer=self.fingerprint,
            frames_per_chunk=self.frames_per_chunk,
            num_frames=len(motion),
            fps=motion.fps,
            hand=motion.hand,
            T_world_canonical=path,
            instruction=motion.instruction,
            source=motion.source,
        )

    @torch.no_grad()
    def decode(self, tokens: MotionTokens, hand: str) -> HandMotion:
        """The motion of a hand that tokens stand for (Eq. 2; with another hand's tokens, Eq. 6).

        Joint positions are within the hand's limits and palm rotations are proper. The object path travels with
        the tokens, but which cloud belongs to it is not known here: `T_world_object` is None.

        Raises:
            ValueError: The hand is unknown, or the tokens come from other weights or do not fit the codebook.
        """
        features = self._features(hand)
        self._check(tokens)
        codes = torch.from_numpy(np.ascontiguousarray(tokens.codes, dtype=np.int64))[None]
        z = self.model.quantiser.embed(codes)
        x_BTF = self.model.decode(hand, z, torch.ones(z.shape[:2], dtype=torch.bool))
        qpos, T_canonical_palm = features.unpack(x_BTF[0, : tokens.num_frames].double())
        lower, upper = features.limits(qpos)
        return HandMotion(
            hand=hand,
            fps=tokens.fps,
            joint_names=features.joint_names,
            qpos=torch.clamp(qpos, lower, upper).numpy(),
            T_world_palm=tokens.T_world_canonical @ T_canonical_palm.numpy(),
            instruction=tokens.instruction,
            source=tokens.source,
        )

    def translate(self, motion: HandMotion, hand: str) -> HandMotion:
        """The same motion on another hand (Eq. 6), with the same object."""
        return self.decode(self.encode(motion), hand).replace(
            T_world_object=motion.T_world_object,
            object_points=motion.object_points,
            object_normals=motion.object_normals,
            contact_phase=motion.contact_phase,
        )

    def _features(self, hand: str) -> HandFeatures:
        if hand not in self.model.hands:
            raise unknown_name("Hand of the tokenizer", hand, self.hands)
        return self.model.hands[hand]

    def _check(self, tokens: MotionTokens) -> None:
        """Tokens must come from these weights and index into this codebook."""
        if tokens.tokenizer != self.fingerprint:
            raise ValueError(
                f"The tokens were written by tokenizer '{tokens.tokenizer}', this is '{self.fingerprint}'; "
                "encode the motion again."
            )
        if tokens.frames_per_chunk != self.frames_per_chunk:
            raise ValueError(
                f"A token row stands for {tokens.frames_per_chunk} frames, here for {self.frames_per_chunk}."
            )
        rows = -(-tokens.num_frames // self.frames_per_chunk)
        if tokens.num_frames < 1 or tokens.codes.shape != (rows, self.levels):
            raise ValueError(
                f"Codes have the shape {tokens.codes.shape}; {tokens.num_frames} frames need {(rows, self.levels)}."
            )
        if tokens.codes.min() < 0 or tokens.codes.max() >= self.codes_per_level:
            raise ValueError(
                f"Codes lie in {tokens.codes.min()}..{tokens.codes.max()}, the codebook has "
                f"0..{self.codes_per_level - 1}."
            )
        if len(tokens.T_world_canonical) != tokens.num_frames:
            raise ValueError(
                f"The object frame has {len(tokens.T_world_canonical)} poses for {tokens.num_frames} frames."
            )

    def save(self, path: str | Path, card: Mapping[str, Any]) -> str:
        """Write the weights and their card; returns the fingerprint under which they load.

        Args:
            path: The ``.safetensors`` file.
            card: Training facts; config and hands are added here.
        """
        full = {
            "config": asdict(self.config),
            "hands": [asdict(features) for features in self.model.hands.values()],
            **card,
        }
        tensors = {name: value for name, value in self.model.state_dict().items() if name != "quantiser.usage"}
        return write_weights(path, tensors, full, kind=KIND)


def load_tokenizer(path: str | Path | None = None) -> Tokenizer:
    """A trained tokenizer.

    Args:
        path: The ``.safetensors`` file, its card beside it; None takes the weights that come with the package.

    Raises:
        ValueError: A file is missing, damaged or of another kind, or the weights do not fit their card.
    """
    if path is None:
        # Both files are needed, so the folder is made real, not a single file.
        with as_file(files("unihm") / "assets" / "weights") as folder:
            return load_tokenizer(Path(folder) / SHIPPED)
    tensors, card = read_weights(path, kind=KIND)
    try:
        config = TokenizerConfig(**card["config"])
        hands = [_hand_features(entry) for entry in card["hands"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"Weights card of '{path}' is damaged: {error!r}.") from error
    model = SharedVQVAE(config, hands)
    tensors["quantiser.usage"] = model.quantiser.usage  # counts of the last training epoch are not weights
    assign(model, tensors, path)
    return Tokenizer(model, fingerprint=card["fingerprint"], card=card)


def _hand_features(entry: Mapping[str, Any]) -> HandFeatures:
    return HandFeatures(
        hand=entry["hand"],
        joint_names=tuple(entry["joint_names"]),
        lower=tuple(entry["lower"]),
        upper=tuple(entry["upper"]),
    )
