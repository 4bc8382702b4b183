"""``unihm train planner``: the two networks that cut an image into things and ground words among them (Eq. 7, C.5)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from unihm.cliport.clip_resnet import CLIP, copy_clip, load_clip
from unihm.cliport.network import KIND, SHIPPED
from unihm.schema.storage import atomic_path
from unihm.schema.weights import read_weights, write_weights
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
    keep: float = 0.0,
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
        keep: Share of the words' network before in the one that is written: numbers between the two know what is new
            and what was known before (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).

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
    if keep:
        assert start is not None
        words["weights"] = str(out / "words" / "blended.safetensors")
        options = f"{'--only-words ' if only_words else ''}--keep {keep:g}"
        words["fingerprint"] = blend(start / SHIPPED, out / "words" / SHIPPED, keep, words["weights"], options)
    if clip is not None:
        copy_clip(clip, out / CLIP)
    for result in (view, words):
        for file in (Path(result["weights"]), Path(result["weights"]).with_suffix(".json")):
            name = f"{Path(SHIPPED if result is words else VIEW_FILE).stem}{file.suffix}"
            with atomic_path(out / name) as temporary:
                shutil.copyfile(file, temporary)
    return {"view": view, "words": words}


def blend(before: str | Path, after: str | Path, keep: float, out: str | Path, options: str = "") -> str:
    """Weights of the words' network between two trainings.

    Args:
        before: Weights of the first.
        after: Of the second, which began with the first.
        keep: Share of the first, 0 to 1.
        out: The file that is written, with the second one's card; its figures are said to be of before.
        options: Of the command, added to that of the card.

    Returns:
        The fingerprint.

    Raises:
        ValueError: The two do not have the same tensors, or a file is missing or damaged.
    """
    old, _ = read_weights(before, kind=KIND)
    new, card = read_weights(after, kind=KIND)
    if {name: tensor.shape for name, tensor in old.items()} != {name: tensor.shape for name, tensor in new.items()}:
        raise ValueError(f"'{before}' and '{after}' are not of the same sizes; there is nothing between them.")
    mixed = {
        name: torch.lerp(tensor, old[name], keep) if tensor.is_floating_point() else tensor
        for name, tensor in new.items()
    }
    facts = {name: value for name, value in card.items() if name not in ("format", "kind", "fingerprint", "figures")}
    about = {"kept_of_before": keep, "figures_before_blending": card.get("figures")}
    about["command"] = " ".join([str(card.get("command", "")), *options.split()])
    return write_weights(out, mixed, {**facts, **about}, kind=KIND)
