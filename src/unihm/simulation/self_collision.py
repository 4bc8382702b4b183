"""Which pairs of a hand's links pass through each other, because no posture could hold them apart.

Neighbours overlap at their joint, fingers at their roots. A pair is left out of self-collision if it overlaps at the
rest posture or in most of some hundred random postures within the limits; parent and child always are. All other
pairs collide.
"""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float

from unihm.hands.description import HandDescription
from unihm.simulation.hand_body import add_hand
from unihm.simulation.hand_drives import PREFIX

_POSTURES = 200
_MOST = 0.5  # share of the postures
_TURN = np.pi  # rad to either side of a joint without limits


def excluded_pairs(hand: HandDescription, meshes: Path | None = None) -> tuple[tuple[str, str], ...]:
    """Pairs of links that do not collide, by name; of links behind fixed joints, the first of the body.

    Args:
        hand: The hand.
        meshes: A URDF whose collision meshes replace our primitives.
    """
    return tuple((a.removeprefix(PREFIX), b.removeprefix(PREFIX)) for a, b in excluded_bodies(hand, meshes))


@lru_cache(maxsize=64)
def excluded_bodies(hand: HandDescription, meshes: Path | None = None) -> tuple[tuple[str, str], ...]:
    """`excluded_pairs` by the names of bodies in the model."""
    spec = mujoco.MjSpec()
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_FILTERPARENT)
    body = add_hand(spec, hand, np.eye(4), meshes=meshes, exclude=False)
    model = spec.compile()
    data = mujoco.MjData(model)
    address = [model.joint(name).qposadr[0] for name in body.joints]
    chain = hand.chain
    overlaps = np.zeros((model.nbody, model.nbody))
    for i, q in enumerate(_postures(hand)):
        data.qpos[address] = chain.multiplier * q[chain.column] + chain.offset
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_collision(model, data)
        touching = model.geom_bodyid[data.contact.geom[: data.ncon]]
        seen = np.zeros_like(overlaps, dtype=bool)
        seen[touching[:, 0], touching[:, 1]] = True
        seen |= seen.T
        overlaps += seen * (_POSTURES if i == 0 else 1)  # at rest counts for all
    often = overlaps > _MOST * _POSTURES
    parent = model.body_parentid
    for i in range(1, model.nbody):
        if parent[i] > 0:
            often[i, parent[i]] = often[parent[i], i] = True
    names = [model.body(i).name for i in range(model.nbody)]
    return tuple((names[i], names[j]) for i, j in np.argwhere(np.triu(often, 1)))


def _postures(hand: HandDescription) -> Float[np.ndarray, "n nq"]:
    """The rest posture, then random ones."""
    lower, upper = (np.clip(limit, -_TURN, _TURN) for limit in (hand.chain.lower, hand.chain.upper))
    unit = np.random.default_rng(0).uniform(size=(_POSTURES, len(lower)))
    return np.concatenate([hand.rest_qpos[None], lower + unit * (upper - lower)])
