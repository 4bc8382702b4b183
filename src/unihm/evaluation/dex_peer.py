"""dex_retargeting beside us: the same URDF, the same targets, the same objective.

Its position mode minimises the mean over the coordinates of the target links' errors of a smooth L1 loss (width 20 mm)
over a free palm and the joints, by SLSQP from the last frame's answer. It comes with settings for most hands, of which
the target links are taken; for the others the links of our fingertip keypoints are the targets. Of the Shadow hand it
also moves the two wrist joints, which we lock: with a free palm they reach nothing more.

Its value leaves out the smoothness term that its gradient holds. Where that term outweighs the rest, no step along the
gradient lowers the value, the line search shrinks to nothing, and SLSQP creeps on: with its tolerance at 1e-9, panda on
the first 60 frames of the video takes 29 evaluations of the objective in the median frame and 146475 in the worst,
which is seconds. With the term in both or in neither no frame of these takes more than 59. So the long tail of its
converged times is its own; nothing here caps it, since a cap would cost it quality, and its median says what a usual
frame takes. Its palm starts in the middle of its range: its `warm_start` from the human wrist left the objective after
the first frames within 5 % for allegro and shadow, lowered it for panda converged, and multiplied it for panda as it
comes.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float

from unihm.hands.description import HandDescription
from unihm.hands.hand_file import PointOnLink
from unihm.kinematics.keypoints import FINGERS
from unihm.retargeting.problem import points_at

HUBER = 0.02  # m, its default
_CONVERGED = 1e-9  # ftol_abs; its default in position mode is 1e-5
_FILE_NAMES = {"svh": "schunk_svh_hand", "panda": "panda_gripper"}  # where its settings name a hand otherwise


def load_peer() -> Any:
    """The module dex_retargeting.retargeting_config.

    Raises:
        ValueError: It is not installed.
    """
    logging.getLogger("dex_retargeting.yourdfpy").setLevel(logging.ERROR)  # missing visual meshes do not matter here
    try:
        return importlib.import_module("dex_retargeting.retargeting_config")
    except ImportError as error:
        raise ValueError(
            f"dex_retargeting cannot be loaded ({error}); install it with pip install 'unihm[dev]'."
        ) from error


def shared_targets(hand: HandDescription) -> HandDescription:
    """The hand with the peer's target links as its keypoints, so that both minimise the same."""
    settings = _settings(hand)
    if settings is None:
        slots = hand.fingertip_slots.tolist()
        pairs = [(int(hand.keypoint_indices[slot]), hand.keypoints[slot].link) for slot in slots]
    else:
        indices = np.array(settings["target_link_human_indices"]).ravel().tolist()
        pairs = list(zip(indices, settings["target_link_names"], strict=True))
    pairs.sort()
    tips = [slot for slot, (index, _) in enumerate(pairs) if index % 4 == 0 and index > 0]
    return replace(
        hand,
        keypoint_indices=np.array([index for index, _ in pairs]),
        keypoints=tuple(PointOnLink(link=link, xyz=(0.0, 0.0, 0.0)) for _, link in pairs),
        fingertip_slots=np.array(tips),
        fingers=tuple(FINGERS[(pairs[slot][0] - 1) // 4] for slot in tips),
    )


def target_points(
    hand: HandDescription, q: Float[np.ndarray, "T nq"], T_world_palm: Float[np.ndarray, "T 4 4"]
) -> Float[np.ndarray, "T k 3"]:
    """Where the target links are in the world, m."""
    points = [hand.chain.point(item.link, np.array(item.xyz)) for item in hand.keypoints]
    p_palm = points_at(hand.chain, q, points)
    return np.einsum("tij,tkj->tki", T_world_palm[:, :3, :3], p_palm) + T_world_palm[:, None, :3, 3]


def objective(points: Float[np.ndarray, "T k 3"], targets: Float[np.ndarray, "T k 3"]) -> Float[np.ndarray, " T"]:
    """The peer's data objective of each frame (its smoothness term is in its gradient only), m."""
    error = np.abs(points - targets)
    return np.where(error < HUBER, 0.5 * error**2 / HUBER, error - 0.5 * HUBER).mean(axis=(1, 2))


@dataclass
class PeerAnswer:
    """One frame of the peer."""

    points: Float[np.ndarray, "k 3"]
    """Its target links, m."""
    q: Float[np.ndarray, " nq"]
    """Our hand's independent joints."""
    failed: bool
    """The solver gave up, and the last pose was returned silently."""


class Peer:
    """dex_retargeting for one hand; `converged` tightens its tolerance, `exact_limits` its limits.

    As it comes it allows every joint 1e-3 (rad or m) beyond its limits.
    """

    def __init__(self, hand: HandDescription, *, converged: bool, exact_limits: bool = False):
        shared = shared_targets(hand)
        config: dict[str, Any] = {
            "type": "position",
            "urdf_path": str((hand.folder / _urdf_name(hand)).resolve()),
            "target_joint_names": None,
            "target_link_names": [item.link for item in shared.keypoints],
            "target_link_human_indices": shared.keypoint_indices.tolist(),
            "add_dummy_free_joint": True,
            "low_pass_alpha": 1,
        }
        settings = _settings(hand)
        if settings is not None:
            config["target_joint_names"] = settings["target_joint_names"]
            config["ignore_mimic_joint"] = settings.get("ignore_mimic_joint", False)
        elif len(hand.chain.parent) > len(hand.joint_names):  # it refuses to choose joints that follow others
            config["target_joint_names"] = list(hand.joint_names)
        with contextlib.redirect_stdout(io.StringIO()):
            self._retargeting = load_peer().RetargetingConfig.from_dict(config).build()
        self._no_progress = importlib.import_module("nlopt").RoundoffLimited
        optimizer = self._retargeting.optimizer
        if converged:
            optimizer.opt.set_ftol_abs(_CONVERGED)
        if exact_limits:
            optimizer.set_joint_limit(self._retargeting.joint_limits, epsilon=0.0)
        self._robot, self._links = optimizer.robot, optimizer.target_link_indices
        names = self._robot.dof_joint_names
        self._columns = [names.index(name) for name in hand.joint_names]
        self._indices = shared.keypoint_indices

    def solve(self, keypoints: Float[np.ndarray, "21 3"]) -> Any:
        """One frame; what is timed. A failure is printed and gives the last pose."""
        try:
            return self._retargeting.retarget(keypoints[self._indices])
        except self._no_progress as error:  # the one failure that it does not treat so itself
            print(error)
            return self._last_pose()

    def answer(self, full: Any, said: str) -> PeerAnswer:
        """The result of `solve` in our terms; `said` is what it printed."""
        self._robot.compute_forward_kinematics(full)
        points = np.array([self._robot.get_link_pose(link)[:3, 3] for link in self._links])
        return PeerAnswer(points=points, q=np.asarray(full)[self._columns].astype(np.float64), failed=bool(said))

    def reset(self) -> None:
        """Back to the start of a recording."""
        self._retargeting.reset()

    def _last_pose(self) -> Any:
        full = self._retargeting.get_qpos()
        adaptor = self._retargeting.optimizer.adaptor
        return full if adaptor is None else adaptor.forward_qpos(full)


def _urdf_name(hand: HandDescription) -> str:
    return str(yaml.safe_load((hand.folder / "hand.yaml").read_text(encoding="utf-8"))["urdf"])


def _settings(hand: HandDescription) -> dict[str, Any] | None:
    """The peer's own offline settings for a hand, where it has some."""
    base = hand.name.removesuffix("_left")
    stem = _FILE_NAMES.get(base, f"{base}_hand")
    names = [f"{stem}_{hand.side}.yml", f"{stem}.yml"]
    folder = Path(load_peer().__file__).parent / "configs" / "offline"
    for name in names:
        if (folder / name).is_file():
            return yaml.safe_load((folder / name).read_text(encoding="utf-8"))["retargeting"]
    return None
