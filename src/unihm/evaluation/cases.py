"""Held-out recordings as a hand sees them: what is given, what is true, and what a generator makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from unihm.contact_phases import contact_phase, lift_frame
from unihm.datasets.motion_store import attach
from unihm.evaluation.motion_metrics import Track
from unihm.evaluation.references import Given
from unihm.generation.base import GenerationRequest, Generator
from unihm.hands.hand import HandModel, load_hand
from unihm.kinematics.keypoints import WRIST, palm_frame
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion, MotionTokens
from unihm.tokenizer.tokenizer import Tokenizer

RECORDED_HAND = "human"
"""The hand that was recorded; all others are retargeted from it."""


@runtime_checkable
class CodeWriter(Generator, Protocol):
    """Any generator, as a protocol that can be checked at run time in tests."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One recording as one hand sees it."""

    episode: Episode
    """The recording."""
    motion: HandMotion
    """The hand's motion, retargeted to its model, with the object."""
    truth: Track
    """What a prediction is compared with."""
    given: Given
    """What a reference may know of it."""


def case_of(episode: Episode, motion: HandMotion, hand: HandModel) -> Case:
    """A recording with its truth and with what may be known of it."""
    if hand.name == RECORDED_HAND:
        truth = Track(
            keypoints_world=episode.keypoints_world[:, hand.keypoint_indices.numpy()].astype(float),
            T_world_palm=palm_frame(episode.keypoints_world),
            wrist_world=episode.keypoints_world[:, WRIST].astype(float),
            fps=episode.fps,
        )
    else:
        truth = track_of(motion, hand)
    given = Given(
        keypoints0_world=truth.keypoints_world[0],
        T_world_palm0=truth.T_world_palm[0],
        wrist0_world=truth.wrist_world[0],
        T_world_object=episode.T_world_object,
        object_points=episode.object_points,
        lift_frame=lift_frame(episode.T_world_object),
        fps=episode.fps,
    )
    return Case(episode=episode, motion=attach(motion, episode), truth=truth, given=given)


def track_of(motion: HandMotion, hand: HandModel) -> Track:
    """Where a hand's keypoints are over a motion, by forward kinematics."""
    palm = hand.keypoints(torch.as_tensor(motion.qpos, dtype=torch.float64)).numpy()
    T = motion.T_world_palm
    keypoints = palm @ T[:, :3, :3].swapaxes(1, 2) + T[:, None, :3, 3]
    slots = (hand.keypoint_indices == WRIST).nonzero().flatten().tolist()
    return Track(
        keypoints_world=keypoints,
        T_world_palm=T,
        wrist_world=keypoints[:, slots[0]] if slots else T[:, :3, 3],
        fps=motion.fps,
    )


def generate_motion(
    case: Case, generator: CodeWriter, tokenizer: Tokenizer, *, instruction: str, seed: int
) -> HandMotion:
    """One sampled motion for a recording, from its words, initial pose, object cloud and path alone."""
    given, motion = case.given, case.motion
    # The hand's model at frame 0, which for the recorded hand is a fit to the given keypoints.
    T_world_canonical = replace(given, T_world_palm0=motion.T_world_palm[0]).T_world_canonical
    T_canonical_world = np.linalg.inv(T_world_canonical[0])
    T_canonical_object = T_canonical_world @ given.T_world_object[0]
    request = GenerationRequest(
        instruction=instruction,
        object_points_canonical=given.object_points @ T_canonical_object[:3, :3].T + T_canonical_object[:3, 3],
        T_world_canonical=T_world_canonical,
        T_canonical_palm0=T_canonical_world @ motion.T_world_palm[0],
        hand=motion.hand,
        qpos0=motion.qpos[0],
        seed=seed,
    )
    tokens = MotionTokens(
        codes=generator.generate(request),
        tokenizer=tokenizer.fingerprint,
        frames_per_chunk=tokenizer.frames_per_chunk,
        num_frames=len(given),
        fps=given.fps,
        hand=motion.hand,
        T_world_canonical=T_world_canonical,
        instruction=instruction,
    )
    return tokenizer.decode(tokens, motion.hand).replace(
        T_world_object=given.T_world_object,
        object_points=given.object_points,
        object_normals=case.episode.object_normals,
        contact_phase=contact_phase(len(given), given.lift_frame),
    )


@lru_cache
def hand_of_process(name: str) -> HandModel:
    """A hand that is loaded once in each process."""
    return load_hand(name)


def evenly(ids: Sequence[str], count: int) -> list[str]:
    """`count` of the ids, spread over the whole list."""
    return [ids[int(i)] for i in np.unique(np.linspace(0, len(ids) - 1, count).round())] if ids else []
