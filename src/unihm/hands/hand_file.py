"""``hand.yaml``: what a URDF does not say about a hand, read and checked (layout: ``docs/architecture.md``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float

from unihm.geometry.pose import vector_to_pose
from unihm.kinematics.keypoints import FINGERS, NAMES
from unihm.registry import unknown_name

HAND_FILE = "hand.yaml"
_REQUIRED = ("name", "side", "urdf", "root_to_palm", "fingers", "fingertips", "keypoints")
_OPTIONAL = ("locked_joints", "rest_qpos", "known_differences")
_LARGEST = 1e9
"""m or rad: beyond it, no digits are left for a hand."""


@dataclass(frozen=True, kw_only=True)
class PointOnLink:
    """A point that moves with a link."""

    link: str
    """The link's name."""
    xyz: tuple[float, ...]
    """The point in the link, m."""
    radius: float = 0.0
    """Distance from the hand's surface, m."""


@dataclass(frozen=True, kw_only=True)
class HandFile:
    """The contents of one ``hand.yaml``; link and joint names are not yet checked against the URDF."""

    name: str
    """Name of the hand."""
    side: str
    """``right`` or ``left``."""
    urdf: str
    """File name of the URDF in the same folder."""
    palm_link: str
    """The link that carries the palm frame."""
    T_link_palm: Float[np.ndarray, "4 4"]
    """The palm frame in that link."""
    locked_joints: dict[str, float]
    """Joints that are held, and where, rad or m."""
    rest_qpos: dict[str, float]
    """Relaxed posture, rad or m."""
    fingers: tuple[str, ...]
    """Finger names, thumb first where there is one."""
    fingertips: dict[str, PointOnLink]
    """Contact point of each finger's pad."""
    keypoints: dict[str, PointOnLink]
    """Counterparts of human keypoints by their names."""
    known_differences: dict[str, str]
    """Joint to the reason why it deliberately differs from the manufacturer's URDF; for `unihm hands check`."""


class _Loader(yaml.SafeLoader):
    """Plain values only, and no key twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            line, name = key.start_mark.line + 1, (key.tag, str(key.value))
            if name in lines:
                raise ValueError(f"key '{key.value}' is there twice, in lines {lines[name]} and {line}")
            lines[name] = line
        return super().construct_mapping(node, deep)


def read_hand_file(path: Path) -> HandFile:
    """Read and check a ``hand.yaml``.

    Raises:
        ValueError: The file is not YAML, or a key is missing, unknown, there twice or has a wrong value.
    """
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: no UTF-8, no such date
        reason = str(error).replace("\n", " ")
        raise ValueError(f"'{path}' is not readable YAML: {reason}.") from error
    try:
        return _hand_file(_mapping(data, "the file"))
    except ValueError as error:
        raise ValueError(f"'{path}': {error}") from error


def _hand_file(data: dict[str, Any]) -> HandFile:
    for key in data:
        if key not in _REQUIRED + _OPTIONAL:
            raise unknown_name("key", key, _REQUIRED + _OPTIONAL)
    missing = [key for key in _REQUIRED if key not in data]
    if missing:
        raise ValueError(f"key {', '.join(missing)} missing. Required: {', '.join(_REQUIRED)}.")
    if data["side"] not in ("right", "left"):
        raise ValueError(f"side is {data['side']!r}, expected 'right' or 'left'.")
    fingers = data["fingers"]
    if not isinstance(fingers, list) or not fingers or len(set(map(str, fingers))) != len(fingers):
        raise ValueError(f"fingers is {fingers!r}, expected a list of different fingers.")
    for finger in fingers:
        if finger not in FINGERS:
            raise unknown_name("fingers: finger", str(finger), FINGERS)
    fingertips = _points(data["fingertips"], "fingertips", fingers)
    keypoints = _points(data["keypoints"], "keypoints", NAMES)
    for finger in fingers:
        if finger not in fingertips:
            raise ValueError(f"fingertips: '{finger}' is missing.")
        if f"{finger}_tip" not in keypoints:
            raise ValueError(f"keypoints: '{finger}_tip' is missing; every finger needs its tip.")
    palm = _mapping(data["root_to_palm"], "root_to_palm", ("link", "xyz", "wxyz"))
    pose = [*_vector(palm, "xyz", 3, "root_to_palm"), *_vector(palm, "wxyz", 4, "root_to_palm")]
    norm = float(np.linalg.norm(pose[3:]))
    if abs(norm - 1) > 1e-3:
        raise ValueError(f"root_to_palm: wxyz has length {norm:.4f}, expected a unit quaternion.")
    pose[3:] = [value / norm for value in pose[3:]]
    return HandFile(
        name=_text(data, "name", "the file"),
        side=data["side"],
        urdf=_text(data, "urdf", "the file"),
        palm_link=_text(palm, "link", "root_to_palm"),
        T_link_palm=vector_to_pose(np.array(pose)),
        locked_joints=_numbers(data.get("locked_joints"), "locked_joints"),
        rest_qpos=_numbers(data.get("rest_qpos"), "rest_qpos"),
        fingers=tuple(fingers),
        fingertips=fingertips,
        keypoints=keypoints,
        known_differences=_texts(data.get("known_differences"), "known_differences"),
    )


def _mapping(value: Any, where: str, known: Sequence[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{where} is no table of named values.")
    if known is not None and (unknown := sorted(set(value) - set(known))):
        raise unknown_name(f"{where}: key", unknown[0], known)
    return value


def _text(data: dict[str, Any], key: str, where: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{where}: {key} is {value!r}, expected a text.")
    return value


def _texts(value: Any, where: str) -> dict[str, str]:
    if value is None:
        return {}
    return {key: _text({key: item}, key, where) for key, item in _mapping(value, where).items()}


def _number(value: Any, where: str) -> float:
    # The bound also refuses nan, and whole numbers beyond floating point.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _LARGEST:
        raise ValueError(f"{where} is {value!r}, expected a finite number.")
    return float(value)


def _numbers(value: Any, where: str) -> dict[str, float]:
    if value is None:
        return {}
    return {key: _number(item, f"{where}: {key}") for key, item in _mapping(value, where).items()}


def _vector(data: dict[str, Any], key: str, count: int, where: str) -> tuple[float, ...]:
    value = data.get(key)
    if not isinstance(value, list) or len(value) != count:
        raise ValueError(f"{where}: {key} is {value!r}, expected {count} numbers.")
    return tuple(_number(item, f"{where}: {key}") for item in value)


def _points(value: Any, where: str, known: Any) -> dict[str, PointOnLink]:
    points = {}
    for name, item in _mapping(value, where).items():
        if name not in known:
            raise unknown_name(f"{where}: name", name, known)
        item = _mapping(item, f"{where}: {name}", ("link", "xyz", "radius"))
        radius = _number(item.get("radius", 0.0), f"{where}: {name}: radius")
        if radius < 0:
            raise ValueError(f"{where}: {name}: radius is {radius}, expected at least 0.")
        points[name] = PointOnLink(
            link=_text(item, "link", f"{where}: {name}"),
            xyz=_vector(item, "xyz", 3, f"{where}: {name}"),
            radius=radius,
        )
    return points
