"""A small data set in the DexYCB reader's format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dataset_builders import HEIGHT, PITCH, SUBJECTS, Recordings, lift_in_camera, write_box


@pytest.fixture
def write_synthetic(tmp_path: Path) -> Callable[..., Path]:
    """Writes two subjects' recordings, right and left, and their object meshes; returns the root."""

    def write(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = lambda a: a) -> Path:
        recordings = Recordings(tmp_path / "dexycb")
        for s, subject in enumerate(SUBJECTS):
            for k, name in enumerate(("003_cracker_box", "009_gelatin_box")):
                for t, side in enumerate(("right", "left")):
                    sequence = f"2020_{k}{t}"
                    arrays = change(lift_in_camera(seed=10 * s + k, mirror=side == "left"))
                    split = None if side == "left" else ("train", "valid")[s]
                    recordings.add(side, subject, sequence, name, split, **arrays)
                write_box(tmp_path / "ycb_models" / name / "mesh_simplified.obj")
        root = recordings.write()
        up = [0.0, -np.cos(PITCH), -np.sin(PITCH)]
        planes = {subject: {"up": up, "height": -HEIGHT} for subject in SUBJECTS}
        (root / "derived_table_plane.json").write_text(json.dumps(planes))
        return root

    return write


@pytest.fixture
def synthetic_root(write_synthetic) -> Path:
    """The synthetic data set as it should be."""
    return write_synthetic()
