"""Rollouts written by hand, so that what a judge must answer can be worked out on paper."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from unihm.simulation.records import Rollout

HZ = 100
LINKS = 3


def poses(xyz, angle_deg=0.0, axis=(0.0, 0.0, 1.0)) -> np.ndarray:
    """(n, 4, 4) from positions and angles about one axis."""
    xyz = np.atleast_2d(np.asarray(xyz, dtype=np.float64))
    T = np.tile(np.eye(4), (len(xyz), 1, 1))
    angle = np.broadcast_to(np.radians(angle_deg), len(xyz))
    T[:, :3, :3] = Rotation.from_rotvec(angle[:, None] * np.asarray(axis)).as_matrix()
    T[:, :3, 3] = xyz
    return T


def clock(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * HZ) + 1) / HZ


def record(
    times,
    *,
    palm=None,
    object=None,
    fixture=None,
    touching=True,
    opposing=True,
    on_table=False,
    hand_on_fixture=False,
    depth=0.0,
    start_depth=0.0,
    force=5.0,
    failure="",
) -> Rollout:
    """A rollout; what is given as one value holds at all times."""
    n = len(times)
    links = np.zeros((n, LINKS), dtype=bool)
    links[:, :2] = np.broadcast_to(touching, n)[:, None]

    def series(value, kind):
        return np.broadcast_to(np.asarray(value, dtype=kind), n).copy()

    return Rollout(
        times=times,
        T_world_palm=poses(np.zeros((n, 3))) if palm is None else palm,
        qpos=np.zeros((n, 1)),
        T_world_object=object,
        fixture=None if fixture is None else series(fixture, np.float64),
        touching=links,
        opposing=series(opposing, bool),
        on_table=series(on_table, bool),
        hand_on_fixture=series(hand_on_fixture, bool),
        depth=series(depth, np.float64),
        force=series(force, np.float64),
        configuration=np.zeros((n, 1)),
        start_depth=start_depth,
        failure=failure,
        dump=None,
        seconds_wall=0.0,
    )
