"""A made scene as one row: images as encoded bytes, arrays as lists of numbers, the rest as JSON.

Colour is stored as JPEG, as many cameras deliver it; depth as 16-bit PNG in the camera's unit; ``masks`` is a PNG whose
value is the thing's number + 1, and 128 more on a handle.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from unihm.datasets.parquet import array_column, cell, list_type
from unihm.geometry.camera import Camera
from unihm.geometry.pose import pose_to_vector, vector_to_pose
from unihm.scenes.records import Asking, SceneExample, Thing
from unihm.schema.joint import Joint
from unihm.schema.scene import Scene

_HANDLE = 128  # added to a mask's value on a handle; a scene has fewer things
_JPEG = 95
_SURFACE, _PATHS = list_type(6), list_type(7)


@dataclass(frozen=True, kw_only=True)
class SceneRow:
    """One scene, ready to be stored; what a worker sends back."""

    id: str
    """``<seed>-<view>``."""
    color: bytes
    """JPEG."""
    depth: bytes
    """PNG."""
    masks: bytes
    """PNG."""
    facts: str
    """JSON: camera, things, askings."""
    surfaces: np.ndarray
    """Points and normals of all things, (n, 6)."""
    paths: np.ndarray
    """All askings' paths, xyz + quaternion, (K, 7)."""


def row_of(example: SceneExample, name: str) -> SceneRow:
    """The example as a row."""
    scene = example.scene
    masks = example.instances + np.where(example.handles, _HANDLE, 0).astype(np.uint8)
    assert len(example.things) < _HANDLE
    steps = np.round(scene.depth * scene.camera.depth_scale).clip(0, np.iinfo(np.uint16).max).astype(np.uint16)
    paths = [a.T_world_object for a in example.askings if a.T_world_object is not None]
    facts = {
        "seed": example.seed,
        "style": example.style,
        "camera": _camera_facts(scene.camera),
        "things": [_thing_facts(thing) for thing in example.things],
        "askings": [_asking_facts(asking) for asking in example.askings],
    }
    surfaces = [np.hstack([thing.surface_object, thing.normals_object]) for thing in example.things]
    return SceneRow(
        id=name,
        color=_encoded(scene.color, "JPEG", quality=_JPEG, subsampling=0),
        depth=_encoded(steps, "PNG", compress_level=3),
        masks=_encoded(masks, "PNG"),
        facts=json.dumps(facts),
        surfaces=np.concatenate([np.zeros((0, 6)), *surfaces]),
        paths=np.concatenate([np.zeros((0, 7)), *map(pose_to_vector, paths)]),
    )


def table_of(rows: Sequence[SceneRow]) -> pa.Table:
    """Rows as a table."""
    return pa.table(
        {
            "id": [row.id for row in rows],
            "color": pa.array([row.color for row in rows], type=pa.binary()),
            "depth": pa.array([row.depth for row in rows], type=pa.binary()),
            "masks": pa.array([row.masks for row in rows], type=pa.binary()),
            "facts": [row.facts for row in rows],
            "surfaces": array_column([row.surfaces for row in rows], _SURFACE),
            "paths": array_column([row.paths for row in rows], _PATHS),
        }
    )


def example_of(table: pa.Table, row: int) -> SceneExample:
    """The scene in one row of a table."""
    facts = json.loads(table["facts"][row].as_py())
    color, depth, masks = (_decoded(table[name][row].as_py()) for name in ("color", "depth", "masks"))
    camera = facts["camera"]
    pose = camera.pop("T_world_camera")
    camera = Camera(**camera, T_world_camera=vector_to_pose(np.array(pose)))
    surfaces, paths = cell(table["surfaces"], row), cell(table["paths"], row)
    assert surfaces is not None
    assert paths is not None
    cuts = np.cumsum([thing["points"] for thing in facts["things"]])[:-1]
    things = [_thing(t, s) for t, s in zip(facts["things"], np.split(surfaces, cuts), strict=True)]
    frames = np.cumsum([asking["frames"] for asking in facts["askings"]])
    parts = np.split(vector_to_pose(paths), frames[:-1]) if len(frames) else []
    return SceneExample(
        scene=Scene(color=color, depth=depth / camera.depth_scale, camera=camera, name=str(table["id"][row].as_py())),
        instances=masks % _HANDLE,
        handles=masks >= _HANDLE,
        things=tuple(things),
        askings=tuple(_asking(a, p) for a, p in zip(facts["askings"], parts, strict=True)),
        seed=facts["seed"],
        style=facts["style"],
    )


def _camera_facts(camera: Camera) -> dict[str, Any]:
    assert camera.T_world_camera is not None
    values = {name: getattr(camera, name) for name in ("fx", "fy", "cx", "cy", "width", "height", "depth_scale")}
    return {**values, "T_world_camera": pose_to_vector(camera.T_world_camera).tolist()}


def _thing_facts(thing: Thing) -> dict[str, Any]:
    joint = None if thing.joint is None else {k: _plain(v) for k, v in vars(thing.joint).items()}
    names = ("family", "held_out", "names", "held_out_names", "class_words", "dimensions_m", "mass_kg", "fixture")
    return {
        **{name: getattr(thing, name) for name in names},
        "attributes": dict(thing.attributes),
        "T_world_object": pose_to_vector(thing.T_world_object).tolist(),
        "joint": joint,
        "points": len(thing.surface_object),
    }


def _thing(facts: dict[str, Any], surface: np.ndarray) -> Thing:
    joint = facts.pop("joint")
    if joint is not None:
        axis, origin = (np.array(joint.pop(name)) for name in ("axis_world", "origin_world"))
        joint = Joint(**joint, axis_world=axis, origin_world=origin)
    facts.pop("points")
    lists = {name: tuple(facts.pop(name)) for name in ("names", "held_out_names", "class_words", "dimensions_m")}
    attributes = {name: tuple(words) for name, words in facts.pop("attributes").items()}
    T_world_object = vector_to_pose(np.array(facts.pop("T_world_object")))
    values: dict[str, Any] = {**facts, **lists}
    return Thing(
        **values,
        attributes=attributes,
        T_world_object=T_world_object,
        surface_object=surface[:, :3],
        normals_object=surface[:, 3:],
        joint=joint,
    )


def _asking_facts(asking: Asking) -> dict[str, Any]:
    facts = {name: _plain(value) for name, value in vars(asking).items() if name != "T_world_object"}
    return {**facts, "frames": 0 if asking.T_world_object is None else len(asking.T_world_object)}


def _asking(facts: dict[str, Any], path: np.ndarray) -> Asking:
    frames, targets = facts.pop("frames"), tuple(facts.pop("targets"))
    return Asking(**facts, targets=targets, T_world_object=path if frames else None)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _encoded(image: np.ndarray, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()


def _decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))
