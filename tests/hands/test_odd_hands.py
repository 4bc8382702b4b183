"""`hands add` on hands that are not like a human one, and on limits in degrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hand_builders import Builder, finger
from unihm.hands.checking import ERROR, check_folder
from unihm.hands.comparing import compare_with_urdf
from unihm.hands.hand import load_hand
from unihm.hands.proposing.propose import propose_hand
from unihm.hands.proposing.writing import write_folder


def around(path: Path, number: int, lift: float) -> Path:
    """Fingers on a circle, spread out flat (lift 0) or standing up, that close over the palm's middle at +z."""
    b = Builder()
    b.joint("mount", "base", "hub", [0.0, 0.0, 0.0])
    b.link("hub")
    for i, angle in enumerate(2 * np.pi * np.arange(number) / number):
        out, up = np.array([np.cos(angle), np.sin(angle), 0.0]), np.array([0.0, 0.0, 1.0])
        along = np.cos(lift) * out + np.sin(lift) * up
        closing = np.cos(lift) * up - np.sin(lift) * out
        finger(b, f"g{i}", "hub", 0.03 * out, along, closing, (0.045, 0.04))
    return b.write(path)


@pytest.mark.parametrize(("number", "lift"), [(3, 0.0), (3, 1.2), (4, 0.0), (5, 0.3)])
def test_fingers_all_around_the_palm(tmp_path, number, lift):
    proposal = propose_hand(around(tmp_path / "star.urdf", number, lift))
    assert any("stand around the palm" in doubt for doubt in proposal.doubts)
    assert any("--side" in doubt for doubt in proposal.doubts)
    assert proposal.file.fingertips["thumb"].link == "g0_l2"
    assert len(proposal.file.fingers) == number
    write_folder(proposal, tmp_path / "star")
    assert not [finding for finding in check_folder(tmp_path / "star") if finding.status == ERROR]
    hand = load_hand(tmp_path / "star")
    # The hand reaches to +z, which is where a human hand reaches from the wrist to the middle of a pinch.
    reach = np.asarray(hand.T_root_palm)[:3, :3].T @ [0.0, 0.0, 1.0]
    np.testing.assert_allclose(reach, np.array([0.50, -0.44, 0.74]) / np.linalg.norm([0.50, -0.44, 0.74]), atol=0.02)


def test_jaws_that_could_pass_each_other_rest_apart(tmp_path):
    b = Builder()
    b.joint("mount", "base", "hub", [0.0, 0.0, 0.0])
    b.link("hub")
    for name, y in (("a", -0.03), ("b", 0.03)):
        finger(b, name, "hub", [0.05, y, 0.0], [1.0, 0.0, 0.0], [0.0, -np.sign(y), 0.0], (0.04, 0.04))
    write_folder(propose_hand(b.write(tmp_path / "jaws.urdf")), tmp_path / "jaws")
    hand = load_hand(tmp_path / "jaws")
    tips = np.asarray(hand.keypoints(hand.rest_qpos))[np.asarray(hand.fingertip_slots)]
    tips = tips @ np.asarray(hand.T_root_palm)[:3, :3].T
    assert tips[0, 1] < tips[1, 1] - 0.02


def test_limits_in_degrees_are_said(tmp_path):
    path = around(tmp_path / "star.urdf", 3, 1.2)
    path.write_text(path.read_text().replace('upper="1.6"', 'upper="90"', 1))
    assert any("radians, not degrees" in doubt and "g0_j1" in doubt for doubt in propose_hand(path).doubts)


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_a_tolerance_that_means_nothing_is_refused(tolerance):
    hand = load_hand("panda")
    with pytest.raises(ValueError, match=r"tolerance is .*expected 0 or more"):
        compare_with_urdf("panda", hand.folder / "panda_right.urdf", tolerance=tolerance)
