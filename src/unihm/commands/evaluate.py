"""Figures on held-out recordings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from unihm.commands.bench import EIGHT
from unihm.commands.console import check_writable, load_weights, report


def eval_generation(
    *,
    data: Path,
    split: str = "release",
    hand: tuple[str, ...] = ("human", "shadow"),
    samples: int = 3,
    seed: int = 0,
    quick: bool = False,
    out: Path | None = None,
    json: bool = False,
):
    """Generated motions against held-out recordings, beside four references in one table.

    Args:
        data: Episode store with retargeted motions, from `unihm data import`.
        split: Which recordings are held out.
        hand: Hands to evaluate.
        samples: Motions generated for each recording.
        seed: Seed of the sampling.
        quick: The same on a few recordings; labelled so.
        out: Folder for table.txt, table.csv, table.json and table.png.
        json: Print the rows as JSON.
    """
    from unihm.evaluation.generation import evaluate_generation
    from unihm.evaluation.tables import text_table, write_tables
    from unihm.pipeline import Pipeline

    facts = evaluation_facts(data, seed, quick)
    pipeline = load_weights(Pipeline)
    rows = evaluate_generation(
        data, split, hand, pipeline.generator, pipeline.tokenizer, seed=seed, samples=samples, quick=quick
    )
    facts = {**facts, "rows": rows}
    if out is not None:
        write_tables(facts, out)
    report(facts, json, text_table(rows))


def eval_tokenizer(
    *,
    data: Path,
    split: str = "release",
    hand: tuple[str, ...] = (),
    quick: bool = False,
    seed: int = 0,
    json: bool = False,
):
    """decode(encode(motion)) on held-out recordings, hand by hand.

    Args:
        data: Episode store with retargeted motions, from `unihm data import`.
        split: Which recordings are held out.
        hand: Hands to evaluate; default: all that the tokenizer knows.
        quick: The same on a few recordings; labelled so.
        seed: Stated with the rows; nothing is sampled.
        json: Print the rows as JSON.
    """
    from unihm.evaluation.tokenizer import evaluate_tokenizer
    from unihm.tokenizer.tokenizer import load_tokenizer

    facts = evaluation_facts(data, seed, quick)
    rows = evaluate_tokenizer(data, split, load_weights(load_tokenizer), hands=hand, quick=quick)
    facts = {**facts, "rows": rows}
    lines = [
        "  ".join(
            f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()
        )
        for row in rows
    ]
    report(facts, json, "\n".join(lines))


def eval_refinement(
    *,
    data: Path,
    models: Path,
    split: str = "release",
    hand: tuple[str, ...] = EIGHT,
    variants: tuple[str, ...] = (),
    workers: int | None = None,
    seed: int = 0,
    quick: bool = False,
    out: Path | None = None,
    json: bool = False,
):
    """How deep motions pierce, how well they hold and how much they slip, before and after refinement.

    Measured against the true objects on held-out recordings, beside the recorded person.

    Args:
        data: Episode store with retargeted motions, from `unihm data import`.
        models: Folder of the true objects, <object>/mesh_simplified.obj.
        split: Which recordings are held out.
        hand: Hands to evaluate.
        variants: Which motions: human, retargeted, generated, and the latter two with a way to refine them, such as
            retargeted+refined. Default: all but generated ones.
        workers: Processes; default: one a core. Times per frame are clean with 1.
        seed: Seed of the generation and of the intervals.
        quick: The same on a few recordings of two hands; labelled so.
        out: Folder for table.txt, table.csv, table.json and table.png.
        json: Print the rows as JSON.
    """
    from unihm.evaluation.refinement import DEFAULT_VARIANTS, GENERATED, evaluate_refinement
    from unihm.evaluation.refinement_tables import text, write_tables

    if out is not None:
        check_writable(out)
    variants = variants or DEFAULT_VARIANTS
    facts, weights = evaluation_facts(data, seed, quick), {}
    if any(name.startswith(GENERATED) for name in variants):
        from unihm.pipeline import Pipeline

        pipeline = load_weights(Pipeline)
        weights = {"generator": pipeline.generator, "tokenizer": pipeline.tokenizer}
    rows = evaluate_refinement(
        data, models, split, hand, variants=variants, seed=seed, quick=quick, workers=workers, **weights
    )
    facts = {**facts, "rows": rows}
    if out is not None:
        write_tables(facts, out)
    report(facts, json, text(rows))


def evaluation_facts(data: Path | str, seed: int, quick: bool) -> dict[str, Any]:
    """What every evaluation says of itself beside its rows; asked before it runs, since a checkout may move on."""
    return {
        "command": "unihm " + " ".join(sys.argv[1:]),
        "commit": _commit(),
        "seed": seed,
        "data": str(data),
        "quick": quick,
    }


def _commit() -> str | None:
    """The commit of the checkout that runs, where there is one."""
    done = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None
