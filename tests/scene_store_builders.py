"""How the few made scenes are made that tests read."""

from __future__ import annotations

from unihm.scene_data import SceneMaking

MAKING = SceneMaking(width=160, views=1, askings=6, seed=11)
