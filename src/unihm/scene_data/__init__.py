"""Made scenes on disk: written in parallel, resumable, read back for training and evaluation."""

from unihm.scene_data.store import SceneStore, read_scenes
from unihm.scene_data.synthesis import SceneMaking, synthesize

__all__ = ["SceneMaking", "SceneStore", "read_scenes", "synthesize"]
