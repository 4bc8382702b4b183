"""Made scenes as the planner's network learns from them: crops of proposals with what they are, and instructions.

Proposals are what the view network finds, or the true masks of things, spoiled as a segmentation spoils them, and
pieces and pairs of things, which are not whole. Everything is computed once and kept in files that are read in place,
so that scenes may be more than memory holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import binary_dilation, binary_erosion
from torch import Tensor
from tqdm import tqdm

from unihm.cliport.crops import CHANNELS, MEASURES
from unihm.cliport.cutting import cut
from unihm.cliport.grounding import AMOUNTS, KINDS
from unihm.cliport.network import PARTS
from unihm.cliport.objectives import UNKNOWN
from unihm.cliport.picture import Picture, picture
from unihm.cliport.view_network import ViewNetwork, load_view_network
from unihm.cliport.windows import SIZE, in_window
from unihm.planning.amounts import read_distance, read_share
from unihm.planning.goals import RELATIONS
from unihm.scene_data.store import SceneStore
from unihm.scenes.asking import askings
from unihm.scenes.records import Asking, SceneExample, Thing
from unihm.schema.storage import write_json
from unihm.schema.task import TASKS

_LEAST_PIXELS = 80  # of a thing that anyone would name, and of a proposal
_FOUND = 0.6  # share of images whose proposals are those that the view network finds, where there is one
_WHOLE = 0.5  # IoU from which such a proposal is a thing
_SPOILED = 0.6  # share of masks that are not exactly right
_PIECES = 0.5  # pieces or pairs for each thing
_TOUCH = 3  # pixels between two things that a pair may be made of
_PICK = 0.04  # share of a thing's cells, nearest to its middle, where it may be taken
_VERSION = 5
_MORE = 16  # further instructions about every image, without paths; a hundredth of a scene's cost
RELATION_NAMES = tuple(RELATIONS)


@dataclass(frozen=True, kw_only=True)
class Said:
    """One instruction with the rows that it is about."""

    text: str
    """The instruction."""
    image: int
    """Number of the image."""
    targets: tuple[int, ...]
    """Things that the words fit."""
    reference: int
    """The thing that says where to, -1 without."""
    task: int
    """Index in `TASKS`."""
    relation: int
    """Index in `RELATION_NAMES`."""
    amount: int
    """Index in `AMOUNTS`."""
    refers_by: str
    """How the target is told."""


class GroundingExamples:
    """Prepared scenes."""

    def __init__(self, folder: str | Path):
        """Open what `prepare` has written."""
        folder = Path(folder)
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        count = facts["proposals"]

        def column(name: str, kind: Any, *shape: int) -> np.ndarray:
            return np.memmap(folder / f"{name}.bin", dtype=kind, mode="r", shape=(count, *shape))

        self.images: Float[np.ndarray, "N C s s"] = column("images", np.float16, len(CHANNELS), SIZE, SIZE)
        self.measures: Float[np.ndarray, "N M"] = column("measures", np.float32, len(MEASURES))
        self.parts: UInt8[np.ndarray, "N s s"] = column("parts", np.uint8, SIZE, SIZE)
        """Index in `PARTS`; the highest bit says that the thing may be taken there."""
        self.image = np.array(facts["image"])
        self.thing = np.array(facts["thing"])
        self.whole = np.array(facts["whole"])
        self.kind = np.array(facts["kind"])
        self.nouns: list[list[list[str]]] = facts["nouns"]
        """Of each image, of each of its things."""
        self.names: list[str] = facts["names"]
        """Nouns of all things, without their colours."""
        self.said = [Said(**{**one, "targets": tuple(one["targets"])}) for one in facts["said"]]
        self.more = [Said(**{**one, "targets": tuple(one["targets"])}) for one in facts["more"]]
        """Further instructions, drawn here: they have no paths, and nobody looked whether the way is free."""
        self.rows_of = [np.flatnonzero(self.image == i) for i in range(len(self.nouns))]

    def __len__(self) -> int:
        return len(self.nouns)


def prepare(
    data: str | Path,
    folder: str | Path,
    *,
    seed: int = 0,
    view: str | Path | None = None,
    taken_from: Literal["camera", "top"] = "camera",
) -> GroundingExamples:
    """Proposals and instructions of all scenes of a store; what was prepared before is taken.

    Args:
        data: From `unihm data synthesize`.
        folder: Where the prepared files go.
        seed: Of the spoiling.
        view: Weights of a trained view network, whose finds are the proposals of most images.
        taken_from: What crops are of, see `PlannerConfig.view`.

    Raises:
        ValueError: The store holds no scene, or a file is damaged.
    """
    folder, store = Path(folder), SceneStore(data)
    parts = store.parts()
    if not parts:
        raise ValueError(f"'{data}' holds no finished scene; 'unihm data synthesize' goes on with it.")
    digest = hashlib.sha256()
    for number in parts:
        digest.update(store.part(number).read_bytes())
    seeing, card = (None, {}) if view is None else load_view_network(view)
    wanted = {
        "data": digest.hexdigest()[:16],
        "seed": seed,
        "view": card.get("fingerprint", ""),
        "taken_from": taken_from,
        "version": _VERSION,
    }
    done = folder / "facts.json"
    if done.is_file() and json.loads(done.read_text(encoding="utf-8"))["prepared"] == wanted:
        return GroundingExamples(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    columns = ("image", "thing", "whole", "kind", "nouns", "said", "more")
    facts: dict[str, Any] = {**{name: [] for name in columns}, "names": set()}
    files = {name: (folder / f"{name}.bin").open("wb") for name in ("images", "measures", "parts")}
    try:
        for number in tqdm(parts, desc="prepare", unit="part", disable=None, delay=2):
            for example in store.read(number):
                _add(example, seeing, taken_from, rng, seed, facts, files)
    finally:
        for file in files.values():
            file.close()
    facts["names"] = sorted(facts["names"])
    write_json(done, {"prepared": wanted, "proposals": len(facts["image"]), **facts})
    return GroundingExamples(folder)


def _add(
    example: SceneExample,
    seeing: ViewNetwork | None,
    taken_from: Literal["camera", "top"],
    rng: np.random.Generator,
    seed: int,
    facts: dict[str, Any],
    files: dict[str, Any],
) -> None:
    scene = example.scene
    T_world_camera = scene.camera.T_world_camera
    assert T_world_camera is not None
    valid = scene.depth > 0
    points = scene.camera.unproject(scene.depth) @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
    if seeing is not None and rng.random() < _FOUND:
        masks, labels = found_proposals(example, seeing, points)
    else:
        masks, labels = proposals(example, rng)
    looked_at = picture(taken_from, colour=scene.color, points_world=points, valid=valid, T_world_camera=T_world_camera)
    masks = [looked_at.shown(mask) for mask in masks]
    kept = [i for i, mask in enumerate(masks) if np.count_nonzero(mask & looked_at.valid) >= _LEAST_PIXELS // 2]
    if not kept:
        return
    crops = looked_at.crop(np.stack([masks[i] for i in kept]))
    number = len(facts["nouns"])
    for row, i in enumerate(kept):
        thing, whole = labels[i]
        facts["image"].append(number)
        facts["thing"].append(thing)
        facts["whole"].append(int(whole))
        facts["kind"].append(KINDS.index(_kind(example.things[thing])) if thing >= 0 else UNKNOWN)
        files["parts"].write(_part_map(example, looked_at, thing, crops.windows[row]).tobytes())
    files["images"].write(crops.images.tobytes())
    files["measures"].write(crops.measures.astype(np.float32).tobytes())
    facts["nouns"].append([nouns_of(thing) for thing in example.things])
    facts["names"] |= {name for thing in example.things for name in thing.names}
    seen = {labels[i][0] for i in kept if labels[i][1]}
    for name, found in (("said", example.askings), ("more", more_askings(example, seed, number))):
        for asking in found:
            if set(asking.targets) <= seen and (asking.reference < 0 or asking.reference in seen):
                facts[name].append(vars(_said(asking, number)))


def more_askings(example: SceneExample, seed: int, number: int) -> tuple[Asking, ...]:
    """Further instructions about an image in words of training, without paths."""
    T_world_camera = example.scene.camera.T_world_camera
    assert T_world_camera is not None
    rng = np.random.default_rng([seed, number])
    return askings(example.things, T_world_camera, rng, count=_MORE, paths=False)


def proposals(
    example: SceneExample, rng: np.random.Generator
) -> tuple[list[Bool[np.ndarray, "H W"]], list[tuple[int, bool]]]:
    """Masks, and of each the thing that it shows most of (-1: several) and whether it is that thing as a whole."""
    masks: list[np.ndarray] = []
    labels: list[tuple[int, bool]] = []
    seen = {}
    for k in range(len(example.things)):
        mask = example.instances == k + 1
        if np.count_nonzero(mask) >= _LEAST_PIXELS:
            seen[k] = mask
            masks.append(_spoiled(mask, rng) if rng.random() < _SPOILED else mask)
            labels.append((k, True))
    for _ in range(rng.binomial(len(seen), _PIECES)):
        k = int(rng.choice(list(seen)))
        around = binary_dilation(seen[k], iterations=_TOUCH)
        near = [o for o, other in seen.items() if o != k and (around & other).any()]
        if near and rng.random() < 0.5:
            other = int(rng.choice(near))
            union = seen[k] | seen[other]
            largest = max(k, other, key=lambda i: np.count_nonzero(seen[i]))
            alone = np.count_nonzero(seen[largest]) / np.count_nonzero(union)
            masks.append(union)
            labels.append((largest if alone > 0.8 else -1, False))
            continue
        piece = _piece(seen[k], rng)
        if np.count_nonzero(piece) >= _LEAST_PIXELS:
            masks.append(piece)
            labels.append((k, False))
    return masks, labels


def found_proposals(
    example: SceneExample, seeing: ViewNetwork, points_world: Float[np.ndarray, "H W 3"]
) -> tuple[list[Bool[np.ndarray, "H W"]], list[tuple[int, bool]]]:
    """What the view network finds, with the same labels as of `proposals`; -1 also of what is no thing at all."""
    T_world_camera = example.scene.camera.T_world_camera
    assert T_world_camera is not None
    found = cut(
        seeing,
        colour=example.scene.color,
        points_world=points_world,
        valid=example.scene.depth > 0,
        T_world_camera=T_world_camera,
    )
    masks = [found.mask(i) for i in range(len(found))]
    size = np.bincount(example.instances.ravel(), minlength=len(example.things) + 1)
    labels = []
    for mask in masks:
        hit = np.bincount(example.instances[mask], minlength=len(size))
        thing = int(hit[1:].argmax())
        both, own = int(hit[thing + 1]), np.count_nonzero(mask)
        whole = both > _WHOLE * (own + size[thing + 1] - both)
        labels.append((thing if both > own / 2 else -1, bool(whole)))
    return masks, labels


def _spoiled(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grown, shrunk, or with a bite, as far as most of it stays."""
    kind = rng.integers(3)
    if kind == 0:
        return np.asarray(binary_dilation(mask, iterations=int(rng.integers(1, 4))))
    other = np.asarray(binary_erosion(mask, iterations=int(rng.integers(1, 3)))) if kind == 1 else mask.copy()
    if kind == 2:
        v, u = np.nonzero(mask)
        i, radius = rng.integers(len(v)), rng.uniform(0.1, 0.3) * np.sqrt(len(v))
        other[v, u] = (v - v[i]) ** 2 + (u - u[i]) ** 2 > radius**2
    return other if np.count_nonzero(other) > 0.6 * np.count_nonzero(mask) else mask


