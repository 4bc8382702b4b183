"""What a generator has to beat in `trials`, and what it cannot: references that know the true cloud and path."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, lru_cache

import numpy as np

from unihm.composing.base import Source
from unihm.composing.grasp import carried, recorded_grasp
from unihm.contact_phases import contact_phase, release_of
from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.hand_retargeting import HandRetargeting
from unihm.datasets.motion_store import read_motions
from unihm.datasets.recordings import Recordings
from unihm.datasets.splits import split as split_ids
from unihm.evaluation.cases import RECORDED_HAND, Case, case_of, hand_of_process, track_of
from unihm.evaluation.references import Given, NearestNeighbour, Reference, RidgeRegression
from unihm.geometry.pose import vector_to_pose
from unihm.hands.hand import HandModel
from unihm.planning.pregrasp import pregrasp
from unihm.refinement import refine
from unihm.schema.motion import HandMotion
from unihm.schema.plan import Plan
from unihm.whole_path.worlds import AskedWorld

NEIGHBOUR, RIDGE, RECORDED = REFERENCES = ("nearest neighbour", "ridge + joint", "recorded + joint")
"""A training recording replayed; ridge regression, refined; what the recorded person did, carried along and refined."""
_SPLIT = "release"


class References:
    """The three, learned from a store's training recordings; all are of the person and retargeted to a hand."""

    def __init__(self, data: str):
        """Remember where to learn from."""
        self._data, self._retargeting = data, HandRetargeting()

    def motion(self, name: str, world: AskedWorld, hand: HandModel) -> HandMotion:
        """The motion of one reference.

        Args:
            name: One of `REFERENCES`.
            world: The truth.
            hand: Who moves.

        Raises:
            ValueError: There is none: nobody was recorded with what is asked about.
        """
        if name == RECORDED:
            keypoints, plan = _carried(world)
        else:
            keypoints, plan = self._learned[name].predict(_given(world.plan)).keypoints_world, world.plan
        motion = self._retargeted(keypoints, hand, plan)
        return motion if name == NEIGHBOUR else refine(motion, hand.description, mode="joint")[0]

    @cached_property
    def _learned(self) -> dict[str, Reference]:
        train, selection = (
            [(case.given, case.truth) for case in self._cases(part)] for part in ("train", "validation")
        )
        return {NEIGHBOUR: NearestNeighbour(train), RIDGE: RidgeRegression(train, selection)}

    def _cases(self, part: str) -> list[Case]:
        ids = split_ids(_SPLIT, part, episode_table(self._data))
        motions, hand = read_motions(self._data, RECORDED_HAND, ids), hand_of_process(RECORDED_HAND)
        return [case_of(episode, motions[episode.id], hand) for episode in read_episodes(self._data, ids)]

    def _retargeted(self, keypoints: np.ndarray, hand: HandModel, plan: Plan) -> HandMotion:
        solved = self._retargeting(
            Recordings(hand=hand.name, lengths=(len(keypoints),), fps=(plan.fps,), keypoints_world=keypoints)
        )
        return HandMotion(
            hand=hand.name,
            fps=plan.fps,
            joint_names=solved.joint_names,
            qpos=solved.qpos.astype(np.float64),
            T_world_palm=vector_to_pose(solved.T_world_palm.astype(np.float64)),
            T_world_object=plan.T_world_object,
            object_points=plan.object_points,
            object_normals=plan.object_normals,
            panel_object=plan.panel_object,
            contact_phase=contact_phase(len(plan), plan.rest_frames, release_frame=release_of(plan)),
        )


@lru_cache(maxsize=1)
def references_of(data: str) -> References:
    """Those of a store, learned once in each process."""
    return References(data)


def _carried(world: AskedWorld) -> tuple[np.ndarray, Plan]:
    """The recorded person's hand, which comes as it came and keeps its grasp along the true path; and the path."""
    if world.episode is None or world.object is None:
        raise ValueError("Nobody was recorded with a handle.")
    grasp, plan, task = recorded_grasp(Source(episode=world.episode, object=world.object)), world.plan, world.task
    approach, leaving = grasp.keypoints_object, grasp.leaving if task == "place" else grasp.leaving[:0]
    moving = world.true_path[plan.rest_frames :]
    path = np.concatenate(
        [np.tile(world.true_path[0], (len(approach), 1, 1)), moving, np.tile(moving[-1], (len(leaving), 1, 1))]
    )
    keypoints = np.concatenate([approach, np.tile(approach[-1], (len(moving), 1, 1)), leaving])
    T_plan = np.linalg.inv(world.true_path[0]) @ plan.T_world_object[0]
    return carried(keypoints, path), replace(plan, T_world_object=path @ T_plan, rest_frames=len(approach))


def _given(plan: Plan) -> Given:
    """What a person's hand that rests at the pre-grasp may know of a plan."""
    hand, T = hand_of_process(RECORDED_HAND), pregrasp(plan)
    rest = HandMotion(
        hand=RECORDED_HAND,
        fps=plan.fps,
        joint_names=hand.joint_names,
        qpos=hand.rest_qpos.numpy()[None],
        T_world_palm=T[None],
    )
    track = track_of(rest, hand)
    return Given(
        keypoints0_world=track.keypoints_world[0],
        T_world_palm0=T,
        wrist0_world=track.wrist_world[0],
        T_world_object=plan.T_world_object,
        object_points=plan.object_points,
        lift_frame=plan.rest_frames,
        fps=plan.fps,
    )
