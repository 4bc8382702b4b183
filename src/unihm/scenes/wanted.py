"""What is wanted of a scene: a task, a thing in view, where to and how far, with the words for all but the things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from unihm.planning.amounts import DISTANCES, OPENED, SHARES
from unihm.planning.wording import direction_vector
from unihm.scenes import asking_forms as forms
from unihm.scenes.asked_amounts import angle_words, distance_words
from unihm.scenes.drawing import one_of
from unihm.scenes.records import Thing
from unihm.schema.joint import Joint
from unihm.schema.task import DIRECTIONS, FAMILY, TASKS

SIMPLE = {"pull": "draw", "push": "shut", "open": "open", "close": "close"}
"""Task -> key of the clauses that ask for it of a part that moves, without an amount."""

_VESSELS = frozenset(
    {"mug", "teacup", "paper cup", "drinking glass", "cereal bowl", "saucepan", "flower pot", "vase", "water pitcher"}
)
_FLAT, _TOP = 0.95, 0.005  # normal's z, and m below the highest point: a flat top
_CARRIES, _MIDDLE = 0.7, 0.15  # its edges over those of the footprint; its middle over the shorter of them
_LEAST_TOP, _TOP_POINTS = 0.04, 10  # m and points of what anything is put on
_LONGER = 1.3  # length over width of what is turned; of a round thing nobody sees it
_SIDE = 0.03  # m, how far left or right a thing must be for "next to" to have one side
_LEAST_SWING, _LEAST_DRAW = np.radians(15), 0.03  # rad and m that are worth an instruction
# m that are asked for by numbers.
_LIMITS = {"grab": (0.05, 0.4), "place": (0.05, 0.3), "push": (0.08, 0.25), "pull": (0.08, 0.25), "gap": (0.05, 0.15)}
_ON_OR_IN = 0.3  # share of placing, where anything fits on or in another
_BESIDE = ("left of", "right of", "behind", "in front of", "next to")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What an instruction asks for, before it has words for its target."""

    task: str
    """See `records.Asking`, as all but the form and the slots."""
    form: str
    """Key of the clauses."""
    relation: str = ""
    """Where to."""
    reference: int = -1
    """Index of the thing that says where to."""
    amount: float | None = None
    """How far."""
    turn: float = 0.0
    """By what angle."""
    slots: Mapping[str, str] = field(default_factory=dict)
    """Words; where there is a reference, with ``{r}`` in its place."""


