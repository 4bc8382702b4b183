"""What every motion generator is: conditions in, codebook indices out (Eq. 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float, Int

from unihm.registry import Registry

LONGEST_INSTRUCTION = 1000
"""Characters; the sentence encoder reads some 60 words, and what is longer is not an instruction."""
MOST_WAYS = 256
"""Motions that can be asked for together."""
FASTEST = 0.25
"""m an object may move from one frame to the next, 7.5 m/s: anything more is a damaged path."""


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
    lift_frame: int | None = None
    """First frame in which the object has left its rest, T where it never does. None: the path is left out, and
    `T_world_canonical` says where the object is, not where it goes."""
    view_canonical: Float[np.ndarray, " 2"] | None = None
    """Horizontal direction in which the speaker looks, in the canonical frame: what "from the left" means. None where
    it is not known; such words are then not understood."""
    temperature: float | None = None
    """Of the token sampling: 0 always takes the most likely code, 1 samples as learned; None is the generator's
    own choice, stated on its card."""
    top_k: int | None = None
    """Only the k most likely codes are sampled from; None is all of them."""
    top_p: float | None = None
    """Only the most likely codes that together have this probability are sampled from; None is all of them."""
    one_of: tuple[int, int] | None = None
    """(k, n): the k-th, from 0, of n motions that together stand for all that are likely, the commonest way first.
    Nothing is drawn then. None is a motion for itself."""
    seed: int = 0
    """Of the token sampling: same seed, same codes."""

    def __post_init__(self):
        for name in ("object_points_canonical", "T_world_canonical", "T_canonical_palm0", "qpos0"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} holds NaN or infinite values.")
        if self.view_canonical is not None and not np.isfinite(self.view_canonical).all():
            raise ValueError("view_canonical holds NaN or infinite values.")
        if self.lift_frame is not None and self.lift_frame < 0:
            raise ValueError(
                f"lift_frame is {self.lift_frame}, expected at least 0, or None where the path is left out."
            )
        if len(self.object_points_canonical) == 0:
            raise ValueError("The object cloud is empty.")
        if len(self.T_world_canonical) == 0:
            raise ValueError("The object path is empty; it needs at least one frame.")
        if len(self.instruction) > LONGEST_INSTRUCTION:
            raise ValueError(
                f"The instruction has {len(self.instruction)} characters, expected at most {LONGEST_INSTRUCTION}."
            )
        steps = np.linalg.norm(np.diff(self.T_world_canonical[:, :3, 3], axis=0), axis=1)
        if len(steps) and steps.max() > FASTEST:
            frame = int(steps.argmax())
            raise ValueError(
                f"The object path jumps {steps.max():.2f} m from frame {frame} to {frame + 1}; expected at most "
                f"{FASTEST:g} m between two frames."
            )
        if self.temperature is not None and not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}, expected a finite number of at least 0.")
        if self.one_of is not None and not 0 <= self.one_of[0] < self.one_of[1] <= MOST_WAYS:
            number, count = self.one_of
            raise ValueError(
                f"one_of is ({number}, {count}), expected (k, n) with 0 <= k < n and n at most {MOST_WAYS}."
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is {self.top_k}, expected at least 1.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, expected more than 0 and at most 1.")


class Generator(Protocol):
    """Writes motion tokens."""

    def generate(self, request: GenerationRequest) -> Int[np.ndarray, "N L"]:
        """Codebook indices of N chunks that cover the path's T frames, L quantiser levels each."""
        ...

    def generate_all(self, requests: Sequence[GenerationRequest]) -> list[Int[np.ndarray, "_ L"]]:
        """The same for several requests at once; how is the first one's choice, and its seed."""
        ...


GENERATORS = Registry(
    "Generator",
    {
        "qwen3-tiny": "unihm.generation.generator:load_generator",
        "qwen3-0.6b": "unihm.generation.language:load_language_generator",
    },
)
"""Name on the command line -> ``(path, *, tokenizer) -> Generator``."""
