"""``unihm data synthesize``: scenes with masks, poses, instructions and paths, on all cores or a Ray cluster."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import unihm
from unihm.datasets.workers import check_workers, open_workers
from unihm.registry import unknown_name
from unihm.scene_data.rows import SceneRow, row_of
from unihm.scene_data.store import SceneStore
from unihm.scenes.asking import askings
from unihm.scenes.composer import draw_scenes
from unihm.scenes.styles import STYLES

_PART = 8  # arrangements a part: what a killed process loses at most, for each worker
_DELAY = 2  # s until a progress bar is worth its line
FAMILIES = ("seen", "unseen")
WORDINGS = ("seen", "held-out")


@dataclass(frozen=True, kw_only=True)
class SceneMaking:
    """How scenes are made; a scene depends on this and its number alone."""

    style: str = "standard"
    """One of `scenes.styles.STYLES`."""
    families: str = "seen"
    """``seen``: only of families for training; ``unseen``: each scene has things of families that are held out."""
    wordings: str = "seen"
    """``seen`` or ``held-out``: of the instructions."""
    views: int = 2
    """Images of each arrangement of things."""
    askings: int = 8
    """Instructions for each image."""
    seed: int = 0
    """Scenes of different seeds have nothing in common."""
    meshes: str | None = None
    """Folder of the user's own meshes, which then stand among the other things."""
    without: tuple[str, ...] = ()
    """Folders of those meshes that are left out, for testing."""
    backend: str = "auto"
    """Of the rendering, see `simulation.rendering`."""
    width: int = 640
    """Of the images, pixels; the height is three quarters of it."""

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        for option, value, known in (
            ("--style", self.style, STYLES),
            ("--families", self.families, FAMILIES),
            ("--wordings", self.wordings, WORDINGS),
        ):
            if value not in known:
                raise unknown_name(option, value, known)
        for option, number in (("--views", self.views), ("--askings", self.askings), ("--width", self.width)):
            if number < 1:
                raise ValueError(f"{option} is {number}, expected at least 1.")

    def __call__(self, number: int) -> list[SceneRow]:
        """All views of one arrangement."""
        seed = np.random.SeedSequence([self.seed, number])
        for_scene, for_words = seed.spawn(2)
        drawn = draw_scenes(
            int(for_scene.generate_state(1)[0]),
            style=self.style,
            views=self.views,
            held_out=self.families == "unseen",
            meshes=None if self.meshes is None else Path(self.meshes),
            without=tuple(self.without),
            size=(self.width, self.width * 3 // 4),
            backend=self.backend,
        )
        rng = np.random.default_rng(for_words)
        rows = []
        for view, example in enumerate(drawn.examples):
            T_world_camera = example.scene.camera.T_world_camera
            assert T_world_camera is not None
            asked = askings(
                example.things,
                T_world_camera,
                rng,
                held_out_wording=self.wordings == "held-out",
                count=self.askings,
                surroundings_world=drawn.furniture_world,
                table=drawn.table,
            )
            full = type(example)(**{**vars(example), "askings": asked})
            rows.append(row_of(full, f"{self.seed}-{number}-{view}"))
        return rows


def synthesize(
    folder: str | Path,
    scenes: int,
    making: SceneMaking,
    *,
    workers: int | None = None,
    engine: str = "process",
) -> dict[str, Any]:
    """Make what is missing of a store.

    Args:
        folder: The store; what an earlier run of the same making finished is kept.
        scenes: Arrangements wanted in all; each gives ``making.views`` images.
        making: How.
        workers: See `open_workers`; default: all cores.
        engine: See `open_workers`.

    Returns:
        How many images and instructions there are.

    Raises:
        ValueError: The folder holds scenes that were made otherwise, or cannot be written.
    """
    check_workers(workers, engine)
    if scenes < 1:
        raise ValueError(f"--scenes is {scenes}, expected at least 1.")
    made_with = {"unihm": unihm.__version__, **asdict(making), "without": list(making.without)}
    if not making.without:  # stores of an earlier unihm do not mention it
        del made_with["without"]
    store = SceneStore.begin(folder, made_with)
    wanted = {part: range(part * _PART, min((part + 1) * _PART, scenes)) for part in range(-(-scenes // _PART))}
    todo = {part: numbers for part, numbers in wanted.items() if store.count(part) < making.views * len(numbers)}
    numbers = [number for part in todo.values() for number in part]
    waiting: dict[int, dict[int, list[SceneRow]]] = {part: {} for part in todo}
    with tqdm(total=scenes, initial=scenes - len(numbers), desc="scenes", disable=None, delay=_DELAY) as bar:
        if numbers:
            with open_workers(making, workers=workers, engine=engine, most=len(numbers)) as run:
                for index, rows in run(numbers):
                    number = numbers[index]
                    part = number // _PART
                    waiting[part][number] = rows
                    bar.update()
                    if len(waiting[part]) == len(todo[part]):
                        done = waiting.pop(part)
                        store.write(part, [row for number in sorted(done) for row in done[number]])
    return {"data": str(folder), "scenes": scenes, "images": len(store), **made_with}
