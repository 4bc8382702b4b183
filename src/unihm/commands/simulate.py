"""Does a motion work? It is executed in physics, and a task judges what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from unihm.commands.console import check_writable, report, say

if TYPE_CHECKING:
    from unihm.schema.motion import HandMotion
    from unihm.simulation.fixtures import Fixture
    from unihm.simulation.solid_object import SolidObject
    from unihm.simulation.tasks import Outcome, Trial

_CAMERA = (0.85, 45.0)  # m from the object, degrees down: where DexYCB's cameras are


def simulate(
    motion: Path,
    *,
    task: str = "grab",
    object: Path | None = None,
    scale: float = 1.0,
    mass: float | None = None,
    fixture: str | None = None,
    fixture_pose: tuple[float, float, float] | None = None,
    friction: float = 0.8,
    criterion: str = "full",
    noise: float = 0.0,
    follow: bool = False,
    at_rest: bool = False,
    seed: int = 0,
    candidates: int = 1,
    workers: int = 1,
    hand_meshes: Path | None = None,
    video: Path | None = None,
    sheet: Path | None = None,
    out: Path | None = None,
    json: bool = False,
):
    """Does the motion work? Executes it in physics and judges it at a task.

    The exit status says whether the simulation ran; the task's result is under success and reason (missed, knocked,
    slipped, pierced, timed out, unstable).

    Args:
        motion: A motion .npz.
        task: grab, place, pull, push, open or close. Pull and push slide the object over the table, or move a drawer
            with --fixture drawer; open and close move a door, or a lid with --fixture lid.
        object: The object's mesh in its own frame, m; default: the convex hull of the motion's own cloud.
        scale: Metres a unit of the object's mesh, such as 0.001 where it is in millimetres.
        mass: Of the object, kg; default: 500 kg/m^3.
        fixture: drawer, door or lid; shut where it is to be opened, wide open where it is to be shut.
        fixture_pose: Where it stands: X Y in m, and its yaw in degrees; default: where the motion has its object first,
            else 0 0 0.
        friction: Sliding friction of every pair.
        criterion: full; grab also hard (pushes of 5 m/s^2) and light (held 1 s, no pushes), place also strict (15 mm).
        noise: Displacement of the object: 1 means up to 2 cm along x and y and up to 10 degrees. The motion is replayed
            as it is, with its hand where the object was recorded.
        follow: The motion is moved with the displaced object, as if it had been planned where the object is.
        at_rest: The object first comes to rest alone, and the motion is moved with it: recorded poses hover or tilt by
            millimetres. For motions as recorded, not for what was planned on an image.
        seed: Of displacement, candidates and sensor noise.
        candidates: Motions that are tried on the object as perceived, the given one and variations of it; the best is
            then executed on the true object.
        workers: Processes that try candidates.
        hand_meshes: A URDF whose collision meshes replace the hand's own solids.
        video: Write a film to this .mp4.
        sheet: Write a sheet of stills to this .png.
        out: Write the result to this .json.
        json: Print the result as JSON.
    """
    from unihm.schema.motion import HandMotion
    from unihm.schema.storage import write_json
    from unihm.simulation.tasks import prepare

    source = HandMotion.load(motion)
    name, kind = _task(task, fixture)
    if video is not None and video.suffix.lower() != ".mp4":
        raise ValueError(f"--video is written as .mp4, got '{video}'.")
    for path in (video, sheet, out):
        if path is not None:
            check_writable(path.parent)
    placed = None if kind is None else _fixture(kind, name, source, fixture_pose)
    solid = None if placed is not None else _object(source, object, scale, mass)
    if at_rest:
        source = _at_rest(source, solid)
    trial = prepare(
        name,
        source,
        object=solid,
        fixture=placed,
        criterion=criterion,
        noise=noise,
        follow=follow,
        friction=friction,
        hand_meshes=hand_meshes,
        seed=seed,
    )
    facts: dict[str, Any] = {
        "motion": str(motion),
        "hand": source.hand,
        "task": task,
        "judged_as": name,
        "criterion": criterion,
        "friction": friction,
        "noise": noise,
        "motion_follows_object": follow,
        "at_rest": at_rest,
        "seed": seed,
    }
    if solid is not None:
        facts |= {"object": solid.name, "mass_kg": round(solid.mass, 4)}
        filled = (
            [] if object else ["No --object given: it is the convex hull of the motion's own cloud, hollows filled."]
        )
        facts["notes"] = [*filled, *solid.repairs, *trial.world.notes]
    elif placed is not None:
        facts |= {"fixture": placed.kind, "notes": list(trial.world.notes)}
    if candidates != 1:
        trial, tried = _best(trial, solid, name, criterion, friction, candidates, workers, seed)
        facts |= tried
    outcome, rollout = trial.run(seed=seed)
    facts |= {"success": outcome.success, "reason": outcome.reason, "progress": round(outcome.progress, 4)}
    facts |= {"margin": round(outcome.margin, 4), "failure": rollout.failure}
    facts["measures"] = {key: round(value, 4) for key, value in outcome.measures.items()}
    facts["seconds_wall"] = round(rollout.seconds_wall, 3)
    if video is not None:
        from unihm.simulation.video import film

        film(trial.world, rollout, video)
        facts["video"] = str(video)
    if sheet is not None:
        from unihm.simulation.video import contact_sheet

        contact_sheet(trial.world, rollout, sheet)
        facts["sheet"] = str(sheet)
    if out is not None:
        write_json(out, facts)
        facts["out"] = str(out)
    if not json:
        for note in facts["notes"]:
            say(note)
    report(facts, json, _summary(facts, outcome))


def _task(task: str, fixture: str | None) -> tuple[str, str | None]:
    """Name in the table of tasks, and the kind of fixture that it is done to."""
    from unihm.registry import unknown_name
    from unihm.simulation.fixtures import FIXTURES

    known = ("grab", "place", "pull", "push", "open", "close")
    if task not in known:
        raise unknown_name("Task", task, known)
    if fixture is not None and fixture not in FIXTURES:
        raise unknown_name("Fixture", fixture, FIXTURES)
    if task in ("open", "close"):
        return task, fixture or "door"
    if fixture is not None and task in ("grab", "place"):
        raise ValueError(f"To {task} is done to an object; --fixture is for pull, push, open and close.")
    return (task, fixture) if fixture is not None else ("slide" if task in ("pull", "push") else task, None)


def _object(source: HandMotion, path: Path | None, scale: float, mass: float | None) -> SolidObject:
    import numpy as np

    from unihm.simulation.solid_object import load_object, object_of_mesh

    if path is not None:
        return load_object(path, mass=mass, scale=scale)
    if source.object_points is None:
        raise ValueError("The motion carries no object cloud; give the object's mesh with --object.")
    no_faces = np.zeros((0, 3), dtype=np.int64)
    return object_of_mesh(source.object_points, no_faces, name="cloud", mass=mass, convex="hull")


def _at_rest(source: HandMotion, solid: SolidObject | None) -> HandMotion:
    from unihm.simulation.resting import at_rest

    if solid is None or source.T_world_object is None:
        raise ValueError("--at-rest is for a motion with an object path and an object on the table.")
    return at_rest(source, solid)


def _fixture(kind: str, task: str, source: HandMotion, pose: tuple[float, float, float] | None) -> Fixture:
    from dataclasses import replace

    import numpy as np

    from unihm.geometry.pose import yaw_pose
    from unihm.simulation.fixtures import FIXTURES

    T = np.eye(4)
    if pose is not None:
        T = yaw_pose(np.radians(pose[2]), pose[:2])
    elif source.T_world_object is not None:
        T = source.T_world_object[0]
    placed = FIXTURES[kind](T_world_fixture=T)
    return placed if task in ("pull", "open") else replace(placed, position0=placed.upper)


def _best(
    trial: Trial,
    solid: SolidObject | None,
    task: str,
    criterion: str,
    friction: float,
    count: int,
    workers: int,
    seed: int,
) -> tuple[Trial, dict[str, Any]]:
    """The trial with the candidate that went best on the perceived object, and what is to be said of the choice."""
    import numpy as np
    from tqdm import tqdm

    from unihm.simulation.candidates import best_of
    from unihm.simulation.candidates import candidates as varied
    from unihm.simulation.perceived import perceive
    from unihm.simulation.tabletop import look_at, tabletop_camera

    if solid is None or trial.T_world_object is None:
        raise ValueError("--candidates are tried on a perceived object; drawers, doors and lids are not perceived yet.")
    motions = varied([trial.motion], count, seed)
    place = trial.T_world_object[:3, :3] @ solid.centre_of_mass + trial.T_world_object[:3, 3]
    distance, pitch = _CAMERA
    target = (float(place[0]), float(place[1]), float(place[2]))
    camera = tabletop_camera(look_at(distance, np.radians(pitch), target=target))
    height = trial.world.table_height
    perceived = perceive(solid, trial.T_world_object, camera, seed=seed, table_height=height)
    with tqdm(desc="candidates", total=count, unit="motion", disable=None, delay=2) as bar:
        best, attempts = best_of(
            motions,
            perceived,
            task,
            families=1,
            criterion=criterion,
            friction=friction,
            table_height=height,
            workers=workers,
            progress=lambda done: bar.update(done - bar.n),
        )
    return trial.of_other(motions[best]), {
        "candidates": count,
        "chosen": best,
        "perceived_successes": sum(attempt.outcome.success for attempt in attempts),
        "perceived_success": attempts[best].outcome.success,
        "perceived_reason": attempts[best].outcome.reason,
    }


def _summary(facts: dict[str, Any], outcome: Outcome) -> str:
    """What a person wants to read."""
    what = facts.get("object", facts.get("fixture"))
    result = "success" if outcome.success else f"failed: {outcome.reason}"
    lines = [f"{facts['task']} {what} with {facts['hand']}: {result}"]
    if "chosen" in facts:
        lines.append(
            f"candidate {facts['chosen']} of {facts['candidates']}; "
            f"{facts['perceived_successes']} succeeded on the perceived object"
        )
    lines += [f"  {name}: {value:g}" for name, value in facts["measures"].items()]
    lines += [f"wrote {facts[name]}" for name in ("video", "sheet", "out") if name in facts]
    return "\n".join(lines)
