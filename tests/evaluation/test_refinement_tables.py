"""The refinement table on a small made-up store, where the right figures are known."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.spatial.transform import Rotation

from unihm.datasets.episode_store import write_episodes
from unihm.datasets.motion_store import write_motions
from unihm.datasets.object_model import load_surface
from unihm.evaluation import refinement
from unihm.evaluation.refinement import at_frames, evaluate_refinement
from unihm.evaluation.refinement_tables import text, write_tables
from unihm.hands.description import describe_hand
from unihm.retargeting.problem import points_at
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion

FRAMES, LIFT = 28, 16
OBJECTS = ("061_foam_brick", "036_wood_block")
HALF = np.array([0.02, 0.03, 0.05])


def panda_motion(depth: float) -> tuple[HandMotion, np.ndarray]:
    """A gripper about a box whose pads stand so far (m) in its faces, which it lifts by 20 cm, and the box's path."""
    hand = describe_hand("panda")
    opening = HALF[1] - depth  # of each finger: the box's y is the fingers' direction
    T_hand_object = np.eye(4)
    T_hand_object[2, 3] = 0.0584 + 0.04 + HALF[2]  # fingers begin 58.4 mm from the hand's origin
    T_world_object = np.tile(np.eye(4), (FRAMES, 1, 1))
    T_world_object[:, 2, 3] = HALF[2] + 0.2 * np.clip((np.arange(FRAMES) - LIFT) / 8, 0, 1)
    T_world_object[:, :3, :3] = np.diag([1.0, -1.0, -1.0])  # held from above
    T_world_palm = T_world_object @ np.linalg.inv(T_hand_object) @ hand.T_root_palm
    motion = HandMotion(
        hand="panda",
        fps=30.0,
        joint_names=hand.joint_names,
        qpos=np.full((FRAMES, 1), opening),
        T_world_palm=T_world_palm,
    )
    return motion, T_world_object


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> tuple[Path, Path]:
    """Six recordings of two boxes, two of them unseen; the gripper is 1 mm (brick) or 2 mm (block) in them."""
    root = tmp_path_factory.mktemp("refinement")
    for name in OBJECTS:
        folder = root / "models" / name
        folder.mkdir(parents=True)
        trimesh.creation.box(2 * HALF).export(folder / "mesh_simplified.obj")
    points, normals = load_surface(root / "models" / OBJECTS[0] / "mesh_simplified.obj", 256)
    human = describe_hand("human")
    links = [human.chain.point(item.link, np.array(item.xyz)) for item in human.keypoints]
    keypoints = np.tile(points_at(human.chain, human.rest_qpos, links), (FRAMES, 1, 1))
    episodes, motions = [], {}
    for i in range(6):
        unseen = i >= 4
        motion, path = panda_motion(0.002 if unseen else 0.001)
        episodes.append(
            Episode(
                id=f"made/{i}",
                recording=f"made/{i}",
                dataset="made",
                subject="nobody",
                object_name=OBJECTS[unseen],
                mirrored=False,
                fps=30.0,
                keypoints_world=keypoints + np.array([0.0, 0.0, 5.0]),
                T_world_object=path,
                object_points=points,
                object_normals=normals,
                T_world_camera=np.eye(4),
                instructions=tuple(f"lift it, way {k}" for k in range(5)),
                contact_frame=LIFT - 6,
                lift_frame=LIFT,
                attributes={"object_position": str(11 if unseen else 3), "unihm_split": "valid", "trial": "0"},
            )
        )
        if i != 3:
            motions[f"made/{i}"] = motion
    write_episodes(root / "data", episodes)
    write_motions(root / "data", "panda", motions)
    return root / "data", root / "models"


def rows_by(rows):
    return {(row["split"], row["hand"], row["variant"]): row for row in rows}


