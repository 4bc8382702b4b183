"""How wide a hand opens: what is wider at its narrowest is held by a rim or a handle, or not at all."""

from __future__ import annotations

import numpy as np

from unihm.hands.description import HandDescription

_POSTURES = 512  # drawn within the limits; the widest of so many is within 3 % of that of 16 times as many


def opening(hand: HandDescription) -> float:
    """The largest distance between the tips of the thumb and of another finger, over postures within the limits, m.

    Args:
        hand: The hand; the first of its fingers is the thumb, or the other jaw.
    """
    chain = hand.chain
    rng = np.random.default_rng(0)
    drawn = rng.uniform(chain.lower, chain.upper, (_POSTURES, len(chain.lower)))
    postures = np.concatenate([hand.rest_qpos[None], chain.lower[None], chain.upper[None], drawn])
    T_palm_body = chain.forward_kinematics(postures)
    tips = []
    for tip in hand.fingertips:
        body, point = chain.point(tip.link, np.asarray(tip.xyz))
        T = T_palm_body[:, body]
        tips.append(T[:, :3, :3] @ point + T[:, :3, 3] if body >= 0 else np.tile(point, (len(postures), 1)))
    return float(max(np.linalg.norm(other - tips[0], axis=1).max() for other in tips[1:]))
