"""Translated motions after a few steps of the retargeting solver, beside direct retargeting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from unihm.hands.hand import HandModel
from unihm.retargeting import polish
from unihm.schema.motion import HandMotion
from unihm.tokenizer.figures import cross_rows, keypoints_world
from unihm.tokenizer.tokenizer import Tokenizer


def polished_rows(
    tokenizer: Tokenizer,
    motions: Mapping[str, Mapping[str, HandMotion]],
    hands: Mapping[str, HandModel],
    person: str,
    targets: Sequence[str],
    steps: int,
) -> Iterator[dict[str, object]]:
    """One row for each target and rate, as `figures.cross_rows` gives them, of the recorded person's motion.

    Args:
        tokenizer: What is measured.
        motions: hand -> episode id -> motion with its object; of the same recordings.
        hands: The hands' kinematics.
        person: The hand that was recorded: its motion is encoded, its keypoints are what the steps go by.
        targets: Who decodes.
        steps: Of the solver.
    """
    keypoints = [keypoints_world(motion, hands[person]) for motion in motions[person].values()]

    def polished(decoded: Sequence[HandMotion], target: str) -> list[HandMotion]:
        description = hands[target].description
        return [polish(m, points, description, steps=steps) for m, points in zip(decoded, keypoints, strict=True)]

    for row in cross_rows(tokenizer, motions, hands, person, targets, person, after=polished):
        yield {**row, "source": f"{person}, {steps} steps"}
