"""Mimic joints: chains, cycles, and followers that pass their own limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unihm.kinematics.mimic import follower_range, mimic_overshoot, resolve_mimic
from unihm.kinematics.urdf import Joint, Link, Mimic, Urdf, parse_urdf


def joint(i: int, kind: str = "revolute", lower: float = -math.inf, upper: float = math.inf) -> Joint:
    return Joint(
        name=f"j{i}",
        kind=kind,
        parent=f"l{i}",
        child=f"l{i + 1}",
        T_parent_child=np.eye(4),
        axis=np.array([1.0, 0, 0]),
        lower=float(lower),
        upper=float(upper),
    )


def follow(source: int, multiplier: float = 1.0, offset: float = 0.0) -> Mimic:
    return Mimic(source=f"j{source}", multiplier=float(multiplier), offset=float(offset))


def test_chain_becomes_one_relation():
    # j0 -> j2 -> j1 -> j3: the order of the file does not matter. q0 = -3 q2 + 1, q2 = 2 q1 + 0.5, q1 = q3
    joints = tuple(map(joint, range(4)))
    resolved = resolve_mimic(joints, {"j0": follow(2, -3, 1), "j2": follow(1, 2, 0.5), "j1": follow(3)})
    assert [j.mimic for j in resolved] == [follow(3, -6, -0.5), follow(3), follow(3, 2, 0.5), None]


def test_relation_of_a_fixed_joint_has_no_effect():
    assert resolve_mimic((joint(0), joint(1, "fixed")), {"j1": follow(0)})[1].mimic is None


@pytest.mark.parametrize(
    ("relations", "message"),
    [
        ({"j0": follow(0)}, "joint 'j0' mimics itself: j0 -> j0"),
        ({"j0": follow(1), "j1": follow(2), "j2": follow(1)}, "mimics itself: j0 -> j1 -> j2 -> j1"),
        ({"j0": follow(9)}, "joint 'j0', <mimic>: joint 'j9' not found. Did you mean 'j"),
        ({"j0": follow(3)}, "joint 'j0' mimics 'j3', which is fixed"),
        ({"j0": follow(1), "j1": follow(3)}, "joint 'j1' mimics 'j3', which is fixed"),
        ({"j0": follow(1, 1e200), "j1": follow(2, 1e200)}, "j0 -> j1 -> j2 are too large"),
    ],
)
def test_refusals(relations, message):
    with pytest.raises(ValueError, match="joint") as error:
        resolve_mimic((*map(joint, range(3)), joint(3, "fixed")), relations)
    assert message in str(error.value)


number = st.floats(-3, 3).map(lambda x: round(x, 2))


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(st.lists(number, min_size=2, max_size=2).map(sorted), st.lists(number, min_size=2, max_size=2), number, number)
def test_overshoot_is_the_largest_excess(limits, own, multiplier, offset):
    source = joint(0, lower=limits[0], upper=limits[1])
    follower = joint(1, lower=min(own), upper=max(own))
    joints = resolve_mimic((source, follower), {"j1": follow(0, multiplier, offset)})
    urdf = Urdf(name="r", links=tuple(Link(name=f"l{i}") for i in range(3)), joints=joints, root="l0")
    q = multiplier * np.linspace(limits[0], limits[1], 101) + offset
    excess = max((min(own) - q).max(), (q - max(own)).max())
    assert mimic_overshoot(urdf).get("j1", 0.0) == pytest.approx(excess if excess > 1e-3 else 0.0)
    assert follower_range(follow(0, multiplier, offset), source) == pytest.approx((q.min(), q.max()), abs=1e-12)


@pytest.mark.parametrize(("multiplier", "own", "expected"), [(1, 1, {"j1": math.inf}), (1, math.inf, {}), (0, 1, {})])
def test_unlimited_joints(multiplier, own, expected):
    joints = resolve_mimic((joint(0), joint(1, lower=-own, upper=own)), {"j1": follow(0, multiplier, 0.5)})
    assert mimic_overshoot(Urdf(name="r", links=(), joints=joints, root="l0")) == expected


def test_official_hands_that_pass_their_limits(shared_data):
    folder = shared_data / "hands_official"
    ability = mimic_overshoot(parse_urdf(folder / "ability" / "ability_hand_right.urdf"))
    # q2 = 1.05851 q1 + 0.72349 with q1 up to 2.0944, against its own 2.6586
    assert sorted(ability) == ["index_q2", "middle_q2", "pinky_q2", "ring_q2"]
    assert all(excess == pytest.approx(0.282, abs=1e-3) for excess in ability.values())
    assert mimic_overshoot(parse_urdf(folder / "inspire" / "inspire_hand_right.urdf")) == {}
