"""What every planner does: words and a perceived scene become the path the object shall take."""

from __future__ import annotations

from typing import Protocol

from unihm.registry import Registry
from unihm.schema.plan import Plan
from unihm.schema.scene import PerceivedScene


class Planner(Protocol):
    """From words to the target trajectory T_tar of Eq. 7."""

    def plan(self, perceived: PerceivedScene, instruction: str) -> Plan:
        """The path of the target object.

        Args:
            perceived: The scene and the object that is meant.
            instruction: What is asked for.

        Raises:
            ValueError: The instruction is empty, or asks for something that this planner does not know.
        """
        ...


PLANNERS = Registry("Planner", {"grounded": "unihm.planning.grounded:Grounded", "verbs": "unihm.planning.verbs:Verbs"})


def planner_for(perceived: PerceivedScene) -> str:
    """Name of the planner that fits: ``grounded`` where the perception has read what is asked for, else ``verbs``."""
    return "verbs" if perceived.asked is None else "grounded"