def test_rows_of_known_motions(store):
    data, models = store
    rows = rows_by(evaluate_refinement(data, models, "release", ["panda"], variants=["human", "retargeted"], workers=1))
    assert set(rows) == {
        (f"release/{part}", hand, variant)
        for part in ("seen", "unseen")
        for hand, variant in (("human", "human"), ("panda", "retargeted"))
    }
    seen, unseen = rows["release/seen", "panda", "retargeted"], rows["release/unseen", "panda", "retargeted"]
    assert (seen["n"], seen["skipped"]) == (3, 1)
    assert (unseen["n"], unseen["skipped"]) == (2, 0)
    assert seen["penetration_mean_mm"] == pytest.approx(1.0, abs=1e-3)
    assert unseen["penetration_max_mm"] == pytest.approx(2.0, abs=1e-3)
    assert seen["contact_ratio"] == 1
    assert seen["slip_mm_per_frame"] == pytest.approx(0, abs=1e-4)  # stored poses have seven digits
    assert seen["limit_violations"] == seen["self_penetration_mm"] == 0
    assert seen["ms_per_frame"] is None
    assert seen["penetration_mean_mm_ci"] == pytest.approx([1.0, 1.0], abs=1e-3)
    person = rows["release/seen", "human", "human"]
    assert person["n"] == 4
    assert person["contact_ratio"] == person["penetration_mean_mm"] == 0  # far away
    assert person["limit_violations"] is None


def told(frame_of: np.ndarray | None = None) -> SimpleNamespace:
    """What of a refinement's report is read here."""
    return SimpleNamespace(
        ms_per_frame=0.25, frame_of=tuple(np.arange(FRAMES, dtype=float) if frame_of is None else frame_of)
    )


def test_new_ways_to_refine_are_one_line(store, monkeypatch):
    data, models = store
    asked = []

    def refine(motion, hand, **options):
        asked.append((motion.source, hand.name, options))
        T = motion.T_world_palm.copy()
        T[0, 0, 3] += 0.004  # before contact
        return motion.replace(qpos=motion.qpos + 0.0005, T_world_palm=T), told()

    monkeypatch.setattr(refinement, "refine", refine)
    monkeypatch.setattr(refinement, "REFINEMENTS", {"wider": {"mode": "causal"}})
    monkeypatch.setattr(refinement, "VARIANTS", ("human", "retargeted", "retargeted + wider"))
    rows = rows_by(
        evaluate_refinement(
            data, models, "release", ["panda"], variants=["retargeted+wider"], parts=["seen"], workers=1
        )
    )
    assert asked == [(f"made/{i}", "panda", {"mode": "causal"}) for i in range(3)]
    row = rows["release/seen", "panda", "retargeted + wider"]
    assert row["penetration_mean_mm"] == pytest.approx(0.5, abs=1e-3)
    assert row["ms_per_frame"] == pytest.approx(0.25)
    assert row["motion_change_max_mm"] == pytest.approx(4.0)


def test_stretched_motions_are_compared_frame_by_frame(store, monkeypatch):
    data, models = store
    frame_of = np.arange(0, FRAMES - 0.9, 0.5)

    def refine(motion, hand, mode):
        longer = at_frames(motion, frame_of)
        if mode == "causal":
            return motion, told()
        T = longer.T_world_palm.copy()
        T[:2, 0, 3] += 0.004  # before contact
        return longer.replace(T_world_palm=T), told(frame_of)

    monkeypatch.setattr(refinement, "refine", refine)
    names = ["retargeted", "retargeted + causal", "retargeted + joint"]
    rows = rows_by(evaluate_refinement(data, models, "release", ["panda"], variants=names, parts=["seen"], workers=1))
    plain, same, longer = (rows["release/seen", "panda", name] for name in names)
    measured = ("penetration_mean_mm", "penetration_max_mm", "contact_ratio", "slip_mm_per_frame")
    assert {name: same[name] for name in measured} == {name: plain[name] for name in measured}
    assert same["motion_change_max_mm"] == pytest.approx(0, abs=1e-9)
    assert longer["penetration_mean_mm"] == pytest.approx(plain["penetration_mean_mm"], abs=1e-3)
    assert longer["contact_ratio"] == 1
    assert longer["motion_change_max_mm"] == pytest.approx(4.0)
    assert 0 < longer["motion_change_mm"] < 4.0


def test_between_frames():
    motion, path = panda_motion(0.001)
    turned = path.copy()
    turned[:, :3, :3] = Rotation.from_rotvec(np.radians(10) * np.arange(FRAMES)[:, None] * [0, 0, 1]).as_matrix()
    motion = motion.replace(T_world_object=turned, contact_phase=np.linspace(0, 1, FRAMES))
    same = at_frames(motion, np.arange(FRAMES, dtype=float))
    for name in ("qpos", "T_world_palm", "T_world_object", "contact_phase"):
        assert getattr(same, name) == pytest.approx(getattr(motion, name), abs=1e-12)
    assert same.qpos_target is None
    between = at_frames(motion, np.array([-1.0, 2.25, 20.5, 99.0])).T_world_object
    assert between is not None
    yaw = Rotation.from_matrix(between[:, :3, :3]).as_euler("zyx", degrees=True)[:, 0]
    assert yaw == pytest.approx([0.0, 22.5, -155.0, -90.0])
    assert between[2, 2, 3] == pytest.approx((path[20, 2, 3] + path[21, 2, 3]) / 2)


