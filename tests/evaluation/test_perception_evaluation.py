"""`unihm eval perception` against seeing that knows the truth, and seeing that errs in a known way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unihm.cli import main
from unihm.evaluation.perception import evaluate_perception, rows_of, summary
from unihm.scene_data.store import read_scenes
from unihm.scenes.records import Asking, SceneExample
from unihm.schema.asked import Asked
from unihm.schema.scene import ObjectCloud, PerceivedScene, Scene
from unihm.schema.task import FAMILY


class Truth:
    """Sees what the scenes were made from."""

    completion = "truth"

    def __init__(self, data: Path, *, others: int = 0, lost: int = 0, task: str = ""):
        self.examples = {example.scene.name: example for example in read_scenes(data)}
        self.others, self.lost, self.task = others, lost, task

    def perceive(self, scene: Scene, instruction: str, point=None, box=None) -> PerceivedScene:
        example = self.examples[scene.name]
        asking = next(one for one in example.askings if one.instruction == instruction)
        if len(asking.targets) != 1:
            raise ValueError("None, or several.")
        T = scene.camera.T_world_camera
        assert T is not None
        points = scene.camera.unproject(scene.depth) @ T[:3, :3].T + T[:3, 3]
        objects = [self._cloud(example, i, points) for i in range(len(example.things))]
        target = (asking.targets[0] + self.others) % len(objects)
        return PerceivedScene(
            T_world_camera=T,
            points_world=points[scene.depth > 0],
            colors=scene.color[scene.depth > 0],
            objects=tuple(objects),
            target=target,
            asked=self._asked(example, asking),
        )

    def _asked(self, example: SceneExample, asking: Asking) -> Asked:
        thing = example.things[asking.targets[0]]
        handle = None if thing.joint is None else thing.T_world_object
        return Asked(
            task=self.task or asking.task,
            relation=asking.relation,
            reference=asking.reference,
            joint=thing.joint,
            T_world_handle=handle,
        )

    def _cloud(self, example: SceneExample, number: int, points: np.ndarray) -> ObjectCloud:
        mask = example.instances == number + 1
        if example.things[number].joint is not None:
            mask &= example.handles
        v, u = np.nonzero(mask & (example.scene.depth > 0))
        v, u = (x[self.lost * len(x) // 100 :] for x in (v, u))
        return ObjectCloud(
            points_world=points[v, u],
            colors=example.scene.color[v, u],
            pixels=np.column_stack([u, v]),
            completed_points_world=example.things[number].points_world,
            completed_normals_world=np.zeros((len(example.things[number].points_world), 3)),
        )


def one_target(data: Path) -> list[Asking]:
    return [one for example in read_scenes(data) for one in example.askings if len(one.targets) == 1]


def test_the_truth_is_right_in_everything_that_is_judged_of_it(made_scenes):
    row = summary(evaluate_perception(made_scenes, Truth(made_scenes)), {})
    assert (row["target_accuracy"], row["refused"], row["task_accuracy"]) == (1.0, 0.0, 1.0)
    assert row["iou"] == 1.0
    assert row["pick_mm"] < 1e-9
    assert row.get("asks", 1.0) == 1.0
    assert row["n"] <= len(one_target(made_scenes))
    assert row["target_accuracy_ci"][0] < 1.0


def test_a_third_of_the_mask_lost_is_a_third_of_the_overlap(made_scenes):
    row = summary(evaluate_perception(made_scenes, Truth(made_scenes, lost=33)), {})
    assert row["iou"] == pytest.approx(0.67, abs=0.01)


def test_the_neighbour_is_wrong(made_scenes):
    results = evaluate_perception(made_scenes, Truth(made_scenes, others=1))
    assert {r.answer for r in results} <= {"wrong", "asks"}
    assert summary(results, {})["target_accuracy"] == 0.0


def test_another_family_is_told(made_scenes):
    asked = one_target(made_scenes)
    row = summary(evaluate_perception(made_scenes, Truth(made_scenes, task="grab")), {})
    grabs = np.mean([FAMILY[one.task] == "grab" for one in asked])
    assert row["task_accuracy"] == pytest.approx(grabs, abs=0.1)


def test_rows_tell_how_the_target_was_told(made_scenes):
    results = evaluate_perception(made_scenes, Truth(made_scenes))
    rows = {row["told"]: row["n"] for row in rows_of(results, "made")}
    assert rows["all"] == sum(n for told, n in rows.items() if told in ("by name", "by class", "by attributes")) + sum(
        r.refers_by.startswith("name and") for r in results if r.answer == "right"
    )


def test_the_command_prints_a_row_for_each_way(made_scenes, tiny_planner, capsys, tmp_path):
    options = ["--data", str(made_scenes), "--weights", str(tiny_planner), "--out", str(tmp_path), "--json"]
    assert main(["eval", "perception", *options]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert rows[0]["told"] == "all"
    assert rows[0]["perception"] == "cliport"
    assert 0 <= rows[0]["target_accuracy"] <= 1
    assert (tmp_path / "table.csv").is_file()
    assert Image.open(tmp_path / "table.png").width > 300
