"""Perception that has learned: a view cut into instances, and the words grounded among them by CLIPort's two streams.

1. The table gives the world (`table`); `cliport.view_network` cuts the image into things and moving parts.
2. Each is shown as a crop to `cliport.network`, which says for the words which is meant, which other thing says where
   to, the task, and how far. A pixel or a box of the user overrides which is meant.
3. The cloud of a free thing is completed (`completing`); of a moving part the handle is what is taken, and its joint
   comes from geometry (`articulation`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation

from unihm.assets import WEIGHTS
from unihm.cliport.clip_resnet import CLIP
from unihm.cliport.color_names import color_shares
from unihm.cliport.cutting import cut
from unihm.cliport.grounding import AMOUNTS, KINDS, Grounded, sentence_vector
from unihm.cliport.instances import PART, Instances
from unihm.cliport.mending import mended
from unihm.cliport.network import Encoded, load_planner
from unihm.cliport.picture import picture
from unihm.cliport.view_network import load_view_network
from unihm.generation.text_encoder import TextEncoder, load_text_encoder
from unihm.geometry.point_cloud import main_parts, voxel_indices
from unihm.perception.articulation import find_joint
from unihm.perception.completing import COMPLETION
from unihm.perception.handles import handle_pixels
from unihm.perception.plain_words import about, check_wish, contained, noun_in, plainly, ruled_out
from unihm.perception.prompts import at_box, at_pixel, check_request
from unihm.perception.segmentation import lies_on, table_region
from unihm.perception.tabletop import OTHER_POINTS, TARGET_POINTS, object_cloud, world
from unihm.perception.target import Appearance, about_the_object, describe, fitting
from unihm.schema.asked import Asked
from unihm.schema.scene import ObjectCloud, PerceivedScene, Scene
from unihm.schema.task import BY_REFERENCE, GOES, TASKS

_log = logging.getLogger(__name__)

PLANNER, VIEW = "planner.safetensors", "view.safetensors"
_RULED_OUT = 1.5  # taken from the logits of things that plain words do not fit
_CANNOT = 3.0  # taken from those of things that shall be opened or shut and have no joint
_NEVER = 4.0  # times that, where a drawer, door or lid is named
_THIN = 0.004  # m between points that measures are taken of
_ALSO, _NEARLY = 1.0, 3.0  # logit from which on, and below the best's to which, a thing may be meant as well
_RING = 4  # pixels about a part, in which the thing shows that it is in
_ELSEWHERE = 2.0  # taken from those of what is not on the table
_EDGE = 0.05  # m about the seen part of the table, that things at its edge reach over
_PART_EDGE = 0.2  # m; an open drawer or door of a chest near the edge stands out beyond it
_ON, _PART_ON = 0.5, 0.1  # share of a thing that is over its table; an open door or drawer may stand out far beyond
_LIKELY = 3.0  # below the largest logit; what words like "taller" compare
_CERTAIN = 2.0  # logit from which the words fit a thing
_CLEARLY = 0.75  # by how much the best must exceed the next where both fit
_UNLIKELY = -3.0  # logit of the best below which nothing fits
_BODY = 0.35  # m about a handle, within which the body of its fixture lies
_ABOVE_TABLE = 0.01  # m
_BAR_STEP, _BAR_RADIUS = 0.003, (0.004, 0.012)  # m
_NEAR_BAR = 0.015  # m from its axis, within which points are the bar's


_WISH = {"open": "Open", "close": "Close"}
"""The plainest verb of tasks whose things can hardly be picked up."""
MOVING: tuple[Literal["drawer", "door", "lid"], ...] = ("drawer", "door", "lid")
"""Kinds of moving parts."""
_CALLED = {"drawer": "drawer|compartment"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """All that an image shows before anybody has said anything."""

    scene: Scene
    """The image."""
    T_world_camera: Float[np.ndarray, "4 4"]
    """Pose of the camera in the world of the table."""
    points_world: Float[np.ndarray, "H W 3"]
    """What every pixel shows, m."""
    found: Instances
    """Things and moving parts, largest first."""
    encoded: Encoded
    """Their crops, encoded."""
    held_by: Mapping[int, int] = field(default_factory=dict)
    """See `mending.Mended`."""

    def with_pieces_of(self, number: int) -> Seen:
        """The same where parts that it may hold belong to it; they are empty then."""
        pieces = [piece for piece, thing in self.held_by.items() if thing == number]
        if not pieces:
            return self
        labels = np.where(np.isin(self.found.labels, pieces), number, self.found.labels)
        return replace(self, found=replace(self.found, labels=labels), held_by={})

    @cached_property
    def looks(self) -> list[Appearance]:
        """Colour, size and place of each, once for all words."""
        valid = self.scene.depth > 0
        masks = [self.found.mask(i) & valid for i in range(len(self.found))]
        return [describe(_solid(self.points_world[m]), self.scene.color[m], self.T_world_camera) for m in masks]

    @cached_property
    def elsewhere(self) -> Bool[np.ndarray, " n"]:
        """Which of them are not on this table: chairs, other tables and what lies there."""
        valid = self.scene.depth > 0
        try:
            region = table_region(self.points_world, valid)
        except ValueError:
            return np.zeros(len(self.found), dtype=bool)  # nobody can tell
        away = []
        for i, kind in enumerate(self.found.kinds):
            edge, least = (_PART_EDGE, _PART_ON) if kind == PART else (_EDGE, _ON)
            place = self.points_world[self.found.mask(i) & valid][:, :2]
            away.append(lies_on(region, place, edge).mean() < least)
        return np.array(away, dtype=bool)


class Cliport:
    """Shipped or own weights, loaded once; `perceive` may be called many times."""

    completion = COMPLETION

    def __init__(self, weights: Path | None = None, reader: TextEncoder | None = None):
        """Load the networks.

        Args:
            weights: Folder with ``planner.safetensors`` and ``view.safetensors``, as `unihm train planner` leaves
                them, and with ``clip.safetensors`` where the planner was trained with CLIP; None takes those that come
                with unihm.
            reader: The frozen sentence encoder, where one is loaded already.

        Raises:
            ValueError: A file is missing, damaged, or of another version.
        """
        folder = WEIGHTS if weights is None else Path(weights)
        if weights is None and not (folder / PLANNER).is_file():
            raise ValueError(
                "This version of unihm comes without weights for the perception 'cliport'; make them with 'unihm train "
                "planner' and state their folder (--perception-weights, of evaluations --weights), or use 'tabletop'."
            )
        clip = folder / CLIP
        self.network, self.card = load_planner(folder / PLANNER, clip=clip if clip.is_file() else None)
        self.view, _ = load_view_network(folder / VIEW)
        self.reader = reader or load_text_encoder()
        self.relations = self.network.config.relations

    def perceive(
        self,
        scene: Scene,
        instruction: str,
        point: tuple[int, int] | None = None,
        box: tuple[int, int, int, int] | None = None,
    ) -> PerceivedScene:
        """See `unihm.perception.base.Perception.perceive`."""
        check_request(scene, instruction, point)
        return self.understand(self.see(scene, point), instruction, point, box)

    @torch.inference_mode()
    def see(self, scene: Scene, point: tuple[int, int] | None = None) -> Seen:
        """All that an image shows, whatever the words will be; raises ValueError where there is no table or thing."""
        T_world_camera, points_world = world(scene, point)
        found = self.cut(scene, points_world, T_world_camera)
        looked_at = picture(
            self.network.config.view,
            colour=scene.color,
            points_world=points_world,
            valid=scene.depth > 0,
            T_world_camera=T_world_camera,
        )
        masks = np.stack([looked_at.shown(found.mask(i)) for i in range(len(found))])
        # From above, what stands under another thing is not seen.
        seen = [i for i in range(len(found)) if (masks[i] & looked_at.valid).any()]
        found, crops = found.only(seen), looked_at.crop(masks[seen])
        encoded = self.network.encode_crops(crops)
        held_by: Mapping[int, int] = {}
        if looked_at.above is None:  # seen from above, what touches in the picture does not touch in the masks
            whole = mended(self.network, looked_at, found, encoded)
            found, encoded, held_by = whole.found, whole.encoded, whole.held_by
        return Seen(
            scene=scene,
            T_world_camera=T_world_camera,
            points_world=points_world,
            found=found,
            encoded=encoded,
            held_by=held_by,
        )

    @torch.inference_mode()
    def understand(
        self,
        seen: Seen,
        instruction: str,
        point: tuple[int, int] | None = None,
        box: tuple[int, int, int, int] | None = None,
    ) -> PerceivedScene:
        """Which of the things in an image is meant, its whole shape, and what shall be done.

        Raises:
            ValueError: Nothing in view fits the words, or several things do; the point or the box is on none.
        """
        target, asked = self.meant(seen, instruction, point, box)
        seen = seen.with_pieces_of(target)
        of_use = {target, asked.reference}
        objects = [self._object(seen, i, whole=i == target, near=i in of_use) for i in range(len(seen.found))]
        if seen.found.kinds[target] == PART:
            objects[target], asked = self._part(seen, target, asked, self._kind(seen, target, instruction))
        valid = seen.scene.depth > 0
        return PerceivedScene(
            T_world_camera=seen.T_world_camera,
            points_world=seen.points_world[valid],
            colors=seen.scene.color[valid],
            objects=tuple(objects),
            target=target,
            asked=asked,
        )

    @torch.inference_mode()
    def meant(
        self,
        seen: Seen,
        instruction: str,
        point: tuple[int, int] | None = None,
        box: tuple[int, int, int, int] | None = None,
    ) -> tuple[int, Asked]:
        """Which of the things and what shall be done with it, before anybody looks at its shape; see `understand`."""
        check_wish(instruction)
        plain = plainly(instruction, self.card["nouns"])
        grounded = self.grounded(seen, plain)
        if point is not None:
            target = at_pixel(point, seen.found.labels, seen.points_world, seen.scene)
        elif box is not None:
            target = at_box(box, seen.found.labels)
        else:
            target = self._choose(seen, instruction, self.fits(seen, plain, grounded))
        return target, self._asked(grounded, target, seen.found.kinds[target], ruled_out(plain))

    def cut(
        self, scene: Scene, points_world: Float[np.ndarray, "H W 3"], T_world_camera: Float[np.ndarray, "4 4"]
    ) -> Instances:
        """Things and moving parts in the image, largest first; raises ValueError where there is none."""
        found = cut(
            self.view,
            colour=scene.color,
            points_world=points_world,
            valid=scene.depth > 0,
            T_world_camera=T_world_camera,
        )
        if not len(found):
            raise ValueError("There is nothing on the table, or nothing that the camera sees.")
        return found

    @torch.inference_mode()
    def names(self, seen: Seen) -> list[str]:
        """What each thing looks like: its colour and the most fitting noun of those that the planner was taught."""
        best = (self.network.describe(seen.encoded).name @ self._noun_vectors.mT).argmax(dim=1).tolist()
        nouns: Sequence[str] = self.card["nouns"]
        return [f"{_color(seen.scene, seen.found.mask(i))} {nouns[noun]}" for i, noun in enumerate(best)]

    @cached_property
    def _noun_vectors(self) -> torch.Tensor:
        return torch.nn.functional.normalize(sentence_vector(*self.reader(self.card["nouns"])), dim=-1)

    def fits(self, seen: Seen, plain: str, grounded: Grounded) -> torch.Tensor:
        """Logit of each thing that it is meant: the network's, and what plain words say beside it."""
        return self.judged(seen, plain, _able(seen.found, grounded, bool(_kinds_said(about(plain)))))

    def judged(self, seen: Seen, instruction: str, fits: torch.Tensor) -> torch.Tensor:
        """The network's logits, less for what is elsewhere and what plain words for colour, size and place rule out.

        What red is and which is the tallest needs no learning, and holds on photographs as it does in made scenes.
        """
        adjusted = fits - _ELSEWHERE * torch.from_numpy(seen.elsewhere).to(fits)
        here = [i for i in range(len(fits)) if not seen.elsewhere[i]]
        likely = [k for k, i in enumerate(here) if adjusted[i] > adjusted.max() - _LIKELY]
        # Of "push in the drawer on the left" alone "in the drawer" would be a place.
        left, used = fitting(about(instruction) or instruction, [seen.looks[i] for i in here], likely)
        kept = {here[k] for k in left}
        adjusted[[i for i in range(len(fits)) if used and kept and i not in kept]] -= _RULED_OUT
        return adjusted

    def grounded(self, seen: Seen, plain: str) -> Grounded:
        """What plain words mean in an image.

        Which thing is meant does not depend on what else is said of it: the words for it are also read within the
        plainest wish, and the mean of both decides. What can be opened is seldom picked up, so that it has its own.
        """
        said = about(plain)
        if not said:
            return self._read(seen, plain)
        thing = contained(said, self.card["nouns"])
        first = self._read(seen, plain if thing == said else re.sub(re.escape(said), thing, plain, count=1, flags=re.I))
        task = TASKS[int(first.task[0].argmax())]
        second = self._read(seen, f"{_WISH.get(task, 'Pick up')} {thing}.")
        return replace(first, target=(first.target + second.target) / 2)

    def _read(self, seen: Seen, words: str) -> Grounded:
        return self.network.ground(seen.encoded, torch.arange(len(seen.found))[None], *self.reader([words]))

    def _choose(self, seen: Seen, instruction: str, fits: torch.Tensor) -> int:
        order = fits.argsort(descending=True).tolist()
        best = order[0]
        close = [i for i in order[1:] if fits[i] > _CERTAIN and fits[best] - fits[i] < _CLEARLY]
        thing = about(plainly(instruction, self.card["nouns"]))
        noun = noun_in(thing or instruction, self.card["nouns"])  # not that of what it shall stand beside
        if not close and (fits[best] >= _UNLIKELY or (len(order) == 1 and not noun)):
            also = [i for i in order[1:] if fits[i] > _ALSO and fits[best] - fits[i] < _NEARLY]
            if also:
                names = _placed(seen, self.names(seen))
                _log.warning(
                    "The words may also mean the %s; the %s is taken. Say which by colour, size or place, or give "
                    "--point u,v.",
                    " or the ".join(names[i] for i in also),
                    names[best],
                )
            return best
        looks = self.names(seen)
        # "The lid", where one thing alone looks like a lid, is not "no lid in view", however unsure the network is.
        bare = thing.partition(" ")[2] == noun
        alike = [i for i, name in enumerate(looks) if name.endswith(f" {noun}")]
        if not close and noun and bare and len(alike) == 1 and (alike == [best] or seen.found.kinds[alike[0]] == PART):
            return alike[0]
        names = _placed(seen, looks)
        if close:
            both = " and ".join(f"the {names[i]}" for i in sorted([best, *close]))
            raise ValueError(
                f"The words fit {len(close) + 1} things: {both}. Say which by colour, size or place, or give "
                "--point u,v."
            )
        what = (
            f"No {noun} in view"
            if noun
            else f"Nothing that fits '{instruction.strip()}' in view, or it does not say which"
        )
        raise ValueError(f"{what}; I see: {', '.join(names)}.")

    def _asked(self, grounded: Grounded, target: int, kind: str, never: frozenset[str] = frozenset()) -> Asked:
        """The likeliest of what makes sense: parts that move open or shut, free things go where their task leads.

        What plain words rule out is not it, whatever the network says: "left" is never right.
        """
        tasks = dict(zip(TASKS, grounded.task[0].log_softmax(dim=0).tolist(), strict=True))
        if kind == PART:
            task, relation = (
                max(
                    (name for name in ("pull", "push", "open", "close") if name not in never),
                    key=lambda name: tasks[name],
                ),
                "",
            )
        else:
            relations = dict(zip(self.relations, grounded.relation[0].log_softmax(dim=0).tolist(), strict=True))
            task, relation = max(
                (
                    (task, relation)
                    for task in GOES
                    for relation in GOES[task]
                    if relation in relations and relation not in never
                ),
                key=lambda pair: tasks[pair[0]] + relations[pair[1]],
            )
        others = grounded.reference[0].clone()
        others[target] = -torch.inf
        refers = relation in BY_REFERENCE and len(others) > 1
        return Asked(
            task=task,
            relation=relation,
            reference=int(others.argmax()) if refers else -1,
            how_far=AMOUNTS[int(grounded.amount[0].argmax())],
        )

    def _object(self, seen: Seen, number: int, *, whole: bool, near: bool) -> ObjectCloud:
        """A thing, completed where that is of use; of a moving part only what is seen."""
        if seen.found.kinds[number] == PART:
            return _seen(seen, seen.found.mask(number))
        count = TARGET_POINTS if whole else OTHER_POINTS if near else 0
        return object_cloud(seen.scene, seen.found.mask(number), seen.points_world, seen.T_world_camera, count)

    def _kind(self, seen: Seen, target: int, instruction: str) -> str:
        """Which kind of part it is: as the words call it, else as it looks; an open lid looks like a door."""
        plain = plainly(instruction, self.card["nouns"])
        said = _kinds_said(about(plain) or plain)
        if len(said) == 1:
            return said[0]
        kinds = self.network.describe(seen.encoded).kind[target]
        return MOVING[int(kinds[[KINDS.index(name) for name in MOVING]].argmax())]

    def _part(self, seen: Seen, target: int, asked: Asked, kind: str) -> tuple[ObjectCloud, Asked]:
        """The handle of a moving part as what is taken, and its joint."""
        valid, found, points = seen.scene.depth > 0, seen.found, seen.points_world
        eye = seen.T_world_camera[:3, 3]
        near = valid & (points[..., 2] > _ABOVE_TABLE)
        near[near] = np.linalg.norm(points[near] - points[found.mask(target) & valid].mean(axis=0), axis=1) < _BODY
        handle = handle_pixels(found, target, points, near, eye, kind)
        if not handle.any():
            raise ValueError("The handle is out of view; turn the camera so that it sees the handle.")
        around = valid & (found.labels < 0) & (points[..., 2] > _ABOVE_TABLE) & ~handle
        around[around] = np.linalg.norm(points[around] - points[handle].mean(axis=0), axis=1) < _BODY
        panel = found.mask(target) & valid & ~handle
        joint, T_world_handle = find_joint(points[panel], points[handle], points[around], kind, eye)
        completed, normals = _bar(points[handle], T_world_handle)
        cloud = replace(_seen(seen, handle), completed_points_world=completed, completed_normals_world=normals)
        task = joint.task_for(asked.task)
        board = points[panel]
        board = board[voxel_indices(board, _BAR_STEP)]
        return cloud, replace(asked, task=task, joint=joint, T_world_handle=T_world_handle, panel_world=board)


