"""The paper's Table B1: MAE and RMSE of its tokenizer, MLP and 1D-Conv, hand by hand, on training and held-out frames.

The table mixes units: an error is one of the palm's position (m), its rotation vector (rad) and the joints (rad, m of
sliding ones), all alike. Beside it stand figures in degrees and millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from unihm.datasets.episode_store import episode_table
from unihm.datasets.splits import split as split_ids
from unihm.evaluation.cases import TEST_PARTS
from unihm.evaluation.tokenizer import motions_of
from unihm.evaluation.trained_on import refuse_trained_on
from unihm.hands.hand import load_hand
from unihm.schema.motion import HandMotion
from unihm.tokenizer.figures import motion_errors, summary
from unihm.tokenizer.tokenizer import SHIPPED, Tokenizer, load_tokenizer

BACKBONES = {"MLP": "paper-mlp", "1D-Conv": "paper"}
"""Row of the table -> preset."""
HANDS = ("allegro", "shadow", "svh", "leap", "ability", "panda")
"""Columns of the table."""
_QUICK = 12  # sequences of each part


def evaluate_paper(
    data: str | Path, split: str, runs: Path, *, selection: bool = False, quick: bool = False
) -> list[dict[str, Any]]:
    """Rows with split, hand, backbone, ``mae`` and ``rmse`` in mixed units, and the figures of `summary`.

    Args:
        data: Episode store.
        split: A key of `datasets.splits.SPLITS`; the runs must have left out its test parts.
        runs: Folder with the runs of both presets.
        selection: Measure on the recordings kept for choosing instead of the test parts.
        quick: Only some recordings of each part.

    Raises:
        ValueError: A run is missing, or was trained on test recordings.
    """
    tokenizers = {}
    for backbone, preset in BACKBONES.items():
        path = runs / preset / SHIPPED
        if not path.is_file():
            raise ValueError(
                f"'{path}' does not exist; make it with: unihm train tokenizer --data {data} --split {split} "
                f"--preset {preset} --out {runs / preset}"
            )
        tokenizers[backbone] = load_tokenizer(path)
    records = episode_table(data)
    parts = ("validation",) if selection else TEST_PARTS.get(split, ("test",))
    ids = {part: split_ids(split, part, records) for part in ("train", *parts)}
    recordings = {record.id: record.recording for record in records}
    if not selection:
        tested = {recordings[name] for part in parts for name in ids[part]}
        refuse_trained_on(tested, {backbone: one.card for backbone, one in tokenizers.items()})
    rows = []
    for part, found in ids.items():
        chosen = found[:: max(1, len(found) // _QUICK)] if quick else found
        label = split if part == "test" else f"{split}/{part}"
        for hand in HANDS:
            motions = list(motions_of(data, hand, chosen).values())
            for backbone, tokenizer in tokenizers.items():
                rows.append({"split": label, "hand": hand, "backbone": backbone, "n": len(chosen),
                             **_figures(tokenizer, motions, hand)})  # fmt: skip
    return rows


def _figures(tokenizer: Tokenizer, motions: Sequence[HandMotion], hand: str) -> dict[str, Any]:
    decoded = tokenizer.decode_all(tokenizer.encode_all(motions), hand)
    error = np.concatenate([_mixed(a, b) for a, b in zip(decoded, motions, strict=True)])
    model = load_hand(hand)
    return {
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "bits_per_frame": tokenizer.bits_per_frame,
        **summary(motion_errors(a, b, model) for a, b in zip(decoded, motions, strict=True)),
    }


def _mixed(decoded: HandMotion, truth: HandMotion) -> np.ndarray:
    """Errors of position, rotation vector and joints, (T, 6 + nq)."""
    R, R_hat = truth.T_world_palm[:, :3, :3], decoded.T_world_palm[:, :3, :3]
    turned = Rotation.from_matrix(R.transpose(0, 2, 1) @ R_hat).as_rotvec()
    moved = decoded.T_world_palm[:, :3, 3] - truth.T_world_palm[:, :3, 3]
    return np.concatenate([moved, turned, decoded.qpos - truth.qpos], -1)


def layout(rows: Sequence[Mapping[str, Any]]) -> str:
    """The paper's table for every part, units mixed, then joints in degrees and keypoints in millimetres."""
    lines = []
    for split in dict.fromkeys(row["split"] for row in rows):
        of_split = [row for row in rows if row["split"] == split]
        lines += [f"{split} ({of_split[0]['n']} recordings, {of_split[0]['bits_per_frame']:g} bits a frame)",
                  " " * 24 + "".join(f"{hand:>10}" for hand in (*HANDS, "overall"))]  # fmt: skip
        for name, digits in (("mae", 4), ("rmse", 4), ("joint_deg", 2), ("keypoint_mm", 1)):
            for backbone in BACKBONES:
                values = {row["hand"]: row[name] for row in of_split if row["backbone"] == backbone}
                known = [value for value in values.values() if value is not None]
                cells = [*(values[hand] for hand in HANDS), float(np.mean(known))]
                lines.append(
                    f"  {name:<12}{backbone:<10}"
                    + "".join(f"{'-' if value is None else f'{value:.{digits}f}':>10}" for value in cells)
                )
    return "\n".join(lines)
