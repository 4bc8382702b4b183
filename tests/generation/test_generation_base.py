from __future__ import annotations

import numpy as np
import pytest

from unihm.generation.base import GENERATORS


def test_table_of_names():
    assert set(GENERATORS) == {"qwen3-tiny", "qwen3-0.6b"}
    assert all(callable(GENERATORS[name]) for name in GENERATORS)
    with pytest.raises(ValueError, match="Did you mean 'qwen3-tiny'"):
        GENERATORS["qwen-tiny"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"object_points_canonical": np.zeros((0, 3))}, "cloud is empty"),
        ({"T_world_canonical": np.zeros((0, 4, 4))}, "path is empty"),
        ({"qpos0": np.array([0.0, np.nan, 0.0])}, "qpos0 holds NaN"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_p": 0.0}, r"top_p is 0\.0"),
        ({"top_p": 1.5}, r"top_p is 1\.5"),
        ({"one_of": (3, 3)}, r"one_of is \(3, 3\), expected \(k, n\) with 0 <= k < n"),
        ({"one_of": (-1, 3)}, r"one_of is \(-1, 3\)"),
        ({"one_of": (0, 1000)}, "n at most 256"),
    ],
)
def test_bad_requests_are_refused_in_one_line(make_request, changes, message):
    with pytest.raises(ValueError, match=message) as error:
        make_request(**changes)
    assert "\n" not in str(error.value)