def _piece(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of the mask on one side of a line."""
    v, u = np.nonzero(mask)
    angle = rng.uniform(0, np.pi)
    along = u * np.cos(angle) + v * np.sin(angle)
    piece = np.zeros_like(mask)
    piece[v, u] = along < np.quantile(along, rng.uniform(0.25, 0.6))
    return piece


def _kind(thing: Thing) -> str:
    return "free" if thing.joint is None else thing.family


def _part_map(example: SceneExample, looked_at: Picture, thing: int, window: np.ndarray) -> UInt8[np.ndarray, "s s"]:
    """`PARTS` of every cell as seen from the proposal's own thing, and 128 more where it may be taken."""
    if thing < 0:
        return np.zeros((SIZE, SIZE), dtype=np.uint8)
    mine = in_window(looked_at.shown(example.instances), window) == thing + 1
    handle = in_window(looked_at.shown(example.handles), window) & mine
    moves = example.things[thing].joint is not None
    parts = np.where(mine, PARTS.index("panel" if moves else "thing"), 0).astype(np.uint8)
    parts[handle] = PARTS.index("handle")
    if moves:
        pick = handle
    else:
        cloud = example.things[thing].points_world
        middle = (cloud.min(axis=0) + cloud.max(axis=0)) / 2
        distance = np.linalg.norm(in_window(looked_at.points_world, window) - middle, axis=-1)
        own = mine & in_window(looked_at.valid, window)
        pick = own & (distance <= np.quantile(distance[own], _PICK)) if own.any() else own
    return parts + 128 * pick.astype(np.uint8)


def nouns_of(thing: Thing) -> list[str]:
    """What the thing may be called, alone and with its colour; nothing that is held out."""
    plain = [*thing.names, *thing.class_words]
    colours = thing.attributes.get("colour", ())
    return [*plain, *(f"{colour} {noun}" for colour in colours for noun in plain)]


def _said(asking: Asking, image: int) -> Said:
    return Said(
        text=asking.instruction,
        image=image,
        targets=asking.targets,
        reference=asking.reference,
        task=TASKS.index(asking.task),
        relation=RELATION_NAMES.index(asking.relation),
        amount=AMOUNTS.index(amount_said(asking)),
        refers_by=asking.refers_by,
    )


def amount_said(asking: Asking) -> str:
    """Of `AMOUNTS`, how the words say how far."""
    if asking.amount is None:
        return "none"
    share = read_share(asking.instruction)
    distance = read_distance(asking.instruction)
    if isinstance(distance, float):
        return "stated"
    if asking.task in ("open", "close", "pull") and share is not None:
        return {0.25: "little", 0.5: "half", 1.0: "full"}[share]
    return distance if isinstance(distance, str) else "stated"


@dataclass(frozen=True, kw_only=True)
class AskedBatch:
    """Instructions about some images, and which proposals they mean."""

    proposals: Int[Tensor, " N"]
    """Numbers of the images' proposals among all."""
    rows: Int[Tensor, "B P"]
    """Each instruction's proposals, counted within `proposals`, -1 for padding."""
    target: Bool[Tensor, "B P"]
    reference: Bool[Tensor, "B P"]
    said: Sequence[Said]
    """B instructions."""


@dataclass(frozen=True, kw_only=True)
class GroundingBatch(AskedBatch):
    """Some images with their instructions."""

    images: Float[Tensor, "N C s s"]
    measures: Float[Tensor, "N M"]
    parts: Int[Tensor, "N s s"]
    """`PARTS`."""
    picks: Bool[Tensor, "N s s"]
    """Where a thing may be taken."""
    whole: Int[Tensor, " N"]
    kind: Int[Tensor, " N"]
    thing: Int[Tensor, " N"]
    """Number of the thing within its image, -1 for several."""
    nouns: Sequence[Sequence[str]]
    """Of each crop; none of what is not one thing."""


def said_about(images: Iterable[int], said: Iterable[Said]) -> dict[int, list[Said]]:
    """Instructions by the image that they are about, of some images."""
    found: dict[int, list[Said]] = {int(image): [] for image in images}
    for one in said:
        if one.image in found:
            found[one.image].append(one)
    return found


def asked_batch(
    examples: GroundingExamples, images: Sequence[int], said: Iterable[Said], *, whole_only: bool = False
) -> AskedBatch:
    """Instructions with the proposals of their images.

    Args:
        examples: Prepared scenes.
        images: Numbers of images.
        said: Instructions about these images.
        whole_only: Only proposals that are one whole thing.
    """
    kept = [examples.rows_of[i] for i in images]
    if whole_only:
        kept = [rows[examples.whole[rows] == 1] for rows in kept]
    start = dict(zip(images, np.cumsum([0, *map(len, kept)]).tolist(), strict=False))
    number = {image: len(rows) for image, rows in zip(images, kept, strict=True)}
    flat = np.concatenate(kept)
    chosen = list(said)
    widest = max([1, *(number[one.image] for one in chosen)])
    rows = np.full((len(chosen), widest), -1)
    target, reference = np.zeros(rows.shape, dtype=bool), np.zeros(rows.shape, dtype=bool)
    for b, one in enumerate(chosen):
        count = number[one.image]
        rows[b, :count] = start[one.image] + np.arange(count)
        own = flat[rows[b, :count]]
        good = examples.whole[own] == 1
        target[b, :count] = np.isin(examples.thing[own], one.targets) & good
        reference[b, :count] = (examples.thing[own] == one.reference) & good & (one.reference >= 0)
    return AskedBatch(
        proposals=torch.from_numpy(flat),
        rows=torch.from_numpy(rows),
        target=torch.from_numpy(target),
        reference=torch.from_numpy(reference),
        said=chosen,
    )


def batch_of(
    examples: GroundingExamples, images: Sequence[int], said: Iterable[Said], *, whole_only: bool = False
) -> GroundingBatch:
    """Images with the instructions about them; see `asked_batch`."""
    asked = asked_batch(examples, images, said, whole_only=whole_only)
    flat = asked.proposals.numpy()
    packed = examples.parts[flat]
    return GroundingBatch(
        **vars(asked),
        images=torch.from_numpy(examples.images[flat].astype(np.float32)),
        measures=torch.from_numpy(examples.measures[flat].copy()),
        parts=torch.from_numpy((packed & 127).astype(np.int64)),
        picks=torch.from_numpy(packed >= 128),
        whole=torch.from_numpy(examples.whole[flat]),
        kind=torch.from_numpy(examples.kind[flat]),
        thing=torch.from_numpy(examples.thing[flat]),
        nouns=[
            examples.nouns[examples.image[row]][examples.thing[row]] if examples.whole[row] == 1 else [] for row in flat
        ],
    )
