"""Videos and webcams; where a hand is that a camera sees."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from unihm.geometry.camera import Camera
from unihm.kinematics.keypoints import WRIST
from unihm.sources.base import SourceOptions, read_source
from unihm.sources.depth_frames import DepthFrames
from unihm.sources.live import follow
from unihm.sources.placement import PALM, SKIN, place_by_depth, place_by_size

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "05_follow_video.py"
CAMERA = Camera(fx=900.0, fy=880.0, cx=650.0, cy=350.0, width=1280, height=720, depth_scale=1000.0)
FRAMES = 40  # of the real video: a few seconds
needs_video = pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None or importlib.util.find_spec("cv2") is None,
    reason="the video extra is not installed",
)


# --- placing


def seen_hands(count: int = 50, size: float = 1.0):
    """Hands before a real camera, and what a perfect detector tells of them.

    Returns:
        Points in the camera's frame (count, 21, 3); shapes in the axes of a camera that looks straight at the hand,
        as SciPy turns it there, in average size; pixels by `Camera.project`.
    """
    rng = np.random.default_rng(0)
    local = size * np.cumsum(rng.normal(scale=0.02, size=(count, 21, 3)), axis=1)
    local -= local.mean(axis=1, keepdims=True)
    depth = rng.uniform(0.4, 1.2, count)
    centre = np.stack([rng.uniform(-0.45, 0.45, count) * depth, rng.uniform(-0.3, 0.3, count) * depth, depth], axis=1)
    points = local + centre[:, None]
    pixels = CAMERA.project(points)
    rays = (pixels.mean(axis=1) - [CAMERA.cx, CAMERA.cy]) / [CAMERA.fx, CAMERA.fy]
    rays = np.concatenate([rays, np.ones((count, 1))], axis=1)
    axis = np.cross([0, 0, 1], rays)
    angle = np.arctan2(np.linalg.norm(axis, axis=1), rays[:, 2])
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis, axis=1, keepdims=True) * angle[:, None]).as_matrix()
    return points, (local / size) @ turn, pixels


def test_a_hand_of_known_size_is_placed_exactly():
    points, shape, pixels = seen_hands()
    np.testing.assert_allclose(place_by_size(shape, pixels, CAMERA), points, atol=1e-9)
    shape[3] = pixels[3] = np.nan
    assert np.isnan(place_by_size(shape, pixels, CAMERA)[3]).all()


def test_the_distance_is_as_wrong_as_the_size():
    points, shape, pixels = seen_hands(size=1.1)
    placed = place_by_size(shape, pixels, CAMERA)
    np.testing.assert_allclose(placed, points / 1.1, atol=1e-9)


def test_depth_finds_size_and_distance():
    points, shape, pixels = seen_hands(size=0.85)
    depth = points[:, PALM, 2] - SKIN
    depth[::3, 1] = 0.3  # something before the palm
    depth[1::3, :2] = np.nan
    placed, scale = place_by_depth(shape, pixels, depth, CAMERA)
    assert scale == pytest.approx(0.85, abs=1e-6)
    np.testing.assert_allclose(placed[1:], points[1:], atol=1e-6)
    depth[5, :3] = np.nan
    placed, _ = place_by_depth(shape, pixels, depth, CAMERA)
    assert np.isnan(placed[5]).all()  # two points with depth place no hand


def test_depth_that_does_not_fit_is_refused():
    points, shape, pixels = seen_hands()
    with pytest.raises(ValueError, match=r"3\.01 times the size .* camera\.json"):
        place_by_depth(shape, pixels, 3 * points[:, PALM, 2], CAMERA)
    with pytest.raises(ValueError, match="No frame has depth"):
        place_by_depth(shape, pixels, np.full((50, 5), np.nan), CAMERA)


def test_depth_frames(tmp_path):
    from PIL import Image

    camera = Camera(fx=50.0, fy=50.0, cx=20.0, cy=15.0, width=40, height=30, depth_scale=1000.0)
    image = np.full((30, 40), 500, dtype=np.uint16)
    image[10:20, 10:20] = 0  # a hole
    (tmp_path / "depth").mkdir()
    for number in (2, 10):
        Image.fromarray(image * (number // 2)).save(tmp_path / "depth" / f"{number}.png")
    np.save(tmp_path / "depth.npy", np.stack([image, 5 * image]))
    pixels = np.array([[5.2, 5.4], [14.0, 14.0], [8.0, 14.0], [-3.0, 4.0], [100.0, 4.0]])
    for path in (tmp_path / "depth", tmp_path / "depth.npy"):
        frames = DepthFrames(path, camera)
        assert len(frames) == 2
        np.testing.assert_allclose(frames.at(0, pixels), [0.5, np.nan, 0.5, np.nan, np.nan])
        assert frames.at(1, pixels)[0] == pytest.approx(2.5)  # 10.png comes after 2.png
    np.save(tmp_path / "small.npy", np.zeros((2, 5, 5), dtype=np.uint16))
    with pytest.raises(ValueError, match=r"shape \(5, 5\), the camera 40x30"):
        DepthFrames(tmp_path / "small.npy", camera).at(0, pixels)
    with pytest.raises(ValueError, match="folder of 16-bit images"):
        DepthFrames(tmp_path / "depth.mp4", camera)
    Image.fromarray(np.zeros((30, 40), dtype=np.uint8)).save(tmp_path / "depth" / "2.png")
    with pytest.raises(ValueError, match="no depth image"):
        DepthFrames(tmp_path / "depth", camera).at(0, pixels)


# --- without the extra


def test_a_missing_extra_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    monkeypatch.setitem(sys.modules, "cv2", None)
    (tmp_path / "hand.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"need cv2: pip install 'unihm\[video\]'\.$"):
        read_source(tmp_path / "hand.mp4")


# --- with it


@pytest.fixture(scope="module")
def video(shared_data, tmp_path_factory):
    """The first frames of the real video as images, without loss."""
    cv2 = pytest.importorskip("cv2")
    folder = tmp_path_factory.mktemp("video") / "frames"
    folder.mkdir()
    capture = cv2.VideoCapture(str(shared_data / "hand_video" / "human_hand_video.mp4"))
    for number in range(FRAMES):
        cv2.imwrite(str(folder / f"{number}.bmp"), capture.read()[1])
    capture.release()
    return folder


@pytest.fixture(scope="module")
def short(video):
    """Eight of these frames."""
    folder = video.with_name("short")
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.bmp").symlink_to(video / f"{number}.bmp")
    return folder


@pytest.fixture(scope="module")
def read(video):
    """What is read of them."""
    pytest.importorskip("mediapipe")
    return read_source(video, fps=30.0)


def rigid_mm(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean distance of the points of each frame after rigid alignment (SciPy), mm."""
    errors = []
    for p, q in zip(a, b, strict=True):
        p, q = p - p.mean(axis=0), q - q.mean(axis=0)
        rotation, _ = Rotation.align_vectors(q, p)
        errors.append(np.linalg.norm(rotation.apply(p) - q, axis=1).mean() * 1e3)
    return np.array(errors)


