"""A folder of made scenes: ``manifest.json`` says how they are made, ``scenes/<number>.parquet`` hold them.

Each part holds the scenes of some seeds and is written atomically, so an interrupted run leaves whole parts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unihm.datasets.made_with import differences
from unihm.datasets.parquet import read_table, write_table
from unihm.scene_data.rows import SceneRow, example_of, table_of
from unihm.scenes.records import SceneExample
from unihm.schema.storage import write_json

VERSION = 1
_KIND, _PART, _MANIFEST = "made_scenes", "made_scenes_part", "manifest.json"


class SceneStore:
    """The parts that are there."""

    def __init__(self, folder: str | Path):
        """Open a store.

        Raises:
            ValueError: The folder holds none, or its manifest is damaged or of another kind.
        """
        self.folder = Path(folder)
        path = self.folder / _MANIFEST
        if not path.is_file():
            raise ValueError(
                f"'{folder}' holds no made scenes: '{_MANIFEST}' is missing. Make some with 'unihm data synthesize'."
            )
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            kind, version, self.made_with = manifest["kind"], manifest["version"], manifest["made_with"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"'{path}' is damaged: {error!r}.") from error
        if kind != _KIND or version != VERSION:
            raise ValueError(f"'{path}' describes a {kind!r} of version {version}, expected '{_KIND}' of {VERSION}.")

    @classmethod
    def begin(cls, folder: str | Path, made_with: Mapping[str, Any]) -> SceneStore:
        """A new store, or one that was begun in the same way.

        Raises:
            ValueError: The folder holds scenes that are made otherwise.
        """
        path = Path(folder) / _MANIFEST
        if not path.is_file():
            write_json(path, {"kind": _KIND, "version": VERSION, "made_with": made_with})
        store = cls(folder)
        if different := differences(store.made_with, made_with):
            raise ValueError(f"'{folder}' holds scenes that are made with another {different}; choose another folder.")
        return store

    @property
    def facts(self) -> dict[str, Any]:
        """How the scenes were made, for cards: of a folder of meshes the name, since cards travel and paths do not."""
        meshes = self.made_with.get("meshes")
        return {**self.made_with, "meshes": None if meshes is None else Path(meshes).name}

    @property
    def licence(self) -> str:
        """Of weights that are trained on these scenes, for cards."""
        meshes = self.facts["meshes"]
        others = "" if meshes is None else f", and on the meshes of '{meshes}' under their licence: YCB's is CC BY 4.0"
        return f"Apache-2.0 (trained on scenes that unihm draws itself{others})"

    def part(self, number: int) -> Path:
        """Where a part lies, whether it is there or not."""
        return self.folder / "scenes" / f"{number:05d}.parquet"

    def parts(self) -> list[int]:
        """Numbers of the parts that are there."""
        return sorted(int(path.stem) for path in (self.folder / "scenes").glob("[!.]*.parquet"))

    def write(self, number: int, rows: Sequence[SceneRow]) -> None:
        """Keep a part."""
        write_table(self.part(number), table_of(rows), kind=_PART, version=VERSION, header={})

    def read(self, number: int) -> Iterator[SceneExample]:
        """The scenes of a part; raises ValueError where it is damaged."""
        _, table = read_table(self.part(number), kind=_PART, version=VERSION)
        for row in range(len(table)):
            yield example_of(table, row)

    def count(self, number: int) -> int:
        """Scenes in a part; 0 where it is not there."""
        path = self.part(number)
        return len(read_table(path, kind=_PART, version=VERSION, columns=["id"])[1]) if path.is_file() else 0

    def __len__(self) -> int:
        return sum(map(self.count, self.parts()))


def read_scenes(folder: str | Path, limit: int | None = None) -> Iterator[SceneExample]:
    """The scenes of a store in their order, at most `limit`.

    Raises:
        ValueError: The folder holds none, or a file is damaged.
    """
    store, given = SceneStore(folder), 0
    if not store.parts():
        raise ValueError(f"'{folder}' holds no finished scene; 'unihm data synthesize' goes on with it.")
    for number in store.parts():
        for example in store.read(number):
            if limit is not None and given >= limit:
                return
            given += 1
            yield example
