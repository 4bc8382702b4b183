"""Episodes on handles: a human hand pulls and pushes a drawer, opens and closes a door or a lid.

Nobody's recording is taken over: the hand is the model of a human hand, the grasp a template (`handle_grasps`) that
refinement brings onto the bar and keeps off the panel, and the path that of the true joint.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float

from unihm.composing.base import TASK, Source, Trial
from unihm.composing.handle_grasps import draw_grasp, draw_start, reaching
from unihm.composing.handle_worlds import HandleWorld, draw_world, fixture_of, fixture_text, plan_of
from unihm.contact_phases import contact_frame
from unihm.datasets.splits import PART
from unihm.hands.hand import HandModel, load_hand
from unihm.kinematics.keypoints import TIPS
from unihm.planning.pace import HUMAN, Pace
from unihm.refinement import RefinementConfig, refinements
from unihm.scenes import asking_forms as forms
from unihm.scenes.appearance import colour_words
from unihm.scenes.furniture import WORDS
from unihm.scenes.wanted import SIMPLE
from unihm.schema.episode import COMPOSED, PANEL, Episode, panel_text
from unihm.schema.motion import HandMotion
from unihm.simulation.fixture import Fixture, handle_bars

HAND = "human"
"""Folder of the hand that moves."""
FIXTURE = "fixture"
"""Attribute: what is moved, see `handle_worlds.fixture_text`."""
KIND = "kind"
"""Attribute: ``drawer``, ``door`` or ``lid``."""
_TENTH = 10
_SENTENCES = 6
_STILL = 2e-4  # m that a handle may be off its rest before it counts as moving
_TEMPO = (0.7, 1.3)  # a person is not always as quick
_GRASPS = 4  # that refinement offers, of which the first that holds the bar from both sides is taken
_NEAR = 0.008  # m from a bar at which a fingertip counts
_OPPOSED = -0.5  # cosine between where the thumb and where a finger is, seen from the middle of the bar


class _Handled:
    """What the composers here share; each names its task and its kind of part."""

    name: ClassVar[str]
    kind: ClassVar[str]
    task: ClassVar[str]

    def compose(self, source: Source | None, id: str, rng: np.random.Generator) -> Episode:
        """See `base.Composer.compose`; nothing is taken from the source."""
        world = draw_world(self.kind, self.task, rng)
        motion = handled_motion(world, rng)
        assert motion.T_world_object is not None
        assert motion.object_points is not None
        assert motion.object_normals is not None
        assert motion.panel_object is not None
        keypoints = keypoints_of(motion, _human())
        return Episode(
            id=id,
            recording=id,
            dataset="unihm",
            subject="solver",
            object_name=f"{self.kind} handle",
            mirrored=False,
            fps=motion.fps,
            keypoints_world=keypoints,
            T_world_object=motion.T_world_object,
            object_points=motion.object_points,
            object_normals=motion.object_normals,
            T_world_camera=world.T_world_camera,
            instructions=_instructions(world, rng),
            contact_frame=contact_frame(keypoints, motion.T_world_object, motion.object_points),
            lift_frame=_first_moved(motion.T_world_object),
            attributes={
                COMPOSED: self.name,
                TASK: self.task,
                KIND: self.kind,
                FIXTURE: fixture_text(world.part),
                PART: "validation" if _hash(id) % _TENTH == 0 else "train",
                PANEL: panel_text(motion.panel_object),
            },
        )

    def trial(self, episode: Episode, models: Path) -> Trial:
        """See `base.Composer.trial`; there is no object, so no models are read."""
        return Trial(task=self.task, setting={"fixture": fixture_of(episode.attributes[FIXTURE])})


class PullDrawer(_Handled):
    """Pull a drawer open."""

    name, kind, task = "pull-drawer", "drawer", "pull"


class PushDrawer(_Handled):
    """Push a drawer shut."""

    name, kind, task = "push-drawer", "drawer", "push"


class OpenDoor(_Handled):
    """Open a door."""

    name, kind, task = "open-door", "door", "open"


class CloseDoor(_Handled):
    """Close a door."""

    name, kind, task = "close-door", "door", "close"


class OpenLid(_Handled):
    """Open a box."""

    name, kind, task = "open-lid", "lid", "open"


class CloseLid(_Handled):
    """Close a box."""

    name, kind, task = "close-lid", "lid", "close"


def handled_motion(world: HandleWorld, rng: np.random.Generator) -> HandMotion:
    """The human hand does the task; its handle goes exactly as the joint lets it.

    Args:
        world: What is moved.
        rng: Draws grasp, start, tempo and cloud.

    Raises:
        ValueError: Thumb and fingers do not come to hold this bar from both sides.
    """
    hand, tempo = _human(), rng.uniform(*_TEMPO)
    plan = plan_of(world, Pace(speed=HUMAN.speed * tempo, turn_speed=HUMAN.turn_speed * tempo), rng)
    grasp = draw_grasp(hand, world.part, rng)
    given = reaching(hand, plan, grasp, world.part.T_world_handle, draw_start(plan, rng))
    found = [one for one, _ in refinements(given, hand.description, _GRASPS, config=_config(tempo))]
    refined = next((one for one in found if _holds(one, world.part)), None)
    if refined is None:
        raise ValueError("the hand does not come to hold the bar")
    assert refined.T_world_object is not None
    T_handle_object = np.linalg.inv(world.part.T_world_handle) @ plan.T_world_object[0]
    # Between rest and path refinement takes a short cut, which the joint does not.
    positions = world.position_of(refined.T_world_object @ np.linalg.inv(T_handle_object))
    exact = world.part.handle_at(positions.clip(0, world.part.upper)) @ T_handle_object
    exact[: _first_moved(exact)] = plan.T_world_object[0]
    T_object_palm = np.linalg.inv(refined.T_world_object) @ refined.T_world_palm
    return refined.replace(T_world_object=exact, T_world_palm=exact @ T_object_palm, qpos_target=None)


def keypoints_of(motion: HandMotion, hand: HandModel) -> Float[np.ndarray, "T 21 3"]:
    """The 21 keypoints of a human motion in the world, m."""
    points = hand.keypoints(torch.as_tensor(motion.qpos)).numpy()
    T = motion.T_world_palm
    return points @ T[:, :3, :3].swapaxes(1, 2) + T[:, None, :3, 3]


@cache
def _human() -> HandModel:
    return load_hand(HAND)


def _config(tempo: float) -> RefinementConfig:
    """Limits of a person's hand, about twice those that robots are given, at a tempo."""
    return RefinementConfig(
        palm_speed=0.3 * tempo,
        reach_speed=0.9 * tempo,
        reach_acceleration=4.0 * tempo,
        closing_time=0.35 / tempo,
        squeeze_time=0.15,
        finger_speed=6.0 * tempo,
        carry_speed=0.5 * tempo,
        carry_acceleration=2.5 * tempo,
        jerk=60.0 * tempo,
    )


