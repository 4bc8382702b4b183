"""From words and an RGB-D image to the path an object shall take, on the built-in scene."""

from pathlib import Path

import numpy as np

import unihm
from unihm.perception.base import PERCEPTIONS
from unihm.perception.scene_files import load_scene
from unihm.planning.base import PLANNERS
from unihm.planning.pregrasp import pregrasp

scene = load_scene(Path(unihm.__file__).parent / "assets" / "scenes" / "demo")
perception, planner = PERCEPTIONS["tabletop"](), PLANNERS["verbs"]()

for words in (
    "lift the yellow bottle",
    "move the red can 10 cm to the right",
    "push the rightmost box a little away from me",
):
    perceived = perception.perceive(scene, words)
    plan = planner.plan(perceived, words)
    path = plan.T_world_object[:, :3, 3]
    size = np.ptp(plan.object_points, axis=0)
    way = path[-1] - path[0]
    print(f'"{words}": {plan.task}, {len(path)} frames, the first {plan.rest_frames} at rest')
    print(f"  object {perceived.target + 1} of {len(perceived.objects)}, box {np.round(100 * size, 1)} cm")
    print(f"  goes {np.round(100 * way, 1)} cm (right, away, up), at most {100 * np.ptp(path[:, 2]):.0f} cm high")
    print(f"  the palm starts at {np.round(pregrasp(plan)[:3, 3], 2)} m")

# A request that the words do not decide is answered with what is there.
try:
    perception.perceive(scene, "lift it")
except ValueError as error:
    print(error)
