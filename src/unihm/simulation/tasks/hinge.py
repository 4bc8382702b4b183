"""Open and close: a hinged door or lid to at least 60 degrees, or at most 5, for half a second (FACTS 5)."""

from __future__ import annotations

import math

from unihm.simulation import constants
from unihm.simulation.tasks.drawer import JointTask


class Open(JointTask):
    """Open the door or lid."""

    name, kinds, unit = "open", ("door", "lid"), ("deg", math.degrees(1.0))
    opening, threshold = True, math.radians(constants.HINGE_OPEN)


class Close(JointTask):
    """Close the door or lid."""

    name, kinds, unit = "close", ("door", "lid"), ("deg", math.degrees(1.0))
    opening, threshold = False, math.radians(constants.HINGE_SHUT)
