"""Made scenes as the view network learns from them: every image once in cells, in arrays that are read in place.

Held out are the last scenes of a store, with all their views.

Letters: N images, h and w cells, H and W pixels, C = `view_input.VIEW_CHANNELS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy.ndimage import maximum_filter
from tqdm import tqdm

from unihm.cliport.view_input import VIEW_CHANNELS, cells_of, nearest_pixels, view_input
from unihm.cliport.view_network import VIEW_CLASSES
from unihm.scenes.records import SceneExample
from unihm.schema.storage import write_json

VERSION = 1
HELD_OUT = 0.05
"""Share of the images that is held out, at least."""

_FACTS = "views.json"
_WIDENED = 2  # cells around things that know which thing is beside them
_NORMALS = slice(5, 8)
_FORMS = {  # name -> type and channels, as they lie on disk: 13 bytes a cell
    "colour": (np.uint8, (3,)),
    "height": (np.float16, ()),
    "normals": (np.int8, (3,)),
    "nearness": (np.float16, ()),
    "thing": (np.uint8, ()),
    "part": (np.uint8, ()),
    "coverage": (np.uint8, ()),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewTargets:
    """What an image shows, in cells; things reach `_WIDENED` cells over their outline, where they cover nothing."""

    thing: UInt8[np.ndarray, "h w"]
    """Number of the thing in or beside the cell + 1, 0 far from all."""
    part: UInt8[np.ndarray, "h w"]
    """Its index in `VIEW_CLASSES`."""
    coverage: UInt8[np.ndarray, "h w"]
    """Share of the cell that things cover, 255 is all."""


def view_targets(
    instances: UInt8[np.ndarray, "H W"],
    handles: Bool[np.ndarray, "H W"],
    movable: Bool[np.ndarray, " n"],
    cells: int,
) -> ViewTargets:
    """Targets of an image.

    Args:
        instances: Number of the thing + 1, 0 for the surroundings; see `SceneExample`.
        handles: Pixels of handles.
        movable: Of each thing, whether it is a moving part.
        cells: Along the width.
    """
    height, width = instances.shape
    rows, columns = cells_of(height, width, cells)
    row, column = nearest_pixels(height, rows)[:, None], nearest_pixels(width, columns)
    reach = 2 * int(np.ceil(_WIDENED * width / columns)) + 1
    inside = instances[row, column]
    thing = np.where(inside > 0, inside, maximum_filter(instances, reach)[row, column])
    coverage = _mean(instances > 0, rows, columns)
    handle = _mean(handles, rows, columns) > coverage / 2
    panel = np.append(movable, False)[thing.astype(np.int64) - 1]
    classes = np.where(panel, np.where(handle, *map(VIEW_CLASSES.index, ("handle", "panel"))), 1)
    part = np.where(thing > 0, classes, 0).astype(np.uint8)
    return ViewTargets(thing=thing, part=part, coverage=np.round(255 * coverage).astype(np.uint8))


def example_input(example: SceneExample, cells: int) -> Float[np.ndarray, "C h w"]:
    """What the network sees of a made scene."""
    camera, depth = example.scene.camera, example.scene.depth
    T = camera.T_world_camera
    assert T is not None
    return view_input(
        colour=example.scene.color,
        points_world=camera.unproject(depth) @ T[:3, :3].T + T[:3, 3],
        valid=depth > 0,
        T_world_camera=T,
        cells=cells,
    )


class ViewSet:
    """All images of a store, in cells."""

    def __init__(self, folder: str | Path):
        """Open what `gather_views` wrote."""
        self.folder = Path(folder)
        self.facts = json.loads((self.folder / _FACTS).read_text(encoding="utf-8"))
        self._arrays = {name: np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in _FORMS}
        scene = np.load(self.folder / "scene.npy")
        self._first_whole = int(self.facts["first_whole"])
        begins = np.flatnonzero(scene[1:] != scene[:-1]) + 1
        later = begins[begins >= self._first_whole]
        if not len(later):
            raise ValueError(f"{len(scene)} images of {len(begins) + 1} scenes are too few: some must be held out.")
        self.training, self.held_out = np.arange(later[0]), np.arange(later[0], len(scene))
        self._whole = np.load(self.folder / "whole.npy", mmap_mode="r")

    def inputs(self, index: int) -> Float[np.ndarray, "C h w"]:
        """`VIEW_CHANNELS`, float32."""
        stored = {name: np.asarray(self._arrays[name][index]) for name in ("colour", "height", "normals", "nearness")}
        view = np.empty((len(VIEW_CHANNELS), *stored["height"].shape), dtype=np.float32)
        view[:3] = np.moveaxis(stored["colour"], -1, 0) / np.float32(255)
        view[3] = stored["nearness"] > 0
        view[4] = stored["height"]
        view[_NORMALS] = np.moveaxis(stored["normals"], -1, 0) / np.float32(127)
        view[8] = stored["nearness"]
        return view

    def targets(self, index: int) -> ViewTargets:
        """What it shows."""
        return ViewTargets(**{name: np.asarray(self._arrays[name][index]) for name in ("thing", "part", "coverage")})

    def whole(self, index: int) -> UInt8[np.ndarray, "H W"]:
        """Number of the thing + 1 of every pixel of a held-out image."""
        return np.asarray(self._whole[index - self._first_whole])


def gather_views(
    folder: str | Path,
    examples: Iterable[SceneExample],
    count: int,
    source: Mapping[str, Any],
    cells: int,
    *,
    resume: bool = False,
) -> ViewSet:
    """Bring images into cells; what is there already of the same source is taken as it is.

    Args:
        folder: Where the arrays lie, 1 MB an image of 4 : 3.
        examples: The images, views of a scene one after the other.
        count: How many there are.
        source: What they are.
        cells: Along the width.
        resume: Whether what is there is also taken where the source has grown since.

    Raises:
        ValueError: There are fewer than `count`, they differ in size, or they are too few to hold some out.
    """
    folder = Path(folder)
    source = {"version": VERSION, "channels": list(VIEW_CHANNELS), "cells": cells, **source}
    source = json.loads(json.dumps(source))  # as it will read when it comes back from the file
    path = folder / _FACTS
    if path.is_file():
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["source"] == source and (resume or facts["images"] == count):
            return ViewSet(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    first_whole = int((1 - HELD_OUT) * (count - 1))
    arrays: dict[str, np.ndarray] = {}
    scene = np.zeros(count, dtype=np.int64)
    index = -1
    for index, example in enumerate(tqdm(examples, total=count, desc="views", disable=None, leave=False)):
        if not arrays:
            height, width = example.instances.shape
            shapes = {name: (count, *cells_of(height, width, cells), *more) for name, (_, more) in _FORMS.items()}
            types = {name: form for name, (form, _) in _FORMS.items()} | {"whole": np.uint8}
            shapes["whole"] = (count - first_whole, height, width)
            arrays = {
                name: np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=types[name], shape=shape)
                for name, shape in shapes.items()
            }
        if example.instances.shape != arrays["whole"].shape[1:]:
            raise ValueError(
                f"Image {index} is {example.instances.shape}, the first {arrays['whole'].shape[1:]} pixels; expected "
                f"one size."
            )
        scene[index] = example.seed
        for name, values in _row(example, cells).items():
            arrays[name][index] = values
        if index >= first_whole:
            arrays["whole"][index - first_whole] = example.instances
    if index + 1 != count:
        raise ValueError(f"There are {index + 1} images, expected {count}.")
    for array in arrays.values():
        assert isinstance(array, np.memmap)
        array.flush()
    np.save(folder / "scene.npy", scene)
    write_json(path, {"source": source, "images": count, "first_whole": first_whole})
    return ViewSet(folder)


def _row(example: SceneExample, cells: int) -> dict[str, np.ndarray]:
    view = example_input(example, cells)
    movable = np.array([thing.joint is not None for thing in example.things], dtype=bool)
    return {
        "colour": np.round(255 * np.moveaxis(view[:3], 0, -1)).astype(np.uint8),
        "height": view[4].astype(np.float16),
        "normals": np.round(127 * np.moveaxis(view[_NORMALS], 0, -1)).astype(np.int8),
        "nearness": view[8].astype(np.float16),
        **vars(view_targets(example.instances, example.handles, movable, cells)),
    }


def _mean(mask: np.ndarray, rows: int, columns: int) -> np.ndarray:
    image = Image.fromarray(255 * mask.astype(np.uint8)).resize((columns, rows), Image.Resampling.BOX)
    return np.asarray(image) / 255
