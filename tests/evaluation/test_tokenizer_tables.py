"""The tokenizer's picture and the layout of Table B1, on rows made by hand."""

from __future__ import annotations

import pytest

from unihm.evaluation.table_b1 import HANDS, evaluate_paper, layout
from unihm.evaluation.tokenizer import rounded
from unihm.evaluation.tokenizer_plots import draw_rates, mean_curves


def row(hand="shadow", quantiser="predictive", source="own", bits=12.5, mm=4.0, deg: float | None = 2.0):
    return {"split": "release/seen", "hand": hand, "quantiser": quantiser, "source": source, "bits_per_frame": bits,
            "keypoint_mm": mm, "joint_deg": deg, "wrist_mm": mm / 2, "n": 3}  # fmt: skip


def test_curves_are_means_over_robot_hands_with_finger_joints(tmp_path):
    rows = [
        row(mm=4.0), row("leap", mm=6.0), row("panda", mm=50.0, deg=None), row("human", mm=70.0),
        row(bits=40.0, mm=1.0),
        row("leap", bits=40.0, mm=1.0), row(bits=90.0, mm=0.5), row(source="human", mm=5.0),
        row(quantiser="pca", bits=13.0, mm=10.0),
        row(quantiser="mean_pose", bits=0.0, mm=100.0),
    ]  # fmt: skip
    curves = mean_curves(rows)
    assert set(curves) == {"predictive", "predictive, from human", "pca"}
    assert [(bits, figures["keypoint_mm"]) for bits, figures in curves["predictive"]] == [(12.5, 5.0), (40.0, 1.0)]
    draw_rates(rows, tmp_path / "rates.png")
    assert (tmp_path / "rates.png").read_bytes()[:4] == b"\x89PNG"


def test_people_read_three_digits():
    assert rounded([{"hand": "a", "x": 1.23456, "n": 12345}]) == [{"hand": "a", "x": 1.23, "n": 12345}]


def test_the_layout_of_table_b1():
    rows = [
        {"split": "release/train", "hand": hand, "backbone": backbone, "n": 5, "bits_per_frame": 3.25,
         "mae": 0.01 * (i + 1) * (1 + (backbone == "MLP")), "rmse": 0.1, "joint_deg": None if hand == "panda" else 2.5,
         "keypoint_mm": 7.0}
        for i, hand in enumerate(HANDS) for backbone in ("MLP", "1D-Conv")
    ]  # fmt: skip
    lines = layout(rows).splitlines()
    assert lines[0] == "release/train (5 recordings, 3.25 bits a frame)"
    assert lines[1].split() == [*HANDS, "overall"]
    assert lines[2].split() == ["mae", "MLP", "0.0200", "0.0400", "0.0600", "0.0800", "0.1000", "0.1200", "0.0700"]
    assert lines[3].split()[-1] == "0.0350"
    assert lines[6].split() == ["joint_deg", "MLP", *["2.50"] * 5, "-", "2.50"]


def test_missing_runs_are_named_with_the_command_that_makes_them(tmp_path):
    with pytest.raises(ValueError, match=r"paper-mlp.*make it with: unihm train tokenizer .* --preset paper-mlp"):
        evaluate_paper(tmp_path, "release", tmp_path / "runs")
