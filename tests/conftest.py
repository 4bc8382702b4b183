"""What every test shares: run-time shape checks, the reference data, one thread."""

from __future__ import annotations

import os
from pathlib import Path

# Checked before unihm is imported anywhere: jaxtyping shapes are verified at run time in tests, free in production.
from jaxtyping import install_import_hook

_hook = install_import_hook("unihm", "beartype.beartype")

import pytest  # noqa: E402  (the hook must come first)

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

# No test may reach a model hub: everything it needs is installed or made by the test.
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Two test processes share two cores; nested thread pools only make both slower."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real reference data beside the checkout; tests that need it skip without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("reference data ../shared/data is not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def made_scenes(tmp_path_factory) -> Path:
    """Three small made images with instructions."""
    from scene_store_builders import MAKING
    from unihm.scene_data import synthesize

    folder = tmp_path_factory.mktemp("made_scenes")
    synthesize(folder, 3, MAKING, workers=1)
    return folder


@pytest.fixture(scope="session")
def tiny_planner(tmp_path_factory, made_scenes) -> Path:
    """Folder of a planner that has been trained for a few steps on them."""
    from unihm.training.planner import train_planner

    folder = tmp_path_factory.mktemp("tiny_planner")
    train_planner(made_scenes, folder, preset="tiny")
    return folder
