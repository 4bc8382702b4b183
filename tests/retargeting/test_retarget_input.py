"""What people give by mistake, through the function and through the command: one line says what is wrong."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from retargeting_cases import human_motion, model_of, representative_hands

from unihm.cli import main
from unihm.retargeting import retarget
from unihm.schema.motion import HandMotion

HANDS = representative_hands()
pytestmark = pytest.mark.usefixtures("small_atlas")


def bent(frames: int = 40, side: str = "right") -> np.ndarray:
    """A hand that closes, so that its side can be told."""
    return human_motion(frames, 8, side, amount=1.0)


def missing(keypoints: np.ndarray, frames, points=slice(None)) -> np.ndarray:
    keypoints = keypoints.copy()
    keypoints[frames, points] = np.nan
    return keypoints


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: k[:, :20], r"shape \(40, 20, 3\), expected \(T, 21, 3\)"),
        (lambda k: k[0], r"shape \(21, 3\).*one frame"),
        (lambda k: k.reshape(40, 63), r"reshape\(-1, 21, 3\)"),
        (lambda k: k[:0], "there is no frame"),
        (lambda k: missing(k, 2), "1 of 40 frames hold NaN or infinite values, first frame 2"),
        (lambda k: missing(k, slice(None), slice(17, 21)), "40 of 40 frames hold NaN"),  # one finger is not there
        (lambda k: np.where(k == k.max(), np.inf, k), "1 of 40 frames hold NaN or infinite"),
        (lambda k: k * 1000, "look like millimetres; divide by 1000"),
        (lambda k: k * 0.1, "expected 0.1 to 0.4 m"),
        (lambda k: k * [1, -1, 1], "looks like a left hand"),
        (lambda k: k.astype(str), "real numbers"),
        (lambda k: np.zeros_like(k), "all points of the hand are the same"),
    ],
)
def test_bad_keypoints(change, message):
    with pytest.raises(ValueError, match=message) as error:
        retarget([change(bent())], model_of(HANDS["gripper"]))
    assert "\n" not in str(error.value)
    # With several sequences the message says which.
    with pytest.raises(ValueError, match=f"Sequence 1: .*{message}"):
        retarget([bent(), change(bent())], model_of(HANDS["gripper"]))


def test_left_hands_want_left_keypoints():
    with pytest.raises(ValueError, match="looks like a right hand"):
        retarget([bent()], model_of("human_left"))
    assert len(retarget([bent(side="left")], model_of("human_left"))[0]) == 40


# --- the command


@pytest.fixture
def command(tmp_path, capsys, monkeypatch):
    """Saves keypoints and retargets them; gives exit status, figures and errors."""
    monkeypatch.chdir(tmp_path)

    def run(keypoints: np.ndarray, *options: str, hand: str = HANDS["mimic"]) -> tuple[int, dict, str]:
        shutil.rmtree("out", ignore_errors=True)
        np.save("recording.npy", keypoints)
        status = main(["retarget", "recording.npy", "--hand", hand, "--json", *options])
        captured = capsys.readouterr()
        return status, json.loads(captured.out) if captured.out else {}, captured.err

    return run


def refusal(result: tuple[int, dict, str]) -> str:
    status, figures, err = result
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert status == 2
    assert figures == {}
    assert len(lines) == 1, err
    assert "Traceback" not in err
    assert not Path("out").exists()
    return lines[0]


def test_a_good_recording(command):
    status, figures, _ = command(bent())
    assert status == 0
    assert (figures["frames"], figures["missing"], figures["bridged"], figures["limit_violations"]) == (40, 0, 0, 0)
    assert figures["status"]["CONVERGED"] == 40
    motion = HandMotion.load(figures["out"])
    model = model_of(HANDS["mimic"])
    assert figures["out"] == f"out/recording-{model.name}.npz"
    assert (motion.hand, motion.fps, motion.joint_names) == (model.name, 30.0, model.joint_names)
    np.testing.assert_array_equal(motion.qpos, retarget([bent()], model)[0].qpos)


def test_units(command):
    assert "millimetres" in refusal(command(1000 * bent()))
    status, figures, _ = command(1000 * bent(), "--scale", "0.001")
    assert status == 0
    expected = retarget([bent()], model_of(HANDS["mimic"]))[0].qpos
    np.testing.assert_allclose(HandMotion.load(figures["out"]).qpos, expected, atol=1e-6)


def test_the_other_hand(command):
    assert "looks like a left hand" in refusal(command(bent(side="left")))
    assert "looks like a right hand" in refusal(command(bent(), hand=f"{HANDS['mimic']}_left"))
    assert command(bent(side="left"), hand=f"{HANDS['mimic']}_left")[0] == 0


def test_a_finger_that_was_never_seen(command):
    assert "pinky" in refusal(command(missing(bent(), slice(None), slice(17, 21))))


def test_short_gaps_are_bridged_and_counted(command):
    gaps = missing(missing(bent(), slice(5, 9)), slice(20, 22))
    gaps = missing(gaps, 30, slice(5, 9))  # only the index finger
    status, figures, _ = command(gaps)
    assert status == 0
    assert (figures["frames"], figures["missing"], figures["bridged"]) == (40, 6, 7)
    assert np.isfinite(HandMotion.load(figures["out"]).qpos).all()


def test_long_gaps_are_refused(command):
    assert "no hand (NaN) from frame 5 to 29, 0.83 s" in refusal(command(missing(bent(), slice(5, 30))))
    assert command(missing(bent(), slice(5, 30)), "--max-gap", "1.0")[0] == 0
    assert "no hand in any of the 40 frames" in refusal(command(missing(bent(), slice(None))))


def test_the_frame_rate(command):
    status, figures, _ = command(bent(), "--fps", "60")
    assert status == 0
    assert HandMotion.load(figures["out"]).fps == 60.0
    refusal(command(bent(), "--fps", "0"))
    refusal(command(bent(), "--fps", "nan"))


def test_presets_and_names(command):
    plain = HandMotion.load(command(bent())[1]["out"]).qpos
    for preset in ("position", "vector"):
        status, figures, _ = command(bent(), "--preset", preset)
        assert status == 0
        assert np.abs(HandMotion.load(figures["out"]).qpos - plain).max() > 1e-2
    assert "Did you mean 'position'?" in refusal(command(bent(), "--preset", "postion"))
    assert "Did you mean" in refusal(command(bent(), hand=HANDS["mimic"] + "x"))


@pytest.mark.parametrize("name", ["nowhere.npy", "notes.txt", "broken.npy"])
def test_files_that_are_no_keypoints(command, capsys, name):
    Path("notes.txt").write_text("keypoints")
    Path("broken.npy").write_bytes(b"\x93NUMPY")
    assert main(["retarget", name, "--hand", HANDS["mimic"]]) == 2
    err = capsys.readouterr().err
    assert [line.startswith("error: ") for line in err.splitlines()].count(True) == 1
    assert name in err


@pytest.mark.slow
def test_a_million_frames(tmp_path):
    """Nine hours at 30 Hz: time in proportion, memory a small multiple of the keypoints', in the file's own type."""
    frames = 1_000_000
    np.save(tmp_path / "long.npy", np.tile(human_motion(1000, 1).astype(np.float32), (frames // 1000, 1, 1)))
    command = ["retarget", str(tmp_path / "long.npy"), "--hand", HANDS["gripper"], "--json"]
    code = (
        f"import sys; from unihm.cli import main; sys.exit(main({[*command, '--out', str(tmp_path / 'long.npz')]!r}))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=570)
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["frames"] == frames
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert peak < 6 * frames * 63 * 8
