"""``unihm train tokenizer``: motions of a store become a tokenizer with its card.

One stream for all hands: stage 1 trains each hand's chart, stage 2 fits the shared codes. A VQ-VAE: stage 1 trains the
reference hand with the codebook, stage 2 adds every other hand of the store.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from unihm.datasets.episode_store import episode_table, read_episodes
from unihm.datasets.made_with import changed_motions, motions_of
from unihm.datasets.manifest import hands_in, read_manifest
from unihm.datasets.motion_store import attach, read_motions
from unihm.datasets.splits import split as split_ids
from unihm.hands.hand import HandModel, load_hand
from unihm.registry import unknown_name
from unihm.schema.motion import HandMotion
from unihm.schema.storage import write_json
from unihm.tokenizer.features import hand_features as hand_features
from unihm.tokenizer.figures import cross_rows, mean_pose_errors, own_rows
from unihm.tokenizer.tokenizer import SHIPPED, Tokenizer, load_tokenizer
from unihm.tokenizer.unified import UnifiedTokenizer
from unihm.tokenizer.vqvae import SharedVQVAE
from unihm.training.card import training_card
from unihm.training.distributed import processes, rank, wait
from unihm.training.presets import TOKENIZER, TokenizerTraining, UnifiedTraining, choose
from unihm.training.tokenizer_data import PairedMotions
from unihm.training.tokenizer_stages import TokenizerStages
from unihm.training.unified import fit_codec, one_thread, seeded, train_charts

_log = logging.getLogger(__name__)


@one_thread()
@processes()
def train_tokenizer(
    data: str | Path,
    out: str | Path,
    *,
    preset: str | TokenizerTraining | UnifiedTraining = "base",
    split: str = "release",
    seed: int = 0,
    resume: bool = False,
    workers: int = 1,
    hands: Sequence[str] = (),
    charts_of: Tokenizer | None = None,
) -> dict[str, Any]:
    """Train on the train part of a split and measure on its validation part.

    Args:
        data: Episode store with retargeted motions of the reference hand and any others.
        out: Folder for logs, checkpoints and ``tokenizer.safetensors`` with its card.
        preset: Name in `presets.TOKENIZER`, or settings.
        split: Name of a split.
        seed: Seed of everything random.
        resume: Go on from the checkpoints in `out`; finished stages are not repeated.
        workers: Charts that are trained at once, a process each.
        hands: Which hands; empty takes all that the store has motions of. The reference hand is always among them.
        charts_of: A tokenizer whose charts are kept: of one stream for all hands the codes alone are fitted then.

    Returns:
        Where the weights are, their fingerprint, and a row of figures for each hand; of `torchrun`'s processes but
        the first, only their number.

    Raises:
        ValueError: Preset, split or hand do not exist, the store is unfit, a checkpoint does not fit, or the run began
            with other motions than the store now holds.
    """
    name = preset if isinstance(preset, str) else "custom"
    config = choose(TOKENIZER, preset) if isinstance(preset, str) else preset
    config = _seeded(config, seed)
    data, out = Path(data), Path(out)
    reference = config.tokenizer.reference_hand
    read_manifest(data)  # says in one line where this is no data set
    known = hands_in(data)
    if reference not in known:
        raise unknown_name(f"Motions in '{data}' of reference hand", reference, known)
    for hand in hands:
        if hand not in known:
            raise unknown_name(f"Motions in '{data}' of hand", hand, known)
    order = (reference, *(hand for hand in known if hand != reference and (not hands or hand in hands)))
    models = {hand: load_hand(hand) for hand in order}

    records = episode_table(data)
    parts = {part: split_ids(split, part, records) for part in ("train", "validation")}
    motions = {part: load_motions(data, order, ids) for part, ids in parts.items()}
    _log.info("%d training and %d validation motions", len(parts["train"]), len(parts["validation"]))

    made = begin_with_motions(data, order, out, resume=resume) if rank() == 0 else {}
    wait()
    if isinstance(config, UnifiedTraining):
        model = UnifiedTokenizer(config.tokenizer, [hand_features(hand) for hand in models.values()])
        if charts_of is None:
            train_charts(
                model, motions["train"], motions["validation"], config, out, resume=resume, workers=workers
            )  # fmt: skip
        else:
            _take_charts(model, charts_of)
        if rank() == 0:
            fit_codec(model, motions["train"], models, config, out, resume=resume)
    elif charts_of is not None:
        raise ValueError(f"Preset '{name}' has no charts that could be kept.")
    else:
        model = _train_vqvae(config, motions, models, out, resume=resume)

    if rank() > 0:
        return {"process": rank()}
    card = training_card(
        "tokenizer", config, preset=name, split=split, seed=seed, data=data, made=made, records=records, parts=parts,
        options=["--keep-charts"] if charts_of else [],
    )  # fmt: skip
    if charts_of is not None:
        card["charts_from"] = charts_of.card["fingerprint"]
    return _export(model, out / SHIPPED, card, motions, models, reference)


def _take_charts(model: UnifiedTokenizer, known: Tokenizer) -> None:
    """The charts of another tokenizer; raises ValueError where it has none of a hand, or of another size."""
    charts = known.unified.charts
    for hand, chart in model.charts.items():
        if hand not in charts:
            raise unknown_name("Chart of hand", hand, charts)
        try:
            chart.load_state_dict(charts[hand].state_dict())
        except RuntimeError as error:
            raise ValueError(f"The chart of '{hand}' is of another size than the preset's.") from error


def _train_vqvae(
    config: TokenizerTraining,
    motions: Mapping[str, Mapping[str, Mapping[str, HandMotion]]],
    hands: Mapping[str, HandModel],
    out: Path,
    *,
    resume: bool,
) -> SharedVQVAE:
    """Stage 1 with the reference hand, stage 2 with every other."""
    reference = config.tokenizer.reference_hand
    features = {hand: hand_features(model) for hand, model in hands.items()}
    paired = PairedMotions(motions["train"], features, reference_hand=reference, max_frames=config.max_frames)
    with torch.random.fork_rng():
        torch.manual_seed(config.reference.seed)
        model = SharedVQVAE(config.tokenizer, features.values())
    stages = TokenizerStages(model, paired, hands, config, motions["validation"])
    stages.train_reference(out / f"1-{reference}", resume=resume)
    for hand in hands:
        if hand != reference:
            stages.add_hand(hand, out / f"2-{hand}", resume=resume)
    return model


def load_motions(data: Path, hands: tuple[str, ...], ids: list[str]) -> dict[str, dict[str, HandMotion]]:
    """hand -> episode id -> motion with its object; episodes that a hand lacks are left out for all, and counted."""
    found = {hand: read_motions(data, hand) for hand in hands}
    complete = [i for i in ids if all(i in of_hand for of_hand in found.values())]
    if len(complete) < len(ids):
        _log.warning("%d of %d episodes lack a motion of some hand", len(ids) - len(complete), len(ids))
    episodes = {episode.id: episode for episode in read_episodes(data, complete)}
    return {hand: {i: attach(of_hand[i], episodes[i]) for i in complete} for hand, of_hand in found.items()}


def begin_with_motions(data: Path, hands: Iterable[str], out: Path, *, resume: bool) -> dict[str, dict[str, Any]]:
    """Which motions a run learns from, for its card; a run that is taken up again must find the same.

    They are noted in the run's folder (``motions.json``) before the first step. Hands may be added on resume.

    Raises:
        ValueError: The run that shall go on began with other motions.
    """
    made, note = motions_of(data, hands), out / "motions.json"
    checkpoints = [*out.glob("checkpoint.safetensors"), *out.glob("[12]-*/checkpoint.safetensors")]
    before = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else None
    changed = "not recorded which they were" if before is None else changed_motions(before, data)
    if resume and checkpoints and before is not None and changed:
        raise ValueError(
            f"Cannot resume '{out}': it began with other motions than those in '{data}' ({changed}). Start anew "
            "without --resume, or resume with the store that it began with."
        )
    if resume and checkpoints and changed:
        _log.warning("'%s' began with motions of which nothing is recorded; going on with those in '%s'", out, data)
    elif checkpoints and changed:
        for checkpoint in checkpoints:  # else a later --resume would take them for ones of this run
            checkpoint.unlink()
    write_json(note, made)
    return made


def _export(
    model: SharedVQVAE | UnifiedTokenizer,
    path: Path,
    card: dict[str, Any],
    motions: Mapping[str, Mapping[str, Mapping[str, HandMotion]]],
    hands: Mapping[str, HandModel],
    reference: str,
) -> dict[str, Any]:
    """Write the weights, measure what was written (half precision, not the model in memory), complete the card."""
    Tokenizer(model).save(path, card)
    stored = load_tokenizer(path)
    rows: list[dict[str, Any]] = []
    if motions["validation"][reference]:
        rows = [{"source": "own", **row} for row in own_rows(stored, motions["validation"], hands)]
        for row in rows:
            hand = str(row["hand"])
            none = mean_pose_errors(motions["validation"][hand], motions["train"][hand], hands[hand])
            row["mean_pose_keypoint_mm"] = none["keypoint_mm"]
            del row["frames_per_second"]  # of this machine, not of the weights
        others = [hand for hand in hands if hand != reference]
        rows += cross_rows(stored, motions["validation"], hands, reference, others)
    write_json(path.with_suffix(".json"), {**stored.card, "figures": {"part": "validation", "rows": rows}})
    return {"weights": str(path), "fingerprint": stored.fingerprint, "rows": rows}


def _seeded(config: TokenizerTraining | UnifiedTraining, seed: int) -> TokenizerTraining | UnifiedTraining:
    """The settings with the seed in all loops."""
    if isinstance(config, UnifiedTraining):
        return seeded(config, seed)
    return replace(
        config, reference=replace(config.reference, seed=seed), alignment=replace(config.alignment, seed=seed)
    )
