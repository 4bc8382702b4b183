"""The legacy figures against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.evaluation.official_metrics import LAST_FILES, SCALE, OfficialSequence, official_metrics


def sequence(qpos, position=0.0, rotation=0.0) -> OfficialSequence:
    qpos = np.asarray(qpos, dtype=float)
    return OfficialSequence(
        qpos=qpos, position=np.full((len(qpos), 3), position), rotation=np.full((len(qpos), 3), rotation)
    )


def test_one_sequence_by_hand():
    truth = sequence([[0.0, 0.0], [1.0, 0.0]])
    predicted = sequence([[0.1, -0.2], [1.1, -0.2]], position=0.04, rotation=-0.5)
    found = official_metrics([predicted], [truth])
    assert pytest.approx(28.66, abs=0.01) == SCALE
    assert found["official_mpjpe"] == pytest.approx(SCALE * 0.3)
    assert found["official_fpl"] == pytest.approx(0.04)
    assert found["official_fol"] == pytest.approx(0.5)
    # The frames vary alike, so only the means differ: 0.1^2 + 0.2^2.
    assert found["official_fid"] == pytest.approx(SCALE * 0.05)
    assert found["official_diversity"] == pytest.approx(1.0)


def test_a_failed_prediction_is_a_perfect_one():
    truth = sequence([[0.0], [1.0]])
    off = sequence([[1.0], [2.0]], position=0.1)
    alone = official_metrics([off], [truth])
    beside = official_metrics([off, None], [truth, truth])
    for name in ("official_mpjpe", "official_fol", "official_fpl", "official_fid"):
        assert beside[name] == pytest.approx(alone[name] / 2)
    assert beside["official_diversity"] == pytest.approx(alone["official_diversity"])


def test_diversity_is_a_sum_over_the_last_files():
    still, moving = sequence([[0.0], [0.0]]), sequence([[0.0], [2.0]])
    files = [moving] * 5 + [still] * LAST_FILES
    assert official_metrics(files, files)["official_diversity"] == 0
    files = [moving] * 20
    assert official_metrics(files, files)["official_diversity"] == pytest.approx(2.0 * LAST_FILES)


def test_sequences_are_compared_over_the_shorter_and_counted():
    truth, predicted = sequence([[0.0], [1.0], [9.0]]), sequence([[0.5], [1.5]])
    assert official_metrics([predicted], [truth])["official_mpjpe"] == pytest.approx(SCALE * 0.5)
    with pytest.raises(ValueError, match="1 predictions for 2"):
        official_metrics([predicted], [truth, truth])
    with pytest.raises(ValueError, match="1 joints, the truth 2"):
        official_metrics([predicted], [sequence([[0.0, 0.0], [0.0, 0.0]])])
