"""A motion as one offline HTML file with a player, or as a live player in the browser.

Hand, object cloud, object path and table are drawn by viser; its client travels inside the HTML, which therefore
needs neither network nor server.
"""

from __future__ import annotations

import html
import io
import time
from collections.abc import Callable
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import viser
from jaxtyping import Float, UInt8

from unihm.geometry.pose import pose_to_vector
from unihm.hands.hand import HandModel, load_hand
from unihm.schema.motion import HandMotion
from unihm.schema.plan import Plan
from unihm.schema.storage import write_text
from unihm.viewer.framing import FIELD_OF_VIEW, PATH, camera, link_poses, object_path, point_size, shaded

GHOST = (176, 96, 160)
_TABLE = (178, 162, 138)  # the client's bright surroundings whiten it to `framing.TABLE`

_START_HOLD, _END_HOLD = 0.4, 1.0  # s; without a rest the loop's seam cannot be told from the motion
_SCENE_POINTS = 40_000  # more make the file larger than 3 MB and are not seen

SceneCloud = tuple[Float[np.ndarray, "N 3"], UInt8[np.ndarray, "N 3"]]
"""World points (m) and their RGB."""


def write_html(
    motion: HandMotion,
    path: str | Path,
    *,
    title: str = "",
    scene: SceneCloud | None = None,
    before: HandMotion | None = None,
) -> None:
    """One self-contained HTML file in which the motion plays in a loop, with a time slider.

    Args:
        motion: What to show.
        path: The file; replaced atomically.
        title: Shown above the scene; by default the motion's instruction.
        scene: Everything the camera saw, drawn dimmed around the motion.
        before: The same motion before refinement, drawn as a translucent second hand that can be switched off
            in the scene tree.

    Raises:
        ValueError: The motion's hand is unknown, or the file cannot be written.
    """
    with scene_server("127.0.0.1", 0, quiet=True) as server:
        show = _draw(server, motion, scene, before)
        page = record(server, len(motion), motion.fps, show)
    title = title or motion.instruction or f"{motion.hand} motion"
    write_text(path, with_title(page, title, f"{motion.hand}, {len(motion)} frames at {motion.fps:g} Hz"))


def serve(
    motion: HandMotion,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    scene: SceneCloud | None = None,
    before: HandMotion | None = None,
) -> None:
    """A player in the browser with a time slider and play/pause, until Ctrl-C.

    Args:
        motion: What to show.
        host: Address to bind; the default is reachable from this machine only.
        port: Port; the next free one is taken where it is in use.
        scene: Everything the camera saw, drawn dimmed around the motion.
        before: The same motion before refinement, drawn translucent.
    """
    with scene_server(host, port) as server:
        show = _draw(server, motion, scene, before)
        playing = server.gui.add_checkbox("Playing", initial_value=True)
        slider = server.gui.add_slider("Frame", min=0, max=max(len(motion) - 1, 1), step=1, initial_value=0)
        speed = server.gui.add_slider("Speed", min=0.1, max=2.0, step=0.1, initial_value=1.0)
        if motion.instruction:
            server.gui.add_markdown(f"**{motion.hand}**: {motion.instruction}")
        shown = 0
        try:
            while True:
                if playing.value:
                    slider.value = (int(slider.value) + 1) % len(motion)
                if int(slider.value) != shown:
                    shown = min(int(slider.value), len(motion) - 1)
                    with server.atomic():
                        show(shown)
                time.sleep(1 / (motion.fps * speed.value))
        except KeyboardInterrupt:
            return


@contextmanager
def scene_server(host: str, port: int, quiet: bool = False):
    """A viser server that is stopped in the end; port 0 takes any free one."""
    banner = io.StringIO()  # viser prints its address to stdout, where --json output belongs
    with redirect_stdout(banner):
        server = viser.ViserServer(host=host, port=port, verbose=False)
    if not quiet:
        print(f"http://{host}:{server.get_port()}  (Ctrl-C ends)", flush=True)
    try:
        yield server
    finally:
        with redirect_stdout(banner):
            server.stop()


def record(server: viser.ViserServer, frames: int, fps: float, show: Callable[[int], None]) -> str:
    """The HTML page in which what `show` draws of each frame plays in a loop; frame 0 is drawn already."""
    serializer = server.get_scene_serializer()
    serializer.insert_sleep(_START_HOLD)
    for frame in range(1, frames):
        show(frame)
        serializer.insert_sleep(1 / fps)
    serializer.insert_sleep(_END_HOLD)
    return serializer.as_html()  # can be called once: it ends the recording


def _draw(
    server: viser.ViserServer, motion: HandMotion, scene: SceneCloud | None, before: HandMotion | None
) -> Callable[[int], None]:
    """Build the scene at frame 0; the returned function moves it to another frame."""
    hand = load_hand(motion.hand)
    movers = [_draw_hand(server, "/hand", motion, hand)]
    if before is not None:
        if len(before) != len(motion):
            raise ValueError(f"'before' has {len(before)} frames, the motion has {len(motion)}.")
        movers.append(_draw_hand(server, "/before_refinement", before, load_hand(before.hand), GHOST))
    draw_table(server, motion.T_world_palm[:, :3, 3].mean(axis=0))
    if motion.object_points is not None and motion.T_world_object is not None:
        movers.append(draw_object(server, motion, shaded(motion)))
    if scene is not None:
        draw_scene(server, *scene)
    _aim(server, motion)

    def show(frame: int) -> None:
        for move in movers:
            move(frame)

    show(0)
    return show


