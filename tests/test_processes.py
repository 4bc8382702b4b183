"""One function over tasks: the same answers in the same order, here and over processes."""

from __future__ import annotations

import math
import os

import pytest

from unihm.processes import spread


@pytest.mark.parametrize("workers", [1, 2])
def test_in_order_and_lazily(workers):
    taken = []

    def tasks():
        for i in range(40):
            taken.append(i)
            yield i

    with spread(math.factorial, workers) as run:
        results = run(tasks())
        assert next(results) == (0, 1)
        assert len(taken) < 20  # the rest is read when it is wanted
        assert list(results) == [(i, math.factorial(i)) for i in range(1, 40)]


def test_other_processes_do_it():
    with spread(_process, 2) as run:
        assert os.getpid() not in {pid for _, pid in run(range(4))}


def test_an_error_is_the_callers():
    with spread(math.sqrt, 2) as run, pytest.raises(ValueError, match=r"math domain|nonnegative"):
        list(run([1, -1]))


def _process(_: int) -> int:
    return os.getpid()
