"""What tests of retargeting share."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from unihm.retargeting import atlas, solver


@pytest.fixture(scope="module")
def small_atlas():
    """An atlas of 16 postures, made in no time and not kept: for what does not rest on its quality."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atlas, "_STARTS", 6)
        patch.setattr(atlas, "_ROUNDS", 1)
        patch.setattr(atlas, "human_postures", cache(atlas.human_postures))  # reads the human hand's files each time
        patch.setattr(solver, "load_atlas", lambda *parts: atlas.make_atlas(*parts, entries=16))
        yield


@pytest.fixture(scope="session")
def video(shared_data) -> np.ndarray:
    """621 frames of a real right hand that moves its fingers in many ways; the wrist is at rest."""
    return np.load(shared_data / "hands_official" / "human_joint_right.npy")
