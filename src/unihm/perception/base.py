"""What every way of seeing does: a scene and some words become a table, things on it, and the one that is meant."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from unihm.registry import Registry
from unihm.schema.scene import PerceivedScene, Scene


@contextmanager
def without_warnings() -> Iterator[None]:
    """Within this, perceptions warn of nothing: evaluations count what comes of it."""
    logger = logging.getLogger("unihm.perception")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@runtime_checkable
class Perception(Protocol):
    """From one RGB-D image to the object cloud P_obj of Eq. 8.

    Made from the path of its weights; None stands for those that come with unihm, or none at all.
    """

    completion: str
    """What guesses the unseen side of things, for reports."""

    def perceive(
        self,
        scene: Scene,
        instruction: str,
        point: tuple[int, int] | None = None,
        box: tuple[int, int, int, int] | None = None,
    ) -> PerceivedScene:
        """Find the table, the things on it and the one that is meant.

        Args:
            scene: The image.
            instruction: What is asked for; it also says which object, unless `point` does.
            point: Pixel (u, v) on the object that is meant; it overrides the words, and a box.
            box: Corner pixels (u0, v0, u1, v1) of a box about it; it overrides the words.

        Raises:
            ValueError: There is no table or nothing on it, the instruction is empty, the point lies on no object, the
                box holds none or two alike, or the words do not decide between the objects.
        """
        ...


@runtime_checkable
class SeesOnce(Perception, Protocol):
    """One that looks at an image once, whatever will be said of it: ``perceive`` is both steps."""

    def see(self, scene: Scene, point: tuple[int, int] | None = None) -> Any:
        """All that an image shows; raises ValueError where there is no table or nothing on it."""
        ...

    def understand(
        self,
        seen: Any,
        instruction: str,
        point: tuple[int, int] | None = None,
        box: tuple[int, int, int, int] | None = None,
    ) -> PerceivedScene:
        """What the words mean in it; see `perceive`."""
        ...


PERCEPTIONS = Registry(
    "Perception",
    {
        "cliport": "unihm.perception.cliport:Cliport",
        "tabletop": "unihm.perception.tabletop:Tabletop",
        "point_sam": "unihm.perception.point_sam_prompts:PointSAMPrompts",
    },
)