def _kinds_said(words: str) -> list[str]:
    """Which kinds of moving parts the words name, less those that they only place it by: "the mug by the drawer"."""
    thing = about_the_object(words)
    return [kind for kind in MOVING if re.search(rf"\b(?:{_CALLED.get(kind, kind)})s?\b", thing)]


def _able(found: Instances, grounded: Grounded, part_said: bool = False) -> torch.Tensor:
    """The logits of what is meant, and what the words say of it: only parts that move can be opened and shut.

    Who speaks of opening a box means the part that moves in it.

    Args:
        found: Things and parts.
        grounded: What the network says.
        part_said: Whether the words name a drawer, a door or a lid; then no thing is meant.
    """
    fits = grounded.target[0].clone()
    tasks = dict(zip(TASKS, grounded.task[0].softmax(dim=0).tolist(), strict=True))
    opens = _NEVER if part_said else tasks["open"] + tasks["close"]
    if opens < 0.5:
        return fits
    for i, kind in enumerate(found.kinds):
        if kind == PART and found.handle(i).any():
            around = found.labels[binary_dilation(found.mask(i), iterations=_RING) & (found.labels != i)]
            body = np.bincount(around + 1, minlength=len(found) + 1)[1:].argmax()
            if found.kinds[body] != PART and (around == body).sum() > 0.5 * len(around):
                fits[i] = torch.maximum(fits[i], fits[body])
    return fits - opens * _CANNOT * torch.tensor([kind != PART for kind in found.kinds])


