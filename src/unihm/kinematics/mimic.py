"""Mimic joints: chains resolved to one independent source each, and how far followers pass their own limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from unihm.kinematics.urdf_records import MOVABLE, Joint, Mimic, Urdf
from unihm.registry import unknown_name

_ROUNDING = 1e-3
"""rad or m: limits and multipliers are written with about four digits, so smaller excesses say nothing."""


def resolve_mimic(joints: tuple[Joint, ...], relations: Mapping[str, Mimic]) -> tuple[Joint, ...]:
    """Joints with `Joint.mimic` set, chains followed to their independent joint.

    With ``q = m q' + o`` and ``q' = m' q'' + o'`` the relation is ``q = m m' q'' + (m o' + o)``. What is written on
    a fixed joint has no effect.

    Args:
        joints: All joints.
        relations: Joint name to the relation as the file states it.

    Raises:
        ValueError: A joint follows itself, one that does not exist, or one that cannot move.
    """
    kinds = {joint.name: joint.kind for joint in joints}
    resolved = []
    for joint in joints:
        mimic = relations.get(joint.name) if joint.kind in MOVABLE else None
        chain = [joint.name]
        while mimic is not None:
            chain.append(mimic.source)
            if mimic.source not in kinds:
                raise unknown_name(f"joint '{chain[-2]}', <mimic>: joint", mimic.source, kinds)
            if kinds[mimic.source] not in MOVABLE:
                raise ValueError(
                    f"joint '{chain[-2]}' mimics '{mimic.source}', which is fixed; expected a movable joint."
                )
            if mimic.source in chain[:-1]:
                raise ValueError(f"joint '{joint.name}' mimics itself: {' -> '.join(chain)}.")
            above = relations.get(mimic.source)
            if above is None:
                break
            mimic = Mimic(
                source=above.source,
                multiplier=mimic.multiplier * above.multiplier,
                offset=mimic.multiplier * above.offset + mimic.offset,
            )
        if mimic is not None and not (math.isfinite(mimic.multiplier) and math.isfinite(mimic.offset)):
            raise ValueError(f"joint '{joint.name}': the multipliers of {' -> '.join(chain)} are too large.")
        resolved.append(replace(joint, mimic=mimic))
    return tuple(resolved)


def follower_range(mimic: Mimic, source: Joint) -> tuple[float, float]:
    """Least and greatest position that a mimic joint takes while its source stays inside its limits, rad or m."""
    if mimic.multiplier == 0:  # also for an unlimited source, where 0 * inf would be nan
        return mimic.offset, mimic.offset
    ends = sorted(mimic.multiplier * limit + mimic.offset for limit in (source.lower, source.upper))
    return ends[0], ends[1]


def mimic_overshoot(urdf: Urdf) -> dict[str, float]:
    """How far mimic joints pass their own stated limits, rad or m; joints that do not are left out.

    Independent joints' limits rule, because the real mechanism couples the joints: where the two disagree, it is the
    follower's limit that no controller can obey on its own. The official ability hand disagrees by 0.28 rad, and the
    left svh by 0.99 rad in a joint whose multiplier has the wrong sign. Excesses of a rounding are left out.
    """
    by_name = {joint.name: joint for joint in urdf.joints}
    overshoot = {}
    for joint in urdf.joints:
        if joint.mimic is None:
            continue
        low, high = follower_range(joint.mimic, by_name[joint.mimic.source])
        # Unlimited on a side means no excess there; inf - inf would be nan.
        excess = max(
            joint.lower - low if math.isfinite(joint.lower) else 0.0,
            high - joint.upper if math.isfinite(joint.upper) else 0.0,
        )
        if excess > _ROUNDING:
            overshoot[joint.name] = excess
    return overshoot
