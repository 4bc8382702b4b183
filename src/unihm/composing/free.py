"""Episodes of free objects: set down elsewhere, pushed and pulled over the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from unihm.composing.base import Source, Trial, composed, true_object
from unihm.composing.grasp import carried, recorded_grasp
from unihm.composing.wishes import Wish, draw_wish, sentences
from unihm.contact_phases import contact_frame
from unihm.datasets.instructions import episode_facts, names_of
from unihm.planning.goals import goal_pose, task_path
from unihm.planning.pace import Pace
from unihm.schema.episode import Episode

_SPEEDS, _TURN_SPEEDS = (0.3, 0.6), (1.5, 3.0)  # m/s and rad/s about those of `pace.HUMAN`, 0.5 and 2.5
_HOLD, _STAND = 10, 3  # frames at the end: of a slide, and before what was set down is let go
_LONGER = 1.2  # length over width of a footprint; of a rounder one nobody sees it turned
_NOTHING = np.zeros((0, 3))


class _Free:
    """What the composers here share; each names its task and the trial that it is judged by."""

    task: ClassVar[str]
    tried_as: ClassVar[str]

    def compose(self, source: Source | None, id: str, rng: np.random.Generator) -> Episode:
        """See `base.Composer`."""
        assert source is not None
        recorded = source.episode
        grasp = recorded_grasp(source)
        T_rest, approach = grasp.T_world_rest, grasp.keypoints_object
        points = recorded.object_points @ T_rest[:3, :3].T + T_rest[:3, 3]
        wish = draw_wish(self.task, rng, round=_round(points))
        goal = goal_pose(
            self.task, wish.relation, wish.amount, wish.turn, T_rest, points, None, recorded.T_world_camera
        )
        speed = rng.uniform()
        pace = Pace(
            speed=np.interp(speed, [0, 1], _SPEEDS),
            turn_speed=np.interp(speed, [0, 1], _TURN_SPEEDS),
            fps=recorded.fps,
            rest_frames=len(approach),
            hold_frames=_STAND if self.task == "place" else _HOLD,
        )
        path, lift = task_path(self.task, T_rest, points, goal, _NOTHING, pace)
        hand = [carried(approach, path[:lift]), carried(approach[-1], path[lift:])]
        release = None
        if self.task == "place":
            # as `contact_phases.release_frame` reads it from the path
            release = len(path) - pace.hold_frames - 1
            leaving = grasp.leaving
            path = np.concatenate([path, np.tile(path[-1], (len(leaving), 1, 1))])
            hand.append(carried(leaving, path[-len(leaving) :]))
        keypoints = np.concatenate(hand)
        episode = composed(
            recorded,
            id,
            self.task,
            self.task,
            keypoints_world=keypoints,
            T_world_object=path,
            instructions=(),
            contact_frame=min(contact_frame(keypoints, path, recorded.object_points), lift),
            lift_frame=lift,
            release_frame=release,
            attributes=_facts(wish),
        )
        return replace(episode, instructions=_sentences(wish, episode, release, rng))

    def trial(self, episode: Episode, models: Path) -> Trial:
        """See `base.Composer`."""
        return Trial(task=self.tried_as, setting={"object": true_object(models, episode.object_name, episode.mirrored)})


class Place(_Free):
    """Taken, carried over the table and set down; the hand leaves as it came."""

    task, tried_as = "place", "place"


class Push(_Free):
    """Pushed over the table, held."""

    task, tried_as = "push", "slide"


class Pull(_Free):
    """Pulled over the table, held."""

    task, tried_as = "pull", "slide"


def _sentences(wish: Wish, episode: Episode, release: int | None, rng: np.random.Generator) -> tuple[str, ...]:
    names = names_of(episode)
    end = len(episode) if release is None else release + 1
    moving = replace(
        episode, keypoints_world=episode.keypoints_world[:end], T_world_object=episode.T_world_object[:end]
    )
    return sentences(wish, names, episode_facts(moving, names), rng)


def _facts(wish: Wish) -> dict[str, str]:
    amount = {} if wish.amount is None else {"amount_m": f"{wish.amount:g}"}
    turn = {"turn_rad": f"{wish.turn:.6g}"} if wish.turn else {}
    return {"relation": wish.relation, **amount, **turn}


def _round(points: np.ndarray) -> bool:
    """Whether a footprint is about as long as wide."""
    flat = points[:, :2] - points[:, :2].mean(axis=0)
    width, length = np.sort(np.ptp(flat @ np.linalg.eigh(np.cov(flat.T))[1], axis=0))
    return bool(length < _LONGER * width)
