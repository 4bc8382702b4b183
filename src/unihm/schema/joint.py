"""How a part that moves hangs on its body: the runner of a drawer, the hinge of a door or of a lid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, kw_only=True)
class Joint:
    """One degree of freedom; its position is 0 where the part is shut and grows as it opens."""

    kind: Literal["slide", "hinge"]
    """Whether the part slides along the axis or turns about it."""
    axis_world: Float[np.ndarray, " 3"]
    """Unit vector: the way the part slides as it opens, or, by the right hand, the axis about which it opens."""
    origin_world: Float[np.ndarray, " 3"]
    """A point that the axis of a hinge passes through, m; of a runner the middle of the handle where it is shut."""
    position: float
    """Where the part is now, m or rad."""
    upper: float
    """Where it is fully open, m or rad."""

    def task_for(self, asked: str) -> str:
        """Task that moves the part as asked. Pull and open are the same wish of it, as are push and close; which of
        them is meant, its kind says.
        """
        opens = asked in ("pull", "open", "grab")
        if self.kind == "slide":
            return "pull" if opens else "push"
        return "open" if opens else "close"
