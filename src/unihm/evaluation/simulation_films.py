"""One success and one failure of every hand to look at, as films and sheets of stills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unihm.evaluation.simulated_trials import replay
from unihm.evaluation.simulation_options import SimulationOptions
from unihm.evaluation.trials import TrialBatch, TrialName, TrialResult
from unihm.simulation.video import contact_sheet, film


def write_films(
    results: Sequence[TrialResult],
    hands: Sequence[str],
    variants: Sequence[str],
    options: SimulationOptions,
    batch: Callable[[TrialName], TrialBatch],
    folder: Path,
) -> list[dict[str, Any]]:
    """Repeat and film a success and a failure of each hand: of the last variant that has one, by the strictest
    criterion, at the first friction, in the middle of the list.

    Args:
        results: All trials.
        hands: Names of hands.
        variants: Names of variants.
        options: How they were tried.
        batch: Makes the batch of one trial.
        folder: Where ``<hand>-success.mp4``, ``<hand>-success.png``, ``<hand>-failure.mp4``, ... are written.

    Returns:
        What each film shows; ``file`` is null where a hand always or never succeeded.

    Raises:
        ValueError: A trial came out otherwise than before, or a file cannot be written.
    """
    shown = []
    for hand in hands:
        for success in (True, False):
            kind = "success" if success else "failure"
            chosen = _choose([r for r in results if r.name.hand == hand and r.success == success], variants, options)
            if chosen is None:
                shown.append({"hand": hand, "kind": kind, "file": None})
                continue
            trial, outcome, rollout = replay(batch(chosen.name))
            if (outcome.success, outcome.reason) != (chosen.success, chosen.reason):
                raise ValueError(f"Trial {chosen.name} came out otherwise when it was repeated for its film.")
            path = folder / f"{hand}-{kind}.mp4"
            film(trial.world, rollout, path)
            contact_sheet(trial.world, rollout, path.with_suffix(".png"))
            name = chosen.name
            shown.append(
                {
                    "hand": hand,
                    "kind": kind,
                    "file": str(path),
                    "variant": name.variant,
                    "criterion": name.criterion,
                    "friction": name.friction,
                    "episode": name.episode,
                    "object": chosen.object,
                    "reason": chosen.reason,
                }
            )
    return shown


def _choose(results: Sequence[TrialResult], variants: Sequence[str], options: SimulationOptions) -> TrialResult | None:
    """A trial that can be shown; what was refused or died cannot."""
    usual = [
        result
        for result in results
        if result.name.criterion == options.strictest
        and result.name.friction == options.frictions[0]
        and result.name.cloud_noise == options.cloud_noise[0]
        and result.measures
    ]
    for variant in reversed(variants):
        of_variant = [result for result in usual if result.name.variant == variant]
        if of_variant:
            return of_variant[len(of_variant) // 2]
    return None