class Wishes:
    """Draws what can be wanted of the things in view.

    Args:
        things: What is in view.
        T_world_camera: Pose of the camera.
        rng: Draws everything.
        held_out: Half of the words are those that never occur in training.
    """

    def __init__(self, things: Sequence[Thing], T_world_camera: np.ndarray, rng: np.random.Generator, held_out: bool):
        self.things, self.rng, self._held_out = things, rng, held_out
        self.clouds = [thing.points_world for thing in things]
        """Points of each in the world, m."""
        self._right = direction_vector("right", T_world_camera)
        self.free = [k for k, thing in enumerate(things) if thing.joint is None]
        """Indices of the free objects."""
        self._moving = {
            task: [k for k, thing in enumerate(things) if thing.joint and _moves(task, thing.joint)] for task in SIMPLE
        }
        pairs = [(k, other) for k in self.free for other in self.free if k != other]
        self._pairs = {
            relation: [(k, other) for k, other in pairs if fits(things[other], things[k])]
            for relation, fits in (("on", _carries), ("in", _holds))
        }

    def task(self) -> str:
        """A task that a thing in view allows; each family is as likely as the others.

        Raises:
            ValueError: Nothing in view can be moved.
        """
        possible = [t for t in TASKS if self._moving.get(t) or (self.free and FAMILY[t] != "open and close")]
        if not possible:
            raise ValueError(f"None of the {len(self.things)} things in view can be moved.")
        family = one_of(self.rng, sorted({FAMILY[t] for t in possible}))
        return one_of(self.rng, [t for t in possible if FAMILY[t] == family])

    def targets(self, task: str) -> list[int]:
        """Things of which it can be asked for: free ones or moving parts, where there are both by chance."""
        parts = self._moving.get(task, [])
        if parts and (FAMILY[task] == "open and close" or not self.free or self.rng.random() < 0.5):
            return parts
        return self.free

    def of_any(self, task: str, targets: Sequence[int]) -> tuple[Wanted, int]:
        """Something wanted of one of several things, and which one; raises ValueError where it makes no sense."""
        relations = sorted(relation for relation, pairs in self._pairs.items() if pairs)
        if task == "place" and relations and self.rng.random() < _ON_OR_IN:
            relation = one_of(self.rng, relations)
            target, reference = one_of(self.rng, self._pairs[relation])
            return self._by_reference(target, relation, reference), target
        target = one_of(self.rng, targets)
        joint = self.things[target].joint
        return (self.of_free(task, target) if joint is None else self._of_part(task, target, joint)), target

    def of_free(self, task: str, target: int) -> Wanted:
        """Something wanted of a free object; raises ValueError where it makes no sense."""
        drawn = self.rng.random()
        if task == "place" and drawn < 0.12:
            self._check_turns(target)
            words, turn = angle_words(self.rng)
            return Wanted(task=task, form="turn", turn=turn, slots={"turn": words})
        if task == "place" and drawn < 0.65 and len(self.free) > 1:
            return self._beside(target)
        if task == "grab":
            wanted = Wanted(task=task, form="grab")
        elif task != "place" and drawn < 0.2:
            return Wanted(task=task, form="push away" if task == "push" else "pull toward")
        else:
            relation = one_of(
                self.rng, [r for r in DIRECTIONS[1:] if r != {"push": "toward", "pull": "away"}.get(task)]
            )
            words = self._either(forms.WHERE[relation])
            form = "place toward" if task == "place" else task
            wanted = Wanted(task=task, form=form, relation=relation, slots={"where": words})
        drawn = self.rng.random()
        if drawn < 0.35:
            return wanted
        relation = wanted.relation or "up"
        if drawn < 0.75:
            words, metres = distance_words(self.rng, _LIMITS[task])
            return replace(
                wanted,
                form=f"{wanted.form} far",
                relation=relation,
                amount=metres,
                slots={**wanted.slots, "far": words},
            )
        size = one_of(self.rng, sorted(forms.VAGUE))
        words = self._either((forms.VAGUE_UP if task == "grab" else forms.VAGUE)[size])
        slots = {**wanted.slots, "vague": words}
        if size == "far" and wanted.relation:
            slots["where"] = forms.WHERE[relation][self._held_out][0]  # nobody says "far farther away"
        return replace(
            wanted,
            form=f"{wanted.form} vague",
            relation=relation,
            amount=getattr(DISTANCES[task], size),
            slots=slots,
        )

    def _of_part(self, task: str, target: int, joint: Joint) -> Wanted:
        if task in ("push", "close"):
            wanted = Wanted(task=task, form=SIMPLE[task])
            if task == "push" and joint.position > 2 * _LEAST_DRAW and self.rng.random() < 0.3:
                words, metres = distance_words(self.rng, (_LEAST_DRAW, joint.position))
                wanted = Wanted(task=task, form="shut far", amount=metres, slots={"far": words})
            return wanted
        least, way = (_LEAST_DRAW, joint.upper - joint.position) if task == "pull" else (_LEAST_SWING, joint.upper)
        drawn = self.rng.random()
        if drawn < 0.5:
            lid = self.things[target].family == "lid"
            return Wanted(task=task, form="open lid" if lid else SIMPLE[task])
        if drawn < 0.75:
            if task == "pull":
                words, metres = distance_words(self.rng, (least, way))
                return Wanted(task=task, form="draw far", amount=metres, slots={"far": words})
            words, angle = angle_words(self.rng, (joint.position + least, way))
            return Wanted(task=task, form="open far", amount=angle, slots={"turn": words})
        # A share is of the whole way: halfway open is where the part ends.
        shares = [k for k, share in SHARES.items() if share * joint.upper - joint.position >= least]
        shares = [k for k in shares if k != "little" or joint.position < 0.05 * joint.upper]
        if not shares:
            raise ValueError("it is open already")
        share = one_of(self.rng, shares)
        amount = SHARES[share] * joint.upper - (joint.position if task == "pull" else 0.0)
        words = self._either(forms.SHARE[share])
        form = "draw share" if task == "pull" else "open share"
        return Wanted(task=task, form=form, amount=amount, slots={"share": words})

    def _beside(self, target: int) -> Wanted:
        relation = one_of(self.rng, _BESIDE)
        reference = one_of(self.rng, [k for k in self.free if k != target])
        if relation == "next to" and self._aside(target, reference) < _SIDE:
            raise ValueError("it is neither left nor right of what it shall be next to")
        return self._by_reference(target, relation, reference)

    def _by_reference(self, target: int, relation: str, reference: int) -> Wanted:
        """To a place that another thing tells."""
        where = self._either(forms.WHERE[relation])
        slots, amount, turn, form = {"where": where}, None, 0.0, "place"
        drawn = self.rng.random()
        if relation in _BESIDE[:-1] and drawn < 0.2:
            words, amount = distance_words(self.rng, _LIMITS["gap"])
            slots["where"] = f"{words} {where}"
        elif relation in _BESIDE and drawn < 0.35:
            self._check_turns(target)
            slots["turn"], turn = angle_words(self.rng)
            form = "place and turn"
        return Wanted(
            task="place",
            form=form,
            relation=relation,
            reference=reference,
            amount=amount,
            turn=turn,
            slots=slots,
        )

    def _check_turns(self, target: int) -> None:
        thing = self.things[target]
        width, length = np.sort(_edges(self.clouds[target]))
        if "round" in thing.attributes.get("shape", ()) or length < _LONGER * width:
            raise ValueError("nobody would see it turned")

    def _aside(self, one: int, other: int) -> float:
        middle = [np.mean([cloud.max(axis=0), cloud.min(axis=0)], axis=0) for cloud in self.clouds]
        return float(abs((middle[one] - middle[other]) @ self._right))

    def _either(self, phrases: tuple[tuple[str, ...], tuple[str, ...]]) -> str:
        """One of the training phrases, or in held-out wording half of the time one of the others."""
        return one_of(self.rng, phrases[self._held_out and self.rng.random() < 0.5])


