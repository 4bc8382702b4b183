"""The retargeting of this package (`unihm.retargeting`) as `store_retargeting` runs it in workers."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from unihm import __version__
from unihm.datasets.recordings import Recordings, Solved
from unihm.geometry.pose import pose_to_vector
from unihm.hands.description import HandDescription, describe_hand
from unihm.retargeting.config import PRESETS, RetargetingConfig
from unihm.sources.checks import check_keypoints

_PACKAGE = Path(__file__).resolve().parent.parent
_SOURCES = ("retargeting", "kinematics", "hands")  # parts of the package that decide the results


class HandRetargeting:
    """Retargets to hands by name or folder; a solver is kept for each hand and frame rate."""

    def __init__(self, config: RetargetingConfig | None = None):
        """How to retarget.

        Args:
            config: Its `fps` is not used: each recording has its own.
        """
        self.config = config or RetargetingConfig()
        self._solvers: dict[tuple[str, float], Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config, "_solvers": {}}

    def describe(self, hand: str) -> tuple[str, dict[str, Any]]:
        """The hand's name, and what decides its motions: config, the hand's kinematics, the code."""
        description = describe_hand(hand)
        if description.side != "right":
            raise ValueError(f"Episodes show right hands, '{description.name}' is a left one.")
        config = replace(self.config, fps=30.0)
        plain = _plain(asdict(config))
        del plain["fps"]
        return description.name, {
            "unihm": __version__,
            "code": _code(),
            "hand": _digest(_hand_facts(description, body=math.isfinite(config.self_collision_sigma))),
            "preset": next((name for name, known in PRESETS.items() if known == config), "custom"),
            "config": plain,
        }

    def check(self, keypoints_world: np.ndarray, where: str) -> None:
        """Refuse keypoints that are not those of a right hand in metres."""
        check_keypoints(keypoints_world, "right", where)

    def __call__(self, task: Recordings) -> Solved:
        """Retarget some recordings."""
        from unihm.retargeting.newton import CONVERGED, NOT_FINITE

        solvers = [self._solver(task.hand, fps) for fps in task.fps]
        start = time.process_time()
        cuts = np.cumsum(task.lengths)[:-1]
        results = [
            solver.solve(keypoints)
            for solver, keypoints in zip(solvers, np.split(task.keypoints_world, cuts), strict=True)
        ]
        seconds = time.process_time() - start
        qpos, T, status = (np.concatenate(arrays) for arrays in zip(*results, strict=True))
        if (status == NOT_FINITE).any():
            raise ValueError(f"'{task.hand}': {(status == NOT_FINITE).sum()} frames have no answer.")
        return Solved(
            joint_names=solvers[0].hand.joint_names,
            qpos=qpos.astype(np.float32),
            T_world_palm=pose_to_vector(T).astype(np.float32),
            unconverged=int((status != CONVERGED).sum()),
            seconds=seconds,
        )

    def _solver(self, hand: str, fps: float) -> Any:
        from unihm.retargeting.solver import Solver

        key = hand, fps
        if key not in self._solvers:
            self._solvers[key] = Solver(describe_hand(hand), replace(self.config, fps=fps))
        return self._solvers[key]


def _plain(value: Any) -> Any:
    """JSON values; infinity, which JSON has not, as a word."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return "inf" if isinstance(value, float) and math.isinf(value) else value


@cache
def _code() -> str:
    """Of the sources, and of the human hand whose postures are those of `retargeting.atlas`."""
    sources = [path.read_bytes() for part in _SOURCES for path in sorted((_PACKAGE / part).glob("*.py"))]
    return _digest([*sources, *_hand_facts(describe_hand("human"), body=False)])


def _hand_facts(hand: HandDescription, *, body: bool) -> list[bytes]:
    """What retargeting sees of a hand: joints, keypoints and fingertips, rest posture; solids only where they count."""
    chain = hand.chain
    points = [chain.point(point.link, np.array(point.xyz)) for point in (*hand.keypoints, *hand.fingertips)]
    arrays = [value for value in vars(chain).values() if isinstance(value, np.ndarray)]
    arrays += [hand.rest_qpos, hand.keypoint_indices, hand.fingertip_slots]
    arrays += [np.array([index, *xyz]) for index, xyz in points]
    if body:
        for solid in hand.geometry:
            link = hand.link_names[solid.link]
            T_body_shape = chain.T_body_link[link] @ solid.T_link_shape
            arrays += [T_body_shape, np.array([chain.body_of_link[link], *map(ord, solid.kind)]), np.array(solid.size)]
    # a nanometre, so that the same files give the same digest on every machine; adding 0 turns -0 into 0
    return [
        " ".join(chain.joint_names).encode(),
        *((np.round(array, 9) + 0.0).astype("<f8").tobytes() for array in arrays),
    ]


def _digest(contents: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:12]
