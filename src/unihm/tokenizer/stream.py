"""Translation of a motion that is still going on: frames in, after each chunk its codes and the other hand's frames.

Nothing is looked at ahead, so a stream gives the codes that the whole motion would; the delay is one chunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from unihm.schema.motion import HandMotion
from unihm.tokenizer.features import canonical_path
from unihm.tokenizer.hand_chart import LatentPose
from unihm.tokenizer.predictive import Decoded
from unihm.tokenizer.tokenizer import Tokenizer
from unihm.tokenizer.unified import UnifiedTokenizer


@dataclass(frozen=True, kw_only=True)
class TranslatedChunk:
    """Some frames, translated."""

    codes: Int[np.ndarray, " L"]
    """Their codes."""
    qpos: Float[np.ndarray, "c nq"]
    """The other hand's joints, rad or m; at the end of a motion there may be fewer frames than a chunk has."""
    T_world_palm: Float[np.ndarray, "c 4 4"]
    """And its palm."""


class Translator:
    """One stream from a hand to another, through the shared codes (Eq. 6)."""

    def __init__(self, tokenizer: Tokenizer, source: str, target: str, *, levels: int | None = None):
        """Begin a stream.

        Args:
            tokenizer: Knows both hands.
            source: The hand whose frames come.
            target: The hand whose frames go.
            levels: Codes of a row, one of the tokenizer's rates; None is the highest.

        Raises:
            ValueError: A hand is unknown, or the tokenizer is a VQ-VAE, whose networks look ahead.
        """
        if not isinstance(tokenizer.model, UnifiedTokenizer):
            raise ValueError("A stream needs codes that do not look ahead; these weights are of a VQ-VAE.")
        self.tokenizer, self.model = tokenizer, tokenizer.model
        self.source, self.target = tokenizer.features(source), tokenizer.features(target)
        self.levels = tokenizer.rates[-1] if levels is None else levels
        self._stages = self.model.codec.stages_of(self.levels)
        self.reset()

    def reset(self) -> None:
        """Forget the motion; the next frame is a first one."""
        self._known: Decoded = self.model.codec.begin(1, self._stages)
        self._waiting: list[Tensor] = []
        self._frames: list[np.ndarray] = []
        self._T_world_canonical: np.ndarray | None = None

    def push(
        self,
        qpos: Float[np.ndarray, " nq"],
        T_world_palm: Float[np.ndarray, "4 4"],
        T_world_canonical: Float[np.ndarray, "4 4"] | None = None,
    ) -> TranslatedChunk | None:
        """Take a frame; gives a chunk when one is full.

        Args:
            qpos: Joints of the source hand, in the tokenizer's order (`joint_names`).
            T_world_palm: Its palm.
            T_world_canonical: The canonical object frame now; None takes the one of a motion without an object, which
                the first frame fixes.

        Raises:
            ValueError: The frame has another shape or holds NaN.
        """
        if np.shape(qpos) != (len(self.joint_names),) or np.shape(T_world_palm) != (4, 4):
            raise ValueError(
                f"A frame has joints of shape {np.shape(qpos)} and a palm of shape {np.shape(T_world_palm)}, expected "
                f"({len(self.joint_names)},) and (4, 4)."
            )
        motion = HandMotion(
            hand=self.source.hand, fps=self.tokenizer.config.fps, joint_names=self.joint_names,
            qpos=np.asarray(qpos, dtype=np.float64)[None],
            T_world_palm=np.asarray(T_world_palm, dtype=np.float64)[None],
        )  # fmt: skip
        if T_world_canonical is None and self._T_world_canonical is None:
            self._T_world_canonical = canonical_path(motion)[0]
        frame = self._T_world_canonical if T_world_canonical is None else T_world_canonical
        assert frame is not None
        self._waiting.append(self.tokenizer.read(motion, frame[None])[0])
        self._frames.append(frame)
        return self._chunk() if len(self._waiting) == self.tokenizer.frames_per_chunk else None

    def finish(self) -> TranslatedChunk | None:
        """The frames that are left, if any, and the end of the motion."""
        chunk = self._chunk() if self._waiting else None
        self.reset()
        return chunk

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The order of a frame's joints."""
        return self.source.joint_names

    @torch.no_grad()
    def _chunk(self) -> TranslatedChunk:
        count, size = len(self._waiting), self.tokenizer.frames_per_chunk
        x = torch.stack([*self._waiting, *[self._waiting[-1]] * (size - count)])[None]
        pose: LatentPose = self.model.chart(self.source.hand).encode(x)
        codes, self._known = self.model.codec.encode_chunk(self._known, pose)
        features = self.model.chart(self.target.hand).decode(self._known.chunks[-1])[0, :count].double()
        qpos, T_canonical_palm = self.target.unpack(features)
        lower, upper = self.target.limits(qpos)
        frames = np.stack(self._frames)
        self._waiting, self._frames = [], []
        return TranslatedChunk(
            codes=codes[0].numpy(),
            qpos=torch.clamp(qpos, lower, upper).numpy(),
            T_world_palm=frames @ T_canonical_palm.numpy(),
        )
