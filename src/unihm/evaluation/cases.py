"""Held-out recordings as a hand sees them: what is given, what is true, and what a generator makes of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from unihm.contact_phases import contact_phase, lift_frame
from unihm.datasets.episode_rows import recordings_of
from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.motion_store import attach, motion_ids
from unihm.datasets.splits import split as split_ids
from unihm.evaluation.motion_metrics import Track
from unihm.evaluation.references import Given, without_path
from unihm.evaluation.trained_on import refuse_trained_on
from unihm.generation.base import GenerationRequest, Generator
from unihm.geometry.object_frame import view_canonical
from unihm.hands.hand import HandModel, load_hand
from unihm.kinematics.keypoints import WRIST, palm_frame
from unihm.schema.episode import Episode
from unihm.schema.motion import HandMotion, MotionTokens
from unihm.tokenizer.tokenizer import Tokenizer

_BATCH = 32  # motions that are generated at once
TEST_PARTS = {"release": ("seen", "unseen"), "oakink": ("seen", "unseen")}
"""Parts of a split that are reported one by one; other splits have one, ``test``."""
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


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The recordings that something is evaluated on."""

    of_part: Mapping[str, tuple[str, ...]]
    """Part of the split to episode ids, object by object."""
    episodes: Mapping[str, Episode]
    """By id."""
    left_out: tuple[str, ...]
    """Ids of the parts that were excluded by name."""


def held_out(
    data: str | Path,
    split: str,
    parts: Sequence[str],
    hands: Sequence[str],
    *,
    excluded: Collection[str] = (),
    count: int | None = None,
    generates: bool = False,
    generator: CodeWriter | None = None,
    tokenizer: Tokenizer | None = None,
) -> HeldOut:
    """Read what is held out, and see that it is.

    Args:
        data: Episode store with motions of `hands`.
        split: A key of `datasets.splits.SPLITS`.
        parts: Parts of it.
        hands: Names of hands.
        excluded: Episodes that are left out.
        count: Only so many of each part, chosen evenly.
        generates: Whether motions are generated; the weights must then not have been trained on these recordings.
        generator: The one that generates.
        tokenizer: Decodes its codes.

    Raises:
        ValueError: A name does not exist, a part is empty or has no motion of a hand, or motions shall be generated
            without a generator or for recordings that it was trained on.
    """
    records = episode_table(data)
    of_part = {part: split_ids(split, part, records) for part in parts}
    if generates:
        if generator is None or tokenizer is None:
            raise ValueError("Generated variants need a generator and a tokenizer.")
        tested = recordings_of(records, chain(*of_part.values()))
        card = getattr(generator, "card", None) or {}
        refuse_trained_on(tested, {"tokenizer": tokenizer.card, "generator": card})
    left_out = tuple(name for ids in of_part.values() for name in ids if name in excluded)
    of_part = {part: [name for name in ids if name not in excluded] for part, ids in of_part.items()}
    if count is not None:
        of_part = {part: evenly(ids, count) for part, ids in of_part.items()}
    known = {name: set(motion_ids(data, name)) for name in hands}
    for part, ids in of_part.items():
        if not ids:
            raise ValueError(f"'{data}' holds no recording of part '{part}' of split '{split}'.")
        for name, own in known.items():
            if own.isdisjoint(ids):
                raise ValueError(f"'{data}' holds no motion of '{name}' for part '{part}' of split '{split}'.")
    wanted = [name for ids in of_part.values() for name in ids]
    episodes = {episode.id: episode for episode in read_episodes(data, wanted)}
    by_object = {part: tuple(sorted(ids, key=lambda i: (episodes[i].object_name, i))) for part, ids in of_part.items()}
    return HeldOut(of_part=by_object, episodes=episodes, left_out=left_out)


def part_label(split: str, part: str) -> str:
    """How a part of a split is called in a table's column ``split``."""
    return split if part == "test" else f"{split}/{part}"


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


def generate_motions(
    cases: Sequence[Case],
    generator: CodeWriter,
    tokenizer: Tokenizer,
    *,
    instructions: Sequence[str],
    seed: int,
    temperature: float | None = None,
    one_of: tuple[int, int] | None = None,
    with_path: bool = True,
) -> list[HandMotion]:
    """A motion for each recording, from words, initial pose, object cloud and path alone.

    Args:
        cases: Recordings.
        generator: Writes the codes.
        tokenizer: Decodes them.
        instructions: One for each recording.
        seed: Of the sampling.
        temperature: Of the sampling; None is the generator's own.
        one_of: Which of how many motions that together stand for all, see `GenerationRequest.one_of`.
        with_path: Whether the object's path is given, or only where the object is.
    """
    how: dict[str, Any] = {"seed": seed, "temperature": temperature, "one_of": one_of}
    requests = [_request(case, text, with_path, how) for case, text in zip(cases, instructions, strict=True)]
    found = []
    for start in range(0, len(requests), _BATCH):
        found += generator.generate_all(requests[start : start + _BATCH])
    tokens = [
        MotionTokens(
            codes=codes,
            tokenizer=tokenizer.fingerprint,
            frames_per_chunk=tokenizer.frames_per_chunk,
            num_frames=len(request.T_world_canonical),
            fps=case.given.fps,
            hand=request.hand,
            T_world_canonical=request.T_world_canonical,
            instruction=request.instruction,
        )
        for case, request, codes in zip(cases, requests, found, strict=True)
    ]
    hands = {request.hand for request in requests}
    assert len(hands) <= 1, hands
    return [
        motion.replace(
            T_world_object=case.given.T_world_object,
            object_points=case.given.object_points,
            object_normals=case.episode.object_normals,
            contact_phase=contact_phase(len(case.given), case.given.lift_frame),
        )
        for case, motion in zip(cases, tokenizer.decode_all(tokens, hands.pop()) if tokens else [], strict=True)
    ]


def _request(case: Case, instruction: str, with_path: bool, how: Mapping[str, Any]) -> GenerationRequest:
    given, motion = case.given, case.motion
    # The hand's model at frame 0, which for the recorded hand is a fit to the given keypoints.
    known = replace(given, T_world_palm0=motion.T_world_palm[0])
    T_world_canonical = (known if with_path else without_path(known)).T_world_canonical
    T_canonical_world = np.linalg.inv(T_world_canonical[0])
    T_canonical_object = T_canonical_world @ given.T_world_object[0]
    return GenerationRequest(
        instruction=instruction,
        object_points_canonical=given.object_points @ T_canonical_object[:3, :3].T + T_canonical_object[:3, 3],
        T_world_canonical=T_world_canonical,
        T_canonical_palm0=T_canonical_world @ motion.T_world_palm[0],
        hand=motion.hand,
        qpos0=motion.qpos[0],
        lift_frame=given.lift_frame if with_path else None,
        view_canonical=view_canonical(case.episode.T_world_camera, T_world_canonical[0]),
        **how,
    )


def generated_for(
    episode: Episode, motion: HandMotion, hand: HandModel, generator: CodeWriter, tokenizer: Tokenizer, seed: int
) -> HandMotion:
    """`generate_motions` for a recording, by the first of its instructions."""
    case = case_of(episode, motion, hand)
    return generate_motions([case], generator, tokenizer, instructions=[episode.instructions[0]], seed=seed)[0]


@lru_cache
def hand_of_process(name: str) -> HandModel:
    """A hand that is loaded once in each process."""
    return load_hand(name)


def evenly(ids: Sequence[str], count: int) -> list[str]:
    """`count` of the ids, spread over the whole list."""
    return [ids[int(i)] for i in np.unique(np.linspace(0, len(ids) - 1, count).round())] if ids else []
