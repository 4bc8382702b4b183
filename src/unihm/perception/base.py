"""What every way of seeing does: a scene and some words become a table, things on it, and the one that is meant."""

from __future__ import annotations

from typing import Protocol

from unihm.registry import Registry
from unihm.schema.scene import PerceivedScene, Scene


class Perception(Protocol):
    """From one RGB-D image to the object cloud P_obj of Eq. 8."""

    def perceive(self, scene: Scene, instruction: str, point: tuple[int, int] | None = None) -> PerceivedScene:
        """Find the table, the things on it and the one that is meant.

        Args:
            scene: The image.
            instruction: What is asked for; it also says which object, unless `point` does.
            point: Pixel (u, v) on the object that is meant; it overrides the words.

        Raises:
            ValueError: There is no table or nothing on it, the instruction is empty, the point lies on no object,
                or the words do not decide between the objects.
        """
        ...


PERCEPTIONS = Registry("Perception", {"tabletop": "unihm.perception.tabletop:Tabletop"})
