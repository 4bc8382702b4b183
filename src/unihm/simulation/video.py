"""Rollouts to look at: MP4 films and sheets of stills, from a camera that frames hand and object."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from unihm.geometry.camera import Camera
from unihm.schema.storage import atomic_path
from unihm.simulation.rendering import ModelRenderer
from unihm.simulation.rollout import Rollout
from unihm.simulation.world import World

FILM_SIZE = (640, 480)
"""Width and height of films, pixels."""
_STILL_SIZE, _COLUMNS, _STILLS = (480, 360), 3, 6
_FIELD_OF_VIEW = np.radians(42)  # vertical
_ELEVATION = np.radians(28)
_ASIDE = np.radians(35)  # from straight across the hand: a three-quarter view
_MARGIN = 0.93  # of the picture is used
_LOOKED_AT = 12  # records that the picture must hold
_HAND = 0.2  # m from the palm; a forearm need not be in the picture
_LOST = 0.6  # m; what flies farther away need not be in the picture
_QUALITY = "21"  # x264's constant rate factor: small files in which no artefact is seen


def write_video(frames: Iterable[UInt8[np.ndarray, "H W 3"]], path: str | Path, fps: float) -> int:
    """Write pictures as an MP4 (H.264, yuv420p) that every player shows.

    Args:
        frames: RGB, all of one size; they are taken one by one. Odd sizes grow by one pixel, as the format wants.
        path: Ends in ``.mp4``; replaced atomically.
        fps: Frames per second.

    Returns:
        How many frames were written.

    Raises:
        ValueError: PyAV is not installed, there is no frame, sizes differ, or the file cannot be written.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError("Writing videos needs PyAV: pip install 'unihm[simulation]'.") from error
    if Path(path).suffix.lower() != ".mp4":
        raise ValueError(f"A video is written as .mp4, got '{path}'.")
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"fps is {fps}, expected a number above zero.")
    count, size = 0, None
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        # av's stubs know the stream's kind only for literal codec names of its own list.
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": _QUALITY}
        for frame in frames:
            size = size or frame.shape
            if frame.shape != size:
                raise ValueError(f"Frame {count} of the video has shape {frame.shape}, the first has {size}.")
            even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
            if count == 0:
                stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")))
            count += 1
        if count == 0:
            raise ValueError(f"There is no frame to write to '{path}'.")
        container.mux(stream.encode())
    return count


def film(
    world: World,
    rollout: Rollout,
    path: str | Path,
    camera: Camera | None = None,
    fps: float = 25.0,
    backend: str = "auto",
) -> int:
    """Show a rollout as it was recorded, in real time.

    Args:
        world: The world it happened in.
        rollout: What happened.
        path: The ``.mp4`` file; replaced atomically.
        camera: By default `film_camera`.
        fps: Frames per second.
        backend: See `rendering`.

    Returns:
        How many frames were written.

    Raises:
        ValueError: The rollout is not of this world, or see `write_video` and `rendering.choose_backend`.
    """
    times = np.arange(int(rollout.times[-1] * fps + 1e-6) + 1) / fps
    records = _records(rollout, times)
    pictures = _pictures(world, rollout, records, camera or film_camera(world, rollout), backend)
    bar = tqdm(pictures, total=len(records), desc=Path(path).name, unit="frame", delay=2, disable=None, leave=False)
    return write_video(iter(bar), path, fps)


