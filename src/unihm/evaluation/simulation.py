"""Success in physics of motions of held-out recordings: which hands hold what, and why the others do not.

Every trial executes one motion on the true object (`simulated_trials`). This module says which trials there are,
spreads them over processes, keeps what is finished, and makes the table (`simulation_rows`). Recordings that lean on
something unrecorded are left out by name.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import mujoco
from tqdm import tqdm

from unihm.datasets.manifest import read_manifest
from unihm.datasets.motion_store import attach, motion_header, read_motions
from unihm.evaluation.cases import TEST_PARTS, CodeWriter, HeldOut, generated_for, hand_of_process, held_out
from unihm.evaluation.simulated_trials import crashed, run_batch
from unihm.evaluation.simulation_films import write_films
from unihm.evaluation.simulation_options import QUICK_HANDS, SimulationOptions, official_urdf
from unihm.evaluation.simulation_rows import paired_rows, success_rows
from unihm.evaluation.surviving import surviving
from unihm.evaluation.trial_log import TrialLog, code_digest
from unihm.evaluation.trials import OFFICIAL, OWN, TrialBatch, TrialName, TrialResult, TrialSettings
from unihm.evaluation.variants import GENERATED, REFINEMENTS, RETARGETED, Variant, executable
from unihm.hands.description import describe_hand
from unihm.schema.motion import HandMotion
from unihm.simulation.solid_object import SolidObject
from unihm.simulation.tasks import TASKS
from unihm.simulation.tasks.setting import Setting
from unihm.simulation.ycb import LEANING, graspable, load_ycb, ycb_mesh
from unihm.tokenizer.tokenizer import Tokenizer

DEFAULT_VARIANTS = (RETARGETED, *(f"{RETARGETED} + {way}" for way in REFINEMENTS))

_log = logging.getLogger(__name__)
_Solids = dict[tuple[str, bool], SolidObject]  # by name, and whether it is mirrored


@dataclass(frozen=True, kw_only=True)
class SimulationTable:
    """What a run found."""

    rows: list[dict[str, Any]]
    """See `simulation_rows`."""
    facts: dict[str, Any]
    """What holds for all rows, what was left out, and what was filmed; JSON values."""


def evaluate_simulation(
    data: str | Path,
    models: str | Path,
    split: str,
    hands: Sequence[str],
    options: SimulationOptions | None = None,
    *,
    variants: Sequence[str] = DEFAULT_VARIANTS,
    parts: Sequence[str] | None = None,
    generator: CodeWriter | None = None,
    tokenizer: Tokenizer | None = None,
    excluded: Collection[str] = frozenset(LEANING),
    out: Path | None = None,
    videos: bool = False,
    progress: bool = True,
    workers: int | None = None,
) -> SimulationTable:
    """The simulation table.

    Args:
        data: Episode store with motions of `hands`.
        models: Folder of the true objects.
        split: A key of `datasets.splits.SPLITS`.
        hands: Names of hands.
        options: How motions are tried.
        variants: See `variants.executable`.
        parts: Parts of the split; its test parts if not given.
        generator: For generated variants.
        tokenizer: Decodes its codes.
        excluded: Episodes that are left out: by default those that lean on something unrecorded.
        out: Folder that keeps single trials, so that an interrupted run goes on, and films.
        videos: Film a success and a failure of every hand.
        progress: Show a progress bar on a terminal.
        workers: Processes; None is one a core. 1 works in this process, which then dies of what a worker would die of.

    Raises:
        ValueError: A name does not exist, a part is empty, an object's file is missing, a generated variant is asked
            for without a generator or of recordings that it was trained on, or `out` holds trials of other settings.
    """
    options = options or SimulationOptions()
    chosen = tuple(dict.fromkeys(executable(name) for name in variants))
    if videos and (out is None or importlib.util.find_spec("av") is None):
        missing = "a folder to be written to (--out)" if out is None else "PyAV: pip install 'unihm[simulation]'"
        raise ValueError(f"Videos need {missing}.")
    hands = tuple(dict.fromkeys(hands[:QUICK_HANDS] if options.quick else hands))
    if not chosen or not hands:
        raise ValueError("There is nothing to try: give at least one hand and one variant.")
    parts = tuple(parts or TEST_PARTS.get(split, ("test",)))
    held = held_out(
        data,
        split,
        parts,
        hands,
        excluded=excluded,
        count=options.count,
        generates=any(variant.base == GENERATED for variant in chosen),
        generator=generator,
        tokenizer=tokenizer,
    )
    folder = options.hand_meshes
    urdfs = {} if folder is None else {name: official_urdf(folder, describe_hand(name)) for name in hands}
    objects, digests = _objects(Path(models), held, progress)
    motions = {name: read_motions(data, name) for name in hands}
    unsuited = _unsuited(held, objects, motions, options.task, options.strictest)
    settings = TrialSettings(
        models=Path(models),
        task=options.task,
        noise=options.noise,
        follow=options.follow,
        seed=options.seed,
        chosen_by=options.strictest,
        hand_meshes=urdfs,
        dump_folder=None if out is None else out / "unstable",
    )
    planned: dict[tuple[str, str, str], list[TrialName]] = {}  # by part, recording and hand, object by object
    skipped: dict[tuple[str, str], int] = defaultdict(int)
    for part, ids in held.of_part.items():
        for i in ids:
            for hand in hands:
                if i in motions[hand] and i not in unsuited:
                    planned[part, i, hand] = _names(part, i, hand, chosen, options)
                else:
                    skipped[part, hand] += 1

    if not planned:
        first = next(iter(unsuited.items()), ("", "none has a motion"))
        raise ValueError(f"No recording can be tried at task '{options.task}': {': '.join(first)}")

    def batch(names: Sequence[TrialName]) -> TrialBatch:
        i, hand = names[0].episode, names[0].hand
        found = {RETARGETED: attach(motions[hand][i], held.episodes[i])}
        generates = any(executable(name.variant).base == GENERATED for name in names)
        if generates and generator is not None and tokenizer is not None:
            model = hand_of_process(hand)
            found[GENERATED] = generated_for(
                held.episodes[i], found[RETARGETED], model, generator, tokenizer, options.seed
            )
        return TrialBatch(episode=held.episodes[i], hand=hand, motions=found, names=tuple(names), settings=settings)

    log = TrialLog(
        out,
        {
            "code": code_digest(),
            "mujoco": mujoco.__version__,
            "episodes": read_manifest(data)["fingerprint"],
            "motions": {name: motion_header(data, name)["digest"] for name in hands},
            "objects": digests,
            "weights": _weights(generator, tokenizer),
            "split": split,
            "parts": parts,
            "excluded": held.left_out,
            "hands": hands,
            "variants": [variant.name for variant in chosen],
            **asdict(options),
            "hand_meshes": {name: path.name for name, path in urdfs.items()},
        },
    )
    kept = len(log.results)
    todo = [[name for name in names if name not in log.results] for names in planned.values()]
    todo = [names for names in todo if names]
    with tqdm(
        desc="simulate", total=len(planned), initial=len(planned) - len(todo), unit="seq", disable=_hidden(progress)
    ) as bar:
        batches = (batch(names) for names in todo)
        for done, found in surviving(run_batch, batches, workers or os.cpu_count() or 1, _one_by_one):
            bar.set_description(f"{done.episode.object_name} {done.hand}")
            bar.update()
            log.add(found)

    results = [log.results[name] for names in planned.values() for name in names]
    spanned = _spanned(held, objects, hands)
    rows = success_rows(results, split, options.task, skipped=skipped, spanned=spanned)
    rows += paired_rows(results, split, options.task, seed=options.seed)
    facts: dict[str, Any] = {
        "task": options.task,
        "criteria": list(options.criteria),
        "candidates_chosen_by": options.strictest,
        "pose_noise": options.noise,
        "motion_follows_object": options.follow,
        "excluded": {name: LEANING.get(name, "") for name in held.left_out},
        "unsuited": unsuited,
        "repairs": {name: list(solid.repairs) for (name, _), solid in objects.items() if solid.repairs},
        "trials": len(results),
        "trials_of_an_earlier_run": kept,
    }
    if videos and out is not None:
        names = [variant.name for variant in chosen]
        facts["videos"] = write_films(results, hands, names, options, lambda name: batch([name]), out / "videos")
    return SimulationTable(rows=rows, facts=facts)


def _names(part: str, i: str, hand: str, variants: Sequence[Variant], options: SimulationOptions) -> list[TrialName]:
    """All trials of one hand with one recording. Motions that are not refined see no cloud, and need no noise of it."""
    solids = (OWN,) if options.hand_meshes is None else (OWN, OFFICIAL)
    return [
        TrialName(part, i, hand, repeat, variant.name, cloud, kind, friction, criterion)
        for repeat in range(options.repeats)
        for variant in variants
        for cloud in (options.cloud_noise if variant.refinement else (0.0,))
        for kind in solids
        for friction in options.frictions
        for criterion in options.criteria
    ]


def _objects(models: Path, held: HeldOut, progress: bool) -> tuple[_Solids, dict[str, str]]:
    """The true objects, and digests of their files.

    They are made before the workers start: a shape that is new is cut into convex parts once, not by each of them.
    """
    kinds = dict.fromkeys((episode.object_name, episode.mirrored) for episode in held.episodes.values())
    paths = {name: ycb_mesh(models, name) for name, _ in kinds}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for name, path in paths.items()}
    bar = tqdm(kinds, desc="objects", unit="object", delay=2, disable=_hidden(progress), leave=False)
    return {(name, mirrored): load_ycb(models, name, mirrored=mirrored) for name, mirrored in bar}, digests


def _unsuited(
    held: HeldOut, objects: _Solids, motions: dict[str, dict[str, HandMotion]], task: str, criterion: str
) -> dict[str, str]:
    """Recordings that do not set the task, such as a slide whose object is hardly moved, and why."""
    found = {}
    for i, episode in held.episodes.items():
        motion = next((of_hand[i] for of_hand in motions.values() if i in of_hand), None)
        if motion is None:
            continue
        solid = objects[episode.object_name, episode.mirrored]
        setting = Setting(object=solid, T_world_object=episode.T_world_object[0], criterion=criterion)
        try:
            TASKS[task].of_motion(attach(motion, episode), setting)
        except ValueError as error:
            found[i] = str(error)
    return found


def _spanned(held: HeldOut, objects: _Solids, hands: Sequence[str]) -> set[tuple[str, str]]:
    """Episode and hand of each pair in which a hand of two fingers spans the object as it stands."""
    grippers = [name for name in hands if len(describe_hand(name).fingers) == 2]
    found = set()
    for i, episode in held.episodes.items() if grippers else ():
        solid = objects[episode.object_name, episode.mirrored]
        if graspable(solid, up=episode.T_world_object[0, 2, :3]):
            found |= {(i, name) for name in grippers}
    return found


def _weights(generator: CodeWriter | None, tokenizer: Tokenizer | None) -> dict[str, Any]:
    cards = {"generator": getattr(generator, "card", None), "tokenizer": getattr(tokenizer, "card", None)}
    return {name: card.get("fingerprint") for name, card in cards.items() if card}


def _one_by_one(batch: TrialBatch, run: Callable[[TrialBatch], list[TrialResult] | None]) -> list[TrialResult]:
    """A batch during which a process died: as a whole once more, then trial by trial, to see which does it."""
    found = run(batch)
    if found is not None:
        return found
    _log.warning("A process died of '%s' with %s; its trials are repeated one by one.", batch.episode.id, batch.hand)
    results = []
    for name in batch.names:
        single = replace(batch, names=(name,))
        found = run(single)
        results += crashed(single) if found is None else found
    return results


def _hidden(progress: bool) -> bool | None:
    return None if progress else True
