"""Tune what turns the planner's maps and logits into answers, on made scenes that are neither trained on nor reported.

    unihm data synthesize SCENES --scenes 32 --seed 106
    python benchmarks/planner_thresholds.py SCENES --weights FOLDER

First the instances: mean IoU for several blurs and saddles of `cliport.instances`. Then the words: for thresholds of
`perception.cliport`, how often the one right thing is chosen, and how often one asks back where none or several fit.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import torch

from unihm.cliport import instances as voting
from unihm.cliport.view_network import OFFSET_CELLS
from unihm.perception.cliport import Cliport
from unihm.perception.plain_words import plainly
from unihm.scene_data.store import read_scenes
from unihm.training.view_data import example_input
from unihm.training.view_objective import best_overlaps

_MATCH = 0.5  # IoU from which an instance is a thing


def tune_instances(seeing: Cliport, folder: Path) -> None:
    """Print the mean IoU for each blur and saddle."""
    kept = []
    for example in read_scenes(folder):
        classes, offsets = seeing.view.maps(example_input(example, seeing.view.config.cells))
        kept.append((classes, OFFSET_CELLS * offsets, example.instances))
    before = voting._BLUR, voting._SADDLE
    for blur, saddle in product((0.7, 1.0, 1.4, 2.0), (0.4, 0.5, 0.6, 0.7, 0.8)):
        voting._BLUR, voting._SADDLE = blur, saddle
        overlaps, extra = [], 0
        for classes, offsets, truth in kept:
            found = voting.instances(classes, offsets, *truth.shape)
            overlaps.append(best_overlaps(found.labels, truth))
            extra += len(found) - len(overlaps[-1])
        every = np.concatenate(overlaps)
        print(
            f"blur {blur} saddle {saddle}: IoU {every.mean():.4f}, above .75 {(every > 0.75).mean():.3f}, "
            f"extra {extra / len(kept):.2f} an image"
        )
    voting._BLUR, voting._SADDLE = before


@torch.inference_mode()
def logits(seeing: Cliport, folder: Path) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """For each instruction the logits of all instances, which of them it means, and how it tells its target."""
    rows = []
    for example in read_scenes(folder):
        try:
            seen = seeing.see(example.scene)
        except ValueError:
            continue
        own = np.full(len(seen.found), -1)
        for i in range(len(seen.found)):
            mask = seen.found.mask(i)
            hit = np.bincount(example.instances[mask], minlength=len(example.things) + 1)
            k = int(hit[1:].argmax())
            union = mask.sum() + (example.instances == k + 1).sum() - hit[k + 1]
            own[i] = k if hit[k + 1] / union > _MATCH else -1
        for asking in example.askings:
            if set(asking.targets) <= set(own.tolist()):
                plain = plainly(asking.instruction, seeing.card["nouns"])
                fits = seeing.fits(seen, plain, seeing.grounded(seen, plain))
                rows.append((fits.numpy(), np.isin(own, asking.targets), asking.refers_by))
    return rows


def tune_words(rows: list[tuple[np.ndarray, np.ndarray, str]]) -> None:
    """Print the shares for each set of thresholds, the best sums first."""
    found = []
    for certain, clearly, unlikely in product(
        (-1.0, 0.0, 1.0), (0.0, 0.5, 1.0, 2.0), (-9.0, -4.0, -3.0, -2.0, -1.5, -1.0)
    ):
        right, asks = [], []
        for fits, truth, _ in rows:
            best = int(fits.argmax())
            close = ((fits > certain) & (fits[best] - fits < clearly)).sum() > 1
            answers = fits[best] >= unlikely and not close
            if truth.sum() == 1:
                right.append(answers and truth[best])
            else:
                asks.append(not answers)
        found.append((np.mean(right), np.mean(asks), certain, clearly, unlikely))
    best = [float(truth[fits.argmax()]) for fits, truth, _ in rows if truth.sum() == 1]
    print(f"the best is the right one: {np.mean(best):.3f} of {len(best)}")
    for right, asks, certain, clearly, unlikely in sorted(found, key=lambda row: -(2 * row[0] + row[1]))[:12]:
        print(f"certain {certain} clearly {clearly} unlikely {unlikely}: right {right:.3f}, asks back {asks:.3f}")


def main() -> None:
    """Both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    seeing = Cliport(options.weights)
    tune_instances(seeing, options.scenes)
    tune_words(logits(seeing, options.scenes))


if __name__ == "__main__":
    main()
