"""What a made scene consists of: an image, the things in it, and what may be asked for with the path that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from unihm.schema.joint import Joint
from unihm.schema.scene import Scene


@dataclass(frozen=True, kw_only=True, eq=False)
class Thing:
    """One thing that words can mean: a free object, or the moving part of a fixture (a drawer, a door, a lid)."""

    family: str
    """Key of `families.FAMILIES`, or the kind of fixture's part: drawer, door, lid; or a user's mesh by its name."""
    held_out: bool
    """Whether no thing of this family occurs in training."""
    names: tuple[str, ...]
    """Nouns for it, the usual one first."""
    held_out_names: tuple[str, ...]
    """Nouns that never occur in training."""
    class_words: tuple[str, ...]
    """Nouns that fit other families, too: bottle, fruit, tool."""
    attributes: Mapping[str, tuple[str, ...]]
    """Words that describe it: colour, pattern, size, shape; see `household.attributes`."""
    T_world_object: Float[np.ndarray, "4 4"]
    """Its pose, m. Of a free object the frame in which it was drawn; of a moving part the frame of its handle: in the
    middle of the bar, x away from the panel, y along the bar."""
    dimensions_m: tuple[float, float, float]
    """Edges of its box along its own axes, m."""
    mass_kg: float
    """kg."""
    surface_object: Float[np.ndarray, "n 3"]
    """Points evenly on what can be seen of it from outside, in its frame, m. Of a moving part: of its handle."""
    normals_object: Float[np.ndarray, "n 3"]
    """Their outward unit normals."""
    joint: Joint | None = None
    """Of a moving part."""
    fixture: int = -1
    """Number of the fixture that it is a part of, the same for its other parts; -1 of free objects."""

    def moved_to(self, T_world_object: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "n 3"]:
        """Its surface points in the world where it stands there, m."""
        return self.surface_object @ T_world_object[:3, :3].T + T_world_object[:3, 3]

    @property
    def points_world(self) -> Float[np.ndarray, "n 3"]:
        """Its surface points in the world, m."""
        return self.moved_to(self.T_world_object)


@dataclass(frozen=True, kw_only=True, eq=False)
class Asking:
    """One instruction and what fulfils it."""

    instruction: str
    """Free text."""
    held_out_wording: bool
    """Whether its sentence form, or a word in it, never occurs in training."""
    refers_by: str
    """How the target is told from the others: name, class, attributes (colour, size, shape, place) or both."""
    task: str
    """One of `schema.task.TASKS`."""
    targets: tuple[int, ...]
    """Indices of the things that the words fit: one; none where the thing that is named is not in view; several where
    one would have to ask which."""
    reference: int = -1
    """Index of the other thing that says where to, -1 without."""
    relation: str = ""
    """Where to, one of `planning.goals.RELATIONS`; empty where the task says it."""
    amount: float | None = None
    """How far: metres, or radians about a hinge; None where the words leave it open."""
    turn: float = 0.0
    """By how much the object shall be turned about the vertical, counter-clockwise from above, rad."""
    T_world_object: Float[np.ndarray, "K 4 4"] | None = None
    """The path of the target's frame at 30 Hz, m; None unless there is one target."""
    rest_frames: int = 0
    """Frames at the start in which it rests while the hand approaches."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneExample:
    """One made image with everything that is known about it."""

    scene: Scene
    """Colour, noisy depth, and the camera with its true pose."""
    instances: UInt8[np.ndarray, "H W"]
    """Index of the thing + 1; 0 for the table, the surroundings and the bodies of fixtures."""
    handles: Bool[np.ndarray, "H W"]
    """Pixels of the handles of moving parts."""
    things: tuple[Thing, ...]
    """What is in view, in no order."""
    askings: tuple[Asking, ...]
    """Instructions about it."""
    seed: int
    """It was made from."""
    style: str
    """Of cameras, lights and noise, one of `scenes.styles.STYLES`."""
