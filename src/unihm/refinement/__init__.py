"""Physics-guided refinement: a generated motion is changed as little as needed to touch and not to pierce.

`refine` is Algorithm 1; `grasp` decides where to hold; `problem` has the terms of the energy.
"""

from unihm.refinement.algorithm import refine
from unihm.refinement.config import RefinementConfig, RefinementReport, StateSigma

__all__ = ["RefinementConfig", "RefinementReport", "StateSigma", "refine"]
