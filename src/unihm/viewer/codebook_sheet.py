"""What the most used codes look like on several hands, and how often each code was used in training."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unihm.hands.hand import HandModel, load_hand
from unihm.schema.storage import atomic_path, write_text
from unihm.tokenizer.hand_chart import LatentPose
from unihm.tokenizer.predictive import ChunkCode
from unihm.tokenizer.tokenizer import Tokenizer
from unihm.tokenizer.unified import UnifiedTokenizer
from unihm.viewer.stills import hand_facets

HANDS = ("human", "shadow", "allegro")
"""Drawn where the tokenizer knows them."""
_STRONG = 0.75  # quantile of the codes' sizes; the most used codes say "go on as guessed" and move hardly anything
_EYE = np.array([0.35, 0.9, 0.55])  # from where the palm is seen, in its own frame; the fingers point to the right
_WIDTH = 0.13  # m; half of what a picture shows
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>unihm codebook</title><style>
body{{font:15px sans-serif;margin:2em;max-width:90em}}td,th{{padding:.2em .8em;text-align:right}}img{{width:100%}}
</style></head><body><h1>Codebook {mark}</h1><p>{text}</p><img alt="most used codes" src="data:image/png;base64,{png}">
<table><tr><th>level</th><th>code</th><th>share %</th><th>palm mm</th><th>palm deg</th><th>fingers</th></tr>
{rows}</table></body></html>
"""


def write_codebook(tokenizer: Tokenizer, path: str | Path, *, hands: Sequence[str] = HANDS) -> dict[str, Any]:
    """Draw the first stage's codes: of each level the most used, and the most used of those that move a hand most.

    Grey is a hand that stands still in the mean first posture, coloured where one code takes it within a chunk.

    Args:
        tokenizer: One stream for all hands.
        path: A ``.png`` or ``.html`` file; replaced atomically.
        hands: Those that the tokenizer does not know are left out.

    Returns:
        Levels, codes of a level, and how many of them training used, for each level.

    Raises:
        ValueError: The tokenizer is a VQ-VAE, knows none of the hands, or the file is of another kind.
    """
    path = Path(path)
    if path.suffix not in (".png", ".html"):
        raise ValueError(f"A picture of the codebook is a .png or .html file, not '{path.name}'.")
    model = tokenizer.model
    if not isinstance(model, UnifiedTokenizer):
        raise ValueError("A VQ-VAE's codes are latents and have no look of their own.")
    shown = [hand for hand in hands if hand in tokenizer.hands]
    if not shown:
        raise ValueError(f"The tokenizer knows none of {', '.join(hands)}. Available: {', '.join(tokenizer.hands)}.")
    first = model.codec.codes_of(tokenizer.levels)[0]
    usage = first.usage.numpy()
    chosen = [(level, code) for level in range(len(usage)) for code in _chosen(first, level)]
    png = _picture(model, shown, usage, chosen)
    if path.suffix == ".png":
        with atomic_path(path) as temporary:
            temporary.write_bytes(png)
    else:
        rows = "\n".join(_row(model, usage, level, code) for level, code in chosen)
        text = (f"{len(usage)} codes a row of {tokenizer.frames_per_chunk} frames, {tokenizer.bits_per_frame:g} bits a "
                "frame; further rows of codes refine them.")  # fmt: skip
        page = _PAGE.format(mark=tokenizer.fingerprint, text=text, png=base64.b64encode(png).decode(), rows=rows)
        write_text(path, page)
    return {"levels": len(usage), "codes": usage.shape[1], "used": [int((level > 0).sum()) for level in usage]}


def _chosen(code: ChunkCode, level: int) -> tuple[int, int]:
    """The most used code of a level, and the most used of those that move the hand most."""
    usage, size = code.usage[level], code.codebook[level].norm(dim=-1)
    strong = torch.where(size >= size.quantile(_STRONG), usage, -1)
    return int(usage.argmax()), int(strong.argmax())


