"""The command line: results for machines and people, and one clear line for every bad input."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from unihm.assets import scene_folder
from unihm.cli import COMMANDS, main
from unihm.geometry.pose import pose_to_vector
from unihm.schema.motion import HandMotion

DEMO = scene_folder("demo")


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refused(capsys, *arguments: str) -> str:
    """Runs a command that must fail; returns its one line."""
    status, out, err = run(capsys, *arguments)
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert status == 2
    assert out == ""
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


@pytest.fixture
def scene(tmp_path):
    shutil.copytree(DEMO, tmp_path / "scene")
    return tmp_path / "scene"


@pytest.fixture
def keypoints(tmp_path):
    from unihm.hands.hand import load_hand

    hand = load_hand("human")
    q = hand.rest_qpos.expand(6, -1)
    np.save(tmp_path / "keypoints.npy", hand.keypoints(q).numpy())
    return tmp_path / "keypoints.npy"


def test_every_command_has_a_line_in_the_overview(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0
    for name, entry in COMMANDS.items():
        for words in [name] if callable(entry) else [f"{name} {sub}" for sub in entry]:
            assert f"  {words} " in out


def test_unknown_commands_and_hands_are_answered_with_the_nearest(capsys):
    assert "Did you mean 'retarget'?" in refused(capsys, "retaget")
    assert "Did you mean 'allegro'?" in refused(capsys, "hands", "show", "alegro")
    assert "Did you mean 'shadow'?" in refused(capsys, "generate", DEMO, "lift it", "--hand", "shadov")


def test_hands(capsys):
    status, out, _ = run(capsys, "hands", "list", "--json")
    names = {row["name"] for row in json.loads(out)["hands"]}
    assert status == 0
    assert {"shadow", "allegro", "panda", "human"} <= names
    status, out, _ = run(capsys, "hands", "show", "shadow", "--json")
    assert len(json.loads(out)["joints"]) == 22


def test_retarget_translate_and_tokens(capsys, tmp_path, keypoints):
    motion = tmp_path / "shadow.npz"
    status, out, _ = run(capsys, "retarget", keypoints, "--hand", "shadow", "--out", motion, "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["frames"] == 6
    assert facts["limit_violations"] == 0
    assert facts["fingertip_mm"] < 25

    status, out, _ = run(capsys, "translate", motion, "--to", "allegro", "--json")
    assert status == 0
    assert json.loads(out)["to"] == "allegro"
    assert (tmp_path / "shadow-allegro.npz").exists()

    status, out, _ = run(capsys, "tokens", motion, "--json")
    facts = json.loads(out)
    assert status == 0
    assert len(facts["codes"]) == 2  # six frames, four a chunk
    status, out, _ = run(capsys, "tokens", facts["out"], "--decode", "human", "--json")
    assert status == 0
    assert json.loads(out)["codes"] == facts["codes"]
    assert (tmp_path / "shadow-tokens-human.npz").exists()


def test_translation_at_a_rate_polished_and_as_a_stream(capsys, tmp_path, keypoints, monkeypatch):
    motion = tmp_path / "shadow.npz"
    run(capsys, "retarget", keypoints, "--hand", "shadow", "--out", motion)
    sizes = {}
    for bits in (13, 40):
        status, out, _ = run(capsys, "translate", motion, "--to", "xhand", "--bits", bits, "--json")
        assert status == 0
        sizes[bits] = json.loads(out)
    assert sizes[13]["bits_per_frame"] <= 13 < sizes[40]["bits_per_frame"] <= 40
    assert "Available: 12.5, 40" in refused(capsys, "translate", motion, "--to", "xhand", "--bits", "2")
    plain = HandMotion.load(tmp_path / "shadow-xhand.npz")
    assert run(capsys, "translate", motion, "--to", "xhand", "--bits", 40, "--polish", 3)[0] == 0
    polished = HandMotion.load(tmp_path / "shadow-xhand.npz")
    assert 0 < np.abs(polished.qpos - plain.qpos).max() < 1.0
    assert "go together" in refused(capsys, "translate", "-", "--to", "xhand")
    source = HandMotion.load(motion)
    lines = [
        json.dumps({"qpos": q.tolist(), "palm": pose_to_vector(T).tolist()})
        for q, T in zip(source.qpos, source.T_world_palm, strict=True)
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines)))
    status, out, _ = run(capsys, "translate", "-", "--stream", "shadow", "--to", "xhand", "--bits", 40)
    frames = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert ["codes" in frame for frame in frames] == [True, False, False, False, True, False]
    np.testing.assert_allclose([frame["qpos"] for frame in frames], plain.qpos, atol=1e-4)
    monkeypatch.setattr("sys.stdin", io.StringIO(lines[0] + '\n{"qpos": [1]}'))
    assert "Line 2 is no frame" in refused(capsys, "translate", "-", "--stream", "shadow", "--to", "xhand")


def test_edited_tokens_and_the_picture_of_the_codebook(capsys, tmp_path, keypoints):
    motion = tmp_path / "human.npz"
    run(capsys, "retarget", keypoints, "--hand", "human", "--out", motion)
    facts = json.loads(run(capsys, "tokens", motion, "--json")[1])
    facts["codes"][1][0] = (facts["codes"][1][0] + 7) % 1024
    (tmp_path / "edited.json").write_text(json.dumps(facts))
    status, out, _ = run(capsys, "tokens", tmp_path / "edited.json", "--decode", "leap", "--json")
    assert status == 0
    assert len(HandMotion.load(json.loads(out)["decoded"])) == 6
    facts["codes"][1][0] = 5000
    (tmp_path / "edited.json").write_text(json.dumps(facts))
    assert "the codebook has 0..1023" in refused(capsys, "tokens", tmp_path / "edited.json", "--decode", "leap")
    for name in ("codes.png", "codes.html"):
        status, out, _ = run(capsys, "tokens", "codebook", "--out", tmp_path / name, "--json")
        assert status == 0
        assert min(json.loads(out)["used"]) > 500
        assert (tmp_path / name).stat().st_size > 20_000
    assert "a .png or .html file" in refused(capsys, "tokens", "codebook", "--out", tmp_path / "codes.svg")


def test_a_sequence_of_one_frame_is_fine(capsys, tmp_path, keypoints):
    np.save(tmp_path / "one.npy", np.load(keypoints)[:1])
    status, out, _ = run(capsys, "retarget", tmp_path / "one.npy", "--out", tmp_path / "one.npz", "--json")
    assert status == 0
    assert json.loads(out)["frames"] == 1
    assert run(capsys, "translate", tmp_path / "one.npz", "--to", "human")[0] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda k: k[:, :20], "21"),
        (lambda k: k[0], "21"),
        (lambda k: np.where(np.arange(21)[:, None] == 3, np.nan, k), "finite|NaN"),
        (lambda k: k * 1000, "metres|millimet"),
        (lambda k: k[:0], "frame|empty|21"),
    ],
    ids=["20 points", "no time", "nan", "millimetres", "empty"],
)
def test_bad_keypoints(capsys, tmp_path, keypoints, change, words):
    import re

    np.save(tmp_path / "bad.npy", change(np.load(keypoints)))
    out = tmp_path / "result" / "m.npz"
    assert re.search(words, refused(capsys, "retarget", tmp_path / "bad.npy", "--out", out))
    assert not out.exists()


def test_damaged_motion_and_kinds(capsys, tmp_path, keypoints):
    motion = tmp_path / "m.npz"
    assert run(capsys, "retarget", keypoints, "--out", motion)[0] == 0
    assert "no object" in refused(capsys, "refine", motion)
    motion.write_bytes(motion.read_bytes()[:300])
    assert "m.npz' is damaged" in refused(capsys, "translate", motion, "--to", "human")
    assert "does not exist" in refused(capsys, "refine", tmp_path / "none.npz")
    assert "--to needs" in refused(capsys, "translate", motion)


@pytest.fixture
def grasp(tmp_path):
    """A scripted grasp of a box, with the normals that refinement needs."""
    from scripted_motions import BOX, box_grab

    motion = box_grab()
    points = motion.object_points
    normals = np.where(np.abs(points) > BOX / 2 - 1e-9, np.sign(points), 0.0)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    motion.replace(object_normals=normals, qpos_target=None).save(tmp_path / "grasp.npz")
    return tmp_path / "grasp.npz"


def test_refine_tries_candidates_on_the_motions_own_cloud(capsys, tmp_path, grasp):
    from unihm.schema.motion import HandMotion

    arguments = ("refine", grasp, "--candidates", 3, "--criterion", "light", "--seed", 2)
    status, out, _ = run(capsys, *arguments, "--json")
    facts = json.loads(out)
    assert status == 0
    assert facts["mode"] == "joint"
    tried = facts["simulation"]
    assert (tried["task"], tried["criterion"], tried["candidates"]) == ("grab", "light", 3)
    assert 0 <= tried["chosen"] < 3
    assert len(tried["outcomes"]) == 3
    assert "3" in tried["why"]
    first = HandMotion.load(tmp_path / "grasp-refined.npz")
    status, out, _ = run(capsys, *arguments, "--out", tmp_path / "again.npz")
    assert status == 0
    assert f"candidate {tried['chosen']} of 3: {tried['why']}" in out
    assert out.splitlines()[-1] == f"out: {tmp_path / 'again.npz'}"
    np.testing.assert_array_equal(HandMotion.load(tmp_path / "again.npz").qpos, first.qpos)


def test_refine_in_both_modes_and_at_its_own_pace(capsys, grasp):
    from unihm.schema.motion import HandMotion

    frames = len(HandMotion.load(grasp))
    for options, mode in ((("--no-timing",), "joint"), (("--mode", "causal"), "causal")):
        status, out, _ = run(capsys, "refine", grasp, *options, "--json")
        facts = json.loads(out)
        assert status == 0
        assert facts["mode"] == mode
        assert "simulation" not in facts
        assert len(HandMotion.load(facts["out"])) == frames


def test_what_refine_and_candidates_cannot_do(capsys, tmp_path, grasp):
    from unihm.schema.motion import HandMotion

    motion = HandMotion.load(grasp)
    assert "Did you mean 'causal'?" in refused(capsys, "refine", grasp, "--mode", "causl")
    assert "candidates is 0, expected at least 1" in refused(capsys, "refine", grasp, "--candidates", 0)
    assert "workers is 0, expected at least 1" in refused(capsys, "refine", grasp, "--candidates", 2, "--workers", 0)
    assert "--task 'grip' not found" in refused(capsys, "refine", grasp, "--candidates", 2, "--task", "grip")
    assert "Criterion 'soft' not found" in refused(capsys, "refine", grasp, "--candidates", 2, "--criterion", "soft")
    for changes, words in (
        ({"object_points": None, "object_normals": None}, "give the object's mesh with --object"),
        ({"object_points": motion.object_points[:3], "object_normals": motion.object_normals[:3]}, "has 3 points"),
        ({"T_world_object": None}, "no object path"),
    ):
        motion.replace(**changes).save(tmp_path / "bad.npz")
        assert words in refused(capsys, "refine", tmp_path / "bad.npz", "--candidates", 2)
    assert not list(tmp_path.glob("*-refined.npz"))
    assert "candidates is 0" in refused(capsys, "generate", DEMO, "lift it", "--candidates", 0)
    assert "workers is 0" in refused(capsys, "generate", DEMO, "lift it", "--candidates", 2, "--workers", 0)


def test_generate_says_whether_it_works(capsys, tmp_path):
    arguments = ("generate", DEMO, "lift the yellow bottle", "--hand", "panda", "--out", tmp_path / "o")
    status, out, _ = run(capsys, *arguments, "--simulate", "--criterion", "light")
    assert status == 0
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    parts = {"perception": "cliport", "completion": "snowflake", "planner": "grounded", "generator": "qwen3-tiny"}
    assert report["parts"] == parts
    assert "parts: perception cliport, completion snowflake, planner grounded, generator qwen3-tiny" in out
    assert np.asarray(Image.open(tmp_path / "o" / "overlay.png")).shape[0] > 480
    facts = report["simulation"]
    result = "success" if facts["success"] else f"failed: {facts['reason']}"
    assert f"grab on the perceived object (light): {result}" in out
    assert (facts["candidates"], facts["why"]) == (1, "There was no other.")
    assert "Criterion 'soft' not found" in refused(capsys, *arguments, "--simulate", "--criterion", "soft")


def test_plan_writes_its_pictures_and_says_its_parts(capsys, tmp_path):
    status, out, _ = run(capsys, "plan", DEMO, "lift the yellow bottle", "--out", tmp_path / "o", "--json")
    assert status == 0
    assert json.loads(out)["parts"] == {"perception": "cliport", "completion": "snowflake", "planner": "grounded"}
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["overlay.png", "plan.html", "plan.npz"]


def test_geometry_alone_is_there_as_well(capsys, tmp_path):
    options = ("--perception", "tabletop", "--out", tmp_path / "o", "--json")
    status, out, _ = run(capsys, "plan", DEMO, "lift the yellow bottle", *options)
    assert status == 0
    assert json.loads(out)["parts"] == {"perception": "tabletop", "completion": "snowflake", "planner": "verbs"}


def _resize(name):
    def change(scene):
        path = scene / name
        Image.open(path).resize((320, 240)).save(path)

    return change


def _camera(**changes):
    def change(scene):
        camera = json.loads((scene / "camera.json").read_text())
        for key, value in changes.items():
            if value is None:
                camera.pop(key)
            else:
                camera[key] = value
        (scene / "camera.json").write_text(json.dumps(camera))

    return change


def _zero_depth(scene):
    size = Image.open(scene / "depth.png").size
    Image.fromarray(np.zeros(size[::-1], np.uint16)).save(scene / "depth.png")


@pytest.mark.parametrize(
    "change",
    [
        lambda scene: (scene / "color.png").unlink(),
        lambda scene: (scene / "depth.png").unlink(),
        lambda scene: (scene / "camera.json").unlink(),
        lambda scene: (scene / "color.png").write_bytes(b"not an image"),
        lambda scene: (scene / "camera.json").write_text("{"),
        _resize("color.png"),
        _resize("depth.png"),
        _zero_depth,
        _camera(fx=None),
        _camera(fx=-1.0),
        _camera(width=17),
        _camera(depth_scale=0),
        _camera(T_world_camera=[[1, 0], [0, 1]]),
        _camera(T_world_camera=np.diag([2.0, 1, 1, 1]).tolist()),
    ],
    ids=[
        "no colour",
        "no depth",
        "no camera",
        "not an image",
        "broken json",
        "small colour",
        "small depth",
        "zero depth",
        "no fx",
        "negative fx",
        "wrong width",
        "zero scale",
        "2x2 pose",
        "scaled pose",
    ],
)
def test_bad_scenes_leave_nothing_behind(capsys, tmp_path, scene, change):
    change(scene)
    out = tmp_path / "out"
    refused(capsys, "plan", scene, "lift it", "--point", "320,240", "--out", out)
    assert not list(out.glob("*")) if out.exists() else True


def test_words_and_pixels_that_say_nothing(capsys, tmp_path, scene):
    for instruction in ("", "   "):
        assert "nstruction" in refused(capsys, "plan", scene, instruction, "--out", tmp_path / "o")
    assert "U,V" in refused(capsys, "plan", scene, "lift it", "--point", "middle")
    assert "outside the image" in refused(
        capsys, "plan", scene, "lift it", "--point", "9000,10", "--out", tmp_path / "o"
    )
    refused(capsys, "plan", scene, "contemplate the thing", "--point", "320,240", "--out", tmp_path / "o")
    assert "does not exist" in refused(capsys, "plan", tmp_path / "nowhere", "lift it")


def test_an_output_folder_that_cannot_be_written(capsys, tmp_path, scene):
    (tmp_path / "file").write_text("")
    assert "Cannot write" in refused(capsys, "generate", scene, "lift it", "--out", tmp_path / "file" / "deep")


def test_damaged_data(capsys, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    refused(capsys, "data", "info", store)
    refused(capsys, "data", "info", tmp_path / "none")
    refused(capsys, "data", "import", "dexicb", tmp_path, store)
    refused(capsys, "data", "import", "dexycb", tmp_path, store)


def test_the_installed_command_answers():
    done = subprocess.run([sys.executable, "-m", "unihm.cli", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Command 'nonsense' not found.")


def test_settings_of_words_are_checked_before_anything_is_read(capsys, tmp_path):
    asked = ("eval", "simulation", "--data", tmp_path / "none", "--models", tmp_path, "--setting")
    assert "Did you mean 'perceived'" in refused(capsys, *asked, "percieved")
    assert "--task, --repeats and --setting" not in refused(capsys, *asked, "true")
    assert "--repeats and --setting do not go together" in refused(capsys, *asked, "true", "--repeats", 2)
    assert "Column 'lift' not found" in refused(capsys, *asked, "true", "--column", "lift")
    assert "--setting is for split 'release'" in refused(capsys, *asked, "true", "--split", "s1")


def test_what_is_kept_of_a_planner_is_a_share_of_one_that_there_is(capsys, tmp_path):
    assert "--keep is 1; expected 0 to less than 1" in refused(
        capsys, "train", "planner", "--finetune", tmp_path, "--keep", 1
    )
    assert "--keep is 0.5" in refused(capsys, "train", "planner", "--data", tmp_path, "--keep", 0.5)
    assert "--only-words keeps a network" in refused(capsys, "train", "planner", "--data", tmp_path, "--only-words")