def _solid(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "k 3"]:
    """Some of the points, less flying pixels, which would make a thing long and put it behind all others."""
    thin = points[voxel_indices(points, _THIN)]
    return thin[main_parts(thin)]


def _seen(seen: Seen, mask: Bool[np.ndarray, "H W"]) -> ObjectCloud:
    """What is seen of a thing."""
    v, u = np.nonzero(mask & (seen.scene.depth > 0))
    none = np.zeros((0, 3))
    return ObjectCloud(
        points_world=seen.points_world[v, u],
        colors=seen.scene.color[v, u],
        pixels=np.column_stack([u, v]),
        completed_points_world=none,
        completed_normals_world=none,
    )


def _bar(
    points_world: Float[np.ndarray, "n 3"], T_world_handle: Float[np.ndarray, "4 4"]
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, "m 3"]]:
    """The surface of the bar that the seen points lie on, a cylinder along y of the handle's frame."""
    T = T_world_handle
    local = (points_world - T[:3, 3]) @ T[:3, :3]
    # Between its posts a handle shows what is behind it, and pixels at its outline do.
    local = local[np.linalg.norm(local[:, ::2], axis=1) < _NEAR_BAR]
    if not len(local):
        raise ValueError("The handle is out of view: what looks like it is neither a bar nor a knob.")
    low, high = np.percentile(local[:, 1], (2, 98))
    radius = float(np.clip(np.ptp(np.percentile(local[:, 2], (5, 95))) / 2, *_BAR_RADIUS))
    y = np.arange(low, high + _BAR_STEP, _BAR_STEP)
    angle = np.linspace(0, 2 * np.pi, max(12, int(2 * np.pi * radius / _BAR_STEP)), endpoint=False)
    around = np.stack([np.cos(angle), np.zeros_like(angle), np.sin(angle)], axis=-1)
    points = radius * around[None] + y[:, None, None] * np.array([0.0, 1.0, 0.0])
    normals = np.broadcast_to(around, points.shape).reshape(-1, 3) @ T[:3, :3].T
    points = points.reshape(-1, 3) @ T[:3, :3].T + T[:3, 3]
    kept = voxel_indices(points, _BAR_STEP)
    return points[kept], normals[kept]


def _color(scene: Scene, mask: np.ndarray) -> str:
    shares = color_shares(scene.color[mask])
    return max(shares, key=lambda name: shares[name])


def _placed(seen: Seen, looks: Sequence[str]) -> list[str]:
    """What things look like, and a pixel of each."""
    middles = (np.median(np.nonzero(seen.found.mask(i)), axis=1).astype(int) for i in range(len(looks)))
    return [f"{look} (pixel {u},{v})" for look, (v, u) in zip(looks, middles, strict=True)]
