"""Data made by simulation: retargeted recordings become motions of which it is known whether they hold the object.

`checking` refines one recording and tries it on the true object; `store` does so for all of a store, on all cores or a
cluster. Choosing by the true object's simulation is privileged: right for training data, never for a figure. What is
written says which recording it came from, so that splits keep test recordings out of training.
"""

from unihm.physical_data.checking import CheckedMotion, PhysicalRefining, Recording, Refining
from unihm.physical_data.store import RefinedHand, refine_store

__all__ = ["CheckedMotion", "PhysicalRefining", "Recording", "RefinedHand", "Refining", "refine_store"]
