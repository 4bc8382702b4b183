"""Data sets to episode stores, and their episodes to motions of hands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unihm.commands.console import report


def data_import(
    format: str,
    root: Path,
    out: Path,
    *,
    hands: tuple[str, ...] = (),
    preset: str = "default",
    models: Path | None = None,
    workers: int | None = None,
    engine: str = "process",
    limit: int | None = None,
    json: bool = False,
):
    """Read a data set, write it as Parquet episodes, and retarget it to hands.

    Args:
        format: Name of the reader, for example dexycb.
        root: Folder of the data set.
        out: Folder for the episode store; what an earlier run finished is kept.
        hands: Hands to retarget to, by name or folder; default: all installed right hands.
        preset: Named settings of retargeting: default, position, or vector.
        models: Folder with the objects' models; default: where the reader expects it, beside ROOT.
        workers: How many retarget side by side; default: all cores, or the whole Ray cluster.
        engine: process (this machine) or ray (pip install 'unihm[ray]').
        limit: Read at most this many episodes.
        json: Print the facts as JSON.
    """
    from unihm.datasets.base import DATASETS
    from unihm.datasets.importing import import_dataset
    from unihm.datasets.summary import info
    from unihm.datasets.workers import check_workers

    check_workers(workers, engine)
    names, retargeting = _retargeting(hands, preset)
    reader = None if models is None else DATASETS[format](models=models)
    import_dataset(
        format,
        root,
        out,
        names,
        retargeting=retargeting,
        workers=workers,
        engine=engine,
        limit=limit,
        reader=reader,
    )
    report(info(out), json)


def data_retarget(
    data: Path,
    *,
    hands: tuple[str, ...] = (),
    preset: str = "default",
    workers: int | None = None,
    engine: str = "process",
    force: bool = False,
    json: bool = False,
):
    """Retarget every episode of a store to hands, on all cores or a Ray cluster; goes on where it was interrupted.

    Args:
        data: The store's folder, from `unihm data import`.
        hands: Hands to retarget to, by name or folder; default: all installed right hands.
        preset: Named settings of retargeting: default, position, or vector.
        workers: How many work side by side; default: all cores, or the whole Ray cluster.
        engine: process (this machine) or ray (pip install 'unihm[ray]').
        force: Make complete motions anew. Without it, motions that were made with other settings are refused.
        json: Print the figures as JSON.
    """
    import time
    from dataclasses import asdict

    from unihm.datasets.store_retargeting import retarget_store
    from unihm.datasets.workers import check_workers

    check_workers(workers, engine)
    names, retargeting = _retargeting(hands, preset)
    start = time.perf_counter()
    done = retarget_store(data, names, retargeting, workers=workers, engine=engine, force=force)
    seconds = time.perf_counter() - start
    lines = [
        f"{row.hand}: {row.episodes} episodes, {row.frames} frames, "
        + ("complete before" if row.kept else f"{row.unconverged} frames did not converge")
        for row in done
    ]
    facts = {"data": str(data), "preset": preset, "seconds": round(seconds, 2), "hands": [asdict(row) for row in done]}
    report(facts, json, "\n".join([*lines, f"{seconds:.1f} s"]))


def data_refine(
    data: Path,
    *,
    models: Path | None = None,
    hands: tuple[str, ...] = (),
    candidates: int = 16,
    criterion: str = "light",
    mode: str = "joint",
    split: str | None = None,
    part: str | None = None,
    limit: int | None = None,
    workers: int | None = None,
    engine: str = "process",
    seed: int = 0,
    force: bool = False,
    json: bool = False,
):
    """Retargeted motions to physically checked ones: refined, varied until one holds the true object; to train on.

    They lie under refined/ beside the retargeted ones, failures included, each with its success, the reason, the lowest
    friction and the largest mass that it bears. Goes on where it was interrupted, and adds what is asked for next.

    Args:
        data: The store's folder, with motions from `unihm data retarget`.
        models: Folder of the objects' true meshes, <object>/mesh_simplified.obj.
        hands: Hands, by name or folder; default: all that the store has motions of.
        candidates: Motions tried at most for a recording: the refined one, then variations of it.
        criterion: When the object counts as held: light (1 s, no pushes), full, or hard.
        mode: Of refinement: joint or causal.
        split: Only recordings of this split: release, unihm, s0, s1 or s3.
        part: Of the split: train (default), validation, test; for release also seen and unseen.
        limit: At most this many recordings, spread evenly over the others.
        workers: How many work side by side; default: all cores, or the whole Ray cluster.
        engine: process (this machine) or ray (pip install 'unihm[ray]').
        seed: Of the variations.
        force: Replace what is there. Without it, motions that were made with other settings are refused.
        json: Print the figures as JSON.
    """
    import time
    from dataclasses import asdict

    from unihm.datasets.manifest import hands_in, read_manifest
    from unihm.datasets.workers import check_workers
    from unihm.physical_data import PhysicalRefining, refine_store

    check_workers(workers, engine)
    if models is None:
        raise ValueError("--models needs the folder of the objects' meshes, <object>/mesh_simplified.obj.")
    read_manifest(data)
    refining = PhysicalRefining(candidates=candidates, criterion=criterion, mode=mode, seed=seed)
    ids = _ids(data, split, part, limit)
    names = [name for words in hands for name in words.split(",") if name] or list(hands_in(data))
    if not names:
        raise ValueError(f"'{data}' holds motions of no hand; make some with 'unihm data retarget'.")
    start = time.perf_counter()
    done = refine_store(data, names, refining, models, ids=ids, workers=workers, engine=engine, force=force)
    seconds = time.perf_counter() - start
    lines = []
    for row in done:
        share = f"{row.success} of {row.episodes} succeed" + (" (complete before)" if row.kept else "")
        failed = ", ".join(f"{reason} {count}" for reason, count in row.reasons.items())
        lines.append(f"{row.hand}: {share}, {row.success_first} unvaried" + (f"; {failed}" if failed else ""))
        lines += [f"  skipped {count}: {reason}" for reason, count in row.skipped.items()]
    leaning = done[0].leaning
    lines += [f"left out: {leaning} recordings that start leaning on something unrecorded"] if leaning else []
    facts = {
        "data": str(data),
        "criterion": criterion,
        "candidates": candidates,
        "mode": mode,
        "seed": seed,
        "seconds": round(seconds, 2),
        "hands": [asdict(row) for row in done],
    }
    report(facts, json, "\n".join([*lines, f"{seconds:.1f} s"]))


def data_annotate(
    data: Path,
    *,
    engine: str | None = None,
    base_url: str | None = None,
    model: str | None = None,
    key_from: str = "UNIHM_API_KEY",
    rate: float = 60.0,
    workers: int = 4,
    timeout: float = 60.0,
    price_in: float | None = None,
    price_out: float | None = None,
    dry_run: bool = False,
    split: str | None = None,
    part: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    force: bool = False,
    json: bool = False,
):
    """Write instructions for a store's episodes: offline from measured facts, or by a vision model that sees keyframes.

    The model is behind an OpenAI-compatible endpoint. It is sent five drawn keyframes of each episode, and a question
    that names the object; nothing else of the store leaves this machine. What is written takes the place of the
    imported instructions (annotations.parquet). Goes on where it was interrupted, and tries again what failed.

    Args:
        data: The store's folder, from `unihm data import`.
        engine: offline or endpoint; default: endpoint where --base-url is given, else offline.
        base_url: Of the endpoint, for example https://api.openai.com/v1 or http://localhost:8000/v1.
        model: Vision-language model, as the endpoint calls it.
        key_from: Environment variable that holds the endpoint's API key.
        rate: Requests a minute at most.
        workers: Requests at a time at most.
        timeout: Seconds until a request counts as failed.
        price_in: Of a million tokens that are sent, for the estimate.
        price_out: Of a million tokens that come back.
        dry_run: Only print the estimate; nothing is sent or written, and no key is needed.
        split: Only recordings of this split: release, unihm, s0, s1 or s3.
        part: Of the split: train (default), validation, test; for release also seen and unseen.
        limit: At most this many recordings, spread evenly over the others.
        seed: Of the offline sentences.
        force: Replace instructions that another model, or another version of the prompt, has written.
        json: Print the figures as JSON.
    """
    import time
    from dataclasses import asdict

    from unihm.annotation.annotating import annotate_store, missing
    from unihm.annotation.cost import estimate, money
    from unihm.annotation.endpoint import is_private
    from unihm.commands.console import say
    from unihm.datasets.manifest import read_manifest

    _check_positive(rate=rate, workers=workers, timeout=timeout)
    for option, price in (("--price-in", price_in), ("--price-out", price_out)):
        if price is not None and not 0 <= price < float("inf"):
            raise ValueError(f"{option} is {price}, expected at least 0.")
    annotator = _annotator(engine, base_url, model, None if dry_run else key_from, rate, timeout, seed)
    offline = annotator.model == "offline"
    read_manifest(data)
    ids = _ids(data, split, part, limit)
    todo = missing(data, annotator, ids, force=force)
    facts: dict[str, Any] = {"data": str(data), "model": annotator.model, "prompt": annotator.prompt}
    expected = f"{len(todo)} episodes, offline: nothing is sent"
    if not offline:
        cost = estimate(len(todo), price_in, price_out)
        facts["estimate"], expected = asdict(cost), f"{len(todo)} episodes: {cost}, to {base_url}"
    if dry_run:
        report({**facts, "episodes": len(todo)}, json, expected)
        return
    if not offline:
        say(expected)
        if not is_private(str(base_url)):
            say("warning: over http the API key travels unencrypted; use https")
    start = time.perf_counter()
    done = annotate_store(data, annotator, ids=ids, workers=1 if offline else workers, force=force)
    facts |= {**asdict(done), "seconds": round(time.perf_counter() - start, 2)}
    if not offline:
        facts["money"] = money(done.tokens_in, done.tokens_out, price_in, price_out)
    text = f"{done.written} episodes annotated by {annotator.model}, {done.kept} kept, {len(done.failed)} failed"
    report(facts, json, f"{text}; {facts['seconds']:.1f} s")
    if done.failed or done.gave_up:
        names = ", ".join(list(done.failed)[:3]) + (", ..." if len(done.failed) > 3 else "")
        left = done.episodes - done.kept - done.written
        reason = done.gave_up or f"the last: {list(done.failed.values())[-1]}"
        raise ValueError(
            f"{len(done.failed)} episodes failed ({names}), {left} have no new instructions; {reason} "
            "The same command goes on with these."
        )


def _annotator(
    engine: str | None,
    base_url: str | None,
    model: str | None,
    key_from: str | None,
    rate: float,
    timeout: float,
    seed: int,
) -> Any:
    """Who writes the instructions; without `key_from` one that can only be asked for its name."""
    import os

    from unihm.annotation.endpoint import Endpoint, check_url
    from unihm.annotation.offline import OfflineAnnotator
    from unihm.annotation.pace import Pace
    from unihm.annotation.vision import VisionAnnotator
    from unihm.registry import unknown_name

    engine = engine or ("offline" if base_url is None else "endpoint")
    if engine not in ("offline", "endpoint"):
        raise unknown_name("--engine", engine, ("offline", "endpoint"))
    if engine == "offline":
        if base_url is not None or model is not None:
            raise ValueError("--base-url and --model are for --engine endpoint; the offline engine asks no model.")
        return OfflineAnnotator(seed=seed)
    if base_url is None:
        raise ValueError("--engine endpoint needs --base-url, for example http://localhost:8000/v1.")
    check_url(base_url)
    if not model or model == "offline":
        raise ValueError("--base-url needs --model, the name of a vision-language model there.")
    key = "none" if key_from is None else os.environ.get(key_from, "").strip()
    if not key:
        raise ValueError(
            f"The environment variable {key_from} holds no API key; set it, or name another by --key-from."
        )
    pace = Pace(rate)
    return VisionAnnotator(Endpoint(base_url, model, key, pace, timeout=timeout), pace)


def _check_positive(**options: float | int) -> None:
    for name, value in options.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"--{name} is {value}, expected more than 0.")


def data_synthesize(
    out: Path,
    *,
    scenes: int = 1000,
    style: str = "standard",
    families: str = "seen",
    wordings: str = "seen",
    views: int = 2,
    askings: int = 8,
    meshes: Path | None = None,
    without: tuple[str, ...] = (),
    width: int = 640,
    backend: str = "auto",
    workers: int | None = None,
    engine: str = "process",
    seed: int = 0,
    json: bool = False,
):
    """Make RGB-D scenes of household objects and furniture with masks, poses, instructions and object paths.

    Goes on where it was interrupted; more scenes may be asked for later.

    Args:
        out: Folder of the scenes.
        scenes: Arrangements of things; each gives --views images.
        style: Of cameras, lights and sensors: standard, shifted, and what else `scenes.styles` has.
        families: seen (what training may use) or unseen (each scene has things of families kept for testing).
        wordings: seen or held-out, of the instructions.
        views: Images of each arrangement.
        askings: Instructions for each image.
        meshes: Folder of your own meshes, which then stand among the other things; named by their files. Those of YCB
            (folders such as 025_mug) come in their colours and with words for them.
        without: Folders of these meshes that are kept for testing.
        width: Of the images, pixels; the height is three quarters of it.
        backend: Of the rendering: auto, egl, osmesa or rays.
        workers: How many work side by side; default: all cores, or the whole Ray cluster.
        engine: process (this machine) or ray (pip install 'unihm[ray]').
        seed: Scenes of different seeds have nothing in common.
        json: Print the facts as JSON.
    """
    import time

    from unihm.scene_data import SceneMaking, synthesize

    making = SceneMaking(
        style=style,
        families=families,
        wordings=wordings,
        views=views,
        askings=askings,
        seed=seed,
        meshes=None if meshes is None else str(meshes),
        without=without,
        backend=backend,
        width=width,
    )
    start = time.perf_counter()
    facts = synthesize(out, scenes, making, workers=workers, engine=engine)
    facts["seconds"] = round(time.perf_counter() - start, 2)
    report(facts, json, f"{facts['images']} images of {scenes} arrangements in {out}; {facts['seconds']:.1f} s")


def data_compose(
    data: Path,
    out: Path,
    *,
    models: Path | None = None,
    tasks: tuple[str, ...] = (),
    hands: tuple[str, ...] = (),
    count: int = 1,
    candidates: int = 4,
    limit: int | None = None,
    workers: int | None = None,
    engine: str = "process",
    seed: int = 0,
    json: bool = False,
):
    """Compose episodes of tasks that were not recorded from recorded grasps, and keep those that hands can do.

    An object is set down elsewhere (place), pushed or pulled over the table; or a drawer, a door or a lid moves. Each
    episode is retargeted to the hands, refined, and tried in simulation on the true object; what at least one hand does
    is kept. Grasps are those of the training and validation part of split release. Goes on where it was interrupted.

    Args:
        data: The store of recordings, from `unihm data import`.
        out: Folder of the new store.
        models: Folder of the objects' true meshes, <object>/mesh_simplified.obj; for place, push and pull.
        tasks: place, push, pull (default: these), push-drawer, pull-drawer, open-door, close-door, open-lid, close-lid.
        hands: Hands to try with, by name or folder; default: shadow, allegro, leap.
        count: Episodes of each recording and task.
        candidates: Motions tried at most for a hand: refined ones of different grasps, then variations of them.
        limit: Of at most this many recordings, spread evenly over the others.
        workers: How many work side by side; default: all cores, or the whole Ray cluster.
        engine: process (this machine) or ray (pip install 'unihm[ray]').
        seed: Of all that is drawn.
        json: Print the figures as JSON.
    """
    import time
    from dataclasses import asdict

    from unihm.composing.base import COMPOSERS, FREE
    from unihm.composing.store import compose_store, sources
    from unihm.composing.trying import HANDS, TriedComposing
    from unihm.datasets.episode_store import episode_table
    from unihm.datasets.store_retargeting import retarget_store
    from unihm.datasets.workers import check_workers
    from unihm.registry import unknown_name

    check_workers(workers, engine)
    if limit is not None and limit < 1:
        raise ValueError(f"--limit is {limit}, expected at least 1.")
    chosen = list(dict.fromkeys(name for words in tasks for name in words.split(",") if name)) or list(FREE)
    for name in chosen:
        if name not in COMPOSERS:
            raise unknown_name("Task", name, COMPOSERS)
    if models is None:
        if not set(chosen).isdisjoint(FREE):
            raise ValueError("--models needs the folder of the objects' meshes, <object>/mesh_simplified.obj.")
        models = Path()  # drawers, doors and lids need none
    names, retargeting = _retargeting(hands or HANDS, "default")
    composing = TriedComposing(models, names, candidates=candidates, seed=seed)
    ids = _spread(sources(episode_table(data)), limit)
    start = time.perf_counter()
    rows = compose_store(data, out, chosen, composing, models, ids=ids, count=count, workers=workers, engine=engine)
    retarget_store(out, names, retargeting, workers=workers, engine=engine)
    seconds = time.perf_counter() - start
    lines = []
    for row in rows:
        share = f"{row.passed} of {row.composed}"
        why = ", ".join(f"{reason} {number}" for reason, number in row.reasons.items())
        lines.append(f"{row.task:12s} {row.hand:10s} {share:>14s} pass" + (f"; not: {why}" if why else ""))
    facts = {
        "data": str(data),
        "out": str(out),
        "recordings": len(ids),
        "count": count,
        "candidates": candidates,
        "seed": seed,
        "seconds": round(seconds, 2),
        "rows": [asdict(row) for row in rows],
    }
    report(facts, json, "\n".join([*lines, f"{seconds:.1f} s"]))


def data_join(out: Path, stores: tuple[Path, ...], *, json: bool = False):
    """Write one store of several: their episodes, and the motions of the hands that all of them have.

    Args:
        out: Folder of the new store.
        stores: At least two stores; no episode may be in two of them.
        json: Print the facts as JSON.
    """
    from unihm.composing.joining import join_stores
    from unihm.datasets.summary import info

    join_stores(out, stores)
    report(info(out), json)


def data_info(data: Path, *, json: bool = False):
    """What an episode store holds.

    Args:
        data: The store's folder.
        json: Print as JSON.
    """
    from collections import Counter

    from unihm.datasets.annotations import read_annotations
    from unihm.datasets.summary import info

    writers = Counter(f"{a.model} ({a.prompt})" for a in read_annotations(data).values())
    report({**info(data), "annotations": dict(sorted(writers.items()))}, json)


def _ids(data: Path, split: str | None, part: str | None, limit: int | None) -> list[str] | None:
    """The episodes that are asked for; None for all."""
    from unihm.datasets.episode_store import episode_table
    from unihm.datasets.splits import split as split_ids

    if part is not None and split is None:
        raise ValueError("--part needs the split that it is a part of, --split release.")
    if limit is not None and limit < 1:
        raise ValueError(f"--limit is {limit}, expected at least 1.")
    if split is None and limit is None:
        return None
    records = episode_table(data)
    ids = [record.id for record in records] if split is None else split_ids(split, part or "train", records)
    if not ids:
        raise ValueError(f"'{data}' holds no recording of part '{part or 'train'}' of split '{split}'.")
    return _spread(ids, limit)


def _spread(ids: list[str], limit: int | None) -> list[str]:
    """At most so many, spread evenly over the others."""
    if limit is None or limit >= len(ids):
        return ids
    return [ids[round(k * (len(ids) - 1) / max(limit - 1, 1))] for k in range(limit)]


def _retargeting(hands: tuple[str, ...], preset: str) -> tuple[list[str], Any]:
    """The hands' names and how they are retargeted to; an unknown hand or preset is refused before hours of work."""
    from unihm.datasets.hand_retargeting import HandRetargeting
    from unihm.hands.description import describe_hand, list_hands
    from unihm.registry import unknown_name
    from unihm.retargeting.config import PRESETS

    if preset not in PRESETS:
        raise unknown_name("--preset", preset, PRESETS)
    names = [name for words in hands for name in words.split(",") if name]
    # recordings of left hands are mirrored: every episode shows a right one
    names = names or [name for name in list_hands() if describe_hand(name).side == "right"]
    retargeting = HandRetargeting(PRESETS[preset])
    for name in names:
        retargeting.describe(name)
    return names, retargeting
