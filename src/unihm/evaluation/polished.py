"""Translated motions after a few steps of the retargeting solver, beside direct retargeting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from unihm.hands.hand import HandModel
from unihm.retargeting import polish
from unihm.schema.motion import HandMotion
from unihm.tokenizer.figures import beside_the_person, keypoints_world, motion_errors, summary
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
    source = list(motions[person].values())
    keypoints = [keypoints_world(motion, hands[person]) for motion in source]
    for levels in tokenizer.rates:
        tokens = tokenizer.encode_all(source, levels=levels)
        for target in targets:
            hand, truth = hands[target], list(motions[target].values())
            decoded = [
                polish(motion, points, hand.description, steps=steps)
                for motion, points in zip(tokenizer.decode_all(tokens, target), keypoints, strict=True)
            ]
            yield {
                "hand": target,
                "source": f"{person}, {steps} steps",
                "bits_per_frame": tokenizer.bits(levels),
                **summary(motion_errors(d, m, hand) for d, m in zip(decoded, truth, strict=True)),
                **beside_the_person(decoded, truth, source, hand, hands[person]),
            }
