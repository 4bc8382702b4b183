"""Steps of the solver bring a coarsely coded, translated motion towards direct retargeting."""

from __future__ import annotations

import numpy as np
import pytest

from unihm.evaluation.polished import polished_rows
from unihm.hands.hand import load_hand
from unihm.retargeting import retarget
from unihm.schema.motion import HandMotion
from unihm.tokenizer.figures import cross_rows, keypoints_world
from unihm.tokenizer.tokenizer import load_tokenizer


@pytest.fixture(scope="module")
def motions() -> dict[str, dict[str, HandMotion]]:
    """A person's hand that closes while it moves, and the same retargeted."""
    human, allegro = load_hand("human"), load_hand("allegro")
    share = np.linspace(0, 1, 24)[:, None]
    T = np.tile(np.eye(4), (24, 1, 1))
    T[:, :3, 3] = share * [0.1, 0.02, 0.0]
    rest = human.rest_qpos.numpy()
    closed = np.where(human.upper.numpy() > 1.2, rest + 0.4 * share, rest)
    person = HandMotion(
        hand="human", fps=30.0, joint_names=tuple(human.joint_names), qpos=closed, T_world_palm=T
    )  # fmt: skip
    return {"human": {"a": person}, "allegro": {"a": retarget([keypoints_world(person, human)], allegro)[0]}}


def test_steps_bring_a_coarse_translation_nearer(motions):
    hands, tokenizer = {name: load_hand(name) for name in motions}, load_tokenizer()
    plain = list(cross_rows(tokenizer, motions, hands, "human", ["allegro"], "human"))
    polished = list(polished_rows(tokenizer, motions, hands, "human", ["allegro"], 4))
    assert [row["bits_per_frame"] for row in polished] == [row["bits_per_frame"] for row in plain]
    assert polished[0]["source"] == "human, 4 steps"
    assert polished[0]["fingertip_mm"] < 0.7 * plain[0]["fingertip_mm"]
    assert abs(polished[0]["tip_excess_mm"]) < plain[0]["tip_excess_mm"]