def _holds(motion: HandMotion, part: Fixture) -> bool:
    """Whether the thumb and a fingertip are at opposite sides of the bar in the end."""
    assert motion.T_world_object is not None
    moved = motion.T_world_object[-1] @ np.linalg.inv(motion.T_world_object[0])
    T = moved @ part.T_world_handle
    tips = (keypoints_of(motion, _human())[-1, list(TIPS)] - T[:3, 3]) @ T[:3, :3]
    off = np.linalg.norm(tips[:, [0, 2]], axis=1)
    at = (off < handle_bars(part)[0][2] + _NEAR) & (np.abs(tips[:, 1]) < part.handle_length / 2 + _NEAR)
    side = tips[:, [0, 2]] / off[:, None]
    return bool(at[0] and (side[1:][at[1:]] @ side[0] < _OPPOSED).any())


def _first_moved(T_world_object: Float[np.ndarray, "T 4 4"]) -> int:
    """First frame in which the handle is off its rest; all paths here move."""
    away = np.linalg.norm(T_world_object[:, :3, 3] - T_world_object[0, :3, 3], axis=1)
    return int((away > _STILL).argmax())


def _instructions(world: HandleWorld, rng: np.random.Generator) -> tuple[str, ...]:
    """Different sentences in the training forms of made scenes that ask for the task by the part's training names."""
    furniture, part = world.furniture, world.part
    places = furniture.places[world.index]
    adjectives = ["", *(colour_words(furniture.colours[world.index]) if not places else ()), *places, *places]
    form = "open lid" if (part.kind, world.task) == ("lid", "open") else SIMPLE[world.task]
    clauses, sentences = forms.CLAUSES[form], forms.SENTENCES.get(form, ())
    found: dict[str, None] = {}
    while len(found) < _SENTENCES:
        adjective, noun = rng.choice(adjectives), rng.choice(WORDS[part.kind][0])
        slots = {"object": f"the {adjective} {noun}".replace("  ", " "), "it": "it"}
        if sentences and rng.random() < 0.15:
            text = str(rng.choice(sentences)).format(**slots)
        else:
            text = str(rng.choice(forms.FRAMES)).format(do=str(rng.choice(clauses)).format(**slots))
        found[text[0].upper() + text[1:]] = None
    return tuple(found)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
