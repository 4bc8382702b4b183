"""Draws whole scenes: things on a table, a camera that sees them, and the image it takes."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo is a compiled module without type stubs.)
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from unihm.geometry.camera import Camera
from unihm.geometry.pose import yaw_pose
from unihm.registry import unknown_name
from unihm.scenes.free_things import POINTS, draw_objects, thing_of
from unihm.scenes.furniture import Furniture, draw_furniture, part_thing
from unihm.scenes.layout import Placed, TableTop, footprint, lay_out
from unihm.scenes.photograph import Light, developed, draw_light
from unihm.scenes.records import SceneExample, Thing
from unihm.scenes.scene_model import Printed, SceneModel, add_object, compiled, painted
from unihm.scenes.scene_prints import scene_prints
from unihm.scenes.scene_view import draw_view
from unihm.scenes.styles import STYLES, Style
from unihm.scenes.surroundings import add_surroundings, draw_table
from unihm.schema.scene import Scene
from unihm.simulation.fixtures import add_fixture
from unihm.simulation.rendering import ModelRenderer

LEAST_VISIBLE = 0.4
"""Share of each thing's near side that is seen in every image."""
_ATTEMPTS = 20
_FEWER = 2  # free objects beside a fixture
_FACING = float(np.radians(50))  # largest angle between a fixture's front and the direction to the camera
_PLACES = 10  # that are tried for a fixture
_GLOSS = (0.0, 0.0, 0.3, 0.8)


@dataclass(frozen=True, kw_only=True, eq=False)
class Staged:
    """What is on the table before anything is drawn."""

    object: Placed | None = None
    """A free object where it shall stand; it is the first of the things."""
    furniture: Furniture | None = None
    """A piece of furniture; where it stands is drawn. Its parts are the last of the things."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """One arrangement."""

    examples: list[SceneExample]
    """Its images, without instructions."""
    table: TableTop
    """What it stands on."""
    furniture: Furniture | None
    """Where there is one, as it stands."""

    @property
    def furniture_world(self) -> Float[np.ndarray, "n 3"]:
        """Points on the furniture; none where there is none, m."""
        return np.zeros((0, 3)) if self.furniture is None else self.furniture.surface_world


def draw_scene(
    seed: int,
    style: str = "standard",
    *,
    held_out: bool = False,
    meshes: Path | None = None,
    size: tuple[int, int] = (640, 480),
    backend: str = "auto",
) -> SceneExample:
    """One scene from one camera; see `draw_scenes`."""
    return draw_scenes(seed, style, views=1, held_out=held_out, meshes=meshes, size=size, backend=backend).examples[0]


def draw_scenes(
    seed: int,
    style: str = "standard",
    *,
    views: int = 2,
    held_out: bool = False,
    meshes: Path | None = None,
    without: tuple[str, ...] = (),
    staged: Staged | None = None,
    size: tuple[int, int] = (640, 480),
    backend: str = "auto",
) -> Drawn:
    """The same things from several cameras.

    Args:
        seed: Everything follows from it.
        style: One of `styles.STYLES`.
        views: How many cameras; a further one costs a fifth of a scene.
        held_out: Whether some of the objects are of held-out families.
        meshes: Folder of a user's meshes, of which some objects are; see `user_meshes.find_meshes`.
        without: Folders of those meshes that are left out.
        staged: What is there in any case; no other furniture is drawn then.
        size: Width and height of the images, pixels.
        backend: One of `simulation.rendering.BACKENDS`, or ``auto``.

    Raises:
        ValueError: There is no such style, the backend does not work here, or no camera sees what is staged.
    """
    if style not in STYLES:
        raise unknown_name("Style of scenes", style, STYLES)
    order = _Order(
        seed=seed,
        style=style,
        views=views,
        held_out=held_out,
        meshes=meshes,
        without=without,
        staged=staged,
        size=size,
        backend=backend,
    )
    rng = np.random.default_rng(seed)
    for _ in range(_ATTEMPTS):
        if (drawn := _attempt(order, rng)) is not None:
            return drawn
    raise ValueError(f"No camera sees the things of seed {seed}.")


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What `draw_scenes` was asked for."""

    seed: int
    style: str
    views: int
    held_out: bool
    meshes: Path | None
    without: tuple[str, ...]
    staged: Staged | None
    size: tuple[int, int]
    backend: str


