"""How wide hands open."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.geometry.width import width
from unihm.hands.description import describe_hand
from unihm.hands.opening import opening


def test_a_gripper_opens_as_its_maker_says():
    assert opening(describe_hand("panda")) == pytest.approx(0.08, abs=1e-6)


@pytest.mark.parametrize("hand", ["shadow", "allegro", "leap", "human"])
def test_hands_open_wider_than_a_can_and_less_than_a_forearm(hand):
    assert 0.12 < opening(describe_hand(hand)) < 0.4
    assert opening(describe_hand(hand)) == opening(describe_hand(hand))


def test_a_sheet_has_no_width():
    flat = np.random.default_rng(0).uniform(size=(50, 3)) * [1.0, 1.0, 0.0]
    with pytest.raises(ValueError, match="50 points lie in one plane"):
        width(flat)
    box = np.array(np.meshgrid([0, 0.3], [0, 0.2], [0, 0.1])).reshape(3, -1).T
    assert width(box) == pytest.approx(0.1)