@needs_video
def test_the_hand_of_the_real_video(read, shared_data):
    """Against keypoints that dex-retargeting's authors published for this video; a mirrored hand would not align."""
    published = np.load(shared_data / "hand_video" / "human_joint_right.npz")["joints"][:FRAMES]
    assert (len(read), read.fps, read.frame, read.side) == (FRAMES, 30, "wrist", "right")
    assert read.valid.all()
    assert rigid_mm(read.keypoints, published).mean() < 1.5
    assert np.abs(read.keypoints[:, WRIST]).max() == 0
    assert (read.keypoints[:, 9, 2] > 0.05).all()  # the hand of this video points upwards: z is up


@needs_video
@pytest.mark.slow
def test_the_whole_real_video(shared_data):
    """The figures of docs/sources.md."""
    whole = read_source(shared_data / "hand_video" / "human_hand_video.mp4")
    assert (len(whole), whole.fps, int(whole.valid.sum())) == (621, 30, 621)
    error_mm = rigid_mm(whole.keypoints, np.load(shared_data / "hand_video" / "human_joint_right.npz")["joints"])
    print(f"mean {error_mm.mean():.2f} mm, 95 %: {np.percentile(error_mm, 95):.2f} mm")
    assert error_mm.mean() < 0.5


@needs_video
def test_the_other_hand_is_not_taken(short):
    with pytest.raises(ValueError, match="8 of 8 frames show a right hand and 0 a left one"):
        read_source(short, fps=30.0, side="left")


@needs_video
def test_a_mirrored_picture_shows_the_same_hand(video, read):
    """A selfie camera's picture, said to be one, gives what the plain picture gives."""
    cv2 = pytest.importorskip("cv2")
    mirrored = video.with_name("mirrored")
    mirrored.mkdir()
    for number in range(8):
        cv2.imwrite(str(mirrored / f"{number}.bmp"), cv2.imread(str(video / f"{number}.bmp"))[:, ::-1])
    again = read_source(mirrored, fps=30.0, mirrored=True)
    np.testing.assert_allclose(again.keypoints, read.keypoints[:8], atol=1e-9)
    with pytest.raises(ValueError, match="show a left hand"):
        read_source(mirrored, fps=30.0)
    left = read_source(mirrored, fps=30.0, side="left")  # not said to be mirrored, it is a left hand
    assert rigid_mm(left.keypoints * [1, -1, 1], read.keypoints[:8]).mean() < 5


