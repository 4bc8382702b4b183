"""What a store holds, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unihm.datasets.episode_rows import EpisodeRecord
from unihm.datasets.episode_store import episode_table
from unihm.datasets.manifest import REFINED, hands_in, read_manifest
from unihm.datasets.motion_store import motion_header, motion_ids, read_checks

_EXAMPLES = 3


def summarise(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Counts and statistics of episodes as plain values.

    Returns:
        ``episodes``, ``mirrored``, ``recordings``, ``frames``, ``hours``; episodes by ``datasets``,
        ``subjects`` and ``objects``; minimum, median and maximum of ``frames_per_episode`` and of the
        seconds from the start to contact (``contact_s``) and to lift (``lift_s``);
        ``instructions`` and ``instruction_examples``.
    """
    frames = [record.num_frames for record in records]
    sentences = [sentence for record in records for sentence in record.instructions]
    every = max(len(records) // _EXAMPLES, 1)
    return {
        "episodes": len(records),
        "mirrored": sum(record.mirrored for record in records),
        "recordings": len({record.recording for record in records}),
        "frames": sum(frames),
        "hours": round(sum(record.num_frames / record.fps for record in records) / 3600, 4),
        "datasets": _counts(record.dataset for record in records),
        "subjects": _counts(record.subject for record in records),
        "objects": _counts(record.object_name for record in records),
        "frames_per_episode": _spread(frames),
        "contact_s": _spread([record.contact_frame / record.fps for record in records]),
        "lift_s": _spread([record.lift_frame / record.fps for record in records]),
        "instructions": {"total": len(sentences), "distinct": len(set(sentences))},
        "instruction_examples": [r.instructions[0] for r in records[::every][:_EXAMPLES] if r.instructions],
    }


def info(folder: str | Path) -> dict[str, Any]:
    """What a store holds, as plain values: counts, hours, hands, objects, statistics and examples; what was refined."""
    manifest = read_manifest(folder)
    headers = {hand: motion_header(folder, hand) for hand in hands_in(folder)}
    return {
        **summarise(episode_table(folder)),
        "hands": {hand: len(motion_ids(folder, hand)) for hand in headers},
        "motions": {hand: {"digest": h["digest"], **_brief(h["made_with"])} for hand, h in headers.items()},
        "refined": {hand: _refined(folder, hand) for hand in hands_in(folder, REFINED)},
        "skipped": {reason: len(ids) for reason, ids in manifest["skipped"].items()},
        "options": manifest["options"],
        "fingerprint": manifest["fingerprint"],
    }


def _refined(folder: str | Path, hand: str) -> dict[str, Any]:
    """How many of a hand's refined motions succeed, what they bear, and how they were made."""
    header, checks = motion_header(folder, hand, kind=REFINED), list(read_checks(folder, hand).values())
    good = [check for check in checks if check.success]
    return {
        "motions": len(checks),
        "success": len(good),
        "success_share": round(len(good) / len(checks), 3) if checks else None,
        "criterion": _counts(check.criterion for check in checks),
        "reasons": _counts(check.reason for check in checks if not check.success),
        "friction_margin": _counts(str(check.friction_margin) for check in good),
        "mass_margin": _counts(str(check.mass_margin) for check in good),
        "skipped": len(header.get("skipped", {})),
        "digest": header["digest"],
        **_brief(header["made_with"]),
    }


def _brief(made_with: Mapping[str, Any] | None) -> dict[str, Any]:
    """How motions were made without what has parts of its own, such as a whole config."""
    return {name: value for name, value in (made_with or {}).items() if not isinstance(value, Mapping)}


def _counts(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _spread(values: Sequence[float] | Sequence[int]) -> dict[str, float]:
    if not values:
        return {}
    return {
        "min": round(float(np.min(values)), 3),
        "median": round(float(np.median(values)), 3),
        "max": round(float(np.max(values)), 3),
    }
