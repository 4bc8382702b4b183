"""Motions that touch what they hold and pierce nothing (Sec. 3.4, Algorithm 1), one frame or all frames at a time."""

from unihm.refinement.algorithm import MODES as MODES
from unihm.refinement.algorithm import refine as refine
from unihm.refinement.algorithm import refinements as refinements
from unihm.refinement.causal import CausalRefinement as CausalRefinement
from unihm.refinement.config import RefinementConfig as RefinementConfig
from unihm.refinement.config import RefinementReport as RefinementReport
