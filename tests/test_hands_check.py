"""`unihm hands check`: the folder in itself, and beside another description."""

from __future__ import annotations

import json
import shutil

import pytest

from unihm.cli import main
from unihm.hands.checking import check_folder
from unihm.hands.comparing import compare_with_urdf
from unihm.hands.hand import HANDS_FOLDER, list_hands

# tests/hands/test_official.py holds every hand beside its official file, and beside MuJoCo; here the command's own way.
OFFICIAL = {
    "shadow": "shadow/shadow_hand_right.urdf",
    "ability": "ability/ability_hand_right.urdf",
    "panda": "panda/panda_gripper_glb.urdf",
    "svh_left": "svh/schunk_svh_hand_left.urdf",
}


@pytest.fixture
def hand(tmp_path):
    """A copy of an installed hand and a place for the other URDF, which at first is the same."""
    folder = tmp_path / "hand"
    shutil.copytree(HANDS_FOLDER / "allegro", folder)
    shutil.copy(folder / "allegro_right.urdf", tmp_path / "other.urdf")
    return folder


def edit(path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text)


def errors(found) -> dict[str, str]:
    return {finding.what: finding.text for finding in found if finding.status == "error"}


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("name", list_hands())
def test_installed_hands_are_right_in_themselves(name):
    assert errors(check_folder(name)) == {}


@pytest.mark.parametrize("name", OFFICIAL)
def test_installed_hands_beside_the_official_files(name, shared_data):
    if name not in list_hands():
        pytest.skip(f"no folder for {name}")
    found = compare_with_urdf(name, shared_data / "hands_official" / OFFICIAL[name], poses=200)
    wrong = errors(found)
    if name == "svh_left" and not any(finding.status == "known" for finding in found):
        # The official file folds the palm the wrong way; ours does not.
        assert "left_hand_j5" in wrong["mimic"]
        return
    assert wrong == {}
    frames = next(finding for finding in found if finding.what == "link frames")
    assert frames.distance_m is not None
    assert frames.distance_m < 1e-6


def test_a_file_beside_itself_does_not_differ(hand, tmp_path, capsys):
    status, out, _ = run(capsys, "hands", "check", hand, "--urdf", tmp_path / "other.urdf", "--json")
    value = json.loads(out)
    assert status == 0
    assert value["counts"]["error"] == 0
    assert next(f for f in value["findings"] if f["what"] == "link frames")["distance_m"] == 0.0
    status, out, _ = run(capsys, "hands", "check", hand, "--urdf", tmp_path / "other.urdf")
    assert "link frames" in out


def test_a_moved_joint_is_measured(hand, tmp_path, capsys):
    """One millimetre in the last joint moves two links by one millimetre, and turns none."""
    text = (tmp_path / "other.urdf").read_text()
    start = text.index('<joint name="joint_7.0"')
    origin = text.index("xyz=", start)
    xyz = text[origin + 5 : text.index('"', origin + 5)].split()
    moved = " ".join([str(float(xyz[0]) + 1e-3), *xyz[1:]])
    (tmp_path / "other.urdf").write_text(text[: origin + 5] + moved + text[origin + 5 + len(" ".join(xyz)) :])
    found = compare_with_urdf(hand, tmp_path / "other.urdf", poses=50)
    links = {f.text.split("'")[1]: f for f in found if f.status == "error" and "'" in f.text}
    assert set(links) == {"link_7.0", "link_7.0_tip"}
    for finding in links.values():
        assert finding.distance_m == pytest.approx(1e-3, abs=1e-9)
        assert finding.angle_rad == pytest.approx(0.0, abs=1e-9)
    assert next(f for f in found if f.what == "fingertips").distance_m == pytest.approx(1e-3, abs=1e-9)
    status, out, err = run(capsys, "hands", "check", hand, "--urdf", tmp_path / "other.urdf")
    assert status == 2
    assert "error" in out
    assert "are errors" in err
    status, _, _ = run(capsys, "hands", "check", hand, "--urdf", tmp_path / "other.urdf", "--tolerance", "0.002")
    assert status == 0


def test_limits_and_names_that_differ(hand, tmp_path):
    edit(
        tmp_path / "other.urdf",
        ('name="joint_1.0"', 'name="other_1.0"'),
        ('upper="1.71"' if 'upper="1.71"' in (tmp_path / "other.urdf").read_text() else 'upper="1.709"', 'upper="1.5"'),
    )
    wrong = errors(compare_with_urdf(hand, tmp_path / "other.urdf", poses=20))
    assert "other_1.0" in wrong["joints"]
    assert "1.5" in wrong["limits"]


def test_known_differences_are_said_and_not_held_against(tmp_path, shared_data):
    name = "svh_left"
    if name not in list_hands():
        pytest.skip("no svh_left folder")
    shutil.copytree(HANDS_FOLDER / name, tmp_path / name)
    if "known_differences" not in (tmp_path / name / "hand.yaml").read_text():
        with (tmp_path / name / "hand.yaml").open("a") as file:
            file.write("known_differences: {left_hand_j5: the official sign folds the palm outwards}\n")
    found = compare_with_urdf(tmp_path / name, shared_data / "hands_official" / OFFICIAL[name], poses=100)
    assert errors(found) == {}
    assert [finding.what for finding in found if finding.status == "known"] == ["mimic"]


def test_what_a_folder_can_have_wrong(hand):
    assert errors(check_folder(hand)) == {}
    good = (hand / "hand.yaml").read_text()
    edit(hand / "hand.yaml", ("side: right", "side: left"))
    assert "right hand" in errors(check_folder(hand))["side"]
    (hand / "hand.yaml").write_text(good)
    # The palm frame turned by half a turn about its x axis: the palm looks out of the back of the hand.
    edit(hand / "hand.yaml", ("wxyz: [0.0, 0.7071068, 0.0, 0.7071068]", "wxyz: [-0.7071068, 0.0, 0.7071068, 0.0]"))
    assert "+z" in errors(check_folder(hand))["palm frame"]
    (hand / "hand.yaml").write_text(good)
    edit(hand / "hand.yaml", ("index_dip: {link: link_3.0", "index_dip: {link: link_2.0"))
    assert "index_pip and index_dip are in one place" in errors(check_folder(hand))["keypoints"]
    (hand / "hand.yaml").write_text(good)
    edit(hand / "allegro_right.urdf", ('upper="1.6099"', 'upper="92"') if 'upper="1.6099"' in good else _wide(hand))
    assert "degrees" in errors(check_folder(hand))["limits"]


def _wide(hand) -> tuple[str, str]:
    text = (hand / "allegro_right.urdf").read_text()
    place = text.index("upper=", text.index('<joint name="joint_1.0"'))
    end = text.index('"', place + 7)
    return text[place : end + 1], 'upper="92"'


def test_bad_input_is_one_line(capsys, tmp_path):
    for arguments in (
        ["alegro"],
        [tmp_path],
        ["allegro", "--urdf", tmp_path / "none.urdf"],
        ["allegro", "--urdf", HANDS_FOLDER / "allegro" / "allegro_right.urdf", "--poses", "0"],
    ):
        status, out, err = run(capsys, "hands", "check", *arguments)
        assert status == 2
        assert out == ""
        assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1
