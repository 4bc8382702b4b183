"""Files that ship with the package: hands, scenes, weights."""

from __future__ import annotations

from pathlib import Path

from unihm.registry import unknown_name

ROOT = Path(__file__).resolve().parent
HANDS = ROOT / "hands"
SCENES = ROOT / "scenes"
WEIGHTS = ROOT / "weights"


def scene_folder(name: str) -> Path:
    """Folder of a built-in scene.

    Raises:
        ValueError: No such scene.
    """
    folder = SCENES / name
    if not (folder / "camera.json").is_file():
        raise unknown_name("Scene", name, (path.parent.name for path in SCENES.glob("*/camera.json")))
    return folder
