"""Side by side with others, on this machine."""

from __future__ import annotations

from pathlib import Path

from unihm.commands.console import report

EIGHT = ("shadow", "allegro", "svh", "leap", "ability", "panda", "inspire", "xhand")


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
        keypoints: Keypoint file (T,21,3) of a right hand, m.
        data: Episode store: so many of its episodes are benched and restarted as well.
        hand: Hands to bench.
        episodes: Episodes of the store that are timed and scored, evenly spread.
        restarts: Episodes of the store that are restarted 10 and 20 frames later.
        peer: Run dex_retargeting too (pip install 'unihm[dev]').
        quick: The same on two hands and few frames; labelled so.
        out: Folder for table.txt, table.md, table.json and chart.png.
        json: Print the rows as JSON.
    """
    import os

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one thread for everybody
    from unihm.commands.evaluate import evaluation_facts
    from unihm.evaluation.retargeting import evaluate_retargeting
    from unihm.evaluation.retargeting_tables import text, write_tables

    if keypoints is None and data is None:
        raise ValueError("There is nothing to bench on: give a keypoint file, --data, or both.")
    if quick:
        hand, episodes, restarts = hand[:2], 3, 2
    sources = ", ".join(str(item) for item in (keypoints, data) if item is not None)
    facts, rows = evaluation_facts(sources, 0, quick), []
    if keypoints is not None:
        from unihm.sources.base import read_source

        frames = read_source(str(keypoints)).keypoints
        frames = frames[:100] if quick else frames
        rows += evaluate_retargeting([frames], [frames[:120]], hand, data=keypoints.stem, peer=peer)
    if data is not None:
        from unihm.datasets.episode_store import episode_table, read_episodes

        ids = [record.id for record in episode_table(data)]
        chosen = [ids[i * len(ids) // episodes] for i in range(min(episodes, len(ids)))]
        recordings = [episode.keypoints_world for episode in read_episodes(data, chosen)]
        name = f"{data.name}, {len(chosen)} episodes"
        rows += evaluate_retargeting(recordings, recordings[:restarts], hand, data=name, peer=peer)
    facts = {**facts, "rows": rows}
    if out is not None:
        write_tables(facts, out)
    report(facts, json, text(rows) if out is None else f"{text(rows)}\nout: {out}")
