"""One stream for all hands, trained on made-up scenes: better than no code, repeatable, resumable, and extensible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from paired_scenes import OTHER, REFERENCE

from unihm.datasets.episode_store import episode_table
from unihm.datasets.splits import split
from unihm.evaluation.tokenizer import evaluate_tokenizer, motions_of
from unihm.geometry.lie import se3_log
from unihm.hands.hand import load_hand
from unihm.schema.weights import read_tensors
from unihm.tokenizer.features import hand_features
from unihm.tokenizer.predictive import CodecConfig
from unihm.tokenizer.tokenizer import load_tokenizer
from unihm.tokenizer.unified import UnifiedConfig
from unihm.training.adding import add_hand
from unihm.training.hand_charts import ChartLoss, moments, train_chart
from unihm.training.loop import LoopConfig
from unihm.training.presets import ChartTraining, CodecFitting, UnifiedTraining
from unihm.training.tokenizer import train_tokenizer
from unihm.training.unified import new_chart

CONFIG = UnifiedTraining(
    tokenizer=UnifiedConfig(
        reference_hand=REFERENCE, width=16, couplings=2, codec=CodecConfig(latent=16, stages=(3, 4), codes=64)
    ),
    chart=ChartTraining(
        loop=LoopConfig(epochs=12, learning_rate=5e-3, warmup_steps=5, checkpoint_steps=7), batch_size=128
    ),
    codec=CodecFitting(passes=2, opening_passes=2, rounds=2, points=4000),
)


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("unified")
    return out, train_tokenizer(store, out, preset=CONFIG, seed=3)


@pytest.fixture(scope="module")
def pairs(store):
    ids = split("release", "train", episode_table(store))
    hands = {name: load_hand(name) for name in (REFERENCE, OTHER)}
    features = {name: hand_features(hand) for name, hand in hands.items()}
    motions = {name: motions_of(store, name, ids) for name in hands}
    return moments(motions[REFERENCE], motions[OTHER], features, hands[REFERENCE], 16), hands


def test_every_stage_is_finer_and_other_hands_understand(trained):
    _, result = trained
    own = {(r["hand"], r["bits_per_frame"]): r for r in result["rows"] if r["source"] == "own"}
    assert set(own) == {(hand, bits) for hand in (REFERENCE, OTHER) for bits in (4.5, 10.5)}
    for hand in (REFERENCE, OTHER):
        coarse, fine = own[hand, 4.5], own[hand, 10.5]
        assert coarse["keypoint_mm"] < 0.4 * coarse["mean_pose_keypoint_mm"]
        assert fine["keypoint_mm"] < 0.95 * coarse["keypoint_mm"]
        assert 0 < coarse["finger_bits_per_frame"] < 4.5
    cross = [r for r in result["rows"] if r["source"] == REFERENCE]
    assert {r["hand"] for r in cross} == {OTHER}
    assert cross[-1]["keypoint_mm"] < 0.4 * own[OTHER, 4.5]["mean_pose_keypoint_mm"]


def test_a_cut_off_run_resumes_to_the_same_weights(trained, store, tmp_path):
    out, _ = trained
    shutil.copytree(out, tmp_path / "run")
    (tmp_path / "run" / "tokenizer.safetensors").unlink()
    (tmp_path / "run" / "2-codec" / "stage-1.safetensors").unlink()
    (tmp_path / "run" / f"1-{OTHER}" / "chart.safetensors").unlink()
    other = replace(CONFIG, codec=replace(CONFIG.codec, points=3000))
    with pytest.raises(ValueError, match=r"Cannot resume .*stage-0\.safetensors' with other settings"):
        train_tokenizer(store, tmp_path / "run", preset=other, seed=3, resume=True)
    again = train_tokenizer(store, tmp_path / "run", preset=CONFIG, seed=3, resume=True)
    log = (tmp_path / "run" / "2-codec" / "log.jsonl").read_text().splitlines()
    assert log == (out / "2-codec" / "log.jsonl").read_text().splitlines()
    assert (
        load_tokenizer(again["weights"]).card["fingerprint"]
        == load_tokenizer(out / "tokenizer.safetensors").card["fingerprint"]
    )


def test_codes_are_fitted_anew_to_charts_that_are_kept(trained, store, tmp_path):
    out, _ = trained
    before = load_tokenizer(out / "tokenizer.safetensors")
    again = train_tokenizer(store, tmp_path / "codes", preset=CONFIG, seed=4, charts_of=before)
    after = load_tokenizer(again["weights"])
    old, new = (one.unified.state_dict() for one in (before, after))
    assert all(torch.equal(old[key], new[key]) for key in old if key.startswith("charts."))
    assert before.fingerprint != after.fingerprint
    assert after.card["charts_from"] == before.card["fingerprint"]
    with torch.no_grad():
        next(before.unified.chart(OTHER).parameters()).add_(1e-3)
    with pytest.raises(ValueError, match="charts; remove"):
        train_tokenizer(store, tmp_path / "codes", preset=CONFIG, seed=4, charts_of=before, resume=True)
    assert after.card["command"].endswith("--keep-charts")
    assert again["rows"][0]["keypoint_mm"] < 0.4 * again["rows"][0]["mean_pose_keypoint_mm"]
    larger = replace(CONFIG, tokenizer=replace(CONFIG.tokenizer, width=24))
    with pytest.raises(ValueError, match=f"chart of '{OTHER}' is of another size"):
        train_tokenizer(store, tmp_path / "larger", preset=larger, charts_of=before)


def test_codes_are_either_kept_or_fitted_anew(store, tmp_path):
    from unihm.commands.train import train_tokenizer as command

    with pytest.raises(ValueError, match="give one of them"):
        command(data=store, out=tmp_path, add_hand=Path("leap"), keep_charts=True)


def test_a_chart_that_was_cut_off_ends_the_same(pairs, tmp_path):
    train, hands = pairs
    charts = [new_chart(1, CONFIG) for _ in range(2)]
    rest = (train, None, hands[OTHER], hands[REFERENCE], CONFIG.chart)
    train_chart(charts[0], *rest, tmp_path / "whole")
    train_chart(charts[1], *rest, tmp_path / "cut", stop_after=11)
    charts[1] = new_chart(1, CONFIG)
    train_chart(charts[1], *rest, tmp_path / "cut", resume=True)
    for a, b in zip(charts[0].parameters(), charts[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_loss_falls_and_is_zero_for_a_perfect_chart(pairs, tmp_path):
    train, hands = pairs
    chart = new_chart(1, CONFIG)
    loss = ChartLoss(chart, hands[OTHER], hands[REFERENCE], CONFIG.chart)
    before = loss.figures(train)
    train_chart(chart, train, None, hands[OTHER], hands[REFERENCE], CONFIG.chart, tmp_path)
    after = loss.figures(train)
    assert after["keypoint_mm"] < 0.1 * before["keypoint_mm"]
    assert after["distillation_mm"] < before["distillation_mm"]
    with torch.no_grad():
        shown = replace(train, joints=chart.joints_of(train.fingers))
        T = chart.T_reference_palm(train.fingers)
    figures = loss.figures(replace(shown, joints=shown.joints.clamp(-1, 1), offset=se3_log(T)))
    assert figures["keypoint_mm"] < 0.05


def test_a_further_hand_changes_nothing_for_the_others(store, tmp_path):
    alone = train_tokenizer(store, tmp_path / "alone", preset=CONFIG, seed=3, hands=[REFERENCE])
    known = load_tokenizer(alone["weights"])
    assert known.hands == (REFERENCE,)
    added = add_hand(OTHER, store, tmp_path / "more", weights=alone["weights"], frames=300, preset="tiny", seed=1)
    more = load_tokenizer(added["weights"])
    assert more.hands == (REFERENCE, OTHER)
    assert more.fingerprint == known.fingerprint
    assert 200 < added["frames"] < 400
    before, after = (read_tensors(path)[0] for path in (alone["weights"], added["weights"]))
    assert all(torch.equal(after[name], value) for name, value in before.items())
    motion = next(iter(motions_of(store, REFERENCE, ["made/00"]).values()))
    tokens = known.encode(motion)
    np.testing.assert_array_equal(tokens.codes, more.encode(motion).codes)
    np.testing.assert_array_equal(known.decode(tokens, REFERENCE).qpos, more.decode(tokens, REFERENCE).qpos)
    rows = {(r["source"], r["hand"]) for r in added["rows"]}
    assert rows == {("own", OTHER), (REFERENCE, OTHER)}
    assert more.card["added"][0]["hand"] == OTHER
    assert set(more.card["added"][0]["recordings"]) <= set(more.card["training_recordings"])
    with pytest.raises(ValueError, match=f"knows '{OTHER}' already"):
        add_hand(OTHER, store, tmp_path, weights=added["weights"])
    with pytest.raises(ValueError, match="frames is 0"):
        add_hand(OTHER, store, tmp_path, weights=alone["weights"], frames=0)
    with pytest.raises(ValueError, match="are of a VQ-VAE"):
        add_hand(OTHER, store, tmp_path, weights=alone["weights"], preset="paper")


def test_the_table_has_own_and_cross_rows_at_every_rate(trained, store):
    out, _ = trained
    tokenizer = load_tokenizer(out / "tokenizer.safetensors")
    others = {"again": tokenizer}
    rows = evaluate_tokenizer(store, "release", tokenizer, sources=[OTHER], others=others, selection=True)
    again = [r["keypoint_mm"] for r in rows if r["quantiser"] == "again"]
    assert again == [r["keypoint_mm"] for r in rows if r["quantiser"] == "predictive" and r["source"] == "own"]
    rows = [r for r in rows if r["quantiser"] != "again"]
    kinds = {(r["hand"], r["quantiser"], r.get("source"), r["bits_per_frame"]) for r in rows}
    assert kinds == {
        *((hand, "predictive", "own", bits) for hand in (REFERENCE, OTHER) for bits in (4.5, 10.5)),
        *((REFERENCE, "predictive", OTHER, bits) for bits in (4.5, 10.5)),
        *((hand, "mean_pose", None, 0.0) for hand in (REFERENCE, OTHER)),
    }


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_unified_training as here
from dataclasses import replace
from unihm.training.tokenizer import train_tokenizer
result = train_tokenizer({store!r}, {out!r}, preset=here.CONFIG, seed=3)
print(sorted(result))
"""


@pytest.mark.slow
def test_two_processes_give_the_result_of_one(trained, store, tmp_path):
    _, result = trained
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), store=str(store), out=str(tmp_path / "two")))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone", str(script)]
    done = subprocess.run(
        launch, capture_output=True, text=True, timeout=500, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    charts = [read_tensors(folder / f"1-{OTHER}" / "chart.safetensors")[0] for folder in (trained[0], tmp_path / "two")]
    for name, value in charts[0].items():
        torch.testing.assert_close(charts[1][name], value, atol=0.02, rtol=0.1)
    two = load_tokenizer(tmp_path / "two" / "tokenizer.safetensors").card["figures"]["rows"]
    for one, other in zip(result["rows"], two, strict=True):
        assert other["keypoint_mm"] == pytest.approx(one["keypoint_mm"], rel=0.35)  # k-means of few motions is noisy