@needs_video
def test_a_camera_places_the_hand(short, read, tmp_path):
    """The hand's image is where the hand was seen; a known camera pose brings it into the world."""
    CAMERA.save(tmp_path / "camera.json")
    placed = read_source(short, fps=30.0, camera=tmp_path / "camera.json")
    assert placed.frame == "camera"
    assert rigid_mm(placed.keypoints, read.keypoints[:8]).max() < 1e-6
    assert ((placed.keypoints[..., 2] > 0.2) & (placed.keypoints[..., 2] < 2)).all()
    uv = CAMERA.project(placed.keypoints)
    assert ((uv > 0) & (uv < [1280, 720])).all()
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_euler("x", -2.0).as_matrix(), [0.1, 0.2, 1.5]
    Camera(**{**vars(CAMERA), "T_world_camera": T}).save(tmp_path / "posed.json")
    world = read_source(short, fps=30.0, camera=tmp_path / "posed.json")
    assert world.frame == "world"
    np.testing.assert_allclose(world.keypoints, placed.keypoints @ T[:3, :3].T + T[:3, 3], atol=1e-9)

    # Depth of a flat thing at 0.6 m: the hand goes there.
    np.save(tmp_path / "depth.npy", np.full((8, 720, 1280), 600, dtype=np.uint16))
    deep = read_source(short, fps=30.0, camera=tmp_path / "camera.json", depth=tmp_path / "depth.npy")
    assert deep.valid.all()
    np.testing.assert_allclose(np.median(deep.keypoints[:, PALM, 2], axis=1), 0.6 + SKIN, atol=1e-6)
    np.save(tmp_path / "depth.npy", np.full((3, 720, 1280), 600, dtype=np.uint16))
    with pytest.raises(ValueError, match="has 3 depth frames"):
        read_source(short, fps=30.0, camera=tmp_path / "camera.json", depth=tmp_path / "depth.npy")


@needs_video
def test_following_gives_the_same_frame_by_frame(video, read):
    frames = follow(video)
    for expected in read.keypoints[:5]:
        np.testing.assert_allclose(next(frames), expected, atol=1e-12)
    frames.close()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(StopIteration):
        next(frames)


@needs_video
def test_a_webcam_records_for_some_time_through_the_same_path(shared_data):
    """There is no camera here; a file stands for the device."""
    from unihm.sources.video import Webcam

    device = str(shared_data / "hand_video" / "human_hand_video.mp4")
    recorded = Webcam().read(device, SourceOptions(seconds=0.2))
    assert (len(recorded), recorded.fps) == (6, 30)
    with pytest.raises(ValueError, match="There is no camera 'webcam:97'"):
        read_source("webcam:97")


@needs_video
def test_bad_videos(video, tmp_path):
    cases = [
        (tmp_path / "none.mp4", {}, "does not exist"),
        (tmp_path / "bad.mp4", {}, "no video that OpenCV can decode"),
        (tmp_path / "empty", {"fps": 30.0}, "holds no images"),
        (video, {}, "does not state its frame rate; give fps"),
        (video, {"scale": 2.0}, "scale is for keypoint files"),
        (video, {"seconds": 2.0}, "seconds is for webcams"),
        (video, {"fps": 30.0, "depth": tmp_path}, "depth places the hand only with its camera"),
        (video, {"fps": 30.0, "camera": tmp_path / "small.json"}, "Frame 0 is 1280x720, .* is for 640x480"),
    ]
    (tmp_path / "bad.mp4").write_bytes(b"nonsense" * 100)
    (tmp_path / "empty").mkdir()
    Camera(**{**vars(CAMERA), "width": 640, "height": 480}).save(tmp_path / "small.json")
    for path, options, message in cases:
        with pytest.raises(ValueError, match=message):
            read_source(path, **options)


@needs_video
def test_no_hand_in_view(tmp_path):
    from PIL import Image

    for number in range(3):
        Image.fromarray(np.full((120, 160, 3), 90, dtype=np.uint8)).save(tmp_path / f"{number}.png")
    with pytest.raises(ValueError, match="no hand in any of the 3 frames"):
        read_source(tmp_path, fps=30.0)


# --- the example


def test_the_example_follows_published_keypoints(shared_data, tmp_path):
    source = shared_data / "hand_video" / "human_joint_right.npz"
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(source), "--html", "--frames", "20"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "20 frames" in done.stdout
