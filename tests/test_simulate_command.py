"""`unihm simulate`: results for machines and people, files, and one line for what a user got wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from scripted_motions import BOX, box_grab, box_push, handle_motion
from unihm.cli import main
from unihm.simulation.fixtures import Drawer


def run(capsys, *arguments) -> tuple[int, str, str]:
    status = main(["simulate", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refused(capsys, *arguments) -> str:
    status, out, err = run(capsys, *arguments)
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (status, out, len(lines)) == (2, "", 1), err
    return lines[0]


@pytest.fixture
def grab(tmp_path) -> Path:
    box_grab().save(tmp_path / "grab.npz")
    return tmp_path / "grab.npz"


def _mesh(path: Path, scale: float = 1.0) -> Path:
    import trimesh

    trimesh.creation.box(extents=[BOX * scale] * 3).export(path)
    return path


def test_a_success_with_all_files(capsys, tmp_path, grab):
    out, sheet = tmp_path / "made" / "report.json", tmp_path / "sheet.png"
    mesh = _mesh(tmp_path / "box.obj")
    status, text, _ = run(capsys, grab, "--object", mesh, "--mass", 0.1, "--out", out, "--sheet", sheet, "--json")
    facts = json.loads(text)
    assert status == 0
    assert facts["success"] is True
    assert facts["reason"] == ""
    assert (facts["task"], facts["criterion"], facts["friction"], facts["noise"]) == ("grab", "full", 0.8, 0.0)
    assert facts["mass_kg"] == 0.1
    assert facts["measures"]["height_mm"] == pytest.approx(150, abs=2)
    assert {name: facts[name] for name in json.loads(out.read_text())} == json.loads(out.read_text())
    assert sheet.stat().st_size > 5000


def test_a_mesh_in_millimetres(capsys, tmp_path, grab):
    mesh = _mesh(tmp_path / "box.obj", 1000)
    assert "a scale of 0.001" in refused(capsys, grab, "--object", mesh)
    status, text, _ = run(capsys, grab, "--object", mesh, "--scale", 0.001, "--mass", 0.1, "--json")
    assert (status, json.loads(text)["success"]) == (0, True)


def test_a_recorded_object_that_tilts_comes_to_rest_first(capsys, tmp_path):
    motion = box_grab()
    tilt = np.eye(4)
    tilt[:3, :3] = Rotation.from_euler("x", 4, degrees=True).as_matrix()
    assert motion.T_world_object is not None
    motion.replace(T_world_object=motion.T_world_object @ tilt).save(tmp_path / "tilted.npz")
    drift = []
    for flag in ([], ["--at-rest"]):
        status, text, _ = run(capsys, tmp_path / "tilted.npz", "--object", _mesh(tmp_path / "b.obj"), *flag, "--json")
        facts = json.loads(text)
        assert (status, facts["at_rest"]) == (0, bool(flag))
        drift.append(facts["measures"]["drift_deg"])
    assert drift[0] != drift[1]
    handle_motion(Drawer(), 0.13).replace(T_world_object=None).save(tmp_path / "pull.npz")
    line = refused(capsys, tmp_path / "pull.npz", "--task", "pull", "--fixture", "drawer", "--at-rest")
    assert "--at-rest is for a motion with an object path" in line


def test_a_failed_task_is_a_result(capsys, tmp_path):
    box_grab(aside=0.1).save(tmp_path / "beside.npz")
    status, text, err = run(capsys, tmp_path / "beside.npz", "--criterion", "light")
    assert status == 0
    assert text.startswith("grab cloud with panda: failed: missed\n")
    assert "convex hull of the motion's own cloud" in err
    assert "assuming 500 kg/m^3" in err
    _, text, _ = run(capsys, tmp_path / "beside.npz", "--criterion", "light", "--json")
    facts = json.loads(text)
    assert (facts["success"], facts["reason"]) == (False, "missed")
    assert any("convex hull" in note for note in facts["notes"])
    assert facts["mass_kg"] == pytest.approx(500 * BOX**3)


def test_push_slides_the_object_or_moves_a_fixture(capsys, tmp_path):
    box_push().save(tmp_path / "push.npz")
    facts = json.loads(run(capsys, tmp_path / "push.npz", "--task", "push", "--json")[1])
    assert (facts["success"], facts["judged_as"]) == (True, "slide")
    placed = Drawer(T_world_fixture=_pose(0.3, -0.1, 90.0))
    handle_motion(placed, 0.14).save(tmp_path / "pull.npz")
    facts = json.loads(
        run(
            capsys, tmp_path / "pull.npz", "--task", "pull", "--fixture", "drawer",
            "--fixture-pose", "0.3", "-0.1", "90", "--json",
        )[1]
    )  # fmt: skip
    assert (facts["success"], facts["fixture"], facts["judged_as"]) == (True, "drawer", "pull")


def _pose(x: float, y: float, yaw: float) -> np.ndarray:
    T, a = np.eye(4), np.radians(yaw)
    T[:2, :2], T[:2, 3] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]], (x, y)
    return T


def test_candidates_are_tried_on_what_is_perceived(capsys, tmp_path, grab):
    facts = json.loads(run(capsys, grab, "--candidates", 2, "--criterion", "light", "--seed", 5, "--json")[1])
    assert facts["candidates"] == 2
    assert 0 <= facts["chosen"] < 2
    assert 0 <= facts["perceived_successes"] <= 2
    assert facts["success"] is True
    assert "doors and lids are not perceived" in refused(capsys, grab, "--task", "open", "--candidates", 2)


def test_noise_and_follow(capsys, grab):
    arguments = (grab, "--noise", 1, "--criterion", "light", "--json")
    first, again = (json.loads(run(capsys, *arguments)[1]) for _ in range(2))
    assert {k: v for k, v in first.items() if k != "seconds_wall"} == {
        k: v for k, v in again.items() if k != "seconds_wall"
    }
    assert first["motion_follows_object"] is False
    assert json.loads(run(capsys, *arguments, "--follow")[1])["success"] is True


def test_one_line_for_what_is_wrong(capsys, tmp_path, grab):
    assert "Did you mean 'grab'" in refused(capsys, grab, "--task", "grip")
    assert "Fixture 'window' not found" in refused(capsys, grab, "--task", "open", "--fixture", "window")
    assert "--fixture is for pull, push, open and close" in refused(capsys, grab, "--fixture", "door")
    assert "Criterion 'soft' not found" in refused(capsys, grab, "--criterion", "soft")
    assert "does not exist" in refused(capsys, tmp_path / "none.npz")
    assert "does not exist" in refused(capsys, grab, "--object", tmp_path / "none.obj")
    assert "mass" in refused(capsys, grab, "--mass", -1)
    assert "friction" in refused(capsys, grab, "--friction", 0)
    assert "at least 0, got -1" in refused(capsys, grab, "--noise", -1)
    assert "at least one candidate" in refused(capsys, grab, "--candidates", 0)
    assert ".mp4" in refused(capsys, grab, "--video", tmp_path / "film.avi")
    box_grab().replace(object_points=None).save(tmp_path / "bare.npz")
    assert "give the object's mesh with --object" in refused(capsys, tmp_path / "bare.npz")
    box_grab().replace(T_world_object=None).save(tmp_path / "still.npz")
    assert "no object path" in refused(capsys, tmp_path / "still.npz")
    assert "door is shut already" not in refused(capsys, grab, "--task", "pull", "--fixture", "door")
