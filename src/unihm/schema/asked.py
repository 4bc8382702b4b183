"""What an instruction asks for in the scene that it was said of: more than which object is meant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unihm.schema.joint import Joint


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """The task and where to, as far as words and image say it."""

    task: str
    """One of `schema.task.TASKS`."""
    relation: str = ""
    """Where to, one of `planning.goals.RELATIONS`; empty where the task says it."""
    reference: int = -1
    """Index in `PerceivedScene.objects` of the thing that says where to; -1 without."""
    how_far: str = "none"
    """How the words say how far: none, little, far, full, half, or stated (by a number)."""
    joint: Joint | None = None
    """Of a moving part: how it hangs on its fixture."""
    T_world_handle: Float[np.ndarray, "4 4"] | None = None
    """Of a moving part: its handle now, in the middle of the bar, x away from the panel, y along the bar."""
    panel_world: Float[np.ndarray, "n 3"] | None = None
    """Of a moving part: points seen of what its handle is on, m."""
    names: tuple[str, ...] = ()
    """What each object looks like, in words; for pictures and questions."""
