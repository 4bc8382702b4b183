"""What every motion generator is: conditions in, codebook indices out (Eq. 9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int

from unihm.registry import Registry


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """What a motion is generated from: words, the object and its path, and where the hand starts.

    Everything but the words is geometry in the canonical object frame (see `geometry.object_frame`), so the same
    request from another side of the table is the same request.
    """

    instruction: str
    """What is asked for."""
    object_points_canonical: Float[np.ndarray, "n 3"]
    """Object cloud P_obj of Eq. 8 in the canonical object frame, m."""
    T_world_canonical: Float[np.ndarray, "T 4 4"]
    """Path of the canonical object frame in the world (table at z = 0), m; the T_tar of Eq. 7."""
    T_canonical_palm0: Float[np.ndarray, "4 4"]
    """Palm pose at frame 0 in the canonical object frame, m."""
    hand: str
    """Name of the hand that shall move."""
    qpos0: Float[np.ndarray, " nq"]
    """Joint positions at frame 0 in the hand's order, rad (m for sliding joints)."""
    temperature: float | None = None
    """Of the token sampling: 0 always takes the most likely code, 1 samples as learned; None is the generator's
    own choice, stated on its card."""
    top_k: int | None = None
    """Only the k most likely codes are sampled from; None is all of them."""
    seed: int = 0
    """Of the token sampling: same seed, same codes."""

    def __post_init__(self):
        for name in ("object_points_canonical", "T_world_canonical", "T_canonical_palm0", "qpos0"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} holds NaN or infinite values.")
        if len(self.object_points_canonical) == 0:
            raise ValueError("The object cloud is empty.")
        if len(self.T_world_canonical) == 0:
            raise ValueError("The object path is empty; it needs at least one frame.")
        if self.temperature is not None and not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}, expected a finite number of at least 0.")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}, expected at least 1.")


class Generator(Protocol):
    """Writes motion tokens."""

    def generate(self, request: GenerationRequest) -> Int[np.ndarray, "N L"]:
        """Codebook indices of N chunks that cover the path's T frames, L quantiser levels each."""
        ...


GENERATORS = Registry(
    "Generator",
    {
        "qwen3-tiny": "unihm.generation.generator:load_generator",
        "qwen3-0.6b": "unihm.generation.language:load_language_generator",
    },
)
"""Name on the command line -> ``(path, *, tokenizer) -> Generator``."""
