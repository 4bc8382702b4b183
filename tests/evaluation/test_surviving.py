"""Processes that die of a task: it alone is lost."""

from __future__ import annotations

import os
import signal

from unihm.evaluation.surviving import surviving


def _square(n: int) -> int:
    if n == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return n * n


def test_only_what_killed_a_process_is_lost():
    told = []

    def alone(task, process):
        told.append(task)
        found = process(task)
        return -1 if found is None else found

    found = list(surviving(_square, iter(range(24)), 2, alone))
    assert found == [(n, -1 if n == 5 else n * n) for n in range(24)]
    assert 5 in told
    assert len(told) < 12  # of those under way, not of all


def test_one_worker_is_this_process():
    def alone(task, process):
        raise AssertionError

    found = list(surviving(lambda n: (n, os.getpid()), range(3), 1, alone))
    assert found == [(n, (n, os.getpid())) for n in range(3)]
