"""What people call colours: eleven words, by hue, saturation and value."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

COLORS = ("red", "orange", "brown", "yellow", "green", "blue", "purple", "pink", "black", "white", "grey")
"""The basic colour words of English."""


def color_shares(colors: UInt8[np.ndarray, "n 3"]) -> dict[str, float]:
    """Share of pixels per colour word, by hue, saturation and value."""
    rgb = colors.astype(np.float64) / 255
    value, low = rgb.max(axis=1), rgb.min(axis=1)
    chroma = value - low
    safe = np.where(chroma > 0, chroma, 1.0)
    r, g, b = rgb.T
    sextant = np.where(value == r, (g - b) / safe % 6, np.where(value == g, (b - r) / safe + 2, (r - g) / safe + 4))
    hue, saturation = 60 * sextant, chroma / np.maximum(value, 1e-9)
    limits = (
        (12, "red"),
        (40, "orange"),
        (72, "yellow"),
        (165, "green"),
        (258, "blue"),
        (300, "purple"),
        (340, "pink"),
    )
    names = np.select([hue < limit for limit, _ in limits], [name for _, name in limits], default="red").astype(object)
    names[(names == "orange") & (value < 0.55)] = "brown"
    names[(names == "red") & (saturation < 0.5) & (value > 0.7)] = "pink"
    dull = (saturation < 0.25) | (value < 0.15)
    names[dull] = np.where(value[dull] < 0.25, "black", np.where(value[dull] > 0.7, "white", "grey"))
    return {name: float((names == name).mean()) for name in COLORS}
