"""Keypoint files, bad input, and gaps."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from unihm.kinematics.keypoints import BONES, INDEX, MIDDLE_MCP, TIPS, WRIST
from unihm.sources.base import KeypointSequence, read_source
from unihm.sources.checks import check_keypoints, finger_bend
from unihm.sources.gaps import GapConfig, bridge, split


def hand(bend: np.ndarray, side: str = "right") -> np.ndarray:
    """Hands (T, 21, 3) whose four fingers bend by `bend` (rad) at each outer joint, in the palm's axes, worked by hand.

    Wrist at the origin, fingers along x, palm to z, little finger to y; a left hand is the mirror image in y.
    """
    points = np.zeros((len(bend), 21, 3))
    points[:, 1:5] = [[0.02, -0.03, 0.01], [0.05, -0.05, 0.02], [0.07, -0.06, 0.03], [0.09, -0.065, 0.04]]
    for finger, (x, y, lengths) in enumerate(
        [
            (0.09, -0.025, (0.04, 0.025, 0.02)),
            (0.095, 0.0, (0.045, 0.03, 0.02)),
            (0.09, 0.02, (0.04, 0.025, 0.02)),
            (0.08, 0.04, (0.03, 0.02, 0.018)),
        ]
    ):
        base = 5 + 4 * finger
        points[:, base] = [x, y, 0]
        for joint, length in enumerate(lengths):
            direction = np.stack([np.cos(joint * bend), 0 * bend, np.sin(joint * bend)], axis=1)
            points[:, base + joint + 1] = points[:, base + joint] + length * direction
    return points * [1, -1 if side == "left" else 1, 1]


def moving_hand(frames: int = 60, side: str = "right") -> np.ndarray:
    """A hand that closes, turns at a constant rate and travels on a straight line."""
    s = np.linspace(0, 1, frames)
    R = Rotation.from_rotvec(s[:, None] * [0.3, 1.0, -0.5]).as_matrix()
    return hand(1.2 * s, side) @ R.swapaxes(1, 2) + s[:, None, None] * [0.2, -0.1, 0.3] + [0.5, 0.2, 1.0]


def sequence(keypoints: np.ndarray, fps: float = 30.0) -> KeypointSequence:
    return KeypointSequence(keypoints=keypoints, valid=np.isfinite(keypoints).all(axis=(1, 2)), fps=fps)


def without(keypoints: np.ndarray, frames, points=slice(None)) -> np.ndarray:
    keypoints = keypoints.copy()
    keypoints[frames, points] = np.nan
    return keypoints


def bone_lengths(keypoints: np.ndarray) -> np.ndarray:
    parent, child = np.array(BONES).T
    return np.linalg.norm(keypoints[:, child] - keypoints[:, parent], axis=-1)


# --- checks


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_hand_passes(side):
    check_keypoints(moving_hand(side=side), side)
    check_keypoints(moving_hand(side=side)[:1], side)
    check_keypoints(hand(np.zeros(5), side), "right")  # a flat hand is not told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda k: k[:, :20], r"shape \(60, 20, 3\), expected \(T, 21, 3\)\.$"),
        (lambda k: k[0], r"shape \(21, 3\).*one frame"),
        (lambda k: np.swapaxes(k, 0, 1), r"shape \(21, 60, 3\).*swapaxes\(keypoints, 0, 1\)"),
        (lambda k: np.swapaxes(k, 1, 2), r"shape \(60, 3, 21\).*swapaxes\(keypoints, 1, 2\)"),
        (lambda k: k[..., :2], "look like pixels"),
        (lambda k: k.reshape(60, 63), r"reshape\(-1, 21, 3\)"),
        (lambda k: k.astype(str), "real numbers"),
        (lambda k: k * 1j, "real numbers"),
        (lambda k: k[:0], "there is no frame"),
        (lambda k: without(k, 2), "1 of 60 frames hold NaN or infinite values, first frame 2"),
        (lambda k: np.where(np.arange(60)[:, None, None] == 3, np.inf, k), "1 of 60 frames .* first frame 3"),
        (lambda k: k * 1000, r"look like millimetres; divide by 1000 \(scale 0\.001\)"),
        (lambda k: k * 100, "look like centimetres; divide by 100"),
        (lambda k: k * 0.1, "expected 0.1 to 0.4 m"),
        (lambda k: k * 0, "all points of the hand are the same"),
        (lambda k: k * (1 + 9 * (np.arange(60) == 7))[:, None, None], "1 of 60 frames show no hand .* frame 7 "),
        (lambda k: np.where(np.arange(60)[:, None, None] == 5, k[:, :1], k), "frame 5"),
        (lambda k: hand(np.zeros(60)) * [1, 0, 0], "no palm, first frame 0"),
        (lambda k: moving_hand(side="left"), "back of a right hand in .* looks like a left hand"),
    ],
)
def test_bad_keypoints_are_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_keypoints(change(moving_hand()), where="file: ")
    assert str(caught.value).startswith("file: ")
    assert "\n" not in str(caught.value)


def test_a_right_hand_given_as_left_is_refused():
    with pytest.raises(ValueError, match="looks like a right hand"):
        check_keypoints(moving_hand(), "left")
    with pytest.raises(ValueError, match="expected 'right' or 'left'"):
        check_keypoints(moving_hand(), "both")


def test_bend_is_the_angle_of_the_outer_joints():
    bend = np.linspace(-0.5, 1.5, 9)
    np.testing.assert_allclose(finger_bend(hand(bend)), 2 * np.sin(bend), atol=1e-12)
    np.testing.assert_allclose(finger_bend(hand(bend, "left")), -2 * np.sin(bend), atol=1e-12)


def test_every_recording_of_dexycb_has_its_side(shared_data):
    """Real hands: no recording of 1000 is refused as what it is, and at most a few pass as the other hand."""
    import json

    passed, recordings = 0, 0
    for side, other in (("right", "left"), ("left", "right")):
        data = np.load(shared_data / "dexycb" / f"dexycb_{side}.npz")
        joints, seen = data["joints"], data["hand_valid"]
        for entry in json.loads((shared_data / "dexycb" / f"dexycb_{side}_index.json").read_text())[::5]:
            frames = slice(entry["start"], entry["start"] + entry["num_frames"])
            keypoints = joints[frames][seen[frames]]
            check_keypoints(keypoints, side)
            recordings += 1
            try:
                check_keypoints(keypoints, other)
                passed += 1
            except ValueError as error:
                assert f"looks like a {side} hand" in str(error)  # noqa: PT017  (most raise, some need not)
    assert recordings == 201
    assert passed <= 2


def test_a_million_frames():
    keypoints = np.resize(moving_hand(1000).astype(np.float32), (1_000_000, 21, 3))
    start = time.process_time()
    check_keypoints(keypoints)
    assert time.process_time() - start < 30
    keypoints[-1] = np.nan
    with pytest.raises(ValueError, match="first frame 999999"):
        check_keypoints(keypoints)


# --- gaps


def test_nothing_missing_nothing_copied():
    whole = sequence(moving_hand())
    bridged, report = bridge(whole)
    assert bridged.keypoints is whole.keypoints
    assert (report.missing, report.partial, report.bridged, report.longest_gap) == (0, 0, 0, 0)


def test_a_gap_in_uniform_motion_is_bridged_exactly():
    """The palm moves and turns uniformly and the joints bend uniformly, so that bridging has one right answer."""
    keypoints = moving_hand()
    bridged, report = bridge(sequence(without(keypoints, slice(20, 30))))
    np.testing.assert_allclose(bridged.keypoints, keypoints, atol=1e-9)
    assert not bridged.valid[20:30].any()
    assert bridged.valid.sum() == 50
    assert (report.frames, report.missing, report.bridged, report.gaps, report.longest_gap) == (60, 10, 10, 1, 10)
    assert report.longest_gap_s == pytest.approx(1 / 3)


def test_bridging_agrees_with_scipy_slerp_and_keeps_bones():
    rng = np.random.default_rng(0)
    ends = hand(np.array([0.1, 1.4]))
    R = Rotation.random(2, random_state=1)
    ends = ends @ R.as_matrix().swapaxes(1, 2) + rng.normal(size=(2, 1, 3))
    keypoints = without(np.repeat(ends, [1, 9], axis=0), slice(1, 9))
    bridged, _ = bridge(sequence(keypoints))
    between = Slerp([0, 9], R)(np.arange(10)).as_matrix()
    index = (bridged.keypoints[:, INDEX["index_mcp"]] - bridged.keypoints[:, WRIST])[..., None]
    local = (between.swapaxes(1, 2) @ index)[..., 0]  # the palm is rigid: its points do not move in its axes
    np.testing.assert_allclose(local, np.tile([0.09, -0.025, 0], (10, 1)), atol=1e-9)
    np.testing.assert_allclose(bone_lengths(bridged.keypoints), np.tile(bone_lengths(ends)[:1], (10, 1)), atol=1e-9)
    straight = np.linspace(ends[0, WRIST], ends[1, WRIST], 10)
    np.testing.assert_allclose(bridged.keypoints[:, WRIST], straight, atol=1e-9)


def test_the_ends_hold_the_nearest_frame():
    keypoints = moving_hand()
    bridged, report = bridge(sequence(without(keypoints, [0, 1, 58, 59])))
    np.testing.assert_allclose(bridged.keypoints[:2], keypoints[[2, 2]], atol=1e-12)
    np.testing.assert_allclose(bridged.keypoints[58:], keypoints[[57, 57]], atol=1e-12)
    assert (report.gaps, report.longest_gap) == (2, 2)


def test_infinite_points_are_gaps_too():
    keypoints = moving_hand()
    keypoints[7, 3] = np.inf
    bridged, report = bridge(sequence(keypoints))
    assert np.isfinite(bridged.keypoints).all()
    assert (report.missing, report.partial) == (0, 1)


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(slice(17, 21), id="little finger"),
        pytest.param([8], id="index tip"),
        pytest.param([1, 2, 3, 4, 5, 6, 7, 8], id="two fingers"),
    ],
)
def test_a_finger_in_single_frames_follows_the_palm_that_was_seen(points):
    keypoints = moving_hand()
    jump = np.zeros((60, 1, 3))
    jump[30:33] = [0.02, -0.03, 0.01]  # the palm moves in a way that its neighbours do not tell
    keypoints += jump
    bridged, report = bridge(sequence(without(keypoints, np.arange(30, 33)[:, None], points)))
    np.testing.assert_allclose(bridged.keypoints, keypoints, atol=1e-9)
    assert (report.missing, report.partial, report.bridged) == (0, 3, 3)


def test_points_without_a_palm_are_a_missing_frame():
    keypoints = without(moving_hand(), 30, [WRIST, MIDDLE_MCP])
    bridged, report = bridge(sequence(keypoints))
    assert (report.missing, report.partial) == (1, 0)
    np.testing.assert_allclose(bridged.keypoints, moving_hand(), atol=1e-9)


def test_a_long_gap_is_refused_until_the_limit_is_raised():
    gone = sequence(without(moving_hand(), slice(20, 36)))
    with pytest.raises(ValueError, match=r"no hand \(NaN\) from frame 20 to 35, 0.53 s; gaps of up to 0.5 s"):
        bridge(gone)
    bridged, report = bridge(gone, GapConfig(max_gap_s=0.6))
    assert np.isfinite(bridged.keypoints).all()
    assert report.longest_gap == 16
    with pytest.raises(ValueError, match="missing the pinky"):
        bridge(sequence(without(moving_hand(), np.arange(20, 40)[:, None], slice(17, 21))))
    with pytest.raises(ValueError, match="zero or more"):
        bridge(gone, GapConfig(max_gap_s=-1.0))


def test_a_long_gap_splits_the_sequence():
    keypoints = moving_hand()
    gone = without(without(keypoints, slice(20, 36)), [0, 50])
    pieces, report = split(sequence(gone))
    assert [(piece.start_frame, len(piece)) for piece in pieces] == [(0, 20), (36, 24)]
    np.testing.assert_allclose(pieces[1].keypoints, keypoints[36:], atol=1e-9)
    assert (report.missing, report.bridged, report.dropped, report.gaps) == (18, 2, 16, 3)
    assert len(split(sequence(keypoints))[0]) == 1


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (slice(None), "no hand in any of the 60 frames"),
        (slice(13, 17), r"missing \(NaN or zeros\) in all 60 frames: the ring\. "),
        ([3, 4], r"in all 60 frames: thumb_ip, thumb_tip\. "),
        ([0], "in all 60 frames: wrist"),
    ],
)
def test_what_was_never_seen_is_named(points, message):
    with pytest.raises(ValueError, match=message):
        bridge(sequence(without(moving_hand(), slice(None), points)))


def test_never_all_at_once():
    keypoints = without(without(moving_hand(), slice(0, 30), 4), slice(30, None), 8)
    with pytest.raises(ValueError, match="in none of the 60 frames are all 21"):
        bridge(sequence(keypoints))


def test_many_gaps_are_fast():
    keypoints = np.resize(moving_hand(100), (50_000, 21, 3))
    keypoints[5::10] = np.nan
    keypoints[8::10, TIPS[1]] = np.nan
    start = time.process_time()
    bridged, report = bridge(sequence(keypoints))
    assert time.process_time() - start < 10
    assert (report.missing, report.partial, report.gaps) == (5_000, 5_000, 10_000)
    assert np.isfinite(bridged.keypoints).all()


# --- files


def test_npy_and_npz(tmp_path):
    keypoints = without(moving_hand(), 9)
    np.save(tmp_path / "a.npy", keypoints.astype(np.float32))
    np.savez(tmp_path / "b.npz", keypoints=keypoints, fps=60, other=np.zeros(3))
    np.savez(tmp_path / "c.npz", joints=keypoints)
    for name, fps in (("a.npy", 30), ("b.npz", 60), ("c.npz", 30)):
        read = read_source(tmp_path / name)
        np.testing.assert_allclose(read.keypoints, keypoints, atol=1e-6)
        assert (read.fps, read.frame, read.side, int(read.valid.sum())) == (fps, "world", "right", 59)
    assert read_source(tmp_path / "b.npz", fps=25.0).fps == 25


def test_saved_sequences_come_back(tmp_path):
    bridged, _ = bridge(sequence(without(moving_hand(side="left"), 9), fps=50.0))
    bridged = bridged.replace(side="left", frame="camera", start_frame=4)
    bridged.save(tmp_path / "s.npz")
    read = read_source(tmp_path / "s.npz", side="left")
    np.testing.assert_array_equal(read.keypoints, bridged.keypoints)
    np.testing.assert_array_equal(read.valid, bridged.valid)
    assert (read.fps, read.side, read.frame, read.start_frame) == (50, "left", "camera", 4)
    with pytest.raises(ValueError, match="holds a left hand"):
        read_source(tmp_path / "s.npz")


def test_scale_and_zeros(tmp_path):
    keypoints = moving_hand() * 1000
    keypoints[4] = 0  # recorders write zeros where they saw nothing
    np.save(tmp_path / "mm.npy", keypoints)
    with pytest.raises(ValueError, match="look like millimetres"):
        read_source(tmp_path / "mm.npy")
    read = read_source(tmp_path / "mm.npy", scale=0.001)
    assert list(np.flatnonzero(~read.valid)) == [4]
    np.testing.assert_allclose(bridge(read)[0].keypoints, moving_hand(), atol=1e-9)
    keypoints[7:9, 13:17] = 0  # one finger
    np.save(tmp_path / "mm.npy", keypoints)
    bridged, gaps = bridge(read_source(tmp_path / "mm.npy", scale=0.001))
    assert (gaps.missing, gaps.partial) == (1, 2)
    np.testing.assert_allclose(bridged.keypoints, moving_hand(), atol=2e-3)
    keypoints[:, 13:17] = 0
    np.save(tmp_path / "mm.npy", keypoints)
    with pytest.raises(ValueError, match=r"missing \(NaN or zeros\) in all 60 frames: the ring"):
        bridge(read_source(tmp_path / "mm.npy", scale=0.001))


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lambda p: None, {}, "does not exist"),
        (lambda p: p.write_bytes(b"nonsense"), {}, "damaged or not a NumPy file"),
        (lambda p: np.savez(p, a=moving_hand(), b=moving_hand()), {}, "holds a, b; expected one array or one named"),
        (lambda p: np.savez(p, keypoints=moving_hand(), fps=-1), {}, "fps must be one positive number"),
        (lambda p: np.savez(p, moving_hand()), {"fps": 0.0}, "frame rate is 0"),
        (lambda p: np.savez(p, moving_hand()), {"scale": float("nan")}, "scale is nan"),
        (lambda p: np.savez(p, moving_hand()), {"mirrored": True}, "option mirrored is for videos"),
        (lambda p: np.savez(p, moving_hand()[:, :5]), {}, r"'.*k\.npz': keypoints have shape \(60, 5, 3\)"),
        (lambda p: np.savez(p, moving_hand().astype(object)), {}, "damaged or not a NumPy file"),
    ],
)
def test_bad_files(tmp_path, make, options, message):
    path = tmp_path / "k.npz"
    make(path)
    with pytest.raises(ValueError, match=message):
        read_source(path, **options)


@pytest.mark.parametrize("source", ["motion.txt", "webcam:x", "episode-12"])
def test_what_is_no_source(source):
    with pytest.raises(ValueError, match="is no source of keypoints"):
        read_source(source)


def test_reading_keypoints_loads_nothing_heavy():
    code = (
        "import sys; import unihm.sources.keypoint_file, unihm.sources.gaps; "
        "heavy = {'torch', 'scipy', 'cv2', 'mediapipe', 'viser', 'matplotlib'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"sources load {done.stderr.strip()}"