def contact_sheet(
    world: World,
    rollout: Rollout,
    path: str | Path,
    times: Sequence[float] | None = None,
    camera: Camera | None = None,
    backend: str = "auto",
) -> None:
    """Draw some times of a rollout side by side.

    Args:
        world: The world it happened in.
        rollout: What happened.
        path: The PNG file; replaced atomically.
        times: s; by default six from start to end.
        camera: By default `film_camera`.
        backend: See `rendering`.

    Raises:
        ValueError: A time lies outside the rollout, the rollout is not of this world, or the file cannot be written.
    """
    last = float(rollout.times[-1])
    chosen = np.linspace(0.0, last, _STILLS) if times is None else np.array(times, dtype=np.float64)
    outside = chosen[~((chosen >= 0) & (chosen <= last + 1e-6))]
    if len(chosen) == 0 or len(outside):
        what = f"{outside[0]:g} s lies outside the rollout" if len(outside) else "No time was given for the rollout"
        raise ValueError(f"{what}, which lasts from 0 to {last:.2f} s.")
    camera = camera or film_camera(world, rollout, _STILL_SIZE)
    records = _records(rollout, chosen)
    font = ImageFont.load_default(size=16)
    rows = -(-len(chosen) // _COLUMNS)
    sheet = Image.new("RGB", (min(len(chosen), _COLUMNS) * camera.width, rows * camera.height), "white")
    for number, picture in enumerate(_pictures(world, rollout, records, camera, backend)):
        still = Image.fromarray(picture)
        ImageDraw.Draw(still).text((8, 6), f"{rollout.times[records[number]]:.2f} s", fill=(60, 60, 60), font=font)
        sheet.paste(still, (number % _COLUMNS * camera.width, number // _COLUMNS * camera.height))
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)


def film_camera(world: World, rollout: Rollout, size: tuple[int, int] = FILM_SIZE) -> Camera:
    """A three-quarter view from above on the thumb's side, that holds hand, object and fixture all the time.

    Args:
        world: The world.
        rollout: What happened in it.
        size: Width and height, pixels.

    Raises:
        ValueError: The rollout is not of this world.
    """
    direction = _direction(world, rollout)
    right = np.cross([0.0, 0.0, 1.0], direction)
    right /= np.linalg.norm(right)
    up = np.cross(direction, right)
    centres, radii = _spheres(world, rollout)
    x, y, z = centres @ right, centres @ up, -centres @ direction
    middle = [((v - radii).min() + (v + radii).max()) / 2 for v in (x, y, z)]
    # A ball fits where |x| + r <= margin * aspect * tan * depth, with depth = distance + z, and likewise for y.
    reach = _MARGIN * np.tan(_FIELD_OF_VIEW / 2)
    wide = (np.abs(x - middle[0]) + radii) / (reach * size[0] / size[1]) - (z - middle[2])
    high = (np.abs(y - middle[1]) + radii) / reach - (z - middle[2])
    T = np.eye(4)
    T[:3, :3] = np.column_stack([right, -up, -direction])
    T[:3, 3] = middle[0] * right + middle[1] * up - middle[2] * direction + max(wide.max(), high.max()) * direction
    focal = size[1] / 2 / np.tan(_FIELD_OF_VIEW / 2)
    return Camera(
        fx=focal,
        fy=focal,
        cx=(size[0] - 1) / 2,
        cy=(size[1] - 1) / 2,
        width=size[0],
        height=size[1],
        depth_scale=1000.0,
        T_world_camera=T,
    )


def _direction(world: World, rollout: Rollout) -> Float[np.ndarray, " 3"]:
    """From what is looked at to the camera."""
    axes = rollout.T_world_palm[:, :2, :3].mean(axis=0)
    heading = axes[:, 0] / max(float(np.linalg.norm(axes[:, 0])), 1e-9)
    thumb = axes[:, 1] if world.hand.side == "left" else -axes[:, 1]  # the palm's y points to the little finger
    across = np.array([-heading[1], heading[0]])
    if np.linalg.norm(axes[:, 0]) < 0.2:  # the hand points down
        across, heading = thumb / max(float(np.linalg.norm(thumb)), 1e-9), np.zeros(2)
    if np.linalg.norm(across) < 0.5:
        across = np.array([0.0, -1.0])
    if across @ thumb < 0:
        across = -across
    # Things are seen from their far side, where no hand hides them; a drawer has its handle on the near one.
    ahead = -heading if world.fixture is not None else heading
    level = np.cos(_ASIDE) * across + np.sin(_ASIDE) * ahead
    return np.array([*(np.cos(_ELEVATION) * level / np.linalg.norm(level)), np.sin(_ELEVATION)])


def _spheres(world: World, rollout: Rollout) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    """Balls around everything that must be seen, at some times."""
    records = np.linspace(0, len(rollout.times) - 1, _LOOKED_AT).round().astype(int)
    data, states = mujoco.MjData(world.model), _states(world, rollout)
    centres, radii = [], []
    for record in records:
        data.qpos[:] = states[record]
        mujoco.mj_kinematics(world.model, data)
        palm = rollout.T_world_palm[record, :3, 3]
        of_hand = (world.geom_link >= 0) & (np.linalg.norm(data.geom_xpos - palm, axis=1) < _HAND)
        shown = of_hand | world.geom_object | world.geom_fixture
        centres.append(data.geom_xpos[shown].copy())
        radii.append(world.model.geom_rbound[shown])
    centre, radius = np.concatenate(centres), np.concatenate(radii)
    near = np.linalg.norm(centre - np.median(centre, axis=0), axis=1) < _LOST
    return centre[near], radius[near]


def _states(world: World, rollout: Rollout) -> Float[np.ndarray, "n nc"]:
    if rollout.configuration.shape[1] != world.model.nq:
        raise ValueError(
            f"The rollout has {rollout.configuration.shape[1]} coordinates, its world would have {world.model.nq}."
        )
    return rollout.configuration


def _records(rollout: Rollout, times: np.ndarray) -> Int[np.ndarray, " n"]:
    """The record nearest to each time."""
    return np.abs(rollout.times[None] - times[:, None]).argmin(axis=1)


def _pictures(
    world: World, rollout: Rollout, records: np.ndarray, camera: Camera, backend: str
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    data, states = mujoco.MjData(world.model), _states(world, rollout)
    with ModelRenderer(world.model, camera, backend=backend) as renderer:
        for record in records:
            data.qpos[:] = states[record]
            mujoco.mj_kinematics(world.model, data)
            yield renderer.render(data).color
