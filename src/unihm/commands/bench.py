"""Side by side with others, on this machine."""

from __future__ import annotations

from pathlib import Path

from unihm.commands.console import report

EIGHT = ("shadow", "allegro", "svh", "leap", "ability", "panda", "inspire", "xhand")
_PIECE = 120  # frames: a long recording is restarted in every such piece, since hysteresis shows in some only


def bench_retargeting(
    keypoints: Path | None = None,
    *,
    data: Path | None = None,
    hand: tuple[str, ...] = EIGHT,
    episodes: int = 60,
    restarts: int = 25,
    peer: bool = True,
    quick: bool = False,
    out: Path | None = None,
    json: bool = False,
):
    """Ours and dex_retargeting on the same frames, URDFs and objective.

    Args:
        keypoints: Keypoint file (T,21,3) of a right hand, m; it is restarted in every piece of 120 frames.
        data: Episode store: so many of its episodes are benched and restarted as well.
        hand: Hands to bench.
        episodes: Episodes of the store that are timed and scored, evenly spread.
        restarts: Episodes of the store that are restarted 10 and 20 frames later.
        peer: Whether dex_retargeting (pip install 'unihm[dev]') runs beside ours.
        quick: The same on the first two hands and few frames; labelled so.
        out: Folder for table.txt, table.md, table.json and chart.png.
        json: Print the rows as JSON.
    """
    import os

    os.environ["OMP_NUM_THREADS"] = "1"  # one thread for everybody, before their libraries are loaded
    from unihm.commands.console import check_writable
    from unihm.commands.evaluate import evaluation_facts
    from unihm.evaluation.retargeting import evaluate_retargeting
    from unihm.evaluation.retargeting_tables import text, write_tables

    if keypoints is None and data is None:
        raise ValueError("There is nothing to bench on: give a keypoint file, --data, or both.")
    if episodes < 1 or restarts < 0:
        raise ValueError(f"--episodes is {episodes}, expected at least 1; --restarts is {restarts}, at least 0.")
    if out is not None:
        check_writable(out)
    if quick:
        hand, episodes, restarts = hand[:2], min(episodes, 3), min(restarts, 2)
    sources = ", ".join(str(item) for item in (keypoints, data) if item is not None)
    facts, rows, label = evaluation_facts(sources, 0, quick), [], ", quick" if quick else ""

    def keep(new: list) -> None:
        if out is not None:
            write_tables({**facts, "rows": rows + new}, out)

    if keypoints is not None:
        from unihm.sources.base import read_source

        frames = read_source(str(keypoints)).keypoints
        frames = frames[:100] if quick else frames
        pieces = [frames[i : i + _PIECE] for i in range(0, len(frames), _PIECE)]
        rows += evaluate_retargeting([frames], pieces, hand, data=keypoints.stem + label, peer=peer, after_hand=keep)
    if data is not None:
        from unihm.datasets.episode_store import episode_table, read_episodes

        ids = [record.id for record in episode_table(data)]
        count = min(episodes, len(ids))
        chosen = [ids[i * len(ids) // count] for i in range(count)]
        recordings = [episode.keypoints_world for episode in read_episodes(data, chosen)]
        name = f"{data.name}, {count} episodes{label}"
        restarted = recordings[:restarts]
        rows += evaluate_retargeting(recordings, restarted, hand, data=name, peer=peer, after_hand=keep)
    facts = {**facts, "rows": rows}
    report(facts, json, text(rows) if out is None else f"{text(rows)}\nout: {out}")


def bench_refinement(
    *,
    data: Path,
    models: Path,
    hand: tuple[str, ...] = EIGHT,
    split: str = "release",
    part: str = "validation",
    recordings: int = 20,
    quick: bool = False,
    out: Path | None = None,
    json: bool = False,
):
    """Both modes of refinement beside frames searched with finite differences: time and what it does, in one run.

    Args:
        data: Episode store with retargeted motions, from `unihm data import`.
        models: Folder of the true objects, <object>/mesh_simplified.obj.
        hand: Hands to bench.
        split: Which recordings.
        part: Of the split; by default those that choices are made on.
        recordings: How many, evenly spread.
        quick: Two recordings of the first two hands; labelled so.
        out: Folder for table.txt, table.csv, table.json and table.png.
        json: Print the rows as JSON.
    """
    import os

    os.environ["OMP_NUM_THREADS"] = "1"  # one thread for everybody, before their libraries are loaded
    from unihm.commands.console import check_writable
    from unihm.commands.evaluate import evaluation_facts
    from unihm.evaluation.refinement_bench import bench_refinements, draw, text
    from unihm.evaluation.tables import write_tables

    if recordings < 1:
        raise ValueError(f"--recordings is {recordings}, expected at least 1.")
    if out is not None:
        check_writable(out)
    facts = {**evaluation_facts(data, 0, quick), "split": f"{split}/{part}"}
    hand = hand[:2] if quick else hand

    def keep(rows: list) -> None:
        if out is not None:
            write_tables({**facts, "rows": rows}, out, text=text, draw=draw)

    rows = bench_refinements(data, models, hand, split=split, part=part, count=recordings, quick=quick, after_hand=keep)
    report({**facts, "rows": rows}, json, text(rows) if out is None else f"{text(rows)}\nout: {out}")


def bench_generation(
    *,
    data: Path,
    hand: tuple[str, ...] = ("human", "shadow"),
    weights: Path | None = None,
    frames: int = 72,
    batch: int = 64,
    quick: bool = False,
    json: bool = False,
):
    """How long the generator takes, warm, for one motion and for many at once.

    Args:
        data: Episode store with retargeted motions, from `unihm data import`.
        hand: Hands to generate for.
        weights: Generator weights; default: the shipped ones.
        frames: Of each motion.
        batch: Motions at once.
        quick: Fewer runs; labelled so.
        json: Print the rows as JSON.
    """
    from unihm.commands.console import load_weights
    from unihm.commands.evaluate import evaluation_facts
    from unihm.evaluation.generation_bench import bench_generation as bench
    from unihm.evaluation.tables import text_table
    from unihm.pipeline import Pipeline

    if frames < 1 or batch < 1:
        raise ValueError(f"--frames is {frames} and --batch {batch}, expected at least 1.")
    pipeline = load_weights(lambda: Pipeline(generator_path=weights))
    rows = bench(data, pipeline.generator, pipeline.tokenizer, hand, frames=frames, batch=batch, quick=quick)
    report({**evaluation_facts(data, 0, quick), "rows": rows}, json, text_table(rows, 3))
