"""Instructions about a scene, each with what it means and the path that fulfils it.

First what is wanted is drawn: a task, a thing, where to and how far; then the words: a phrase that tells the thing from
the others (`referring`) in a form (`asking_forms`); then the path is made on the true geometry (`planning.goals`). What
cannot be done there is counted and drawn anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from unihm.planning.goals import goal_pose, task_path
from unihm.planning.pace import GENH2R, Pace
from unihm.scenes import asking_forms as forms
from unihm.scenes.drawing import one_of
from unihm.scenes.layout import TableTop
from unihm.scenes.records import Asking, Thing
from unihm.scenes.referring import Referring, absent, referrings
from unihm.scenes.wanted import SIMPLE, Wanted, Wishes
from unihm.schema.task import FAMILY, TASKS

ABSENT, AMBIGUOUS = 0.06, 0.06  # shares of instructions about what is not in view, and about what is there twice
_TRIES = 25  # for each instruction that is asked for
_STUBBORN = 6  # tries before another task is drawn
_POINTS = 500  # of the object, for its distance from the scene
_PLAIN = ("name", "class", "name and colour", "class and colour", "colour")  # ways to tell a reference
_LIKELY = {"name": 4.0, "class": 2.0}  # against 1 for each other way to tell
_WHOLE = 0.15  # share of forms that are whole sentences, where there are any
_PARTS = {"pull and push": ("drawer",), "open and close": ("door", "lid"), "grab": (), "pick and place": ()}
_SIDEWAYS = ("left", "right")


def askings(
    things: Sequence[Thing],
    T_world_camera: Float[np.ndarray, "4 4"],
    rng: np.random.Generator,
    *,
    held_out_wording: bool = False,
    count: int = 8,
    paths: bool = True,
    surroundings_world: Float[np.ndarray, "m 3"] | None = None,
    table: TableTop | None = None,
    dropped: Counter[str] | None = None,
) -> tuple[Asking, ...]:
    """Different instructions about one scene, the four families of tasks about equally often where it allows them.

    Args:
        things: What is in view.
        T_world_camera: Pose of the camera.
        rng: Draws everything.
        held_out_wording: Only forms that never occur in training, half of them with names that do not either.
        count: How many; there are fewer where nothing more can be done after 25 tries for each.
        paths: Whether to make the paths; without them nobody looks whether the way is free, which takes a hundredth of
            the time and is enough to learn words from.
        surroundings_world: Points of what else stands there, the bodies of fixtures, that free objects must not hit, m.
        table: Free objects stay on it; without it nobody looks where it ends.
        dropped: Counts what could not be made, by task and reason.

    Raises:
        ValueError: There is nothing in view, or nothing can be asked for.
    """
    if not things:
        raise ValueError("Nothing is in view, so nothing can be asked for.")
    dropped = Counter() if dropped is None else dropped
    asker = _Asker(things, T_world_camera, rng, held_out_wording, paths, surroundings_world, table)
    found: dict[str, Asking] = {}
    task, left = "", 0
    for _ in range(_TRIES * count):
        if len(found) == count:
            break
        # A task that is hard to fulfil is tried a few times, so that all are as likely.
        task, left = (task, left - 1) if left else (asker.wishes.task(), _STUBBORN)
        try:
            new = asker.ask(task)
        except ValueError as error:
            dropped[f"{task}: {error}"] += 1
            continue
        if new.instruction not in found:
            found[new.instruction], left = new, 0
    if not found:
        reason, _ = dropped.most_common(1)[0]
        raise ValueError(f"Nothing can be asked for in this scene of {len(things)} things; most often: {reason}")
    return tuple(found.values())


def asking_about(
    target: int,
    task: str,
    things: Sequence[Thing],
    T_world_camera: Float[np.ndarray, "4 4"],
    rng: np.random.Generator,
    *,
    held_out_wording: bool = False,
    surroundings_world: Float[np.ndarray, "m 3"] | None = None,
    table: TableTop | None = None,
    pace: Pace = GENH2R,
) -> Asking:
    """An instruction for one task about one thing; see `askings`.

    Args:
        target: Index of the thing.
        task: One of `schema.task.TASKS`.
        things: What is in view.
        T_world_camera: Pose of the camera.
        rng: Draws everything.
        held_out_wording: See `askings`.
        surroundings_world: See `askings`, m.
        table: See `askings`.
        pace: Speeds of the path.

    Raises:
        ValueError: 25 times nothing could be said or done; the message says what was in the way last.
    """
    asker = _Asker(things, T_world_camera, rng, held_out_wording, True, surroundings_world, table, pace)
    reason = ""
    for _ in range(_TRIES):
        try:
            wanted, chosen = asker.wishes.of_any(task, (target,))
            if chosen == target:
                said = asker.phrase([r for r in asker.referrings if r.fits == (target,)], wanted)
                return asker.with_path(asker.said(wanted, said), wanted, target)
        except ValueError as error:
            reason = str(error)
    raise ValueError(f"Nothing to {task} can be asked for of the {things[target].family}: {reason}")


class _Asker:
    """Draws instructions about one scene."""

    def __init__(
        self,
        things: Sequence[Thing],
        T_world_camera: np.ndarray,
        rng: np.random.Generator,
        held_out: bool,
        paths: bool,
        surroundings_world: np.ndarray | None,
        table: TableTop | None,
        pace: Pace = GENH2R,
    ):
        self.pace = pace
        self.things, self.T_world_camera, self.rng = things, T_world_camera, rng
        self.held_out, self.paths, self.table = held_out, paths, table
        self.wishes = Wishes(things, T_world_camera, rng, held_out)
        self.surroundings = np.zeros((0, 3)) if surroundings_world is None else surroundings_world
        self.referrings = referrings(things, T_world_camera, held_out_wording=held_out)

    def ask(self, task: str) -> Asking:
        """One instruction; raises ValueError where what was drawn cannot be said or done."""
        drawn = self.rng.random()
        if drawn < ABSENT:
            return self._absent()
        targets = self.wishes.targets(task)
        if drawn < ABSENT + AMBIGUOUS:
            several = [r for r in self.referrings if len(r.fits) > 1 and set(r.fits) <= set(targets)]
            if several:
                return self._ambiguous(task, several)
        wanted, target = self.wishes.of_any(task, targets)
        said = self.phrase([r for r in self.referrings if r.fits == (target,)], wanted)
        asking = self.said(wanted, said)
        return self.with_path(asking, wanted, target) if self.paths else asking

    def _absent(self) -> Asking:
        """About what is not in view: a door, a drawer or a lid, or a free object."""
        task = one_of(
            self.rng, [t for t in TASKS if self.wishes.free or FAMILY[t] in ("pull and push", "open and close")]
        )
        parts = _PARTS[FAMILY[task]]
        if parts and FAMILY[task] == "pull and push" and self.wishes.free and self.rng.random() < 0.5:
            parts = ()
        said = absent(self.things, self.rng, parts=parts, held_out_wording=self.held_out)
        wanted = (
            Wanted(task=task, form=SIMPLE[task])
            if parts
            else self.wishes.of_free(task, one_of(self.rng, self.wishes.free))
        )
        return self.said(wanted, said)

    def _ambiguous(self, task: str, several: list[Referring]) -> Asking:
        one = one_of(self.rng, sorted({r.fits[0] for r in several}))
        free = self.things[one].joint is None
        wanted = self.wishes.of_free(task, one) if free else Wanted(task=task, form=SIMPLE[task])
        said = self.phrase([r for r in several if r.fits[0] == one and wanted.reference not in r.fits], wanted)
        return self.said(wanted, said)

    def phrase(self, fitting: list[Referring], wanted: Wanted | None = None) -> Referring:
        """One of several phrases; each way to tell is about as likely as the others, names are likelier."""
        if wanted is not None and wanted.relation:
            # "Put the can next to the mug left of the box" could be read in two ways; nobody says "the left can to
            # the left".
            said = wanted.relation.removesuffix(" of")
            fitting = [r for r in fitting if not r.placed_after and (said not in _SIDEWAYS or said not in r.phrase)]
        if not fitting:
            raise ValueError("no words tell it from the others")
        unusual = [r for r in fitting if r.held_out]
        if unusual and self.rng.random() < 0.5:
            fitting = unusual
        kinds = sorted({r.refers_by for r in fitting})
        likely = np.array([_LIKELY.get(kind, 1.0) for kind in kinds])
        kind = kinds[int(self.rng.choice(len(kinds), p=likely / likely.sum()))]
        return one_of(self.rng, [r for r in fitting if r.refers_by == kind])

    def said(self, wanted: Wanted, said: Referring) -> Asking:
        """The words around a phrase."""
        clauses, sentences, frames = (
            (forms.HELD_OUT_CLAUSES, forms.HELD_OUT_SENTENCES, forms.HELD_OUT_FRAMES)
            if self.held_out
            else (forms.CLAUSES, forms.SENTENCES, forms.FRAMES)
        )
        whole = [s for s in sentences.get(wanted.form, ()) if said.pronoun == "it" or not forms.singular(s)]
        slots = {**wanted.slots, "object": said.phrase, "it": said.pronoun}
        if wanted.reference >= 0:
            plain = [r for r in self.referrings if r.fits == (wanted.reference,) and r.refers_by in _PLAIN]
            reference = self.phrase(plain)
            slots["where"] = slots["where"].format(r=reference.phrase)
        form = wanted.form
        if whole and self.rng.random() < _WHOLE:
            text = one_of(self.rng, whole).format(**slots)
        else:
            fitting = [c for c in clauses[form] if said.pronoun == "it" or not forms.singular(c)]
            clause = one_of(self.rng, fitting).format(**slots)
            if not self.held_out or self.rng.random() < 0.5:
                frames = forms.FRAMES
            frames = [f for f in frames if " for me" not in f or " me" not in clause]
            text = one_of(self.rng, frames).format(do=clause)
        return Asking(
            instruction=text[0].upper() + text[1:],
            held_out_wording=self.held_out,
            refers_by=said.refers_by,
            task=wanted.task,
            targets=said.fits,
            reference=wanted.reference,
            relation=wanted.relation,
            amount=wanted.amount,
            turn=wanted.turn,
        )

    def with_path(self, asking: Asking, wanted: Wanted, target: int) -> Asking:
        thing, cloud = self.things[target], self.wishes.clouds[target]
        others = [k for k in range(len(self.things)) if k != target]
        if thing.joint is not None:
            goal = (thing.joint, wanted.amount)
            scene = [self.wishes.clouds[k] for k in others if self.things[k].fixture != thing.fixture]
        else:
            reference = self.wishes.clouds[wanted.reference] if wanted.reference >= 0 else None
            goal = goal_pose(
                wanted.task,
                wanted.relation,
                wanted.amount,
                wanted.turn,
                thing.T_world_object,
                cloud,
                reference,
                self.T_world_camera,
            )
            scene = [self.wishes.clouds[k] for k in others] + [self.surroundings]
            end = thing.moved_to(goal)[:, :2]
            if self.table is not None and not self.table.holds(end):
                raise ValueError("the goal is not on the table")
        sparse = cloud[:: max(1, len(cloud) // _POINTS)]
        scene_points = np.concatenate(scene) if scene else np.zeros((0, 3))
        path, rest = task_path(wanted.task, thing.T_world_object, sparse, goal, scene_points, self.pace)
        return replace(asking, T_world_object=path, rest_frames=rest)
