"""Figures on held-out recordings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

from unihm.commands.bench import EIGHT
from unihm.commands.console import check_writable, load_weights, report


def eval_generation(
    *,
    data: Path,
    split: str = "release",
    hand: tuple[str, ...] = ("human", "shadow"),
    weights: Path | None = None,
    tokenizer: Path | None = None,
    encoder: Path | None = None,
    models: Path | None = None,
    references: Path | None = Path("runs/references"),
    ablations: Path | None = None,
    samples: int = 10,
    refined: bool = True,
    selection: bool = False,
    seed: int = 0,
    quick: bool = False,
    out: Path | None = None,
    json: bool = False,
):
    """Generated motions against held-out recordings, beside references, in the layout of the paper's Table 1.

    Args:
        data: Episode store with retargeted motions, from `unihm data import`.
        split: Which recordings are held out.
        hand: Hands to evaluate.
        weights: Generator weights; default: the shipped ones.
        tokenizer: Tokenizer weights; default: the shipped ones.
        encoder: Weights of the metric encoder; default: those that come for the split.
        models: Folder of the objects' true meshes, <object>/mesh_simplified.obj; without it grasps are not counted.
        references: Where trained references are kept from run to run.
        ablations: Folder with a folder for each ablation, DIR/words/generator.safetensors and so on, as
            `unihm train generator --without words --out DIR/words` leaves them: rows of Table 4.
        samples: Motions drawn for each recording.
        refined: Also the refined motions.
        selection: Measure on the recordings that choices are made on (part `validation`), not on those held out.
        seed: Seed of the sampling.
        quick: The same on a few recordings; labelled so.
        out: Folder for table.txt, table.csv, table.json and table.png.
        json: Print the rows as JSON.
    """
    from unihm.evaluation.generation import GenerationOptions, evaluate_generation
    from unihm.evaluation.generation_tables import layout
    from unihm.evaluation.motion_text.encoder import load_metric_encoder
    from unihm.evaluation.tables import write_tables
    from unihm.pipeline import Pipeline

    facts = evaluation_facts(data, seed, quick)
    pipeline = load_weights(lambda: Pipeline(generator_path=weights, tokenizer_path=tokenizer))
    options = GenerationOptions(
        samples=samples, seed=seed, quick=quick, selection=selection, models=models, references=references,
        refined=refined,
    )  # fmt: skip
    rows = evaluate_generation(
        data, split, hand, pipeline.generator, pipeline.tokenizer, load_metric_encoder(split, encoder), options,
        _ablations(ablations, pipeline.tokenizer),
    )  # fmt: skip
    facts = {**facts, "rows": rows}
    if out is not None:
        write_tables(facts, out, text=layout)
    report(facts, json, layout(rows))


def eval_wording(
    *,
    data: Path | None = None,
    split: str = "release",
    hand: str = "human",
    weights: Path | None = None,
    scenes: int | None = None,
    perception_weights: Path | None = None,
    selection: bool = False,
    quick: bool = False,
    seed: int | None = None,
    out: Path | None = None,
    json: bool = False,
):
    """Whether other words mean the same to the generator, and whether it does what is asked for.

    With --scenes: whether they mean the same thing and task in made scenes of several things, and whether opposites are
    told apart.

    Args:
        data: Episode store with retargeted motions, from `unihm data import`; not with --scenes.
        split: Which recordings are held out.
        hand: Whose motions are generated.
        weights: Generator weights; default: the shipped ones.
        scenes: So many cases in scenes that are made for it; needs no data.
        perception_weights: Folder with the weights of what sees and understands in scenes; default: the shipped ones.
        selection: Measure on the recordings that choices are made on (part `validation`), not on those held out.
        quick: The same on a few recordings, or on at most 8 cases; labelled so.
        seed: Of the wordings, default 0; with --scenes of scenes and wordings, default 107, which no training used.
        out: Folder for table.txt, table.csv and table.json; with --scenes also table.png.
        json: Print the rows as JSON.
    """
    if scenes is not None:
        return _eval_scene_wording(scenes, perception_weights, seed, quick, out, json)
    if data is None:
        raise ValueError("Words are tried on recordings (--data STORE) or in made scenes (--scenes N); state one.")
    seed = 0 if seed is None else seed
    from unihm.datasets.episode_rows import recordings_of
    from unihm.datasets.episode_store import episode_table
    from unihm.datasets.splits import split as split_ids
    from unihm.evaluation.cases import TEST_PARTS
    from unihm.evaluation.tables import text_table, write_tables
    from unihm.evaluation.trained_on import refuse_trained_on
    from unihm.evaluation.wording import evaluate_wording
    from unihm.pipeline import Pipeline

    facts = evaluation_facts(data, seed, quick)
    pipeline = load_weights(lambda: Pipeline(generator_path=weights))
    parts = ("validation",) if selection else TEST_PARTS.get(split, ("test",))
    if not selection:
        records = episode_table(data)
        tested = recordings_of(records, [name for part in parts for name in split_ids(split, part, records)])
        card = getattr(pipeline.generator, "card", None) or {}
        refuse_trained_on(tested, {"tokenizer": pipeline.tokenizer.card, "generator": card})
    rows = evaluate_wording(
        data, split, parts, pipeline.generator, pipeline.tokenizer, hand=hand, seed=seed, count=6 if quick else None
    )
    facts = {**facts, "rows": rows}
    if out is not None:
        write_tables(facts, out, text=lambda rows: text_table(rows, 2), draw=lambda rows, path: None)
    report(facts, json, text_table(rows, 2))


def _eval_scene_wording(
    scenes: int, perception: Path | None, seed: int | None, quick: bool, out: Path | None, json: bool
) -> None:
    """Of `eval_wording`, in made scenes."""
    from unihm.evaluation.scene_wording import SEED, draw_rows, evaluate_scene_wording, examples_of, rows_of, text
    from unihm.evaluation.tables import write_tables
    from unihm.perception.cliport import Cliport

    if out is not None:
        check_writable(out)
    seed = SEED if seed is None else seed
    facts = evaluation_facts(f"made scenes of seed {seed}", seed, quick)
    judged = evaluate_scene_wording(Cliport(perception), min(scenes, 8) if quick else scenes, seed)
    facts, examples = {**facts, "rows": rows_of(judged)}, examples_of(judged)
    if out is not None:
        write_tables(facts, out, text=lambda rows: text(rows, examples), draw=draw_rows)
    report({**facts, "examples": examples}, json, text(facts["rows"], examples))


def _ablations(folder: Path | None, tokenizer: Any) -> dict[str, Any]:
    """Generators that were trained without something, by what that is."""
    from unihm.generation.generator import SHIPPED, load_generator

    files = [] if folder is None else sorted(folder.glob(f"*/{SHIPPED}"))
    if folder is not None and not files:
        raise ValueError(f"'{folder}' holds no ablation, NAME/{SHIPPED}.")
    return {file.parent.name: load_generator(file, tokenizer=tokenizer) for file in files}


def eval_tokenizer(
    *,
    data: Path,
    split: str = "release",
    hand: tuple[str, ...] = (),
    source: tuple[str, ...] = ("human", "shadow", "xhand"),
    weights: Path | None = None,
    preset: Literal["paper"] | None = None,
    runs: Path = Path("runs"),
    polish: int = 0,
    baselines: bool = False,
    selection: bool = False,
    quick: bool = False,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
):
    """decode(encode(motion)) on held-out recordings, hand by hand, at every rate; and from hand to hand.

    Args:
        data: Episode store with retargeted motions, from `unihm data import`.
        split: Which recordings are held out.
        hand: Hands to evaluate; default: all that the tokenizer knows.
        source: Hands whose tokens the others decode; those that the tokenizer does not know are left out.
        weights: Tokenizer weights; default: the shipped ones.
        preset: paper prints the layout of the paper's Table B1, from the runs of its two presets.
        runs: Where they are: RUNS/paper and RUNS/paper-mlp, as `unihm train tokenizer --preset paper --out RUNS/paper`
            leaves them.
        polish: Also the person's motions translated and polished by so many solver steps.
        baselines: Beside the tokenizer, PCA with scalar quantisers at several rates, for each hand alone and for all
            together, and k-means with 8192 codes; trained on the same recordings. And the paper's presets, where RUNS
            has them.
        selection: Measure on the recordings that choices are made on (part `validation`), not on those held out.
        quick: The same on a few recordings; labelled so.
        seed: Stated with the rows; nothing is sampled.
        out: Folder for table.txt, table.csv, table.json and table.png (rate against distortion).
        json: Print the rows as JSON.
    """
    from unihm.evaluation.tables import text_table, write_tables
    from unihm.evaluation.tokenizer import evaluate_tokenizer, rounded
    from unihm.evaluation.tokenizer_plots import draw_rates
    from unihm.tokenizer.tokenizer import SHIPPED, load_tokenizer

    facts = evaluation_facts(data, seed, quick)
    if preset is not None:
        from unihm.evaluation.table_b1 import evaluate_paper, layout

        rows = evaluate_paper(data, split, runs, selection=selection, quick=quick)
        facts = {**facts, "rows": rows}
        if out is not None:
            write_tables(facts, out, text=layout, draw=lambda rows, path: None)
        report(facts, json, layout(rows))
        return
    tokenizer = load_weights(lambda: load_tokenizer(weights))
    sources = [name for name in source if name in tokenizer.hands]
    paths = {preset: runs / preset / SHIPPED for preset in ("paper", "paper-mlp")} if baselines else {}
    others = {preset: load_tokenizer(path) for preset, path in paths.items() if path.is_file()}
    rows = evaluate_tokenizer(
        data, split, tokenizer, hands=hand, sources=sources, others=others, polish=polish, baselines=baselines,
        selection=selection, quick=quick,
    )  # fmt: skip
    facts = {**facts, "tokenizer": tokenizer.fingerprint, "rows": rows}
    if out is not None:
        write_tables(facts, out, text=lambda rows: text_table(rounded(rows), None), draw=draw_rates)
    report(facts, json, text_table(rounded(rows), None))


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
            retargeted+joint. Default: all but generated ones.
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


def eval_simulation(
    *,
    data: Path,
    models: Path,
    split: str = "release",
    parts: tuple[str, ...] = (),
    hand: tuple[str, ...] = EIGHT,
    variants: tuple[str, ...] = (),
    setting: tuple[str, ...] = (),
    column: tuple[str, ...] = (),
    worlds: int = 200,
    tokenizer: Path | None = None,
    generator: Path | None = None,
    task: str = "grab",
    criterion: tuple[str, ...] = (),
    friction: tuple[float, ...] = (0.8,),
    noise: float = 0.0,
    follow: bool = False,
    cloud_noise: tuple[float, ...] = (0.0,),
    repeats: int = 1,
    hand_meshes: Path | None = None,
    limit: int | None = None,
    workers: int | None = None,
    seed: int = 0,
    quick: bool = False,
    out: Path | None = None,
    videos: bool = False,
    json: bool = False,
):
    """Do motions work? Success rates in physics, of held-out recordings or, with --setting, from words and images.

    Every motion is executed on the true object; why the others failed is counted. What is listed several times
    (variants, frictions, cloud noises) is also compared trial by trial with the first of its list (A - B). With --out,
    single trials are kept in trials.jsonl, and the same command goes on where it was interrupted.

    With --setting it is the simulated counterpart of the paper's Table 3: made images of held-out YCB objects and of
    furniture, with instructions, in the settings true (cloud and path given), perceived (image and words alone) and
    perceived+best-of-N (N candidates are simulated on what is perceived), and beside them the references
    nearest-neighbour, ridge+joint and recorded+joint. --out then gets a page to look at, index.html.

    Args:
        data: Episode store with retargeted motions, from `unihm data import`.
        models: Folder of the true objects, <object>/mesh_simplified.obj.
        split: Which recordings are held out.
        parts: Parts of the split; default: its test parts.
        hand: Hands to evaluate; with --setting by default shadow, allegro and leap.
        variants: Which motions: retargeted or generated, with a way to refine them (retargeted+joint), with the best
            of N candidates that are tried on the perceived object (retargeted+joint+best-of-4). Default: retargeted,
            alone and refined.
        setting: From words and images: true, perceived, perceived+best-of-16, nearest-neighbour, ridge+joint,
            recorded+joint. --variants, --task, --criterion, --noise, --follow, --cloud-noise, --repeats, --hand-meshes
            and --limit are not for these.
        column: Of the paper's table: grab, place, pull-push, open-close; default: all.
        worlds: Worlds of each column, seen and unseen; every hand is tried in each.
        tokenizer: Weights for --setting; default: the shipped ones.
        generator: Weights for --setting; default: the shipped ones.
        task: grab, place (where the recorded path ends) or slide.
        criterion: grab: light, full, hard; place: full, strict; slide: full. Default: light full, else full.
            Candidates are compared by the strictest of them.
        friction: Sliding friction of every pair; several are compared.
        noise: Displacement of the object: 1 means up to 2 cm along x and y and up to 10 degrees. The motion stays.
        follow: The motion is moved with the displaced object, as if it had been planned where the object is.
        cloud_noise: Noise on the points of the cloud that refinement sees, mm; several are compared.
        repeats: Times that every recording is tried, each with other noise.
        hand_meshes: Folder of official hands, <hand>/*.urdf: all is tried with their collision meshes as well.
        limit: Recordings of each part, chosen evenly.
        workers: Processes; default: one a core.
        seed: Seed of noise, sensors, candidates, generation and intervals.
        quick: The same on two recordings of each part and two hands; labelled so.
        out: Folder for trials.jsonl, table.txt, table.csv, table.json and table.png; with --setting also index.html.
        videos: Film a success and a failure of each hand, with --setting of each column and hand, to OUT/videos.
        json: Print the rows as JSON.
    """
    import os

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share the cores already
    if setting:
        others = {"--variants": variants, "--criterion": criterion, "--noise": noise, "--follow": follow,
                  "--hand-meshes": hand_meshes, "--limit": limit, "--task": task != "grab", "--repeats": repeats != 1,
                  "--cloud-noise": cloud_noise != (0.0,)}  # fmt: skip
        if wrong := [name for name, value in others.items() if value]:
            raise ValueError(f"{', '.join(wrong)} and --setting do not go together: see --help.")
        hand = hand if hand != EIGHT else ("shadow", "allegro", "leap")
        _eval_asked(
            data, models, split, parts, hand, setting, column, worlds, friction,
            tokenizer, generator, workers, seed, quick, out, videos, json,
        )  # fmt: skip
        return
    from unihm.evaluation.simulation import DEFAULT_VARIANTS, evaluate_simulation
    from unihm.evaluation.simulation_options import SimulationOptions
    from unihm.evaluation.simulation_tables import text, write_tables
    from unihm.evaluation.variants import GENERATED

    if out is not None:
        check_writable(out)
    options = SimulationOptions(
        task=task,
        criteria=criterion,
        frictions=friction,
        cloud_noise=cloud_noise,
        noise=noise,
        follow=follow,
        repeats=repeats,
        hand_meshes=hand_meshes,
        limit=limit,
        quick=quick,
        seed=seed,
    )
    variants = variants or DEFAULT_VARIANTS
    facts, weights = evaluation_facts(data, seed, quick), {}
    if any(name.startswith(GENERATED) for name in variants):
        from unihm.pipeline import Pipeline

        pipeline = load_weights(Pipeline)
        weights = {"generator": pipeline.generator, "tokenizer": pipeline.tokenizer}
    table = evaluate_simulation(
        data,
        models,
        split,
        hand,
        options,
        variants=variants,
        parts=parts,
        out=out,
        videos=videos,
        workers=workers,
        **weights,
    )
    facts = {**facts, **table.facts, "rows": table.rows}
    if out is not None:
        write_tables(facts, out)
    report(facts, json, text(table.rows, facts))


def _eval_asked(
    data: Path,
    models: Path,
    split: str,
    parts: tuple[str, ...],
    hands: tuple[str, ...],
    settings: tuple[str, ...],
    columns: tuple[str, ...],
    worlds: int,
    frictions: tuple[float, ...],
    tokenizer: Path | None,
    generator: Path | None,
    workers: int | None,
    seed: int,
    quick: bool,
    out: Path | None,
    videos: bool,
    json: bool,
) -> None:
    """`eval_simulation` from words and images."""
    from unihm.whole_path.simulation import SPLIT, AskedOptions, evaluate_asked, spelled
    from unihm.whole_path.tables import text, write_tables

    if split != SPLIT:
        raise ValueError(f"--setting is for split '{SPLIT}', got '{split}'.")
    if out is not None:
        check_writable(out)
    named = {name: value for name, value in (("columns", columns), ("parts", parts)) if value}
    options = AskedOptions(
        ways=tuple(dict.fromkeys(map(spelled, settings))),
        frictions=frictions,
        worlds=1 if quick else worlds,
        seed=seed,
        **named,
    )
    facts = evaluation_facts(data, seed, quick)
    hands = hands[:1] if quick else hands
    table = evaluate_asked(
        data,
        models,
        hands,
        options,
        tokenizer=tokenizer,
        generator=generator,
        out=out,
        workers=workers,
        videos=videos,
    )
    facts = {**facts, **table.facts, "rows": table.rows}
    if out is not None:
        write_tables(facts, out)
    report(facts, json, text(table.rows, facts))


def eval_perception(
    *,
    data: tuple[Path, ...],
    perception: str = "cliport",
    weights: Path | None = None,
    limit: int | None = None,
    quick: bool = False,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
):
    """What words mean in made scenes, where it is, its shape, and where its path ends, against the truth.

    Args:
        data: Folders from `unihm data synthesize`, of seeds that nothing was trained on; a row for each.
        perception: What is judged: cliport (learned) or tabletop (geometry).
        weights: Of the perception; default: the shipped ones.
        limit: At most so many images of each folder.
        quick: The same on 6 images; labelled so.
        seed: Of nothing; results do not depend on chance.
        out: Folder for table.txt, table.csv, table.json and table.png.
        json: Print the rows as JSON.
    """
    from unihm.evaluation.perception import evaluate_perception, rows_of
    from unihm.evaluation.perception_picture import draw_rows
    from unihm.evaluation.tables import text_table, write_tables
    from unihm.perception.base import PERCEPTIONS

    facts = evaluation_facts(" ".join(map(str, data)), seed, quick)
    seeing = PERCEPTIONS[perception](weights)
    rows = []
    for folder in data:
        results = evaluate_perception(folder, seeing, limit=6 if quick else limit)
        rows += [{"perception": perception, **row} for row in rows_of(results, folder.name)]
    facts = {**facts, "rows": rows}
    if out is not None:
        write_tables(facts, out, text=lambda rows: text_table(rows, 2), draw=draw_rows)
    report(facts, json, text_table(rows, 2))


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