def _attempt(order: _Order, rng: np.random.Generator) -> Drawn | None:
    """One arrangement; None where too few things of it can be seen."""
    style = STYLES[order.style]
    azimuth = rng.uniform(-np.pi, np.pi)
    first = order.staged and order.staged.object
    if order.staged is None:
        furniture = draw_furniture(rng) if rng.random() < style.fixture_share else None
    else:
        furniture = order.staged.furniture
    table, furniture = _table(furniture, azimuth, style, rng)
    parts = furniture.parts if furniture else ()
    if order.staged is not None and (order.staged.furniture is None) != (furniture is None):
        return None
    least, most = (max(n - _FEWER * bool(parts), 1) for n in style.objects)
    objects = draw_objects(
        style, int(rng.integers(least, most, endpoint=True)), order.held_out, order.meshes, rng, order.without
    )
    taken = (furniture.outline, *furniture.swept) if furniture else ()
    if first:
        taken = (*taken, footprint(first.vertices_world))
        if not table.holds(taken[-1]):
            return None
    placed = (*((first,) if first else ()), *lay_out(objects, table, style, rng, taken))
    free = len(placed)
    if free < least:
        return None
    things = tuple(thing_of(one, rng) for one in placed)
    things += tuple(part_thing(furniture, k, POINTS, rng) for k in range(len(parts)) if furniture)
    spec = mujoco.MjSpec()
    add_surroundings(spec, table, azimuth, rng)
    for index, one in enumerate(placed):
        add_object(spec, index, one)
    for part in parts:
        add_fixture(spec, part)
    gloss = {f"thing{index}/": float(rng.choice(_GLOSS)) for index in range(free)}
    gloss |= {"fixture": float(rng.choice(_GLOSS)), "table": float(rng.choice(_GLOSS)) / 2}
    scene = compiled(
        spec,
        {f"{part.name}/joint": part.position0 for part in parts},
        {part.name: free + k for k, part in enumerate(parts)},
        gloss,
    )

    seen = [draw_view(scene, things, style, azimuth, order.size, rng, LEAST_VISIBLE, k > 0) for k in range(order.views)]
    visible = np.min([shares for _, shares in seen], axis=0) >= LEAST_VISIBLE
    kept = np.flatnonzero(visible)
    strange = any(things[k].held_out for k in kept)
    if (
        visible[:free].sum() < least
        or not visible[free:].all()
        or (first and not visible[0])
        or strange != order.held_out
    ):
        return None
    for index in np.flatnonzero(~visible):
        scene.take_out(int(index))
    number = np.zeros(len(things) + 1, dtype=np.uint8)
    number[kept] = 1 + np.arange(len(kept))

    light = draw_light(style, azimuth, rng)
    shown = {int(index): placed[index] for index in np.flatnonzero(visible[:free])}
    prints = scene_prints(scene, table, shown, furniture, style, rng)
    with ModelRenderer(scene.model, seen[0][0], backend=order.backend, lamps=light.lamps, smooth=False) as renderer:
        examples = [
            _photographed(order, scene, renderer, camera, tuple(things[k] for k in kept), number, prints, light, rng)
            for camera, _ in seen
        ]
    return Drawn(examples=examples, table=table, furniture=furniture)


def _table(
    furniture: Furniture | None, azimuth: float, style: Style, rng: np.random.Generator
) -> tuple[TableTop, Furniture | None]:
    """A table, and the furniture on it with its front roughly to the camera; a table that is too small has none."""
    table = draw_table(style, rng)
    if furniture is None:
        return table, None
    for _ in range(_PLACES):
        turn = azimuth + rng.uniform(-_FACING, _FACING)
        away = -np.array([np.cos(azimuth), np.sin(azimuth)]) * rng.uniform(0.0, 0.15)
        standing = furniture.standing_at(yaw_pose(turn, (away + rng.uniform(-0.1, 0.1, 2)).tolist()))
        if table.holds(standing.outline):
            return table, standing
        table = draw_table(style, rng)
    return table, None


def _photographed(
    order: _Order,
    scene: SceneModel,
    renderer: ModelRenderer,
    camera: Camera,
    things: tuple[Thing, ...],
    number: UInt8[np.ndarray, " n"],
    prints: list[Printed],
    light: Light,
    rng: np.random.Generator,
) -> SceneExample:
    """One image; `number` has the value in it of every thing of the model, and 0 at the end for all else."""
    style = STYLES[order.style]
    rendering = renderer.render(scene.data, camera)
    geom = rendering.segmentation
    instances = number[np.where(geom >= 0, scene.thing[geom], -1)]
    subject = (instances > 0) | np.isin(geom, scene.geoms("table"))
    color = developed(
        rendering.color / 255.0,
        painted(scene, rendering, prints, camera),
        np.where(geom >= 0, scene.gloss[geom], 0.0),
        subject,
        light,
        style,
        rng,
    )
    sensor = style.sensors[rng.integers(len(style.sensors))]
    K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    return SceneExample(
        scene=Scene(color=color, depth=sensor.observed(rendering.depth, K, rng, color), camera=camera),
        instances=instances,
        handles=(geom >= 0) & scene.handle[geom],
        things=things,
        askings=(),
        seed=order.seed,
        style=order.style,
    )