def test_real_refinement(store):
    data, models = store
    names = ["retargeted", "retargeted + causal", "retargeted + joint"]
    options = {"excluded": ("made/5",), "parts": ["unseen"], "progress": False}
    rows = evaluate_refinement(data, models, "release", ["panda"], variants=names, **options, workers=1)
    assert [row["n"] for row in rows] == [1, 1, 1]
    for row in rows[1:]:
        assert row["ms_per_frame"] > 0
        assert row["penetration_mean_mm"] is not None
        assert row["motion_change_max_mm"] is not None
    spread = evaluate_refinement(data, models, "release", ["panda"], variants=names[:1], **options, workers=2)
    assert spread == rows[:1]


def test_bad_requests_are_refused(store):
    data, models = store

    def ask(**changes):
        options = {"data": data, "models": models, "split": "release", "hands": ["panda"], "workers": 1}
        return evaluate_refinement(**{**options, **changes})

    with pytest.raises(ValueError, match="Did you mean 'retargeted'"):
        ask(variants=["retarget"])
    with pytest.raises(ValueError, match="need a generator"):
        ask(variants=["generated"])
    with pytest.raises(ValueError, match="of hand 'shadow' not found"):
        ask(hands=["shadow"])
    with pytest.raises(ValueError, match=r"holds neither mesh_simplified\.obj nor points\.xyz"):
        ask(models=models / "nowhere")
    with pytest.raises(ValueError, match="no motion of 'panda' for part 'seen'"):
        ask(excluded=("made/0", "made/1", "made/2"))
    with pytest.raises(ValueError, match="no recording of part 'validation'"):
        ask(parts=["validation"])


def test_files_agree(tmp_path):
    base = {"split": "release/seen", "hand": "toy", "n": 3, "skipped": 0, "self_penetration_mm": None}
    rows = [
        {
            **base,
            "variant": name,
            "penetration_mean_mm": value,
            "penetration_mean_mm_ci": [value - 0.5, value + 0.25],
            "penetration_max_mm": 4 * value,
            "contact_ratio": 0.875,
            "contact_ratio_ci": [0.8, 0.9],
            "slip_mm_per_frame": None,
        }
        for name, value in (("retargeted", 3.0), ("retargeted + joint", 0.75))
    ]
    shown = text(rows)
    assert "3.00 [2.50, 3.25]" in shown
    assert "0.88 [0.80, 0.90]" in shown
    assert "no motion" not in shown
    assert "self mm" not in shown
    assert text([]) == "no rows"
    facts = {"command": "unihm eval refinement", "seed": 0, "rows": rows}
    write_tables(facts, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["table.csv", "table.json", "table.png", "table.txt"]
    assert json.loads((tmp_path / "out" / "table.json").read_text()) == facts
    lines = list(csv.DictReader((tmp_path / "out" / "table.csv").open()))
    assert [float(line["penetration_mean_mm_ci_low"]) for line in lines] == [2.5, 0.25]
    assert shown in (tmp_path / "out" / "table.txt").read_text()
    assert min(Image.open(tmp_path / "out" / "table.png").size) > 100
    with pytest.raises(ValueError, match="no rows"):
        write_tables({"rows": []}, tmp_path / "none")


def test_the_command(store, capsys, tmp_path):
    from unihm.cli import main

    data, models = (str(path) for path in store)
    words = ["eval", "refinement", "--data", data, "--models", models, "--hand", "panda", "--workers", "1"]
    assert main([*words, "--variants", "human", "retargeted", "--quick", "--json", "--out", str(tmp_path / "o")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["quick"] is True
    assert [row["n"] for row in facts["rows"]] == [2, 1, 2, 2]  # quick: two of each part, one without a motion
    assert [row["variant"] for row in facts["rows"]] == ["human", "retargeted"] * 2
    assert (tmp_path / "o" / "table.png").is_file()
    assert main([*words, "--variants", "nothing"]) == 2
    assert "error: Variant 'nothing' not found." in capsys.readouterr().err
