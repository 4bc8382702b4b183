"""A success and a failure of every column and hand to look at: film, sheet of stills, and the image it began with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unihm.evaluation.trials import TrialName, TrialResult
from unihm.schema.storage import atomic_path
from unihm.simulation.video import contact_sheet, film
from unihm.whole_path.layout import candidates_of
from unihm.whole_path.trials import WRONG, AskedBatch, replay

_IMAGE = (320, 240)  # at most, pixels: it is looked at beside a film
FOLDER = "videos"
"""Where films are, below the table."""


def write_films(
    results: Sequence[TrialResult], friction: float, batch: Callable[[TrialName], AskedBatch], out: Path
) -> list[dict[str, Any]]:
    """Repeat and film one success and one failure of each column and hand, in the middle of the list.

    All are of one way, the one among the most candidates: a way that is made alone may take other candidates than the
    same way beside a larger one, so that others could not be repeated for certain.

    Args:
        results: All trials.
        friction: At which friction.
        batch: Makes the batch of one trial.
        out: The table's folder; ``videos/<column>-<hand>-success.mp4``, ``.png`` (stills), ``-image.png``, ... are
            written below it.

    Returns:
        What each film shows; ``file``, ``poster`` and ``image`` are relative to `out`, and null where a hand always or
        never succeeded.

    Raises:
        ValueError: A trial came out otherwise than before, or a file cannot be written.
    """
    way = best_way([result.name.variant for result in results])
    usual = [result for result in results if (result.name.friction, result.name.variant) == (friction, way)]
    of_cell: dict[tuple[str, str], list[TrialResult]] = {}
    for result in usual:
        of_cell.setdefault((batch(result.name).column, result.name.hand), []).append(result)
    shown = []
    for (column, hand), members in of_cell.items():
        for kind in ("success", "failure"):
            chosen = _choose(members, kind == "success")
            about = {"column": column, "hand": hand, "kind": kind, "variant": way, "friction": friction, "file": None}
            shown.append(about if chosen is None else {**about, **_filmed(chosen, batch(chosen.name), kind, out)})
    return shown


def best_way(ways: Sequence[str]) -> str:
    """The way among the most candidates, else the one that is listed first."""
    return max(dict.fromkeys(ways), key=candidates_of)


def _choose(results: Sequence[TrialResult], success: bool) -> TrialResult | None:
    """A trial that can be shown; what was refused or died has nothing to show."""
    able = [result for result in results if result.success == success and result.measures]
    return able[len(able) // 2] if able else None


def _filmed(chosen: TrialResult, batch: AskedBatch, kind: str, out: Path) -> dict[str, Any]:
    trial, outcome, rollout, world = replay(batch)
    # That the wrong thing was taken is found out beside the rollout, which has a reason of its own.
    reason = outcome.reason if chosen.reason != WRONG else WRONG
    if (outcome.success, reason) != (chosen.success, chosen.reason):
        raise ValueError(f"Trial {chosen.name} came out otherwise when it was repeated for its film.")
    name = f"{FOLDER}/{batch.column}-{chosen.name.hand}-{kind}"
    film(trial.world, rollout, out / f"{name}.mp4")
    contact_sheet(trial.world, rollout, out / f"{name}.png")
    _write_image(world.example.scene.color, out / f"{name}-image.png")
    return {
        "file": f"{name}.mp4",
        "poster": f"{name}.png",
        "image": f"{name}-image.png",
        "part": chosen.name.part,
        "world": chosen.name.episode,
        "object": chosen.object,
        "instruction": world.asking.instruction,
        "reason": chosen.reason,
    }


def _write_image(color: np.ndarray, path: Path) -> None:
    image = Image.fromarray(color)
    image.thumbnail(_IMAGE)
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", optimize=True)
