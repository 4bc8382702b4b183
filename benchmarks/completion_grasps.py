"""Do grasps hold that were made on completed clouds? The same lifts for every way of completing, on the true things.

    unihm data synthesize SCENES --scenes 32 --seed 106
    python benchmarks/completion_grasps.py SCENES --hands shadow allegro --limit 40

Of every made image one free thing of which a good part is seen is lifted by 15 cm: its true mask is completed, the
motion is generated and refined on that cloud, and then simulated on the thing's true surface. ``truth`` is planned on
the true surface itself: what no completion can exceed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unihm.evaluation.intervals import wilson
from unihm.geometry.point_cloud import chamfer, farthest_point_indices
from unihm.hands.hand import load_hand
from unihm.perception.completing import complete
from unihm.pipeline import InitialPose, Pipeline
from unihm.planning.pregrasp import pregrasp
from unihm.planning.verbs import Verbs
from unihm.scene_data.store import read_scenes
from unihm.scenes.records import SceneExample
from unihm.schema.scene import ObjectCloud, PerceivedScene
from unihm.simulation.choice import choose
from unihm.simulation.perceived import perceived_of_cloud

WORDS = "Lift it 15 cm."
_LEAST_PIXELS = 600
_GRASPABLE = (0.02, 0.10)  # m; the smallest edge of the thing's box
_HEAVIEST = 0.8  # kg
_POINTS = 1024


def things(folder: Path, limit: int) -> Iterator[tuple[SceneExample, int]]:
    """One free thing of each image that a hand can span: the one that shows most."""
    count = 0
    for example in read_scenes(folder):
        pixels = np.bincount(example.instances.ravel(), minlength=len(example.things) + 1)[1:]
        fit = [
            i
            for i, thing in enumerate(example.things)
            if thing.joint is None
            and pixels[i] >= _LEAST_PIXELS
            and thing.mass_kg <= _HEAVIEST
            and _GRASPABLE[0] <= min(thing.dimensions_m) <= _GRASPABLE[1]
        ]
        if fit:
            yield example, max(fit, key=lambda i: pixels[i])
            count += 1
        if count == limit:
            return


def seen_as(example: SceneExample, number: int, way: str) -> PerceivedScene:
    """The scene with one thing, completed in one way."""
    scene, thing = example.scene, example.things[number]
    T = scene.camera.T_world_camera
    assert T is not None
    v, u = np.nonzero((example.instances == number + 1) & (scene.depth > 0))
    world = scene.camera.unproject(scene.depth) @ T[:3, :3].T + T[:3, 3]
    points = world[v, u]
    if way == "truth":
        kept = farthest_point_indices(thing.points_world, _POINTS)
        completed, normals = thing.points_world[kept], thing.normals_object[kept] @ thing.T_world_object[:3, :3].T
    else:
        completed, normals = complete(points, scene.depth, scene.camera, T, _POINTS, way=way)
    cloud = ObjectCloud(
        points_world=points,
        colors=scene.color[v, u],
        pixels=np.column_stack([u, v]),
        completed_points_world=completed,
        completed_normals_world=normals,
    )
    valid = scene.depth > 0
    return PerceivedScene(
        T_world_camera=T, points_world=world[valid], colors=scene.color[valid], objects=(cloud,), target=0
    )


def main() -> None:
    """Run and print a line for each hand and way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--hands", nargs="+", default=["shadow"])
    parser.add_argument("--ways", nargs="+", default=["truth", "symmetry", "snowflake"])
    parser.add_argument("--limit", type=int, default=40)
    options = parser.parse_args()
    pipeline = Pipeline()
    chosen = list(things(options.scenes, options.limit))
    for name in options.hands:
        hand = load_hand(name)
        for way in options.ways:
            held, errors, seconds = [], [], []
            for example, number in chosen:
                thing = example.things[number]
                R = thing.T_world_object[:3, :3]
                middle = (thing.points_world.min(axis=0) + thing.points_world.max(axis=0)) / 2
                T_world_true = np.eye(4)
                T_world_true[:3, 3] = middle
                true = perceived_of_cloud(thing.points_world - middle, thing.normals_object @ R.T, T_world_true)
                start = time.perf_counter()
                perceived = seen_as(example, number, way)
                seconds.append(time.perf_counter() - start)
                errors.append(1000 * chamfer(perceived.target_object.completed_points_world, thing.points_world))
                try:
                    plan = Verbs().plan(perceived, WORDS)
                    pose = InitialPose(T_world_palm=pregrasp(plan), qpos=hand.rest_qpos.numpy().copy())
                    motion = pipeline.follow(plan, hand, pose).motion
                    _, facts = choose([motion], true, "grab", criterion="light", hand=hand.description)
                    held.append(bool(facts["success"]))
                except ValueError as error:
                    print(f"{example.scene.name} {thing.family}: {error}")
                    held.append(False)
            share, low, high = wilson(sum(held), len(held))
            print(
                f"{name:8s} {way:10s} n {len(held)}  holds {share:.2f} [{low:.2f}, {high:.2f}]  "
                f"Chamfer {np.mean(errors):.1f} mm  {np.median(seconds):.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
