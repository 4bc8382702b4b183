"""What a person might have said to ask for a recorded motion, from templates and facts of the episode.

Section 3.1 of the paper lets a vision-language model look at keyframes and return five instructions.
Differs from the paper: the recordings here come without images, so the facts (from where the hand comes,
where the object goes, how high, how fast, with how many fingers) are measured and put into words.

Directions are those of somebody who looks through the camera: left and right of the image, toward the
camera and away from it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from unihm.datasets.object_names import PLURALS, ObjectNames
from unihm.kinematics.keypoints import TIPS, WRIST
from unihm.schema.episode import Episode

COUNT = 6
_TOUCH = 0.025  # m; in DexYCB the tips that hold an object are 2 to 13 mm from it, and its fingers lie close together
_ON_TABLE = 0.015  # m; fitted tables and annotated objects agree to 5 mm (95 %), stacked objects start at 44 mm
_ABOVE = np.deg2rad(60)  # elevation of the wrist over the object from which a hand comes "from above"
_STEEP = np.deg2rad(70)  # elevation of the object's path from which it goes "straight up"
_SLOW, _FAST = 0.23, 0.30  # m/s; the terciles of the mean speeds in DexYCB

_SLOT = re.compile(r"\{(\w+)\}")
_TEMPLATES = (
    "Pick up the {object}.",
    "Lift the {object} {height}.",
    "Grasp the {object} {approach} and lift {it} {travel}.",
    "Raise the {object} off the table {speed}.",
    "Take hold of the {object} {grip} and bring {it} {travel}.",
    "Please grab the {object} {grip}.",
    "Could you pick the {object} up {speed} and hold {it} {height}?",
    "Reach {approach} and pick up the {object}.",
    "Grab the {object} and carry {it} {aside}.",
    "Lift the {object} {grip}.",
    "Hand over the {object}, moving {it} {aside}.",
    "Take the {object} {approach} {grip} and raise {it} {height}.",
    "I need the {object}; lift {it} {speed}.",
    "Raise the {object} {height} and then bring {it} {aside}.",
    "Grip the {object} {grip} and lift {it} {speed}.",
    "With your right hand, pick up the {object} {approach}.",
    "Please lift the {object} from the table and bring {it} {travel} {speed}.",
    "Take the {object} off the table.",
)
_HELD_OUT_TEMPLATES = (
    "Fetch the {object}.",
    "Can you get me the {object}?",
    "Elevate the {object} until {it_is} {height}.",
    "Coming {approach}, seize the {object} and hoist {it} {travel}.",
    "Would you mind collecting the {object} {grip}?",
    "The {object} should leave the table and go {travel}.",
    "Close your hand around the {object} {approach}, then heave {it} up {speed}.",
    "Remove the {object} from the tabletop {speed}.",
    "Wrap your hand around the {object} {grip} and haul {it} {travel}.",
)
_APPROACH = {
    "front": ("from the front", "from the near side"),
    "behind": ("from behind", "from the far side"),
    "left": ("from the left", "from the left side"),
    "right": ("from the right", "from the right side"),
    "above": ("from above", "from the top"),
}
_TRAVEL = {
    "up": ("straight up",),
    "closer": ("toward the camera", "closer to the camera"),
    "away": ("away from the camera", "to the far side"),
    "left": ("to the left", "toward the left"),
    "right": ("to the right", "toward the right"),
}
_HEIGHT = (
    (0.08, ("just off the table", "slightly above the table")),
    (0.18, ("a little way up", "a hand's width above the table")),
    (0.30, ("well above the table", "clear of the table")),
    (np.inf, ("high above the table", "high in the air")),
)
"""Rise below which the words fit, m."""
_SPEED = {"slow": ("slowly", "gently"), "middle": ("smoothly", "steadily"), "fast": ("quickly", "swiftly")}
_GRIP = {
    2: ("with two fingers", "between two fingers"),
    3: ("with three fingers",),
    4: ("with four fingers",),
    5: ("with all five fingers", "with your whole hand"),
}


@dataclass(frozen=True)
class EpisodeFacts:
    """What the words may say of an episode."""

    id: str
    """The episode; with the seed it decides which words are chosen."""
    names: ObjectNames
    """Words for the object."""
    approach: str
    """From where the hand reaches: ``front``, ``behind``, ``left``, ``right``, ``above``."""
    travel: str
    """Where the object goes: ``up``, ``closer``, ``away``, ``left``, ``right``."""
    height: float
    """Largest rise of the object, m."""
    speed: float
    """Mean speed of the object after the lift, m/s."""
    fingertips: int
    """Fingertips near the object while it is held, 0 to 5."""
    on_table: bool
    """Whether the object lies on the table at the start, and not on something else."""


def episode_facts(episode: Episode, names: ObjectNames) -> EpisodeFacts:
    """Measure what can be said of an episode."""
    lift = episode.lift_frame
    T, position = episode.T_world_object, episode.T_world_object[:, :3, 3]
    centre = episode.object_points.mean(axis=0) @ T[lift, :3, :3].T + position[lift]
    reach = episode.keypoints_world[episode.contact_frame, WRIST] - centre
    path = position[-1] - position[lift]
    held = (lift + len(episode)) // 2
    tips_world = episode.keypoints_world[held, list(TIPS)]
    tips_object = (tips_world - position[held]) @ T[held, :3, :3]
    distance, _ = KDTree(episode.object_points).query(tips_object)
    lowest = (episode.object_points @ T[0, :3, :3].T + position[0])[:, 2].min()
    steps = np.linalg.norm(np.diff(position[lift:], axis=0), axis=1)
    return EpisodeFacts(
        id=episode.id,
        names=names,
        approach=_side(episode, reach, _ABOVE, ("above", "front", "behind", "left", "right")),
        travel=_side(episode, path, _STEEP, ("up", "closer", "away", "left", "right")),
        height=float(position[lift:, 2].max() - position[0, 2]),
        speed=float(steps.mean() * episode.fps) if len(steps) else 0.0,
        fingertips=int((distance < _TOUCH).sum()),
        on_table=bool(lowest < _ON_TABLE),
    )


def instructions(facts: EpisodeFacts, seed: int = 0, *, count: int = COUNT, held_out: bool = False) -> tuple[str, ...]:
    """Distinct sentences that ask for the motion that `facts` describe.

    Args:
        facts: What may be said.
        seed: Same seed and episode, same sentences.
        count: How many.
        held_out: Use the templates and object words that never occur in training.

    Raises:
        ValueError: More sentences are wanted than there are templates that fit.
    """
    slots = _slots(facts)
    known = {*slots, "object", "it", "it_is"}
    templates = [
        template
        for template in (_HELD_OUT_TEMPLATES if held_out else _TEMPLATES)
        if set(_SLOT.findall(template)) <= known and (facts.on_table or "table" not in template)
    ]
    if count > len(templates):
        raise ValueError(f"{count} instructions are wanted, {len(templates)} templates fit '{facts.id}'.")
    digest = hashlib.sha256(f"{seed}/{facts.id}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    words = facts.names.held_out if held_out else (facts.names.name, *facts.names.synonyms)
    sentences = []
    for k, index in enumerate(rng.permutation(len(templates))[:count]):
        name = words[k % len(words)]
        plural = name in PLURALS
        filled = {slot: choices[rng.integers(len(choices))] for slot, choices in slots.items()}
        filled |= {"object": name, "it": "them" if plural else "it", "it_is": "they are" if plural else "it is"}
        sentences.append(templates[index].format(**filled))
    return tuple(sentences)


def _slots(facts: EpisodeFacts) -> dict[str, tuple[str, ...]]:
    """Phrases that are true of the episode, by the slot of a template that they may fill."""
    speed = "slow" if facts.speed < _SLOW else "fast" if facts.speed > _FAST else "middle"
    slots = {
        "approach": _APPROACH[facts.approach],
        "travel": _TRAVEL[facts.travel],
        "height": next(words for limit, words in _HEIGHT if facts.height < limit),
        "speed": _SPEED[speed],
    }
    if facts.travel != "up":
        slots["aside"] = slots["travel"]
    if facts.fingertips in _GRIP:  # with one fingertip or none at the object there is nothing true to say
        slots["grip"] = _GRIP[facts.fingertips]
    return slots


def _side(episode: Episode, direction: np.ndarray, steep: float, words: tuple[str, ...]) -> str:
    """Which of (up, toward the camera, away, left, right) a world direction is, as seen by the camera."""
    up, closer, away, left, right = words
    if np.arctan2(direction[2], np.linalg.norm(direction[:2])) > steep:
        return up
    view = episode.T_world_camera[:2, 2] / np.linalg.norm(episode.T_world_camera[:2, 2])
    forward = direction[:2] @ view
    leftward = direction[:2] @ np.array([-view[1], view[0]])
    if abs(forward) >= abs(leftward):
        return away if forward > 0 else closer
    return left if leftward > 0 else right
