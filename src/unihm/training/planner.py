"""``unihm train planner``: the two networks that cut an image into things and ground words among them (Eq. 7, C.5)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from unihm.cliport.clip_resnet import CLIP, copy_clip, load_clip
from unihm.cliport.network import SHIPPED
from unihm.schema.storage import atomic_path
from unihm.training.grounding import train_grounding
from unihm.training.view import train_view

VIEW_FILE = "view.safetensors"


def train_planner(
    data: str | Path,
    out: str | Path,
    *,
    preset: str = "base",
    seed: int = 0,
    resume: bool = False,
    rgb_only: bool = False,
    finetune: str | Path | None = None,
    clip: str | Path | None = None,
    heightmap: bool = False,
    only_words: bool = False,
) -> dict[str, Any]:
    """Train both networks, one after the other.

    Args:
        data: Scenes from `unihm data synthesize`.
        out: Folder for both runs, ``view.safetensors`` and ``planner.safetensors``.
        preset: Name in `view.VIEW` and `grounding.GROUNDING`.
        seed: Seed of everything random.
        resume: Go on from the checkpoints in `out`.
        rgb_only: Without depth in the networks (Table 4).
        finetune: Folder with both networks to begin with; None begins with random weights.
        clip: CLIP's RN50 in a local file, for the semantic stream of the words' network; a copy is left in `out`.
        heightmap: Whether the words' network looks at top-down heightmaps.
        only_words: Keep the network that cuts images as it is in `finetune`.

    Returns:
        For each network where its weights are, their fingerprint and its figures.
    """
    out = Path(out)
    if clip is not None:
        load_clip(clip)  # refused now rather than after the first network
    start = None if finetune is None else Path(finetune)
    common = {"preset": preset, "seed": seed, "resume": resume, "rgb_only": rgb_only}
    if only_words:
        assert start is not None
        view: dict[str, Any] = {"weights": str(start / VIEW_FILE), "kept": True}
    else:
        view = train_view(data, out / "view", start=None if start is None else start / VIEW_FILE, **common)
    if clip is None and start is not None and (start / CLIP).is_file():
        clip = start / CLIP
    words = train_grounding(
        data,
        out / "words",
        finetune=None if start is None else start / SHIPPED,
        view=view["weights"],
        clip=clip,
        heightmap=heightmap,
        **common,
    )
    if clip is not None:
        copy_clip(clip, out / CLIP)
    for result in (view, words):
        for file in (Path(result["weights"]), Path(result["weights"]).with_suffix(".json")):
            with atomic_path(out / file.name) as temporary:
                shutil.copyfile(file, temporary)
    return {"view": view, "words": words}
