"""A plan as one offline HTML file: what the camera saw, what is meant, its completed cloud, and the path it takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unihm.schema.plan import Plan
from unihm.schema.scene import PerceivedScene
from unihm.schema.storage import write_text
from unihm.viewer.framing import FIELD_OF_VIEW, GUESSED, OBJECT, object_path, seen_points, shaded
from unihm.viewer.player import draw_object, draw_scene, draw_table, record, scene_server, with_title

_TINT = 0.6  # share of the object's colour in the points under the target's mask
_BACK, _UP = 0.15, 0.1  # m behind and above the camera that took the picture: more of the path is seen


def write_plan_html(path: str | Path, perceived: PerceivedScene, plan: Plan) -> None:
    """One self-contained HTML file in which the object moves along its path, seen as by the camera.

    The scene is paled; the target's seen points are tinted and stay where they are, while the completed cloud moves
    along the path, its guessed points darker than the seen ones.

    Args:
        path: The file; replaced atomically.
        perceived: What the plan was made from.
        plan: The path and the completed cloud.
    """
    thing = perceived.target_object
    with scene_server("127.0.0.1", 0, quiet=True) as server:
        draw_table(server, plan.T_world_object[:, :3, 3].mean(axis=0))
        draw_scene(server, perceived.points_world, perceived.colors)
        tinted = ((1 - _TINT) * thing.colors + _TINT * np.array(OBJECT)).astype(np.uint8)
        server.scene.add_point_cloud(
            "/target", thing.points_world, tinted, point_size=0.003, point_shape="circle", point_shading="flat"
        )
        colors = np.where(seen_points(plan, perceived)[:, None], OBJECT, GUESSED).astype(np.uint8)
        show = draw_object(server, plan, shaded(plan, colors))
        show(0)
        eye = plan.T_world_camera[:3, 3] - _BACK * plan.T_world_camera[:3, 2] + [0.0, 0.0, _UP]
        server.initial_camera.position = tuple(eye)
        server.initial_camera.look_at = tuple(object_path(plan).mean(axis=0))
        server.initial_camera.fov = float(FIELD_OF_VIEW)
        page = record(server, len(plan), plan.fps, show)
    line = f"{plan.task}: seen points orange, guessed points violet, path blue; {len(plan)} frames at {plan.fps:g} Hz"
    write_text(path, with_title(page, plan.instruction, line))
