"""From words and a picture to a motion, step by step."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unihm.commands.console import check_writable, load_weights, prompts, report, say, say_if_cut_off, tried

if TYPE_CHECKING:
    from unihm.pipeline import Trying

DEMO_INSTRUCTION = "Lift the yellow bottle."


def demo(*, hand: str = "shadow", out: Path = Path("out/demo"), seed: int = 0, open: bool = False, json: bool = False):
    """Built-in scene to a moving hand: writes motion.npz, motion.html and report.json.

    Args:
        hand: Which hand moves; see `unihm hands list`.
        out: Folder for the results.
        seed: Seed of the token sampling.
        open: Show the page in a browser when there is a screen.
        json: Print the report as JSON.
    """
    from unihm.assets import scene_folder

    generate(str(scene_folder("demo")), DEMO_INSTRUCTION, hand=hand, out=out, seed=seed, json=json)
    page = (out / "motion.html").resolve()
    if open and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform in ("darwin", "win32")):
        import webbrowser

        webbrowser.open(page.as_uri())
    elif open:
        say(f"No screen here: open {page} in a browser to see the hand move.")


def generate(
    scene: str,
    instruction: str,
    *,
    hand: str = "shadow",
    point: str | None = None,
    box: str | None = None,
    perception: str = "cliport",
    perception_weights: Path | None = None,
    initial_pose: Path | None = None,
    data: Path | None = None,
    generator: str = "qwen3-tiny",
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    one_of: str | None = None,
    weights: Path | None = None,
    candidates: int = 1,
    simulate: bool = False,
    criterion: str = "full",
    workers: int = 1,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
):
    """Words and an RGB-D image to a refined motion of the named hand.

    Writes motion.npz (refined), generated.npz (before refinement), tokens.npz, plan.npz, motion.html, report.json
    and, from an image, overlay.png: the plan drawn over it.

    Args:
        scene: Folder with color.png, depth.png and camera.json; or an episode id, with --data.
        instruction: What shall be done, in plain words.
        hand: Which hand moves; see `unihm hands list`.
        point: Pixel U,V on the object, where words do not decide.
        box: U0,V0,U1,V1: the left upper and right lower pixel of a box about it, in place of a point.
        perception: What finds the object in the image: cliport (learned, reads names), tabletop (geometry alone), or
            point_sam (needs its weights).
        perception_weights: Of cliport the folder that `unihm train planner` left, default: the shipped ones; of
            point_sam its file.
        initial_pose: Start of the hand: a motion .npz or JSON with xyz, wxyz, qpos. Default: a stated pre-grasp.
        data: Episode store, when SCENE is an episode id; its true cloud, path and initial pose are then given.
        generator: Which generator writes the tokens.
        temperature: Of the plan's codes: 0 leaves the plan open (the motion in the middle), 1 draws it as learned;
            default: the generator's own.
        top_k: Only the k likeliest codes are drawn from.
        top_p: Only the likeliest codes are drawn from that together have this probability.
        one_of: K/N, such as 2/10: the K-th of N motions that together stand for all that are likely, 1 being the
            commonest way; nothing is drawn then.
        weights: Weights of the generator; default: those that come with unihm.
        candidates: Motions, at most, that are made and simulated on the object as it is perceived, until one holds
            under all assumed masses and frictions; the best is kept. Samples of the tokens with other seeds; where the
            temperature is 0 other grasps, other likely ways, other starts, and variations.
        simulate: Simulate the motion on the perceived object and say whether it works, also where it is the only one.
        criterion: How strictly: full, hard or light to lift; full or strict to move.
        workers: Threads that simulate candidates.
        seed: Seed of the token sampling, and of variations.
        out: Folder for the results; default out/<scene>-<hand>.
        json: Print the report as JSON.
    """
    from unihm.hands.hand import load_hand
    from unihm.perception.scene_files import load_scene
    from unihm.pipeline import InitialPose, Pipeline, Stopwatch, Trying, plan_of_episode

    def made() -> Pipeline:
        return Pipeline(
            generator_name=generator,
            generator_path=weights,
            perception=perception,
            perception_path=perception_weights,
            top_k=top_k,
            top_p=top_p,
            one_of=way,
        )

    way = None if one_of is None else _way(one_of)
    clicked, framed = prompts(point, box)
    trying = Trying(candidates=candidates, simulate=simulate, criterion=criterion, workers=workers)
    model = load_hand(hand)
    start = None if initial_pose is None else InitialPose.load(initial_pose, model)
    folder = out or Path("out") / f"{Path(scene).name or 'scene'}-{model.name}"
    check_writable(folder)
    image = None
    if data is not None:
        from unihm.datasets.episode_store import read_episodes
        from unihm.datasets.motion_store import read_motions

        episode = next(iter(read_episodes(data, [scene])))
        plan = plan_of_episode(episode, instruction)
        if start is None:
            recorded = read_motions(data, model.name, [scene])[scene]
            start = InitialPose(T_world_palm=recorded.T_world_palm[0], qpos=recorded.qpos[0])
        pipeline = load_weights(made)
        with _counted(trying) as counting:
            result = pipeline.follow(plan, model, start, temperature=temperature, seed=seed, trying=counting)
    else:
        watch = Stopwatch()
        with watch("read"):
            image = load_scene(scene)
        pipeline = load_weights(made)
        with _counted(trying) as counting:
            result = pipeline.generate(
                image,
                instruction,
                model,
                point=clicked,
                box=framed,
                initial_pose=start,
                temperature=temperature,
                seed=seed,
                trying=counting,
            )
        if result.perceived is not None:
            say_if_cut_off(result.perceived)
        result.report["seconds"] = {**watch.seconds, **result.report["seconds"]}
    _write_result(result, folder, image)
    report({**result.report, "out": str(folder)}, json, _summary(result.report, folder))


def _way(text: str) -> tuple[int, int]:
    """K/N, counted from 1, as the generator counts."""
    from unihm.generation.base import MOST_WAYS

    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count) <= MOST_WAYS):
        raise ValueError(f"--one-of needs K/N such as 2/10, K from 1 to N and N at most {MOST_WAYS}, got '{text}'.")
    return int(number) - 1, int(count)


def plan(
    scene: str,
    instruction: str,
    *,
    point: str | None = None,
    box: str | None = None,
    perception: str = "cliport",
    perception_weights: Path | None = None,
    out: Path | None = None,
    json: bool = False,
):
    """Object cloud and object path only: perception and planning, no hand.

    Writes plan.npz, overlay.png (the plan drawn over the image) and plan.html.

    Args:
        scene: Folder with color.png, depth.png and camera.json.
        instruction: What shall be done, in plain words.
        point: Pixel U,V on the object, where words do not decide.
        box: U0,V0,U1,V1: the left upper and right lower pixel of a box about it, in place of a point.
        perception: What finds the object in the image: cliport (learned, reads names), tabletop (geometry alone), or
            point_sam (needs its weights).
        perception_weights: Of cliport the folder that `unihm train planner` left, default: the shipped ones; of
            point_sam its file.
        out: Folder for the results; default out/<scene>-plan.
        json: Print the plan's facts as JSON.
    """
    from unihm import viewer
    from unihm.perception.base import PERCEPTIONS
    from unihm.perception.scene_files import load_scene
    from unihm.planning.base import PLANNERS, planner_for

    clicked, framed = prompts(point, box)
    image = load_scene(scene)
    seeing = PERCEPTIONS[perception](perception_weights)
    perceived = seeing.perceive(image, instruction, clicked, framed)
    say_if_cut_off(perceived)
    planner = planner_for(perceived)
    made = PLANNERS[planner]().plan(perceived, instruction)
    folder = out or Path("out") / f"{Path(scene).name or 'scene'}-plan"
    made.save(folder / "plan.npz")
    viewer.write_overlay(folder / "overlay.png", image, perceived, made)
    viewer.write_plan_html(folder / "plan.html", perceived, made)
    path = made.T_world_object[:, :3, 3]
    facts = {
        "task": made.task,
        "parts": {"perception": perception, "completion": seeing.completion, "planner": planner},
        "objects": len(perceived.objects),
        "target": perceived.target,
        "cut_off": perceived.target_object.cut_off,
        "points": len(made.object_points),
        "extents_m": [round(float(x), 4) for x in made.object_points.max(0) - made.object_points.min(0)],
        "start_m": [round(float(x), 4) for x in path[0]],
        "end_m": [round(float(x), 4) for x in path[-1]],
        "frames": len(made),
        "lift_frame": made.rest_frames,
        "out": str(folder / "plan.npz"),
    }
    report(facts, json)


@contextmanager
def _counted(trying: Trying) -> Iterator[Trying]:
    """The same with a progress bar."""
    from dataclasses import replace

    from tqdm import tqdm

    with tqdm(desc="candidates", total=trying.candidates, unit="motion", disable=None, delay=2) as bar:
        yield replace(trying, progress=lambda done: bar.update(done - bar.n))


def _write_result(result: Any, folder: Path, image: Any) -> None:
    """Everything that `generate` made, as files; there is no image of a recorded episode."""
    from unihm import viewer
    from unihm.schema.storage import write_json

    result.plan.save(folder / "plan.npz")
    result.tokens.save(folder / "tokens.npz")
    result.generated.save(folder / "generated.npz")
    result.motion.save(folder / "motion.npz")
    perceived = result.perceived
    scene = None if perceived is None else (perceived.points_world, perceived.colors)
    viewer.write_html(result.motion, folder / "motion.html", title=result.report["instruction"], scene=scene)
    if perceived is not None:
        viewer.write_overlay(folder / "overlay.png", image, perceived, result.plan)
    write_json(folder / "report.json", result.report)


def _summary(report: dict[str, Any], folder: Path) -> str:
    """What a person wants to read after `generate`."""
    contact = report["contact_at_lift"]
    times = ", ".join(f"{name} {seconds:.2f}" for name, seconds in report["seconds"].items())
    picture = "overlay.png, " if "perception" in report["parts"] else ""  # there is no image of a recorded episode
    opposing = "none" if contact["opposing_tips_mm"] is None else f"{contact['opposing_tips_mm']:.1f} mm"
    return "\n".join(
        [
            f"{report['task']}: {report['hand']}, {report['frames']} frames, {report['tokens']} tokens",
            f"opposing fingertips to the object at the moment of lift: {opposing}",
            *tried(report.get("simulation")),
            "parts: " + ", ".join(f"{what} {name}" for what, name in report["parts"].items()),
            f"seconds: {times} (total {sum(report['seconds'].values()):.2f})",
            f"wrote {folder}/motion.npz, motion.html, {picture}report.json",
        ]
    )
