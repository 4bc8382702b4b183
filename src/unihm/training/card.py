"""What a training writes beside its weights, whatever was trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unihm.datasets.episode_rows import EpisodeRecord, recordings_of
from unihm.datasets.manifest import read_manifest

LICENCE = "CC BY-NC 4.0 (trained on DexYCB)"


def training_card(
    what: str,
    config: Any,
    *,
    preset: str,
    split: str,
    seed: int,
    options: Sequence[str] = (),
    data: str | Path,
    made: Mapping[str, Any],
    records: Iterable[EpisodeRecord],
    parts: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Data, split, seed, command and licence of a training.

    Args:
        what: Of ``unihm train WHAT``.
        config: Settings, a dataclass.
        preset: Name of the settings.
        split: Whose parts were used.
        seed: Of everything random.
        options: Further words of the command.
        data: Episode store.
        made: What its motions were made with.
        records: Its episodes.
        parts: ``train`` and ``validation`` to episode ids.
    """
    command = f"unihm train {what} --data DATA --preset {preset} --split {split} --seed {seed}"
    return {
        "licence": LICENCE,
        "preset": preset,
        "training": asdict(config),
        "split": split,
        "seed": seed,
        "command": " ".join([command, *options]),
        "data_fingerprint": read_manifest(data)["fingerprint"],
        "motions": dict(made),
        "training_episodes": len(parts["train"]),
        "training_recordings": sorted(recordings_of(records, parts["train"])),
        "selection_recordings": sorted(recordings_of(records, parts["validation"])),
    }