def _start(model: UnifiedTokenizer) -> LatentPose:
    codec = model.codec
    return LatentPose(R=torch.eye(3)[None], t=torch.zeros(1, 3), fingers=codec.start_fingers[None])


def _picture(model: UnifiedTokenizer, hands: Sequence[str], usage: np.ndarray, chosen: list[tuple[int, int]]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.7 * len(chosen), 1.75 * len(hands) + 2.6), dpi=110, layout="constrained")
    grid = figure.add_gridspec(len(hands) + 1, len(chosen), height_ratios=[*[1.0] * len(hands), 1.3])
    for row, hand in enumerate(hands):
        body = load_hand(hand)
        for column, (level, code) in enumerate(chosen):
            axes = figure.add_subplot(grid[row, column])
            _paint(axes, model, body, level, code)
            if row == 0:
                axes.set_title(f"level {level}, code {code}\n{usage[level, code] / usage[level].sum():.1%}", fontsize=8)
            if column == 0:
                axes.text(0, 0.5, hand, transform=axes.transAxes, rotation=90, va="center", fontsize=9)
    axes = figure.add_subplot(grid[len(hands), :])
    for level, counts in enumerate(usage):
        axes.plot(np.sort(counts)[::-1] / max(1, counts.sum()), label=f"level {level}")
    axes.axhline(1 / usage.shape[1], color="#999", linewidth=0.8, linestyle=":")
    axes.set(yscale="log", xlabel="codes, most used first", ylabel="share of training chunks")
    axes.legend(fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    written = io.BytesIO()
    FigureCanvasAgg(figure).print_png(written)
    return written.getvalue()


def _paint(axes: Any, model: UnifiedTokenizer, hand: HandModel, level: int, code: int) -> None:
    """The hand before and after a code, seen without perspective."""
    from matplotlib.collections import PolyCollection

    features = model.hands[hand.name]
    qpos, T = features.unpack(model.effect(hand.name, level, code, _start(model)).double())
    lower, upper = features.limits(qpos)
    poses = (T[:, None] @ hand.forward_kinematics(torch.clamp(qpos, lower, upper))).numpy()
    back = -_EYE / np.linalg.norm(_EYE)
    right = np.array([1.0, 0.0, 0.0]) - back * back[0]
    right /= np.linalg.norm(right)
    axes_of_view = np.stack([right, np.cross(right, back)])
    for pose, grey in ((poses[0], True), (poses[1], False)):
        facets, colors = hand_facets(hand.geometry, pose)
        order = np.argsort(-(facets @ back).mean(1))
        shade = np.full_like(colors, 0.82) if grey else colors
        axes.add_collection(
            PolyCollection(list((facets @ axes_of_view.T)[order]), facecolors=shade[order], edgecolors="face",
                           linewidths=0.2, alpha=1.0 if grey else 0.75)
        )  # fmt: skip
    axes.set(xlim=(-1.2 * _WIDTH, 0.8 * _WIDTH), ylim=(-0.9 * _WIDTH, 0.7 * _WIDTH), aspect="equal")
    axes.set_axis_off()


def _row(model: UnifiedTokenizer, usage: np.ndarray, level: int, code: int) -> str:
    """One line of the page's table: how a code moves the reference hand."""
    start = _start(model)
    moved = model.codec.absolute(model.codec.codes_of(model.rates[0])[0].effect(level, code)[None], start)[0, -1]
    angle = float(torch.arccos(((moved.R.trace() - 1) / 2).clamp(-1, 1)))
    turned = float((moved.fingers - start.fingers[0]).abs().mean())
    cells = (
        level, code, f"{100 * usage[level, code] / usage[level].sum():.2f}", f"{1e3 * float(moved.t.norm()):.1f}",
        f"{np.rad2deg(angle):.1f}", f"{turned:.3f}",
    )  # fmt: skip
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
