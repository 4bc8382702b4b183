"""A store of made-up motions of two hands."""

from __future__ import annotations

import pytest
from paired_scenes import scenes

from unihm.datasets.episode_store import write_episodes
from unihm.datasets.motion_store import write_motions


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    episodes, motions = scenes()
    write_episodes(folder, episodes)
    for hand, of_hand in motions.items():
        write_motions(folder, hand, of_hand)
    return folder