def _moves(task: str, joint: Joint) -> bool:
    """Whether a part can do that from where it is, so far that it is worth an instruction."""
    if (joint.kind == "slide") != (task in ("pull", "push")):
        return False
    end = min(OPENED, joint.upper) if task == "open" else joint.upper
    way = end - joint.position if task in ("pull", "open") else joint.position
    return bool(way >= (_LEAST_DRAW if joint.kind == "slide" else _LEAST_SWING))


def _carries(thing: Thing, other: Thing) -> bool:
    """Whether its top is flat and about as large as the other one, so that a person would put that on it."""
    points = thing.points_world
    edges = _edges(points)
    if edges.min() < max(_LEAST_TOP, _CARRIES * _edges(other.points_world).min()):
        return False
    if thing.family == "plate":
        return True
    normals = thing.normals_object @ thing.T_world_object[:3, :3].T
    top = points[(points[:, 2] > points[:, 2].max() - _TOP) & (normals[:, 2] > _FLAT)]
    if len(top) < _TOP_POINTS:
        return False
    middle = (points.max(axis=0) + points.min(axis=0))[:2] / 2
    inner = np.linalg.norm(top[:, :2] - middle, axis=1) < _MIDDLE * edges.min()  # of a cup only the rim is at the top
    return bool(inner.any() and (_edges(top, points) > _CARRIES * edges).all())


def _holds(thing: Thing, other: Thing) -> bool:
    """Whether it is a vessel, and the other one narrower."""
    return thing.family in _VESSELS and bool(_edges(thing.points_world).min() > _edges(other.points_world).max())


def _edges(points: np.ndarray, main: np.ndarray | None = None) -> np.ndarray:
    """Width and length of a footprint along its principal directions, or along those of another one, m."""
    flat = (points if main is None else main)[:, :2]
    return np.ptp(points[:, :2] @ np.linalg.eigh(np.cov(flat.T))[1], axis=0)
