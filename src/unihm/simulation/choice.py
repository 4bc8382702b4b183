"""Which of several motions to execute, decided on the object as it was perceived; and how the decision is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from unihm.hands.description import HandDescription
from unihm.schema.motion import HandMotion
from unihm.schema.scene import PerceivedScene, Scene
from unihm.simulation.candidates import Attempt, best_of
from unihm.simulation.guessed_shape import DepthView
from unihm.simulation.perceived import Perceived, perceived_of_cloud, perceived_of_view
from unihm.simulation.perceived_part import PerceivedPart, perceived_part
from unihm.simulation.tasks.base import TASKS
from unihm.simulation.tasks.setting import Setting

_OF_FREE = {"grab": "grab", "place": "place", "push": "slide", "pull": "slide"}


def judged_by(task: str, perceived: Perceived | PerceivedPart) -> str:
    """Task of the simulation that judges what a plan asks for (`schema.plan.Plan.task`)."""
    return task if isinstance(perceived, PerceivedPart) else _OF_FREE[task]


def choose(
    motions: Iterable[HandMotion],
    perceived: Perceived | PerceivedPart,
    task: str,
    *,
    families: int | None = None,
    criterion: str = "full",
    hand: HandDescription | None = None,
    enough: int | None = None,
    workers: int = 1,
    progress: Callable[[int], object] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Simulate motions on what is perceived and keep the most robust one.

    Args:
        motions: Candidates, taken as they are wanted; one is simulated, too.
        perceived: What is known of the object.
        task: Key of `simulation.tasks.TASKS`; of those that handle an object.
        families: See `simulation.candidates.most_robust`.
        criterion: See the task.
        hand: The motions' hand; by default the one that they name.
        enough: See `simulation.candidates.best_of`.
        workers: Threads.
        progress: Told how many are done, whenever one is.

    Returns:
        Index of the best, and as JSON values: task, criterion, candidates, chosen, why, success and reason of the
        chosen one, successes, confidence (their share), outcomes of all, and what was assumed of the object.

    Raises:
        ValueError: There is no motion, or see `unihm.simulation.tasks.prepare`.
    """
    best, attempts = best_of(
        motions,
        perceived,
        task,
        families=families,
        criterion=criterion,
        hand=hand,
        enough=enough,
        workers=workers,
        progress=progress,
    )
    outcome = attempts[best].outcome
    successes = sum(attempt.outcome.success for attempt in attempts)
    facts = {
        "task": task,
        "criterion": criterion,
        **_assumed(perceived),
        "candidates": len(attempts),
        "families": families or len(attempts),
        "chosen": best,
        "why": why(best, attempts),
        "success": outcome.success,
        "reason": outcome.reason,
        "successes": successes,
        "confidence": round(successes / len(attempts), 4),
        "outcomes": [
            {
                "success": attempt.outcome.success,
                "reason": attempt.outcome.reason,
                "progress": round(attempt.outcome.progress, 4),
                "margin": round(attempt.outcome.margin, 4),
                "held": round(attempt.held, 4),
            }
            for attempt in attempts
        ],
    }
    return best, facts


def _assumed(perceived: Perceived | PerceivedPart) -> dict[str, Any]:
    if isinstance(perceived, PerceivedPart):
        return {"object": f"A {perceived.kind} whose mass and friction are assumed.", "mass_kg": perceived.design.mass}
    return {"object": " ".join(perceived.object.repairs), "mass_kg": round(perceived.object.mass, 4)}


def check_choice(motion: HandMotion, perceived: Perceived, task: str, criterion: str) -> None:
    """Refuse with a ValueError, before any work, what `choose` would refuse after it."""
    setting = Setting(object=perceived.object, T_world_object=perceived.T_world_object, criterion=criterion)
    TASKS[task].of_motion(motion, setting)


def why(best: int, attempts: Sequence[Attempt]) -> str:
    """One sentence on why a motion was preferred to the others (`simulation.candidates.most_robust`)."""
    chosen, count = attempts[best], len(attempts)
    good = sum(attempt.outcome.success for attempt in attempts)
    if count == 1:
        return "There was no other."
    if not good:
        return (
            f"None of {count} succeeded on the perceived object; this one came nearest "
            f"({100 * chosen.outcome.progress:.0f} %, {chosen.outcome.reason})."
        )
    if good == 1 and chosen.outcome.success:
        return f"Of {count} it alone succeeded on the perceived object."
    return (
        f"{good} of {count} succeeded on the perceived object; this one held in {100 * chosen.held:.0f} % of the "
        "worlds that were assumed (other masses, frictions, places and sizes)."
    )


def perceived_of_scene(scene: Scene, perceived: PerceivedScene) -> Perceived | PerceivedPart:
    """What is meant in a real image: an object, closed to a mirrored shape, or a part that moves; z = 0 is the table.

    Raises:
        ValueError: Too little of it is seen.
    """
    asked = perceived.asked
    if asked is not None and asked.joint is not None:
        assert asked.T_world_handle is not None
        assert asked.panel_world is not None
        return perceived_part(
            asked.joint, asked.T_world_handle, asked.panel_world, perceived.target_object.points_world
        )
    mask = np.zeros(scene.depth.shape, dtype=bool)
    u, v = perceived.target_object.pixels.T
    mask[v, u] = True
    camera = replace(scene.camera, T_world_camera=perceived.T_world_camera)
    return perceived_of_view(DepthView(depth=scene.depth, mask=mask, camera=camera, table_height=0.0))


def perceived_of_motion(motion: HandMotion) -> Perceived:
    """The object as the motion itself carries it: its cloud, closed, where its path begins.

    Raises:
        ValueError: It has no cloud or no path, or the cloud cannot be closed.
    """
    if motion.object_points is None:
        raise ValueError("The motion carries no object cloud; give the object's mesh with --object.")
    if motion.T_world_object is None:
        raise ValueError("The motion has no object path that says where the object stands.")
    return perceived_of_cloud(motion.object_points, motion.object_normals, motion.T_world_object[0])