def draw_table(server: viser.ViserServer, centre: Float[np.ndarray, " 3"]) -> None:
    """A round table about a point (m) in the world."""
    server.scene.add_cylinder(
        "/table",
        radius=0.7,
        height=0.02,
        color=_TABLE,
        radial_segments=96,
        position=(centre[0], centre[1], -0.011),
        cast_shadow=False,  # it would only stripe itself
        receive_shadow=0.25,
    )


def draw_scene(server: viser.ViserServer, points: Float[np.ndarray, "N 3"], colors: UInt8[np.ndarray, "N 3"]) -> None:
    """World points (m), with paled colours."""
    keep = np.random.default_rng(0).permutation(len(points))[:_SCENE_POINTS]
    dimmed = (0.45 * colors[keep] + 0.55 * 235).astype(np.uint8)
    server.scene.add_point_cloud(
        "/scene", points[keep], dimmed, point_size=0.002, point_shape="circle", point_shading="flat"
    )


def _draw_hand(
    server: viser.ViserServer,
    name: str,
    motion: HandMotion,
    hand: HandModel,
    ghost: tuple[int, int, int] | None = None,
) -> Callable[[int], None]:
    """One frame per link that has shapes, and the shapes in it."""
    poses = link_poses(motion, hand)
    vectors = pose_to_vector(poses)
    frames: dict[int, Any] = {}
    for number, shape in enumerate(hand.geometry):
        link = shape.link
        if link not in frames:
            frames[link] = server.scene.add_frame(f"{name}/{hand.tree.link_names[link]}", show_axes=False)
        _draw_shape(server, f"{name}/{hand.tree.link_names[link]}/{number}", shape, ghost)

    def move(frame: int) -> None:
        for link, handle in frames.items():
            handle.position, handle.wxyz = vectors[frame, link, :3], vectors[frame, link, 3:]

    return move


def _draw_shape(server: viser.ViserServer, name: str, shape: Any, ghost: tuple[int, int, int] | None) -> None:
    vector = pose_to_vector(shape.T_link_shape)
    options: dict[str, Any] = {
        "color": ghost or tuple(round(255 * c) for c in shape.color[:3]),
        "opacity": None if ghost is None else 0.3,
        "cast_shadow": ghost is None,
        "position": vector[:3],
        "wxyz": vector[3:],
    }
    if shape.kind == "box":
        server.scene.add_box(name, dimensions=shape.size, **options)
    elif shape.kind == "cylinder":  # along z in viser as in URDF
        server.scene.add_cylinder(name, radius=shape.size[0], height=shape.size[1], **options)
    else:
        server.scene.add_icosphere(name, radius=shape.size[0], **options)


def draw_object(
    server: viser.ViserServer, motion: HandMotion | Plan, colors: UInt8[np.ndarray, "n 3"]
) -> Callable[[int], None]:
    """The object's cloud in a moving frame, and the path of its centre as a line with a bead at its end."""
    assert motion.object_points is not None
    assert motion.T_world_object is not None
    vectors = pose_to_vector(motion.T_world_object)
    frame = server.scene.add_frame("/object", show_axes=False)
    server.scene.add_point_cloud(
        "/object/cloud",
        motion.object_points,
        colors,
        point_size=point_size(motion.object_points),
        point_shape="circle",
        point_shading="flat",
        precision="float32",
    )
    path = object_path(motion)
    if np.linalg.norm(path.max(axis=0) - path.min(axis=0)) > 1e-3:
        server.scene.add_line_segments(
            "/object_path",
            np.stack([path[:-1], path[1:]], axis=1),
            PATH,
            thickness=3,
            thickness_units="screen",
        )
        server.scene.add_icosphere("/object_path_end", radius=0.006, color=PATH, position=path[-1])

    def move(index: int) -> None:
        frame.position, frame.wxyz = vectors[index, :3], vectors[index, 3:]

    return move


def _aim(server: viser.ViserServer, motion: HandMotion) -> None:
    position, target = camera(motion)
    server.initial_camera.position = tuple(position)
    server.initial_camera.look_at = tuple(target)
    server.initial_camera.fov = float(FIELD_OF_VIEW)


def with_title(page: str, title: str, line: str) -> str:
    """The page with a caption of two lines over the scene; the first is also in the browser's tab."""
    caption = (
        '<div style="position:fixed;left:0;right:0;top:12px;text-align:center;z-index:5;pointer-events:none;'
        'font:15px/1.4 system-ui,sans-serif;color:#333;text-shadow:0 0 4px #fff">'
        f"<b>{html.escape(title)}</b><br>{html.escape(line)}</div>"
    )
    start, end = page.index("<title>"), page.index("</title>")
    page = page[:start] + f"<title>{html.escape(title)}" + page[end:]
    close = page.rindex("</body>")
    return page[:close] + caption + page[close:]
